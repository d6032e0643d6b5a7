"""The engines agree with pandas, and clustering out of core with clustering in memory."""

from pathlib import Path

import duckdb
import narwhals as nw
import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.fixtures import SHOPPERS, ecommerce_customers, write_order_lines
from helpers.inputs import read_orders
from helpers.scale import cluster_out_of_core, rfm_table_lazy
from helpers.segmentation import name_profiles, rfm_table
from helpers.text import InputError

ONLINE_RETAIL = Path(__file__).parents[1] / "../shared/data/online_retail/online_retail.csv.gz"
RETAIL_COLUMNS = {
    "customer_id": "CustomerID",
    "order_id": "InvoiceNo",
    "order_date": "InvoiceDate",
    "quantity": "Quantity",
    "unit_price": "UnitPrice",
}
ENGINES = {
    "pandas": lambda orders: orders,
    "polars": lambda orders: pl.DataFrame(polars_columns(orders)),
    "polars, lazy": lambda orders: pl.LazyFrame(polars_columns(orders)),
    "duckdb": lambda orders: duckdb.from_df(orders),
}


def polars_columns(orders):
    """Columns without Arrow, which Polars would ask for."""
    ids = {name: list(orders[name].replace({np.nan: None})) for name in ("customer_id", "order_id")}
    dates = orders["order_date"].dt.to_pydatetime().tolist()
    return ids | {"order_date": dates, "revenue": orders["revenue"].to_numpy()}


def computed(orders, engine, snapshot=None):
    """The table of an engine as pandas would have it."""
    table = rfm_table_lazy(ENGINES[engine](orders), snapshot)
    backend = "polars" if table.implementation.is_polars() else "pandas"
    rows = table.collect(backend).rows(named=True)
    return pd.DataFrame(rows).set_index("customer_id").sort_index()


def assert_same_table(ours, reference):
    assert ours.index.tolist() == reference.index.tolist()
    assert (ours["recency"].to_numpy() == reference["recency"].to_numpy()).all()
    assert (ours["frequency"].to_numpy() == reference["frequency"].to_numpy()).all()
    np.testing.assert_allclose(ours["monetary"], reference["monetary"], rtol=1e-9)


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


@pytest.mark.skipif(not ONLINE_RETAIL.exists(), reason="Online Retail is not on this machine")
@pytest.mark.parametrize("engine", ENGINES)
def test_every_engine_gives_the_table_of_online_retail(engine):
    orders = read_orders(ONLINE_RETAIL, columns=RETAIL_COLUMNS)
    orders = orders.astype({"customer_id": object, "order_id": object})
    assert_same_table(computed(orders, engine), rfm_table(orders))


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


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """Return a folder of order lines of 5,000 customers."""
    return write_order_lines(tmp_path_factory.mktemp("shop") / "lines", 5_000)


def lines_of(shop):
    return duckdb.read_parquet(f"{shop}/*/*.parquet")


def test_the_generator_makes_the_customers_of_the_fixture(shop):
    assert {folder.name for folder in shop.iterdir()} == {f"month={n}" for n in range(1, 13)}
    lines = lines_of(shop).df()
    rfm = rfm_table(lines, "2025-01-01")
    truth = lines.dropna(subset=["customer_id"]).groupby("customer_id")["segment"].first()
    typical = rfm.join(truth).groupby("segment").median()
    shares = truth.value_counts(normalize=True)
    for name, row in SHOPPERS.iterrows():
        assert shares[name] == pytest.approx(row["share"], abs=0.02)
        assert typical.loc[name, "frequency"] == pytest.approx(row["orders"], rel=0.15)
        assert typical.loc[name, "recency"] == pytest.approx(row["recency"], rel=0.15)
    assert lines["customer_id"].isna().mean() == pytest.approx(0.01, abs=0.003)
    assert (lines["revenue"] < 0).mean() == pytest.approx(0.015, abs=0.004)


