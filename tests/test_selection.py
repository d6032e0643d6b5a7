import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from pandas.testing import assert_frame_equal
from sklearn.cluster import KMeans
from sklearn.datasets import load_iris, make_blobs
from sklearn.metrics import (
    adjusted_rand_score,
    calinski_harabasz_score,
    davies_bouldin_score,
    silhouette_score,
)
from sklearn.preprocessing import StandardScaler

from helpers.fixtures import ONE_CROWD, ecommerce_customers
from helpers.segmentation import rfm_table
from helpers.selection import (
    CLEAR_MARGIN,
    MANY_ROWS,
    choose_k,
    clustering_evidence,
    control_silhouettes,
    fit_kmeans,
    is_clear,
    sweep_k,
    sweep_labels,
)

CORNERS = [[0, 0], [20, 0], [0, 20], [20, 20]]


@pytest.fixture(scope="module")
def blobs():
    """Four groups twenty standard deviations apart, and which is which."""
    return make_blobs(400, centers=CORNERS, random_state=0)


# fit_kmeans


def few_values(rng):
    return rng.poisson(2, size=(1500, 3)).astype(float)


def overlapping_many(rng):
    return rng.normal(size=(8000, 3)) + rng.integers(0, 4, size=(8000, 1))


def amounts_many(rng):
    return np.log1p(np.exp(rng.normal([4, 1, 6], [1, 0.7, 1.2], size=(12_000, 3))))


@pytest.mark.parametrize("n_clusters", [3, 8])
@pytest.mark.parametrize(
    "data",
    [lambda rng: load_iris().data, few_values, overlapping_many, amounts_many],
    ids=["iris", "few values", "8,000 rows", "12,000 rows"],
)
def test_the_inertia_is_not_worse_than_that_of_ten_starts_on_all_rows(data, n_clusters):
    X = data(np.random.default_rng(0))
    ours = [fit_kmeans(X, n_clusters, random_state=seed) for seed in range(3)]
    usual = [KMeans(n_clusters, n_init=10, random_state=seed).fit(X) for seed in range(3)]
    # The middle of three seeds: where there are no groups, one seed may be lucky.
    middle, middle_usual = (np.median([m.inertia_ for m in models]) for models in (ours, usual))
    assert middle <= 1.001 * middle_usual
    # The inertia is that of all rows, not of distinct or binned ones.
    squared = ((X - ours[0].cluster_centers_[ours[0].labels_]) ** 2).sum()
    assert ours[0].inertia_ == pytest.approx(squared)


@pytest.mark.parametrize("n_rows", [500, MANY_ROWS + 1000])
def test_it_stops_only_where_every_centre_is_the_mean_of_its_rows(n_rows):
    "The fixed point of Lloyd's algorithm; the default tolerance stops short of it"
    X = np.random.default_rng(0).normal(size=(n_rows, 2))
    model = fit_kmeans(X, 6, random_state=0)
    means = pd.DataFrame(X).groupby(model.labels_).mean().to_numpy()
    assert_allclose(model.cluster_centers_, means, atol=1e-12)
    nearest = ((X[:, None] - means) ** 2).sum(axis=2).argmin(axis=1)
    assert_array_equal(nearest, model.labels_)


def test_separated_blobs_are_found_from_any_seed(blobs):
    X, truth = blobs
    for seed in range(5):
        labels = fit_kmeans(X, 4, random_state=seed).labels_
        assert adjusted_rand_score(labels, truth) == 1


def test_the_same_seed_gives_the_same_clusters(scaled):
    first, again = (fit_kmeans(scaled, 7, random_state=1) for _ in range(2))
    assert_array_equal(first.labels_, again.labels_)


def test_as_many_clusters_as_distinct_rows_leave_no_distance():
    model = fit_kmeans([[0.0], [1.0], [5.0], [5.0]], 3, random_state=0)
    assert model.inertia_ == 0
    assert model.cluster_centers_.ravel()[model.labels_].tolist() == [0, 1, 5, 5]


def test_outliers_among_many_rows_are_no_obstacle():
    X = np.append(np.random.default_rng(0).normal(size=MANY_ROWS + 1000), [1e9, 2e9])[:, None]
    assert len(set(fit_kmeans(X, 5, random_state=0).labels_)) == 5


