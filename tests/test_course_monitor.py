import errno
import importlib.metadata
import json
import os
import re
import shutil
from html.parser import HTMLParser
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from sklearn.cluster import KMeans
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from helpers.anomalies import DensityDetector, flow_features
from helpers.course import monitor
from helpers.course.cli import main
from helpers.drift import DriftMonitor, strength
from helpers.export import model_card, run_record, write_csv, write_model
from helpers.fixtures import ATTACKS, CHANGED_SHOP, network_traffic, order_history
from helpers.segmentation import CustomerSegmenter, rfm_window

DAYS, LAST_DAY = 90, "2023-12-31"
REPORT = {"drift_report.html", "drift_report.json"}
EVIL = "<script>alert(1)</script>"


def course(*words):
    return CliRunner().invoke(main, ["monitor", *map(str, words)])


def save(model, path, reference=None, versions=None, **texts):
    """Write a model with its card; versions are those it says it was written with."""
    record = run_record(
        inputs={}, parameters={"k": 4}, metrics={"rows": 7}, decisions={"k": f"It is {EVIL}."}
    )
    record["versions"] |= versions or {}
    texts = {"purpose": "Tell groups apart.", "limits": ["Knows one shop."], **texts}
    return write_model(model, path, model_card(model, record, reference=reference, **texts))


def dated(orders):
    return orders.assign(order_date=pd.to_datetime(orders["order_date"]))


def last_days(orders, last_day=None):
    orders = dated(orders)
    return rfm_window(orders, last_day or orders["order_date"].max(), DAYS)


def blobs(sizes, seed, prefix="C"):
    """Three groups far apart, in these sizes, with a name on every row."""
    rng = np.random.default_rng(seed)
    centers = np.repeat([[0.0, 0.0], [10.0, 0.0], [0.0, 10.0]], sizes, axis=0)
    table = pd.DataFrame(centers + rng.normal(size=centers.shape), columns=["x", "y"])
    return table.set_index(
        pd.Index([f"{prefix}{i:04d}" for i in range(len(table))], name="customer_id")
    )


@pytest.fixture(scope="module")
def steady():
    return order_history()[0]


@pytest.fixture(scope="module")
def changing():
    return order_history(changed=CHANGED_SHOP)[0]


@pytest.fixture(scope="module")
def segmenter(steady):
    return CustomerSegmenter(4).fit(last_days(steady, LAST_DAY))


@pytest.fixture(scope="module")
def made(tmp_path_factory, steady, changing, segmenter):
    """Folder of models, their references, and tables that come in."""
    folder = tmp_path_factory.mktemp("made")
    table = write_csv(last_days(steady, LAST_DAY).reset_index(), folder / "customers.csv")
    reference = {"table": table, "days": DAYS, "last_day": LAST_DAY}
    save(segmenter, folder / "shop.skops", reference)
    steady.to_csv(folder / "steady.csv", index=False)
    changing.to_csv(folder / "changing.csv", index=False)

    before = blobs([200, 200, 200], 0)
    table = write_csv(before.reset_index(), folder / "blobs.csv")
    model = make_pipeline(StandardScaler(), KMeans(3, random_state=0)).fit(before)
    save(model, folder / "blobs.skops", {"table": table})
    blobs([190, 200, 210], 1).to_csv(folder / "alike.csv")
    blobs([400, 100, 100], 1).to_csv(folder / "shifted.csv")

    flows = network_traffic(attacks=ATTACKS[:0])
    flows[:4000].to_csv(folder / "first_half.csv", index=False)
    flows[4000:].to_csv(folder / "second_half.csv", index=False)
    model = make_pipeline(StandardScaler(), DensityDetector())
    save(model.fit(flow_features(flows[:4000]).dropna()), folder / "office.skops")
    return folder


@pytest.fixture
def here(made, tmp_path, monkeypatch):
    """Work in a folder with a copy of the files."""
    folder = shutil.copytree(made, tmp_path / "here")
    monkeypatch.chdir(folder)
    return folder


