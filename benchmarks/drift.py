"""Simulate how often a check for drift gives a false alarm, and how soon it finds a change.

First the index alone, then whole years of a shop where nothing changes, or one thing does; at last
the time and memory of a check of a million customers beside fitting them again. What is found
replaces the file that the course shows. 200 years of each kind take some ten minutes on two
cores; ``--years 20`` gives a first impression.
"""

import argparse
import datetime
import importlib.metadata
import json
import os
import platform
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from statistics import median

import numpy as np
import pandas as pd
from joblib import Parallel, delayed
from threadpoolctl import threadpool_limits

from helpers.drift import DriftMonitor, psi, psi_threshold, quantile_edges
from helpers.files import write_text
from helpers.fixtures import CHANGED_SHOP, STEADY_SHOP, order_history
from helpers.measurement import MB, own_peak
from helpers.segmentation import CustomerSegmenter, rfm_window

RECORD = Path(__file__).parents[1] / "data" / "drift_simulations.json"
PACKAGES = ("numpy", "pandas", "scikit-learn", "scipy")

ALPHA = 0.05
FIXED_LIMIT = 0.1  # what the index is customarily held against, whatever the number of rows
INDICES = ((100, 10), (200, 5), (200, 10), (500, 10), (1000, 20), (5000, 10))
FEATURES = {
    "money, lognormal": lambda rng, n: rng.lognormal(4, 1, n),
    "orders, mostly 1": lambda rng, n: 1 + rng.poisson(0.5, n),
}

MONTH_ENDS = pd.date_range("2024-01-31", periods=12, freq="ME")
JULY, AUGUST = 6, 7
SMALL = STEADY_SHOP.assign(customers=(STEADY_SHOP["customers"] / 4).round())
# Shop -> its kinds of customers, and those from July on.
STEADY = {"large": (STEADY_SHOP, None), "small": (SMALL, None)}
CHANGES = {
    "resellers come": (STEADY_SHOP, CHANGED_SHOP),
    "prices +50 %": (STEADY_SHOP, STEADY_SHOP.assign(basket=1.5 * STEADY_SHOP["basket"])),
    "prices +10 %": (STEADY_SHOP, STEADY_SHOP.assign(basket=1.1 * STEADY_SHOP["basket"])),
}


def false_alarms(draws):
    """Rates of alarms of the index where both samples are of one population."""
    rows = []
    for (n, bins), (feature, draw) in [
        (size, each) for size in INDICES for each in FEATURES.items()
    ]:
        rng = np.random.default_rng([n, bins])
        calibrated = fixed = 0
        for _ in range(draws):
            reference, current = draw(rng, n), draw(rng, n)
            edges = quantile_edges(reference, bins, least=5)
            value = psi(reference, current, edges)
            calibrated += value > psi_threshold(n, n, len(edges) + 1, ALPHA)
            fixed += psi(reference, current, bins) > FIXED_LIMIT
        row = {"feature": feature, "rows": n, "bins": bins, "draws": draws}
        rows.append(row | {"calibrated": calibrated / draws, "above 0.1": fixed / draws})
        print(
            f"  {feature:17} {n:5,} rows, {bins:2} bins: {calibrated / draws:6.1%} calibrated "
            f"(wanted: {ALPHA:.0%}), {fixed / draws:6.1%} above {FIXED_LIMIT}",
            flush=True,
        )
    return rows


class TestsOnly(DriftMonitor):
    """The tests of a check without the refits beside them, which take most of the time."""

    def _refit_beside(self, current, codes, spread):
        return None, None

    def _moved_by_chance(self, n_rows):
        return None


def decisions(kinds, changed, segments, seed):
    """Customers of the reference, and the decision of each month, for each number of segments."""
    lines = order_history(kinds, changed, random_state=seed)[0]
    lines["order_date"] = pd.to_datetime(lines["order_date"])
    reference = rfm_window(lines, "2023-12-31", 90)
    quarters = [rfm_window(lines, day, 90) for day in MONTH_ENDS]
    with threadpool_limits(1):
        found = {}
        for number in segments:
            model = CustomerSegmenter(number).fit(reference)
            monitors = TestsOnly(model, reference), DriftMonitor(model, reference)
            found[number] = [_decision(*monitors, quarter) for quarter in quarters]
    return len(reference), found


def _decision(tests, monitor, quarter):
    """Return what the monitor decides; it is asked only where the tests leave it open."""
    counts = tests.check(quarter).evidence["counts"]
    if not counts.any():
        return "keep"
    return "refit" if counts["rows outside the radius"] else monitor.check(quarter).decision


def years(name, kinds, changed, segments, n_years):
    """Decisions as a table, for each number of segments: one row a year, one column a month."""
    work = (delayed(decisions)(kinds, changed, segments, seed) for seed in range(n_years))
    # Work goes out in small parts, because a year with a change takes longer.
    found = Parallel(n_jobs=2, batch_size=4)(work)
    customers = round(np.mean([n for n, _ in found]))
    for number in segments:
        row = {"shop": name, "customers": customers, "segments": number, "years": n_years}
        yield row, pd.DataFrame([by_segments[number] for _, by_segments in found])


def share(table, first, last, decision=None):
    """Share of the years with this decision, or any but "keep", in some of these months."""
    months = table.loc[:, first:last]
    return float((months.eq(decision) if decision else months.ne("keep")).any(axis=1).mean())


