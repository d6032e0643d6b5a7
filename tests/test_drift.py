import copy
import itertools
import json
import tracemalloc

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.figure import Figure
from pandas.testing import assert_frame_equal
from scipy.stats import betabinom, chi2
from sklearn.cluster import AgglomerativeClustering, KMeans, MeanShift
from sklearn.datasets import make_blobs
from sklearn.mixture import GaussianMixture
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from helpers.anomalies import DensityDetector, flow_features
from helpers.drift import (
    DECISIONS,
    MATERIAL_OUTSIDE,
    OUTSIDE,
    DriftMonitor,
    cluster_transitions,
    moved_share,
    psi,
    psi_threshold,
    quantile_edges,
    strength,
)
from helpers.export import write_json
from helpers.figures import plot_bins, plot_evidence, plot_over_time, use_course_style
from helpers.fixtures import ATTACKS, CHANGED_SHOP, network_traffic, order_history
from helpers.segmentation import CustomerSegmenter, rfm_window
from helpers.text import InputError

MONTH_ENDS = pd.date_range("2024-01-31", periods=12, freq="ME")
FEW = {"mean": 0.1, "sigma": 1.1}  # of a lognormal: rounded up, most values are 1 or 2


# Bins and the index


def test_psi_by_hand():
    """
    Ten rows against five, in three bins: 5, 3 and 2 against 1, 1 and 3.

    With half a row more in each bin, the shares are 5.5, 3.5, 2.5 of 11.5 and 1.5, 1.5, 3.5 of 6.5.
    """
    reference, current = [1] * 5 + [2] * 3 + [3] * 2, [1, 2, 3, 3, 3]
    by_hand = (
        (1.5 / 6.5 - 5.5 / 11.5) * np.log((1.5 / 6.5) / (5.5 / 11.5))
        + (1.5 / 6.5 - 3.5 / 11.5) * np.log((1.5 / 6.5) / (3.5 / 11.5))
        + (3.5 / 6.5 - 2.5 / 11.5) * np.log((3.5 / 6.5) / (2.5 / 11.5))
    )
    assert by_hand == pytest.approx(0.4920, abs=1e-4)
    assert psi(reference, current, [1, 2]) == pytest.approx(by_hand)
    assert psi(current, reference, [1, 2]) == pytest.approx(by_hand), "it is symmetric"


def test_a_value_on_an_edge_belongs_to_the_bin_below():
    assert psi([1, 2], [1, 1], [1]) > 0
    assert psi([1, 1], [0, 0], [1]) == 0


def test_an_empty_bin_has_no_infinite_logarithm():
    assert psi([1, 1, 1], [9, 9, 9], [5]) == pytest.approx(2 * 0.75 * np.log(7))


def test_edges_cut_equal_shares():
    values = np.random.default_rng(0).permutation(np.arange(1, 101))
    assert quantile_edges(values, 4).tolist() == [25, 50, 75]
    assert quantile_edges(values, 1).tolist() == []


@pytest.mark.parametrize(
    ("values", "edges"),
    [
        ([1] * 80 + [2] * 15 + [7] * 5, [1, 2]),
        ([1] * 95 + [2] * 5, [1]),
        ([3] * 100, []),
        ([1] * 5 + [9] * 95, [1]),
    ],
    ids=["frequency", "hardly ever 2", "constant", "hardly ever 1"],
)
def test_ties_make_fewer_bins_and_never_an_empty_one(values, edges):
    found = quantile_edges(values, 20)
    assert found.tolist() == edges
    assert np.bincount(np.searchsorted(found, values)).min() > 0


def test_small_bins_are_joined_until_each_has_enough_rows():
    values = [1] * 40 + [2] * 3 + [3] * 3 + [4] * 30 + [5] * 4
    assert quantile_edges(values, 80).tolist() == [1, 2, 3, 4]
    assert quantile_edges(values, 80, least=5).tolist() == [1, 3]
    assert quantile_edges(values, 80, least=41).tolist() == []


@pytest.mark.parametrize(
    ("n", "m", "bins", "alpha"), [(200, 200, 10, 0.05), (5000, 100, 5, 0.001), (50, 500, 2, 0.2)]
)
def test_the_threshold_is_a_quantile_of_chi_squared(n, m, bins, alpha):
    threshold = psi_threshold(n, m, bins, alpha)
    assert chi2.sf(threshold / (1 / n + 1 / m), bins - 1) == pytest.approx(alpha)


def test_a_single_bin_cannot_differ():
    assert psi_threshold(100, 100, 1) == 0
    assert psi([3, 3], [4, 5], []) == 0


def drawn_indices(n, bins, draw, n_draws=1_500):
    """Indices of pairs of samples that differ by chance alone, and the bins of each."""
    rng = np.random.default_rng(0)
    found = []
    for _ in range(n_draws):
        reference, current = draw(rng, n), draw(rng, n)
        edges = quantile_edges(reference, bins, least=5)
        found.append((psi(reference, current, edges), len(edges) + 1))
    return np.array(found).T


def lognormal(rng, n):
    return rng.lognormal(4, 1, n)


def small_numbers(rng, n):
    return np.ceil(rng.lognormal(FEW["mean"] - 1.1, FEW["sigma"], n))


# The standard error of 5 % in 1,500 draws is 0.6 %, so 2 and 7 % are far away.
@pytest.mark.parametrize("draw", [lognormal, small_numbers])
@pytest.mark.parametrize(("n", "bins"), [(200, 5), (500, 10), (1000, 20)])
def test_false_alarms_are_as_many_as_asked_for(n, bins, draw):
    values, used = drawn_indices(n, bins, draw)
    thresholds = [psi_threshold(n, n, int(number), 0.05) for number in used]
    assert 0.02 < np.mean(values > thresholds) < 0.07


