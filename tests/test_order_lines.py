"""Order lines give the same table in every engine, and what is wrong with a file is named."""

from decimal import Decimal

import duckdb
import narwhals as nw
import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from order_files import assert_same_table, copy_of, halves_of

from helpers.engine import connect
from helpers.fixtures import ecommerce_customers, write_order_lines
from helpers.order_lines import (
    check_days,
    needed_columns,
    parquet_files,
    rfm_table_lazy,
    scan_parquet,
    standard_columns,
)
from helpers.segmentation import rfm_table
from helpers.text import InputError

ENGINES = {
    "pandas": lambda orders: orders,
    "polars": lambda orders: pl.DataFrame(polars_columns(orders)),
    "polars, lazy": lambda orders: pl.LazyFrame(polars_columns(orders)),
    "duckdb": lambda orders: duckdb.from_df(orders),
}


def polars_columns(orders):
    """Columns without Arrow, which Polars would ask for."""
    ids = {name: list(orders[name].replace({np.nan: None})) for name in ("customer_id", "order_id")}
    dates = [None if pd.isna(date) else date.to_pydatetime() for date in orders["order_date"]]
    return ids | {
        "order_date": pl.Series(dates, dtype=pl.Datetime("us")),
        "revenue": orders["revenue"].to_numpy(),
    }


def computed(orders, engine, snapshot=None):
    """The table of an engine as pandas would have it."""
    rows = collected(rfm_table_lazy(ENGINES[engine](orders), snapshot)).rows(named=True)
    return pd.DataFrame(rows).set_index("customer_id").sort_index()


def collected(frame):
    """Collect without Arrow, which DuckDB would ask for."""
    return frame.collect("polars" if frame.implementation.is_polars() else "pandas")


@pytest.fixture(scope="module")
def fixture_orders():
    """Return the orders of the course's own shop, returns and missing ids included."""
    lines, _ = ecommerce_customers(400)
    dates = pd.to_datetime(lines["last_purchase_date"]) + pd.Timedelta(hours=23, minutes=59)
    orders = lines.assign(order_date=dates).drop(columns="last_purchase_date")
    return orders.astype({"customer_id": object, "order_id": object})


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("snapshot", [None, "2025-02-28"])
def test_every_engine_gives_the_table_of_the_first_chapter(fixture_orders, engine, snapshot):
    reference = rfm_table(fixture_orders, snapshot)
    assert_same_table(computed(fixture_orders, engine, snapshot), reference)


@pytest.mark.parametrize("engine", ENGINES)
def test_every_engine_gives_the_table_of_online_retail(online_retail, engine):
    orders = online_retail.astype({"customer_id": object, "order_id": object})
    assert_same_table(computed(orders, engine), rfm_table(online_retail))


def orders_of(rows):
    """Order lines from rows of customer, order, date and revenue."""
    orders = pd.DataFrame(rows, columns=["customer_id", "order_id", "order_date", "revenue"])
    ids = {"customer_id": object, "order_id": object}
    dates = pd.to_datetime(orders["order_date"]).astype("datetime64[us]")
    return orders.assign(order_date=dates, revenue=orders["revenue"].astype(float)).astype(ids)


def finite(orders):
    """Orders as the first chapter reads them, which refuses infinite revenue."""
    return orders.assign(revenue=orders["revenue"].replace(np.inf, np.nan))


@pytest.mark.parametrize("engine", ENGINES)
def test_every_engine_counts_the_lines_that_are_sales_and_no_others(engine):
    orders = orders_of(
        [
            ("ana", "1", "2024-03-01 10:00", 5.0),  # an order with several lines
            ("ana", "1", "2024-03-01 10:00", 7.5),
            ("ana", "2", "2024-03-01 10:00", 1.25),  # another at the same time
            ("ben", "3", "2024-03-05 23:59", 2.0),
            ("ben", "4", "2024-03-06 00:01", -2.0),  # a return is no sale, but is the last day
            ("cat", "5", "2024-03-06 23:59", -1.0),
            ("dan", "6", "2024-02-01 00:00", 0.0),
            (None, "7", "2024-02-02 00:00", 9.0),
            ("eve", "8", "2024-01-01 00:00", np.nan),
            ("eve", "9", "2023-12-31 23:59", 4.0),
            ("fay", "10", "2024-03-01 00:00", np.inf),
            ("fay", "11", "2024-02-29 00:00", 3.0),
            ("gus", "3", "2024-03-05 00:00", 6.0),  # the number of another customer's order
        ]
    )
    table = computed(orders, engine)
    assert_same_table(table, rfm_table(finite(orders)))
    assert table.to_dict("split", index=True)["data"] == [
        [6, 2, 13.75],
        [2, 1, 2.0],
        [67, 1, 4.0],
        [7, 1, 3.0],
        [2, 1, 6.0],
    ]
    assert table.index.tolist() == ["ana", "ben", "eve", "fay", "gus"]


