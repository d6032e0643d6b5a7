"""Files of order lines, and tables of customers to compare, for several tests."""

import duckdb
import numpy as np


def lines_of(shop):
    return duckdb.read_parquet(f"{shop}/*/*.parquet")


def copy_of(shop, target, query="SELECT * FROM lines", **options):
    """Write what a query says of a shop's lines into one file."""
    target.parent.mkdir(parents=True, exist_ok=True)
    lines_of(shop).query("lines", query).write_parquet(str(target), **options)
    return target


def halves_of(shop, folder, first="*", second="*"):
    """Write the lines of even orders as a.parquet, those of odd ones as b.parquet."""
    for name, columns, odd in (("a", first, 0), ("b", second, 1)):
        query = f"SELECT {columns} FROM lines WHERE order_id % 2 = {odd}"  # noqa: S608
        copy_of(shop, folder / f"{name}.parquet", query)
    return folder


def assert_same_table(ours, reference):
    assert ours.index.tolist() == reference.index.tolist()
    assert (ours["recency"].to_numpy() == reference["recency"].to_numpy()).all()
    assert (ours["frequency"].to_numpy() == reference["frequency"].to_numpy()).all()
    np.testing.assert_allclose(ours["monetary"], reference["monetary"], rtol=1e-9)
