import datetime
import itertools
import math
from fractions import Fraction
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.testing import assert_allclose, assert_array_equal
from pandas.testing import assert_frame_equal
from scipy.spatial.distance import cdist
from sklearn.metrics import adjusted_rand_score, roc_auc_score
from sklearn.utils.estimator_checks import parametrize_with_checks

from helpers.segmentation import (
    PROTOTYPES,
    RFM,
    CustomerSegmenter,
    allocate_budget,
    forecast_auc,
    line_report,
    name_profiles,
    read_playbook,
    recommendations,
    revenue_by_segment,
    rfm_table,
    segment_summary,
)
from helpers.text import InputError

PLAYBOOK = Path(__file__).parents[1] / "notebooks" / "customer_playbook.yml"


def order_lines(*lines):
    """Orders from (customer, order, day or time, revenue)."""
    table = pd.DataFrame(lines, columns=["customer_id", "order_id", "order_date", "revenue"])
    return table.assign(order_date=pd.to_datetime(table["order_date"], format="ISO8601"))


# rfm_table


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ([("ana", "1", "2024-01-04", 5.0)], (6, 1, 5)),
        ([("ana", "1", "2024-01-04", 5.0), ("ana", "1", "2024-01-04", 7.0)], (6, 1, 12)),
        ([("ana", "1", "2024-01-01", 5.0), ("ana", "2", "2024-01-04", 7.0)], (6, 2, 12)),
        ([("ana", "2", "2024-01-04", 7.0), ("ana", "1", "2024-01-01", 5.0)], (6, 2, 12)),
        ([("ana", "1", "2024-01-04", 5.0), ("ana", "C1", "2024-01-06", -5.0)], (6, 1, 5)),
        ([("ana", "1", "2024-01-04", 5.0), ("ana", "2", "2024-01-06", 0.0)], (6, 1, 5)),
        ([("ana", "1", "2024-01-04", 5.0), (None, "2", "2024-01-06", 9.0)], (6, 1, 5)),
        ([("ana", "1", "2024-01-04 23:59:59", 5.0)], (6, 1, 5)),
        ([("ana", "1", "2024-01-10 00:00:01", 5.0)], (0, 1, 5)),
    ],
    ids=[
        "one line",
        "two lines of one order",
        "two orders",
        "two orders, the later first",
        "a return",
        "a free line",
        "a line without a customer",
        "late in the evening",
        "on the day itself",
    ],
)
def test_one_customer_by_hand(lines, expected):
    "Counted back from 10 January 2024"
    table = rfm_table(order_lines(*lines), snapshot="2024-01-10")
    assert table.index.tolist() == ["ana"]
    assert tuple(table.loc["ana"]) == expected


def test_one_order_id_of_two_customers_counts_for_both():
    table = rfm_table(
        order_lines(
            ("ben", "1", "2024-01-04", 5.0),
            ("ana", "1", "2024-01-05", 7.0),
            ("ben", "2", "2024-01-06", 1.0),
        )
    )
    assert_frame_equal(
        table,
        pd.DataFrame(
            {"recency": [2, 1], "frequency": [1, 2], "monetary": [7.0, 6.0]},
            index=pd.Index(["ana", "ben"], name="customer_id"),
        ),
    )


def test_a_customer_of_returns_only_is_no_customer():
    orders = order_lines(("ana", "1", "2024-01-04", 5.0), ("ben", "C1", "2024-01-04", -5.0))
    assert rfm_table(orders).index.tolist() == ["ana"]


@pytest.mark.parametrize(
    ("snapshot", "recency"),
    [
        (None, 1),
        ("2024-01-04", 0),
        ("2024-01-14", 10),
        (pd.Timestamp("2024-01-14"), 10),
        (pd.Timestamp("2024-01-14 18:30"), 10),
        (datetime.date(2024, 1, 14), 10),
        (np.datetime64("2024-01-14"), 10),
    ],
)
def test_recency_counts_back_from_the_snapshot(snapshot, recency):
    orders = order_lines(("ana", "1", "2024-01-04 10:00", 5.0))
    assert rfm_table(orders, snapshot=snapshot).loc["ana", "recency"] == recency


def test_the_day_after_the_last_order_is_the_same_when_that_order_is_a_return():
    "The file was extracted after it, so time went on until then"
    orders = order_lines(("ana", "1", "2024-01-04", 5.0), ("ana", "C1", "2024-01-09", -5.0))
    assert rfm_table(orders).loc["ana", "recency"] == 6