# clustering_evidence


def test_on_all_rows_the_measures_are_scikit_learns(blobs):
    X = load_iris().data
    labels = KMeans(3, n_init=3, random_state=0).fit_predict(X)
    evidence = clustering_evidence(X, labels)
    assert evidence["silhouette"] == pytest.approx(silhouette_score(X, labels))
    assert evidence["davies_bouldin"] == davies_bouldin_score(X, labels)
    assert evidence["calinski_harabasz"] == calinski_harabasz_score(X, labels)


def test_a_silhouette_by_hand():
    "Rows 0 and 1: a = 1, b = 9.5 and 8.5 on average; the lone row has 0 by definition"
    evidence = clustering_evidence([[0.0], [1.0], [10.0]], [0, 0, 1])
    assert evidence["silhouette"] == pytest.approx((9 / 10 + 8 / 9 + 0) / 3)
    assert evidence["smallest_share"] == 1 / 3


def test_the_names_of_the_labels_do_not_matter(blobs):
    X, truth = blobs
    by_number = clustering_evidence(X, truth, random_state=0)
    by_gaps = clustering_evidence(X, np.array([-7, 3, 40, 99])[truth], random_state=0)
    assert by_gaps == pytest.approx(by_number)


def test_noise_is_left_out_but_counts_among_all_rows(blobs):
    X, truth = blobs
    with_noise = np.vstack([X, np.full((100, 2), 10.0)])
    evidence = clustering_evidence(with_noise, np.append(truth, [-1] * 100), random_state=0)
    without = clustering_evidence(X, truth, random_state=0)
    assert evidence.pop("smallest_share") == 100 / 500
    assert without.pop("smallest_share") == 100 / 400
    assert evidence == without


@pytest.mark.parametrize("labels", [[0, 0, 0, 0], [0, 0, -1, -1], [-1] * 4, [0, 1, 2, 3]])
def test_what_is_not_two_clusters_at_least_has_no_evidence(labels):
    with pytest.raises(ValueError, match=r"two clusters are needed, and fewer than rows\.$"):
        clustering_evidence([[0.0], [1.0], [5.0], [6.0]], labels)


@pytest.fixture(scope="module")
def lopsided():
    """6,000 rows in three overlapping groups of 60, 30 and 10 %."""
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1, 2], [3600, 1800, 600])
    X = rng.normal(size=(6000, 2)) + np.array([[0, 0], [3, 0], [0, 6]])[labels]
    return X, KMeans(3, n_init=3, random_state=0).fit_predict(X)


def test_a_sampled_silhouette_is_near_the_full_one(lopsided):
    X, labels = lopsided
    full = silhouette_score(X, labels)
    for seed in range(5):
        evidence = clustering_evidence(X, labels, random_state=seed)
        assert 0 < evidence["silhouette_se"] < 0.01
        assert evidence["silhouette"] == pytest.approx(full, abs=4 * evidence["silhouette_se"])
        assert evidence["smallest_share"] == np.bincount(labels).min() / 6000


def test_the_standard_error_is_the_spread_between_samples(lopsided):
    "The standard deviation of 80 values is itself known to 8 %; 25 % is three of these"
    X, labels = lopsided
    drawn = pd.DataFrame(
        clustering_evidence(X, labels, sample_size=400, random_state=seed) for seed in range(80)
    )
    assert drawn["silhouette_se"].mean() == pytest.approx(drawn["silhouette"].std(), rel=0.25)
    assert drawn["silhouette"].mean() == pytest.approx(silhouette_score(X, labels), abs=0.01)


def test_a_small_cluster_is_sampled_well_but_weighs_little():
    "In proportion, 100 of 5,000 rows would hold one of its 50, and its silhouette would be 0"
    X, labels = make_blobs([4950, 50], centers=[[0, 0], [9, 9]], random_state=0)
    evidence = clustering_evidence(X, labels, sample_size=100, random_state=0)
    assert evidence["silhouette"] == pytest.approx(silhouette_score(X, labels), abs=0.03)


# sweep_k


