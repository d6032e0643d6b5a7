"""Spark says what is missing, keeps to its folder, and counts what pandas and DuckDB count."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pytest

from helpers import spark as spark_module
from helpers.fixtures import write_order_lines
from helpers.order_lines import rfm_table_lazy, standard_columns
from helpers.scale import CELLS, JUDGES, LOGARITHMS, cluster_cells
from helpers.segmentation import rfm_table
from helpers.spark import N_PARTITIONS, start_spark, why_absent
from helpers.text import InputError

ROOT = Path(__file__).parents[1]

# One session, and one Java process, for all.
pytestmark = pytest.mark.xdist_group("spark")
needs_spark = pytest.mark.skipif(why_absent() is not None, reason=str(why_absent()))


@pytest.fixture
def installed(monkeypatch):
    """Pretend that PySpark is installed and no Java is known."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name)
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", "")


def java_of(folder, version):
    """A folder with a program that says it is a Java of a version, on the standard error."""
    folder.mkdir(parents=True)
    program = folder / "java"
    said = f'Picked up JAVA_TOOL_OPTIONS: -Xmx2g\nopenjdk version "{version}" 2021-04-20'
    program.write_text(f"#!/bin/sh\ncat >&2 <<'END'\n{said}\nEND\n".replace("cat", "/bin/cat"))
    program.chmod(0o755)
    return folder


def test_pyspark_that_is_not_installed_is_missed(monkeypatch, tmp_path):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert why_absent().startswith("PySpark is not installed: run `make spark`")
    with pytest.raises(InputError, match="PySpark is not installed"):
        start_spark(tmp_path)
    assert not any(tmp_path.iterdir())


@pytest.mark.usefixtures("installed")
def test_java_is_missed_on_the_path_and_in_its_home(monkeypatch, tmp_path):
    assert why_absent().startswith("There is no Java on the PATH, and Spark runs on it. Install")
    # A wrong home is what Spark would follow, whatever is on the path.
    monkeypatch.setenv("PATH", str(java_of(tmp_path / "path", "17.0.15")))
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "gone"))
    assert why_absent().startswith("There is no Java in JAVA_HOME, and Spark")
    with pytest.raises(InputError, match="There is no Java in JAVA_HOME"):
        start_spark(tmp_path)


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize(
    ("version", "said"),
    [
        ("11.0.2", "is 11, too old"),
        ("1.8.0_292", "is 8, too old"),
        ("of mine", "of an unknown version"),
        ("17.0.15", None),
        ("21", None),
        ("25-ea", None),
    ],
)
@pytest.mark.parametrize("where", ["on the PATH", "in JAVA_HOME"])
def test_java_has_to_be_new_enough(monkeypatch, tmp_path, version, said, where):
    folder = java_of(tmp_path / "bin", version)
    if where == "on the PATH":
        monkeypatch.setenv("PATH", str(folder))
    else:
        monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    reason = why_absent()
    if said is None:
        assert reason is None
    else:
        assert said in reason
        assert where in reason
        assert "Install Java 17 or later" in reason


@pytest.mark.parametrize(
    ("master", "said"),
    [
        ("spark://127.0.0.1:1", "nobody answers at spark://127.0.0.1:1 (Connection refused)."),
        (
            "spark://no-such-host.invalid:7077",
            "nobody answers at spark://no-such-host.invalid:7077",
        ),
    ],
)
def test_a_cluster_that_does_not_answer_is_refused_before_java_starts(
    monkeypatch, tmp_path, master, said
):
    monkeypatch.setattr(spark_module, "why_absent", lambda: None)
    with pytest.raises(InputError) as refused:
        start_spark(tmp_path, master)
    assert said in str(refused.value)
    assert not any(tmp_path.iterdir())  # Java would have begun the log


# Runs in a process of its own, because one has one Java process only.
_REFUSED = """
import json, sys

import psutil

from helpers.spark import start_spark
from helpers.text import InputError

said = []
for master in sys.argv[2:]:
    try:
        start_spark(sys.argv[1], master, memory="512m")
    except InputError as error:
        said.append(str(error))
said.append([child.name() for child in psutil.Process().children(recursive=True)])
print(json.dumps(said))
"""


def in_a_process(code, *arguments, cwd=ROOT, **environment):
    """Run code, which has to say nothing but JSON, and return that."""
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        cwd=cwd,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return json.loads(done.stdout)


@needs_spark
def test_a_master_that_spark_does_not_know_is_refused_and_java_ends(tmp_path):
    *said, children = in_a_process(_REFUSED, tmp_path, "local[some]", "nonsense")
    assert len(said) == 2
    assert said[0].startswith("Spark does not start with spark_master = 'local[some]': ")
    assert "Could not parse Master URL: 'local[some]'" in said[0]
    # The second is not told the fault of the first, whose log goes on.
    assert said[1].startswith("Spark does not start with spark_master = 'nonsense': ")
    assert "Master must either be yarn or start with spark" in said[1]
    assert not any("\n" in text for text in said)
    assert children == []