def test_most_of_the_small_numbers_are_1():
    "Or the test above had no ties to speak of"
    assert np.mean(small_numbers(np.random.default_rng(0), 5_000) == 1) > 0.7


@pytest.mark.parametrize(("n", "rate"), [(100, 0.81), (200, 0.33), (5000, 0.0)])
def test_a_fixed_limit_of_a_tenth_tells_of_the_number_of_rows_and_not_of_drift(n, rate):
    values, _ = drawn_indices(n, 10, lognormal, 600)
    assert np.mean(values > 0.1) == pytest.approx(rate, abs=0.06)


def test_the_mean_without_drift_is_as_documented():
    values, _ = drawn_indices(500, 10, lognormal)
    assert values.mean() == pytest.approx(9 * 2 / 500, rel=0.05)


samples = st.lists(st.integers(-20, 20), min_size=2, max_size=60)


@given(samples, samples, st.randoms(use_true_random=False), st.integers(2, 12))
def test_the_order_of_rows_does_not_matter(reference, current, random, bins):
    before = psi(reference, current, bins)
    random.shuffle(reference)
    random.shuffle(current)
    assert psi(reference, current, bins) == before


@given(samples, samples, st.integers(2, 12))
def test_units_do_not_matter_nor_logarithms_nor_any_increasing_scale(reference, current, bins):
    before = psi(reference, current, bins)
    for scale in (lambda x: 3 * x + 7, lambda x: np.exp(x / 4), lambda x: np.cbrt(x) + x):
        pair = (scale(np.array(sample, dtype=float)) for sample in (reference, current))
        assert psi(*pair, bins) == pytest.approx(before, abs=1e-12)


@given(samples, st.integers(2, 12))
def test_a_sample_has_no_distance_from_itself_and_never_a_negative_one(sample, bins):
    assert psi(sample, sample, bins) == 0
    assert psi(sample, sample[::-1][:2], bins) >= 0


@given(samples, samples, st.integers(2, 6))
def test_rows_that_stand_twice_weigh_twice(reference, current, bins):
    "Half a row a bin counts half as much among twice the rows, so in the limit nothing changes"
    edges = quantile_edges(reference, bins)
    assert quantile_edges(reference * 2, bins).tolist() == edges.tolist()
    many = psi(reference * 1000, current * 1000, edges)
    assert psi(reference * 2000, current * 2000, edges) == pytest.approx(many, rel=0.2, abs=1e-3)


# moved_share and cluster_transitions

labels = st.lists(st.integers(0, 3), min_size=1, max_size=25)


@given(st.data(), labels)
def test_moved_share_is_the_best_of_all_matchings(data, old):
    new = data.draw(st.lists(st.integers(0, 3), min_size=len(old), max_size=len(old)))
    fewest = min(
        np.mean([match[a] != b for a, b in zip(old, new, strict=True)])
        for match in itertools.permutations(range(4))
    )
    assert moved_share(old, new) == pytest.approx(fewest)
    assert moved_share(new, old) == pytest.approx(fewest)


@given(labels, st.permutations(range(4)))
def test_other_names_for_the_same_clusters_move_nobody(old, names):
    assert moved_share(old, [names[label] for label in old]) == 0
    assert moved_share(old, [f"segment {names[label]}" for label in old]) == 0


pairs_of_labels = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=30)


@settings(deadline=None)  # tables of pandas take their time on a busy machine
@given(pairs_of_labels)
def test_rows_that_stand_twice_change_no_share(pairs):
    old, new = zip(*pairs, strict=True)
    assert moved_share(old * 2, new * 2) == pytest.approx(moved_share(old, new))
    assert_frame_equal(cluster_transitions(old * 2, new * 2), cluster_transitions(old, new))


@settings(deadline=None)
@given(pairs_of_labels, st.randoms(use_true_random=False))
def test_transitions_do_not_depend_on_the_order_of_rows(pairs, random):
    before = cluster_transitions(*zip(*pairs, strict=True))
    random.shuffle(pairs)
    assert_frame_equal(cluster_transitions(*zip(*pairs, strict=True)), before)


def test_other_names_for_new_clusters_change_no_fate():
    old = ["a"] * 6 + ["b"] * 6 + ["c"] * 5 + [OUTSIDE] * 3
    new = [0] * 6 + [1] * 3 + [2] * 3 + [1, 2, 3, 3, 4] + [4] * 3
    before = cluster_transitions(old, new)
    again = cluster_transitions(old, [["v", "w", "x", "y", "z"][label] for label in new])
    assert again["fate"].tolist() == before["fate"].tolist()
    assert again["overlap"].tolist() == before["overlap"].tolist()


def fates(old, new, **options):
    table = cluster_transitions(old, new, **options)
    return [tuple(row) for row in table.itertuples(index=False)]


def test_a_cluster_survives_with_half_of_its_rows():
    assert fates(["a"] * 4, [0, 0, 1, 2]) == [
        ("a", "survived", "0", 0.5),
        ("none", "emerged", "1", 0.0),
        ("none", "emerged", "2", 0.0),
    ]


def test_clusters_that_go_into_one_have_merged():
    assert fates(["a"] * 4 + ["b"] * 4, [0, 0, 0, 0, 0, 0, 0, 1]) == [
        ("a", "merged", "0", 1.0),
        ("b", "merged", "0", 0.75),
        ("none", "emerged", "1", 0.0),
    ]


def test_a_cluster_that_lies_in_large_parts_has_split():
    assert fates(["a"] * 10, [0] * 4 + [1] * 3 + [2] * 2 + [3]) == [
        ("a", "split", "0 and 1", 0.7),
        ("none", "emerged", "2", 0.0),
        ("none", "emerged", "3", 0.0),
    ]


