"""The chapter on flows: every run, with other data and parameters, reads true."""

import gzip
import json
import re

import nbformat
import pandas as pd
import pytest
from chapter_runs import ROOT, assert_refused, markdown_outputs, run_chapter
from PIL import Image

from helpers import export
from helpers.anomalies import DensityDetector, flow_features
from helpers.fixtures import ATTACKS, network_traffic

NSL_KDD = ROOT.parent / "shared/data/nsl_kdd"
CHAPTER = "network_anomalies"
EXPORTS = {
    "k_distances.png",
    "network_traffic_pca.png",
    "network_traffic_sizes.png",
    "network_anomalies.csv",
    "network_cases.csv",
    "network_detector.skops",
    "run_record.json",
}


def write_flows(path, flows):
    flows.to_csv(path, index=False)
    return path


def assert_page_agrees_with_exports(out):
    """Check what has to hold for every run; return the page's sentences, both tables and record."""
    notebook = nbformat.read(out / f"{CHAPTER}.ipynb", as_version=4)
    out = out / CHAPTER
    assert {path.name for path in out.iterdir()} == EXPORTS
    for path in out.glob("*.png"):
        with Image.open(path) as image:
            image.verify()
    record = json.loads((out / "run_record.json").read_text())
    listing = pd.read_csv(out / "network_anomalies.csv")
    cases = pd.read_csv(out / "network_cases.csv")
    text = "\n".join(markdown_outputs(notebook))
    metrics = record["metrics"]

    assert not re.search(r"\b(nan|NaN|None|inf)\b", text)
    judged = listing[listing["severity"] != "not judged"]
    assert len(judged) == metrics["anomalous"]
    assert len(listing) - len(judged) == metrics["flows"] - metrics["judged"]
    assert judged["score"].is_monotonic_decreasing
    assert judged["expected"].is_monotonic_increasing
    severe = judged[judged["severity"].isin(["HIGH", "MEDIUM"])]
    assert (judged.loc[judged["severity"] == "HIGH", "expected"] < 0.01).all()
    assert (judged.loc[judged["severity"] == "LOW", "expected"] >= 0.05).all()
    assert len(severe) == metrics["severe"] == cases["flows"].sum()
    assert ("Nothing stands out" in text) == ("**There is no case.**" in text) == severe.empty
    labelled = "flows that the labels call attacks" in text or "Attacks of **" in text
    # Labels that are all alike tell nothing, so the page then speaks as if there were none.
    assert labelled != ("**Without labels.**" in text)
    assert not labelled or "label" in listing
    assert ("So nothing is found of the" in text) == (labelled and cases.empty)
    if len(severe):
        assert re.search(rf"\*\*{len(severe):,} flows? (is|are) severe\*\*", text)
        assert re.search(rf"\*\*{metrics['cases']:,} cases?\*\* within the budget", text)
    assert re.search(rf"\*\*{metrics['anomalous']:,} anomal(y|ies)\*\*", text)
    assert "the model agrees on 100.0% of the flows" in text
    model = export.read_model(out / "network_detector.skops", trusted=[DensityDetector])
    assert judged.empty or (model.predict(flow_features(judged)) == -1).all()
    card = export.read_card(out / "network_detector.skops")
    assert {part: card[part] for part in record} == record
    assert set(card["features"]) == set(flow_features(listing))
    assert all(sentence in text for sentence in [card["purpose"], *card["limits"]])
    return text, listing, cases, record


def test_with_its_defaults_the_chapter_finds_every_kind_of_attack(tmp_path, monkeypatch):
    result = run_chapter(CHAPTER, tmp_path / "out", monkeypatch)
    assert result.exit_code == 0, result.output
    text, listing, cases, record = assert_page_agrees_with_exports(tmp_path / "out")
    kinds = set(ATTACKS["label"])
    severe = listing[listing["severity"].isin(["HIGH", "MEDIUM"])]
    assert set(severe["label"]) == kinds
    assert f"Attacks of **{len(kinds)} of {len(kinds)} kinds** are among them." in text
    assert "No case is a false alarm" in text
    assert "6 of 9 flows of exfiltration" in text  # three hide among the backups, and it says so
    assert cases.groupby("day").size().max() <= record["parameters"]["alerts_per_day"]
    assert "The highest average precision on these labels: **density (this page)**" in text