def written(folder):
    return {path.name for path in folder.iterdir()} & REPORT


def record(folder):
    return json.loads((folder / "drift_report.json").read_text(encoding="utf-8"))


def page(folder):
    return (folder / "drift_report.html").read_text(encoding="utf-8")


def refused(result, *messages):
    """Whether it ended with one message on stderr and nothing else."""
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    for message in messages:
        assert message in result.stderr
    return True


# The decision


@pytest.mark.parametrize(
    ("words", "code", "line"),
    [
        (["shop.skops", "steady.csv"], 0, "keep: nothing has changed that is both detectable and"),
        (["blobs.skops", "alike.csv"], 0, "keep: nothing has changed that is both detectable and"),
        (["blobs.skops", "shifted.csv"], 3, "watch: "),
        (["shop.skops", "changing.csv"], 4, "refit: "),
        (
            ["shop.skops", "changing.csv", "--last-day", "2024-06-30"],
            0,
            "keep: nothing has changed that is both detectable and",
        ),
    ],
)
def test_the_decision_is_the_exit_code_and_one_line(here, words, code, line):
    result = course(*words)
    assert (result.exit_code, result.stderr) == (code, "")
    assert result.stdout.startswith(line)
    assert result.stdout.endswith(". Report: drift_report.html\n")
    assert result.stdout.count("\n") == 1
    assert written(here) == REPORT
    assert record(here)["decision"] == line.partition(":")[0]


def evidence(folder):
    return pd.DataFrame(record(folder)["evidence"]).set_index("test")


def test_a_refit_names_the_rows_outside(here):
    line = course("shop.skops", "changing.csv").stdout
    outside = evidence(here).loc["rows outside the radius"]
    assert outside["counts"]
    assert line.startswith(f"refit: {outside['value']:.1%} of the rows lie outside the reference")


def test_flows_are_compared_by_their_features(here):
    words = ["office.skops", "second_half.csv", "--reference", "first_half.csv"]
    result = course(*words)
    assert (result.exit_code, result.stderr) == (0, "")
    flows = pd.read_csv("second_half.csv")
    left_out = int(flows["duration"].isna().sum())
    assert left_out > 0
    assert record(here)["current"]["left_out"] == left_out
    assert record(here)["current"]["rows"] == len(flows) - left_out
    assert f"{left_out} left out for missing values" in page(here)


def test_flows_of_another_kind_call_for_a_refit(here):
    flows = pd.read_csv("second_half.csv")
    many = flows.sample(400, random_state=0)
    flood = many.assign(bytes_sent=8_000_000, bytes_received=0, packets_received=0, duration=9)
    pd.concat([flows, flood]).to_csv("flood.csv", index=False)
    result = course("office.skops", "flood.csv", "--reference", "first_half.csv")
    assert result.exit_code == 4
    assert "of the rows lie outside the reference radius" in result.stdout


def test_a_watch_names_the_strongest_evidence(here):
    line = course("blobs.skops", "shifted.csv").stdout
    counting = evidence(here)[evidence(here)["counts"]]
    strongest = strength(counting).idxmax()
    assert len(counting) > 1
    assert strongest != counting.index[0]
    assert line.lower().startswith(f"watch: {strongest}: psi ")


def test_a_refit_for_clusters_that_moved_says_so(here):
    # Nothing leaves the square, but its middle fills, so that four centres stand differently.
    rng = np.random.default_rng(0)
    before = pd.DataFrame(rng.uniform(-1, 1, size=(2000, 2)), columns=["x", "y"])
    save(KMeans(4, random_state=0).fit(before), here / "square.skops")
    before.to_csv("before.csv", index=False)
    before.assign(x=before["x"] ** 3).to_csv("after.csv", index=False)
    result = course("square.skops", "after.csv", "--reference", "before.csv")
    assert result.exit_code == 4
    assert result.stdout.startswith("refit: A refit puts ")


