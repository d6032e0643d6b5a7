"""
Public data sets: downloaded or taken from a copy, and checked against their published figures.

`fetch_data_set` is the whole way. Which sets there are stands in `helpers.course.data_sets`.
"""

import gzip
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import urlsplit
from urllib.request import url2pathname

import duckdb
import pandas as pd
import pandera.pandas as pa
import pooch
from requests import exceptions
from tqdm import tqdm

from helpers.course.data_sets import COLUMN_TYPES, DataSet, whole_numbers
from helpers.files import replacing
from helpers.tables import check_file, fault, read_header, read_table
from helpers.text import InputError, listed

STALLED = 30  # seconds without a byte after which a server is given up
LARGEST_DOWNLOAD = 200_000_000  # bytes; the largest of the sets takes 23 million


class DownloadError(Exception):
    """A download that did not come to its end; the message says why and what to do."""


def fetch_data_set(
    data_set: DataSet,
    folder: Path,
    *,
    source: str | None = None,
    say: Callable[[str], None],
    bar: bool = False,
) -> None:
    """
    Put a data set into a folder as ``name.csv.gz``, unless it is there already.

    One that is also written as Parquet has that written each time, from what was checked.

    Nothing is written before the content was checked, and then all of it at once. A download that
    broke off begins anew the next time: the sets are small, and no half of one has to be trusted.

    Parameters
    ----------
    data_set : DataSet
    folder : Path
    source : str, optional
        File or address of a copy. By default the set is downloaded from where it was published.
    say : callable
        Is told what is being done, and what came of it.
    bar : bool, default=False
        Whether to show a bar on stderr while downloading.

    Raises
    ------
    InputError
        If what came is not the data set, or cannot be read or written.
    DownloadError
        If nothing came, or not all of it.
    """
    target = folder / f"{data_set.name}.csv.gz"
    if target.is_file():
        say(f"Looking at {target}")
        try:
            table = _checked(data_set, target)
        except InputError as error:
            say(f"It is not the data set {data_set.name}, and will be replaced. {error}")
        else:
            if data_set.parquet and not _parquet(target).is_file():
                with _told_if_unwritten(target):
                    _write(table, target, parquet=True)
            say("It is there already, with the published figures. Nothing was downloaded.")
            return
    with _told_if_unwritten(target), TemporaryDirectory() as name:
        temporary = Path(name)
        place = source or data_set.url
        path = _local_file(place)
        if path is None:
            say(f"Downloading {place}" + ("" if source else f" ({data_set.size})"))
            path = _download(place, temporary, bar=bar)
        check_file(path)
        say(f"Reading {path.name}")
        try:
            table = _checked(data_set, data_set.to_csv(path, temporary))
        except InputError as error:
            raise InputError(
                f"{error}\nThis is not the data set {data_set.name}, so nothing was written. "
                f"Give another copy with --from FILE_OR_URL: {data_set.forms}."
            ) from None
        _write(table, target, parquet=data_set.parquet)
    figures = ", ".join(f"{name} {figure}" for name, figure in data_set.published.items())
    say(f"{target}: as published, {figures}.\nCite: {data_set.citation}")


# Where it comes from


def _local_file(place: str) -> Path | None:
    """Path that a text means; None if it is an address to download from."""
    try:
        url = urlsplit(place)
    except ValueError:
        raise InputError(f"{place} is neither a file nor an address. Check --from.") from None
    if url.scheme in ("http", "https"):
        return None
    if url.scheme == "file":
        return Path(url2pathname(url.path))
    if "://" in place:
        raise InputError(f"--from takes a file, or an address with http or https, not {place}.")
    return Path(place).expanduser()


class _Bar(tqdm):
    """Progress of a download, shown or not, that ends one without end."""

    received = 0

    def __bool__(self) -> bool:
        # pooch asks whether there is one; tqdm, whether there is anything to wait for.
        return True

    def update(self, n: float | None = 1) -> bool | None:
        self.received += int(n or 0)
        if self.received > LARGEST_DOWNLOAD:
            raise DownloadError(
                f"More than {LARGEST_DOWNLOAD / 1e6:,.0f} MB came, which is no such data set. "
                "Check the address."
            )
        return super().update(n)

    def reset(self, total: float | None = None) -> None:
        self.received = 0
        super().reset(total)