def test_a_cluster_in_crumbs_has_vanished():
    table = fates(["a"] * 10, list(range(10)))
    assert table[0] == ("a", "vanished", "none", 0.0)
    assert [fate for _, fate, _, _ in table[1:]] == ["emerged"] * 10


def test_one_large_part_is_not_yet_a_split():
    assert fates(["a"] * 10, [0] * 4 + [1, 2, 3, 4, 5, 6])[0][1] == "vanished"


def test_what_comes_from_outside_has_emerged_and_is_no_old_cluster():
    assert fates(["a"] * 3 + [OUTSIDE] * 3, [0, 0, 0, 1, 1, 0]) == [
        ("a", "survived", "0", 1.0),
        ("none", "emerged", "1", 1.0),
    ]


def test_when_every_row_is_outside_all_clusters_have_emerged():
    assert fates([OUTSIDE] * 3, [0, 0, 1]) == [
        ("none", "emerged", "0", 1.0),
        ("none", "emerged", "1", 1.0),
    ]


def test_the_limits_of_the_words_can_be_set():
    old, new = ["a"] * 10, [0] * 6 + [1] * 4
    assert fates(old, new)[0][1] == "survived"
    assert fates(old, new, survives=0.7)[0][1] == "split"
    assert fates(old, new, survives=0.7, part=0.5)[0][1] == "vanished"


# DriftMonitor


def blob_table(n, seed, **options):
    """Rows of three groups; the columns are in units far apart."""
    options = {"centers": [[0, 0], [6, 0], [0, 6]], "cluster_std": 1.0} | options
    X, _ = make_blobs(n, random_state=np.random.RandomState(seed), **options)
    return pd.DataFrame(X * [1, 1000] + np.array([50, 9000]), columns=["age", "income"])


@pytest.fixture(scope="module")
def reference():
    return blob_table(600, 0)


@pytest.fixture(scope="module")
def current():
    return blob_table(500, 1)


def fitted(table, n_clusters=3):
    steps = StandardScaler(), KMeans(n_clusters, n_init=3, random_state=0)
    return make_pipeline(*steps).fit(table)


@pytest.fixture(scope="module")
def monitor(reference):
    return DriftMonitor(fitted(reference), reference)


def windows(**options):
    """Customers of the quarter before a year, and of the twelve quarters that end in it."""
    lines = order_history(**options)[0]
    lines["order_date"] = pd.to_datetime(lines["order_date"])
    quarters = {f"{day:%Y-%m}": rfm_window(lines, day, 90) for day in MONTH_ENDS}
    return rfm_window(lines, "2023-12-31", 90), quarters


@pytest.fixture(scope="module")
def control():
    return windows()


@pytest.fixture(scope="module")
def changing():
    return windows(changed=CHANGED_SHOP)


def flows(**options):
    return network_traffic(**options).dropna()


@pytest.mark.parametrize("n_clusters", [2, 4, 6])
def test_the_control_year_keeps_its_model(control, n_clusters):
    table, quarters = control
    monitor = DriftMonitor(CustomerSegmenter(n_clusters).fit(table), table)
    assert {monitor.check(quarter).decision for quarter in quarters.values()} == {"keep"}


@pytest.mark.parametrize("n_clusters", [3, 4, 5])
def test_the_changed_year_is_found_in_july_or_august_and_not_before(changing, n_clusters):
    table, quarters = changing
    monitor = DriftMonitor(CustomerSegmenter(n_clusters).fit(table), table)
    decisions = {month: monitor.check(quarter).decision for month, quarter in quarters.items()}
    assert {decisions[month] for month in list(quarters)[:6]} == {"keep"}
    assert "refit" in (decisions["2024-07"], decisions["2024-08"])
    assert decisions["2024-12"] == "refit"


@pytest.mark.parametrize("steps", [(), (StandardScaler(),)], ids=["k-means alone", "Pipeline"])
def test_models_of_a_frame_keep_more_of_the_same_and_find_another_place(steps, reference, current):
    model = make_pipeline(*steps, KMeans(3, n_init=3, random_state=0)).fit(reference)
    for frozen in (model, model[-1]) if not steps else (model,):
        monitor = DriftMonitor(frozen, reference)
        assert monitor.check(current).decision == "keep"
        elsewhere = monitor.check(current.add([4, 4000]))
        assert elsewhere.decision == "refit"
        assert elsewhere.evidence["counts"].all()


@pytest.fixture(scope="module", params=[2024, 0])
def traffic(request):
    week = flows(attacks=ATTACKS[:0], random_state=request.param)
    half = len(week) // 2
    features = flow_features(week[:half])
    detector = make_pipeline(StandardScaler(), DensityDetector()).fit(features)
    return DriftMonitor(detector, features), week[half:]


def test_the_second_half_of_a_quiet_week_is_like_the_first(traffic):
    monitor, later = traffic
    report = monitor.check(flow_features(later))
    assert report.decision == "keep"
    assert report.shares.index.tolist() == ["ordinary", "anomalous"]
    assert (report.moved, report.clusters, report.transitions) == (None, None, None)


def test_twice_the_bytes_are_found_and_named(traffic):
    monitor, later = traffic
    sizes = ["bytes_sent", "bytes_received"]
    report = monitor.check(flow_features(later.assign(**{name: 2 * later[name] for name in sizes})))
    assert report.decision == "refit", "without centres, rows outside alone ask for it"
    assert report.evidence.loc["total_bytes", "counts"]
    assert not report.evidence.loc["duration", "counts"]