def test_a_line_holds_nothing_that_moves_the_cursor(here):
    name = "x\x1b[2J\ny"
    rng = np.random.default_rng(0)
    before = pd.DataFrame({name: rng.normal(size=600), "z": np.repeat([0, 50], 300)})
    save(KMeans(2, random_state=0).fit(before), here / "odd.skops")
    write_csv(before, "before.csv")
    write_csv(before.assign(**{name: before[name].abs()}), "after.csv")
    result = course("odd.skops", "after.csv", "--reference", "before.csv")
    assert result.stdout.casefold().startswith("watch: x [2j y: psi ")
    assert result.stdout.count("\n") == 1


# What it reads


def test_columns_have_the_names_of_the_file_and_any_order(here, steady):
    names = {"customer_id": "Client", "order_date": "Day", "revenue": "Amount"}
    shuffled = steady.rename(columns=names)[["Amount", "Day", "order_id", "Client"]]
    shuffled.to_csv("mine.csv", index=False)
    mapping = "{customer_id: Client, order_date: Day, revenue: Amount}"
    assert course("shop.skops", "mine.csv", "--columns", mapping).exit_code == 0
    mine = record(here)
    assert course("shop.skops", "steady.csv").exit_code == 0
    assert mine["evidence"] == record(here)["evidence"]


def test_a_table_of_the_features_will_do_in_any_order_of_its_columns(here, changing):
    now = last_days(changing).reset_index()
    now[["monetary", "customer_id", "recency", "frequency"]].to_csv("now.csv", index=False)
    assert course("shop.skops", "now.csv").exit_code == 4
    from_table = record(here)
    assert from_table["current"]["kind"] == "table of features"
    assert course("shop.skops", "changing.csv").exit_code == 4
    from_lines = record(here)
    for part in ("evidence", "shares", "transitions", "clusters"):
        assert from_table[part] == from_lines[part]


def test_a_table_may_have_names_of_its_own(here):
    table = pd.read_csv("shifted.csv").rename(columns={"customer_id": "Who", "x": "Width"})
    table.to_csv("mine.csv", index=False)
    result = course("blobs.skops", "mine.csv", "--columns", "{customer_id: Who, x: Width}")
    assert result.exit_code == 3
    assert record(here)["transitions"] is not None


def test_rows_without_a_name_have_no_transitions(here):
    pd.read_csv("shifted.csv").drop(columns="customer_id").to_csv("mine.csv", index=False)
    assert course("blobs.skops", "mine.csv").exit_code == 3
    assert record(here)["transitions"] is None
    assert "Rows of both tables" not in page(here)


def test_names_are_text_and_those_of_a_spreadsheet_formula_are_found_again(here):
    ids = ["007", "7", "=1+1", "-x", *(f"C{i}" for i in range(596))]
    before = blobs([200, 200, 200], 0).set_index(pd.Index(ids, name="customer_id"))
    table = write_csv(before.reset_index(), here / "before.csv")
    save(KMeans(3, random_state=0).fit(before), here / "named.skops", {"table": table})
    before.to_csv("after.csv")
    assert course("named.skops", "after.csv").exit_code == 0
    transitions = pd.DataFrame(record(here)["transitions"]).set_index("was")
    assert transitions["gone"].sum() == 0
    assert transitions.loc["new"].sum() == 0
    assert transitions.to_numpy().sum() == 600


def test_the_period_is_as_long_as_that_of_the_reference_and_ends_with_the_last_order(here):
    assert course("shop.skops", "steady.csv").exit_code == 0
    found = record(here)
    assert found["current"]["days"] == found["reference"]["days"] == DAYS
    assert found["current"]["last_day"] == "2024-12-31"
    assert found["reference"]["last_day"] == LAST_DAY
    assert course("shop.skops", "steady.csv", "--last-day", "2024-03-31").exit_code == 0
    assert record(here)["current"]["last_day"] == "2024-03-31"


