"""The chapter on scale: every run, with other data and parameters, reads true."""

import json
import re

import duckdb
import nbformat
import pandas as pd
import pytest
from chapter_runs import assert_refused, markdown_outputs, run_chapter

from helpers.fixtures import ONE_CROWD, SHOPPERS, write_order_lines
from helpers.measurement import write_measurements

CHAPTER = "clustering_at_scale"
FEW = {"n_customers": 3_000}


def assert_page_agrees_with_exports(out, close=0.02):
    """
    Check what has to hold for every run; return the page's sentences, segments and record.

    How close cells come to everybody depends on the customers: None leaves it open.
    """
    notebook = nbformat.read(out / f"{CHAPTER}.ipynb", as_version=4)
    out = out / CHAPTER
    tables = {"customer_clusters.parquet", "segments.csv", "decision_table.csv", "measurements.csv"}
    assert {path.name for path in out.iterdir()} == {*tables, "cost.png", "run_record.json"}
    text = "\n".join(markdown_outputs(notebook))
    assert not re.search(r"\b(nan|NaN|None(?! of these )|inf)\b", text)
    record = json.loads((out / "run_record.json").read_text())
    segments = pd.read_csv(out / "segments.csv", index_col="segment")

    customers = duckdb.read_parquet(str(out / "customer_clusters.parquet")).df()
    assert len(customers) == customers["customer_id"].nunique() == record["metrics"]["customers"]
    counts = customers["segment"].value_counts()
    assert counts.to_dict() == segments["customers"].to_dict()
    assert len(segments) == record["decisions"]["n_clusters"]
    assert f"**{record['metrics']['lines']:,} order lines**" in text
    inertia = record["metrics"]["inertia"]
    assert close is None or inertia["cells"] == pytest.approx(inertia["everybody"], rel=close)
    return text, segments, record


def test_with_its_defaults_the_cells_are_as_good_as_everybody(tmp_path, monkeypatch):
    result = run_chapter(CHAPTER, tmp_path, monkeypatch)
    assert result.exit_code == 0, result.output
    text, segments, record = assert_page_agrees_with_exports(tmp_path)
    assert set(segments.index) == set(SHOPPERS.index)
    assert "**There is clear structure:**" in text
    assert "the result cannot be told from k-means on everybody" in text
    inertia = record["metrics"]["inertia"]
    assert inertia["mini-batches, sorted by date"] > 1.5 * inertia["everybody"]
    assert re.search(r"Sorted by date, .* is \d\.\d times as bad as k-means on everybody", text)
    assert inertia["mini-batches, shuffled"] < 1.05 * inertia["everybody"]
    assert record["inputs"]["orders"] == {"name": "generated"}


def few_measurements(path, sizes):
    """Write a record of a machine that measured little."""
    row = {"customers": 4, "inertia": 0.2, "segments": ["a"], "repeats": 1}
    runs = [
        {"way": way, "lines": lines, "seconds": lines / 1e6, "peak_mb": 300, **row}
        for way in ("pandas", "DuckDB, cells")
        for lines in sizes
    ]
    measured = {
        "made": "2026-01-31",
        "machine": {"processor": "abacus", "cores": 1, "memory_gb": 1, "system": "wood"},
        "versions": {"python": "3"},
        "runs": runs,
        "skipped": {"Spark, cells": "There is no Java."},
    }
    write_measurements(path, measured)
    return path


def assert_says_who_measured(text):
    assert "Measured on 2026-01-31: abacus, 1 core, 1 GB, wood" in text
    assert "Spark, cells: There is no Java." in text


def test_a_crowd_is_called_one_and_a_single_size_decides_nothing(tmp_path, monkeypatch):
    options = {
        "orders": write_order_lines(tmp_path / "crowd", 3_000, segments=ONE_CROWD),
        "n_clusters": 3,
        "measurements": few_measurements(tmp_path / "few.json", [100]),
    }
    result = run_chapter(CHAPTER, tmp_path / "out", monkeypatch, **options)
    assert result.exit_code == 0, result.output
    text, _, record = assert_page_agrees_with_exports(tmp_path / "out")
    assert "**There are no clear clusters:**" in text
    assert "asks for K = 3" in text
    assert record["inputs"]["orders"]["folder"] == "crowd"
    assert_says_who_measured(text)
    assert "nothing to decide from" in text