def test_a_detectors_own_rows_are_as_far_away_as_new_ones():
    "A core row lies at distance 0 of itself, which no new row does"
    week = flow_features(flows(attacks=ATTACKS[:0]))
    half = len(week) // 2
    model = make_pipeline(StandardScaler(), DensityDetector()).fit(week[:half])
    in_the_fit = DriftMonitor(model, week[:half])
    elsewhere = DriftMonitor(model, week[half:])
    own, new = (np.median(each._distances) for each in (in_the_fit, elsewhere))
    assert own == pytest.approx(new, rel=0.05)
    naive = -model.score_samples(week[:half])
    assert np.median(naive) < new / 2
    assert in_the_fit.check(week[:half]).decision == "keep", "the rows of the fit come again"


@pytest.mark.parametrize("seed", range(5))
def test_distances_of_the_fitted_rows_are_those_without_the_row_in_its_centre(seed):
    "Against the centre computed anew without each row in turn"
    table = pd.DataFrame(np.random.default_rng(seed).normal(size=(40, 2)), columns=["x", "y"])
    model = KMeans(12, n_init=5, random_state=0).fit(table)
    X, own = table.to_numpy(), model.labels_
    expected, elsewhere = [], 0
    for row in range(len(X)):
        others = np.delete(np.arange(len(X)), row)
        clusters = sorted(set(own[others]))
        centers = [X[others][own[others] == k].mean(axis=0) for k in clusters]
        distances = np.linalg.norm(X[row] - centers, axis=1)
        expected.append(distances.min())
        elsewhere += own[row] in clusters and clusters[distances.argmin()] != own[row]
    assert DriftMonitor(model, table)._distances == pytest.approx(np.array(expected))
    assert elsewhere, "some rows would then be nearer to the next centre"


def test_a_cluster_of_one_row_does_not_explain_that_row():
    table = pd.concat([blob_table(60, 0), pd.DataFrame({"age": [900.0], "income": 9000.0})])
    model = make_pipeline(StandardScaler(), KMeans(2, n_init=3, random_state=0)).fit(table)
    distances = DriftMonitor(model, table)._distances
    assert distances[-1] > 3 * distances[:-1].max()


def test_distances_of_rows_that_were_not_in_the_fit_stay(reference, current):
    monitor = DriftMonitor(fitted(reference), current)
    X = monitor._prepared(current)
    nearest = np.linalg.norm(X[:, None] - monitor._last.cluster_centers_, axis=2).min(axis=1)
    assert monitor._distances == pytest.approx(nearest)


def test_reference_and_new_rows_have_the_same_distances_on_average():
    "Three centres of 15 rows each: rows of the fit are nearer by a fifteenth than any others"
    naive, honest = [], []
    for seed in range(120):
        table, new = blob_table(45, [0, seed]), blob_table(900, [1, seed])
        monitor = DriftMonitor(fitted(table), table)
        own, later = (monitor._distance(monitor._prepared(each)).mean() for each in (table, new))
        naive.append(later / own)
        honest.append(later / monitor._distances.mean())
    assert np.mean(naive) == pytest.approx(1 + 1 / 15, abs=0.03)
    assert np.mean(honest) == pytest.approx(1, abs=0.025)


def test_one_row_in_a_hundred_of_each_cluster_lies_outside_its_radius(reference, monitor):
    codes = monitor.model.predict(reference)
    for code in range(3):
        outside = monitor._spread[codes == code] > 1
        assert outside.sum() == 0.01 * (len(outside) - 1) // 1 == 1


def test_a_cluster_of_few_rows_has_the_radius_of_all(reference):
    far = blob_table(10, 4, centers=[[90, 90]])
    table = pd.concat([reference, far], ignore_index=True)
    monitor = DriftMonitor(fitted(table, 4), table)
    (code,) = set(monitor.model.predict(far))
    overall = np.sort(monitor._distances)[-7]  # 6 of 610 rows lie beyond
    assert monitor._radius[code] == overall
    for other in {0, 1, 2, 3} - {code}:
        own = monitor._distances[monitor._codes == other]
        assert monitor._radius[other] == np.sort(own)[-2]


@pytest.mark.parametrize(("n", "n_clusters"), [(160, 1), (160, 5), (600, 4)])
def test_false_alarms_of_rows_outside_are_as_rare_as_asked_for(n, n_clusters):
    "150 fits and 10 tables for each; the rows of one fit hang together, hence the margin"
    alarms = []
    for seed in range(150):
        rng = np.random.default_rng(seed)
        table = pd.DataFrame(rng.lognormal(size=(n, 2)))
        model = KMeans(n_clusters, n_init=2, random_state=0).fit(np.log(table))
        monitor = DriftMonitor(model, np.log(table), n_periods=1, alpha=0.25)
        assert monitor.alpha_each == 0.05
        for _ in range(10):
            spread = monitor_spread(monitor, np.log(pd.DataFrame(rng.lognormal(size=(n, 2)))))
            test = monitor._outside_test(spread)
            alarms.append(test["value"] > test["by chance"])
    assert 0.02 < np.mean(alarms) < 0.075


def monitor_spread(monitor, table):
    """Distances of new rows in units of the radius, as a check has them."""
    distances = monitor._distance(monitor._prepared(table))
    return distances / monitor._radius[monitor._coded(table, distances)]


def test_the_limit_of_rows_outside_is_a_quantile_of_the_beta_binomial(reference, current):
    "One cluster, so one radius: the seventh largest of 600, and 6 rows beyond it"
    monitor = DriftMonitor(fitted(reference, 1), reference)
    row = monitor.check(current).evidence.loc["rows outside the radius"]
    most = round(row["by chance"] * 500)
    assert betabinom.sf(most, 500, 6, 595) <= monitor.alpha_each
    assert betabinom.sf(most - 1, 500, 6, 595) > monitor.alpha_each
    spread = monitor_spread(monitor, current)
    assert row["value"] == np.mean(spread > 1)


