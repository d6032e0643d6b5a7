"""What is measured is what is said; clocks themselves are not tested."""

import datetime
import json
import multiprocessing
import os
import signal
import time
from functools import partial
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pytest

from helpers.fixtures import write_order_lines
from helpers.measurement import (
    SPARK_WAYS,
    WAYS,
    fit_costs,
    measure,
    read_measurements,
    write_measurements,
)
from helpers.scale import cluster_out_of_core
from helpers.segmentation import PROTOTYPES
from helpers.spark import why_absent
from helpers.text import InputError

LINES = 100_000
ROUTES = {
    "DuckDB, everybody": "everybody",
    "DuckDB, mini-batches": "batches",
    "DuckDB, cells": "cells",
}
MB = 1_000_000


def found():
    return {"inertia": 1.0, "segments": ["Champions"]}


def idle(parquet, folder):
    return found()


def broken(parquet, folder):
    raise KeyError("no such thing")


def mistaken(parquet, folder):
    raise InputError("The disk is full.")


def killed(parquet, folder):
    os.kill(os.getpid(), signal.SIGKILL)


def hungry(megabytes, parquet, folder):
    "Memory that is gone before anybody could look twice"
    np.ones(megabytes * MB, dtype=np.int8)
    return found()


def with_a_hungry_child(megabytes, parquet, folder):
    import subprocess
    import sys

    code = f"import time; held = b'1' * {megabytes * MB}; time.sleep(1)"
    subprocess.run([sys.executable, "-c", code], check=True)
    return found()


def talkative(parquet, folder):
    os.write(1, b"half way")
    return found()


def untidy(parquet, folder):
    import tempfile

    assert Path(tempfile.mkdtemp()).is_relative_to(folder)
    assert not list(folder.glob("*.parquet"))
    (folder / "clusters.parquet").write_text("x")
    return found()


def by_its_own_clock(parquet, folder):
    return found() | {"seconds": 1234.5, "start_seconds": 17.0}


def forgetful(marks, parquet, folder):
    "Fails in its second run"
    (marks / f"run-{len(list(marks.iterdir()))}").touch()
    if len(list(marks.iterdir())) > 1:
        raise InputError("Once was enough.")
    return found()


def noted(marks, name, parquet, folder):
    (marks / f"{len(list(marks.iterdir()))} {name}").touch()
    return found()


def slow(parquet, folder):
    time.sleep(0.3)
    return found()


def count(parquet, folder):
    lines = duckdb.read_parquet(f"{parquet}/**/*.parquet")
    counts = lines.aggregate("count(*), count(DISTINCT customer_id)").fetchall()[0]
    return found() | {"inertia": float(counts[0]), "segments": [str(counts[1])]}


@pytest.fixture
def here(monkeypatch):
    "No process for each run: when what runs does not depend on it"

    def call(folder, function, *arguments):
        try:
            return function(*arguments), None, 0
        except InputError as error:
            return None, str(error), 0

    monkeypatch.setattr("helpers.measurement._in_process", call)


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    "All ways but Spark's, as the benchmark runs them"
    folder = tmp_path_factory.mktemp("measure")
    ways = {way: WAYS[way] for way in WAYS if way not in SPARK_WAYS}
    seen = []
    result = measure([LINES], folder, ways, repeats=1, progress=seen.append)
    assert seen == result["runs"]
    assert not list(folder.iterdir())
    return result


@pytest.fixture(scope="module")
def inertias(tmp_path_factory):
    "What each route gives where nothing is measured"
    parquet = write_order_lines(
        tmp_path_factory.mktemp("lines") / "lines", LINES // 25, lines_per_order=5.1
    )
    return {
        way: cluster_out_of_core(parquet, 5, route=route).inertia for way, route in ROUTES.items()
    }


def rows(measured):
    return {row["way"]: row for row in measured["runs"]}


@pytest.mark.parametrize("way", ROUTES)
def test_a_way_is_its_route(measured, inertias, way):
    assert rows(measured)[way]["inertia"] == pytest.approx(inertias[way], abs=1e-6)


def test_pandas_finds_what_out_of_core_finds(measured):
    "And is judged by the same customers: others would differ in the third digit"
    ways = rows(measured)
    everybody = ways["DuckDB, everybody"]
    assert ways["pandas"]["inertia"] == pytest.approx(everybody["inertia"], rel=5e-4)
    assert ways["pandas"]["segments"] == everybody["segments"]
    assert ways["DuckDB, cells"]["inertia"] == pytest.approx(everybody["inertia"], rel=0.01)


