"""The chapter on stability and drift: every run, with other data and parameters, reads true."""

import json
import re

import nbformat
import pandas as pd
import pytest
from chapter_runs import ROOT, assert_refused, markdown_outputs, run_chapter

from helpers import export
from helpers.drift import DECISIONS, DriftMonitor
from helpers.fixtures import ATTACKS, network_traffic
from helpers.inputs import read_orders
from helpers.segmentation import RFM, CustomerSegmenter, rfm_window

ONLINE_RETAIL = ROOT.parent / "shared/data/online_retail/online_retail.csv.gz"
RETAIL_COLUMNS = (
    "{customer_id: CustomerID, order_id: InvoiceNo, order_date: InvoiceDate, "
    "quantity: Quantity, unit_price: UnitPrice}"
)
CHAPTER = "stability_and_drift"
EXPORTS = {
    "customer_segmenter.skops",
    "drift_evidence.png",
    "drift_history.csv",
    "drift_history.png",
    "drift_report.json",
    "reference_customers.csv",
    "rows_outside.png",
    "run_record.json",
    "segment_shares.png",
    "segment_stability.png",
}


def run_drift(out, monkeypatch, **parameters):
    return run_chapter(CHAPTER, out, monkeypatch, **parameters)


def assert_page_agrees_with_exports(out, false_alarms=0.05):
    """Check what has to hold for every run, whatever its data and parameters."""
    notebook = nbformat.read(out / f"{CHAPTER}.ipynb", as_version=4)
    out = out / CHAPTER
    assert {path.name for path in out.iterdir()} == EXPORTS
    record = json.loads((out / "run_record.json").read_text())
    history = pd.read_csv(out / "drift_history.csv", dtype={"month": str})
    text = "\n".join(markdown_outputs(notebook))

    decisions = history.groupby("month")["decision"].first()
    assert history.groupby("month")["decision"].nunique().eq(1).all()
    assert set(decisions) <= set(DECISIONS)
    assert decisions.to_dict() == {
        month: decision for month, decision in record["decisions"].items() if month != "why"
    }
    assert record["metrics"]["checks"] == len(decisions)

    counts = history["value"].gt(history["by chance"]) & history["size"].ge(
        history["material from"]
    )
    assert (history["counts"] == counts).all()
    quiet = ~counts.groupby(history["month"]).any()
    assert (decisions.eq("keep") == quiet).all()
    outside = history[history["test"] == "rows outside the radius"].set_index("month")["counts"]
    assert decisions[outside[outside].index].eq("refit").all()

    alarms = decisions[decisions != "keep"]
    assert (
        f"**The first alarm comes in {alarms.index[0]}: {alarms.iloc[0]}.**" in text
        if len(alarms)
        else "**No month raises the alarm.**" in text
    )
    assert f"says **{decisions.iloc[-1]}**" in text
    assert f"about {100 * false_alarms:.3g}% or less of series of {len(decisions)} checks" in text

    customers = pd.read_csv(out / "reference_customers.csv", dtype={"customer_id": str})
    assert f"holds **{len(customers):,} customers**" in text
    assert record["metrics"]["reference_customers"] == len(customers)
    card = export.read_card(out / "customer_segmenter.skops")
    assert card["reference"]["table"] == "reference_customers.csv"
    assert card["decisions"] == record["decisions"]
    model = export.read_model(
        out / "customer_segmenter.skops", trusted=[CustomerSegmenter], features=RFM
    )
    named_alike = model.predict(customers[RFM]) == customers["segment"]
    assert named_alike.mean() > 0.999, "money is rounded to cents in the file"
    report = json.loads((out / "drift_report.json").read_text())
    assert report["decision"] == decisions.iloc[-1]
    return text, decisions, model


@pytest.fixture(scope="module")
def committed(tmp_path_factory):
    """A run with the defaults."""
    out = tmp_path_factory.mktemp("drift")
    with pytest.MonkeyPatch.context() as monkeypatch:
        done = run_drift(out, monkeypatch)
    assert done.exit_code == 0, done.output
    return out


def test_the_change_is_found_in_its_month_or_the_next_and_the_control_keeps_still(committed):
    "Resellers come on 1 July"
    text, decisions, _ = assert_page_agrees_with_exports(committed)
    assert decisions[:"2024-06"].eq("keep").all()
    assert decisions["2024-08":].eq("refit").all()
    assert "The control, steady_shop.csv, was checked 12 times." in text
    assert "The decision was *keep* every time." in text
    assert re.search(r"1 cluster emerged: new \d, \d+% of whose customers had been outside", text)


def test_the_page_says_what_the_monitor_says(committed):
    "The last check again, from the files alone"
    _, decisions, model = assert_page_agrees_with_exports(committed)
    orders = read_orders(ROOT / "data/changing_shop.csv")
    reference = rfm_window(orders, "2023-12-31", 90)
    monitor = DriftMonitor(model, reference, n_periods=len(decisions))
    report = monitor.check(rfm_window(orders, "2024-12-31", 90))
    exported = json.loads((committed / CHAPTER / "drift_report.json").read_text())
    assert report.decision == exported["decision"]
    assert report.reasons == exported["reasons"]
    assert exported["n_current"] == report.n_current