def test_a_quiet_week_has_no_alert(tmp_path, monkeypatch):
    "Whatever the seed, says tests/test_anomalies.py of the alerts that the page is made of."
    flows = network_traffic(4000, random_state=1, attacks=ATTACKS[:0])
    path = write_flows(tmp_path / "quiet.csv", flows.drop(columns="label"))
    result = run_chapter(CHAPTER, tmp_path / "out", monkeypatch, flows=path)
    assert result.exit_code == 0, result.output
    text, _, cases, _ = assert_page_agrees_with_exports(tmp_path / "out")
    assert "Nothing stands out" in text
    assert cases.empty
    assert "**Without labels.**" in text


@pytest.fixture(scope="module")
def flows():
    """Return a week of 1,500 flows, small enough to run the chapter often."""
    return network_traffic(1500, random_state=7, attacks=ATTACKS[ATTACKS["label"] != "flood"])


FEW_COLUMNS = ["bytes_sent", "bytes_received", "duration"]


@pytest.mark.parametrize(
    ("parameters", "columns"),
    [
        ({"eps": 0.4, "min_samples": 4, "alerts_per_day": 1}, "sixty"),
        ({"small_cluster": 0.1, "alerts_per_day": 0, "random_state": 7}, "three"),
        ({"eps": 0.05}, "all"),
        ({"eps": 60.0}, "all"),
    ],
    ids=[
        "all given, sixty columns",
        "large clusters suspect, three columns",
        "tiny radius",
        "huge radius",
    ],
)
def test_the_page_follows_the_parameters_and_the_columns(
    tmp_path, monkeypatch, flows, parameters, columns
):
    "Three columns are enough; sixty, a constant one among them, do no harm."
    table = {
        "all": flows,
        "three": flows[FEW_COLUMNS],
        "sixty": flows.assign(**{f"x{n}": n for n in range(52)}, duration=1.5),
    }[columns]
    path = write_flows(tmp_path / "week.csv", table)
    result = run_chapter(CHAPTER, tmp_path / "out", monkeypatch, flows=path, **parameters)
    assert result.exit_code == 0, result.output
    text, listing, cases, record = assert_page_agrees_with_exports(tmp_path / "out")
    if "eps" in parameters:
        assert f"The parameter `eps` asks for {parameters['eps']:.3g}" in text
    assert ("hardly anything is noise" in text) == (parameters.get("eps") == 60.0)
    if parameters.get("alerts_per_day") == 1 and len(cases):
        assert record["metrics"]["cases"] <= cases["day"].nunique()
    assert ("total_packets" in listing) == (columns != "three")
    assert ("It has no packets" in text) == (columns == "three")
    assert ("without any effect: duration" in text) == (columns == "sixty")