def test_a_measurement_says_what_was_measured_where_and_when(measured):
    assert datetime.date.fromisoformat(measured["made"])
    assert measured["machine"]["cores"] == os.cpu_count()
    assert measured["machine"]["memory_gb"] > 0
    assert {"python", "duckdb", "pandas", "scikit-learn"} <= measured["versions"].keys()
    assert measured["skipped"] == {}
    assert [row["way"] for row in measured["runs"]] == [
        way for way in WAYS if way not in SPARK_WAYS
    ]
    for row in measured["runs"]:
        assert row["lines"] / row["customers"] == pytest.approx(25, rel=0.03)
        assert row["seconds"] > 0
        # Python with its libraries; the lines are a few megabytes.
        assert 50 < row["peak_mb"] < 2_000
        assert len({*row["segments"]} & {*PROTOTYPES.index}) == 5
        assert row["repeats"] == 1
        assert "start_seconds" not in row


def test_a_record_comes_back_as_it_was(measured, tmp_path):
    path = tmp_path / "data" / "measured.json"
    write_measurements(path, measured)
    assert read_measurements(path) == measured
    write_measurements(path, measured | {"skipped": {"pandas": "Zu groß."}})
    assert read_measurements(path)["skipped"] == {"pandas": "Zu groß."}
    assert [each.name for each in path.parent.iterdir()] == ["measured.json"]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"made": "yesterday"}',
        "\x00",
    ],
)
def test_what_is_no_record_is_named(tmp_path, text):
    path = tmp_path / "measured.json"
    path.write_text(text)
    with pytest.raises(InputError, match=r"measured\.json: not a recorded .*make bench"):
        read_measurements(path)


def test_a_wrong_row_is_named(measured, tmp_path):
    path = tmp_path / "measured.json"
    row = measured["runs"][0] | {"seconds": "long"}
    path.write_text(json.dumps(measured | {"runs": [row]}))
    with pytest.raises(InputError, match=r"runs: 0: seconds: .*number"):
        read_measurements(path)


def test_a_record_that_is_not_there_is_named(tmp_path):
    with pytest.raises(InputError, match=r"measured\.json: cannot be read.*make bench"):
        read_measurements(tmp_path / "measured.json")


def test_lines_are_as_many_as_asked_for(here, tmp_path):
    (row,) = measure([LINES], tmp_path, {"count": count}, repeats=1)["runs"]
    assert row["lines"] == row["inertia"]
    assert row["customers"] == LINES // 25
    assert int(row["segments"][0]) == pytest.approx(row["customers"], rel=0.01)


def test_a_way_above_its_limit_is_recorded_as_not_run(here, tmp_path):
    ways = {"idle": idle, "broken": broken}
    result = measure([3_000, 1_000, 2_000], tmp_path, ways, limits={"idle": 2_000, "broken": 0})
    assert [row["customers"] for row in result["runs"]] == [40, 80]
    assert result["skipped"]["idle"].startswith("Not run with more than 2,000 order lines")
    assert result["skipped"]["broken"].startswith("Not run with more than 0 order lines")


def test_pandas_is_not_run_where_it_would_not_fit(here, tmp_path, monkeypatch):
    free = type("Memory", (), {"available": 150_000, "total": 2**30})
    monkeypatch.setattr("psutil.virtual_memory", lambda: free)
    ways = {"pandas": idle, "idle": idle}
    result = measure([1_000, 2_000], tmp_path, ways, repeats=1)
    assert [row["way"] for row in result["runs"]] == ["pandas", "idle", "idle"]
    assert "1,000 order lines" in result["skipped"]["pandas"]


def test_failing_ways_do_not_ruin_the_others(tmp_path):
    ways = {"broken": broken, "mistaken": mistaken, "killed": killed, "idle": idle}
    result = measure([1_000, 2_000], tmp_path, ways, repeats=1)
    assert [row["way"] for row in result["runs"]] == ["idle", "idle"]
    failed = f"Failed with {result['runs'][0]['lines']:,} order lines: "
    assert result["skipped"]["broken"] == f"{failed}KeyError: 'no such thing'"
    assert result["skipped"]["mistaken"] == f"{failed}The disk is full."
    assert result["skipped"]["killed"].startswith(f"{failed}The process ended early (exit code -9)")
    assert not list(tmp_path.iterdir())


def test_what_was_measured_before_a_way_failed_stays(here, tmp_path):
    marks = tmp_path / "marks"
    marks.mkdir()
    ways = {"forgetful": partial(forgetful, marks)}
    result = measure([1_000, 2_000], tmp_path, ways, repeats=3)
    assert [row["repeats"] for row in result["runs"]] == [1]
    assert "Once was enough." in result["skipped"]["forgetful"]
    assert len(list(marks.iterdir())) == 2


def test_ways_take_turns(here, tmp_path):
    marks = tmp_path / "marks"
    marks.mkdir()
    measure([1_000], tmp_path, {name: partial(noted, marks, name) for name in "ab"}, repeats=2)
    assert sorted(mark.name for mark in marks.iterdir()) == ["0 a", "1 b", "2 a", "3 b"]


def test_a_way_that_took_long_enough_is_not_run_again(here, tmp_path):
    ways = {"slow": slow, "idle": idle}
    runs = measure([1_000], tmp_path, ways, repeats=3, enough_seconds=0.5)["runs"]
    assert [row["repeats"] for row in runs] == [2, 3]


