"""Seeded data sets with a known truth, for the notebooks and the tests.

Run ``python -m helpers.fixtures`` to write the files of ``data/`` again; the bytes are the same
every time.
"""

from pathlib import Path

import numpy as np
import pandas as pd

from helpers.files import write_text

LAST_DAY = pd.Timestamp("2024-12-31")

# Per segment: share of the customers; median days since the last order; mean number of orders;
# days between the first order and the last; median spend on an order.
SHOPPERS = pd.DataFrame(
    {
        "Champions": (0.10, 5, 20, 300, 100.0),
        "Loyal Customers": (0.18, 25, 6, 240, 60.0),
        "At Risk": (0.20, 190, 6, 130, 80.0),
        "New Customers": (0.24, 20, 1, 0, 40.0),
        "Lost Customers": (0.28, 240, 1, 0, 35.0),
    },
    index=["share", "recency", "orders", "active_days", "basket"],
).T

ONE_CROWD = pd.DataFrame(
    {"Everybody": (1.0, 60, 4, 150, 60.0)},
    index=SHOPPERS.columns,
).T


def ecommerce_customers(n_customers=2000, random_state=2024, shoppers=SHOPPERS, spread=1.0):
    """
    Order lines of a year of a shop whose customers come in known segments.

    Parameters
    ----------
    n_customers : int, default=2000
        Customers, of all segments together.
    random_state : int, default=2024
        Seed; the same seed gives the same rows.
    shoppers : DataFrame, default=SHOPPERS
        One row a segment: "share", "recency" (days), "orders", "active_days", "basket" (money).
    spread : float, default=1.0
        How much the customers of one segment differ: 1.0 leaves the five segments apart, as
        the truth of the tests; 3.0 makes of ``ONE_CROWD`` a shop without any segments.

    Returns
    -------
    orders : DataFrame
        One row an order line: "customer_id" (text, a few missing), "order_id",
        "last_purchase_date" (text, YYYY-MM-DD), "revenue". Returns have negative revenue and an
        order_id that begins with "R"; a few lines are free, a few stand twice.
    truth : Series of shape (n_customers,)
        Segment of each customer, indexed by customer_id.
    """
    rng = np.random.default_rng(random_state)
    customers = _customers(n_customers, rng, shoppers, spread)
    lines = _order_lines(customers, rng)
    lines = _add_everyday_faults(lines, rng)
    truth = customers.set_index("customer_id")["segment"].sort_index()
    return lines, truth


def _customers(n_customers, rng, shoppers, spread):
    """One row a customer: segment, recency, orders, active days, basket."""
    segment = rng.choice(shoppers.index, size=n_customers, p=shoppers["share"])
    typical = shoppers.loc[segment].reset_index(drop=True)

    def vary(column, sigma):
        return typical[column] * np.exp(rng.normal(0, sigma * spread, n_customers))

    repeat = typical["orders"] > 1
    orders = np.where(repeat, np.maximum(2, rng.poisson(vary("orders", 0.18))), 1)
    # A few buyers for resale spend many times what others do: the heavy tail of real shops.
    resale = np.where(repeat & (rng.random(n_customers) < 0.03), 8.0, 1.0)
    recency = np.rint(vary("recency", 0.30)).clip(1)
    # Folded back at the end of the year, so that no crowd gathers on its first day.
    recency = np.where(recency > 365, 365 - (recency - 365) % 180, recency)
    return pd.DataFrame(
        {
            "customer_id": [f"C{number:05d}" for number in rng.permutation(n_customers) + 1],
            "segment": segment,
            "recency": recency.astype(int),
            "orders": orders,
            "active_days": np.clip(vary("active_days", 0.15), 0, None),
            "basket": vary("basket", 0.35) * resale,
        }
    )


def _order_lines(customers, rng):
    """One row an order line, in the order of time."""
    orders = customers.loc[customers.index.repeat(customers["orders"])].reset_index()
    is_last = ~orders.duplicated("customer_id", keep="last")
    days_before_last = np.where(is_last, 0, rng.random(len(orders)) * orders["active_days"])
    days_ago = np.clip(orders["recency"] + np.rint(days_before_last), 1, 366).astype(int)
    orders["last_purchase_date"] = LAST_DAY + pd.Timedelta(days=1) - pd.to_timedelta(days_ago, "D")
    orders = orders.sort_values("last_purchase_date", kind="stable", ignore_index=True)
    orders["order_id"] = [f"{number:06d}" for number in range(100001, 100001 + len(orders))]

    articles = 1 + rng.poisson(1.6, len(orders))
    lines = orders.loc[orders.index.repeat(articles)].reset_index(drop=True)
    n_lines = lines.groupby("order_id")["order_id"].transform("size")
    lines["revenue"] = lines["basket"] / n_lines * np.exp(rng.normal(0, 0.25, len(lines)))
    lines["revenue"] = lines["revenue"].clip(lower=0.5).round(2)
    return lines[["customer_id", "order_id", "last_purchase_date", "revenue"]]


def _add_everyday_faults(lines, rng):
    """Add returns, free lines, lines without a customer, and lines that stand twice."""
    returned = lines.sample(frac=0.015, random_state=rng)
    returned = returned.assign(
        order_id="R" + returned["order_id"].str[1:], revenue=-returned["revenue"]
    )
    late = returned["last_purchase_date"] + pd.to_timedelta(rng.integers(1, 20, len(returned)), "D")
    returned["last_purchase_date"] = late.clip(upper=LAST_DAY)

    anonymous = lines.sample(frac=0.01, random_state=rng).assign(customer_id=None)
    anonymous["order_id"] = "9" + anonymous["order_id"].str[1:]
    free = lines.sample(frac=0.003, random_state=rng).assign(revenue=0.0)
    twice = lines.sample(frac=0.005, random_state=rng)

    everything = pd.concat([lines, returned, anonymous, free, twice])
    everything = everything.sort_values(["last_purchase_date", "order_id"], kind="stable")
    dates = everything["last_purchase_date"].dt.strftime("%Y-%m-%d")
    return everything.assign(last_purchase_date=dates).reset_index(drop=True)


def write_fixtures(directory="data"):
    """
    Write every fixture file below ``directory``; return the paths.

    Parameters
    ----------
    directory : str or Path, default="data"
        An existing directory.

    Returns
    -------
    list of Path
    """
    directory = Path(directory)
    orders, truth = ecommerce_customers()
    tables = {
        "ecommerce_customers.csv": orders,
        "ecommerce_customers_truth.csv": truth.reset_index(),
    }
    return [
        write_text(directory / name, table.to_csv(index=False, lineterminator="\n"))
        for name, table in tables.items()
    ]


if __name__ == "__main__":
    write_fixtures()
