"""Results as files: tables, figures, models, the record of a run."""

import hashlib
import importlib.metadata
import io
import json
import os
import platform
import re
import warnings
import zipfile
from contextlib import contextmanager
from pathlib import Path

import skops.io
from sklearn.base import BaseEstimator
from sklearn.exceptions import InconsistentVersionWarning

from helpers.files import replacing, visible_files, write_text
from helpers.text import InputError, listed, nearest

MAX_MODEL = 1_000_000_000  # bytes of a model's file, and of all that it holds

# What a spreadsheet takes for a formula when a cell begins with it (OWASP, "CSV Injection").
_FORMULA = r"^[=+\-@\t\r]"
_NUMBER = r"^[+-]?\d+(?:\.\d+)?$"

_PACKAGES = ["numpy", "pandas", "pillow", "scikit-image", "scikit-learn", "scipy", "skops"]
# What a saved model is made of, so that a file of newer ones may not mean what it says.
_PACKAGES_OF_MODELS = ["scikit-learn", "numpy", "skops"]

_CARD = "card.json"
_SCHEMA = "schema.json"
_RECORD_PARTS = ["inputs", "parameters", "metrics", "decisions", "versions"]
_CARD_PARTS = {"model": str, "features": list, "purpose": str, "limits": list} | dict.fromkeys(
    _RECORD_PARTS, dict
)


class ModelVersionWarning(UserWarning):
    """A model was written with older packages than it is read with."""


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
    return write_text(path, csv_text(table))


def csv_text(table, digits=None):
    """
    Return a table as CSV, safe to open in a spreadsheet.

    Parameters
    ----------
    table : DataFrame
        As for ``write_csv``.
    digits : int, optional
        Significant digits of floats; as many as it takes to read the same number by default.

    Returns
    -------
    str
    """
    safe = table.copy()
    for column in safe.select_dtypes(exclude="number"):
        safe[column] = _without_formulas(safe[column].astype("str"))
    safe.columns = _without_formulas(safe.columns.astype("str").to_series())
    float_format = None if digits is None else f"%.{digits}g"
    return safe.to_csv(index=False, lineterminator="\n", float_format=float_format)


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


def model_card(model, record, *, purpose, limits, reference=None):
    """
    What a saved model is for, what it was made of, and what it must not be used for.

    Parameters
    ----------
    model : estimator
    record : dict
        Of the run that fitted the model, as ``run_record`` returns it.
    purpose : str
        One sentence.
    limits : list of str
        Sentences, at least one: no model is without limits.
    reference : dict, optional
        The table that what the model says later is to be compared with: "table", the path of a CSV
        that is written already, and what else has to be known to make such a table again, as plain
        values. By convention "days", the length of the period that it covers, and "last_day", the
        last day of that period as YYYY-MM-DD.

    Returns
    -------
    dict
        Plain values, ready for JSON: "model" (qualified name of the class), "features" (names that
        the model, or the first step of a pipeline to know any, was fitted with; empty if unknown),
        "purpose", "limits", the record's "inputs", "parameters", "metrics", "decisions" and
        "versions", and "reference" (None, or as given, with the table's bare name and its
        "sha256").

    Raises
    ------
    ValueError
        If there is no purpose or no limit, or if a number is not finite.
    OSError
        If the table of reference cannot be read.
    """
    if isinstance(limits, str) or not limits or not purpose:
        raise ValueError("a model card wants a purpose and a list of limits")
    if reference is not None:
        table = Path(reference["table"])
        others = {name: value for name, value in reference.items() if name != "table"}
        reference = {"table": table.name, "sha256": _sha256(table), **others}
    card = {
        "model": _type_name(type(model)),
        "features": _feature_names(model),
        "purpose": purpose,
        "limits": list(limits),
        **{part: record[part] for part in _RECORD_PARTS},
        "reference": reference,
    }
    return json.loads(_json(card))


def _type_name(kind):
    """Qualified name of a class."""
    return f"{kind.__module__}.{kind.__qualname__}"


def _feature_names(model):
    """Names of the features that a model or pipeline was fitted with; empty if it knows none."""
    for part in [model, *(step for _, step in getattr(model, "steps", []))]:
        if hasattr(part, "feature_names_in_"):
            return list(part.feature_names_in_)
    return []