@pytest.mark.parametrize(
    ("snapshot", "message"),
    [
        ("2024-01-03", "snapshot 2024-01-03 is before the last order, of 2024-01-04. Use that day"),
        ("2999-01-01", "snapshot 2999-01-01 lies in the future. The last order is of 2024-01-04;"),
        ("soon", "snapshot 'soon' is not a day. Write it as YYYY-MM-DD, e.g. 2024-01-05."),
        ("04/01/2024", "snapshot '04/01/2024' is not a day."),
        ("2024-02-30", "snapshot '2024-02-30' is not a day."),
        ("", "snapshot '' is not a day."),
    ],
)
def test_a_snapshot_that_cannot_be_is_refused(snapshot, message):
    orders = order_lines(("ana", "1", "2024-01-04", 5.0))
    with pytest.raises(InputError) as caught:
        rfm_table(orders, snapshot=snapshot)
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize("snapshot", [pd.NaT, pd.Timestamp("2024-01-09", tz="UTC"), [2024]])
def test_a_snapshot_of_the_wrong_kind_is_refused_too(snapshot):
    with pytest.raises(InputError, match="is not a day"):
        rfm_table(order_lines(("ana", "1", "2024-01-04", 5.0)), snapshot=snapshot)


def test_orders_without_a_sale_are_refused():
    orders = order_lines(("ana", "1", "2024-01-04", -5.0), (None, "2", "2024-01-04", 5.0))
    with pytest.raises(InputError, match=r"^None of the 2 order lines is a sale: .* its sign\.$"):
        rfm_table(orders)


LINES = st.tuples(
    st.sampled_from(["ana", "ben", "cleo", None]),
    st.sampled_from(["1", "2", "3"]),
    st.datetimes(datetime.datetime(2023, 12, 30), datetime.datetime(2024, 1, 3)),
    # Quarters are exact in binary, so that sums do not depend on their order.
    st.integers(-8, 40).map(lambda quarters: quarters / 4),
)


@given(st.lists(LINES, min_size=1, max_size=25), st.randoms(use_true_random=False))
def test_the_table_is_that_of_a_plain_loop_in_any_order(lines, random):
    lines.append(("ana", "1", datetime.datetime(2024, 1, 1), 1.0))
    random.shuffle(lines)
    expected = {}
    for customer, order, when, revenue in lines:
        if customer and revenue > 0:
            expected.setdefault(customer, []).append((order, when.date(), revenue))
    end = max(when.date() for _, _, when, _ in lines) + datetime.timedelta(days=1)

    table = rfm_table(order_lines(*lines))

    assert table.index.tolist() == sorted(expected)
    for customer, bought in expected.items():
        orders, days, revenues = zip(*bought, strict=True)
        assert tuple(table.loc[customer]) == (
            (end - max(days)).days,
            len(set(orders)),
            sum(revenues),
        )


def plain_pandas(orders):
    """RFM as the manual of pandas would have it."""
    sales = orders[(orders["revenue"] > 0) & orders["customer_id"].notna()]
    end = orders["order_date"].max().normalize() + pd.Timedelta(days=1)
    groups = sales.assign(day=sales["order_date"].dt.normalize()).groupby("customer_id")
    return pd.DataFrame(
        {
            "recency": (end - groups["day"].max()).dt.days,
            "frequency": groups["order_id"].nunique(),
            "monetary": groups["revenue"].sum(),
        }
    )


def assert_same_table(table, expected):
    """Sums may differ in the last bits."""
    assert_frame_equal(table, expected, check_index_type=False, check_dtype=False, rtol=1e-12)


def test_the_fixture_gives_the_same_as_plain_pandas(orders, rfm):
    before = orders.copy()
    assert_same_table(rfm_table(orders), plain_pandas(orders))
    assert_frame_equal(orders, before)
    assert rfm["recency"].dtype.kind == rfm["frequency"].dtype.kind == "i"


def test_online_retail_gives_its_published_figures(online_retail):
    "4,338 customers, revenue 8,911,407.90; medians 51 days, 2 orders, 674.48(5)"
    table = rfm_table(online_retail)
    assert len(table) == 4338
    assert table["monetary"].sum() == pytest.approx(8_911_407.90, abs=0.01)
    assert table["frequency"].sum() == 18_532, "invoices, each of one customer"
    assert table.median().tolist() == pytest.approx([51, 2, 674.485])
    assert_same_table(table, plain_pandas(online_retail))


def test_categories_of_ids_give_the_same_table(orders, rfm):
    ids = {"customer_id": "category", "order_id": "category"}
    assert_frame_equal(rfm_table(orders.astype(ids)), rfm)
    assert_frame_equal(rfm_table(orders.astype(dict.fromkeys(ids, "str"))), rfm)


