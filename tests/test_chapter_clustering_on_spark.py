"""The chapter on Spark: it reads true, and a cluster that loses a machine gives the same."""

import json
import re
import subprocess
import sys

import duckdb
import nbformat
import pytest
from chapter_runs import ROOT, assert_refused, markdown_outputs, run_chapter
from spark_cluster import cluster, wait_until

from helpers.spark import why_absent

CHAPTER = "clustering_on_spark"
SMALL = {"n_customers": 3_000, "n_clusters": 4}

pytestmark = [
    pytest.mark.xdist_group("spark"),
    pytest.mark.skipif(why_absent() is not None, reason=str(why_absent())),
]


def results(out):
    """Check what has to hold for every run; return the page's sentences and the record."""
    notebook = nbformat.read(out / f"{CHAPTER}.ipynb", as_version=4)
    out = out / CHAPTER
    names = {"segments.csv", "comparison.csv", "cost.png", "run_record.json"}
    assert {path.name for path in out.iterdir()} == names
    text = "\n".join(markdown_outputs(notebook))
    assert not re.search(r"\b(nan|NaN|None|inf)\b", text)
    return text, json.loads((out / "run_record.json").read_text())


@pytest.fixture(scope="module")
def local(tmp_path_factory):
    """Return the page and the record of a run on this machine."""
    out = tmp_path_factory.mktemp("local")
    with pytest.MonkeyPatch.context() as monkeypatch:
        result = run_chapter(CHAPTER, out, monkeypatch, spark_master="local[1]", **SMALL)
    assert result.exit_code == 0, result.output
    return results(out)


def test_all_routes_agree_and_the_page_says_so(local):
    text, record = local
    inertia = record["metrics"]["inertia"]
    assert inertia["Spark, cells"] == pytest.approx(inertia["one machine, cells"], abs=1e-6)
    assert inertia["Spark, cells"] == pytest.approx(inertia["one machine, everybody"], rel=0.02)
    assert inertia["Spark, pipeline"] >= 0.98 * inertia["one machine, everybody"]
    assert "customers** in both engines" in text
    assert "asks for **K = 4**" in text
    assert "**0.850** in Spark and **0.681** in scikit-learn" in text


def test_a_cluster_that_loses_a_worker_in_the_middle_gives_the_same(local, tmp_path):
    out = tmp_path / "out"
    with cluster(tmp_path) as running:
        options = {**SMALL, "spark_master": running.master}
        course = [sys.executable, "-c", "from helpers.course.cli import main; main()"]
        course += ["run", CHAPTER, "--out", str(out)]
        course += [f"-p{name}={value}" for name, value in options.items()]
        with subprocess.Popen(course, cwd=ROOT, stdout=-1, stderr=-2, text=True) as run:
            try:
                wait_until(
                    lambda: min(map(running.finished_tasks, ("worker-1", "worker-2"))) > 20,
                    "work on both workers",
                )
                running.kill(2)
                assert run.poll() is None, "the chapter was done before the worker was lost"
                done = running.finished_tasks("worker-1")
                said, _ = run.communicate(timeout=600)
            finally:
                run.kill()
        assert run.returncode == 0, said
        assert running.alive() == 1
        assert running.finished_tasks("worker-1") > done + 20
    _, record = results(out)
    _, before = local
    assert record["metrics"] == before["metrics"]


def test_files_of_your_own_with_other_names(tmp_path, monkeypatch):
    folder = tmp_path / "lines"
    folder.mkdir()
    duckdb.sql(
        "SELECT 'K' || (i % 900)::TEXT AS client, i AS receipt, 1 + i % 3 AS pieces, "
        "DATE '2024-01-01' + ((i * 7919) % 330)::INTEGER AS day, 5.0 + i % 90 AS price "
        "FROM range(6000) AS t(i)"
    ).write_parquet(str(folder / "all.parquet"))
    columns = (
        "{customer_id: client, order_id: receipt, order_date: day, "
        "quantity: pieces, unit_price: price}"
    )
    options = {"orders": folder, "columns": columns, "n_clusters": 3, "spark_master": "local[2]"}
    result = run_chapter(CHAPTER, tmp_path / "out", monkeypatch, **options)
    assert result.exit_code == 0, result.output
    text, record = results(tmp_path / "out")
    assert "**6,000 order lines have become 900 customers** in both engines" in text
    assert record["metrics"]["customers"] == 900
    assert "generated" not in text


def test_a_parameter_out_of_range_is_refused(tmp_path):
    cases = [
        ({"n_clusters": 1}, "n_clusters is 1. Use 2 to 10"),
        ({"n_customers": 10}, "n_customers is 10. Use a whole number from 2,000"),
        ({"columns": "{revenue: x}"}, "Give orders a file or a folder"),
        ({"spark_master": "spark://127.0.0.1:9"}, "nobody answers at spark://127.0.0.1:9"),
    ]
    cases = [(parameters, [fragment]) for parameters, fragment in cases]
    assert_refused(CHAPTER, tmp_path, cases)


def test_what_is_refused_stops_the_command_and_leaves_nothing(tmp_path, monkeypatch):
    result = run_chapter(CHAPTER, tmp_path / "out", monkeypatch, spark_master="lokal")
    assert result.exit_code == 2, result.output
    assert "Spark does not start with spark_master = 'lokal'" in result.output
    assert not (tmp_path / "out").exists()