def test_a_sweep_has_one_row_for_each_k(blobs):
    table = sweep_k(blobs[0], range(2, 6), n_boot=3, random_state=0)
    assert table.index.name == "n_clusters"
    assert list(table.index) == [2, 3, 4, 5]
    assert list(table.columns) == [
        "inertia",
        "silhouette",
        "silhouette_se",
        "davies_bouldin",
        "calinski_harabasz",
        "smallest_share",
        "stability",
    ]
    assert table["inertia"].is_monotonic_decreasing


def test_the_sweep_sees_the_true_number_of_blobs(blobs):
    "Corners at side 20: a point is sqrt(pi) = 1.77 from its own group on average, 20 from others"
    table = sweep_k(blobs[0], range(2, 8), n_boot=5, random_state=0)
    assert table["silhouette"].idxmax() == table["davies_bouldin"].idxmin() == 4
    assert table["calinski_harabasz"].idxmax() == 4
    assert table.loc[4, "silhouette"] == pytest.approx(1 - 1.77 / 20, abs=0.02)
    assert table.loc[4, "stability"] == 1
    assert table.loc[4, "smallest_share"] == 0.25
    choice = choose_k(table)
    assert choice.n_clusters == 4
    assert choice.runner_up != 4


def test_the_stability_is_that_of_the_least_stable_cluster():
    "One far group is always found; a circle is cut in three in another place each time"
    rng = np.random.default_rng(0)
    angle = rng.uniform(0, 2 * np.pi, 300)
    circle = np.column_stack([np.cos(angle), np.sin(angle)])
    X = np.vstack([circle, rng.normal([30, 0], 0.1, size=(100, 2))])
    table = sweep_k(X, [2, 4], n_boot=10, random_state=0)
    assert table.loc[2, "stability"] == 1
    assert table.loc[4, "stability"] < 0.8


def test_no_k_passes_half_the_number_of_distinct_rows():
    X = np.repeat(np.random.default_rng(0).normal(size=(7, 2)), 25, axis=0)
    assert list(sweep_k(X, n_boot=2, random_state=0).index) == [2, 3]


def test_a_sweep_without_a_possible_k_says_what_is_possible():
    with pytest.raises(
        ValueError,
        match=r"in \[2, 3\] can be tried: n_samples=10 rows hold 2 different ones, and K must be",
    ):
        sweep_k(np.repeat([[0.0], [1.0]], 5, axis=0), [2, 3])


