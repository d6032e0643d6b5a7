"""CSV files as checked tables: read in full, or refused with a message that helps.

Three questions are asked in turn (`read_table`). Are the bytes text (`_check_bytes`)? Is the text
a table with the right columns (`_header`, `_check_header`, `_cells`)? Do the cells hold what the
schema asks for (`_check_table`)? What the columns mean is the business of `helpers.inputs`.
"""

import codecs
import csv
import gzip
import io
import re
import reprlib
import textwrap
import zlib
from operator import itemgetter

import numpy as np
import pandas as pd
import pandera.pandas as pa

from helpers.text import InputError, nearest

BLOCK = 1 << 20  # bytes looked at together
MAX_EXPANDED = 10**9  # bytes: a compressed file may always grow to this size,
MAX_EXPANSION = 100  # or to this many times its own, whichever is more
SHOWN = 5  # bad lines quoted in a message; the others are counted
MISSING = {"", "-", "na", "n/a", "nan", "null", "none"}  # how flow records say "not known"

KINDS = {
    b"PK\x03\x04": "an Excel workbook or a zip archive",
    b"\xd0\xcf\x11\xe0": "an old Excel workbook",
    b"PAR1": "a Parquet file",
    b"%PDF": "a PDF",
    b"BZh": "compressed with bzip2",
    b"\xfd7zXZ": "compressed with xz",
    b"\xff\xfe": "UTF-16 text",
    b"\xfe\xff": "UTF-16 text",
}

# What to write in place of a cell that looks like this.
HINTS = {
    r"^\s*$": "Fill the blank cells in or remove those lines.",
    r"\d,\d": "Write decimals with a point and thousands without a comma: 12.50, 1234.50.",
    r"[$€£¥]": "Remove the currency sign: 12, not $12.",
    r"^\d\d?[-/.]\d\d?[-/.]\d\d": "Is the order of day and month ambiguous or mixed? "
    "Write every date as YYYY-MM-DD.",
}

# What makes a date into its format; a format that begins with a day is also tried month first.
DATE_PARTS = {
    r"^\d{4}([-/.])\d\d?\1\d\d?(?!\d)": r"%Y\1%m\1%d",
    r"^\d\d?([-/.])\d\d?\1\d{4}(?!\d)": r"%d\1%m\1%Y",
    r"^\d\d?([-/.])\d\d?\1\d\d(?!\d)": r"%d\1%m\1%y",
    r"(Z|[-+]\d\d(:?\d\d)?)$": "%z",
    r"\d\d?(?=:\d\d.* ?[AP]M$)": "%I",
    r"[AP]M$": "%p",
    r"(?<=:\d\d:)\d\d\.\d+": "%S.%f",
    r"(?<=:\d\d:)\d\d": "%S",
    r"\d\d?:\d\d": "%H:%M",
    r"(?<=%I:)\d\d": "%M",
}


def read_table(path, schema, columns, choose_names, read):
    """
    Table that a schema describes, from a CSV file.

    Parameters
    ----------
    path : Path
    schema : pandera.DataFrameSchema
        Its descriptions and errors complete the sentence "column ... needs ..."; the metadata
        "instead" of a column, if any, says what would do in its place.
    columns : dict of str to str
        The file's own name for a standard name.
    choose_names : callable
        ``choose_names(header, columns)`` returns the file's own name of each column to read.
    read : dict of str to callable
        Function from text to values, for the columns that are not plain numbers.

    Returns
    -------
    table : DataFrame
        Indexed by line number in the file.
    names : dict of str to str
        The file's own name of each column, by standard name.

    Raises
    ------
    InputError
        With every fault found, one a line.
    """
    names = read_names(path, schema, columns, choose_names)
    cells = _cells(path, names)
    table = pd.DataFrame({name: read.get(name, read_numbers)(cells[name]) for name in names})
    _check_table(path, table, schema, cells, names)
    return table, names


