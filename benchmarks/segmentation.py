"""Time the segmentation helpers side by side with the code a reader would write first.

Both sides of a comparison run in this process, one after the other, on the same data; only the
ratios mean anything on another machine.
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.cluster import KMeans
from sklearn.metrics import davies_bouldin_score, silhouette_score
from sklearn.preprocessing import StandardScaler

from helpers.fixtures import ecommerce_customers
from helpers.inputs import read_orders
from helpers.segmentation import rfm_table
from helpers.selection import choose_k, sweep_k

K_RANGE = range(2, 11)


def seconds(function, repeats):
    """Return the median time of some calls, and the last result."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        result = function()
        times.append(time.perf_counter() - start)
    return statistics.median(times), result


def report(what, ours, plain, wanted=None):
    """Print one comparison."""
    goal = f" (wanted: {wanted})" if wanted else ""
    print(f"  {what}: {ours:.3f} s against {plain:.3f} s, ratio {plain / ours:.1f}{goal}")


def rfm_with_lambda(orders):
    """RFM as in the source tutorial, with a Python function called once a customer."""
    last = orders["last_purchase_date"].max() + pd.Timedelta(days=1)
    return orders.groupby("customer_id").agg(
        {
            "last_purchase_date": lambda dates: (last - dates.max()).days,
            "order_id": "count",
            "revenue": "sum",
        }
    )


def sweep_with_full_silhouette(X):
    """Sweep as in the source tutorial: ten restarts on all rows, every pair of distances."""
    rows = {}
    for k in K_RANGE:
        model = KMeans(n_clusters=k, random_state=42, n_init=10)
        labels = model.fit_predict(X)
        rows[k] = {
            "silhouette": silhouette_score(X, labels),
            "davies_bouldin": davies_bouldin_score(X, labels),
            "inertia": model.inertia_,
        }
    return pd.DataFrame.from_dict(rows, orient="index")


def benchmark_rfm(n_customers):
    """Print the times of both RFM tables, from the file and from the frame."""
    orders, _ = ecommerce_customers(n_customers)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "orders.csv")
        orders.to_csv(path, index=False)
        read_ours, ours = seconds(lambda: read_orders(path), 1)
        read_plain, plain = seconds(
            lambda: pd.read_csv(path, parse_dates=["last_purchase_date"]), 1
        )
    time_ours, table = seconds(lambda: rfm_table(ours), 5)
    time_plain, _ = seconds(lambda: rfm_with_lambda(plain), 1)
    print(f"RFM of {len(orders):,} order lines, {len(table):,} customers")
    report("from the frame", time_ours, time_plain, wanted=20)
    report("reading the file, every cell checked", read_ours, read_plain)


def benchmark_sweep(n_customers):
    """Print the times of both sweeps over K, and what each of them recommends."""
    orders, _ = ecommerce_customers(n_customers)
    orders = orders.rename(columns={"last_purchase_date": "order_date"})
    rfm = rfm_table(orders.assign(order_date=pd.to_datetime(orders["order_date"])))
    X = StandardScaler().fit_transform(np.log1p(rfm))
    time_ours, ours = seconds(lambda: sweep_k(X, K_RANGE, random_state=42), 3)
    time_plain, plain = seconds(lambda: sweep_with_full_silhouette(X), 1)
    print(f"Sweep over K = {K_RANGE[0]} to {K_RANGE[-1]} on {len(rfm):,} customers")
    report("sweep_k, with bootstrap stability", time_ours, time_plain, wanted=50)
    difference = (ours["silhouette"] - plain["silhouette"]).abs()
    print(f"  largest difference of a silhouette: {difference.max():.4f}")
    print(f"  recommended K: {choose_k(ours).n_clusters} and {plain['silhouette'].idxmax()}")


def main():
    """Run both comparisons at the sizes given on the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rfm-customers", type=int, default=100_000)
    parser.add_argument("--sweep-customers", type=int, default=50_000)
    sizes = parser.parse_args()
    benchmark_rfm(sizes.rfm_customers)
    benchmark_sweep(sizes.sweep_customers)


if __name__ == "__main__":
    main()
