"""Clustering more than memory holds: the engine counts, scikit-learn clusters what was counted.

A database engine turns order lines into occupied cells of log-RFM space: a few thousand of them,
however many customers there are. Weighted k-means does the rest.
"""

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
from threadpoolctl import threadpool_limits

from helpers.fixtures import LAST_DAY, SHOPPERS
from helpers.text import InputError, listed

COLUMNS = ["customer_id", "order_id", "order_date", "revenue"]
FEATURES = ["recency", "frequency", "monetary"]

# Of a logarithm: the customers of one cell differ by at most 5 % in each feature.
CELL_WIDTH = 0.05
_HELD_OUT = 10  # one customer in so many judges the clusters and does not make them
_MOST_JUDGES = 100_000
_BATCH = 50_000


def rfm_table_lazy(orders, snapshot=None):
    """
    Recency, frequency and monetary value of each customer, computed where the orders are.

    The same table as ``helpers.segmentation.rfm_table``, by one expression for every engine.

    Parameters
    ----------
    orders : DataFrame, LazyFrame or relation of pandas, Polars, DuckDB or Spark
        One row an order line: "customer_id", "order_id", "order_date" (a date or a timestamp
        without time zone) and "revenue".
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
        last = lines.select(nw.col("order_date").max()).select(_day_number("order_date"))
        # One number needs no Arrow, which engines would otherwise bring it in.
        backend = "polars" if lines.implementation.is_polars() else "pandas"
        day = int(last.collect(backend).item()) + 1
    else:
        day = _days_from_epoch(snapshot)
    sales = lines.filter((nw.col("revenue") > 0) & ~nw.col("customer_id").is_null())
    customers = sales.group_by("customer_id").agg(
        nw.col("order_date").max(),
        nw.col("order_id").n_unique().alias("frequency"),
        nw.col("revenue").sum().alias("monetary"),
    )
    recency = (nw.lit(day) - _day_number("order_date")).alias("recency")
    frequency = nw.col("frequency").cast(nw.Int64)
    return customers.select("customer_id", recency, frequency, "monetary")


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


def write_order_lines(directory, n_customers=2_000, *, lines_per_order=2.6, random_state=2024):
    """
    Write order lines of any number of customers as Parquet, one folder a month.

    Parameters
    ----------
    directory : str or Path
        Must not exist yet.
    n_customers : int, default=2_000
        Of the segments of ``helpers.fixtures.SHOPPERS``; they place about 5 orders each.
    lines_per_order : float, default=2.6
        Mean number of lines of an order, at least 1.
    random_state : int, default=2024
        Seed. The rows are the same on any number of cores, with one version of DuckDB.

    Returns
    -------
    Path
        The directory: "month=1/..." and so on, with "customer_id" (a number; missing on 1 % of
        the lines), "order_id", "order_date", "revenue" (negative on 1.5 %, the returns) and
        "segment", the truth.

    Raises
    ------
    FileExistsError
        If there is something under that name.
    """
    directory = Path(directory)
    if directory.exists():
        raise FileExistsError(f"{directory} exists already. Remove it, or choose another name.")
    directory.parent.mkdir(parents=True, exist_ok=True)
    # Beside the target, so that the last step is a rename: whole, or not there.
    with tempfile.TemporaryDirectory(dir=directory.parent, prefix=".") as temporary:
        with duckdb.connect() as connection:
            shoppers = SHOPPERS.reset_index(names="segment").assign(
                upper=SHOPPERS["share"].cumsum().to_numpy().clip(max=1)
            )
            shoppers["lower"] = shoppers["upper"].shift(fill_value=0)
            connection.register("shoppers", shoppers)
            connection.execute(
                _ORDER_LINES.format(
                    seed=int(random_state),
                    n_customers=int(n_customers),
                    extra_lines=float(lines_per_order) - 1,
                    last_day=f"{LAST_DAY:%Y-%m-%d}",
                    path=str(Path(temporary, "lines")).replace("'", "''"),
                )
            )
        Path(temporary, "lines").replace(directory)
    return directory


# Chance comes from hashes of a row's numbers: no order of rows or of threads can change it.
_ORDER_LINES = """
CREATE MACRO uniform(a, b, c) AS (hash(a, b, c, {seed}) >> 11)::DOUBLE / 9007199254740992.0;
CREATE MACRO normal(a, b, c) AS
    sqrt(-2 * ln(1 - uniform(a, b, c))) * cos(2 * pi() * uniform(a, b, c + 1000));