def test_another_reference_may_be_of_any_kind(here, steady):
    mine = steady.rename(columns={"customer_id": "Client"})
    mine[mine["order_date"] <= LAST_DAY].to_csv("before.csv", index=False)
    mine.to_csv("mine.csv", index=False)
    columns = ["--columns", "{customer_id: Client}"]
    (here / "customers.csv").unlink()
    words = ["shop.skops", "mine.csv", *columns]
    assert course(*words, "--reference", "before.csv").exit_code == 0
    found = record(here)
    assert found["reference"]["kind"] == "order lines"
    assert found["reference"]["last_day"] == LAST_DAY
    last_days(steady, LAST_DAY).to_csv("table.csv")
    assert course(*words, "--reference", "table.csv").exit_code == 0
    assert record(here)["evidence"] == found["evidence"]
    assert record(here)["transitions"] == found["transitions"]


def test_periods_and_alpha_set_the_rate_of_false_alarms(here):
    assert course("blobs.skops", "alike.csv", "--periods", 52, "--alpha", 0.01).exit_code == 0
    assert "1% or less of series of 52 checks" in record(here)["rule"]


# What it says


def test_the_record_is_the_report_with_what_was_compared(here, segmenter, steady, changing):
    assert course("shop.skops", "changing.csv").exit_code == 4
    expected = DriftMonitor(segmenter, last_days(steady, LAST_DAY)).check(last_days(changing))
    found = record(here)
    for part in ("model", "reference", "current", "card"):
        compared = found.pop(part)
        if part != "card":
            name = {"model": "shop.skops", "reference": "customers.csv", "current": "changing.csv"}
            assert compared["file"] == name[part]
            assert compared["sha256"] == monitor._sha256(here / name[part])
    assert found == json.loads(json.dumps(expected.to_dict()))


class Page(HTMLParser):
    """Elements of a page with their attributes, and whether they are closed in order."""

    VOID = frozenset({"meta", "img", "br"})

    def __init__(self, text):
        super().__init__()
        self.elements, self.open, self.text = [], [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)

    def all(self, *tags):
        return [attributes for tag, attributes in self.elements if tag in tags]


def test_the_page_is_whole_without_any_other_file_or_program(here):
    course("shop.skops", "changing.csv")
    assert page(here).startswith("<!DOCTYPE html>\n")
    found = Page(page(here))
    tags = [tag for tag, _ in found.elements]
    assert found.all("html") == [{"lang": "en"}]
    assert found.all("script", "link", "iframe", "object", "form", "a") == []
    attributes = {name for _, given in found.elements for name in given}
    assert not [name for name in attributes if name.startswith("on")] + [*attributes & {"style"}]
    assert "http" not in page(here).replace("http-equiv", "")
    levels = [int(tag[1]) for tag in tags if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))
    assert {given["scope"] for given in found.all("th")} == {"col", "row"}
    assert len(found.all("caption")) == len(found.all("table"))


def quartiles(report, feature):
    (row,) = (row for row in report["features"] if row["feature"] == feature)
    return [value for name, value in row.items() if name != "feature"]


def test_the_page_says_what_the_report_says(here):
    course("shop.skops", "changing.csv")
    report, text = record(here), " ".join("".join(Page(page(here)).text).split())
    assert "Refit shop.skops" in text
    for said in [*report["reasons"], report["rule"]]:
        assert said in text
    for part in ("model", "reference", "current"):
        assert report[part]["file"] in text
        assert report[part]["sha256"] in text
    assert f"order lines: {report['n_current']} rows, 90 days, up to 2024-12-31" in text
    for row in report["shares"]:
        assert f"{row['cluster']}{row['reference']:.1%}{row['current']:.1%}" in text
    for row in report["clusters"]:
        assert f"{row['old']}{row['fate']}{row['new']}{row['overlap']:.0%}" in text
    for row in report["evidence"]:
        value = f"{row['value']:.1%}" if row["measure"] == "share" else f"{row['value']:.3f}"
        assert f"{row['test']}{row['measure']}{value}" in text
        detectable, counts = ("yes" if row[name] else "no" for name in ("detectable", "counts"))
        assert f"{detectable}{'yes' if row['material'] else 'no'}{counts}" in text
    assert "recency" + "".join(f"{value:,.4g}" for value in quartiles(report, "recency")) in text
    assert "Tell groups apart." in text
    assert "Knows one shop." in text
    assert "numpy" in text