def test_the_same_seed_gives_the_same_rows_on_any_number_of_threads(shop, tmp_path):
    again = write_order_lines(tmp_path / "again", 5_000)
    other = write_order_lines(tmp_path / "other", 5_000, random_state=1)
    first, second, third = (
        lines_of(path).query("l", "SELECT bit_xor(hash(l)), count(*) FROM l").fetchall()
        for path in (shop, again, other)
    )
    assert first == second != third


def test_what_is_there_is_not_written_over(shop):
    with pytest.raises(FileExistsError, match="exists already"):
        write_order_lines(shop)


def test_cells_are_as_good_as_everybody_and_carry_the_names(shop):
    cells = cluster_out_of_core(shop, 5)
    everybody = cluster_out_of_core(shop, 5, route="everybody")
    assert cells.n_points < everybody.n_points
    assert cells.inertia == pytest.approx(everybody.inertia, rel=0.01)
    assert cells.sizes.sum() == everybody.sizes.sum() > everybody.n_points
    assert set(name_profiles(cells.positions)["segment"]) == set(SHOPPERS.index)
    np.testing.assert_allclose(cells.centers, everybody.centers, rtol=0.03)
    np.testing.assert_allclose(cells.positions, everybody.positions, atol=0.02)


def test_batches_in_the_order_of_a_log_are_worse_than_shuffled_ones(tmp_path):
    shop = write_order_lines(tmp_path / "lines", 150_000, lines_per_order=1)
    shuffled = cluster_out_of_core(shop, 5, route="batches")
    in_order = cluster_out_of_core(shop, 5, route="batches", shuffle=False)
    everybody = cluster_out_of_core(shop, 5)
    assert shuffled.inertia < 1.05 * everybody.inertia
    assert in_order.inertia > 1.3 * everybody.inertia


def test_a_second_run_gives_the_same(shop):
    first, second = (cluster_out_of_core(shop, 4) for _ in range(2))
    np.testing.assert_allclose(first.centers, second.centers, rtol=1e-9)
    assert (first.sizes == second.sizes).all()


def copy_of(shop, target):
    lines_of(shop).write_parquet(str(target))
    return target


def test_a_damaged_file_among_many_is_named(shop, tmp_path):
    for name in ("a", "b", "c"):
        copy_of(shop, tmp_path / f"{name}.parquet")
    damaged = tmp_path / "b.parquet"
    content = damaged.read_bytes()
    damaged.write_bytes(content[: len(content) // 2])
    with pytest.raises(InputError, match=r"b\.parquet: cannot be read"):
        cluster_out_of_core(tmp_path, 5)
    # The footer is whole, the pages are not.
    damaged.write_bytes(content[:4] + b"\xff" * 20_000 + content[20_004:])
    with pytest.raises(InputError, match=r"b\.parquet: cannot be read"):
        cluster_out_of_core(tmp_path, 5)


def test_a_column_missing_in_one_file_is_named_with_the_file(shop, tmp_path):
    copy_of(shop, tmp_path / "a.parquet")
    duckdb.sql(f"COPY (SELECT 1 AS customer_id, 2 AS order_id) TO '{tmp_path}/b.parquet'")
    with pytest.raises(InputError, match=r"b\.parquet: no column order_date and revenue"):
        cluster_out_of_core(tmp_path, 5)


def test_nothing_to_read_and_too_few_customers_are_refused(tmp_path):
    with pytest.raises(InputError, match="no Parquet file"):
        cluster_out_of_core(tmp_path, 5)
    shop = write_order_lines(tmp_path / "lines", 3)
    with pytest.raises(InputError, match="3 customers with sales: too few"):
        cluster_out_of_core(shop, 5)
    shop = write_order_lines(tmp_path / "more", 40)
    with pytest.raises(InputError, match="too few for 50 clusters"):
        cluster_out_of_core(shop, 50)


def test_too_little_memory_is_said_in_words(shop):
    with pytest.raises(InputError, match="memory_limit='1MB' is too small"):
        cluster_out_of_core(shop, 5, memory_limit="1MB")


def test_it_is_narwhals_that_speaks_to_the_engine(fixture_orders):
    assert isinstance(rfm_table_lazy(fixture_orders), nw.LazyFrame)