@pytest.fixture(scope="module")
def spark(tmp_path_factory):
    """Return a session on two cores."""
    session = start_spark(tmp_path_factory.mktemp("spark"), "local[2]", memory="1g")
    yield session
    session.stop()


@pytest.fixture(scope="module")
def late_orders(tmp_path_factory):
    """Return Parquet with orders that are of another day in most time zones."""
    path = tmp_path_factory.mktemp("late") / "late.parquet"
    duckdb.sql(
        "SELECT i AS customer_id, i AS order_id, 1.5::DOUBLE AS revenue, "
        "TIMESTAMP '2024-02-29 00:30' + INTERVAL (i * 23) HOUR AS order_date FROM range(100) t(i)"
    ).write_parquet(str(path))
    return path


_SETTINGS = """
import json, sys

from pyspark.sql.functions import spark_partition_id

from helpers.order_lines import rfm_table_lazy
from helpers.spark import start_spark

spark = start_spark(sys.argv[1], "local[1]", memory="512m")
table = rfm_table_lazy(spark.read.parquet(sys.argv[2]), "2025-01-01").to_native()
table = table.withColumn("partition", spark_partition_id())
print(json.dumps([
    spark.conf.get("spark.sql.session.timeZone"),
    spark.sparkContext.defaultParallelism,
    sorted(map(list, table.collect())),
]))
spark.stop()
"""


@needs_spark
def test_sessions_differ_neither_by_cores_nor_by_the_time_zone_of_the_machine(
    spark, late_orders, tmp_path
):
    here, logs = tmp_path / "here", tmp_path / "logs"
    here.mkdir()
    logs.mkdir()
    # The process says nothing on its standard error.
    zone, parallelism, rows = in_a_process(
        _SETTINGS, logs, late_orders, cwd=here, TZ="Pacific/Auckland", PYTHONPATH=str(ROOT)
    )
    table = rfm_table_lazy(spark.read.parquet(str(late_orders)), "2025-01-01").to_native()
    ours = spark.sql("SELECT *, spark_partition_id() FROM {table}", table=table).collect()
    assert zone == spark.conf.get("spark.sql.session.timeZone") == "UTC"
    assert parallelism == spark.sparkContext.defaultParallelism
    assert rows == sorted(map(list, ours))
    assert len({partition for *_, partition in rows}) == N_PARTITIONS
    reference = rfm_table(duckdb.read_parquet(str(late_orders)).df(), "2025-01-01")
    assert [row[:4] for row in rows] == [[name, *row] for name, *row in reference.itertuples()]
    assert not any(here.iterdir())
    assert (logs / "spark.log").stat().st_size > 0


@needs_spark
def test_a_session_says_nothing_and_writes_only_into_its_folder(spark, capfd, tmp_path):
    before = {path.name for path in ROOT.iterdir()}
    spark.sql("SELECT 1 / 0 AS nothing").count()
    spark.createDataFrame([(1, "a")], ["n", "t"]).createOrReplaceTempView("numbers")
    assert spark.sql("SELECT n FROM numbers").collect()[0].n == 1
    assert capfd.readouterr() == ("", "")
    assert {path.name for path in ROOT.iterdir()} == before


def table_of(frame):
    """The RFM table that Spark computes, as the first chapter would have it."""
    rows = [row.asDict() for row in rfm_table_lazy(frame).to_native().collect()]
    return pd.DataFrame(rows).set_index("customer_id").sort_index()


def assert_same_table(ours, reference):
    assert ours.index.tolist() == reference.index.tolist()
    np.testing.assert_array_equal(ours["recency"], reference["recency"])
    np.testing.assert_array_equal(ours["frequency"], reference["frequency"])
    np.testing.assert_allclose(ours["monetary"], reference["monetary"], rtol=1e-9)


def in_spark(spark, orders, path):
    """Orders of pandas, read by Spark from Parquet."""
    plain = orders.astype({"customer_id": object, "order_id": object})
    duckdb.from_df(plain).write_parquet(str(path))
    return spark.read.parquet(str(path))


@needs_spark
def test_spark_gives_the_table_of_the_first_chapter(spark, orders, tmp_path):
    late = orders["order_date"] + pd.Timedelta(hours=23, minutes=59)
    orders = orders.assign(order_date=late.astype("datetime64[us]"))
    assert_same_table(table_of(in_spark(spark, orders, tmp_path / "o.parquet")), rfm_table(orders))