# Decisions


def test_a_shift_inside_the_clusters_is_watched(reference, monitor):
    "Twice as many of one group: features and shares change, the places of the groups do not"
    more = pd.concat([reference, reference[monitor.model.predict(reference) == 0]])
    more = pd.concat([more, more[monitor.model.predict(more) == 0]])
    report = monitor.check(more)
    assert report.decision == "watch"
    assert report.evidence.loc["cluster shares", "counts"]
    assert not report.evidence.loc["rows outside the radius", "counts"]
    assert report.moved < 0.02
    assert set(report.clusters["fate"]) == {"survived"}


def test_a_new_group_asks_for_a_refit_and_has_emerged(reference, monitor):
    new = blob_table(120, 2, centers=[[25, 25]])
    report = monitor.check(pd.concat([reference, new]))
    assert report.decision == "refit"
    assert report.shares["current"].sum() == pytest.approx(1)
    fate = report.clusters.set_index("fate").loc["emerged"]
    assert fate["overlap"] == 1
    assert report.evidence.loc["rows outside the radius", "value"] > 120 / 720


def test_a_refit_that_moves_many_rows_asks_for_one_even_if_none_is_outside():
    "A square cut in two left and right; now it is a long strip, which is cut up and down"
    rng = np.random.default_rng(0)
    wide = pd.DataFrame(rng.uniform(-1, 1, size=(800, 2)) * [1, 0.9], columns=["x", "y"])
    model = KMeans(2, n_init=5, random_state=0).fit(wide)
    tall = pd.DataFrame(rng.uniform(-1, 1, size=(800, 2)) * [0.5, 0.9], columns=["x", "y"])
    report = DriftMonitor(model, wide).check(tall)
    assert not report.evidence.loc["rows outside the radius", "counts"]
    assert report.moved > 0.3
    assert report.moved > report.moved_by_chance
    assert report.decision == "refit"


def test_a_refit_that_moves_by_chance_is_not_asked_for(reference):
    "Seven clusters in three groups: each refit cuts the groups otherwise"
    monitor = DriftMonitor(fitted(reference, 7), reference)
    more = pd.concat([reference, reference[reference["age"] > 53]])
    report = monitor.check(pd.concat([more, more[more["age"] > 53]]))
    assert report.evidence["counts"].any()
    assert 0.1 < report.moved <= report.moved_by_chance
    assert report.decision == "watch"


def test_what_is_detectable_but_small_does_not_count(reference):
    "A tenth of a standard deviation, among 30,000 rows"
    table = blob_table(30_000, 5)
    report = DriftMonitor(fitted(reference), reference).check(table)
    many = DriftMonitor(fitted(table), table).check(blob_table(30_000, 6).add([0.3, 0]))
    assert report.decision == many.decision == "keep"
    assert many.evidence.loc["age", "detectable"]
    assert not many.evidence["material"].any()
    assert any("smaller than what is material: age" in reason for reason in many.reasons)


def test_chance_of_few_rows_is_no_drift(reference):
    "An index of 0.1 in five bins is nothing special for 100 rows"
    monitor = DriftMonitor(fitted(reference[:100]), reference[:100])
    values = []
    for seed in range(30):
        report = monitor.check(blob_table(100, seed + 10))
        assert report.decision == "keep"
        values += report.evidence.loc[["age", "income"], "value"].tolist()
    assert np.mean(np.array(values) > 0.1) > 0.05


def test_the_decision_is_one_of_three_and_stands_first(monitor, current, reference):
    for table in (current, current.add([4, 4000])):
        report = monitor.check(table)
        assert report.decision in DECISIONS
        assert report.reasons[0].casefold().startswith(report.decision)
        assert f"{monitor.alpha:.0%} or less of series of 12 checks" in report.rule


def test_evidence_says_what_is_detectable_and_material(monitor, current):
    evidence = monitor.check(current.add([1, 0])).evidence
    assert list(evidence.index) == [
        *("age", "income", "cluster shares"),
        *("distance to the clusters", "rows outside the radius"),
    ]
    assert len(evidence) == monitor.n_tests
    assert monitor.alpha_each == pytest.approx(0.05 / (5 * 12))
    detectable = evidence["value"] > evidence["by chance"]
    material = evidence["size"] > evidence["material from"]
    assert evidence["detectable"].equals(detectable.rename("detectable"))
    assert evidence["counts"].equals((detectable & material).rename("counts"))
    assert ((strength(evidence) > 1) == evidence["counts"]).all()
    assert evidence.loc["age", "counts"]
    assert not evidence.loc["income", "counts"]
    assert evidence.loc["rows outside the radius", "material from"] == MATERIAL_OUTSIDE


def test_the_index_of_a_feature_is_that_of_the_function(monitor, current, reference):
    current = current.add([1, 0])
    report = monitor.check(current)
    edges = quantile_edges(reference["age"], 10, least=6)  # 5 rows, and 600 / 500 as many
    row = report.evidence.loc["age"]
    assert row["value"] == psi(reference["age"], current["age"], edges)
    assert row["by chance"] == psi_threshold(600, 500, 10, monitor.alpha_each)
    assert row["size"] == row["value"] - 9 * (1 / 600 + 1 / 500)
    bins = report.distributions["age"]
    assert len(bins) == 10
    assert bins["from"].tolist()[1:] == bins["to"].tolist()[:-1] == edges.tolist()
    assert bins[["reference", "current"]].sum().tolist() == pytest.approx([1, 1])
    both = pd.concat([reference, current])["age"]
    assert (bins["from"].min(), bins["to"].max()) == (both.min(), both.max())