@pytest.mark.parametrize("engine", ["pandas", "polars", "duckdb"])
def test_ids_that_are_numbers_are_missing_where_they_are_nan(engine):
    orders = orders_of([(1.0, 1, "2024-01-01", 2.0), (np.nan, 2, "2024-01-02", 3.0)])
    orders["customer_id"] = orders["customer_id"].astype(float)
    frames = {
        "pandas": lambda: orders,
        "polars": lambda: pl.DataFrame(polars_columns(orders)).with_columns(
            customer_id=orders["customer_id"].to_numpy()
        ),
        # From pandas, DuckDB would take NaN for NULL.
        "duckdb": lambda: duckdb.sql(
            "SELECT * FROM (VALUES (1::DOUBLE, 1, DATE '2024-01-01', 2.0), "
            "('nan'::DOUBLE, 2, DATE '2024-01-02', 3.0)) "
            "AS t(customer_id, order_id, order_date, revenue)"
        ),
    }
    rows = collected(rfm_table_lazy(frames[engine]())).rows()
    assert rows == [(1.0, 2, 1, 2.0)]
    assert rfm_table(orders).index.tolist() == [1.0]


_LINE = st.tuples(
    st.sampled_from([None, "a", "b", "c", "ä"]),
    st.sampled_from(["1", "2", "3", "R4"]),
    st.datetimes(pd.Timestamp("2023-12-30"), pd.Timestamp("2024-03-02")),
    st.one_of(
        st.integers(-500, 10_000_000).map(lambda cents: cents / 100),
        st.sampled_from([0.0, np.nan, np.inf, -np.inf]),
    ),
)


@settings(deadline=None, max_examples=15)
@given(st.lists(_LINE, max_size=30), st.randoms(use_true_random=False))
def test_every_engine_agrees_on_any_orders_in_any_order(lines, random):
    sale = ("a", "1", pd.Timestamp("2024-02-29 23:59"), 1.0)
    reference = rfm_table(finite(orders_of([*lines, sale])))
    shuffled = random.sample([*lines, sale], len(lines) + 1)
    for engine in ENGINES:
        assert_same_table(computed(orders_of(shuffled), engine), reference)


@pytest.mark.parametrize("engine", ENGINES)
def test_orders_without_any_date_are_refused(engine):
    without = orders_of([("ana", "1", None, 5.0), ("ben", "2", None, 5.0)])
    for orders in (without, without[:0]):
        with pytest.raises(InputError, match="There are no order dates"):
            computed(orders, engine)


@settings(deadline=None, max_examples=50)
@given(st.lists(st.dates(pd.Timestamp(1900, 1, 1).date()), min_size=1, max_size=20))
def test_days_are_counted_as_the_calendar_does(dates):
    dates = [min(date, pd.Timestamp(2260, 1, 1).date()) for date in dates]
    orders = pd.DataFrame(
        {
            "customer_id": range(len(dates)),
            "order_id": "1",
            "order_date": pd.to_datetime(dates).astype("datetime64[us]"),
            "revenue": 1.0,
        }
    )
    table = rfm_table_lazy(orders, "2261-03-01").collect().to_native().sort_values("customer_id")
    expected = [(pd.Timestamp("2261-03-01") - pd.Timestamp(date)).days for date in dates]
    assert table["recency"].tolist() == expected


def test_a_snapshot_that_is_no_day_is_refused(fixture_orders):
    with pytest.raises(InputError, match="snapshot 'soon' is not a day"):
        rfm_table_lazy(fixture_orders, "soon")


