"""Clustering more than memory holds: the engine counts, scikit-learn clusters what was counted.

A database engine turns order lines into occupied cells of log-RFM space: some thousands of them,
however many customers there are. Weighted k-means does the rest.
"""

import glob
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import duckdb
import narwhals as nw
import numpy as np
import pandas as pd
from scipy.spatial import KDTree
from sklearn.cluster import KMeans, MiniBatchKMeans
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from helpers.engine import connect
from helpers.files import replacing, visible_files
from helpers.text import InputError, counted, listed, nearest

COLUMNS = ["customer_id", "order_id", "order_date", "revenue"]
FEATURES = ["recency", "frequency", "monetary"]
ROUTES = ("cells", "batches", "everybody")

# Of a logarithm: the customers of one cell differ by at most 5 % in each feature.
CELL_WIDTH = 0.05
_MOST_JUDGES = 100_000

# These queries say the same to DuckDB and to Spark. Their table is called rfm.
# One customer in 16 is held out, to judge clusters that it did not make; chosen by MD5, because
# that is the same number in every engine. The last digits of a mean follow the order of additions,
# which is another one on every run of several threads: without them, the cells are always the same.
LOGARITHMS = """
CREATE OR REPLACE TEMPORARY VIEW logarithms AS
SELECT *, ln(1 + recency) AS r, ln(1 + frequency) AS f, ln(1 + monetary) AS m,
    md5(CAST(customer_id AS STRING)) AS lot,
    substr(md5(CAST(customer_id AS STRING)), 1, 1) = '0' AS held_out
FROM rfm
"""
CELLS = f"""
SELECT round(avg(r), 9) AS r, round(avg(f), 9) AS f, round(avg(m), 9) AS m, count(*) AS customers
FROM logarithms WHERE NOT held_out
GROUP BY floor(r / {CELL_WIDTH}), floor(f / {CELL_WIDTH}), floor(m / {CELL_WIDTH})
ORDER BY r, f, m
"""  # noqa: S608
JUDGES = f"""
SELECT recency, frequency, monetary FROM logarithms WHERE held_out
ORDER BY lot LIMIT {_MOST_JUDGES}
"""  # noqa: S608