def test_a_bin_that_the_smaller_table_could_not_fill_is_none(reference):
    "7 rows in 100 ordered twice: 42 of 600, but 4 of 60"
    table = reference.assign(orders=np.where(np.arange(600) % 100 < 7, 2.0, 1.0))
    monitor = DriftMonitor(fitted(table), table)
    filled = monitor.check(table).distributions["orders"]
    assert filled["reference"].tolist() == [0.93, 0.07]
    below_within_above = monitor.check(table[:60]).distributions["orders"]
    assert below_within_above["reference"].tolist() == [0, 1, 0]


def test_quartiles_are_in_the_features_own_units(monitor, current, reference):
    features = monitor.check(current).features
    assert features.loc["income", "median, current"] == current["income"].median()
    lower = reference["age"].quantile(0.25)
    assert features.loc["age", "lower quartile, reference"] == lower


def test_shares_of_the_clusters_are_counted(monitor, current, reference):
    shares = monitor.check(current).shares
    now = pd.Series(monitor.model.predict(current)).value_counts(normalize=True)
    assert shares.loc[now.index, "current"].tolist() == pytest.approx(now.tolist())
    assert shares["reference"].sum() == pytest.approx(1)


def test_clusters_stand_in_the_order_of_the_model(control):
    "Best first where they have names, else by number: 10 after 9"
    table, quarters = control
    model = CustomerSegmenter(5).fit(table)
    shares = DriftMonitor(model, table).check(quarters["2024-03"]).shares
    assert shares.index.tolist() == model.names_.tolist()
    eleven = DriftMonitor(fitted(table, 11), table).check(quarters["2024-03"]).shares
    assert eleven.index.tolist() == list(range(11))


def test_a_cluster_without_a_row_in_the_reference_is_known():
    "Its rows come later, and are counted"
    table = blob_table(600, 0)
    model = fitted(table)
    without = table[model.predict(table) != 1]
    shares = DriftMonitor(model, without).check(table).shares
    assert shares.loc[1, "reference"] == 0
    assert shares.loc[1, "current"] == pytest.approx(1 / 3, abs=0.01)


def test_transitions_add_up(control):
    table, quarters = control
    monitor = DriftMonitor(CustomerSegmenter(4).fit(table), table)
    quarter = quarters["2024-03"]
    transitions = monitor.check(quarter).transitions
    known = table.index.intersection(quarter.index)
    assert len(known) > 100
    assert transitions.iloc[:-1, :-1].to_numpy().sum() == len(known)
    assert transitions["gone"].sum() == len(table) - len(known)
    assert transitions.loc["new"].sum() == len(quarter) - len(known)
    was = pd.Series(monitor.model.predict(table)).value_counts()
    now = pd.Series(monitor.model.predict(quarter)).value_counts()
    assert transitions.drop(index="new").sum(axis=1).to_dict() == was.to_dict()
    assert transitions.drop(columns="gone").sum().to_dict() == now.to_dict()
    who = known[0]
    places = (monitor.model.predict(each.loc[[who]])[0] for each in (table, quarter))
    assert transitions.loc[tuple(places)] > 0


def test_rows_without_names_have_no_transitions(monitor, current):
    assert monitor.check(current).transitions is None


def test_a_table_that_names_other_things_has_no_transitions(control):
    table, quarters = control
    monitor = DriftMonitor(CustomerSegmenter(4).fit(table), table)
    assert monitor.check(quarters["2024-03"].rename_axis("household")).transitions is None


# What a check leaves alone


def test_a_check_changes_neither_table_nor_monitor_nor_model(monitor, current):
    before = copy.deepcopy(monitor)
    table = current.copy()
    monitor.check(table.add([4, 4000]))
    first = monitor.check(table)
    assert_frame_equal(table, current)
    assert_frame_equal(monitor.reference, before.reference)
    assert (monitor._last.cluster_centers_ == before._last.cluster_centers_).all()
    assert (monitor.model[0].mean_ == before.model[0].mean_).all()
    assert_same_report(first, before.check(table))


def assert_same_report(one, other):
    assert one.to_dict() == other.to_dict()


def test_the_same_tables_give_the_same_report(reference, current):
    reports = [
        DriftMonitor(fitted(reference), reference).check(current.add([1, 300])) for _ in range(2)
    ]
    assert_same_report(*reports)


@pytest.mark.parametrize("n", [500, 2_500])
def test_the_order_of_rows_and_columns_makes_no_difference(monitor, n):
    "Also where the refit takes a sample of the rows"
    table = blob_table(n, 1).add([1, 300])
    again = table.sample(frac=1, random_state=0)[["income", "age"]]
    assert_same_report(monitor.check(table), monitor.check(again))
    assert monitor.check(table).evidence["counts"].any()


def test_other_columns_are_ignored(monitor, current):
    more = current.assign(name="somebody", weight=np.nan)
    assert_same_report(monitor.check(current), monitor.check(more))


def test_rows_that_stand_twice_leave_shares_and_medians(monitor, current):
    once, twice = monitor.check(current), monitor.check(pd.concat([current, current]))
    assert_frame_equal(once.shares, twice.shares)
    assert once.features["median, current"].tolist() == twice.features["median, current"].tolist()


def test_other_units_leave_the_decision_to_a_model_fitted_in_them(reference, current):
    for shift in ([0, 0], [1, 300], [4, 4000]):
        plain = DriftMonitor(fitted(reference), reference).check(current.add(shift))
        other = reference * [12, 0.01]
        scaled = DriftMonitor(fitted(other), other).check(current.add(shift) * [12, 0.01])
        assert scaled.decision == plain.decision
        columns = ["value", "by chance", "size"]
        pair = (report.evidence[columns].to_numpy() for report in (scaled, plain))
        assert next(pair) == pytest.approx(next(pair), abs=1e-9)