CREATE VIEW customers AS
    SELECT i AS customer_id, segment, active_days,
        greatest(1, round(recency * exp(0.30 * normal(i, 0, 1)))) AS days,
        CASE WHEN orders > 1 THEN greatest(2, round(
            orders * exp(0.18 * normal(i, 0, 2)) + sqrt(orders) * normal(i, 0, 3)
        )) ELSE 1 END::BIGINT AS n_orders,
        basket * exp(0.35 * normal(i, 0, 4)) AS basket
    FROM range({n_customers}) AS t(i)
    JOIN shoppers ON uniform(i, 0, 0) >= lower AND uniform(i, 0, 0) < upper;
CREATE VIEW orders AS
    SELECT customer_id, segment, basket, customer_id * 1000 + k AS order_id,
        CASE WHEN days > 365 THEN 365 - (days - 365) % 180 ELSE days END AS days,
        CASE WHEN k = 0 THEN 0 ELSE round(uniform(order_id, k, 5) * active_days) END AS earlier,
        1 + floor(uniform(order_id, 0, 6) * (2 * {extra_lines} + 1))::BIGINT AS n_lines
    FROM (SELECT *, unnest(range(n_orders)) AS k FROM customers);
COPY (
    SELECT
        CASE WHEN chance < 0.01 THEN NULL ELSE customer_id END AS customer_id,
        order_id, order_date, segment, month(order_date) AS month,
        CASE WHEN chance > 0.985 THEN -1 WHEN chance > 0.982 THEN 0 ELSE 1 END
            * greatest(0.5, round(basket / n_lines * exp(0.25 * normal(order_id, line, 7)), 2))
            AS revenue
    FROM (
        SELECT *, uniform(order_id, line, 8) AS chance,
            DATE '{last_day}' + 1 - least(366, days + earlier)::INTEGER AS order_date
        FROM (SELECT *, unnest(range(n_lines)) AS line FROM orders)
    )
) TO '{path}' (FORMAT parquet, PARTITION_BY (month), ROW_GROUP_SIZE 100000)
"""


@dataclass(frozen=True)
class OutOfCoreClusters:
    """
    Clusters of customers that were never in memory together.

    Attributes
    ----------
    centers : DataFrame of shape (n_clusters, 3)
        Recency, frequency and monetary value, in their own units.
    sizes : int array of shape (n_clusters,)
        Customers, those held out excepted.
    positions : float array of shape (n_clusters, 3)
        Mean position of a cluster's customers among all, 0 worst to 1 best: what
        ``helpers.segmentation.name_profiles`` takes. Missing for the route "batches".
    n_customers, n_points : int
        Customers, and points that k-means saw in the end.
    inertia : float
        Mean squared distance of customers held out to their nearest centre, in scaled logarithms:
        the measure on which routes are compared.
    """

    centers: pd.DataFrame
    sizes: np.ndarray
    positions: np.ndarray
    n_customers: int
    n_points: int
    inertia: float


def cluster_out_of_core(
    parquet,
    n_clusters,
    *,
    route="cells",
    shuffle=True,
    snapshot=None,
    memory_limit="1GB",
    random_state=42,
):
    """
    Cluster the customers of any number of order lines in bounded memory.

    Parameters
    ----------
    parquet : str or Path
        A Parquet file, or a folder of them, with "customer_id", "order_id", "order_date" and
        "revenue".
    n_clusters : int
    route : {"cells", "batches", "everybody"}, default="cells"
        Count first, cluster after; or mini-batches of customers; or, to compare with, k-means on
        all customers in memory.
    shuffle : bool, default=True
        Whether the batches come in random order, or by recency as a log file would have them.
    snapshot : str (YYYY-MM-DD) or None, default=None
        As for ``rfm_table_lazy``.
    memory_limit : str, default="1GB"
        DuckDB's own limit; what does not fit goes to a temporary folder on disk.
    random_state : int, default=42

    Returns
    -------
    OutOfCoreClusters

    Raises
    ------
    InputError
        If a file cannot be read or lacks a column, with its name; if the disk is full; or if there
        are fewer different customers than clusters.
    """
    files = _parquet_files(parquet)
    with _engine(memory_limit) as connection:
        try:
            lines = connection.read_parquet([str(file) for file in files])
            rfm_table_lazy(lines, snapshot).to_native().to_table("rfm")
        except duckdb.OutOfMemoryException as error:
            raise InputError(f"memory_limit={memory_limit!r} is too small ({error}).") from None
        except duckdb.Error as error:
            raise _blame(connection, files, error) from None
        connection.execute(_LOGARITHMS.format(held_out=_HELD_OUT))
        n_customers = connection.execute("SELECT count(*) FROM rfm").fetchall()[0][0]
        mean, deviation = _moments(connection)
        judges = (_rows(connection, _JUDGES.format(most=_MOST_JUDGES)) - mean) / deviation
        if route == "batches":
            points, weights = None, None
            model = _fit_batches(connection, n_clusters, mean, deviation, shuffle, random_state)
        else:
            query = _CELLS.format(width=CELL_WIDTH) if route == "cells" else _EVERYBODY
            table = _rows(connection, query)
            points, weights = (table[:, :3] - mean) / deviation, table[:, 3]
            if len(np.unique(points, axis=0)) < n_clusters:
                raise InputError(
                    f"{len(points):,} different customers are too few for {n_clusters} clusters."
                )
            # Few points bear many restarts; all customers have as many as the first chapter's.
            model = KMeans(n_clusters, n_init=20, random_state=random_state)
            with threadpool_limits(1):
                model.fit(points, sample_weight=weights)
    order = np.argsort(model.cluster_centers_[:, 0], kind="stable")
    centers = model.cluster_centers_[order]
    sizes, positions = np.zeros(n_clusters, int), np.full((n_clusters, 3), np.nan)
    if points is not None:
        labels = KDTree(centers).query(points)[1]
        sizes = np.bincount(labels, weights, minlength=n_clusters).round().astype(int)
        positions = _positions(points, weights, labels, n_clusters)
    return OutOfCoreClusters(
        centers=pd.DataFrame(np.expm1(centers * deviation + mean), columns=FEATURES),
        sizes=sizes,
        positions=positions,
        n_customers=n_customers,
        n_points=n_customers if points is None else len(points),
        inertia=float(np.mean(KDTree(centers).query(judges)[0] ** 2)),
    )


_LOGARITHMS = """
CREATE VIEW logarithms AS
    SELECT ln(1 + recency) AS r, ln(1 + frequency) AS f, ln(1 + monetary) AS m,
        hash(customer_id) AS lot, hash(customer_id) % {held_out} = 0 AS judges
    FROM rfm