def read_names(path, schema, columns, choose_names, *, whole=True):
    """
    Find the columns that ``read_table`` would read, without reading their cells.

    Parameters
    ----------
    path, schema, columns, choose_names
        As for ``read_table``.
    whole : bool, default=True
        Whether all of the file has to be text. Otherwise only its beginning is looked at, which
        takes no time however large it is.

    Returns
    -------
    dict of str to str
        The file's own name of each column, by standard name.

    Raises
    ------
    InputError
        With what is wrong with the bytes, or else every fault of the header, one a line.
    """
    _check_names(path, columns, schema)
    _check_bytes(path, whole=whole)
    header = _header(path)
    names = choose_names(header, columns)
    _check_header(path, header, names, schema)
    return names


def read_header(path):
    """
    Names of the columns of a CSV file, to see what kind of table it holds before it is read.

    Parameters
    ----------
    path : Path

    Returns
    -------
    list of str
        Without surrounding blanks; empty if the file is.

    Raises
    ------
    InputError
        If the file is not text, as ``read_table`` says.
    """
    _check_bytes(path)
    return _header(path)


def fault(path, problems):
    """Return the InputError that lists the problems of a file, one a line."""
    return InputError("\n".join(f"{path.name or path}: {problem}" for problem in problems))


def first_lines(notes, total):
    """Join the first few notes, as many as are given, and say how many there are in all."""
    return ", ".join(notes) + f" ({total:,} in all)"


def _check_names(path, columns, schema):
    """Refuse standard names that the schema does not have, and names that are no text."""
    unknown = sorted(str(name) for name in columns.keys() - schema.columns.keys())
    if unknown:
        problems = [f"columns= has no {name!r}{nearest(name, schema.columns)}." for name in unknown]
        raise fault(
            path,
            [
                *problems,
                f"columns= knows {', '.join(schema.columns)}: first our name, then the file's.",
            ],
        )
    # YAML makes a number of a name such as 2024, which no column has.
    odd = [(name, own) for name, own in columns.items() if not isinstance(own, str | None)]
    if odd:
        problems = [f"columns= gives {name!r} the name {own!r}, no text." for name, own in odd]
        problems[-1] += ' Put it in quotes, such as "2024".'
        raise fault(path, problems)


def _open(path):
    """Open the file's bytes, decompressed if its name says that they are compressed."""
    return gzip.open(path) if path.suffix == ".gz" else path.open("rb")


def _is_gzip(path):
    """Whether the file begins as a gzip file does."""
    with path.open("rb") as file:
        return file.read(2) == b"\x1f\x8b"


def check_file(path, names=()):
    """Refuse a path that is not a file; these names would do as well."""
    if path.is_dir():
        raise fault(path, ["this is a folder. Give the path of one file in it."])
    if not path.parent.is_dir():
        raise fault(path, [f"there is no folder '{path.parent}'. Check the path."])
    if not path.is_file():
        near = nearest(path.name, [*names, *(other.name for other in path.parent.iterdir())])
        remedy = f"Give a file, or one of: {', '.join(names)}." if names else "Check the name."
        raise fault(path, [f"no such file in '{path.parent}'{near}. {remedy}"])