@needs_spark
def test_spark_gives_the_table_of_online_retail(spark, online_retail, tmp_path):
    frame = in_spark(spark, online_retail, tmp_path / "o.parquet")
    assert_same_table(table_of(frame), rfm_table(online_retail))


@needs_spark
def test_spark_counts_the_lines_that_are_sales_and_no_others(spark, tmp_path):
    path = tmp_path / "o.parquet"
    duckdb.sql(
        """
        SELECT customer_id, order_id, order_date::TIMESTAMP AS order_date, revenue FROM (VALUES
            (1::DOUBLE, 'a', '2024-03-01 10:00', 5::DOUBLE), (1, 'a', '2024-03-01 10:00', 7.5),
            (1, 'b', '2024-03-01 10:00', 1.25), (2, 'c', '2024-03-05 23:59', 2),
            (2, 'd', '2024-03-06 00:01', -2), (3, 'e', '2024-03-06 23:59', -1),
            (4, 'f', '2024-02-01', 0), (NULL, 'g', '2024-02-02', 9), ('nan', 'g', '2024-02-02', 9),
            (5, 'h', '2024-01-01', 'nan'), (5, 'i', '2023-12-31 23:59', 4),
            (6, 'j', '2024-03-01', 'infinity'), (6, 'k', '2024-02-29', 3), (7, 'c', '2024-03-05', 6)
        ) AS t(customer_id, order_id, order_date, revenue)
        """
    ).write_parquet(str(path))
    table = table_of(spark.read.parquet(str(path)))
    assert table.reset_index().to_numpy().tolist() == [
        [1, 6, 2, 13.75],
        [2, 2, 1, 2],
        [5, 67, 1, 4],
        [6, 7, 1, 3],
        [7, 2, 1, 6],
    ]
    orders = duckdb.read_parquet(str(path)).df()
    assert_same_table(table, rfm_table(orders[orders["revenue"] != np.inf]))
    undated = spark.read.parquet(str(path)).selectExpr("customer_id", "order_id", "revenue")
    undated = undated.selectExpr("*", "CAST(NULL AS DATE) AS order_date")
    with pytest.raises(InputError, match="There are no order dates"):
        rfm_table_lazy(undated)


@pytest.fixture(scope="module")
def order_files(tmp_path_factory):
    return write_order_lines(tmp_path_factory.mktemp("shop") / "lines", 5_000)


@needs_spark
@pytest.mark.parametrize("kind", ["numbers", "text"])
def test_the_queries_say_the_same_to_both_engines(spark, order_files, tmp_path, kind):
    path = tmp_path / "lines.parquet"
    named = "* REPLACE ('Käufer ' || customer_id AS customer_id)" if kind == "text" else "*"
    lines = duckdb.read_parquet(f"{order_files}/*/*.parquet")
    lines.query("lines", f"SELECT {named} FROM lines").write_parquet(str(path))  # noqa: S608
    held_out = "SELECT customer_id FROM logarithms WHERE held_out ORDER BY lot"

    frame = rfm_table_lazy(standard_columns(spark.read.parquet(str(path)))).to_native()
    frame.createOrReplaceTempView("rfm")
    spark.sql(LOGARITHMS)
    by_spark = [spark.sql(query).collect() for query in (held_out, JUDGES, CELLS)]
    with duckdb.connect() as connection:
        table = rfm_table_lazy(standard_columns(connection.read_parquet(str(path)))).to_native()
        table.to_table("rfm")
        connection.execute(LOGARITHMS)
        by_duckdb = [connection.execute(query).fetchall() for query in (held_out, JUDGES, CELLS)]

    assert [tuple(row) for row in by_spark[0]] == by_duckdb[0]
    assert 200 < len(by_duckdb[0]) < 450
    np.testing.assert_allclose(by_spark[1], by_duckdb[1], rtol=1e-9)
    ours, theirs = (np.array(cells, float) for cells in (by_spark[2], by_duckdb[2]))
    np.testing.assert_array_equal(ours[:, 3], theirs[:, 3])
    np.testing.assert_allclose(ours[:, :3], theirs[:, :3], rtol=0, atol=1e-9)
    np.testing.assert_allclose(cluster_cells(ours, 4)[0], cluster_cells(theirs, 4)[0], rtol=1e-6)


@needs_spark
def test_a_damaged_file_among_many_is_named_by_spark_too(spark, tmp_path):
    shop = write_order_lines(tmp_path / "lines", 500)
    (damaged,) = (shop / "month=6").iterdir()
    content = bytearray(damaged.read_bytes())
    content[4:-3_000] = b"\xff" * (len(content) - 3_004)
    damaged.write_bytes(content)
    lines = spark.read.parquet(str(shop))
    with pytest.raises(Exception, match=rf"month=6/{damaged.name}"):
        rfm_table_lazy(standard_columns(lines), "2025-01-01").to_native().collect()
