import itertools

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_array_equal
from pandas.testing import assert_series_equal
from scipy.stats import spearmanr
from sklearn.base import BaseEstimator, ClusterMixin
from sklearn.cluster import DBSCAN, AgglomerativeClustering, BisectingKMeans, KMeans
from sklearn.datasets import load_iris, make_blobs
from sklearn.exceptions import NotFittedError
from sklearn.metrics import silhouette_score
from sklearn.mixture import GaussianMixture
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler, scale
from sklearn.utils.validation import check_is_fitted

from helpers.stability import (
    HIGHLY_STABLE,
    bootstrap_stability,
    fit_agreement,
    no_structure_control,
)


class OneCluster(ClusterMixin, BaseEstimator):
    """Puts every row into the same cluster."""

    def fit(self, X, y=None):
        self.labels_ = np.zeros(len(X), dtype=int)
        return self


@pytest.fixture(scope="module")
def blobs():
    """Three groups nine standard deviations apart, and which is which."""
    return make_blobs(150, centers=[[0, 0], [9, 9], [0, 9]], random_state=0)


# bootstrap_stability


@pytest.mark.parametrize(
    "estimator",
    [KMeans(3, n_init=3), AgglomerativeClustering(3), GaussianMixture(3, n_init=3)],
    ids=["k-means", "Ward", "Gaussian mixture"],
)
def test_separated_blobs_come_back_every_time_whatever_the_method(blobs, estimator):
    stability = bootstrap_stability(estimator, blobs[0], 20, random_state=0)
    assert stability.tolist() == pytest.approx([1, 1, 1])


def test_one_cluster_resembles_each_label_by_its_share_of_the_rows():
    "Jaccard of a part with the whole is the part's share: 1/4 and 3/4, and they add up to 1"
    labels = np.repeat(["part", "rest"], [25, 75])
    X = np.arange(100.0)[:, None]
    stability = bootstrap_stability(OneCluster(), X, 100, labels=labels, random_state=0)
    # 63 rows drawn: a share varies by 0.03 or so, the mean of 100 by 0.003.
    assert stability["part"] == pytest.approx(0.25, abs=0.012)
    assert stability.sum() == pytest.approx(1)


def test_a_cluster_that_misses_a_sample_is_judged_by_the_others():
    "A lone far point is its own cluster whenever it is drawn, about 63 times in 100"
    X = np.append(np.linspace(0, 1, 30), 1000)[:, None]
    stability = bootstrap_stability(
        AgglomerativeClustering(2), X, 50, labels=[0] * 30 + [1], random_state=0
    )
    assert stability[1] == 1
    assert stability[0] < 1, "without the point, the crowd is cut in two"


@pytest.mark.parametrize(
    ("prepare", "published"),
    [(scale, [0.904, 0.905, 0.995]), (np.asarray, [0.949, 0.961, 1.000])],
    ids=["scaled", "raw"],
)
def test_iris_is_as_stable_as_in_hennigs_own_program(prepare, published):
    "fpc::clusterboot in R, k-means with K = 3; clusters matched by size of the value"
    X = prepare(load_iris().data)
    stability = bootstrap_stability(KMeans(3, n_init=10), X, 100, random_state=0)
    assert sorted(stability) == pytest.approx(published, abs=0.03)


def test_stable_is_not_real():
    "One long cloud cut in two is cut there every time; 0.976 was measured on another draw"
    X = np.random.default_rng(0).normal(size=(500, 2)) * [5, 1]
    stability = bootstrap_stability(KMeans(2, n_init=3), X, 50, random_state=0)
    assert stability.min() > HIGHLY_STABLE
    assert stability.to_numpy() == pytest.approx(0.976, abs=0.02)


def test_a_split_without_any_direction_is_not_stable():
    "A circle can be cut in three anywhere"
    angle = np.random.default_rng(0).uniform(0, 2 * np.pi, 300)
    X = np.column_stack([np.cos(angle), np.sin(angle)])
    stability = bootstrap_stability(KMeans(3, n_init=3), X, 20, random_state=0)
    assert stability.min() < 0.75


def test_labels_lend_their_names_and_change_nothing_else(blobs):
    X, truth = blobs
    names = np.array(["west", "east", "north"])[truth]
    by_name = bootstrap_stability(KMeans(3), X, 10, labels=names, random_state=0)
    by_number = bootstrap_stability(KMeans(3), X, 10, labels=truth, random_state=0)
    assert list(by_name.index) == ["east", "north", "west"]
    assert by_name[["west", "east", "north"]].tolist() == by_number.tolist()