def test_arrays_fitted_without_names_are_monitored_by_the_references_columns(reference, current):
    model = KMeans(3, n_init=3, random_state=0).fit(reference.to_numpy())
    assert DriftMonitor(model, reference).check(current).decision == "keep"
    numbered = reference.set_axis([0, 1], axis=1)
    report = DriftMonitor(model, numbered).check(current.set_axis([0, 1], axis=1).add([4, 4000]))
    assert report.reasons[1].startswith("0: PSI")


def test_centres_are_enough_whatever_found_them(reference, current):
    "MeanShift has no n_clusters"
    scaler = StandardScaler()
    model = make_pipeline(scaler, MeanShift(bandwidth=0.8)).fit(reference)
    report = DriftMonitor(model, reference).check(current.add([4, 4000]))
    assert report.decision == "refit"
    assert report.moved is not None


def test_integers_are_numbers(control):
    table, quarters = control
    whole = table.round().astype(int)
    monitor = DriftMonitor(fitted(whole, 4), whole)
    assert monitor.check(quarters["2024-03"].round().astype(int)).decision == "keep"


def test_a_constant_column_that_stays_is_nothing_and_one_that_changes_is_something(reference):
    table = reference.assign(months=12)
    monitor = DriftMonitor(fitted(table), table)
    later = blob_table(500, 1)
    assert monitor.check(later.assign(months=12)).decision == "keep"
    few = np.where(np.arange(500) < 5, 13, 12)
    assert monitor.check(later.assign(months=few)).decision == "keep"
    for months in (11, 13):
        evidence = monitor.check(later.assign(months=months)).evidence
        assert evidence.loc["months", "counts"]
        assert not evidence.loc["age", "counts"]


def test_a_reference_of_equal_rows_has_a_radius(reference):
    table = pd.DataFrame({"x": np.full(40, 3.0)})
    monitor = DriftMonitor(KMeans(1).fit(table), table)
    assert monitor.check(table).decision == "keep"
    assert monitor.check(table + 5).decision == "refit"


# What is refused


def refused(monitor, table, match):
    with pytest.raises(InputError, match=match):
        monitor.check(table)


def test_a_missing_column_is_named_with_the_nearest(monitor, current):
    refused(
        monitor,
        current.rename(columns={"income": "Incomes"}),
        r"The current table lacks 'income' \(nearest: 'Incomes'\), .* It has 'age' and 'Incomes'",
    )


def test_the_reference_is_checked_as_well(reference):
    with pytest.raises(InputError, match="The reference lacks 'age', which the model was fitted"):
        DriftMonitor(fitted(reference), reference.drop(columns="age"))


def test_text_is_no_number(monitor, current):
    refused(monitor, current.astype({"age": str}), "column 'age' holds str, and no numbers")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_values_that_are_no_finite_number_are_refused_with_their_place(monitor, current, value):
    table = current.rename(index="row {}".format)
    table.iloc[[3, 7], 1] = value
    refused(monitor, table, "2 values of column 'income' are .* the first in row 'row 3'")


def test_missing_whole_numbers_are_refused_too(monitor, current):
    table = current.round().astype("Int64")
    table.iloc[3, 0] = pd.NA
    refused(monitor, table, "1 values of column 'age'")


def test_values_that_the_model_cannot_scale_are_refused(control):
    "A logarithm of less than nothing"
    table, quarters = control
    monitor = DriftMonitor(CustomerSegmenter(4).fit(table), table)
    quarter = quarters["2024-03"].copy()
    quarter.iloc[2, 2] = -50.0
    refused(monitor, quarter, rf"1 rows, the first of them '{quarter.index[2]}'")


@pytest.mark.parametrize(("n", "text"), [(0, "0 rows"), (1, "1 row;"), (19, "19 rows")])
def test_a_few_rows_say_nothing(monitor, current, n, text):
    refused(monitor, current[:n], f"has {text}.*fewer than 20")
    assert monitor.check(current[:20]).n_current == 20


def test_one_name_for_two_rows_is_refused(control):
    table, quarters = control
    monitor = DriftMonitor(CustomerSegmenter(4).fit(table), table)
    quarter = quarters["2024-03"]
    twice = pd.concat([quarter, quarter[:1]])
    refused(monitor, twice, f"customer_id '{quarter.index[0]}' stands twice")


def test_a_model_has_to_be_fitted_and_to_place_new_rows(reference):
    with pytest.raises(TypeError, match="KMeans is no fitted model"):
        DriftMonitor(KMeans(3), reference)
    with pytest.raises(TypeError, match="int is no fitted model"):
        DriftMonitor(3, reference)
    with pytest.raises(TypeError, match="AgglomerativeClustering has no predict"):
        DriftMonitor(AgglomerativeClustering(3).fit(reference), reference)
    with pytest.raises(TypeError, match="GaussianMixture has neither centres nor normal rows"):
        DriftMonitor(GaussianMixture(3).fit(reference), reference)


@pytest.mark.parametrize("fault", [{"n_periods": 0}, {"alpha": 0.0}, {"alpha": 1.0}, {"bins": 1}])
def test_settings_without_sense_are_refused(reference, fault):
    with pytest.raises(ValueError, match="use at least one period"):
        DriftMonitor(fitted(reference), reference, **fault)


# What a report gives


def test_a_report_is_plain_values_and_goes_through_json(changing, tmp_path):
    table, quarters = changing
    monitor = DriftMonitor(CustomerSegmenter(4).fit(table), table)
    report = monitor.check(quarters["2024-08"])
    plain = report.to_dict()
    write_json(plain, tmp_path / "report.json")
    read = json.loads((tmp_path / "report.json").read_text())
    assert read["decision"] == report.decision == "refit"
    assert read["n_current"] == len(quarters["2024-08"])
    assert {row["test"] for row in read["evidence"]} == set(report.evidence.index)
    assert read["evidence"][0]["value"] == pytest.approx(report.evidence["value"].iloc[0])
    assert [row["cluster"] for row in read["shares"]] == report.shares.index.tolist()
    assert [row["was"] for row in read["transitions"]] == report.transitions.index.tolist()
    assert read["moved"] == pytest.approx(report.moved)
    assert read["moved_by_chance"] == pytest.approx(report.moved_by_chance)


