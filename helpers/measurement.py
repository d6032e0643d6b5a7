"""How long ways from order lines to named clusters take, and how much memory: measured, recorded.

A clock tells of one machine on one day. So a chapter shows what a file recorded, with both, or
measures again where its reader is.
"""

import datetime
import importlib.metadata
import json
import os
import platform
import re
import tempfile
import time
from contextlib import suppress
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from statistics import median

import duckdb
import numpy as np
import pandas as pd
import psutil  # type: ignore[import-untyped]
import pydantic
from scipy.optimize import nnls
from scipy.spatial import KDTree
from sklearn.cluster import KMeans
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from helpers.files import write_text
from helpers.fixtures import write_order_lines
from helpers.order_lines import rfm_table_lazy, standard_columns
from helpers.scale import (
    CELLS,
    FEATURES,
    JUDGES,
    LOGARITHMS,
    cluster_cells,
    cluster_out_of_core,
    holdout_inertia,
)
from helpers.segmentation import name_profiles, rfm_table
from helpers.spark import start_spark, why_absent
from helpers.text import InputError

N_CLUSTERS = 5
SEED = 42
# With 5.1 lines an order; 50 million lines are 2 million customers.
LINES_A_CUSTOMER = 25
MB = 1e6

_LINES_PER_ORDER = 5.1
_PACKAGES = ("duckdb", "narwhals", "numpy", "pandas", "scikit-learn", "pyspark")
# Measured: 113 at most.
_BYTES_A_LINE_IN_PANDAS = 150
# Asking for all processes of a machine takes milliseconds: often enough for Java, and no burden.
_SECONDS_BETWEEN_SAMPLES = 0.1


def by_pandas(parquet, folder):
    """
    Cluster customers with all order lines in memory: pandas, and scikit-learn on everybody.

    What a reader would write first, with the restarts and the one thread of ``helpers.scale``.
    Parquet comes through DuckDB, because pandas would need pyarrow; which customers are held out
    is DuckDB's word too.

    Parameters
    ----------
    parquet : Path
        Folder of Parquet files with "customer_id", "order_id", "order_date" and "revenue".
    folder : Path
        Not used: all is in memory.

    Returns
    -------
    dict
        "inertia" (``helpers.scale.holdout_inertia`` of the customers held out) and "segments"
        (names, that of the most recent customers first).
    """
    with duckdb.connect() as connection:
        lines = connection.read_parquet(f"{parquet}/**/*.parquet")
        orders = lines.select("customer_id, order_id, order_date, revenue").df()
    rfm = rfm_table(orders)
    # Without a customer on some lines, pandas reads whole numbers as fractions.
    rfm.index = rfm.index.astype("int64")
    with duckdb.connect() as connection:
        connection.register("rfm", rfm.reset_index())
        connection.execute(LOGARITHMS)
        held_out = connection.execute("SELECT held_out FROM logarithms").df()["held_out"]
        judges = connection.execute(JUDGES).df()
    logarithms = np.log1p(rfm[~held_out.to_numpy()].to_numpy(float))
    scaler = StandardScaler().fit(logarithms)
    model = KMeans(N_CLUSTERS, n_init=20, random_state=SEED)
    # On a busy machine two threads wait for each other for ten times as long as one works.
    with threadpool_limits(1):
        model.fit(scaler.transform(logarithms))
    return _judged(scaler.inverse_transform(model.cluster_centers_), judges)


def _judged(centers, judges):
    """Inertia and names of centres, given in logarithms, by customers that did not make them."""
    centers = pd.DataFrame(np.expm1(centers), columns=FEATURES).sort_values("recency")
    scaler = StandardScaler().fit(np.log1p(judges[FEATURES].to_numpy(float)))
    points, places = (
        scaler.transform(np.log1p(table[FEATURES].to_numpy(float))) for table in (judges, centers)
    )
    positions = judges[FEATURES].rank(pct=True).assign(recency=lambda table: 1 - table["recency"])
    profiles = positions.groupby(KDTree(places).query(points)[1]).mean()
    # A cluster that none of them is in stands in the middle.
    profiles = profiles.reindex(range(len(centers)), fill_value=0.5)
    return {
        "inertia": holdout_inertia(centers, judges),
        "segments": name_profiles(profiles)["segment"].tolist(),
    }


