import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pandas.testing import assert_frame_equal

from helpers.segmentation import rfm_table, rfm_window
from helpers.text import InputError


@pytest.mark.parametrize(
    ("last_day", "days"),
    [("2024-12-31", 90), ("2024-06-30", 30), ("2024-02-29", 1), ("2024-12-31", 366)],
)
def test_a_window_is_the_table_of_its_days_alone(orders, last_day, days):
    last = pd.Timestamp(last_day)
    dates = orders["order_date"]
    slice_ = orders[(dates > last - pd.Timedelta(days=days)) & (dates <= last)]
    expected = rfm_table(slice_, snapshot=last + pd.Timedelta(days=1))
    window = rfm_window(orders, last_day, days)
    assert_frame_equal(window, expected)
    assert_frame_equal(rfm_window(orders, last, days), expected)
    assert window["recency"].between(1, days).all()


def few_orders(*days, revenue=5.0):
    return pd.DataFrame(
        {
            "customer_id": "ana",
            "order_id": [str(number) for number in range(len(days))],
            "order_date": pd.to_datetime(list(days), format="mixed"),
            "revenue": revenue,
        }
    )


def test_both_ends_belong_to_the_window_and_no_day_beyond():
    orders = few_orders("2024-01-01", "2024-01-02", "2024-01-04", "2024-01-05")
    assert rfm_window(orders, "2024-01-04", 3).loc["ana"].tolist() == [1, 2, 10]


def test_recency_counts_from_the_end_of_the_window_and_not_from_its_last_order():
    orders = few_orders("2024-01-01", "2024-01-02", "2024-01-31")
    assert rfm_window(orders, "2024-01-10", 10).loc["ana"].tolist() == [9, 2, 10]


def test_the_last_day_counts_to_its_last_minute():
    orders = few_orders("2024-01-01 08:00", "2024-01-03 23:59", "2024-01-04 00:00")
    assert rfm_window(orders, "2024-01-03", 3).loc["ana", "frequency"] == 2
    assert rfm_window(orders, pd.Timestamp("2024-01-03 12:00"), 3).loc["ana", "frequency"] == 2
    assert rfm_window(orders, "2024-01-04", 4).loc["ana", "frequency"] == 3


@settings(deadline=None)
@given(st.lists(st.integers(0, 40), min_size=1, max_size=12), st.integers(0, 20))
def test_windows_side_by_side_hold_every_order_once(offsets, middle):
    "Fifty days, in two parts; somebody orders on their first and last day"
    first = pd.Timestamp("2024-01-01")
    days = [first + pd.Timedelta(days=offset) for offset in (0, *offsets, 49)]
    orders = few_orders(*sorted(days))
    cut = first + pd.Timedelta(days=middle)
    parts = (
        rfm_window(orders, cut, middle + 1),
        rfm_window(orders, "2024-02-19", 49 - middle),
    )
    assert sum(part["frequency"].sum() for part in parts) == len(orders)


@pytest.mark.parametrize(
    ("last_day", "days", "begins"),
    [
        ("2024-01-31", 90, "2023-11-03"),
        ("2024-01-31", 32, "2023-12-31"),
        ("2024-03-02", 5, "2024-02-27"),
    ],
    ids=["long before", "one day before", "one day after"],
)
def test_a_part_of_a_window_is_refused_with_its_days(last_day, days, begins):
    orders = few_orders("2024-01-01 10:00", "2024-03-01 09:00")
    with pytest.raises(InputError) as refusal:
        rfm_window(orders, last_day, days)
    text = str(refusal.value)
    assert text.startswith(f"{days} days up to {last_day} begin on {begins}.")
    assert "2024-01-01 to 2024-03-01" in text
    assert "extract" in text.split("missing.")[1], "the remedy"


def test_the_whole_extract_is_no_part():
    orders = few_orders("2024-01-01 10:00", "2024-01-31 09:00")
    assert rfm_window(orders, "2024-01-31", 31).loc["ana", "frequency"] == 2


def test_an_empty_period_is_refused_with_its_days():
    orders = few_orders("2024-01-01", "2024-03-01")
    with pytest.raises(InputError, match="no order line from 2024-02-01 to 2024-02-10"):
        rfm_window(orders, "2024-02-10", 10)


def test_a_period_without_a_sale_is_refused():
    orders = few_orders("2024-01-01", "2024-02-05", "2024-03-01", revenue=[5.0, -5.0, 5.0])
    with pytest.raises(InputError, match="None of the 1 order lines is a sale"):
        rfm_window(orders, "2024-02-10", 10)
