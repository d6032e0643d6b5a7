"""
The public data sets that can be fetched: where each comes from, and how to know it.

What differs from one set to the next stands in a `DataSet`; `helpers.course.fetch` has what they
share.
"""

import csv
import shutil
import warnings
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import openpyxl
import pandas as pd
import pooch
from sklearn.datasets import fetch_kddcup99

from helpers.tables import fault, read_dates, read_ids, read_numbers
from helpers.text import InputError, listed

LARGEST_UNPACKED = 500_000_000  # bytes in a zip archive, which a workbook is too
LAST_ROW, LAST_COLUMN = 1 << 20, 50  # of a sheet; Excel has no further rows
SEED = 42  # draws the attacks of KDD Cup 99

# What sklearn.datasets.fetch_kddcup99 asks for, and where it looks for a copy.
KDD_URL = "https://ndownloader.figshare.com/files/5976042"
KDD_SHA256 = "8045aca0d84e70e622d1148d7df782496f6333bf6eb979a1b0837c42a9fd9561"
KDD_PLACE = "kddcup99_10-py3/kddcup99_10_data"


@dataclass(frozen=True)
class DataSet:
    """
    A public data set, and how to know it.

    Attributes
    ----------
    name : str
        What ``course fetch`` calls it; also the name of its file.
    about, citation : str
        What it is, and whom to name as its author under which licence.
    url, size : str
        Where it is downloaded from, and how much that is.
    forms : str
        What a copy of it may be.
    columns : dict of str to callable
        Name of each column, and which of `COLUMN_TYPES` reads its text.
    to_csv : callable
        Makes a CSV file, in a folder, of what was downloaded; returns any other file as it is.
    count : callable
        Returns the figures of a table.
    published : dict of str to str
        What they have to be.
    parquet : bool
        Whether to write it as Parquet, too, for chapters that read large tables.
    """

    name: str
    about: str
    citation: str
    url: str
    size: str
    forms: str
    columns: Mapping[str, Callable[[pd.Series], pd.Series]]
    to_csv: Callable[[Path, Path], Path]
    count: Callable[[pd.DataFrame], dict[str, str]]
    published: Mapping[str, str]
    parquet: bool = False


# What reads a column


def verbatim(text: pd.Series) -> pd.Series:
    """Return text as it is."""
    return text


def ids_of_numbers(text: pd.Series) -> pd.Series:
    """Return ids as text, missing where blank; some programs write 17850 as 17850.0."""
    return read_ids(text.str.replace(r"\.0$", "", regex=True))


def whole_numbers(text: pd.Series) -> pd.Series:
    """Return whole numbers, missing where the text is none."""
    numbers = read_numbers(text)
    return numbers.where((numbers % 1 == 0) & (numbers.abs() < 2**53))


COLUMN_TYPES: dict[Any, Mapping[str, Any]] = {
    verbatim: {"dtype": str},
    ids_of_numbers: {"dtype": str, "nullable": True},
    whole_numbers: {"dtype": float, "description": "a whole number"},
    read_numbers: {"dtype": float, "description": "a number such as 1234.5"},
    read_dates: {
        "dtype": "datetime64[us]",
        "description": "a date, all written one way, best YYYY-MM-DD HH:MM:SS",
    },
}


# Online Retail


def sheet_to_csv(path: Path, folder: Path) -> Path:
    """
    Turn the first sheet of a workbook, which may lie in a zip archive, into CSV.

    Parameters
    ----------
    path : Path
        Whatever is not a zip archive is returned as it is.
    folder : Path
        Where the CSV file is written, under the name of the workbook.

    Returns
    -------
    Path

    Raises
    ------
    InputError
        If it is damaged, holds no workbook, or unpacks to more than a workbook should.
    """
    with path.open("rb") as file:
        if file.read(4) != b"PK\x03\x04":
            return path
    try:
        with zipfile.ZipFile(path) as archive:
            _check_sizes(path, archive)
            names = archive.namelist()
            books = [name for name in names if name.lower().endswith(".xlsx")]
            if "[Content_Types].xml" in names:
                return _first_sheet(path, folder / "csv" / path.name)
            if len(books) != 1:
                raise fault(path, [f"it holds no one workbook, but {listed(names[:5])}."])
            book = folder / Path(books[0]).name
            with archive.open(books[0]) as packed, book.open("wb") as unpacked:
                shutil.copyfileobj(packed, unpacked)
        with zipfile.ZipFile(book) as archive:
            _check_sizes(book, archive)
        return _first_sheet(book, folder / "csv" / book.name)
    except InputError:
        raise
    # Damage is met in as many ways as there are parts of a workbook; all of them mean the same.
    except Exception as error:
        reason = f"{type(error).__name__}: {error}".rstrip(": .")[:200]
        raise fault(path, [f"it is damaged or cut short, or no workbook ({reason})."]) from None