def by_duckdb(route, parquet, folder):
    """
    Cluster customers out of core, DuckDB keeping to 1 GB.

    Parameters
    ----------
    route : {"cells", "batches", "everybody"}
        Of ``helpers.scale.cluster_out_of_core``. "cells" also writes every customer's cluster.
    parquet, folder : Path
        As for ``by_pandas``; clusters are written into ``folder``.

    Returns
    -------
    dict
        As ``by_pandas``.
    """
    clusters = cluster_out_of_core(
        parquet,
        N_CLUSTERS,
        route=route,
        assignments=folder / "clusters.parquet" if route == "cells" else None,
        memory_limit="1GB",
        random_state=SEED,
    )
    names = name_profiles(clusters.positions)["segment"].tolist()
    return {"inertia": clusters.inertia, "segments": names}


def by_spark(way, parquet, folder):
    """
    Cluster customers with Apache Spark on all cores of this machine.

    Parameters
    ----------
    way : function of a folder and a session
        Returns what ``by_pandas`` does.
    parquet, folder : Path
        As for ``by_pandas``; Spark's own files are in ``folder``.

    Returns
    -------
    dict
        Also "seconds" and "start_seconds": the time of the way, and of starting Java before it,
        which a cluster does once a day. Stopping is in neither.
    """
    import pyspark.ml  # noqa: F401 - to load a library is on nobody's clock

    start = time.perf_counter()
    spark = start_spark(folder)
    started = time.perf_counter()
    try:
        found = way(parquet, spark)
        seconds = time.perf_counter() - started
    finally:
        spark.stop()
    return found | {"seconds": seconds, "start_seconds": started - start}


def _spark_pipeline(parquet, spark):
    """Cluster everybody by Spark's own k-means, which starts once and has no restarts."""
    from pyspark.ml import Pipeline, clustering, feature

    judges = _spark_judges(parquet, spark)
    pipeline = Pipeline(
        stages=[
            feature.VectorAssembler(inputCols=["r", "f", "m"], outputCol="logarithms"),
            feature.StandardScaler(withMean=True, inputCol="logarithms", outputCol="features"),
            clustering.KMeans(k=N_CLUSTERS, seed=SEED),
        ]
    )
    fitted = pipeline.fit(spark.sql("SELECT r, f, m FROM logarithms WHERE NOT held_out"))
    _, scaler, kmeans = fitted.stages
    centers = np.array(kmeans.clusterCenters()) * scaler.std.toArray() + scaler.mean.toArray()
    return _judged(centers, judges)


def _spark_cells(parquet, spark):
    """Count in Spark, cluster what was counted as ``helpers.scale`` does."""
    judges = _spark_judges(parquet, spark)
    cells = np.array(spark.sql(CELLS).collect(), dtype=float)
    centers, positions = cluster_cells(cells, N_CLUSTERS, random_state=SEED)
    return {
        "inertia": holdout_inertia(centers, judges),
        "segments": name_profiles(positions)["segment"].tolist(),
    }


def _spark_judges(parquet, spark):
    """Customers held out; the view ``logarithms`` is there afterwards."""
    lines = spark.read.parquet(str(parquet))
    # Kept, because two or more queries follow, and each would read all order lines again.
    rfm_table_lazy(standard_columns(lines)).to_native().cache().createOrReplaceTempView("rfm")
    spark.sql(LOGARITHMS)
    return pd.DataFrame(spark.sql(JUDGES).collect(), columns=FEATURES)


SPARK_WAYS = {
    "Spark, pipeline": partial(by_spark, _spark_pipeline),
    "Spark, cells": partial(by_spark, _spark_cells),
}
WAYS = {
    "pandas": by_pandas,
    "DuckDB, everybody": partial(by_duckdb, "everybody"),
    "DuckDB, mini-batches": partial(by_duckdb, "batches"),
    "DuckDB, cells": partial(by_duckdb, "cells"),
    **SPARK_WAYS,
}