def write_model(model, path, card):
    """
    Write a fitted model and its card as one file in the skops format, which holds no code.

    The card is the member "card.json" of the archive, which skops itself passes over. In the file,
    it also has the digest of the rest, by which ``read_model`` notices an alteration. This guards
    against mishaps, not against somebody who makes a new digest as well. Equal models and cards of
    one program make equal files: without the time, and with numbers in place of the addresses that
    skops knows objects by.

    Parameters
    ----------
    model : estimator
    path : str or Path
    card : dict
        Of this model, as ``model_card`` returns it.

    Returns
    -------
    Path

    Raises
    ------
    ValueError
        If the card is none, or that of a model of another class.
    """
    if _checked_card(card)["model"] != _type_name(type(model)):
        raise ValueError(f"the card of a {card['model']} on a {_type_name(type(model))}")
    numbers: dict[str, int] = {}
    with zipfile.ZipFile(io.BytesIO(skops.io.dumps(model))) as dumped:
        schema = _numbered(json.loads(dumped.read(_SCHEMA)), numbers)
        members = {_SCHEMA: json.dumps(schema, indent=2).encode()}
        for name in dumped.namelist():
            if name != _SCHEMA:
                members[_numbered({"file": name}, numbers)["file"]] = dumped.read(name)
    members[_CARD] = _json({**card, "sha256": _members_digest(members, card)}).encode()
    with replacing(path) as temporary, zipfile.ZipFile(temporary, "w") as written:
        for name, content in members.items():
            # ZipInfo has a date of its own, the first that the format knows.
            written.writestr(zipfile.ZipInfo(name), content)
    return Path(path)


def _members_digest(members, card):
    """Digest of a model's members, the card among them as it is without a digest."""
    contents = {**members, _CARD: _json(card).encode()}
    return _listing_digest(
        (hashlib.sha256(contents[name]).hexdigest(), name.encode()) for name in sorted(contents)
    )


def _checked_card(card):
    """Return a card, or raise a ValueError if it is not as ``model_card`` makes them."""
    for part, kind in _CARD_PARTS.items():
        if not isinstance(card, dict) or not isinstance(card.get(part), kind):
            raise ValueError(f"the model card has no {part}")
    return card


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


def read_card(path):
    """
    Read the card of a model that ``write_model`` wrote; the model itself is not loaded.

    Parameters
    ----------
    path : str or Path

    Returns
    -------
    dict
        As ``model_card`` made it.

    Raises
    ------
    InputError
        If the file is no model of this course, is damaged, has no card, was altered since, or
        declares more than ``MAX_MODEL`` bytes.
    """
    path = Path(path)
    with _naming_faults(path):
        return _content_and_card(path)[1]


def read_model(path, trusted=(), *, features=None):
    """
    Read a model that ``write_model`` wrote.

    The types in the file are checked before anything of it is loaded, and nothing in it is run.

    Parameters
    ----------
    path : str or Path
    trusted : list of type, default=()
        Types that the file may hold besides those that skops takes for safe: NumPy's, and
        scikit-learn's but for compiled ones such as trees. A chapter names its own estimator here.
    features : iterable of str, optional
        Names of the features that the model is to be given, in any order.

    Returns
    -------
    estimator

    Warns
    -----
    ModelVersionWarning
        If scikit-learn, NumPy or skops had a lower major or minor version when the model was
        written.

    Raises
    ------
    InputError
        If the file is no model of this course, is damaged, has no card, was altered since, or
        declares more than ``MAX_MODEL`` bytes; if it holds a type that is neither safe nor
        trusted; if one of the three packages had a higher major or minor version; if the model
        has other features.
    """
    path = Path(path)
    names = {_type_name(kind) for kind in trusted}
    with _naming_faults(path):
        content, card = _content_and_card(path)
        # Before the types: what is newer may have types that are not known here.
        older = _older_packages(card, path.name)
        unknown = sorted(set(skops.io.get_untrusted_types(data=content)) - names)
        if unknown:
            raise InputError(
                f"{path.name}: holds {listed(unknown)}, which is not among the types to trust. "
                "It was not loaded. Use a file that the course has written; if you have written "
                "this one, pass its type as trusted=[...]."
            )
        if features is not None:
            _check_features(card["features"], list(map(str, features)), path.name)
        with warnings.catch_warnings():
            # scikit-learn warns of each part, and of the third number of a version, too.
            warnings.simplefilter("ignore", InconsistentVersionWarning)
            model = skops.io.loads(content, trusted=sorted(names))
        if not isinstance(model, BaseEstimator):
            raise InputError(f"{path.name}: holds a {type(model).__name__}, and no model.")
    if older:
        warnings.warn(
            f"{path.name}: was written with {listed(older)}. It may say something else than it "
            "did. Run the chapter again to write it anew.",
            ModelVersionWarning,
            stacklevel=2,
        )
    return model


@contextmanager
def _naming_faults(path):
    """Make an InputError that names the file of whatever fails inside."""
    try:
        yield
    except InputError:
        raise
    # A damaged archive fails in as many ways as it has parts; all of them mean the same here.
    except Exception as error:
        raise InputError(
            f"{path.name}: is not a model of this course, or is damaged "
            f"({type(error).__name__}: {error}). Run the chapter again to write it anew."
        ) from error