@pytest.mark.skipif(not NSL_KDD.exists(), reason="NSL-KDD is not on this machine")
def test_on_nsl_kdd_the_page_says_how_far_it_is_from_the_best(tmp_path, monkeypatch):
    names = (NSL_KDD / "columns.txt").read_text().strip().split(",")
    with gzip.open(NSL_KDD / "KDDTrain+_20Percent.txt.gz", "rt") as file:
        table = pd.read_csv(file, header=None, names=names)
    normal, attacks = table[table["label"] == "normal"], table[table["label"] != "normal"]
    sampled = pd.concat([normal, attacks.sample(len(normal) // 99, random_state=0)])
    sampled = sampled.sample(frac=1, random_state=0)
    path = write_flows(tmp_path / "nsl.csv", sampled)
    columns = "{bytes_sent: src_bytes, bytes_received: dst_bytes}"
    result = run_chapter(CHAPTER, tmp_path / "out", monkeypatch, flows=path, columns=columns)
    assert result.exit_code == 0, result.output
    text, _, _, record = assert_page_agrees_with_exports(tmp_path / "out")
    assert record["metrics"]["judged"] == len(sampled) == 13_584
    assert "The base rate is **0.99%**" in text
    assert re.search(r"The detector of this page reaches 0\.\d{3}, that is 0\.\d{3} less", text)
    assert "of the attacks lie inside a large cluster" in text
    assert "have exactly the same features as some ordinary flow" in text


def with_cell(column, value):
    """Return an edit of the flows that puts one value into line 4 of the file."""

    def edit(flows):
        flows = flows.astype({column: object})
        flows.loc[2, column] = value
        return flows

    return edit


BAD_FLOWS = [
    (with_cell("bytes_sent", -5), ["'bytes_sent' needs a number from 0", "line 4 has '-5'"]),
    (with_cell("duration", "fast"), ["'duration' needs a number", "line 4 has 'fast'"]),
    (with_cell("bytes_received", "inf"), ["'bytes_received'", "line 4 has 'inf'"]),
    (with_cell("packets_sent", 0), ["without a packet in 'packets_sent'", "line 4"]),
    (with_cell("timestamp", "noon"), ["'timestamp' needs a date", "line 4 has 'noon'"]),
    (lambda flows: flows.head(12), ["12 flows are complete", "At least 20"]),
    (lambda flows: flows.assign(duration=None), ["0 flows are complete"]),
    (lambda flows: pd.concat([flows.head(1)] * 99), ["99 flows are complete, and 1 of them"]),
    (lambda flows: flows.drop(columns="duration"), ["no column 'duration'", "columns={"]),
]


def test_bad_input_is_refused(tmp_path, flows):
    complete = flows.dropna().reset_index(drop=True)
    cases = []
    for number, (edit, fragments) in enumerate(BAD_FLOWS):
        path = write_flows(tmp_path / f"bad_{number}.csv", edit(complete))
        cases.append(({"flows": path}, [f"{path.name}: ", *fragments]))
    (tmp_path / "empty.csv").write_text("")
    cases.append(({"flows": tmp_path / "empty.csv"}, ["empty.csv: the file is empty"]))
    assert_refused(CHAPTER, tmp_path, cases)


def test_a_parameter_out_of_range_is_refused(tmp_path, flows):
    path = write_flows(tmp_path / "week.csv", flows)
    cases = [
        ({"eps": -0.1}, "eps is -0.1. Use 0 or more."),
        ({"min_samples": -3}, "min_samples is -3. Use 2 or more, or 0 for"),
        ({"min_samples": 1}, "min_samples is 1. Use 2 or more"),
        ({"small_cluster": 0.5}, "small_cluster is 0.5. Use a share"),
        ({"alerts_per_day": -1}, "alerts_per_day is -1"),
        ({"random_state": -1}, "random_state is -1. Use a whole number"),
        ({"min_samples": 1000}, "At least 5000 complete flows"),
        ({"eps": 1e-9}, "eps is 1e-09, but even in the densest place 10 flows only lie within"),
    ]
    cases = [({"flows": path, **parameters}, [fragment]) for parameters, fragment in cases]
    assert_refused(CHAPTER, tmp_path, cases)


def test_a_playbook_without_an_entry_is_refused_with_its_name(tmp_path):
    lines = (ROOT / "notebooks/network_playbook.yml").read_text().split("\n\n")
    kept = [part for part in lines if not part.startswith("bytes_per_packet lower")]
    playbook = tmp_path / "mine.yml"
    playbook.write_text("\n\n".join(kept))
    wanted = ["no entry for 'bytes_per_packet lower'"]
    assert_refused(CHAPTER, tmp_path, [({"playbook": playbook}, wanted)])


def test_what_is_refused_stops_the_command_and_leaves_nothing(tmp_path, monkeypatch, flows):
    path = write_flows(tmp_path / "bad.csv", flows.drop(columns="duration"))
    for parameters, fragment in [
        ({"flows": path}, "bad.csv: no column 'duration'"),
        ({"playbook": "nowhere.yml"}, "nowhere.yml"),
    ]:
        result = run_chapter(CHAPTER, tmp_path / "out", monkeypatch, **parameters)
        assert result.exit_code == 2, result.output
        assert fragment in result.output
        assert not (tmp_path / "out").exists()