def test_the_clock_of_a_way_that_has_its_own_is_taken(here, tmp_path):
    (row,) = measure([1_000], tmp_path, {"own": by_its_own_clock}, repeats=1)["runs"]
    assert (row["seconds"], row["start_seconds"]) == (1234.5, 17.0)


def test_memory_shows_in_the_process_and_in_what_it_starts(tmp_path):
    ways = {
        "idle": idle,
        "hungry": partial(hungry, 400),
        "with a hungry child": partial(with_a_hungry_child, 400),
    }
    idles, *others = measure([1_000], tmp_path, ways, repeats=1)["runs"]
    # Loading libraries takes some memory that is free again when a way begins.
    assert [300 < row["peak_mb"] - idles["peak_mb"] < 500 for row in others] == [True, True]


def test_memory_of_the_caller_does_not_count(tmp_path):
    "A process inherits the highest memory of the one that started it, if asked the usual way"
    held = np.ones(600 * MB, dtype=np.int8)
    (row,) = measure([1_000], tmp_path, {"idle": idle}, repeats=1)["runs"]
    assert row["peak_mb"] < held.nbytes / MB


def test_nothing_is_printed_or_left_behind(tmp_path, capfd):
    ways = {"talkative": talkative, "untidy": untidy}
    assert measure([1_000], tmp_path, ways, repeats=1)["skipped"] == {}
    assert capfd.readouterr() == ("", "")
    assert not list(tmp_path.iterdir())


def test_a_reader_who_stops_does_not_wait(tmp_path, monkeypatch):
    def stop(process):
        raise KeyboardInterrupt

    monkeypatch.setattr("helpers.measurement._resident", stop)
    with pytest.raises(KeyboardInterrupt):
        measure([1_000], tmp_path, {"idle": idle})
    assert not multiprocessing.active_children()
    assert not list(tmp_path.iterdir())


def test_lines_that_cannot_be_written_are_an_error(here, tmp_path, monkeypatch):
    monkeypatch.setattr("helpers.measurement._write_lines", mistaken)
    with pytest.raises(InputError, match="The disk is full"):
        measure([1_000], tmp_path, {"idle": idle})


def test_absent_spark_is_said_and_the_others_run(here, tmp_path, monkeypatch):
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    ways = dict(SPARK_WAYS, idle=idle)
    result = measure([1_000], tmp_path, ways, repeats=1)
    assert [row["way"] for row in result["runs"]] == ["idle"]
    assert result["skipped"] == dict.fromkeys(SPARK_WAYS, why_absent())
    assert result["skipped"]["Spark, cells"]


def test_nobody_asks_for_spark_who_does_not_measure_it(here, tmp_path, monkeypatch):
    monkeypatch.setattr("helpers.measurement.why_absent", lambda: pytest.fail("asked"))
    measure([1_000], tmp_path, {"idle": idle}, repeats=1)


@pytest.mark.skipif(why_absent() is not None, reason=str(why_absent()))
def test_spark_finds_what_we_find(tmp_path, inertias):
    result = measure([LINES], tmp_path, SPARK_WAYS, repeats=1)
    assert result["skipped"] == {}
    assert not list(tmp_path.iterdir())
    assert result["versions"]["pyspark"]
    cells, pipeline = (rows(result)[f"Spark, {name}"] for name in ("cells", "pipeline"))
    assert cells["inertia"] == pytest.approx(inertias["DuckDB, cells"], rel=1e-6)
    assert pipeline["inertia"] > 0.99 * inertias["DuckDB, everybody"]
    for row in (cells, pipeline):
        assert {*row["segments"]} <= {*PROTOTYPES.index}
        assert row["start_seconds"] > 0
        # Java is not in the process that is measured, but started by it.
        assert row["peak_mb"] > 400


def test_costs_are_told_apart_into_a_beginning_and_what_each_line_adds():
    lines = [1_000_000, 5_000_000, 20_000_000]
    runs = pd.DataFrame(
        {
            "way": ["steady"] * 3 + ["growing"] * 3 + ["short"] * 2,
            "lines": lines + lines + lines[:2],
            "seconds": [4.0, 12.0, 42.0, 1.0, 5.0, 20.0, 1.0, 2.0],
            "peak_mb": [300, 300, 300, 250, 450, 1200, 1, 2],
        }
    )
    fits = fit_costs(runs)
    assert fits.index.tolist() == ["steady", "growing"]
    expected = {"seconds to begin with": 2, "seconds a million lines": 2, "MB to begin with": 300}
    assert fits.loc["steady", [*expected]].to_dict() == pytest.approx(expected)
    assert fits.loc["steady", "MB a million lines"] == pytest.approx(0, abs=1e-9)
    assert fits.loc["growing", "MB a million lines"] == pytest.approx(50)
    assert fits.loc["growing", "exponent of time"] == pytest.approx(1)
    assert fits["largest"].tolist() == [20_000_000] * 2
    assert fit_costs(runs[runs["way"] == "short"]).empty