def test_line_report_adds_up():
    orders = order_lines(
        ("ana", "1", "2024-01-04", 5.0),
        ("ana", "1", "2024-01-04", 5.0),
        ("ana", "C1", "2024-01-04", -2.0),
        ("ben", "2", "2024-01-04", 0.0),
        (None, "3", "2024-01-04", 9.0),
        (None, "C3", "2024-01-04", -9.0),
        (None, "C3", "2024-01-04", -9.0),
        ("ben", "4", "2024-01-04", 1.5),
    )
    report = line_report(orders, orders.duplicated())
    assert report.to_dict("index") == {
        "sale": {"lines": 3, "share": 3 / 8, "revenue": 11.5},
        "return or cancellation": {"lines": 1, "share": 1 / 8, "revenue": -2.0},
        "free of charge": {"lines": 1, "share": 1 / 8, "revenue": 0.0},
        "without a customer": {"lines": 3, "share": 3 / 8, "revenue": -9.0},
        "of the sales: exact copy of an earlier line": {
            "lines": 1,
            "share": 1 / 8,
            "revenue": 5.0,
        },
    }


def test_line_report_on_the_fixture_adds_up_to_the_file(orders, rfm):
    kinds = line_report(orders, orders.duplicated()).iloc[:4]
    assert kinds["lines"].sum() == len(orders)
    assert kinds["share"].sum() == pytest.approx(1)
    assert kinds["revenue"].sum() == pytest.approx(orders["revenue"].sum())
    assert kinds.loc["sale", "revenue"] == pytest.approx(rfm["monetary"].sum())


def test_line_report_lists_kinds_that_do_not_occur():
    orders = order_lines(("ana", "1", "2024-01-04", 5.0))
    assert line_report(orders, orders.duplicated())["lines"].tolist() == [1, 0, 0, 0, 0]


# CustomerSegmenter


@parametrize_with_checks([CustomerSegmenter(), CustomerSegmenter(n_segments=3)])
def test_scikit_learn_accepts_the_estimator(estimator, check):
    check(estimator)


@pytest.fixture(scope="module")
def by_evidence(rfm):
    return CustomerSegmenter().fit(rfm)


@pytest.fixture(scope="module")
def fitted(rfm):
    """K -> segmenter of the fixture."""
    return {k: CustomerSegmenter(k).fit(rfm) for k in range(2, 11)}


def test_the_evidence_finds_the_five_true_segments(by_evidence):
    assert by_evidence.n_segments_ == 5
    assert by_evidence.k_evidence_.index.tolist() == list(range(2, 11))
    assert by_evidence.k_evidence_["silhouette"].idxmax() == 5


def test_the_true_segments_are_recovered_under_their_true_names(by_evidence, fitted, rfm, truth):
    "Names too: four in five customers at least are called what they are"
    for model in (by_evidence, fitted[5]):
        assert adjusted_rand_score(truth[rfm.index], model.labels_) >= 0.8
        assert set(model.names_) == set(truth)
        assert (model.predict(rfm) == truth[rfm.index]).mean() >= 0.8


def test_a_given_number_of_segments_needs_no_evidence(fitted):
    assert fitted[4].k_evidence_ is None
    assert fitted[4].n_segments_ == 4


def test_every_k_gives_names_that_are_distinct_and_known(fitted):
    for k, model in fitted.items():
        assert len(set(model.names_)) == k
        assert set(model.names_) <= set(PROTOTYPES.index)
        assert set(model.labels_) == set(range(k))


def test_champions_bought_last_most_often_and_most(by_evidence, rfm):
    medians = rfm.groupby(by_evidence.predict(rfm)).median()
    assert medians["recency"].idxmin() == "Champions"
    assert medians["frequency"].idxmax() == "Champions"
    assert medians["monetary"].idxmax() == "Champions"
    assert by_evidence.names_[0] == "Champions"


def test_lost_customers_are_the_opposite(by_evidence, rfm):
    medians = rfm.groupby(by_evidence.predict(rfm)).median()
    assert medians["recency"].idxmax() == "Lost Customers"
    assert medians["monetary"].idxmin() == "Lost Customers"


@pytest.mark.parametrize("k", [2, 3, 4, 5, 6])
def test_another_seed_renames_nobody(fitted, rfm, k):
    for seed in (0, 1, 2):
        again = CustomerSegmenter(k, random_state=seed).fit(rfm)
        assert_array_equal(again.predict(rfm), fitted[k].predict(rfm))