def _content_and_card(path):
    """Bytes of a model's file, and its card."""
    _check_size(path.stat().st_size, path.name)
    # Once and whole, so that what is checked is what is loaded.
    content = path.read_bytes()
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        places = archive.infolist()
        size = sum(place.file_size for place in places)
        _check_size(size, path.name)
        if any(place.compress_type != zipfile.ZIP_STORED for place in places):
            raise InputError(
                f"{path.name}: is compressed, which no model of this course is. It was not read. "
                "Use the file as the course wrote it."
            )
        if len({place.filename for place in places}) < len(places):
            raise ValueError("two members of one name")
        members = {place.filename: archive.read(place) for place in places}
    # A sparse matrix is an archive inside the archive, and that one is compressed.
    for member in map(io.BytesIO, members.values()):
        if zipfile.is_zipfile(member):
            with zipfile.ZipFile(member) as inner:
                size += sum(place.file_size for place in inner.infolist())
    _check_size(size, path.name)
    if _CARD not in members and _SCHEMA in members:
        raise InputError(
            f"{path.name}: has no model card, so that nothing says what it was made of and for. "
            "It was not loaded. Run the chapter again to write it anew."
        )
    card = _checked_card(json.loads(members[_CARD]))
    if card.pop("sha256", None) != _members_digest(members, card):
        raise InputError(
            f"{path.name}: was altered since its card was written: their digests differ. It was "
            "not loaded. Run the chapter again to write it anew."
        )
    return content, card


def _check_size(size, name):
    """Refuse what a decompression bomb would declare."""
    if size > MAX_MODEL:
        raise InputError(
            f"{name}: declares {size:,} bytes; a model may have at most {MAX_MODEL:,}. It was not "
            "read. Use the file as the course wrote it."
        )


def _older_packages(card, name):
    """Say which packages a model was written with older ones of; refuse newer ones."""
    older, newer, wanted = [], [], []
    for package in _PACKAGES_OF_MODELS:
        written = card["versions"][package]
        installed = importlib.metadata.version(package)
        difference = f"{package} {written} (installed: {installed})"
        if _release(written) > _release(installed):
            newer.append(difference)
            wanted.append(f"'{package}>={'.'.join(map(str, _release(written)))}'")
        elif _release(written) < _release(installed):
            older.append(difference)
    if newer:
        raise InputError(
            f"{name}: was written with {listed(newer)}. It was not loaded. Install what it was "
            f"written with (pip install {' '.join(wanted)}), or run the chapter again here to "
            "write it anew."
        )
    return older


def _release(version):
    """Major and minor number of a version."""
    major, minor = re.findall(r"\d+", version)[:2]
    return int(major), int(minor)


def _check_features(known, given, name):
    """Refuse features that are not, as a set, those of the card."""
    if not known:
        raise InputError(
            f"{name}: was fitted without names of features, so that yours cannot be compared. Fit "
            "it on a table with names, or leave out features=... if you know that they are right."
        )
    extra = [feature for feature in given if feature not in known]
    missing = [feature for feature in known if feature not in given]
    problems = {
        "Missing": [f"{feature!r}{nearest(feature, extra)}" for feature in missing],
        "Unknown to it": [f"{feature!r}{nearest(feature, known)}" for feature in extra],
    }
    if missing or extra:
        said = " ".join(f"{what}: {listed(names)}." for what, names in problems.items() if names)
        raise InputError(
            f"{name}: wants the features {listed(known)}. {said} Give it a table with exactly "
            "these columns, made as for its fit, or use a model of the features that you have."
        )


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
    digest = _listing_digest((_sha256(path / file), os.fsencode(file.as_posix())) for file in files)
    whole = Path(os.path.normpath(path.absolute()))  # so that ".." has a name
    return {"folder": whole.name, "files": len(files), "sha256": digest}


def _listing_digest(digests):
    """Digest of what sha256sum prints for files, given their digests and names in bytes."""
    lines = b"".join(b"%s  %s\n" % (digest.encode(), name) for digest, name in digests)
    return hashlib.sha256(lines).hexdigest()


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
    return write_text(path, _json(record))


def _json(record):
    """Indented JSON of a record; a ValueError if a number is not finite."""
    text = json.dumps(record, indent=2, ensure_ascii=False, allow_nan=False, default=_plain)
    return text + "\n"


def _plain(value):
    """Return the Python number inside a NumPy one."""
    if hasattr(value, "item"):
        return value.item()
    raise TypeError(f"{type(value).__name__} cannot be written as JSON")