def own_lines(path, n_customers=900):
    """Write order lines with text ids and names of their own."""
    duckdb.sql(
        f"SELECT 'K' || (i % {n_customers})::TEXT AS client, i AS receipt, 1 + i % 3 AS pieces, "  # noqa: S608
        "TIMESTAMP '2024-01-01 23:59:00' + to_days(((i * 7919) % 330)::INTEGER) AS moment, "
        "(5 + i % 90)::DECIMAL(9, 2) AS price FROM range(6000) AS t(i)"
    ).write_parquet(str(path))
    return path


OWN = (
    "{customer_id: client, order_id: receipt, order_date: moment, "
    "quantity: pieces, unit_price: price}"
)


def test_a_file_with_other_names_and_measurements_of_another_machine(tmp_path, monkeypatch):
    options = {
        "orders": own_lines(tmp_path / "mine.parquet"),
        "columns": OWN,
        "n_clusters": 2,
        "snapshot": "2025-03-01",
        "measurements": few_measurements(tmp_path / "few.json", [10**6, 10**7, 10**8]),
    }
    result = run_chapter(CHAPTER, tmp_path / "out", monkeypatch, **options)
    assert result.exit_code == 0, result.output
    text, _, record = assert_page_agrees_with_exports(tmp_path / "out")
    assert "**900 customers with sales**" in text
    assert record["inputs"]["orders"]["file"] == "mine.parquet"
    assert "generated" not in text
    assert_says_who_measured(text)
    assert "this one**, within these limits: **pandas** for" in text


def damaged(tmp_path):
    for name in ("april", "may", "june"):
        own_lines(tmp_path / f"{name}.parquet")
    content = (tmp_path / "may.parquet").read_bytes()
    (tmp_path / "may.parquet").write_bytes(content[:4] + b"\xff" * 900 + content[904:])
    return {"orders": tmp_path, "columns": OWN}


def incomplete(tmp_path):
    own_lines(tmp_path / "april.parquet")
    duckdb.sql("SELECT 1 AS client, 2 AS receipt").write_parquet(str(tmp_path / "may.parquet"))
    return {"orders": tmp_path, "columns": OWN}


def test_what_cannot_be_used_is_refused(tmp_path):
    for name in ("damaged", "incomplete"):
        (tmp_path / name).mkdir()
    own = own_lines(tmp_path / "x.parquet")
    few = own_lines(tmp_path / "few.parquet", 400)
    cases = [
        (damaged(tmp_path / "damaged"), "may.parquet: cannot be read"),
        (incomplete(tmp_path / "incomplete"), "may.parquet: no column"),
        ({"orders": own}, "no column customer_id"),
        ({"orders": few, "columns": OWN}, "For fewer than 500"),
        ({"n_customers": 1}, "n_customers is 1. Use a whole number from 2,000"),
        ({"n_clusters": 11}, "n_clusters is 11. Use 2 to 10"),
        ({"memory_limit": "lots"}, "memory_limit='lots' is no size"),
        ({"snapshot": "soon"}, "snapshot 'soon' is not a day"),
        ({"columns": "{revenue: x}"}, "Give orders a file or a folder"),
        ({"measurements": own}, "x.parquet: cannot be read"),
    ]
    cases = [({**FEW, **parameters}, [fragment]) for parameters, fragment in cases]
    assert_refused(CHAPTER, tmp_path, cases)


def test_what_is_refused_stops_the_command_and_leaves_nothing(tmp_path, monkeypatch):
    (tmp_path / "given").mkdir()
    for parameters, fragment in [
        (damaged(tmp_path / "given"), "may.parquet: cannot be read"),
        ({"orders": "generatd"}, "generated"),
        ({"memory_limit": "1MB", **FEW}, "memory_limit='1MB' is too small"),
    ]:
        result = run_chapter(CHAPTER, tmp_path / "out", monkeypatch, **parameters)
        assert result.exit_code == 2, result.output
        assert fragment in result.output
        assert not (tmp_path / "out").exists()