@pytest.mark.parametrize("k", [3, 5])
def test_the_order_of_the_customers_renames_nobody(fitted, rfm, k):
    shuffled = rfm.sample(frac=1, random_state=0)
    again = CustomerSegmenter(k).fit(shuffled)
    assert_array_equal(again.predict(rfm), fitted[k].predict(rfm))


@pytest.mark.parametrize("k", [3, 5])
def test_a_base_twice_as_large_renames_nobody(fitted, rfm, k):
    "Every mean, spread, sum of squares and rank in per cent stays, but for half a rank"
    again = CustomerSegmenter(k).fit(pd.concat([rfm, rfm]))
    assert_array_equal(again.predict(rfm), fitted[k].predict(rfm))
    assert_array_equal(again.profiles_["size"], 2 * fitted[k].profiles_["size"])


def test_money_in_cents_renames_almost_nobody(fitted, rfm):
    "log(1 + 100 x) is log(1 + x) + log(100), but for small x: the smallest sum here is 3"
    cents = rfm.assign(monetary=100 * rfm["monetary"])
    for k in (3, 4, 5):
        again = CustomerSegmenter(k).fit(cents)
        assert (again.predict(cents) == fitted[k].predict(rfm)).mean() > 0.99


def test_recency_in_another_unit_is_not_the_same_question(fitted, rfm):
    "The logarithm sees hours differently from days, so names may change; positions may not much"
    positions = fitted[5].positions_
    hours = CustomerSegmenter(5).fit(rfm.assign(recency=24 * rfm["recency"]))
    assert_allclose(hours.positions_, positions, atol=0.1)


def test_fitting_changes_neither_the_table_nor_the_parameters(rfm):
    before = rfm.copy()
    model = CustomerSegmenter(3)
    assert model.fit(rfm) is model
    model.predict(rfm)
    assert_frame_equal(rfm, before)
    assert model.get_params() == {"n_segments": 3, "random_state": 42}


def test_customers_seen_later_are_named_too(fitted):
    newcomers = pd.DataFrame(
        {"recency": [3, 300, 10], "frequency": [25, 1, 1], "monetary": [4000.0, 20.0, 40.0]}
    )
    assert fitted[5].predict(newcomers).tolist() == ["Champions", "Lost Customers", "New Customers"]


def test_the_pipeline_gives_the_cluster_and_the_names_follow(fitted, rfm):
    for model in fitted.values():
        clusters = model.pipeline_.predict(rfm.to_numpy())
        assert_array_equal(clusters, model.labels_)
        assert_array_equal(model.predict(rfm), model.names_[model.labels_])


def test_the_centre_of_a_segment_is_its_geometric_mean(fitted, rfm):
    "exp of the mean of log(1 + x), less 1"
    for k in (2, 5, 9):
        expected = np.expm1(np.log1p(rfm).groupby(fitted[k].labels_).mean())
        assert_allclose(fitted[k].centers_, expected, rtol=1e-9)
        assert fitted[k].centers_.columns.tolist() == RFM
        assert_array_equal(fitted[k].predict(fitted[k].centers_), fitted[k].names_)


def test_profiles_hold_the_evidence_for_the_names(fitted, rfm):
    model = fitted[6]
    profiles = model.profiles_
    assert profiles.index.tolist() == model.names_.tolist()
    assert profiles["cluster"].tolist() == list(range(6))
    assert profiles["size"].tolist() == np.bincount(model.labels_).tolist()
    positions = profiles.filter(like="position of").to_numpy()
    ranks = (rfm * [-1, 1, 1]).rank(pct=True)
    assert_allclose(positions, ranks.groupby(model.labels_).mean())
    assert_allclose(
        profiles["distance"],
        np.linalg.norm(positions - PROTOTYPES.loc[profiles.index].to_numpy(), axis=1),
    )
    assert positions.mean(axis=1).tolist() == sorted(positions.mean(axis=1), reverse=True)
    for name, other in profiles["nearest other"].items():
        near = cdist(positions[[model.names_.tolist().index(name)]], PROTOTYPES)[0]
        assert PROTOTYPES.drop(index=name).index[near[PROTOTYPES.index != name].argmin()] == other


def test_columns_that_are_not_rfm_get_numbers(rfm):
    model = CustomerSegmenter(3).fit(rfm.rename(columns={"recency": "age"}))
    assert model.names_.tolist() == [0, 1, 2]
    assert "distance" not in model.profiles_
    assert "position of age" in model.profiles_


