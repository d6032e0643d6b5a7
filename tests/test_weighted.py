from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.cluster import KMeans

from helpers.weighted import binned_rows, distinct_rows

SHAPES = array_shapes(min_dims=2, max_dims=2, max_side=12)
# Few different values, so that rows repeat.
SMALL_NUMBERS = arrays(np.int64, SHAPES, elements=st.integers(-2, 2))
AMOUNTS = arrays(
    float, SHAPES, elements=st.integers(-(10**8), 10**8).map(lambda cents: cents / 100)
)


# distinct_rows


@given(SMALL_NUMBERS)
def test_rows_and_counts_are_those_of_a_plain_counter(X):
    rows, counts, inverse = distinct_rows(X)
    expected = sorted(Counter(map(tuple, X.tolist())).items())
    assert list(zip(map(tuple, rows.tolist()), counts.tolist(), strict=True)) == expected
    assert_array_equal(rows[inverse], X)


@given(SMALL_NUMBERS, st.randoms(use_true_random=False))
def test_the_order_of_the_rows_does_not_matter(X, random):
    order = list(range(len(X)))
    random.shuffle(order)
    rows, counts, inverse = distinct_rows(X)
    rows_now, counts_now, inverse_now = distinct_rows(X[order])
    assert_array_equal(rows_now, rows)
    assert_array_equal(counts_now, counts)
    assert_array_equal(inverse_now, inverse[order])


@given(SMALL_NUMBERS)
def test_rows_that_all_stand_twice_count_double(X):
    rows, counts, _ = distinct_rows(X)
    rows_now, counts_now, _ = distinct_rows(np.vstack([X, X]))
    assert_array_equal(rows_now, rows)
    assert_array_equal(counts_now, 2 * counts)


def test_numbers_that_differ_in_the_last_bit_stay_apart():
    rows, counts, _ = distinct_rows([[1.0], [np.nextafter(1, 2)], [1.0]])
    assert counts.tolist() == [2, 1]
    assert rows[0] < rows[1]


def test_kmeans_on_distinct_rows_with_counts_is_kmeans_on_all_rows():
    rng = np.random.default_rng(0)
    X = rng.poisson(3, size=(500, 2)).astype(float)
    rows, counts, inverse = distinct_rows(X)
    assert len(rows) < 100
    # Crooked, so that no row is equally far from two centres and rounding decides nothing.
    start = np.array([[0.12, 0.34], [3.21, 3.05], [6.17, 2.43], [2.09, 7.31]])

    everybody = KMeans(4, init=start, n_init=1, tol=0).fit(X)
    weighted = KMeans(4, init=start, n_init=1, tol=0).fit(rows, sample_weight=counts)

    assert_array_equal(weighted.labels_[inverse], everybody.labels_)
    assert_allclose(weighted.cluster_centers_, everybody.cluster_centers_)
    assert weighted.inertia_ == pytest.approx(everybody.inertia_)
    unweighted = KMeans(4, init=start, n_init=1, tol=0).fit(rows)
    assert unweighted.inertia_ < 0.5 * everybody.inertia_, "the counts make a difference"


# binned_rows


@given(AMOUNTS, st.integers(1, 40))
def test_a_row_is_at_most_half_a_cell_from_its_centre(X, bins):
    rows, counts, inverse = binned_rows(X, bins)
    # A constant feature has no range; its one cell is as wide as a range of 1 would make it.
    extent = np.where(np.ptp(X, axis=0) > 0, np.ptp(X, axis=0), 1)
    rounding = 1e-9 * (1 + np.abs(X).max())
    assert (np.abs(rows[inverse] - X) <= extent / bins / 2 + rounding).all()
    assert_array_equal(counts, np.bincount(inverse))
    assert len(rows) <= bins ** X.shape[1]


def test_by_default_a_value_moves_by_at_most_a_64th_of_the_range():
    "1 / 32 / 2, the 1.6 % of the docstring; a step finer than that shows that it is reached"
    X = np.linspace(0, 1, 1001)[:, None]
    rows, counts, inverse = binned_rows(X)
    assert len(rows) == 32
    assert counts.sum() == 1001
    assert 1 / 64 - 0.001 < np.abs(rows[inverse] - X).max() <= 1 / 64 + 1e-12


def test_the_largest_value_falls_into_the_last_cell():
    rows, counts, inverse = binned_rows([[0.0], [1.0], [2.0], [3.0], [4.0]], bins=4)
    assert rows.ravel().tolist() == [0.5, 1.5, 2.5, 3.5]
    assert counts.tolist() == [1, 1, 1, 2]
    assert inverse.tolist() == [0, 1, 2, 3, 3]


def test_a_constant_feature_changes_no_cell():
    varying = np.array([[0.0], [0.1], [8.0]])
    rows, counts, inverse = binned_rows(np.hstack([varying, [[7.0]] * 3]), bins=4)
    alone, counts_alone, inverse_alone = binned_rows(varying, bins=4)
    assert_array_equal(rows[:, :1], alone)
    assert_array_equal(counts, counts_alone)
    assert_array_equal(inverse, inverse_alone)
    assert np.ptp(rows[:, 1]) == 0


def test_one_row_has_one_cell():
    rows, counts, inverse = binned_rows([[5.0, -3.0]])
    assert (rows.shape, counts.tolist(), inverse.tolist()) == ((1, 2), [1], [0])


@given(AMOUNTS)
def test_binned_rows_that_all_stand_twice_count_double(X):
    rows, counts, _ = binned_rows(X)
    rows_now, counts_now, _ = binned_rows(np.vstack([X, X]))
    assert_array_equal(rows_now, rows)
    assert_array_equal(counts_now, 2 * counts)


def test_no_function_changes_its_input():
    X = np.array([[3.0, 1.0], [2.0, 2.0], [3.0, 1.0]])
    before = X.copy()
    distinct_rows(X)
    binned_rows(X)
    assert_array_equal(X, before)