def measure(
    sizes, folder, ways=None, *, limits=None, repeats=3, enough_seconds=60.0, progress=None
):
    """
    Measure ways from a folder of Parquet files to named clusters, side by side on this machine.

    Each run is a process of its own, which no other run has warmed up or filled. Loading
    libraries is not timed, and neither is writing the order lines, which are removed afterwards.
    They have just been written, so they mostly come from memory and not from the disk.

    Memory is that of the run's process and of all it started, such as Java, with Python and its
    libraries: the largest of their sums, ten times a second. A peak between two looks is not
    missed where it is in the process itself, whose system keeps its largest size. On Linux that
    is VmHWM and not ru_maxrss, which a new process inherits from the one that started it.

    Parameters
    ----------
    sizes : list of int
        About how many order lines; a customer has 25.
    folder : str or Path
        Existing folder with room for them (some 350 MB for 50 million) and for what the ways
        write.
    ways : dict or None, default=None
        Name -> function of two paths, a folder of order lines and an empty one to write into,
        that returns what ``by_pandas`` does. It has to be in a module: another process calls it.
        None is ``WAYS``.
    limits : dict or None, default=None
        Name of a way -> most order lines for it; others have no limit. None is as many for
        "pandas" as fit into the memory that is free now.
    repeats : int, default=3
        Runs of each way at each size, in turns; the median counts, of memory the most.
    enough_seconds : float, default=60.0
        A way that ran for so long in all is not run again at that size.
    progress : function or None, default=None
        Called with each row of "runs" when it is there.

    Returns
    -------
    dict
        "made" (day, YYYY-MM-DD), "machine" ("processor", "cores", "memory_gb", "system"),
        "versions", "runs" and "skipped" (name of a way -> why it was not measured at all, or not
        with more lines). A run is a dict: "way", "lines", "customers", "seconds", "peak_mb" (of a
        million bytes), "inertia", "segments", "repeats", and for Spark "start_seconds".

    Raises
    ------
    InputError
        If the order lines cannot be written.
    """
    ways = WAYS if ways is None else ways
    absent = why_absent() if SPARK_WAYS.keys() & ways.keys() else None
    skipped = {way: absent for way in ways if absent and way in SPARK_WAYS}
    if limits is None:
        limits = {"pandas": psutil.virtual_memory().available // _BYTES_A_LINE_IN_PANDAS}
    rows = []
    for size in sorted(sizes):
        for way, limit in limits.items():
            if way in ways and size > limit:
                skipped.setdefault(way, f"Not run with more than {limit:,} order lines: its limit.")
        with tempfile.TemporaryDirectory(dir=folder, prefix="measure-") as temporary:
            parquet, n_customers = Path(temporary, "lines"), round(size / LINES_A_CUSTOMER)
            n_lines, fault, _ = _in_process(temporary, _write_lines, parquet, n_customers)
            if fault:
                raise InputError(fault)
            found, faults = _runs(parquet, ways, skipped, repeats, enough_seconds)
        for way, fault in faults.items():
            skipped[way] = f"Failed with {n_lines:,} order lines: {fault}"
        for way, runs in found.items():
            row = {"way": way, "lines": n_lines, "customers": n_customers} | _middle(runs)
            rows.append(row)
            if progress:
                progress(row)
    return {
        "made": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "machine": _machine(),
        "versions": _versions(),
        "runs": rows,
        "skipped": skipped,
    }


def _write_lines(parquet, n_customers):
    """Write order lines; return how many."""
    write_order_lines(parquet, n_customers, lines_per_order=_LINES_PER_ORDER)
    with duckdb.connect() as connection:
        return len(connection.read_parquet(f"{parquet}/**/*.parquet"))


def _runs(parquet, ways, skipped, repeats, enough_seconds):
    """Runs of each way that is not skipped, if it has any; and what failed, with the reason."""
    runs: dict = {way: [] for way in ways if way not in skipped}
    faults: dict = {}
    # In turns, so that what else the machine does for a while is not on one way's account.
    for _ in range(repeats):
        for way, before in runs.items():
            if way in faults or sum(run["seconds"] for run in before) > enough_seconds:
                continue
            with tempfile.TemporaryDirectory(dir=parquet.parent) as folder:
                result, fault, peak = _in_process(folder, _timed, ways[way], parquet, Path(folder))
            if fault:
                faults[way] = fault
            else:
                before.append(result | {"peak_mb": peak / MB})
    return {way: each for way, each in runs.items() if each}, faults


def _timed(way, parquet, folder):
    """Return what a way found, and the seconds it took, unless it says these itself."""
    start = time.perf_counter()
    found = way(parquet, folder)
    return {"seconds": time.perf_counter() - start} | found


def _middle(runs):
    """Sum up runs of one way at one size."""
    row = {
        "seconds": round(median(run["seconds"] for run in runs), 3),
        "peak_mb": round(max(run["peak_mb"] for run in runs)),
        "inertia": round(median(run["inertia"] for run in runs), 6),
        "segments": runs[0]["segments"],
        "repeats": len(runs),
    }
    if "start_seconds" in runs[0]:
        row["start_seconds"] = round(median(run["start_seconds"] for run in runs), 3)
    return row


def _in_process(folder, function, *arguments):
    """
    Call a function in a process of its own, whose temporary files are in a folder.

    Returns
    -------
    result : object
        None if it failed.
    fault : str or None
        Why it failed.
    peak : int
        Bytes at most, of the process and of those it started.
    """
    context = get_context("spawn")
    answers, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_call, args=(theirs, str(folder), function, arguments))
    process.start()
    # What is open here as well would not end with the process.
    theirs.close()
    family = {psutil.Process(process.pid)}
    peak = 0
    try:
        while not answers.poll(_SECONDS_BETWEEN_SAMPLES):
            with suppress(psutil.Error):
                family |= {*psutil.Process(process.pid).children(recursive=True)}
            peak = max(peak, sum(_resident(each) for each in family))
        result, fault, own = answers.recv()
    except EOFError:
        process.join()
        fault = f"The process ended early (exit code {process.exitcode}), as without memory."
        result, own = None, 0
    except BaseException:
        process.kill()
        raise
    finally:
        answers.close()
        process.join()
        # Java ends after Python, and still writes into the folder.
        for late in psutil.wait_procs(family, timeout=10)[1]:
            late.kill()
    return result, fault, max(peak, own)