def _check_sizes(path: Path, archive: zipfile.ZipFile) -> None:
    """Refuse an archive by the sizes that it declares; zipfile reads no part beyond its own."""
    size = sum(part.file_size for part in archive.infolist())
    if size > LARGEST_UNPACKED:
        limit = f"{LARGEST_UNPACKED / 1e6:,.0f} MB"
        raise fault(path, [f"it unpacks to more than {limit}, like a decompression bomb."])


def _first_sheet(book: Path, path: Path) -> Path:
    """Write the cells of the first sheet as CSV."""
    # Opened here, because openpyxl refuses a name without .xlsx; a download may have any.
    with warnings.catch_warnings(), book.open("rb") as opened:
        # openpyxl warns of styles and extensions, which are not read.
        warnings.simplefilter("ignore")
        workbook = openpyxl.load_workbook(opened, read_only=True, data_only=True, keep_links=False)
        path.parent.mkdir()
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            width = 0
            rows = workbook.worksheets[0].iter_rows(
                max_row=LAST_ROW, max_col=LAST_COLUMN, values_only=True
            )
            for row in rows:
                cells = [_cell_text(value) for value in row]
                width = width or max((i for i, cell in enumerate(cells, 1) if cell), default=0)
                if any(cells):
                    writer.writerow(cells[:width])
        workbook.close()
    return path


def _cell_text(value: object) -> str:
    """Text of a cell: whole numbers without a point, times to the second."""
    if value is None:
        return ""
    if isinstance(value, datetime):
        # Excel keeps fractions of a day, which seldom are a second exactly.
        return str((value + timedelta(seconds=0.5)).replace(microsecond=0))
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def count_orders(lines: pd.DataFrame) -> dict[str, str]:
    """
    Return the figures of the order lines of Online Retail.

    Parameters
    ----------
    lines : DataFrame
        With the columns of the data set.

    Returns
    -------
    dict of str to str
        Those of sales leave out cancellations, lines without a customer, and those with a quantity
        or price of zero or less.
    """
    days = lines["InvoiceDate"].dt.strftime("%Y-%m-%d")
    sales = lines[
        ~lines["InvoiceNo"].str.startswith("C")
        & lines["CustomerID"].notna()
        & (lines["Quantity"] > 0)
        & (lines["UnitPrice"] > 0)
    ]
    revenue = (sales["Quantity"] * sales["UnitPrice"]).sum()
    figures = {"first day": days.min(), "last day": days.max()}
    for part, table in ("", lines), (" of sales", sales):
        figures[f"lines{part}"] = f"{len(table):,}"
        figures[f"invoices{part}"] = f"{table['InvoiceNo'].nunique():,}"
        figures[f"customers{part}"] = f"{table['CustomerID'].nunique():,}"
    return figures | {"revenue": f"{revenue:,.2f}"}


ONLINE_RETAIL = DataSet(
    name="online_retail",
    about="Every order line of a British gift shop, December 2010 to December 2011",
    citation=(
        "Chen, D. (2015). Online Retail. UCI Machine Learning Repository. "
        "https://doi.org/10.24432/C5BW33. Licence: CC BY 4.0"
    ),
    url="https://archive.ics.uci.edu/static/public/352/online+retail.zip",
    size="23 MB",
    forms="the zip archive of UCI, the workbook in it, or its sheet as .csv or .csv.gz",
    columns={
        "InvoiceNo": verbatim,
        "StockCode": verbatim,
        "Description": verbatim,
        "Quantity": whole_numbers,
        "InvoiceDate": read_dates,
        "UnitPrice": read_numbers,
        "CustomerID": ids_of_numbers,
        "Country": verbatim,
    },
    to_csv=sheet_to_csv,
    count=count_orders,
    published={
        "lines": "541,909",
        "invoices": "25,900",
        "customers": "4,372",
        "first day": "2010-12-01",
        "last day": "2011-12-09",
        "lines of sales": "397,884",
        "invoices of sales": "18,532",
        "customers of sales": "4,338",
        "revenue": "8,911,407.90",
    },
    parquet=True,
)