def _check_bytes(path, *, whole=True):
    """Refuse, a block at a time or by its first, what is not UTF-8 text of a sensible size."""
    check_file(path)
    limit = max(MAX_EXPANDED, MAX_EXPANSION * path.stat().st_size)
    decoder = codecs.getincrementaldecoder("utf-8")()
    size, lines, block = 0, 1, b" "
    try:
        if _is_gzip(path) and path.suffix != ".gz":
            problem = f"compressed with gzip, whatever its name says. Rename it to {path.name}.gz."
            raise fault(path, [problem])
        with _open(path) as file:
            while block and (whole or not size):
                block = file.read(BLOCK)
                kind = next((KINDS[magic] for magic in KINDS if block.startswith(magic)), None)
                if kind and not size:
                    raise fault(path, [f"this is {kind}, not CSV. Save it as 'CSV UTF-8'."])
                if b"\0" in block:
                    line = lines + block.count(b"\n", 0, block.index(b"\0"))
                    problem = f"line {line} has NUL bytes: not text, or UTF-16."
                    raise fault(path, [f"{problem} Save it as 'CSV UTF-8'."])
                decoder.decode(block, final=not block)
                lines += block.count(b"\n")
                size += len(block)
                if size > limit:
                    problem = f"expands to more than {limit:,} bytes, like a decompression bomb."
                    raise fault(path, [f"{problem} Decompress it yourself if you trust it."])
    except UnicodeDecodeError as error:
        # The decoder may have kept the first bytes of a character from the block before.
        where = size + len(block) - len(error.object) + error.start
        line = lines + error.object.count(b"\n", 0, error.start)
        problem = f"not UTF-8 at byte {where:,} (0x{error.object[error.start]:02X}) on line {line}"
        remedy = "Save it as 'CSV UTF-8', or: iconv -f WINDOWS-1252 -t UTF-8 old.csv > new.csv"
        raise fault(path, [f"{problem}; probably Windows-1252 (Latin-1). {remedy}"]) from None
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        if not _is_gzip(path):
            problem = f"not compressed, whatever its name says. Rename it to {path.stem}."
            raise fault(path, [problem]) from None
        problem = f"the compressed file is damaged or cut short ({error})."
        raise fault(path, [f"{problem} Copy or download it again."]) from None
    except OSError as error:
        raise fault(path, [f"cannot be read ({error.strerror}). Check its permissions."]) from None


def _records(path):
    """Yield the first line number and the fields of each record that is not blank."""
    with _open(path) as file:
        reader = csv.reader(io.TextIOWrapper(file, "utf-8-sig", newline=""), strict=True)
        line = 1
        try:
            for fields in reader:
                if fields:
                    yield line, fields
                line = reader.line_num + 1
        except csv.Error as error:
            problem = f"the record that begins on line {line} is not CSV ({error})."
            remedy = 'Close every quote; write a quote inside quotes twice: "5"" pipe".'
            raise fault(path, [f"{problem} {remedy}"]) from None


def _header(path):
    """Return the names in the first record, without surrounding blanks."""
    _, header = next(_records(path), (0, []))
    return [name.strip() for name in header]


def _check_header(path, header, names, schema):
    """Refuse a header without these names, or with one name twice."""
    if not header:
        raise fault(path, ["the file is empty. Export it again, with a header line."])
    has = "The file has: " + textwrap.shorten(", ".join(header), 300)
    # Names may have commas in a file that is split by something else.
    commas = len(header) - 1
    separator = next((mark for mark in ";\t|" if "".join(header).count(mark) > commas), None)
    if separator and not set(names.values()) <= set(header):
        remedy = (
            "Save it separated by commas, with decimal points; pandas does that by "
            f"read_csv(..., sep={separator!r}, decimal=',').to_csv(..., index=False)."
        )
        raise fault(path, [f"the header is split by {separator!r}, not by commas. {remedy}"])
    twice = sorted({name for name in header if name and header.count(name) > 1})
    problems = [f"two columns are called {name!r}. Rename or remove one." for name in twice]
    wanted = list(names.values())
    shared = sorted({own for own in wanted if wanted.count(own) > 1})
    problems += [f"column {own!r} is asked for twice. Give each name its own." for own in shared]
    missing = {name: own for name, own in names.items() if own not in header}
    problems += [f"no column {own!r}{nearest(own, header)}." for own in missing.values()]
    if missing:
        example = ", ".join(f'"{name}": "..."' for name in missing)
        problems += [f"{has}. Say which is which: columns={{{example}}}"]
    instead = [(schema.columns[name].metadata or {}).get("instead") for name in missing]
    problems += filter(None, instead)
    if problems:
        raise fault(path, problems)