def test_a_shop_where_nothing_changes_is_kept_also_with_a_saved_model(
    committed, tmp_path, monkeypatch
):
    "The model of another run, another window, other seeds, flows without attacks"
    flows = tmp_path / "quiet.csv"
    network_traffic(3_000, attacks=ATTACKS[:0]).to_csv(flows, index=False)
    done = run_drift(
        tmp_path / "out",
        monkeypatch,
        orders="data/steady_shop.csv",
        control_orders="drawn",
        model=committed / CHAPTER / "customer_segmenter.skops",
        reference_day="2024-01-31",
        flows=flows,
        false_alarms=0.01,
        currency="€",
        random_state=7,
    )
    assert done.exit_code == 0, done.output
    text, decisions, _ = assert_page_agrees_with_exports(tmp_path / "out", 0.01)
    assert decisions.eq("keep").all()
    assert decisions.index[0] == "2024-02"
    assert "the model was read from customer_segmenter.skops" in text
    assert "Of 4 parts, 4 keep the detector." in text
    assert "The control, drawn again from the reference, was checked 11 times." in text
    assert "emerged:" not in text


def test_fewer_days_and_segments_with_other_names_of_columns(tmp_path, monkeypatch):
    orders = pd.read_csv(ROOT / "data/changing_shop.csv", dtype=str)
    own = {"customer_id": "Client", "order_date": "Day", "revenue": "Amount"}
    orders.rename(columns=own).to_csv(tmp_path / "own.csv", index=False)
    done = run_drift(
        tmp_path / "out",
        monkeypatch,
        orders=tmp_path / "own.csv",
        columns="{customer_id: Client, order_date: Day, revenue: Amount}",
        window_days=45,
        n_segments=2,
        flows="none",
        false_alarms=0.2,
    )
    assert done.exit_code == 0, done.output
    text, decisions, model = assert_page_agrees_with_exports(tmp_path / "out", 0.2)
    assert len(model.names_) == 2
    assert decisions.index[0] == "2023-12"
    assert decisions["2024-08"] == "refit"
    assert "The parameter `flows` asks for none" in text


@pytest.mark.skipif(not ONLINE_RETAIL.is_file(), reason="real data is not here")
def test_online_retail_reads_true(tmp_path, monkeypatch):
    done = run_drift(
        tmp_path,
        monkeypatch,
        orders=ONLINE_RETAIL,
        columns=RETAIL_COLUMNS,
        control_orders="drawn",
        n_segments=0,
        flows="none",
        currency="£",
    )
    assert done.exit_code == 0, done.output
    text, decisions, _ = assert_page_agrees_with_exports(tmp_path)
    assert list(decisions.index) == [f"2011-{month:02d}" for month in range(3, 12)]
    assert "belong to a month that is not over" in text
    assert "Most customers bought in the 90 days to 2011-11: 2,840, 69% more" in text
    assert "exist **only once**" in text
    assert "these data cannot tell" in text
    fixture = ("changing_shop", "steady_shop", r"\$", "2024", "network_traffic")
    assert not [word for word in fixture if word in text]


def write(orders, path):
    orders.to_csv(path, index=False)
    return path


def short(tmp_path):
    orders = pd.read_csv(ROOT / "data/steady_shop.csv", dtype=str)
    return write(orders[orders["order_date"] < "2024-02-15"], tmp_path / "begin.csv")


def few_customers(tmp_path):
    orders = pd.read_csv(ROOT / "data/steady_shop.csv", dtype=str)
    few = orders["customer_id"].dropna().unique()[:60]
    return write(orders[orders["customer_id"].isin(few)], tmp_path / "few.csv")


def few_flows(tmp_path):
    path = tmp_path / "flows.csv"
    network_traffic(100, attacks=ATTACKS[:0]).to_csv(path, index=False)
    return path


def no_record(tmp_path):
    path = tmp_path / "record.json"
    path.write_text("[]")
    return path


def not_a_model(tmp_path):
    path = tmp_path / "model.skops"
    path.write_text("no model")
    return path


def test_what_cannot_be_used_is_refused(tmp_path):
    begin, few = short(tmp_path), few_customers(tmp_path)
    cases = [
        ({"window_days": 3}, ["window_days is 3. Use 7 to 3,660"]),
        ({"window_days": 400}, ["changing_shop.csv", "two whole months after it do not fit in"]),
        ({"n_segments": 11}, ["n_segments is 11. Use 2 to 10, or 0"]),
        ({"false_alarms": 0}, ["false_alarms is 0", "a share above 0"]),
        ({"random_state": -1}, ["random_state is -1. Use a whole number"]),
        ({"reference_day": "31.12.2023"}, ["reference_day '31.12.2023' is not a day"]),
        ({"reference_day": "2023-10-31"}, ["orders begin on 2023-10-03", "are not all there"]),
        ({"reference_day": "2024-12-31"}, ["do not fit in"]),
        ({"orders": begin}, ["begin.csv", "two whole months after it do not fit in"]),
        ({"orders": few}, ["few.csv: in some 90 days only", "customers bought something"]),
        ({"control_orders": begin}, ["begin.csv: the orders of the control are too few"]),
        ({"control_orders": few}, ["few.csv: in some 90 days of the control only"]),
        ({"model": not_a_model(tmp_path)}, ["model.skops: is not a model of this course"]),
        ({"flows": few_flows(tmp_path)}, ["flows.csv", "complete flows are too few to compare"]),
        ({"simulations": no_record(tmp_path)}, ["record.json is not a record of simulations"]),
    ]
    assert_refused(CHAPTER, tmp_path, cases)


def test_what_is_refused_stops_the_command_and_leaves_nothing(tmp_path, monkeypatch):
    done = run_drift(tmp_path / "out", monkeypatch, window_days=3)
    assert done.exit_code == 2, done.output
    assert "window_days is 3" in done.output
    assert not (tmp_path / "out").exists()