def _call(answers, folder, function, arguments):
    """Send what a function returns or why it does not, and the most memory of this process."""
    tempfile.tempdir = folder
    # Engines draw progress bars, which would be on the reader's page.
    with Path(os.devnull).open("wb") as nowhere:
        os.dup2(nowhere.fileno(), 1)
    try:
        result, fault = function(*arguments), None
    except InputError as error:
        result, fault = None, str(error)
    except Exception as error:
        result, fault = None, f"{type(error).__name__}: {error}".splitlines()[0]
    answers.send((result, fault, own_peak()))


def _resident(process):
    """Bytes of a process in memory; 0 if it has ended."""
    try:
        return process.memory_info().rss
    except psutil.Error:
        return 0


def own_peak():
    """
    Most memory that this process ever held.

    Returns
    -------
    int
        Bytes; 0 where the system does not tell. On Linux VmHWM and not ru_maxrss, which a new
        process inherits from the one that started it.
    """
    status = Path("/proc/self/status")
    if status.exists() and (highest := re.search(r"VmHWM:\s+(\d+)", status.read_text())):
        return int(highest[1]) * 1024
    try:
        import resource
    except ImportError:
        return 0
    unit = 1 if platform.system() == "Darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _machine():
    """Describe this machine as its owner would, without its name."""
    processors = Path("/proc/cpuinfo")
    known = processors.read_text() if processors.exists() else ""
    model = re.search(r"model name\s*:\s*(.+)", known)
    return {
        "processor": model[1].strip() if model else platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "memory_gb": round(psutil.virtual_memory().total / 2**30),
        "system": f"{platform.system()} {platform.machine()}",
    }