def test_figures_have_texts_that_say_what_they_show(here):
    course("shop.skops", "changing.csv")
    found = record(here)
    tests, shares, features = Page(page(here)).all("img")
    for image in (tests, shares, features):
        assert image["src"].startswith("data:image/svg+xml;base64,")
    for test, value in strength(pd.DataFrame(found["evidence"]).set_index("test")).items():
        assert f"{test} {value:.2f}" in tests["alt"]
    for row in found["shares"]:
        then, now = row["reference"], row["current"]
        assert f"{row['cluster']} {then:.1%} then and {now:.1%} now" in shares["alt"]
    assert all(name in features["alt"] for name in ("recency", "frequency", "monetary"))


def test_html_in_names_does_no_harm(here):
    before = blobs([200, 200, 200], 0).rename(columns={"x": EVIL, "y": '"><img src=x onerror=y>'})
    table = before.rename(index={"C0000": EVIL}).reset_index()
    table.to_csv(f"{EVIL.replace('/', '')}.csv", index=False)
    (here / "a<b>.csv").write_bytes((here / f"{EVIL.replace('/', '')}.csv").read_bytes())
    save(
        KMeans(3, random_state=0).fit(before),
        here / "<b>.skops",
        {"table": here / "a<b>.csv"},
        purpose=f"It is {EVIL}.",
        limits=[EVIL],
    )
    result = course("<b>.skops", "a<b>.csv")
    assert (result.exit_code, result.stderr) == (0, "")
    harmless = Page(page(here))
    assert len(harmless.all("img")) == 3
    assert harmless.all("script", "b") == []
    # As a feature in tables, in the card, and in its decisions.
    assert "".join(harmless.text).count(EVIL) >= 5
    assert {name for given in harmless.all("img") for name in given} == {"src", "alt"}


def test_the_same_files_give_the_same_bytes(here):
    for out in ("one", "two"):
        assert course("shop.skops", "changing.csv", "--out", out).exit_code == 4
    for name in REPORT:
        assert (here / "one" / name).read_bytes() == (here / "two" / name).read_bytes()


def test_the_report_goes_into_a_folder(here):
    result = course("blobs.skops", "alike.csv", "--out", "a/b")
    assert result.stdout.endswith("Report: a/b/drift_report.html\n")
    assert {path.name for path in (here / "a" / "b").iterdir()} == REPORT
    assert written(here) == set()


def test_quiet_prints_nothing(here):
    for data, code in (("alike.csv", 0), ("shifted.csv", 3)):
        result = course("blobs.skops", data, "--quiet")
        assert (result.exit_code, result.output) == (code, "")
    assert written(here) == REPORT


def test_quiet_or_not_an_error_is_told(here):
    assert refused(course("blobs.skops", "alik.csv", "--quiet"), "nearest: 'alike.csv'")


def test_a_model_of_an_older_version_is_checked_with_a_warning(here, segmenter):
    reference = {"table": here / "customers.csv", "days": DAYS}
    save(segmenter, here / "old.skops", reference, versions={"scikit-learn": "1.0.2"})
    result = course("old.skops", "steady.csv")
    assert result.exit_code == 0
    assert result.stderr.startswith("old.skops: was written with scikit-learn 1.0.2 (installed")
    assert result.stderr.count("\n") == 1
    assert result.stdout.startswith("keep: ")
    (warning,) = record(here)["model"]["warnings"]
    assert warning in "".join(Page(page(here)).text)


def test_help_shows_an_example_and_the_exit_codes():
    text = course("--help").output
    assert "course monitor results/customer_segmentation/customer_segmenter.skops" in text
    for code, meaning in (("0", "keep"), ("3", "watch"), ("4", "refit"), ("2", "error")):
        assert f"{code}  {meaning}" in text


# What it refuses: exit code 2, a message, and no report