def test_more_segments_than_names_get_numbers(rfm):
    assert CustomerSegmenter(12).fit(rfm).names_.dtype.kind == "U"
    assert CustomerSegmenter(13).fit(rfm).names_.tolist() == list(range(13))


def customers(*rows):
    return pd.DataFrame(rows, columns=RFM, dtype=float)


def test_two_customers_are_enough():
    model = CustomerSegmenter().fit(customers((1, 9, 900), (300, 1, 10)))
    assert model.n_segments_ == 2
    assert model.k_evidence_ is None
    assert model.names_[0] == "Champions"
    assert model.labels_.tolist() == [0, 1]


@pytest.mark.parametrize("n", [4, 5, 8, 15])
def test_a_handful_of_customers_is_segmented_by_evidence(rfm, n):
    model = CustomerSegmenter().fit(rfm.iloc[:n])
    assert 2 <= model.n_segments_ < n


@pytest.mark.parametrize(
    ("table", "n_segments", "message"),
    [
        (customers((1, 1, 1)), None, "^There is only one customer .n_samples=1.; segments need"),
        (customers((1, 1, 1)), 2, "^There is only one customer"),
        (customers(*[(1, 1, 1)] * 3), None, "^All 3 customers have the same recency, frequency"),
        (customers((1, 1, 1), (2, 1, 1)), 1, "^n_segments is 1, and has to be from 2 to 2"),
        (customers((1, 1, 1), (2, 1, 1), (2, 1, 1)), 3, "^n_segments is 3, .* from 2 to 2, .*=3"),
        (customers((1, 1, 1), (2, 1, 1)), 0, "^n_segments is 0"),
        (customers((1, 1, 1), (-2, 1, 1)), 2, "^Negative values .* Leave returns out"),
        (customers((1, 1, 1), (np.nan, 1, 1)), 2, "contains NaN"),
        (customers((1, 1, 1), (np.inf, 1, 1)), 2, "contains infinity"),
    ],
    ids=[
        "one",
        "one, two segments",
        "all alike",
        "one segment",
        "too many",
        "none",
        "negative",
        "missing",
        "infinite",
    ],
)
def test_what_cannot_be_segmented_is_refused(table, n_segments, message):
    with pytest.raises(ValueError, match=message):
        CustomerSegmenter(n_segments).fit(table)


@pytest.mark.parametrize("table", [customers((1, 1, 1)), customers(*[(1, 1, 1)] * 3)])
def test_too_few_customers_are_a_fault_of_the_input(table):
    with pytest.raises(InputError):
        CustomerSegmenter().fit(table)


def test_what_cannot_be_scored_is_refused(fitted, rfm):
    with pytest.raises(ValueError, match="Negative values"):
        fitted[2].predict(customers((1, 1, -1)))
    with pytest.raises(ValueError, match="feature names should match"):
        fitted[2].predict(rfm.rename(columns={"monetary": "revenue"}))


def test_the_order_of_the_columns_does_not_matter(fitted, rfm):
    turned = rfm[["monetary", "recency", "frequency"]]
    again = CustomerSegmenter(4).fit(turned)
    assert again.names_.tolist() == fitted[4].names_.tolist()
    assert_frame_equal(again.centers_, fitted[4].centers_)
    assert_array_equal(again.predict(turned), fitted[4].predict(rfm))
    assert_array_equal(fitted[4].predict(turned), fitted[4].predict(rfm))


def test_a_real_shop_has_sensible_names_for_every_k(online_retail):
    "Where one segment is best in everything it is Champions; Champions exist for every K"
    table = rfm_table(online_retail)
    assert len(table) == 4338
    best_in_everything = []
    for k in range(2, 11):
        model = CustomerSegmenter(k).fit(table)
        positions = model.positions_
        assert len(set(model.names_)) == k
        champions = model.names_.tolist().index("Champions")
        assert positions[champions].min() > 0.7
        best = np.flatnonzero((positions == positions.max(axis=0)).all(axis=1))
        if len(best):
            best_in_everything.append(k)
            assert best.tolist() == [champions]
    assert set(best_in_everything) >= {2, 3, 4, 5}


def test_another_seed_renames_few_customers_of_a_real_shop(online_retail):
    "No groups far apart here: a customer on the border may change sides, one in a hundred at most"
    table = rfm_table(online_retail)
    for k in (3, 4, 6):
        first, other = (
            CustomerSegmenter(k, random_state=s).fit(table).predict(table) for s in (0, 1)
        )
        assert (first != other).mean() < 0.01


# name_profiles