"""
_JUDGES = "SELECT r, f, m FROM logarithms WHERE judges ORDER BY lot LIMIT {most}"
_EVERYBODY = "SELECT r, f, m, 1.0 FROM logarithms WHERE NOT judges ORDER BY lot"
_CELLS = """
SELECT avg(r), avg(f), avg(m), count(*)::DOUBLE FROM logarithms WHERE NOT judges
GROUP BY floor(r / {width}), floor(f / {width}), floor(m / {width}) ORDER BY ALL
"""
_MOMENTS = """
SELECT avg(r), avg(f), avg(m), stddev_pop(r), stddev_pop(f), stddev_pop(m)
FROM logarithms WHERE NOT judges
"""


@contextmanager
def _engine(memory_limit):
    """Yield a DuckDB connection that keeps to its memory and leaves nothing behind."""
    with (
        tempfile.TemporaryDirectory() as folder,
        duckdb.connect(str(Path(folder, "work.duckdb"))) as connection,
    ):
        connection.execute("SET memory_limit = ?", [memory_limit])
        connection.execute("SET temp_directory = ?", [folder])
        connection.execute("SET enable_progress_bar = false")
        yield connection


def _rows(connection, query):
    """Return the result of a query as a float array."""
    return np.column_stack(list(connection.execute(query).fetchnumpy().values())).astype(float)


def _moments(connection):
    """Return mean and standard deviation of the logarithms; a constant one counts as it is."""
    values = _rows(connection, _MOMENTS)[0]
    return values[:3], np.where(values[3:] > 0, values[3:], 1.0)


def _fit_batches(connection, n_clusters, mean, deviation, shuffle, random_state):
    """Fit mini-batch k-means on the customers, a batch in memory at a time."""
    order = "lot" if shuffle else "r, lot"
    rows = connection.execute(
        f"SELECT r, f, m FROM logarithms WHERE NOT judges ORDER BY {order}"  # noqa: S608
    )
    model = MiniBatchKMeans(n_clusters, random_state=random_state)
    with threadpool_limits(1):
        while batch := rows.fetchmany(_BATCH):
            # A last batch smaller than the number of clusters could not be the first.
            if len(batch) >= n_clusters or hasattr(model, "cluster_centers_"):
                model.partial_fit((np.array(batch) - mean) / deviation)
    return model


def _positions(points, weights, labels, n_clusters):
    """Mean position of each cluster's customers in each feature, 0 worst to 1 best."""
    positions = np.empty((n_clusters, 3))
    for feature in range(3):
        _, place = np.unique(points[:, feature], return_inverse=True)
        share = np.bincount(place, weights) / weights.sum()
        middle = (np.cumsum(share) - share / 2)[place]
        total = np.bincount(labels, weights, minlength=n_clusters)
        positions[:, feature] = np.bincount(labels, weights * middle, n_clusters) / total
    positions[:, 0] = 1 - positions[:, 0]  # low recency is good
    return positions


