"""Clustering more than memory holds: the engine counts, scikit-learn clusters what was counted.

A database engine turns order lines into occupied cells of log-RFM space: some thousands of them,
however many customers there are. Weighted k-means does the rest.
"""

import tempfile
from dataclasses import dataclass
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
from scipy.spatial import KDTree
from sklearn.cluster import KMeans, MiniBatchKMeans
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from helpers.engine import connect, is_full
from helpers.files import replacing
from helpers.order_lines import (
    check_days,
    parquet_files,
    plain_errors,
    rfm_table_lazy,
    scan_parquet,
    standard_columns,
)
from helpers.text import InputError, counted, listed

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
    mean = points.mean(axis=0)
    # Rounding can give a constant a deviation above 0, so that is asked of its range.
    deviation = np.where(np.ptp(points, axis=0) > 0, points.std(axis=0), 1.0)
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
        As for ``helpers.order_lines.standard_columns``.
    route : {"cells", "batches", "everybody"}, default="cells"
        Count first, cluster after; or mini-batches of customers; or, to compare with, k-means on
        all customers in memory.
    shuffle : bool, default=True
        Whether the batches come in random order, or sorted by the day of the last order, the
        oldest first.
    batch_size : int, default=50_000
        Customers of a batch.
    snapshot : str (YYYY-MM-DD) or None, default=None
        As for ``helpers.order_lines.rfm_table_lazy``.
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
        rfm_table_lazy(standard_columns(lines, columns), snapshot).to_native().to_table("rfm")
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
                if is_full(error) and temporary.name in str(error):
                    raise full from None
                raise
    except OSError as error:
        if is_full(error):
            raise full from None
        raise


def _rows(connection, query):
    """Return the result of a query as a float array."""
    return np.column_stack(list(connection.execute(query).fetchnumpy().values())).astype(float)


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
            f"{counted(different, 'different customer')}: too few for {n_clusters} clusters. "
            "Use fewer n_clusters, or more customers."
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