def test_permuted_labels_permute_the_result_only():
    X = load_iris().data
    labels = KMeans(3, n_init=3, random_state=0).fit_predict(X)
    stability = bootstrap_stability(KMeans(3), X, 10, labels=labels, random_state=0)
    permuted = bootstrap_stability(
        KMeans(3), X, 10, labels=np.array([2, 0, 1])[labels], random_state=0
    )
    assert permuted[[2, 0, 1]].tolist() == stability.tolist()
    assert len(set(stability)) == 3, "or the test could not tell"


def test_the_same_seed_gives_the_same_result_and_another_seed_another():
    X = load_iris().data
    first, again, other = (
        bootstrap_stability(KMeans(3), X, 5, random_state=seed) for seed in (0, 0, 1)
    )
    assert_series_equal(first, again)
    assert not first.equals(other)


def test_the_seed_reaches_every_step_of_a_pipeline():
    X = load_iris().data
    estimator = make_pipeline(StandardScaler(), KMeans(4))
    first, again, other = (
        bootstrap_stability(estimator, X, 5, random_state=seed) for seed in (0, 0, 1)
    )
    assert_series_equal(first, again)
    assert not first.equals(other)


def test_a_pipeline_of_one_step_is_judged_as_the_step_alone():
    X = load_iris().data
    alone, piped = (
        bootstrap_stability(estimator, X, 3, random_state=0)
        for estimator in (KMeans(4), make_pipeline(KMeans(4)))
    )
    assert_series_equal(alone, piped)


@pytest.mark.parametrize("random_state", [7, np.random.RandomState(7)])
def test_seeds_of_the_estimators_own_are_replaced(random_state):
    X = load_iris().data
    plain, seeded = (
        bootstrap_stability(BisectingKMeans(4, random_state=seed), X, 3, random_state=0)
        for seed in (None, random_state)
    )
    assert_series_equal(plain, seeded)


# Noise


@pytest.fixture(scope="module")
def with_noise(blobs):
    """Three tight groups, and thirty points far from everything."""
    X, truth = blobs
    far = np.column_stack([np.arange(30) * 50.0 + 100, np.zeros(30)])
    return np.vstack([X, far]), np.append(truth, np.full(30, -1))


def test_noise_is_not_a_cluster(with_noise):
    "Given and found: the groups come back, and what belongs to none is not judged"
    X, truth = with_noise
    stability = bootstrap_stability(DBSCAN(2.0), X, 10, random_state=0)
    assert list(stability.index) == [0, 1, 2]
    assert stability.min() > 0.95
    given = bootstrap_stability(DBSCAN(2.0), X, 10, labels=truth, random_state=0)
    assert list(given.index) == [0, 1, 2]
    assert given.min() > 0.95


def test_a_group_lost_to_noise_is_not_found_in_it():
    "Jaccard with the noise would be 1, but noise belongs to no cluster"
    X = np.arange(60.0)[:, None]
    nothing_dense = DBSCAN(0.1)
    labels = np.zeros(60, dtype=int)
    assert bootstrap_stability(nothing_dense, X, 5, labels=labels).tolist() == [0]


def test_nothing_but_noise_has_no_stability():
    X = np.arange(10.0)[:, None]
    with pytest.raises(ValueError, match=r"All 10 rows are noise \(label -1\)"):
        bootstrap_stability(DBSCAN(0.1), X, 5)


def test_the_estimator_is_not_fitted_and_not_changed(blobs):
    estimator = KMeans(3, random_state=7)
    bootstrap_stability(estimator, blobs[0], 2, random_state=0)
    with pytest.raises(NotFittedError):
        check_is_fitted(estimator)
    assert estimator.get_params() == KMeans(3, random_state=7).get_params()


# fit_agreement


class Recorder(ClusterMixin, BaseEstimator):
    """Labels rows by a rule, and keeps what every fit of it saw."""

    def __init__(self, rule=None, seen=None, random_state=None):
        self.rule, self.seen, self.random_state = rule, seen, random_state

    def __sklearn_clone__(self):
        return Recorder(self.rule, self.seen)  # a plain copy would have a list of its own

    def fit(self, X, y=None):
        self.labels_ = self.rule(X[:, 0], self.random_state)
        self.seen.append((X[:, 0].astype(int).tolist(), self.labels_))
        return self