@pytest.mark.parametrize(
    ("words", "messages"),
    [
        (["shp.skops", "steady.csv"], ["shp.skops: no such file in '.' (nearest: 'shop.skops')"]),
        (["steady.csv", "steady.csv"], ["steady.csv: is not a model of this course"]),
        (["shop.skops", "stedy.csv"], ["stedy.csv: no such file in '.' (nearest: 'steady.csv')"]),
        (["shop.skops", "shop.skops"], ["shop.skops: this is an Excel workbook or a zip archive"]),
        (["shop.skops", "."], ["this is a folder"]),
        (["shop.skops", "blobs.csv"], ["no column 'order_id'", "The file has: customer_id, x, y"]),
        (["blobs.skops", "steady.csv"], ["no column 'x'", "no column 'y'"]),
        (["shop.skops", "steady.csv", "--reference", "no.csv"], ["no.csv: no such file"]),
        (["shop.skops", "steady.csv", "--last-day", "2023-12-01"], ["steady.csv: 90 days up to"]),
        (["shop.skops", "steady.csv", "--last-day", "2025-06-01"], ["steady.csv: 90 days up to"]),
        (["shop.skops", "steady.csv", "--last-day", "1 May"], ["'1 May' does not match"]),
        (["blobs.skops", "alike.csv", "--last-day", "2024-05-01"], ["Leave out --last-day"]),
        (["office.skops", "second_half.csv"], ["office.skops: its card names no table", "FILE"]),
        (["shop.skops", "steady.csv", "--columns", "{a: b}"], ["columns= has no 'a'"]),
        (["shop.skops", "steady.csv", "--columns", "{"], ["--columns, line 1: "]),
        (["shop.skops", "steady.csv", "--columns", "[a]"], ["--columns takes", "not ['a']"]),
        (["shop.skops", "steady.csv", "--columns", "{revenue: 2024}"], ["--columns takes"]),
        (["shop.skops", "steady.csv", "--columns", "{1: a}"], ["--columns takes"]),
        (["shop.skops", "steady.csv", "--columns", ""], ["--columns takes"]),
        (
            ["shop.skops", "steady.csv", "--columns", "{revenue: Revenue}"],
            ["no column 'Revenue' (nearest: 'revenue')"],
        ),
        (["blobs.skops", "alike.csv", "--columns", "{order_id: x}"], ["has no 'order_id'"]),
        (["shop.skops", "steady.csv", "--out", "steady.csv/x"], ["'steady.csv' is a file"]),
        (["shop.skops", "steady.csv", "--periods", "0"], ["0 is not in the range"]),
        (["shop.skops", "steady.csv", "--alpha", "1"], ["1.0 is not in the range"]),
        (["shop.skops", "steady.csv", "--alpha", "nan"], ["alpha=nan"]),
        (["shop.skops"], ["Missing argument 'DATA'"]),
    ],
)
def test_what_cannot_be_used_exits_2_with_a_message_and_writes_nothing(here, words, messages):
    before = {path: path.read_bytes() for path in here.iterdir()}
    assert refused(course(*words), *messages)
    assert {path: path.read_bytes() for path in here.iterdir()} == before


def test_an_altered_model_is_refused(here):
    content = (here / "shop.skops").read_bytes()
    (here / "shop.skops").write_bytes(content.replace(b"Tell groups", b"Sell groups"))
    assert refused(course("shop.skops", "steady.csv"), "shop.skops: ")


def test_a_type_that_is_not_the_courses_own_is_refused(here):
    before = blobs([200, 200, 200], 0)
    model = make_pipeline(FunctionTransformer(blobs), KMeans(3, random_state=0))
    model.steps[0][1].func = None
    model.fit(before)
    model.steps[0][1].func = blobs
    save(model, here / "alien.skops", {"table": here / "blobs.csv"})
    assert refused(course("alien.skops", "alike.csv"), "alien.skops: holds ", "blobs", "to trust")


