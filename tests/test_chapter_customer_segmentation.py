"""The chapter on customers: every run, with other data and parameters, reads true."""

import hashlib
import json
import re

import nbformat
import numpy as np
import pandas as pd
import pytest
from chapter_runs import ROOT, assert_refused, markdown_outputs, run_chapter
from PIL import Image

from helpers import export
from helpers.fixtures import ONE_CROWD, SHOPPERS, ecommerce_customers
from helpers.segmentation import PROTOTYPES, CustomerSegmenter
from helpers.text import counted

ONLINE_RETAIL = ROOT.parent / "shared/data/online_retail/online_retail.csv.gz"
RETAIL_COLUMNS = (
    "{customer_id: CustomerID, order_id: InvoiceNo, order_date: InvoiceDate, "
    "quantity: Quantity, unit_price: UnitPrice}"
)
CHAPTER = "customer_segmentation"
EXPORTS = {
    "cluster_evaluation.png",
    "customer_segments_3d.png",
    "customer_segments_2d.png",
    "segment_heatmap.png",
    "customer_segments.csv",
    "customer_segmenter.skops",
    "run_record.json",
}


def run_segmentation(out, monkeypatch, **parameters):
    return run_chapter(CHAPTER, out, monkeypatch, **parameters)


def write_orders(path, orders):
    orders.to_csv(path, index=False)
    return path


def assert_page_agrees_with_exports(out, n_segments=None):
    """Check what has to hold for every run, whatever its data and parameters."""
    notebook = nbformat.read(out / f"{CHAPTER}.ipynb", as_version=4)
    assert {path.name for path in out.iterdir()} == {CHAPTER, f"{CHAPTER}.ipynb"}
    out = out / CHAPTER
    assert {path.name for path in out.iterdir()} == EXPORTS
    for name in EXPORTS:
        if name.endswith(".png"):
            with Image.open(out / name) as image:
                image.verify()
    record = json.loads((out / "run_record.json").read_text())
    table = pd.read_csv(out / "customer_segments.csv", dtype={"customer_id": str})
    text = "\n".join(markdown_outputs(notebook))

    columns = ["customer_id", "recency", "frequency", "monetary", "cluster", "segment"]
    assert list(table) == columns
    assert table["customer_id"].is_unique
    assert not table.isna().any().any()
    assert table["recency"].dtype == table["frequency"].dtype == np.int64
    names = table.groupby("segment")["cluster"].unique()
    assert all(len(numbers) == 1 for numbers in names)
    assert set(names.index) <= set(PROTOTYPES.index)
    if n_segments:
        assert len(names) == n_segments
        assert f"K = {n_segments}" in text

    assert record["metrics"]["customers"] == len(table)
    assert record["metrics"]["revenue"] == pytest.approx(table["monetary"].sum(), abs=0.01)
    assert f"**{len(table):,} customers** spent" in text
    for name, group in table.groupby("segment"):
        share = len(group) / len(table)
        loosely = r"( \(the name fits loosely\))?"
        line = rf"\*\*{name}\*\*{loosely}: {len(group):,} customers? \({share:.1%}\)"
        assert re.search(line, text), line
    of_budget, total = re.search(
        r"Of (.+?), the largest part.*The parts add up to (.+?)\. This", text
    ).groups()
    assert of_budget == total
    assert ("There is clear structure" in text) != ("There are no clear clusters" in text)
    assert not re.search(r"\b(nan|NaN|None|inf)\b", text)

    model = export.read_model(out / "customer_segmenter.skops", trusted=[CustomerSegmenter])
    rfm = table[["recency", "frequency", "monetary"]]
    assert (model.predict(rfm) == table["segment"]).all()

    card = export.read_card(out / "customer_segmenter.skops")
    assert {part: card[part] for part in record} == record
    reference = card["reference"]
    written = (out / reference["table"]).read_bytes()
    assert reference["sha256"] == hashlib.sha256(written).hexdigest()
    assert reference["days"] >= table["recency"].max()
    if record["parameters"]["snapshot"]:
        day_after = pd.Timestamp(reference["last_day"]) + pd.Timedelta(days=1)
        assert day_after == pd.Timestamp(record["parameters"]["snapshot"])
    assert all(sentence in text for sentence in [card["purpose"], *card["limits"]])
    assert f"{counted(reference['days'], 'day')} up to {reference['last_day']}." in text
    return text, table, record


def test_with_its_defaults_the_chapter_finds_the_truth(tmp_path, monkeypatch):
    "And the picture of the README is that of the chapter."
    result = run_segmentation(tmp_path / "out", monkeypatch)
    assert result.exit_code == 0, result.output
    text, table, _ = assert_page_agrees_with_exports(tmp_path / "out", len(SHOPPERS))
    assert "There is clear structure" in text
    assert re.search(r"AUC is \*\*0\.8\d\*\*, .*: the profiles forecast who comes back\.", text)
    truth = pd.read_csv(ROOT / "data/ecommerce_customers_truth.csv", index_col="customer_id")
    found = table.set_index("customer_id")["segment"]
    assert set(found) == set(SHOPPERS.index)
    assert (found == truth["segment"].reindex(found.index)).mean() > 0.9

    name = "customer_segments_2d.png"
    with (
        Image.open(ROOT / "book/images" / name) as shown,
        Image.open(tmp_path / "out" / CHAPTER / name) as new,
    ):
        assert shown.size == new.size
        difference = np.asarray(shown.convert("L"), float) - np.asarray(new.convert("L"), float)
    assert np.abs(difference).mean() < 1


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """Return a file of 400 customers, small enough to run the chapter often."""
    orders, _ = ecommerce_customers(400, random_state=7)
    return write_orders(tmp_path_factory.mktemp("shop") / "shop.csv", orders)