def adjusted_rand(one, other):
    """The index by its definition, pair of rows by pair of rows."""
    first, second = (
        np.array([a == b for a, b in itertools.combinations(labels, 2)]) for labels in (one, other)
    )
    expected = first.sum() * second.sum() / len(first)
    most = (first.sum() + second.sum()) / 2
    return ((first & second).sum() - expected) / (most - expected)


@pytest.mark.parametrize("share", [1.0, 0.8])
def test_fits_of_separated_blobs_agree_whatever_they_call_the_clusters(blobs, share):
    agreement = fit_agreement(KMeans(3, n_init=3), blobs[0], share=share, n_fits=5, random_state=0)
    assert agreement.tolist() == [1] * 5


@pytest.mark.parametrize("share", [1.0, 0.7])
def test_each_fit_is_compared_with_the_next_on_the_rows_both_saw(share):
    rows = np.arange(60)
    fits = []
    by_chance = Recorder(lambda x, seed: np.random.default_rng(seed).integers(0, 2, len(x)), fits)
    clouded = Recorder(lambda x, seed: (x + 9 * (seed % 3) > 30).astype(int), fits)
    for recorder in (by_chance, clouded):
        fits.clear()
        agreement = fit_agreement(recorder, rows[:, None], share=share, n_fits=3, random_state=0)
        assert [len(drawn) for drawn, _ in fits] == [round(60 * share)] * 3
        for value, (one, other) in zip(agreement, [(0, 1), (1, 2), (2, 0)], strict=True):
            first, second = (dict(zip(*fits[place], strict=True)) for place in (one, other))
            both = [row for row in rows if row in first and row in second]
            wanted = adjusted_rand([first[row] for row in both], [second[row] for row in both])
            assert value == pytest.approx(wanted)


def test_all_rows_come_in_their_order_and_each_sample_is_its_own():
    "Or a method that depends on the order would seem to depend on the seed"
    X = np.arange(20)[:, None]
    for share, n_different in ((1.0, 1), (0.8, 5)):
        fits = []
        recorder = Recorder(lambda x, seed: np.zeros(len(x)), fits)
        fit_agreement(recorder, X, share=share, n_fits=5, random_state=0)
        samples = [tuple(drawn) for drawn, _ in fits]
        assert all(tuple(sorted(set(drawn))) == drawn for drawn in samples)
        assert len(set(samples)) == n_different


def test_labels_by_chance_agree_by_chance():
    "The mean of 200 indices, each within 0.01 or so of 0"
    recorder = Recorder(lambda x, seed: np.random.default_rng(seed).integers(0, 3, len(x)), [])
    agreement = fit_agreement(recorder, np.arange(200)[:, None], n_fits=200, random_state=0)
    assert agreement.mean() == pytest.approx(0, abs=0.005)
    assert agreement.std() > 0


def test_seeds_differ_between_fits_and_fewer_starts_agree_less():
    "One start ends in another optimum now and then; the best of 30 hardly ever"
    X = no_structure_control(load_iris().data, random_state=0)
    one, thirty = (
        fit_agreement(KMeans(8, n_init=n_init), X, n_fits=12, random_state=0) for n_init in (1, 30)
    )
    assert one.min() < 0.9
    assert one.mean() < thirty.mean() - 0.05


def test_agreement_is_the_same_for_the_same_seed_only():
    X = load_iris().data
    first, again, other = (
        fit_agreement(KMeans(4), X, share=0.8, n_fits=3, random_state=seed) for seed in (0, 0, 1)
    )
    assert first.tolist() == again.tolist()
    assert first.tolist() != other.tolist()


def test_the_estimator_of_an_agreement_is_not_fitted(blobs):
    estimator = KMeans(3, random_state=7)
    fit_agreement(estimator, blobs[0], n_fits=3)
    with pytest.raises(NotFittedError):
        check_is_fitted(estimator)
    assert estimator.random_state == 7


@pytest.mark.parametrize("share", [1.01, 0.5, 0.0, -1.0])
def test_a_share_is_above_one_half_and_at_most_1(share):
    with pytest.raises(ValueError, match=rf"share is {share}\. .* n_samples=10 rows"):
        fit_agreement(KMeans(2), np.arange(10.0)[:, None], share=share)


