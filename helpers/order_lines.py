"""Order lines where they are: in any engine, and in folders of Parquet files.

One expression turns them into the RFM table of the customers, in whichever engine holds the lines.
What is wrong with a file is said with its name, before or after an engine stumbles over it.
"""

import glob
import tempfile
from contextlib import contextmanager
from pathlib import Path

import duckdb
import narwhals as nw
import pandas as pd

from helpers.engine import connect, is_full
from helpers.files import visible_files
from helpers.text import InputError, counted, listed, nearest

COLUMNS = ["customer_id", "order_id", "order_date", "revenue"]


def standard_columns(lines, columns=None):
    """
    Order lines under the course's names, in any engine.

    Parameters
    ----------
    lines : DataFrame, LazyFrame or relation of pandas, Polars, DuckDB or Spark
    columns : dict or None, default=None
        Your names by the course's: "customer_id", "order_id", "order_date", "revenue", or
        "quantity" and "unit_price" instead of "revenue". What is not in it has the course's name.

    Returns
    -------
    narwhals.LazyFrame
        "customer_id", "order_id", "order_date", "revenue".

    Raises
    ------
    InputError
        If a column is not there, with the nearest that is.
    """
    frame = nw.from_native(lines).lazy()
    columns = columns or {}
    names = needed_columns(frame.collect_schema().names(), columns)
    parts = [nw.col(names[name]).alias(name) for name in COLUMNS[:3]]
    if "revenue" in names:
        revenue = nw.col(names["revenue"])
    else:
        # Small integers would not hold their product.
        quantity, price = (nw.col(names[name]) for name in ("quantity", "unit_price"))
        revenue = quantity.cast(nw.Float64) * price.cast(nw.Float64)
    return frame.select(*parts, revenue.cast(nw.Float64).alias("revenue"))


def needed_columns(present, columns=None):
    """
    Find the columns of order lines among those that are present.

    Parameters
    ----------
    present : list of str
    columns : dict or None, default=None
        As for ``standard_columns``.

    Returns
    -------
    dict
        The names that are present, by the course's.

    Raises
    ------
    InputError
        As ``standard_columns``.
    """
    parts = ["quantity", "unit_price"]
    columns = columns or {}
    unknown = [name for name in columns if name not in [*COLUMNS, *parts]]
    if unknown:
        known = [*COLUMNS, *parts]
        raise InputError(
            f"columns: there is no {unknown[0]!r} to give a name{nearest(unknown[0], known)}. "
            f"There are {listed(known)}."
        )
    names = {name: columns.get(name, name) for name in COLUMNS + parts}
    by_parts = names["revenue"] not in present and not {names[name] for name in parts} - {*present}
    wanted = COLUMNS[:3] + (parts if by_parts else ["revenue"])
    missing = [names[name] for name in wanted if names[name] not in present]
    if missing:
        raise InputError(
            f"no column {listed(missing)}{nearest(missing[0], present)}. Needed are "
            f"{listed(COLUMNS)}, or quantity and unit_price instead of revenue; say in columns "
            "what you call them."
        )
    return {name: names[name] for name in wanted}