@st.composite
def position_tables(draw, max_rows=10):
    n_rows = draw(st.integers(2, max_rows))
    hundredths = arrays(np.int64, (n_rows, 3), elements=st.integers(0, 100))
    return draw(hundredths) / 100


@given(position_tables())
def test_a_profile_best_in_everything_is_named_champions(positions):
    positions[len(positions) // 2] = positions.max(axis=0)
    names = name_profiles(positions)["segment"]
    best = (positions == positions.max(axis=0)).all(axis=1)
    assert (names[best] == "Champions").sum() == 1


@given(position_tables())
def test_names_are_distinct(positions):
    assert name_profiles(positions)["segment"].is_unique


@given(position_tables(), st.randoms(use_true_random=False))
def test_permuted_profiles_have_permuted_names(positions, random):
    order = list(range(len(positions)))
    random.shuffle(order)

    def named(rows):
        # Equal profiles may swap their names.
        return sorted(zip(map(tuple, rows), name_profiles(rows)["segment"], strict=True))

    assert named(positions[order]) == named(positions)


@settings(max_examples=40)
@given(position_tables(max_rows=3))
def test_no_other_match_is_nearer(positions):
    "All of the at most 12 x 11 x 10 matches tried; with Champions given where they are"
    cost = cdist(positions, PROTOTYPES) ** 2
    best = (positions == positions.max(axis=0)).all(axis=1)
    match = PROTOTYPES.index.get_indexer(name_profiles(positions)["segment"])
    rows = np.arange(len(positions))
    others = [
        cost[rows, list(columns)].sum()
        for columns in itertools.permutations(range(12), len(positions))
        if not best.any() or any(columns[row] == 0 for row in np.flatnonzero(best))
    ]
    assert cost[rows, match].sum() == pytest.approx(min(others))


def test_each_prototype_has_its_own_name():
    named = name_profiles(PROTOTYPES.drop(index="Champions"))
    assert named["segment"].tolist() == PROTOTYPES.index[1:].tolist()
    assert named["distance"].max() == 0


def test_more_profiles_than_names_are_refused():
    with pytest.raises(ValueError, match=r"^There are names for 12 segments, not for 13\.$"):
        name_profiles(np.random.default_rng(0).uniform(size=(13, 3)))


# Tables for people


@pytest.fixture
def four():
    """Four customers in two segments."""
    table = customers((1, 4, 60), (3, 2, 20), (9, 1, 15), (5, 1, 5))
    return table, np.array(["B", "B", "A", "A"])


def test_segment_summary_by_hand(four):
    summary = segment_summary(*four)
    assert summary.index.tolist() == ["B", "A"], "the highest mean of money first"
    assert summary.loc["A"].to_dict() == {
        ("recency", "mean"): 7,
        ("recency", "median"): 7,
        ("recency", "count"): 2,
        ("frequency", "mean"): 1,
        ("frequency", "median"): 1,
        ("frequency", "count"): 2,
        ("monetary", "mean"): 10,
        ("monetary", "median"): 10,
        ("monetary", "count"): 2,
    }


def test_revenue_by_segment_by_hand(four):
    table = revenue_by_segment(*four)
    assert table.to_dict("index") == {
        "B": {
            "customers": 2,
            "customer share": 0.5,
            "revenue": 80,
            "revenue share": 0.8,
            "cumulative share": 0.8,
        },
        "A": {
            "customers": 2,
            "customer share": 0.5,
            "revenue": 20,
            "revenue share": 0.2,
            "cumulative share": 1.0,
        },
    }


def test_shares_add_up_on_the_fixture(by_evidence, rfm):
    table = revenue_by_segment(rfm, by_evidence.predict(rfm))
    assert table["customer share"].sum() == pytest.approx(1)
    assert table["revenue share"].sum() == pytest.approx(1)
    assert table["cumulative share"].iloc[-1] == pytest.approx(1)
    assert table["revenue"].is_monotonic_decreasing
    assert table["customers"].sum() == len(rfm)


# forecast_auc


@pytest.mark.parametrize(
    ("scores", "came_back", "expected"),
    [
        ([1, 2, 3, 4], [False, False, True, True], 1),
        ([1, 2, 3, 4], [True, True, False, False], 0),
        ([1, 1, 1], [True, False, True], 0.5),
        ([1, 2, 2, 3], [False, True, False, True], 3.5 / 4),
    ],
    ids=["right order", "wrong order", "no order", "a tie counts half"],
)
def test_a_forecast_by_hand(scores, came_back, expected):
    auc, low, high = forecast_auc(scores, came_back, random_state=0)
    assert auc == expected
    assert 0 <= low <= auc <= high <= 1


def test_a_forecast_is_judged_as_scikit_learn_does():
    rng = np.random.default_rng(0)
    scores = rng.integers(0, 5, 300)
    came_back = rng.uniform(size=300) < scores / 5
    auc, low, high = forecast_auc(scores, came_back, random_state=0)
    assert auc == pytest.approx(roc_auc_score(came_back, scores))
    assert (auc, low, high) == forecast_auc(scores, pd.Series(came_back), random_state=0)


def test_the_interval_holds_the_truth_as_often_as_it_says():
    "Normal scores one standard deviation apart: AUC = Phi(1/sqrt(2)) = 0.760; 95 of 100, +- 4.4"
    rng = np.random.RandomState(0)
    held = 0
    for _ in range(100):
        came_back = rng.uniform(size=150) < 0.4
        _, low, high = forecast_auc(rng.normal(size=150) + came_back, came_back, random_state=rng)
        held += low <= 0.760 <= high
    assert held >= 86


@pytest.mark.parametrize("came_back", [[True] * 3, [False] * 3])
def test_where_all_did_the_same_there_is_nothing_to_forecast(came_back):
    with pytest.raises(ValueError, match=r"^All 3 customers did the same"):
        forecast_auc([1, 2, 3], came_back)


PLAY = {"strategy": "s", "action": "a", "channel": "c", "effort": 1.0}


def test_recommendations_join_money_means_and_plays(four):
    playbook = pd.DataFrame([PLAY, PLAY | {"effort": 2.0}, PLAY], index=["A", "B", "unused"])
    table = recommendations(*four, playbook)
    assert table.index.tolist() == ["B", "A"]
    assert table.loc["B", "revenue"] == 80
    assert table.loc["A", ["mean recency", "mean frequency", "mean monetary"]].tolist() == [
        7,
        1,
        10,
    ]
    assert table["effort"].tolist() == [2.0, 1.0]


def test_a_missing_play_is_named_with_the_nearest(four):
    table, _ = four
    segments = np.array(["Champions", "Champions", "Nobody", "Nobody"])
    playbook = pd.DataFrame([PLAY, PLAY], index=["Champion", "Lost Customers"])
    with pytest.raises(
        InputError,
        match=r"no entry for 'Champions' \(nearest: 'Champion'\) and 'Nobody'\. Add one for each\.",
    ):
        recommendations(table, segments, playbook)


def test_a_playbook_without_effort_for_any_segment_found_is_refused(four):
    playbook = pd.DataFrame([PLAY | {"effort": 0.0}] * 2 + [PLAY], index=["A", "B", "unused"])
    with pytest.raises(InputError, match=r"effort of 0 to each segment found \(B, A\)"):
        recommendations(*four, playbook)


# read_playbook


def test_the_playbook_of_the_course_knows_every_name():
    playbook = read_playbook(PLAYBOOK)
    assert set(playbook.index) == set(PROTOTYPES.index)
    assert playbook.columns.tolist() == ["strategy", "action", "channel", "effort"]
    assert (playbook["effort"] >= 0).all()
    assert playbook[["strategy", "action", "channel"]].ne("").all(axis=None)


@pytest.fixture
def write_playbook(tmp_path):
    def write(content):
        path = tmp_path / "plays.yml"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


def test_a_playbook_is_read_as_it_stands(write_playbook):
    path = write_playbook("A: {strategy: grow, action: é, channel: post, effort: 2}\n")
    assert read_playbook(path).to_dict("index") == {
        "A": {"strategy": "grow", "action": "é", "channel": "post", "effort": 2.0}
    }


GOOD_PLAY = "strategy: s, action: a, channel: c"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("A: {", "plays.yml, line 1: "),
        (b"\xff\xfe\x00", "cannot be read as a playbook"),
        ("", "plays.yml: Input should be a valid dictionary"),
        ("{}", "should have at least 1 item"),
        (f"A: {{{GOOD_PLAY}, effort: 1}}\nA: {{{GOOD_PLAY}, effort: 2}}", "'A' is given twice"),
        (f"A: {{{GOOD_PLAY}, effort: 1, effort: 2}}", "'effort' is given twice"),
        (f"A: {{{GOOD_PLAY}, effort: 0}}", "every effort is 0, so no budget can be shared out"),
        ("- A", "plays.yml: Input should be a valid dictionary"),
        ("A: later", "A: Input should be a valid dictionary"),
        (f"A: {{{GOOD_PLAY}}}", "A > effort: Field required"),
        (f"A: {{{GOOD_PLAY}, effort: 1, budget: 2}}", "A > budget: Extra inputs are not permitted"),
        (f"A: {{{GOOD_PLAY}, effort: -0.1}}", "A > effort: Input should be greater than or equal"),
        (f"A: {{{GOOD_PLAY}, effort: .inf}}", "A > effort: Input should be a finite number"),
        (f"A: {{{GOOD_PLAY}, effort: much}}", "A > effort: Input should be a valid number"),
        ("A: {strategy: 1, action: a, channel: c, effort: 1}", "A > strategy: Input should be a"),
    ],
    ids=[
        "not YAML",
        "not text",
        "empty",
        "no entry",
        "a segment twice",
        "a key twice",
        "no effort at all",
        "a list",
        "no play",
        "missing key",
        "unknown key",
        "negative effort",
        "infinite effort",
        "effort in words",
        "a number for a text",
    ],
)
def test_a_bad_playbook_is_refused_with_its_name_and_place(write_playbook, content, message):
    with pytest.raises(InputError) as caught:
        read_playbook(write_playbook(content))
    assert str(caught.value).startswith("plays.yml")
    assert message in str(caught.value)


