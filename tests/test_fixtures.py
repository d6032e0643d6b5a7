from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pandas.testing import assert_frame_equal, assert_series_equal

from helpers.fixtures import LAST_DAY, ONE_CROWD, SHOPPERS, ecommerce_customers, write_fixtures

DATA = Path(__file__).parents[1] / "data"


@pytest.fixture(scope="module")
def lines():
    return ecommerce_customers()[0]


@pytest.fixture(scope="module")
def sales(lines):
    return lines[(lines["revenue"] > 0) & lines["customer_id"].notna()]


def test_the_committed_files_are_made_by_this_code_byte_for_byte(tmp_path):
    paths = write_fixtures(tmp_path)
    assert sorted(path.name for path in paths) == sorted(p.name for p in DATA.glob("*.csv"))
    for path in paths:
        assert path.read_bytes() == (DATA / path.name).read_bytes()
    assert sorted(tmp_path.iterdir()) == sorted(paths)


def test_the_same_seed_gives_the_same_rows_and_another_seed_others():
    first, first_truth = ecommerce_customers(100, 1)
    again, again_truth = ecommerce_customers(100, 1)
    assert_frame_equal(first, again)
    assert_series_equal(first_truth, again_truth)
    assert not first.equals(ecommerce_customers(100, 2)[0])


def test_the_columns_are_those_of_the_docstring(lines):
    assert list(lines.columns) == ["customer_id", "order_id", "last_purchase_date", "revenue"]
    assert lines["last_purchase_date"].str.fullmatch(r"2024-\d\d-\d\d|2023-12-31").all()
    assert lines["customer_id"].dropna().str.fullmatch(r"C\d{5}").all()
    assert lines["revenue"].equals(lines["revenue"].round(2))


def test_every_customer_has_a_segment_and_a_sale(sales, truth):
    assert len(truth) == 2000
    assert truth.index.is_unique
    assert truth.index.is_monotonic_increasing
    assert set(truth) == set(SHOPPERS.index)
    assert set(sales["customer_id"]) == set(truth.index)


def test_segments_have_the_shares_they_were_drawn_with(truth):
    "Four standard errors of a share among 2,000: 4 sqrt(p (1 - p) / 2000)"
    assert SHOPPERS["share"].sum() == pytest.approx(1)
    shares = truth.value_counts(normalize=True)[SHOPPERS.index]
    error = 4 * np.sqrt(SHOPPERS["share"] * (1 - SHOPPERS["share"]) / 2000)
    assert ((shares - SHOPPERS["share"]).abs() < error).all()


def test_segments_behave_as_they_are_described(sales, truth):
    days = (LAST_DAY + pd.Timedelta(days=1) - pd.to_datetime(sales["last_purchase_date"])).dt.days
    recency = days.groupby(sales["customer_id"]).min().groupby(truth).median()
    orders = sales.groupby("customer_id")["order_id"].nunique().groupby(truth).mean()
    assert recency[SHOPPERS.index].to_numpy() == pytest.approx(SHOPPERS["recency"], rel=0.1)
    assert orders[SHOPPERS.index].to_numpy() == pytest.approx(SHOPPERS["orders"], rel=0.1)


def test_about_half_of_the_customers_bought_once(sales):
    "New and lost ones: 24 % and 28 %"
    orders = sales.groupby("customer_id")["order_id"].nunique()
    assert 0.45 < orders.eq(1).mean() < 0.60


def test_an_order_has_one_customer_and_one_day(sales):
    same = sales.groupby("order_id")[["customer_id", "last_purchase_date"]].nunique()
    assert same.eq(1).all(axis=None)


@pytest.mark.parametrize(
    ("fault", "share"),
    [
        (lambda lines: lines["revenue"] < 0, 0.015),
        (lambda lines: lines["revenue"] == 0, 0.003),
        (lambda lines: lines["customer_id"].isna(), 0.01),
        # Besides, small amounts within one order agree by chance now and then.
        (lambda lines: lines.duplicated(), 0.0055),
    ],
    ids=["returned", "free", "without a customer", "twice"],
)
def test_everyday_faults_are_there(lines, fault, share):
    assert fault(lines).mean() == pytest.approx(share, rel=0.1)


def test_returns_are_marked_and_refund_a_sale(lines, sales):
    returned = lines[lines["revenue"] < 0]
    assert returned["order_id"].str.startswith("R").all()
    assert not sales["order_id"].str.startswith("R").any()
    sold = set(zip(sales["customer_id"], sales["order_id"].str[1:], sales["revenue"], strict=True))
    refunds = zip(
        returned["customer_id"], returned["order_id"].str[1:], -returned["revenue"], strict=True
    )
    assert set(refunds) <= sold


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_nothing_happens_after_the_last_day(seed):
    lines, _ = ecommerce_customers(500, seed)
    days = pd.to_datetime(lines["last_purchase_date"])
    assert days.max() <= LAST_DAY
    assert days.min() >= LAST_DAY - pd.Timedelta(days=365), "a year, and no more"
    assert days.is_monotonic_increasing


def test_one_crowd_is_a_single_segment_that_varies_smoothly():
    lines, truth = ecommerce_customers(500, 0, ONE_CROWD, spread=3.0)
    assert set(truth) == {"Everybody"}
    last = lines[lines["revenue"] > 0].groupby("customer_id")["last_purchase_date"].max()
    assert last.value_counts(normalize=True).max() < 0.03


def test_one_customer_is_enough():
    lines, truth = ecommerce_customers(1, 0)
    assert truth.index.tolist() == ["C00001"]
    assert len(lines) >= 1