def rfm_table_lazy(orders, snapshot=None):
    """
    Recency, frequency and monetary value of each customer, computed where the orders are.

    The same table as ``helpers.segmentation.rfm_table``, by one expression for every engine.

    Parameters
    ----------
    orders : DataFrame, LazyFrame or relation of pandas, Polars, DuckDB or Spark
        One row an order line: "customer_id", "order_id", "order_date" (a date or a timestamp
        without time zone) and "revenue". Lines whose revenue is not above 0 are left out, and
        those without a customer.
    snapshot : str (YYYY-MM-DD) or None, default=None
        Day that recency counts back from. None is the day after the last order, which takes one
        look at all orders.

    Returns
    -------
    narwhals.LazyFrame
        "customer_id", "recency" (days), "frequency" (distinct orders), "monetary", in no order.
        ``.to_native()`` gives the engine's own frame, ``.collect()`` computes it.

    Examples
    --------
    >>> orders = pd.DataFrame({
    ...     "customer_id": ["ana", "ana"], "order_id": ["1", "1"],
    ...     "order_date": pd.to_datetime(["2024-01-04", "2024-01-04"]), "revenue": [5.0, 7.0],
    ... })
    >>> rfm_table_lazy(orders, "2024-01-10").collect().rows()
    [('ana', 6, 1, 12.0)]
    """
    lines = nw.from_native(orders).lazy()
    if snapshot is None:
        last = lines.select(nw.col("order_date").max())
        dated = last.filter(~nw.col("order_date").is_null())
        last = dated.select(_day_number("order_date"))
        latest = [number for (number,) in _small_rows(last)]
        if not latest or pd.isna(latest[0]):
            raise InputError("There are no order dates, so recency has no day to count from.")
        day = int(latest[0]) + 1
    else:
        day = _days_from_epoch(snapshot)
    known = ~nw.col("customer_id").is_null()
    if lines.collect_schema()["customer_id"].is_float():
        # What pandas takes for missing is a number like others to the engines.
        known &= ~nw.col("customer_id").is_nan()
    revenue = nw.col("revenue")
    # The engines do not agree on whether NaN is above 0; below infinity it is for none.
    sales = lines.filter((revenue > 0) & (revenue < float("inf")) & known)
    customers = sales.group_by("customer_id").agg(
        nw.col("order_date").max(),
        nw.col("order_id").n_unique().alias("frequency"),
        nw.col("revenue").sum().alias("monetary"),
    )
    recency = (nw.lit(day) - _day_number("order_date")).alias("recency")
    frequency = nw.col("frequency").cast(nw.Int64)
    return customers.select("customer_id", recency, frequency, "monetary")


def _small_rows(frame):
    """Rows of a small result, without Arrow, which engines would otherwise bring it in."""
    if frame.implementation.is_spark_like():
        # By way of pandas, PySpark warns of pandas 3.
        return [tuple(row) for row in frame.to_native().collect()]
    return frame.collect("polars" if frame.implementation.is_polars() else "pandas").rows()


def _day_number(column):
    """
    Days of a date column since 1 March of the year 0.

    From the parts of the date, because the engines agree on these; a year that begins in March
    has its leap day at the end.
    """
    part = nw.col(column).dt
    month = part.month().cast(nw.Int64)
    year = part.year().cast(nw.Int64) - 1 + (month + 9) // 12
    before = 365 * year + year // 4 - year // 100 + year // 400
    return before + (153 * ((month + 9) % 12) + 2) // 5 + part.day().cast(nw.Int64)


def _days_from_epoch(day):
    """Return the number that ``_day_number`` gives to one day."""
    try:
        dates = pd.DataFrame({"day": [pd.Timestamp(day)]})
    except ValueError:
        raise InputError(f"snapshot {day!r} is not a day. Write it as YYYY-MM-DD.") from None
    return int(nw.from_native(dates).select(_day_number("day")).item())


_INTEGERS = [f"{sign}{size}INT" for sign in ("", "U") for size in ("TINY", "SMALL", "BIG", "HUGE")]
_NUMBER = "a number", (*_INTEGERS, "INTEGER", "UINTEGER", "FLOAT", "DOUBLE", "DECIMAL")
_KINDS = {
    "order_date": ("a date or a time", ("DATE", "TIMESTAMP", "TIMESTAMP_NS", "TIMESTAMP_MS")),
    "revenue": _NUMBER,
    "quantity": _NUMBER,
    "unit_price": _NUMBER,
}


def parquet_files(path, columns=None, *, check_values=False):
    """
    Find Parquet files with order lines, and check that they hold the columns that are needed.

    Parameters
    ----------
    path : str or Path
        One file, or a folder of them, at any depth.
    columns : dict or None, default=None
        As for ``standard_columns``.
    check_values : bool, default=False
        Whether to read all values once. Without, only the descriptions of the files are read, and
        damage within a file shows later.

    Returns
    -------
    list of Path

    Raises
    ------
    InputError
        If there is no file, or one cannot be read, lacks a column or has one of a wrong type.
    """
    path = Path(path)
    files = [path]
    if path.is_dir():
        files = [path / file for file in visible_files(path) if file.suffix == ".parquet"]
    if not files or not files[0].is_file():
        raise InputError(f"{path.name}: there is no Parquet file. Check the path.")
    needed: dict[str, str] = {}
    for file in files:
        try:
            lines = duckdb.read_parquet(_literally(file))
        except duckdb.Error as error:
            raise _unreadable(file, error) from None
        types = dict(zip(lines.columns, map(str, lines.types), strict=True))
        try:
            names = needed_columns([*types], columns)
        except InputError as error:
            raise InputError(f"{_short(file)}: {error}") from None
        needed = needed or names
        if names != needed:
            raise InputError(
                f"{_short(file)}: the revenue comes from {listed([*names.values()][3:])}, but in "
                f"{_short(files[0])} from {listed([*needed.values()][3:])}. Write all files with "
                "the same columns."
            )
        for name, own in names.items():
            wanted, kinds = _KINDS.get(name, ("", ()))
            if kinds and types[own].split("(")[0] not in kinds:
                raise InputError(
                    f"{_short(file)}: column {own!r} holds {types[own]}, but {name} has to be "
                    f"{wanted}."
                )
    if check_values:
        with connect() as connection:
            _read_values(connection, files)
    return files