@pytest.mark.parametrize("n_rows", [4, 5, 8, 15])
def test_a_handful_of_rows_is_enough(n_rows):
    X = np.random.default_rng(0).normal(size=(n_rows, 2))
    table = sweep_k(X, random_state=0)
    assert list(table.index) == list(range(2, n_rows // 2 + 1))
    assert table.notna().all(axis=None)


def test_the_same_seed_gives_the_same_table(scaled):
    first, again = (sweep_k(scaled[:300], [2, 3], n_boot=3, random_state=4) for _ in range(2))
    assert_frame_equal(first, again)


def test_the_order_of_k_range_is_kept_and_any_iterable_will_do(blobs):
    assert list(sweep_k(blobs[0], (k for k in (4, 2)), n_boot=1, random_state=0).index) == [4, 2]


# choose_k


def evidence(silhouettes, *, se=0.01, shares=0.2, stabilities=0.9):
    """Evidence for K = 2, 3, ... with these silhouettes."""
    return pd.DataFrame(
        {
            "silhouette": silhouettes,
            "silhouette_se": se,
            "smallest_share": shares,
            "stability": stabilities,
        },
        index=pd.RangeIndex(2, 2 + len(silhouettes), name="n_clusters"),
    )


def test_the_best_silhouette_wins():
    choice = choose_k(evidence([0.30, 0.50, 0.40]))
    assert (choice.n_clusters, choice.runner_up) == (3, 4)
    assert choice.reasons == (
        "K = 3 has the highest silhouette of all: 0.500, standard error 0.010.",
    )


def test_one_cluster_too_small_is_left_out():
    choice = choose_k(evidence([0.30, 0.50, 0.40], shares=[0.2, 0.019, 0.02]))
    assert (choice.n_clusters, choice.runner_up) == (4, 2)
    assert choice.reasons == (
        "K = 3 has a cluster with less than 2% of the rows and cannot be chosen.",
        "K = 4 has the highest silhouette of those left: 0.400, standard error 0.010.",
    )


def test_several_unstable_ones_are_left_out():
    choice = choose_k(evidence([0.30, 0.50, 0.40, 0.45], stabilities=[0.75, 0.7499, 0.2, 0.6]))
    assert (choice.n_clusters, choice.runner_up) == (2, None)
    assert choice.reasons[0] == (
        "K = 3, 4 and 5 have a cluster with a stability below 0.75 and cannot be chosen."
    )


def test_both_conditions_have_to_hold():
    table = evidence([0.6, 0.5, 0.4], shares=[0.01, 0.2, 0.2], stabilities=[0.9, 0.5, 0.9])
    choice = choose_k(table)
    assert choice.n_clusters == 4
    assert [reason[:9] for reason in choice.reasons] == ["K = 2 has", "K = 3 has", "K = 4 has"]


def test_a_condition_that_no_k_meets_is_dropped_and_said():
    choice = choose_k(evidence([0.30, 0.50], stabilities=0.5))
    assert (choice.n_clusters, choice.runner_up) == (3, 2)
    assert choice.reasons == (
        "All of K = 2 and 3 have a cluster with a stability below 0.75; none is better.",
        "K = 3 has the highest silhouette of all: 0.500, standard error 0.010.",
    )


def test_a_condition_dropped_does_not_drop_the_other():
    choice = choose_k(evidence([0.30, 0.50], shares=[0.2, 0.01], stabilities=0.5))
    assert choice.n_clusters == 2
    assert "less than 2%" in choice.reasons[0]
    assert "below 0.75" in choice.reasons[1]


def test_a_condition_is_asked_of_the_k_still_left():
    "K = 3 is stable, but too small a cluster has put it out before"
    table = evidence([0.30, 0.50, 0.40], shares=[0.2, 0.01, 0.2], stabilities=[0.5, 0.9, 0.5])
    choice = choose_k(table)
    assert choice.n_clusters == 4
    assert choice.reasons[1].startswith("All of K = 2 and 4 have a cluster with a stability below")


def test_within_one_standard_error_the_smallest_k_wins():
    choice = choose_k(evidence([0.30, 0.492, 0.50, 0.40]))
    assert (choice.n_clusters, choice.runner_up) == (3, 4)
    assert choice.reasons[1] == (
        "K = 3 and 4 are within one standard error of it; "
        "the smallest wins, because fewer clusters are easier to use."
    )


def test_beyond_one_standard_error_it_does_not():
    assert choose_k(evidence([0.30, 0.489, 0.50])).n_clusters == 4


def test_it_is_the_standard_error_of_the_best_that_counts():
    assert choose_k(evidence([0.45, 0.50], se=[0.10, 0.01])).n_clusters == 3
    assert choose_k(evidence([0.45, 0.50], se=[0.01, 0.10])).n_clusters == 2


def test_the_thresholds_are_arguments_and_appear_in_the_reasons():
    table = evidence([0.50, 0.40], shares=[0.08, 0.2], stabilities=[0.8, 0.95])
    by_share = choose_k(table, min_share=0.1)
    by_stability = choose_k(table, min_stability=0.9)
    assert by_share.n_clusters == by_stability.n_clusters == 3
    assert "less than 10% of the rows" in by_share.reasons[0]
    assert "stability below 0.90" in by_stability.reasons[0]


def test_a_single_k_has_no_runner_up():
    choice = choose_k(evidence([0.3]))
    assert (choice.n_clusters, choice.runner_up) == (2, None)


def test_the_table_is_not_changed():
    table = evidence([0.30, 0.50], shares=[0.2, 0.01])
    before = table.copy()
    choose_k(table)
    assert_frame_equal(table, before)


# control_silhouettes


def shop(n_customers, seed, **options):
    lines, _ = ecommerce_customers(n_customers, seed, **options)
    lines["order_date"] = pd.to_datetime(lines["last_purchase_date"])
    return rfm_table(lines)


def one_crowd(n, seed):
    return shop(n, seed, shoppers=ONE_CROWD, spread=3.0)


def lognormal_amounts(n, seed):
    covariance = [[1, -0.3, -0.3], [-0.3, 0.6, 0.5], [-0.3, 0.5, 1]]
    return np.exp(np.random.default_rng(seed).multivariate_normal([4, 1, 5], covariance, size=n))


def uniform_recency(n, seed):
    rng = np.random.default_rng(seed)
    orders = 1 + rng.negative_binomial(1, 0.4, n)
    money = orders * np.exp(rng.normal(3.5, 0.5, n))
    return np.column_stack([rng.integers(1, 366, n), orders, money])


def fan(n, seed):
    "One cloud whose spread grows with its size"
    rng = np.random.default_rng(seed)
    size = rng.uniform(size=n)
    return np.column_stack([size, size * rng.normal(size=n), size * rng.normal(size=n)])


def parabola(n, seed):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=n)
    return np.column_stack([x, x**2 + rng.normal(0, 0.3, n)])


def found_clear(X, n_clusters):
    """Whether k-means is clearly better than on eight controls."""
    X = StandardScaler().fit_transform(X)
    labels = fit_kmeans(X, n_clusters, random_state=0).labels_
    controls = control_silhouettes(X, n_clusters, n_controls=8, random_state=0)
    assert controls.shape == (8,)
    return is_clear(clustering_evidence(X, labels, random_state=0)["silhouette"], controls)


def log(customers):
    return np.log1p(np.asarray(customers, dtype=float))


@pytest.mark.parametrize("n", [200, 2000])
@pytest.mark.parametrize("customers", [one_crowd, lognormal_amounts, uniform_recency])
def test_without_groups_no_number_of_clusters_is_clear(customers, n):
    for n_clusters in (2, 3, 5):
        assert not found_clear(log(customers(n, 0)), n_clusters)


@pytest.mark.parametrize("n", [200, 2000])
@pytest.mark.parametrize("seed", [0, 1])
def test_five_real_groups_are_clear(n, seed):
    assert found_clear(log(shop(n, seed)), 5)


@pytest.mark.parametrize("cloud", [fan, parabola])
def test_one_curved_or_fanning_cloud_is_clear_too_as_the_docstring_warns(cloud):
    assert found_clear(cloud(800, 0), 3)


def test_clear_is_above_the_best_control_by_the_margin():
    controls = np.array([0.25, 0.5, 0.375])
    assert is_clear(0.5 + CLEAR_MARGIN + 1e-9, controls) is True
    assert is_clear(0.5 + CLEAR_MARGIN - 1e-9, controls) is False
    assert is_clear(np.float64(0.9), list(controls)) is True


def test_controls_are_different_and_the_same_again_for_the_same_seed(scaled):
    first, again = (
        control_silhouettes(scaled, 3, n_controls=3, sample_size=200, random_state=0)
        for _ in range(2)
    )
    assert_array_equal(first, again)
    assert len(set(first)) == 3


def test_controls_are_drawn_from_a_sample(scaled, monkeypatch):
    seen = []
    monkeypatch.setattr(
        "helpers.selection.no_structure_control", lambda X, random_state: seen.append(len(X)) or X
    )
    control_silhouettes(scaled, 2, n_controls=2, sample_size=150, random_state=0)
    assert seen == [150, 150]


# sweep_labels


def test_the_labels_of_a_sweep_are_the_clusters_that_it_judges(scaled):
    ks = [3, 4, 5]
    evidence = sweep_k(scaled, ks, n_boot=2, random_state=3)
    labels = sweep_labels(scaled, ks, random_state=3)
    assert list(labels) == ks
    for k in ks:
        assert sorted(set(labels[k])) == list(range(k))
        assert np.bincount(labels[k]).min() / len(scaled) == evidence.loc[k, "smallest_share"]
        assert_allclose(davies_bouldin_score(scaled, labels[k]), evidence.loc[k, "davies_bouldin"])


def test_a_cluster_that_stays_keeps_its_number(blobs):
    "Four groups far apart: with K = 5 one of them is split, and the others stay as they were"
    X, truth = blobs
    labels = sweep_labels(X, range(2, 6), random_state=0)
    assert adjusted_rand_score(labels[4], truth) == 1
    stays = [n for n in range(4) if set(labels[5][labels[4] == n]) == {n}]
    assert len(stays) == 3
    (split,) = set(range(4)) - set(stays)
    assert set(labels[5][labels[4] == split]) == {split, 4}