def steady_years(n_years):
    """How many years without any change have alarms."""
    rows = []
    for name, (kinds, changed) in STEADY.items():
        for row, table in years(name, kinds, changed, (4, 6), n_years):
            row |= {"alarm": share(table, 0, 11), "refit": share(table, 0, 11, "refit")}
            rows.append(row)
            print(
                f"  {name} shop of {row['customers']} customers, {row['segments']} segments: of "
                f"{n_years} years {row['alarm']:.2%} with an alarm (wanted: at most {ALPHA:.0%}), "
                f"{row['refit']:.2%} to refit",
                flush=True,
            )
    return rows


def changed_years(n_years):
    """How soon a change on the first day of July is found."""
    rows = []
    for name, (kinds, changed) in CHANGES.items():
        # Months between yes and no take long, and how soon a price is found is no rare event.
        n = n_years if name == "resellers come" else -(-n_years // 8)
        for row, table in years(name, kinds, changed, (4,), n):
            row["alarm before"] = share(table, 0, JULY - 1)
            for month, last in {"July": JULY, "August": AUGUST, "December": 11}.items():
                row[f"found by {month}"] = share(table, JULY, last)
                row[f"refit by {month}"] = share(table, JULY, last, "refit")
            rows.append(row)
            shares = ", ".join(f"{key} {row[key]:.1%}" for key in [*row][4:])
            print(f"  {name}: {shares}; {n} years", flush=True)
    return rows


def customers(n, seed):
    """RFM of so many customers of the kinds of ``STEADY_SHOP``."""
    rng = np.random.default_rng(seed)
    kind = rng.integers(len(STEADY_SHOP), size=n)
    gap, basket = (STEADY_SHOP[column].to_numpy()[kind] for column in ("gap", "basket"))
    orders = 1 + rng.poisson(90 / gap)
    return pd.DataFrame(
        {
            "recency": 1 + rng.integers(90, size=n) // orders,
            "frequency": orders,
            "monetary": np.round(orders * basket * np.exp(rng.normal(0, 0.4, n)), 2),
        },
        index=pd.Index(rng.permutation(2 * n)[:n], name="customer_id"),
    )


def fit(n):
    """Fit customers, as every refit would; return the model and the seconds."""
    reference = customers(n, 0)
    start = time.perf_counter()
    model = CustomerSegmenter(4).fit(reference)
    return model, time.perf_counter() - start


def check(n, model):
    """Check customers against as many others; return seconds, and the peak of this process."""
    reference, current = customers(n, 0), customers(n, 1)
    start = time.perf_counter()
    monitor = DriftMonitor(model, reference)
    made = time.perf_counter()
    decision = monitor.check(current).decision
    checked = time.perf_counter()
    return {
        "monitor_seconds": made - start,
        "check_seconds": checked - made,
        "peak_mb": round(own_peak() / MB),
        "decision": decision,
    }


def in_process(function, *arguments):
    """Call a function in a process of its own, which holds nothing else in memory."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as executor:
        return executor.submit(function, *arguments).result()


def costs(n, repeats=3):
    """Time a check beside the fit that it saves, in turns, and its memory."""
    runs = []
    for _ in range(repeats):
        model, fit_seconds = in_process(fit, n)
        runs.append({"fit_seconds": fit_seconds} | in_process(check, n, model))
    row = {"customers": n, "repeats": repeats, "decision": runs[0]["decision"]}
    for key in ("fit_seconds", "monitor_seconds", "check_seconds"):
        row[key] = round(median(run[key] for run in runs), 2)
    row["peak_mb"] = max(run["peak_mb"] for run in runs)
    row["ratio"] = round(row["fit_seconds"] / (row["monitor_seconds"] + row["check_seconds"]), 1)
    print(
        f"  {n:,} customers: fit {row['fit_seconds']} s; monitor {row['monitor_seconds']} s and "
        f"check {row['check_seconds']} s, {row['ratio']} times as fast (wanted: above 1) and in "
        f"{row['peak_mb']:,} MB (wanted: below 1,000)",
        flush=True,
    )
    return row


def main():
    """Simulate as much as the command line asks for, and record it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--draws", type=int, default=4_000, help="pairs of samples of the index")
    parser.add_argument("--years", type=int, default=200, help="of each kind")
    parser.add_argument("--customers", type=int, default=1_000_000, help="of the timed check")
    parser.add_argument("--record", action=argparse.BooleanOptionalAction, default=True)
    asked = parser.parse_args()
    parts = {
        "index": ("The index where nothing differs", false_alarms, asked.draws),
        "steady": ("Years where nothing changes", steady_years, asked.years),
        "changes": ("Years with a change in July", changed_years, asked.years),
        "costs": ("A check beside a fit", costs, asked.customers),
    }
    found = {}
    for key, (title, simulate, size) in parts.items():
        print(title)
        start = time.perf_counter()
        found[key] = simulate(size)
        print(f"  in {time.perf_counter() - start:.0f} s")
    if asked.record:
        record = {
            "alpha": ALPHA,
            "made": datetime.datetime.now(datetime.UTC).date().isoformat(),
            "machine": {"processor": platform.machine(), "cores": os.cpu_count()},
            "versions": {
                "python": platform.python_version(),
                **{name: importlib.metadata.version(name) for name in PACKAGES},
            },
            **found,
        }
        write_text(RECORD, json.dumps(record, indent=1, ensure_ascii=False) + "\n")
        print(f"{RECORD.name}: {record['made']}")


if __name__ == "__main__":
    main()