def test_a_model_of_newer_versions_is_refused(here, segmenter):
    save(segmenter, here / "new.skops", versions={"scikit-learn": "99.0"})
    installed = importlib.metadata.version("scikit-learn")
    message = f"new.skops: was written with scikit-learn 99.0 (installed: {installed})"
    assert refused(course("new.skops", "steady.csv"), message)


def test_a_model_that_has_no_clusters_is_refused(here):
    table = blobs([200, 200, 200], 0)
    save(LinearRegression().fit(table, table["x"]), here / "line.skops", {"table": "blobs.csv"})
    assert refused(course("line.skops", "alike.csv"), "line.skops: LinearRegression has neither")


def test_a_model_without_names_of_features_is_refused(here):
    table = blobs([200, 200, 200], 0).to_numpy()
    save(KMeans(3).fit(table), here / "bare.skops", {"table": "blobs.csv"})
    message = "bare.skops: was fitted without names of features"
    assert refused(course("bare.skops", "alike.csv"), message)


def test_an_altered_reference_is_refused(here):
    with (here / "customers.csv").open("a") as file:
        file.write("C99999,1,1,1.0\n")
    messages = "customers.csv: was altered since shop.skops was fitted on it", "--reference FILE"
    assert refused(course("shop.skops", "steady.csv"), *messages)
    assert course("shop.skops", "steady.csv", "--reference", "customers.csv").exit_code == 0


def test_a_reference_that_is_not_there_is_refused(here):
    (here / "customers.csv").rename(here / "elsewhere.csv")
    messages = "customers.csv: this table, on which shop.skops was fitted, is not beside it", "FILE"
    assert refused(course("shop.skops", "steady.csv"), *messages)
    assert course("shop.skops", "steady.csv", "--reference", "elsewhere.csv").exit_code == 0


@pytest.mark.parametrize("table", ["../customers.csv", None, 7])
def test_a_card_that_names_no_file_beside_it_is_refused(here, segmenter, table):
    record = run_record(inputs={}, parameters={}, metrics={}, decisions={})
    card = model_card(segmenter, record, purpose="p", limits=["l"])
    card["reference"] = {"table": table, "sha256": monitor._sha256(here / "customers.csv")}
    shutil.copy("customers.csv", here.parent)
    write_model(segmenter, here / "odd.skops", card)
    message = "odd.skops: what its card compares with is no file beside it"
    assert refused(course("odd.skops", "steady.csv"), message)


def test_order_lines_need_to_know_the_days_of_the_reference(here, segmenter):
    save(segmenter, here / "timeless.skops", {"table": here / "customers.csv"})
    messages = "steady.csv: order lines", "the card of timeless.skops does not say how many"
    assert refused(course("timeless.skops", "steady.csv"), *messages)


def data_that(here, name, table):
    table.to_csv(here / name, index=False)
    return name


def test_an_extract_that_is_too_short_is_refused(here, steady):
    short = data_that(here, "short.csv", steady[steady["order_date"] > "2024-11-01"])
    assert refused(course("shop.skops", short), "short.csv: 90 days up to 2024-12-31", "longer")


def test_an_empty_period_is_refused(here, steady):
    gap = steady[(steady["order_date"] < "2024-02-01") | (steady["order_date"] > "2024-12-01")]
    result = course("shop.skops", data_that(here, "gap.csv", gap), "--last-day", "2024-06-30")
    assert refused(result, "gap.csv: There is no order line from 2024-04-02 to 2024-06-30")


def test_one_customer_is_refused(here, steady):
    one = data_that(here, "one.csv", steady.assign(customer_id="C1"))
    assert refused(course("shop.skops", one), "one.csv: ", "has 1 row")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda table: table.drop(columns="y"), "bad.csv: no column 'y'"),
        (lambda table: table.assign(x="many"), "column 'x' needs a number such as 1234.5: line 2"),
        (lambda table: table.assign(x=np.inf), "column 'x' needs a finite number: line 2"),
        (lambda table: table.assign(y=np.nan), "column 'y' needs a number such as 1234.5: line 2"),
        (lambda table: table.assign(customer_id="C1"), "customer_id 'C1' stands twice"),
        (lambda table: table.assign(customer_id=" "), "column 'customer_id' needs an id on every"),
        (lambda table: table[:5], "has 5 rows"),
        (lambda table: table[:0], "a header and nothing below it"),
    ],
)
def test_a_table_of_features_is_checked(here, change, message):
    bad = data_that(here, "bad.csv", change(pd.read_csv("alike.csv")))
    assert refused(course("blobs.skops", bad), message)
    assert refused(course("blobs.skops", "alike.csv", "--reference", bad), message)