# KDD Cup 99

KDD_COLUMNS = """
    duration protocol_type service flag src_bytes dst_bytes land wrong_fragment urgent hot
    num_failed_logins logged_in num_compromised root_shell su_attempted num_root
    num_file_creations num_shells num_access_files num_outbound_cmds is_host_login is_guest_login
    count srv_count serror_rate srv_serror_rate rerror_rate srv_rerror_rate same_srv_rate
    diff_srv_rate srv_diff_host_rate dst_host_count dst_host_srv_count dst_host_same_srv_rate
    dst_host_diff_srv_rate dst_host_same_src_port_rate dst_host_srv_diff_host_rate
    dst_host_serror_rate dst_host_srv_serror_rate dst_host_rerror_rate dst_host_srv_rerror_rate
    label
"""


def kdd_reader(column: str) -> Callable[[pd.Series], pd.Series]:
    """Return what reads a column of KDD Cup 99."""
    if column in ("protocol_type", "service", "flag", "label"):
        return verbatim
    return read_numbers if column.endswith("_rate") else whole_numbers


def subset_to_csv(path: Path, folder: Path) -> Path:
    """
    Write scikit-learn's subset SA of KDD Cup 99 as CSV.

    Four in five connections of the whole are attacks, which no network has, and which leaves
    nothing to call an anomaly. SA has every normal connection, and 3,377 attacks drawn with
    replacement from a fixed seed: 3.4 % of its rows.

    Parameters
    ----------
    path : Path
        The archive that scikit-learn downloads, known by its checksum; any other file is returned
        as it is.
    folder : Path
        Where the CSV file is written.

    Returns
    -------
    Path
    """
    if pooch.file_hash(str(path)) != KDD_SHA256:
        return path
    place = folder / "scikit_learn" / KDD_PLACE
    place.parent.mkdir(parents=True)
    # scikit-learn downloads without a time limit; a file that is in place already it only checks.
    shutil.copyfile(path, place)
    frame = fetch_kddcup99(
        subset="SA", data_home=folder / "scikit_learn", random_state=SEED, as_frame=True
    ).frame.rename(columns={"labels": "label"})
    text = [name for name in frame if kdd_reader(name) is verbatim]
    frame[text] = frame[text].apply(lambda column: column.str.decode("ascii"))
    frame["label"] = frame["label"].str.rstrip(".")
    subset = folder / "kdd_cup_99.csv"
    frame.to_csv(subset, index=False)
    return subset


def count_connections(connections: pd.DataFrame) -> dict[str, str]:
    """
    Return the figures of the connections of KDD Cup 99.

    Parameters
    ----------
    connections : DataFrame
        With the columns of the data set.

    Returns
    -------
    dict of str to str
    """
    normal = (connections["label"] == "normal").sum()
    return {
        "connections": f"{len(connections):,}",
        "normal": f"{normal:,}",
        "attacks": f"{len(connections) - normal:,}",
    }


KDD_CUP_99 = DataSet(
    name="kdd_cup_99",
    about="Network connections of 1998 with simulated attacks: scikit-learn's subset SA",
    citation=(
        "Stolfo, S., Fan, W., Lee, W., Prodromidis, A. and Chan, P. (1999). KDD Cup 1999 Data. "
        "UCI Machine Learning Repository. https://doi.org/10.24432/C51C7N. Licence: CC BY 4.0"
    ),
    url=KDD_URL,
    size="2 MB",
    forms=f"kddcup.data_10_percent.gz (SHA-256 {KDD_SHA256[:12]}...), or what this command made",
    columns={name: kdd_reader(name) for name in KDD_COLUMNS.split()},
    to_csv=subset_to_csv,
    count=count_connections,
    published={"connections": "100,655", "normal": "97,278", "attacks": "3,377"},
)

DATA_SETS = {data_set.name: data_set for data_set in (ONLINE_RETAIL, KDD_CUP_99)}