def test_a_report_without_centres_leaves_out_what_there_is_not(traffic):
    monitor, later = traffic
    plain = monitor.check(flow_features(later)).to_dict()
    assert plain["clusters"] is plain["moved"] is plain["transitions"] is None


def test_memory_grows_with_the_rows_and_not_with_their_square():
    "40,000 rows against themselves would be 12 GB"
    peaks = []
    for n in (10_000, 40_000):
        table = blob_table(n, 0).rename_axis("row")
        model = fitted(table[:1000])
        tracemalloc.start()
        DriftMonitor(model, table).check(table)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 6 * peaks[0]
    assert peaks[1] < 50e6


# Figures


@pytest.fixture
def style():
    """The course's style, for one test; no figure may be left to pyplot."""
    with mpl.rc_context():
        use_course_style()
        yield
        assert plt.get_fignums() == []


def drawn(figure):
    assert isinstance(figure, Figure)
    figure.draw_without_rendering()
    return figure.axes


def texts(labels):
    return [label.get_text() for label in labels]


def legend_names(figure):
    (legend,) = figure.legends
    return texts(legend.get_texts())


@pytest.mark.usefixtures("style")
def test_the_figure_of_evidence_has_a_bar_a_test_and_says_what_counts(monitor, current):
    report = monitor.check(current.add([1, 0]))
    (ax,) = drawn(report.plot_evidence())
    names = [text.replace("\n", " ") for text in texts(ax.get_yticklabels())]
    assert names == report.evidence.index.tolist()
    values = strength(report.evidence)
    assert [bar.get_width() for bar in ax.patches] == pytest.approx(values.tolist())
    counts = report.evidence["counts"].tolist()
    assert [text.endswith(" counts") for text in texts(ax.texts)] == counts
    assert [bar.get_hatch() == "//" for bar in ax.patches] == counts
    assert texts(ax.texts)[0] == f"{values.iloc[0]:.1f} counts"
    assert ax.get_xlabel() == "multiple of what it takes to count"
    assert ax.yaxis_inverted(), "the first test stands on top"
    assert ax.lines[0].get_xdata()[0] == 1


@pytest.mark.usefixtures("style")
def test_bars_of_weak_evidence_still_leave_room_for_the_line():
    (ax,) = drawn(plot_evidence(pd.Series([0.1, 0.2], index=["a", "b"])))
    assert ax.get_xlim() == (0, 1.6)
    assert texts(ax.texts) == ["0.1", "0.2"]


@pytest.mark.usefixtures("style")
def test_the_figure_of_features_has_two_bars_a_bin(monitor, current):
    report = monitor.check(current)
    figure = report.plot_features()
    axes = drawn(figure)
    assert [ax.get_title() for ax in axes] == ["age", "income"]
    for ax, table in zip(axes, report.distributions.values(), strict=True):
        heights = [bar.get_height() for bar in ax.patches]
        assert heights == [*table["reference"], *table["current"]]
        limits = [float(text[3:].replace(",", "")) for text in texts(ax.get_xticklabels())]
        assert limits == pytest.approx(table["to"].tolist(), rel=0.01)
        assert ax.get_ylabel() == "share"
    assert legend_names(figure) == ["reference", "current"]


@pytest.mark.usefixtures("style")
def test_one_feature_is_one_panel():
    table = pd.DataFrame({"from": [0.0, 1.0], "to": [1.0, 2.0], "then": [0.4, 0.6], "now": 0.5})
    (ax,) = drawn(plot_bins({"x": table}))
    assert len(ax.patches) == 4
    assert texts(ax.get_yticklabels())[0] == "0%"


@pytest.mark.usefixtures("style")
def test_the_figure_of_shares_has_two_bars_a_cluster(monitor, current):
    report = monitor.check(current)
    figure = report.plot_shares()
    (ax,) = drawn(figure)
    assert len(ax.patches) == 6
    assert ax.get_xlabel() == "share of the rows"


@pytest.mark.usefixtures("style")
@pytest.mark.parametrize("limit", [None, 0.05])
def test_lines_over_time(limit):
    table = pd.DataFrame(
        {"outside": [0.01, 0.02, 0.09], "moved": [0.0, 0.1, 0.2]}, index=["Jan", "Feb", "Mar"]
    )
    figure = plot_over_time(table, "share of the rows", limit)
    (ax,) = drawn(figure)
    lines = {line.get_label(): list(line.get_ydata()) for line in ax.lines}
    assert lines["outside"] == [0.01, 0.02, 0.09]
    assert texts(ax.get_xticklabels()) == ["Jan", "Feb", "Mar"]
    assert ax.get_ylabel() == "share of the rows"
    assert ax.get_ylim()[0] == 0
    assert texts(ax.get_yticklabels())[0] == "0%"
    names = ["outside", "moved"] + (["what it takes to count"] if limit else [])
    assert legend_names(figure) == names
    markers = [line.get_marker() for line in ax.lines[:2]]
    assert len(set(markers)) == 2, "told apart without colour"


@pytest.mark.usefixtures("style")
def test_values_over_time_need_not_be_shares():
    (ax,) = drawn(plot_over_time(pd.DataFrame({"PSI": [1.0, 2.0]}), "index", as_percent=False))
    assert not any("%" in text for text in texts(ax.get_yticklabels()))