@pytest.mark.parametrize("n_segments", [2, 3, 6, 7, 8, 9])
def test_every_number_of_segments_reads_true(n_segments, shop, tmp_path, monkeypatch):
    "Each K with another seed, another snapshot and another currency; 4, 5 and 10 are below."
    result = run_segmentation(
        tmp_path / "out",
        monkeypatch,
        orders=shop,
        n_segments=n_segments,
        random_state=n_segments,
        snapshot=f"2025-01-{n_segments:02d}",
        currency=["$", "€", "CHF "][n_segments % 3],
    )
    assert result.exit_code == 0, result.output
    text, table, _ = assert_page_agrees_with_exports(tmp_path / "out", n_segments)
    assert table["recency"].min() >= n_segments  # 31 December to that day of January
    assert "The parameter `n_segments` asks for" in text


def test_fifty_customers_are_enough_and_markup_in_a_parameter_stays_text(tmp_path, monkeypatch):
    orders = write_orders(tmp_path / "few.csv", ecommerce_customers(50, random_state=3)[0])
    result = run_segmentation(tmp_path / "out", monkeypatch, orders=orders, currency="<img src=x>")
    assert result.exit_code == 0, result.output
    text, table, _ = assert_page_agrees_with_exports(tmp_path / "out")
    assert len(table) == 50
    assert r"\<img src\=x\>" in text
    assert "<img src=x>" not in text


@pytest.mark.parametrize(("n_customers", "n_segments"), [(10, 0), (22, 10)])
def test_the_smallest_shops(n_customers, n_segments, tmp_path, monkeypatch):
    orders, _ = ecommerce_customers(n_customers, random_state=2)
    path = write_orders(tmp_path / "tiny.csv", orders)
    result = run_segmentation(tmp_path / "out", monkeypatch, orders=path, n_segments=n_segments)
    assert result.exit_code == 0, result.output
    _, table, _ = assert_page_agrees_with_exports(tmp_path / "out", n_segments)
    assert len(table) == n_customers


def test_a_playbook_is_followed_and_recorded_and_ids_that_are_formulas_neutralised(
    shop, tmp_path, monkeypatch
):
    plays = (ROOT / "notebooks/customer_playbook.yml").read_text()
    playbook = tmp_path / "mine.yml"
    playbook.write_text(plays.replace("Win the second order", "Say hello"))
    orders = pd.read_csv(shop)
    first = orders["customer_id"].dropna().iloc[0]
    orders["customer_id"] = orders["customer_id"].replace(first, "=HYPERLINK(1)")
    path = write_orders(tmp_path / "formula.csv", orders)
    result = run_segmentation(
        tmp_path / "out", monkeypatch, orders=path, n_segments=5, playbook=playbook
    )
    assert result.exit_code == 0, result.output
    text, table, record = assert_page_agrees_with_exports(tmp_path / "out", 5)
    assert "* Strategy: Say hello." in text
    assert record["inputs"]["playbook"] == {
        "file": "mine.yml",
        "sha256": hashlib.sha256(playbook.read_bytes()).hexdigest(),
    }
    assert "'=HYPERLINK(1)" in set(table["customer_id"])
    assert "=HYPERLINK(1)" not in set(table["customer_id"])


def test_one_crowd_has_no_clear_clusters(tmp_path, monkeypatch):
    crowd, _ = ecommerce_customers(600, random_state=5, shoppers=ONE_CROWD, spread=3.0)
    orders = write_orders(tmp_path / "crowd.csv", crowd)
    result = run_segmentation(tmp_path / "out", monkeypatch, orders=orders)
    assert result.exit_code == 0, result.output
    text, _, record = assert_page_agrees_with_exports(tmp_path / "out")
    assert "There are no clear clusters" in text
    assert record["decisions"]["structure"] == "no clear clusters"


def test_a_shop_with_one_segment_only(tmp_path, monkeypatch):
    "Everybody bought exactly once, so frequency is constant."
    newcomers = SHOPPERS.loc[["New Customers"]].assign(share=1.0)
    orders, _ = ecommerce_customers(300, random_state=5, shoppers=newcomers)
    path = write_orders(tmp_path / "new.csv", orders)
    result = run_segmentation(tmp_path / "out", monkeypatch, orders=path)
    assert result.exit_code == 0, result.output
    text, _, _ = assert_page_agrees_with_exports(tmp_path / "out")
    assert "There are no clear clusters" in text