def test_every_fault_of_a_playbook_is_told_at_once(write_playbook):
    with pytest.raises(InputError, match=r"A > effort: .*; B > effort: "):
        read_playbook(write_playbook(f"A: {{{GOOD_PLAY}}}\nB: {{{GOOD_PLAY}}}"))


def test_a_playbook_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"^plays\.yml: cannot be read"):
        read_playbook(tmp_path / "plays.yml")


def test_a_playbook_cannot_run_code(write_playbook, tmp_path):
    trap = tmp_path / "trapped"
    with pytest.raises(InputError, match=r"tag:yaml\.org,2002:python/object/apply:os\.mkdir"):
        read_playbook(write_playbook(f"A: !!python/object/apply:os.mkdir ['{trap}']"))
    assert not trap.exists()


# allocate_budget

WEIGHTS = st.lists(
    st.one_of(st.just(0.0), st.integers(1, 10**6), st.floats(1e-3, 1e9)), min_size=1, max_size=12
).filter(any)


@given(st.integers(0, 10**12), WEIGHTS)
def test_a_budget_is_shared_out_to_the_cent(budget_in_cents, weights):
    "Each share is within one cent of the exact one, computed in fractions; no weight, no money"
    cents = allocate_budget(budget_in_cents / 100, pd.Series(weights))
    assert cents.sum() == budget_in_cents
    total = sum(map(Fraction, weights))
    for share, weight in zip(cents.tolist(), weights, strict=True):
        # A thousandth of a cent for the rounding of 10^12 cents.
        assert abs(share - Fraction(weight) / total * budget_in_cents) < 1 + Fraction(1, 1000)
        assert weight or not share


