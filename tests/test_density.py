"""The clusters of helpers.density are DBSCAN's, ties and duplicates included."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.cluster import DBSCAN
from sklearn.datasets import make_blobs

from helpers import density
from helpers.density import NOISE, DensityGraph

REAL = st.floats(-10, 10, width=32)
# Whole numbers and tenths collide: equal rows, equal distances, and sums that round either way.
GRID = st.integers(-3, 3).map(float)
TENTHS = st.integers(-12, 12).map(lambda number: number / 10)


@st.composite
def tables(draw):
    """Rows of 1 to 5 features, with repeats, and an eps that is often one of their distances."""
    n_samples, n_features = draw(st.integers(2, 60)), draw(st.integers(1, 5))
    elements = draw(st.sampled_from([GRID, TENTHS, REAL]))
    X = draw(arrays(float, (n_samples, n_features), elements=elements)).astype(float)
    X = X[draw(arrays(int, n_samples, elements=st.integers(0, n_samples - 1)))]
    distances = np.sqrt(((X[0] - X[1:]) ** 2).sum(axis=1))
    between = [one for one in distances.tolist() if one > 0]
    eps = draw(st.sampled_from(between) if between and draw(st.booleans()) else st.floats(0.1, 5))
    return X, eps, draw(st.integers(1, 12))


def assert_is_dbscan(X, eps, min_samples):
    """Same core rows, same noise, and core rows parted the same way as by scikit-learn."""
    theirs = DBSCAN(eps=eps, min_samples=min_samples).fit(X)
    graph = DensityGraph(X, min_samples)
    ours, core = graph.clusters(eps), np.flatnonzero(graph.core(eps))
    assert core.tolist() == sorted(theirs.core_sample_indices_.tolist())
    assert ((ours == NOISE) == (theirs.labels_ == NOISE)).all()
    pairs = set(zip(ours[core].tolist(), theirs.labels_[core].tolist(), strict=True))
    assert len(pairs) == len({one for one, _ in pairs}) == len({other for _, other in pairs})


@settings(max_examples=600)
@given(tables())
def test_core_noise_and_partition_are_those_of_dbscan(table):
    assert_is_dbscan(*table)


@pytest.mark.parametrize("n_features", [1, 2, 3, 8, 16, 60])
@pytest.mark.parametrize("eps", [0.3, 1.0, 3.0, 9.0])
def test_blobs_of_few_and_many_features_are_clustered_as_by_dbscan(n_features, eps):
    X, _ = make_blobs(400, n_features, centers=5, random_state=n_features)
    assert_is_dbscan(X.round(1), eps, min_samples=5)


@pytest.mark.parametrize("eps", [1.0, 2**0.5, 3**0.5, 5**0.5])
def test_a_lattice_where_every_distance_is_a_tie(eps):
    X = np.array(np.meshgrid(*[np.arange(7) * 2.0] * 3)).reshape(3, -1).T
    X = np.vstack([X, X + 1])[::3]
    assert_is_dbscan(X, eps, min_samples=4)


def test_a_long_chain_holds_together():
    """Neighbours join only links of a chain: a cluster takes many rounds to be found."""
    X = np.arange(5000.0)[:, np.newaxis]
    X = np.random.default_rng(0).permutation(np.delete(X, [1000, 1001, 3000], axis=0))
    assert_is_dbscan(X, eps=1.5, min_samples=2)
    labels = DensityGraph(X, 2).clusters(eps=1.5)
    assert np.bincount(labels).tolist() == [1999, 1998, 1000]


def test_a_bridge_between_neighbourhoods_that_are_closed_in_themselves():
    """Each row's nearest neighbours are in its own heap; only farther ones lead to the next."""
    heaps = (
        np.repeat(np.arange(40.0), 30)[:, np.newaxis]
        + np.tile(np.arange(30) / 1000, 40)[:, np.newaxis]
    )
    labels = DensityGraph(heaps, 5).clusters(eps=0.98)
    assert (labels == 0).all()
    assert DensityGraph(heaps, 5).clusters(eps=0.9).max() == 39
    assert_is_dbscan(heaps, 0.971, 5)


def test_clusters_are_numbered_by_size_and_the_order_of_rows_changes_nothing():
    X, _ = make_blobs([50, 200, 100], 2, centers=[[0, 0], [20, 0], [0, 20]], random_state=0)
    labels = DensityGraph(X, 4).clusters(eps=3)
    assert np.bincount(labels).tolist() == [200, 100, 50]
    order = np.random.default_rng(1).permutation(len(X))
    assert (DensityGraph(X[order], 4).clusters(eps=3) == labels[order]).all()


def test_fewer_rows_than_min_samples_are_all_noise():
    graph = DensityGraph(np.zeros((3, 2)), min_samples=4)
    assert np.isinf(graph.k_distances).all()
    assert graph.clusters(eps=1.0).tolist() == [NOISE] * 3


def test_repeated_rows_count():
    graph = DensityGraph(np.array([[0.0], [0.0], [0.0], [5.0]]), min_samples=3)
    assert graph.k_distances.tolist() == [0, 0, 0, 5]


def test_neighbourhoods_are_asked_for_in_parts(monkeypatch):
    monkeypatch.setattr(density, "_ASKED_TOGETHER", 100)
    X, _ = make_blobs(120, 20, centers=3, random_state=0)
    assert_is_dbscan(X, eps=6.0, min_samples=5)