def test_what_the_logarithm_cannot_take_is_refused_with_its_line(here, steady):
    table = last_days(steady).reset_index()
    table.loc[3, "monetary"] = -5
    message = "bad.csv: column 'monetary' needs a number of 0 or more: line 5 has '-5.0'"
    assert refused(course("shop.skops", data_that(here, "bad.csv", table)), message)


def test_a_table_that_lacks_a_feature_is_told_what_it_was_read_as(here, steady):
    table = last_days(steady).drop(columns="recency").reset_index()
    messages = "no column 'order_id'", "bad.csv: was read as order lines", "it lacks 'recency'."
    assert refused(course("shop.skops", data_that(here, "bad.csv", table)), *messages)
    assert "was read as" not in course("shop.skops", "blobs.csv").stderr


def test_flows_without_the_packets_that_the_model_knows_are_refused(here):
    flows = pd.read_csv("second_half.csv").drop(columns=["packets_sent", "packets_received"])
    bare = data_that(here, "bare.csv", flows)
    result = course("office.skops", bare, "--reference", "first_half.csv")
    assert refused(result, "no column 'packets_sent'", "no column 'packets_received'")


def test_packets_that_the_model_does_not_know_do_not_matter(here):
    flows = pd.read_csv("first_half.csv")
    known = flows.drop(columns=["packets_sent", "packets_received"])
    model = make_pipeline(StandardScaler(), DensityDetector()).fit(flow_features(known).dropna())
    save(model, here / "sizes.skops")
    other = pd.read_csv("second_half.csv").assign(packets_sent=np.nan, packets_received=np.nan)
    data = data_that(here, "other.csv", other)
    named = "{packets_sent: packets_sent, packets_received: packets_received}"
    for columns in ([], ["--columns", named]):
        result = course("sizes.skops", data, "--reference", "first_half.csv", *columns)
        assert result.exit_code == 0
        assert record(here)["current"]["rows"] == other["duration"].notna().sum()


def test_a_bug_exits_2_with_one_line_and_writes_nothing(here, monkeypatch):
    def fail(self, current):
        raise RuntimeError("a bug\nin two lines")

    monkeypatch.setattr(DriftMonitor, "check", fail)
    result = course("blobs.skops", "alike.csv")
    assert refused(result, "unexpected", "test_course_monitor.py, line ", "RuntimeError: a bug in")
    assert result.stderr.count("\n") == 1
    assert written(here) == set()


def full(*args):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("step", ["write_text", "write_json"])
def test_a_full_disk_leaves_the_previous_report_as_it_was(here, monkeypatch, step):
    (here / "drift_report.html").write_text("before")
    (here / "drift_report.json").write_text("before")
    files = set(here.iterdir())
    monkeypatch.setattr(monitor, step, full)
    message = "'.': the report cannot be written there (No space left on device)"
    assert refused(course("blobs.skops", "alike.csv"), message)
    assert set(here.iterdir()) == files
    assert page(here) == (here / "drift_report.json").read_text() == "before"


@pytest.mark.parametrize("name", sorted(REPORT))
def test_a_folder_in_the_place_of_the_report_is_refused(here, name):
    (here / name).mkdir()
    assert refused(course("blobs.skops", "alike.csv"), f"'{name}' is a folder")
    assert written(here) == {name}


def test_a_folder_that_cannot_be_made_is_refused(here):
    words = ["blobs.skops", "alike.csv", "--out", "x" * 300]
    assert refused(course(*words), "File name too long")