def test_a_share_that_leaves_two_rows_in_common_is_enough():
    X = np.arange(10.0)[:, None]
    assert len(fit_agreement(KMeans(2), X, share=0.6, n_fits=3, random_state=0)) == 3
    with pytest.raises(ValueError, match="two rows in common"):
        fit_agreement(KMeans(2), X, share=0.54, n_fits=3)


def test_two_fits_are_one_pair_and_too_few():
    with pytest.raises(ValueError, match=r"n_fits is 2\. Use at least 3"):
        fit_agreement(KMeans(2), np.arange(10.0)[:, None], n_fits=2)


# no_structure_control


@pytest.fixture
def lognormal():
    """Two related amounts and one that goes its own way."""
    rng = np.random.default_rng(0)
    covariance = [[1, 0.8, -0.4], [0.8, 1, 0], [-0.4, 0, 1]]
    return np.exp(rng.multivariate_normal([0, 1, 2], covariance, size=500))


def test_each_column_holds_the_same_values_in_another_order(lognormal):
    before = lognormal.copy()
    control = no_structure_control(lognormal, random_state=0)
    assert_array_equal(np.sort(control, axis=0), np.sort(lognormal, axis=0))
    assert (control != lognormal).mean() > 0.9
    assert_array_equal(lognormal, before, "the input is untouched")


def test_rank_correlations_stay(lognormal):
    "One draw of 500 varies by 0.04 or so, the mean of 40 by 0.007: 0.02 is three of these"
    drawn = [spearmanr(no_structure_control(lognormal, random_state=s))[0] for s in range(40)]
    assert np.mean(drawn, axis=0) == pytest.approx(spearmanr(lognormal)[0], abs=0.02)


def test_rank_correlations_stay_where_half_the_customers_bought_once(rfm):
    drawn = [spearmanr(no_structure_control(rfm, random_state=s))[0] for s in range(10)]
    assert np.mean(drawn, axis=0) == pytest.approx(spearmanr(rfm)[0], abs=0.03)


def test_two_equal_columns_stay_equal(lognormal):
    twins = lognormal[:, [0, 0, 2]]
    control = no_structure_control(twins, random_state=0)
    assert spearmanr(control[:, 0], control[:, 1])[0] > 0.99


def test_a_constant_column_stays_constant_and_disturbs_nothing(lognormal):
    with_constant = np.insert(lognormal, 1, 5.0, axis=1)
    control = no_structure_control(with_constant, random_state=0)
    assert (control[:, 1] == 5).all()
    assert spearmanr(control[:, 0], control[:, 2])[0] > 0.7


def test_one_column_or_one_row_is_no_obstacle():
    assert sorted(no_structure_control([[1.0], [2.0], [3.0]]).ravel()) == [1, 2, 3]
    assert no_structure_control([[1.0, 2.0]]).tolist() == [[1, 2]]


def test_a_control_is_the_same_for_the_same_seed_only(lognormal):
    first, again, other = (no_structure_control(lognormal, random_state=s) for s in (0, 0, 1))
    assert_array_equal(first, again)
    assert (first != other).any()


def test_the_control_of_groups_has_none():
    "Two groups along the diagonal of ten features: no single feature shows them"
    rng = np.random.default_rng(0)
    X = rng.normal(size=(400, 10)) + np.repeat([[-1.0], [1.0]], 200, axis=0)
    control = no_structure_control(X, random_state=0)
    apart, together = (
        silhouette_score(data, KMeans(2, n_init=3, random_state=0).fit_predict(data))
        for data in (X, control)
    )
    assert together < apart - 0.05


def test_the_control_of_separated_blobs_loses_the_silhouette():
    "Each feature keeps its humps, but they no longer go together"
    X, truth = make_blobs(400, n_features=5, centers=5, random_state=0)
    control = no_structure_control(X, random_state=0)
    labels = KMeans(5, n_init=10, random_state=0).fit_predict(control)
    assert silhouette_score(X, truth) > 0.6
    assert silhouette_score(control, labels) < 0.4


def test_a_frame_may_be_given():
    frame = pd.DataFrame({"a": [1.0, 2.0, 3.0], "b": [5.0, 4.0, 6.0]})
    assert no_structure_control(frame, random_state=0).shape == (3, 2)
