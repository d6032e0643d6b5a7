"""Results as files: tables, figures, models, the record of a run."""

import hashlib
import importlib.metadata
import io
import json
import os
import platform
import zipfile
from pathlib import Path

import skops.io
from sklearn.base import BaseEstimator

from helpers.files import replacing, visible_files, write_text
from helpers.text import InputError, listed

# What a spreadsheet takes for a formula when a cell begins with it (OWASP, "CSV Injection").
_FORMULA = r"^[=+\-@\t\r]"
_NUMBER = r"^[+-]?\d+(?:\.\d+)?$"

_PACKAGES = ["numpy", "pandas", "pillow", "scikit-image", "scikit-learn", "scipy"]


def write_csv(table, path):
    """
    Write a table as CSV, safe to open in a spreadsheet.

    Text that a spreadsheet would run as a formula gets an apostrophe in front; numbers stay.

    Parameters
    ----------
    table : DataFrame
        Its index is not written; reset it first if it matters.
    path : str or Path

    Returns
    -------
    Path
    """
    safe = table.copy()
    for column in safe.select_dtypes(exclude="number"):
        safe[column] = _without_formulas(safe[column].astype("str"))
    safe.columns = _without_formulas(safe.columns.astype("str").to_series())
    return write_text(path, safe.to_csv(index=False, lineterminator="\n"))


def _without_formulas(text):
    """Put an apostrophe in front of what a spreadsheet would run."""
    formula = text.str.contains(_FORMULA) & ~text.str.contains(_NUMBER)
    text = text.mask(formula.fillna(False), "'" + text)
    # Unlike a line feed, a carriage return is not quoted, and a new cell would begin after it.
    return text.str.replace("\r\n", "\n").str.replace("\r", "\n")


def write_figure(figure, path, dpi=300):
    """
    Write a matplotlib figure; return the path.

    Parameters
    ----------
    figure : Figure
    path : str or Path
        The suffix chooses the format.
    dpi : int, default=300
        Dots per inch, enough for print.

    Returns
    -------
    Path
    """
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=dpi, bbox_inches="tight")
    return Path(path)


def write_model(model, path):
    """
    Write a fitted model in the skops format, which holds no code; return the path.

    Equal models of one program make equal files: without the time, and with numbers in place of
    the addresses that skops knows objects by.

    Parameters
    ----------
    model : estimator
    path : str or Path

    Returns
    -------
    Path
    """
    numbers: dict[str, int] = {}
    with (
        zipfile.ZipFile(io.BytesIO(skops.io.dumps(model))) as dumped,
        replacing(path) as temporary,
        zipfile.ZipFile(temporary, "w") as written,
    ):
        schema = _numbered(json.loads(dumped.read("schema.json")), numbers)
        # ZipInfo has a date of its own, the first that the format knows.
        written.writestr(zipfile.ZipInfo("schema.json"), json.dumps(schema, indent=2))
        for name in dumped.namelist():
            if name != "schema.json":
                place = zipfile.ZipInfo(_numbered({"file": name}, numbers)["file"])
                written.writestr(place, dumped.read(name))
    return Path(path)


def _numbered(part, numbers):
    """Return a part of a skops schema with addresses replaced by numbers, as they come."""
    if isinstance(part, list):
        return [_numbered(item, numbers) for item in part]
    if not isinstance(part, dict):
        return part
    new = {key: _numbered(value, numbers) for key, value in part.items()}
    if isinstance(part.get("__id__"), int):
        new["__id__"] = numbers.setdefault(str(part["__id__"]), len(numbers))
    if isinstance(part.get("file"), str):
        address, _, suffix = part["file"].partition(".")
        new["file"] = f"{numbers.setdefault(address, len(numbers))}.{suffix}"
    return new


def read_model(path, trusted=()):
    """
    Read a model that ``write_model`` wrote.

    Parameters
    ----------
    path : str or Path
    trusted : list of type, default=()
        Types that the file may hold besides those that skops takes for safe: NumPy's, and
        scikit-learn's but for compiled ones such as trees. A chapter names its own estimator here.

    Returns
    -------
    estimator

    Raises
    ------
    InputError
        If the file is no such model, or holds a type that is neither safe nor trusted.
    """
    path = Path(path)
    names = {f"{kind.__module__}.{kind.__qualname__}" for kind in trusted}
    try:
        unknown = sorted(set(skops.io.get_untrusted_types(file=path)) - names)
        if unknown:
            raise InputError(
                f"{path.name}: holds {listed(unknown)}, which is not among the types to trust. "
                "It was not loaded. Use a file that the course has written; if you have written "
                "this one, pass its type as trusted=[...]."
            )
        model = skops.io.load(path, trusted=sorted(names))
        if not isinstance(model, BaseEstimator):
            raise InputError(f"{path.name}: holds a {type(model).__name__}, and no model.")
        return model
    except InputError:
        raise
    # A damaged archive fails in as many ways as it has parts; all of them mean the same here.
    except Exception as error:
        raise InputError(
            f"{path.name}: is not a model of this course, or is damaged "
            f"({type(error).__name__}: {error}). Run the chapter again to write it anew."
        ) from error


def run_record(*, inputs, parameters, metrics, decisions):
    """
    What went into a run and what came of it.

    Parameters
    ----------
    inputs : dict of str to str or Path
        Parameter -> the file or folder it names; recorded by its name and a SHA-256 digest. That of
        a folder is the digest of what the command ``sha256sum`` prints for its visible files, named
        as seen from the folder and in order of their names. A bare name of no file, such as
        "generated", is that of something the chapter makes itself, and recorded as it is.
    parameters, metrics : dict
        Plain values.
    decisions : dict of str to str
        What was decided, and why.

    Returns
    -------
    dict
        Ready for JSON. Free of clocks and paths, so that the same run gives the same record.
    """
    versions = {name: importlib.metadata.version(name) for name in _PACKAGES}
    return {
        "inputs": {parameter: _identity(Path(path)) for parameter, path in inputs.items()},
        "parameters": parameters,
        "metrics": metrics,
        "decisions": decisions,
        "versions": {"python": platform.python_version(), **versions},
    }


def _identity(path):
    """Name and digest of a file or folder."""
    if path.name == str(path) and not path.exists():
        return {"name": path.name}
    if not path.is_dir():
        return {"file": path.name, "sha256": _sha256(path)}
    files = visible_files(path)
    lines = b"".join(
        b"%s  %s\n" % (_sha256(path / file).encode(), os.fsencode(file.as_posix()))
        for file in files
    )
    whole = Path(os.path.normpath(path.absolute()))  # so that ".." has a name
    return {"folder": whole.name, "files": len(files), "sha256": hashlib.sha256(lines).hexdigest()}


def _sha256(path):
    """Hexadecimal digest of a file, read in blocks."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_json(record, path):
    """
    Write a record as indented JSON; return the path.

    Parameters
    ----------
    record : dict
        NumPy numbers are written as plain ones.
    path : str or Path

    Returns
    -------
    Path

    Raises
    ------
    ValueError
        If a number is not finite, which JSON cannot say.
    """
    text = json.dumps(record, indent=2, ensure_ascii=False, allow_nan=False, default=_plain)
    return write_text(path, text + "\n")


def _plain(value):
    """Return the Python number inside a NumPy one."""
    if hasattr(value, "item"):
        return value.item()
    raise TypeError(f"{type(value).__name__} cannot be written as JSON")