def _parquet_files(path):
    """Return the Parquet files under a path, each with the columns that are needed."""
    path = Path(path)
    files = sorted(path.rglob("*.parquet")) if path.is_dir() else [path]
    if not files or not files[0].is_file():
        raise InputError(f"{path.name}: there is no Parquet file. Check the path.")
    for file in files:
        try:
            schema = duckdb.execute("SELECT name FROM parquet_schema(?)", [str(file)])
            missing = set(COLUMNS) - {name for (name,) in schema.fetchall()}
        except duckdb.Error as error:
            raise _unreadable(file, error) from None
        if missing:
            raise InputError(
                f"{_short(file, path)}: no column {listed(sorted(missing))}. "
                "Every file needs " + listed(COLUMNS) + "."
            )
    return files


def _short(file, path):
    """Return the name of a file as its user would say it."""
    return file.relative_to(path.parent) if path.is_dir() else file.name


def _unreadable(file, error):
    """Return the error that names a damaged file."""
    reason = str(error).splitlines()[0]
    return InputError(f"{file.parent.name}/{file.name}: cannot be read ({reason}). Write it again.")


def _blame(connection, files, error):
    """Return an error that names the file that cannot be read, if it is a file's fault."""
    for file in files:
        try:
            # A hash reads every value; the largest may be known from the footer alone.
            columns = ", ".join(f"bit_xor(hash({column}))" for column in COLUMNS)
            connection.execute(f"SELECT {columns} FROM read_parquet(?)", [str(file)])  # noqa: S608
        except duckdb.Error as found:
            return _unreadable(file, found)
    return InputError(f"The orders could not be grouped ({str(error).splitlines()[0]}).")