def _versions():
    """Versions of Python and of the packages that do the work, as far as they are here."""
    versions = {"python": platform.python_version()}
    for package in _PACKAGES:
        with suppress(importlib.metadata.PackageNotFoundError):
            versions[package] = importlib.metadata.version(package)
    return versions


class _Machine(pydantic.BaseModel):
    processor: str
    cores: int
    memory_gb: int
    system: str


class _Run(pydantic.BaseModel):
    way: str
    lines: int
    customers: int
    seconds: float
    peak_mb: int
    inertia: float
    segments: list[str]
    repeats: int
    start_seconds: float | None = None


class _Measurements(pydantic.BaseModel):
    made: datetime.date
    machine: _Machine
    versions: dict[str, str]
    runs: list[_Run]
    skipped: dict[str, str]


def write_measurements(path, measured):
    """
    Record a measurement as JSON.

    Parameters
    ----------
    path : str or Path
        A file that is there is replaced whole: rows of different days or machines do not mix.
    measured : dict
        From ``measure``.
    """
    write_text(path, json.dumps(measured, indent=1, ensure_ascii=False) + "\n")


def read_measurements(path):
    """
    Read what was recorded.

    Parameters
    ----------
    path : str or Path
        A file of ``write_measurements``.

    Returns
    -------
    dict
        As ``measure`` returned it. ``pd.DataFrame(measured["runs"])`` is a table.

    Raises
    ------
    InputError
        If the file cannot be read, or holds something else.
    """
    path = Path(path)
    again = "Measure again (`make bench`)."
    try:
        text = path.read_text(encoding="utf-8")
        measured = _Measurements.model_validate_json(text)
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path.name}: cannot be read ({error}). {again}") from None
    except pydantic.ValidationError as error:
        faults = [": ".join([*map(str, e["loc"]), e["msg"]]) for e in error.errors()]
        raise InputError(
            f"{path.name}: not a recorded measurement ({'; '.join(faults[:3])}). {again}"
        ) from None
    return measured.model_dump(mode="json", exclude_none=True)


def fit_costs(runs):
    """
    What each way costs to begin with, and for each million order lines more.

    Parameters
    ----------
    runs : DataFrame
        "way", "lines", "seconds" and "peak_mb", as in what ``measure`` returns.

    Returns
    -------
    DataFrame, one row a way with three sizes or more
        "seconds to begin with", "seconds a million lines", "MB to begin with" and "MB a million
        lines": the straight line, nowhere falling, that misses by the smallest percentages
        [1]_. "exponent of time": of the power of the lines that fits best. "largest": order lines.

    References
    ----------
    .. [1] ``scipy.optimize.nnls``, least squares without negative coefficients.
    """
    rows = {}
    for way, table in runs.groupby("way", sort=False):
        if table["lines"].nunique() < 3:
            continue
        millions = table["lines"].to_numpy(float) / 1e6
        row: dict[str, float] = {}
        for name, column in {"seconds": "seconds", "MB": "peak_mb"}.items():
            costs = table[column].to_numpy(float)
            # Divided by the costs, a tenth too much counts the same for every size.
            lines = np.column_stack([np.ones_like(millions), millions]) / costs[:, np.newaxis]
            begin, more = nnls(lines, np.ones_like(costs))[0]
            row |= {f"{name} to begin with": begin, f"{name} a million lines": more}
        power = np.polyfit(np.log(millions), np.log(table["seconds"]), 1)[0]
        rows[way] = row | {"exponent of time": power, "largest": table["lines"].max()}
    columns = [
        *("seconds to begin with", "seconds a million lines", "MB to begin with"),
        *("MB a million lines", "exponent of time", "largest"),
    ]
    return pd.DataFrame.from_dict(rows, orient="index", columns=columns)