@pytest.mark.skipif(not ONLINE_RETAIL.exists(), reason="the Online Retail data is not here")
@pytest.mark.parametrize("n_segments", [0, 4])
def test_online_retail(n_segments, tmp_path, monkeypatch):
    "The figures are those published with the data."
    result = run_segmentation(
        tmp_path / "out",
        monkeypatch,
        orders=ONLINE_RETAIL,
        columns=RETAIL_COLUMNS,
        currency="£",
        n_segments=n_segments,
    )
    assert result.exit_code == 0, result.output
    text, table, record = assert_page_agrees_with_exports(tmp_path / "out", n_segments)
    assert "**541,909 order lines**" in text
    assert "**397,884 lines are sales**" in text
    assert "**4,338 customers** spent £8,911,407.90" in text
    assert record["metrics"]["revenue"] == 8911407.90
    assert table["recency"].median() == 51
    assert table["frequency"].median() == 2

    typical = table.groupby("segment")[["recency", "frequency", "monetary"]].median()
    assert typical["recency"].idxmin() == "Champions"
    assert typical["frequency"].idxmax() == "Champions"
    assert typical["monetary"].idxmax() == "Champions"
    # Nothing of the fixture is left: its dates, its currency, its file.
    source = (tmp_path / "out" / f"{CHAPTER}.ipynb").read_text()
    assert "2024" not in text
    assert "ecommerce_customers" not in source


GOOD = ["C1,1,2024-03-01,10.00", "C2,2,2024-03-02,20.00", "C3,3,2024-03-03,30.00"]
HEADER = "customer_id,order_id,last_purchase_date,revenue"


def lines(*rows, header=HEADER):
    return "\n".join([header, *rows]) + "\n"


BAD_FILES = {
    "missing column": (lines("C1,1,2024-03-01", header=HEADER[:-8]), ["revenue", "columns="]),
    "text in revenue": (lines(*GOOD, "C4,4,2024-03-04,free"), ["revenue", "line 5", "'free'"]),
    "impossible date": (lines(*GOOD, "C4,4,2024-02-30,1"), ["last_purchase_date", "line 5"]),
    "mixed dates": (lines(*GOOD, "C4,4,04.03.2024,1"), ["last_purchase_date", "line 5"]),
    "empty file": ("", ["empty"]),
    "one customer": (
        lines("C1,1,2024-03-01,1", "C1,2,2024-03-02,2"),
        ["1 customer", "At least 10"],
    ),
    "all revenue zero": (
        lines("C1,1,2024-03-01,0", "C2,2,2024-03-02,0"),
        ["none of the 2", "'revenue'"],
    ),
    "duplicate headers": (lines("a,b,2024-03-01,1,2", header=HEADER + ",revenue"), ["'revenue'"]),
    "wrong encoding": (lines("Zo\xeb,1,2024-03-01,1").encode("latin-1"), ["UTF-8", "line 2"]),
    "malformed rows": (
        lines(*(["C1,1,2024-03-01,1"] * 4_999 + ["C1,1,2024-03-01,1,9"]) * 20),
        ["line 5001", "20 in all"],
    ),
}


def write_content(path, content):
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def test_bad_input_is_refused_with_one_clear_message(tmp_path):
    cases = []
    for number, (content, wanted) in enumerate(BAD_FILES.values()):
        name = f"orders_{number}.csv"
        cases.append(({"orders": write_content(tmp_path / name, content)}, [name, *wanted]))
    assert_refused(CHAPTER, tmp_path, cases)


def test_a_parameter_that_cannot_be_used_is_refused_with_one_clear_message(tmp_path):
    cases = [
        ({"snapshot": "2024-06-30"}, ["before the last order"]),
        ({"snapshot": "2999-01-01"}, ["future"]),
        ({"snapshot": "soon"}, ["not a day"]),
        ({"n_segments": 1}, ["n_segments is 1"]),
        ({"n_segments": 11}, ["n_segments is 11"]),
        ({"random_state": -1}, ["random_state"]),
        ({"columns": "{customer_id: Client}"}, ["Client"]),
    ]
    assert_refused(CHAPTER, tmp_path, cases)


@pytest.mark.parametrize(
    ("parameters", "wanted"),
    [
        ({"orders": "."}, ["folder"]),
        ({"orders": "no_such_file.csv"}, ["no file"]),
        ({"playbook": "no_such_file.yml"}, ["no file"]),
        ({"n_segments": "four"}, ["n_segments takes int"]),
        ({"n_segmens": 4}, ["n_segments"]),
        ({"orders": "bad.csv"}, ["bad.csv", *BAD_FILES["text in revenue"][1]]),
    ],
    ids=lambda value: str(value)[:40],
)
def test_what_is_refused_stops_the_command_and_leaves_nothing(
    parameters, wanted, tmp_path, monkeypatch
):
    bad = write_content(tmp_path / "bad.csv", BAD_FILES["text in revenue"][0])
    if parameters.get("orders") == bad.name:
        parameters = {"orders": bad}
    result = run_segmentation(tmp_path / "out", monkeypatch, **parameters)
    assert result.exit_code == 2, result.output
    assert all(words in result.output for words in wanted)
    assert "Traceback" not in result.output
    assert not (tmp_path / "out").exists()