def _cells(path, names):
    """Return the text of these columns, indexed by line number in the file."""
    records = _records(path)
    _, header = next(records)
    header = [name.strip() for name in header]
    wanted = itemgetter(*(header.index(own) for own in names.values()))
    # Order lines repeat themselves: keeping each text once takes half the memory.
    once: dict[str, str] = {}
    lines, rows, ragged = [], [], []
    for line, fields in records:
        if len(fields) == len(header):
            lines.append(line)
            texts = wanted(fields)
            rows.append(tuple(map(once.setdefault, texts, texts)))
        else:
            ragged.append((line, len(fields)))
    if ragged:
        notes = [f"line {line} has {count}" for line, count in ragged[:SHOWN]]
        problem = f"the header has {len(header)} fields, but {first_lines(notes, len(ragged))}."
        too_many = any(count > len(header) for _, count in ragged)
        too_few = any(count < len(header) for _, count in ragged)
        remedies = too_many * ['Put quotes around a comma inside a field: "a, b".']
        remedies += too_few * ["Complete lines that were cut off, or remove them."]
        raise fault(path, [" ".join([problem, *remedies])])
    if not rows:
        raise fault(path, ["a header and nothing below it. Export it again, with its rows."])
    return pd.DataFrame(rows, index=lines, columns=list(names), dtype="str")


def read_ids(text):
    """Return ids as text, missing where blank."""
    text = text.str.strip()
    return text.where(text != "")


def read_amounts(text):
    """Return numbers: missing where the text says so, infinite where it is no number."""
    numbers = read_numbers(text)
    known = ~text.str.strip().str.casefold().isin(MISSING)
    return numbers.fillna(np.inf).where(known)


def read_numbers(text):
    """Return numbers, missing where the text is none."""
    return pd.to_numeric(text, errors="coerce").astype(float)


def read_dates(text):
    """Return dates in the one format that fits most of them, missing where it does not."""
    # pandas takes "now" and "today" for dates.
    text = text.str.strip().where(text.str.contains(r"\d", regex=True), "")
    formats = {form for sample in text.drop_duplicates().head(20) for form in _formats(sample)}
    readings = [
        pd.to_datetime(text, format=form, errors="coerce", utc=True).dt.tz_localize(None)
        for form in sorted(formats)
    ]
    if not readings:
        return pd.Series(pd.NaT, index=text.index, dtype="datetime64[us]")
    most = max(reading.count() for reading in readings)
    best, *rivals = [reading for reading in readings if reading.count() == most]
    for rival in rivals:  # day first and month first: only what they agree on is known
        best = best.where(best == rival)
    return best.dt.as_unit("us")


def _formats(sample):
    """Return the formats that a date may be written in: none, one, or day and month both ways."""
    form = sample.replace("%", "")
    for part, directive in DATE_PARTS.items():
        form = re.sub(part, directive, form, count=1)
    if not re.fullmatch(r"(%\w[-/.]){2}%\w([ T]%[HI]:%M(:%S(\.%f)?)?( ?%p)?(%z)?)?", form):
        return set()
    both_ways = form.replace("%d", "%_").replace("%m", "%d").replace("%_", "%m")
    return {form, both_ways} if form.startswith("%d") else {form}


def _check_table(path, table, schema, cells, names):
    """Refuse a table, indexed by line number, that the schema refuses; quote the file's cells."""
    try:
        schema.validate(table, lazy=True)
    except pa.errors.SchemaErrors as errors:
        problems = []
        for (name, check), cases in errors.failure_cases.groupby(["column", "check"], sort=False):
            need = schema.columns[name].description if check == "not_nullable" else check
            bad = cells[name].loc[sorted(cases["index"].dropna())]
            shown = bad.head(SHOWN)
            notes = [f"line {line} has {reprlib.repr(cell)}" for line, cell in shown.items()]
            where = f": {first_lines(notes, len(bad))}" if notes else ""
            hints = [hint for like, hint in HINTS.items() if any(re.search(like, x) for x in shown)]
            problems.append(" ".join([f"column {names[name]!r} needs {need}{where}.", *hints]))
        raise fault(path, problems) from None