@pytest.mark.parametrize(
    ("budget", "weights", "expected"),
    [
        (100, [1, 1, 1], [3334, 3333, 3333]),
        (0.05, [1, 1], [3, 2]),
        (10, [1, 2, 1], [250, 500, 250]),
        (0.29, [5], [29]),
        (0, [1, 2], [0, 0]),
        (1, [0, 3, 0], [0, 100, 0]),
        (0.02, [1, 1, 1], [1, 1, 0]),
        (0.10, [2, 3, 2], [3, 4, 3]),
    ],
)
def test_a_budget_by_hand(budget, weights, expected):
    names = [f"segment {i}" for i in range(len(weights))]
    cents = allocate_budget(budget, pd.Series(weights, index=names))
    assert cents.tolist() == expected
    assert cents.index.tolist() == names
    assert cents.name == "cents"
    assert cents.dtype == np.int64


@pytest.mark.parametrize("weights", [[1, -1], [math.nan, 1], [math.inf, 1], [0, 0], []])
def test_weights_that_share_nothing_out_are_refused(weights):
    with pytest.raises(ValueError, match=r"^Weights must be 0 or more and not all 0; they are \{"):
        allocate_budget(1, pd.Series(weights, dtype=float))


@pytest.mark.parametrize("budget", [-0.01, math.nan, math.inf])
def test_a_budget_that_is_none_is_refused(budget):
    with pytest.raises(ValueError, match=f"The budget must be 0 or more; it is {budget}"):
        allocate_budget(budget, pd.Series([1.0]))


def test_weights_are_not_changed():
    weights = pd.Series({"a": 1, "b": 2})
    allocate_budget(10, weights)
    assert weights.tolist() == [1, 2]
    assert weights.dtype == np.int64