def scan_parquet(connection, files):
    """
    Order lines of many files as one relation, of which nothing is read yet.

    Parameters
    ----------
    connection : duckdb.DuckDBPyConnection
    files : list of Path
        From ``parquet_files``.

    Returns
    -------
    duckdb.DuckDBPyRelation
    """
    # By name, so that a type holds the values of all files and not only of the first.
    return connection.read_parquet([_literally(file) for file in files], union_by_name=True)


def check_days(connection, snapshot):
    """
    Check that every customer has a recency, and none from after the snapshot.

    Parameters
    ----------
    connection : duckdb.DuckDBPyConnection
        With the table "rfm", made by ``rfm_table_lazy``.
    snapshot : str or None
        As given to ``rfm_table_lazy``, for the message.

    Raises
    ------
    InputError
        If sales have no date, or one after the snapshot, or that is yet to come.
    """
    undated, lowest = connection.execute(
        "SELECT count(*) - count(recency), min(recency) FROM rfm"
    ).fetchall()[0]
    if undated:
        raise InputError(
            f"{counted(undated, 'customer')} with sales but without any order_date. Fill in the "
            "dates, or leave these lines out."
        )
    if lowest is not None and lowest < 0:
        raise InputError(
            f"snapshot {snapshot} is {counted(-lowest, 'day')} before the last sale. Use a later "
            "day, or leave out the orders after it."
        )
    if snapshot and pd.Timestamp(snapshot) > pd.Timestamp.now():
        raise InputError(
            f"snapshot {snapshot} lies in the future. Use the day the data were extracted."
        )


@contextmanager
def plain_errors(files, memory_limit=None):
    """
    Say in words what DuckDB cannot do: an ``InputError`` with the file, the disk or the limit.

    Parameters
    ----------
    files : list of Path
        From ``parquet_files``; if one of them is the reason, the message names it.
    memory_limit : str or None, default=None
        As given to ``helpers.engine.connect``, for the message.
    """
    try:
        yield
    except duckdb.Error as error:
        reason = str(error).splitlines()[0]
        if is_full(error):
            raise InputError(
                f"The disk of {tempfile.gettempdir()} is full ({reason}). What does not fit into "
                "memory goes there: make room, or set the environment variable TMPDIR to a folder "
                "on a larger disk."
            ) from None
        if isinstance(error, duckdb.OutOfMemoryException):
            what = f"memory_limit={memory_limit!r}" if memory_limit else "The memory"
            raise InputError(f"{what} is too small ({reason}). Use more.") from None
        raise _blame(files, reason) from None


def _short(file):
    """Return the name of a file with the folder of its partition."""
    return f"{file.parent.name}/{file.name}"


def _literally(file):
    """Return the name of a file as DuckDB takes it, to which brackets and stars are patterns."""
    return glob.escape(str(file))


def _unreadable(file, error):
    """Return the error that names a damaged file."""
    reason = str(error).splitlines()[0]
    return InputError(f"{_short(file)}: cannot be read ({reason}). Write it again.")


def _blame(files, reason):
    """Return an error that names the file that cannot be read, if it is one."""
    # Some errors leave a database unusable, so this is another one.
    with connect() as connection:
        try:
            _read_values(connection, files)
        except InputError as found:
            return found
    return InputError(f"The orders could not be grouped ({reason}).")


def _read_values(connection, files):
    """Read every value, or raise an error that names the file in which that cannot be done."""
    for file in files:
        try:
            # A hash reads every value; the largest may be known from the footer alone.
            query = "SELECT bit_xor(hash(t)) FROM read_parquet(?) AS t"
            connection.execute(query, [_literally(file)])
        except duckdb.Error as error:
            raise _unreadable(file, error) from None