def test_it_is_narwhals_that_speaks_to_the_engine(fixture_orders):
    assert isinstance(rfm_table_lazy(fixture_orders), nw.LazyFrame)


LINES = {
    "Client": ["a", "b"],
    "Receipt": ["1", "2"],
    "Day": pd.to_datetime(["2024-01-01", "2024-01-02"]).astype("datetime64[us]"),
    "Pieces": np.array([100, -2], np.int8),
    "Price": np.array([90, 5], np.int8),
}
OWN_NAMES = {"customer_id": "Client", "order_id": "Receipt", "order_date": "Day"}
FRAMES = {
    "pandas": pd.DataFrame,
    "polars": lambda data: pl.DataFrame(data | {"Day": data["Day"].to_pydatetime().tolist()}),
    "duckdb": lambda data: duckdb.from_df(pd.DataFrame(data)),
}


@pytest.mark.parametrize("engine", FRAMES)
def test_columns_get_the_names_of_the_course_and_lines_their_revenue(engine):
    parts = OWN_NAMES | {"quantity": "Pieces", "unit_price": "Price"}
    first, second = pd.to_datetime(["2024-01-01", "2024-01-02"])
    # 100 and 90 are small integers; their product is not.
    lines = collected(standard_columns(FRAMES[engine](LINES), parts))
    assert lines.columns == ["customer_id", "order_id", "order_date", "revenue"]
    assert lines.rows() == [("a", "1", first, 9000.0), ("b", "2", second, -10.0)]
    whole = collected(standard_columns(FRAMES[engine](LINES), OWN_NAMES | {"revenue": "Price"}))
    assert whole.rows() == [("a", "1", first, 90.0), ("b", "2", second, 5.0)]
    assert {type(value) for value in whole["revenue"].to_list()} == {float}


@pytest.mark.parametrize("engine", FRAMES)
def test_revenue_may_be_decimal(engine):
    if engine == "duckdb":
        lines = duckdb.sql(
            "SELECT 'a' AS customer_id, 1 AS order_id, DATE '2024-01-01' AS order_date, "
            "3::SMALLINT AS quantity, 1.25::DECIMAL(9, 2) AS unit_price, 0.10::DECIMAL(9, 2) AS r"
        )
    else:
        data = {"customer_id": ["a"], "order_id": [1], "order_date": [pd.Timestamp("2024-01-01")]}
        parts = {"quantity": [3], "unit_price": [Decimal("1.25")], "r": [Decimal("0.10")]}
        lines = {"pandas": pd.DataFrame, "polars": pl.DataFrame}[engine](data | parts)
    assert collected(standard_columns(lines))["revenue"].to_list() == [3.75]
    assert collected(standard_columns(lines, {"revenue": "r"}))["revenue"].to_list() == [0.1]


@pytest.mark.parametrize("engine", FRAMES)
def test_columns_that_are_not_there_are_all_named_with_the_nearest(engine):
    frame = FRAMES[engine](LINES)
    missing = r"no column order_date and Revenu \(.*\)|no column order_date and Revenu\. Needed"
    with pytest.raises(InputError, match=missing):
        names = {"customer_id": "Client", "order_id": "Receipt", "revenue": "Revenu"}
        standard_columns(frame, names)
    with pytest.raises(InputError, match=r"no column Clint \(nearest: 'Client'\)"):
        standard_columns(frame, OWN_NAMES | {"customer_id": "Clint", "revenue": "Price"})
    with pytest.raises(InputError, match=r"there is no 'custumer_id' .*nearest: 'customer_id'"):
        standard_columns(frame, {"custumer_id": "Client"})


def test_revenue_is_taken_before_its_parts_and_names_may_be_exchanged():
    present = ["customer_id", "order_id", "order_date", "revenue", "quantity", "unit_price"]
    assert needed_columns(present) == {name: name for name in present[:4]}
    swapped = {"customer_id": "order_id", "order_id": "customer_id"}
    assert needed_columns(present, swapped) == needed_columns(present) | swapped
    assert [*needed_columns(present, {"revenue": "Total"})][3:] == ["quantity", "unit_price"]
    with pytest.raises(InputError, match="no column order_id, order_date and revenue"):
        needed_columns(["customer_id", "quantity"])


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """Return a folder of order lines of 500 customers."""
    return write_order_lines(tmp_path_factory.mktemp("shop") / "lines", 500)