def _download(url: str, folder: Path, *, bar: bool) -> Path:
    """Download a file, which is named .gz if that is what it is."""
    path = folder / (Path(urlsplit(url).path).name[-80:].strip(".") or "download")
    # A server that takes a .csv.gz for a compressed page would have it unpacked on the way.
    headers = {"Accept-Encoding": "identity"}
    with _Bar(disable=not bar, total=0, unit="B", unit_scale=True, ncols=79, leave=False) as shown:
        download = pooch.HTTPDownloader(shown, timeout=STALLED, headers=headers)
        try:
            download(url, str(path), None)
        except exceptions.RequestException as error:
            if isinstance(error, ValueError):
                raise InputError(f"{url} is no address to download from. Check it.") from None
            raise DownloadError(
                f"{url}: {_what_happened(error)}. Try again later, or give a copy of the file "
                "with --from FILE_OR_URL."
            ) from None
    with path.open("rb") as file:
        suffix = ".gz" if file.read(2) == b"\x1f\x8b" else ""
    return path.rename(path.with_name(path.name.removesuffix(".gz") + suffix))


def _what_happened(error: exceptions.RequestException) -> str:
    """Words for why a download failed."""
    if isinstance(error, exceptions.HTTPError) and error.response is not None:
        return f"the server answered {error.response.status_code} {error.response.reason}".strip()
    # While the body is read, requests wraps a timeout in another error.
    if isinstance(error, exceptions.Timeout) or "timed out" in str(error):
        return f"the server sent nothing for {STALLED} seconds"
    if isinstance(error, exceptions.ChunkedEncodingError):
        return "the connection broke off before all of it was there"
    if isinstance(error, exceptions.SSLError):
        return "no secure connection could be made"
    if isinstance(error, exceptions.ConnectionError):
        return "no connection could be made, or it broke off"
    return f"the download failed ({type(error).__name__})"


# What it holds


def _checked(data_set: DataSet, path: Path) -> pd.DataFrame:
    """Read a CSV file and refuse it if it is not the data set."""
    header = read_header(path)
    if header and header[0].startswith("<"):
        raise fault(path, ["this is a web page, not data."])
    missing = [name for name in data_set.columns if name not in header]
    if missing:
        raise fault(path, [f"there is no column {listed(missing[:5])} in its first line."])
    schema = pa.DataFrameSchema(
        {name: pa.Column(**COLUMN_TYPES[read]) for name, read in data_set.columns.items()}
    )
    names = dict(zip(data_set.columns, data_set.columns, strict=True))
    table, _ = read_table(path, schema, {}, lambda header, columns: names, data_set.columns)
    whole = [name for name, read in data_set.columns.items() if read is whole_numbers]
    table = table.astype(dict.fromkeys(whole, "int64"))
    figures = data_set.count(table)
    wrong = [
        f"{name}: {figures[name]}, where {published} were published."
        for name, published in data_set.published.items()
        if figures[name] != published
    ]
    if wrong:
        raise fault(path, wrong)
    return table


def _write(table: pd.DataFrame, path: Path, *, parquet: bool) -> None:
    """Write a table so that the same content gives the same bytes: no name in it, no time."""
    with replacing(path) as temporary:
        with (
            temporary.open("wb") as file,
            gzip.GzipFile("", "wb", 6, file, mtime=0) as packed,
        ):
            table.to_csv(packed, index=False, lineterminator="\n", date_format="%Y-%m-%d %H:%M:%S")
        if parquet:
            with replacing(_parquet(path)) as columns:
                duckdb.from_df(table).write_parquet(str(columns))


def _parquet(path: Path) -> Path:
    """Place of the Parquet file beside a ``.csv.gz``."""
    return path.with_name(path.name.removesuffix(".csv.gz") + ".parquet")


@contextmanager
def _told_if_unwritten(target: Path) -> Iterator[None]:
    """Turn what a disk refuses into a message."""
    try:
        yield
    except (OSError, duckdb.IOException) as error:
        place, why = getattr(error, "filename", None), getattr(error, "strerror", None)
        raise InputError(
            f"{place or target}: {why or error}. Nothing was written; check permissions and free "
            "space."
        ) from None