def order_lines(lines, columns=None):
    """
    Order lines under the course's names, of any engine.

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
        As for ``order_lines``.

    Returns
    -------
    dict
        The names that are present, by the course's.

    Raises
    ------
    InputError
        As ``order_lines``.
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
        As for ``order_lines``.
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
        If sales have no date, or one after the snapshot.
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
        if _is_full(error):
            raise InputError(
                f"The disk of {tempfile.gettempdir()} is full ({reason}). What does not fit into "
                "memory goes there: make room, or set the environment variable TMPDIR to a folder "
                "on a larger disk."
            ) from None
        if isinstance(error, duckdb.OutOfMemoryException):
            what = f"memory_limit={memory_limit!r}" if memory_limit else "The memory"
            raise InputError(f"{what} is too small ({reason}).") from None
        raise _blame(files, reason) from None


@dataclass(frozen=True)
class OutOfCoreClusters:
    """
    Clusters of customers that were never in memory together.

    Attributes
    ----------
    centers : DataFrame of shape (n_clusters, 3)
        Recency, frequency and monetary value, in their own units, the most recent first.
    sizes : int array of shape (n_clusters,)
        Customers, those held out included.
    positions : float array of shape (n_clusters, 3)
        Mean position of a cluster's customers among all, 0 worst to 1 best: what
        ``helpers.segmentation.name_profiles`` takes. Customers of one cell count as equals.
    n_points : int
        Points that k-means saw in the end.
    inertia : float
        ``holdout_inertia`` of the customers held out: the measure on which routes are compared.
    """

    centers: pd.DataFrame
    sizes: np.ndarray
    positions: np.ndarray
    n_points: int
    inertia: float


def holdout_distances(centers, customers):
    """
    Squared distance of each customer to the nearest centre, in standardised logarithms.

    Parameters
    ----------
    centers, customers : DataFrame
        "recency", "frequency" and "monetary", in their own units. The customers are those whose
        logarithms are standardised, so centres from anywhere can be compared on them.

    Returns
    -------
    array of shape (n_customers,)
        Two sets of centres are compared by the differences, customer by customer: these vary much
        less than the distances themselves.
    """
    points = np.log1p(customers[FEATURES].to_numpy(float))
    mean, deviation = points.mean(axis=0), _never_zero(points.std(axis=0))
    places = (np.log1p(centers[FEATURES].to_numpy(float)) - mean) / deviation
    return KDTree(places).query((points - mean) / deviation)[0] ** 2


def holdout_inertia(centers, customers):
    """
    Mean of ``holdout_distances``: 0 is perfect, and one cluster for all has 3.

    Parameters
    ----------
    centers, customers : DataFrame
        As for ``holdout_distances``.

    Returns
    -------
    float
    """
    return float(holdout_distances(centers, customers).mean())


def cluster_cells(cells, n_clusters, *, random_state=42):
    """
    Weighted k-means on the occupied cells of log-RFM space.

    Parameters
    ----------
    cells : array of shape (n_cells, 4)
        What the query ``CELLS`` gives: mean logarithms of the customers of a cell, and how many.
    n_clusters : int
    random_state : int, default=42

    Returns
    -------
    centers : DataFrame of shape (n_clusters, 3)
        In units of recency, frequency and monetary value, the most recent first.
    positions : array of shape (n_clusters, 3)
        As in ``OutOfCoreClusters``.

    Raises
    ------
    InputError
        If there are fewer different customers than clusters.
    """
    scaler = StandardScaler().fit(cells[:, :3], sample_weight=cells[:, 3])
    centers = _fit_kmeans(cells[:, :3], cells[:, 3], scaler, n_clusters, random_state)
    return _in_units(centers, scaler), _positions(cells, centers, scaler)


def cluster_out_of_core(
    parquet,
    n_clusters,
    *,
    columns=None,
    route="cells",
    shuffle=True,
    batch_size=50_000,
    snapshot=None,
    assignments=None,
    memory_limit="1GB",
    random_state=42,
):
    """
    Cluster the customers of any number of order lines in bounded memory.

    Parameters
    ----------
    parquet : str or Path
        A Parquet file, or a folder of them.
    n_clusters : int
    columns : dict or None, default=None
        As for ``order_lines``.
    route : {"cells", "batches", "everybody"}, default="cells"
        Count first, cluster after; or mini-batches of customers; or, to compare with, k-means on
        all customers in memory.
    shuffle : bool, default=True
        Whether the batches come in random order, or sorted by the day of the last order, the
        oldest first.
    batch_size : int, default=50_000
        Customers of a batch.
    snapshot : str (YYYY-MM-DD) or None, default=None
        As for ``rfm_table_lazy``.
    assignments : str, Path or None, default=None
        Parquet file to write: each customer's "customer_id", "recency", "frequency", "monetary"
        and "cluster", the row of the cluster's centre. One that is there is replaced, at the end.
    memory_limit : str, default="1GB"
        DuckDB's own limit; what does not fit goes to the folder for temporary files, on disk.
        Python, its libraries and the points that k-means sees come on top.
    random_state : int, default=42

    Returns
    -------
    OutOfCoreClusters

    Raises
    ------
    InputError
        If a file cannot be read or lacks a column, with its name; if the disk is full; or if there
        are too few different customers.
    """
    if route not in ROUTES:
        raise ValueError(f"route={route!r} is not one of {listed(ROUTES)}.")
    files = parquet_files(parquet, columns)
    with (
        plain_errors(files, memory_limit),
        tempfile.TemporaryDirectory() as folder,
        connect(folder, memory_limit) as connection,
    ):
        lines = scan_parquet(connection, files)
        rfm_table_lazy(order_lines(lines, columns), snapshot).to_native().to_table("rfm")
        check_days(connection, snapshot)
        connection.execute(LOGARITHMS)
        judges = connection.execute(JUDGES).df()
        cells = _rows(connection, CELLS)
        if not (len(judges) and len(cells)):
            n_customers = connection.execute("SELECT count(*) FROM rfm").fetchall()[0][0]
            raise InputError(f"{counted(n_customers, 'customer')} with sales: too few to cluster.")
        scaler = StandardScaler().fit(cells[:, :3], sample_weight=cells[:, 3])
        if route == "batches":
            n_points = int(cells[:, 3].sum())
            centers = _fit_batches(
                connection, n_clusters, scaler, shuffle, batch_size, random_state
            )
        else:
            points = cells if route == "cells" else _rows(connection, _EVERYBODY)
            n_points = len(points)
            centers = _fit_kmeans(points[:, :3], points[:, 3], scaler, n_clusters, random_state)
        labelled = _labelled(scaler.inverse_transform(centers), scaler.scale_)
        if assignments is not None:
            _write_parquet(connection.sql(labelled), assignments)
        counts = f"SELECT cluster, count(*) FROM ({labelled}) GROUP BY cluster"  # noqa: S608
        sizes = dict(connection.execute(counts).fetchall())
    in_units = _in_units(centers, scaler)
    return OutOfCoreClusters(
        centers=in_units,
        sizes=np.array([sizes.get(cluster, 0) for cluster in range(n_clusters)]),
        positions=_positions(cells, centers, scaler),
        n_points=n_points,
        inertia=holdout_inertia(in_units, judges),
    )


_EVERYBODY = "SELECT r, f, m, 1.0 FROM logarithms WHERE NOT held_out ORDER BY lot"


def _write_parquet(rows, path):
    """Write the rows of a query to a file, whole or not at all."""
    full = InputError(
        f"assignments: the disk of {Path(path).absolute().parent} is full. Make room there, or "
        "choose a folder on a larger disk."
    )
    try:
        with replacing(path) as temporary:
            try:
                rows.write_parquet(str(temporary))
            except duckdb.Error as error:
                # A query writes to the folder for temporary files as well.
                if _is_full(error) and temporary.name in str(error):
                    raise full from None
                raise
    except OSError as error:
        if _is_full(error):
            raise full from None
        raise


def _rows(connection, query):
    """Return the result of a query as a float array."""
    return np.column_stack(list(connection.execute(query).fetchnumpy().values())).astype(float)


def _never_zero(deviation):
    """Deviations to divide by: a constant feature stays as it is."""
    return np.where(deviation > 0, deviation, 1.0)


def _in_units(centers, scaler):
    """Centres as recency, frequency and monetary value."""
    return pd.DataFrame(np.expm1(scaler.inverse_transform(centers)), columns=FEATURES)


def _by_recency(centers):
    """Centres in an order that does not depend on chance."""
    return centers[np.argsort(centers[:, 0], kind="stable")]


def _fit_kmeans(points, weights, scaler, n_clusters, random_state):
    """Centres of k-means, in scaled logarithms."""
    different = len(np.unique(points, axis=0))
    if different < n_clusters:
        raise InputError(
            f"{counted(different, 'different customer')}: too few for {n_clusters} clusters."
        )
    model = KMeans(n_clusters, n_init=20, random_state=random_state)
    # One thread: sums do not depend on the number of cores.
    with threadpool_limits(1):
        model.fit(scaler.transform(points), sample_weight=weights)
    return _by_recency(model.cluster_centers_)


def _fit_batches(connection, n_clusters, scaler, shuffle, batch_size, random_state):
    """Centres of mini-batch k-means, with one batch of customers in memory at a time."""
    order = "lot" if shuffle else "recency DESC, lot"
    rows = connection.execute(
        f"SELECT r, f, m FROM logarithms WHERE NOT held_out ORDER BY {order}"  # noqa: S608
    )
    model = MiniBatchKMeans(n_clusters, random_state=random_state)
    with threadpool_limits(1):
        while batch := rows.fetchmany(batch_size):
            # A last batch smaller than the number of clusters could not be the first.
            if len(batch) >= n_clusters or hasattr(model, "cluster_centers_"):
                model.partial_fit(scaler.transform(np.array(batch)))
    if not hasattr(model, "cluster_centers_"):
        raise InputError(f"Batches of {batch_size:,} are too small for {n_clusters} clusters.")
    return _by_recency(model.cluster_centers_)


def _labelled(centers, scale):
    """Query for all customers, each with the number of the nearest centre."""
    distances = ", ".join(
        " + ".join(
            f"(({name} - {float(value)!r}) / {float(unit)!r}) ** 2"
            for name, value, unit in zip("rfm", center, scale, strict=True)
        )
        for center in centers
    )
    return (
        "SELECT customer_id, recency, frequency, monetary, "  # noqa: S608
        "(list_position(distances, list_min(distances)) - 1)::INTEGER AS cluster "
        f"FROM (SELECT *, [{distances}] AS distances FROM logarithms)"
    )


def _positions(cells, centers, scaler):
    """Mean position of each cluster's customers in each feature, 0 worst to 1 best."""
    points, weights = cells[:, :3], cells[:, 3]
    labels = KDTree(centers).query(scaler.transform(points))[1]
    total = np.bincount(labels, weights, minlength=len(centers))
    positions = np.empty((len(centers), 3))
    for feature in range(3):
        _, place = np.unique(points[:, feature].round(9), return_inverse=True)
        share = np.bincount(place, weights) / weights.sum()
        middle = (np.cumsum(share) - share / 2)[place]
        held = np.bincount(labels, weights * middle, minlength=len(centers))
        # A centre of mini-batches may have lost all its customers to others.
        positions[:, feature] = np.divide(
            held, total, out=np.full(len(total), 0.5), where=total > 0
        )
    positions[:, 0] = 1 - positions[:, 0]  # low recency is good
    return positions


def _short(file):
    """Return the name of a file with the folder of its partition."""
    return f"{file.parent.name}/{file.name}"


def _literally(file):
    """Return the name of a file as DuckDB takes it, to which brackets and stars are patterns."""
    return glob.escape(str(file))


def _is_full(error):
    """Whether nothing more could be written: by the operating system's word or DuckDB's own."""
    reasons = ("No space left", "File too large", "quota exceeded", "max_temp_directory_size")
    return any(reason in str(error) for reason in reasons)


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