def table_of(path):
    """RFM table of a file or a folder of files, sorted by customer."""
    with connect() as connection:
        lines = standard_columns(scan_parquet(connection, parquet_files(path)))
        table = rfm_table_lazy(lines).to_native().df()
    return table.set_index("customer_id").sort_index()


@pytest.mark.parametrize("whole", ["INTEGER", "DECIMAL(12, 0)"])
@pytest.mark.parametrize("odd", ["first", "last"])
def test_whole_numbers_in_one_file_do_not_round_those_of_another(shop, tmp_path, whole, odd):
    rounded = f"* REPLACE (round(revenue)::{whole} AS revenue)"
    columns = (rounded, "*") if odd == "first" else ("*", rounded)
    mixed = halves_of(shop, tmp_path / "mixed", *columns)
    as_floats = [text.replace(whole, "DOUBLE") for text in columns]
    floats = halves_of(shop, tmp_path / "floats", *as_floats)
    assert_same_table(table_of(mixed), table_of(floats))


def test_files_with_revenue_and_files_with_its_parts_are_not_mixed(shop, tmp_path):
    parts = "* EXCLUDE (revenue), 1 AS quantity, revenue AS unit_price"
    halves_of(shop, tmp_path, "*", parts)
    with pytest.raises(InputError, match=r"b\.parquet: the revenue comes from quantity and unit_"):
        parquet_files(tmp_path)


def test_names_of_files_are_no_patterns(shop, tmp_path):
    folder = halves_of(shop, tmp_path / "shop[1]")
    other = write_order_lines(tmp_path / "other", 50)
    copy_of(other, tmp_path / "shop1" / "a.parquet")
    assert_same_table(table_of(folder), table_of(shop))
    a = table_of(folder / "a.parquet")
    (folder / "a.parquet").rename(folder / "a*.parquet")
    copy_of(other, folder / "ab.parquet")
    assert_same_table(table_of(folder / "a*.parquet"), a)
    assert [file.name for file in parquet_files(folder)] == [
        "a*.parquet",
        "ab.parquet",
        "b.parquet",
    ]


def test_a_folder_may_be_called_like_a_file_and_hidden_files_do_not_count(shop, tmp_path):
    table = halves_of(shop, tmp_path / "table.parquet")
    (table / ".half.parquet").write_bytes(b"PAR1")
    (table / "_SUCCESS").touch()
    assert_same_table(table_of(tmp_path), table_of(shop))
    assert_same_table(table_of(table), table_of(shop))


@pytest.mark.parametrize(
    ("column", "kind", "wanted"),
    [
        ("order_date", "VARCHAR", "a date or a time"),
        ("order_date", "TIMESTAMPTZ", "a date or a time"),
        ("revenue", "VARCHAR", "a number"),
    ],
)
def test_a_wrong_type_in_one_file_is_named_with_the_file(shop, tmp_path, column, kind, wanted):
    halves_of(shop, tmp_path / "month=2", "*", f"* REPLACE ({column}::{kind} AS {column})")
    match = rf"month=2/b\.parquet: column '{column}' holds .*, but {column} has to be {wanted}"
    with pytest.raises(InputError, match=match):
        parquet_files(tmp_path)


def test_a_column_missing_in_one_file_is_named_with_the_file(shop, tmp_path):
    copy_of(shop, tmp_path / "a.parquet")
    duckdb.sql(f"COPY (SELECT 1 AS customer_id, 2 AS order_id) TO '{tmp_path}/b.parquet'")
    with pytest.raises(InputError, match=r"b\.parquet: no column order_date and revenue"):
        parquet_files(tmp_path)


def test_a_snapshot_that_is_yet_to_come_is_refused():
    with connect() as engine:
        engine.execute("CREATE TABLE rfm AS SELECT 300_000 AS recency")
        check_days(engine, "2024-12-31")
        with pytest.raises(InputError, match="snapshot 2999-01-01 lies in the future"):
            check_days(engine, "2999-01-01")
