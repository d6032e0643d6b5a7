"""Time ways from order lines to named clusters side by side, and renew what the chapters show.

Every run is a process of its own; a row is the median of three, or of as many as start within two
minutes. The file of the chapters is replaced at the end, whole: it holds what this run measured, on
this machine, today. By default that is up to 10 million order lines; ``--full`` adds 25 and 50
million, which with Spark takes some half an hour.
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

from helpers.measurement import measure, write_measurements

RECORD = Path(__file__).parents[1] / "data" / "scale_measurements.json"
MILLION = 1_000_000
LINES = (1.0, 2.5, 5.0, 10.0)
LARGE = (25.0, 50.0)
OURS, BEST = "DuckDB, cells", "DuckDB, everybody"
SPARK = ("Spark, pipeline", "Spark, cells")


def show(row):
    """Print one row as soon as it is there."""
    start = f", and {row['start_seconds']:.1f} s to start" if "start_seconds" in row else ""
    print(
        f"  {row['lines']:>11,} lines  {row['way']:21} {row['seconds']:8.2f} s  "
        f"{row['peak_mb']:6,} MB  inertia {row['inertia']:.4f}{start}",
        flush=True,
    )


def compare(table):
    """Print the ratios of each size to what they are wanted to be."""
    for lines, rows in table.groupby("lines"):
        rows = rows.set_index("way")
        if OURS not in rows.index:
            continue
        ours = rows.loc[OURS]
        print(f"{lines:,} lines: {ours['seconds']:.2f} s, {ours['peak_mb']:,} MB by {OURS}")
        for way, row in rows.drop(OURS).iterrows():
            ratio, more = row["seconds"] / ours["seconds"], row["inertia"] / ours["inertia"] - 1
            wanted = " (wanted: at least 5, inertia no better)" if way in SPARK else ""
            print(f"  {way:21} {ratio:6.1f} times the time, inertia {more:+.3%}{wanted}")
        if BEST in rows.index:
            more = ours["inertia"] / rows.loc[BEST, "inertia"] - 1
            print(f"  our inertia beside everybody's: {more:+.3%} (wanted: within 1 %)")


def growth(table):
    """Print how the time of each way grows with the order lines."""
    print("Time grows as order lines to the power of (wanted of ours: 1 at most)")
    for way, rows in table.groupby("way", sort=False):
        if len(rows) > 1:
            exponent = np.polyfit(np.log(rows["lines"]), np.log(rows["seconds"]), 1)[0]
            sizes = f"{rows['lines'].min():,} to {rows['lines'].max():,} lines"
            print(f"  {way:21} {exponent:.2f}, from {sizes}")
    largest = table[table["way"] == OURS].nlargest(1, "lines").iloc[0]
    print(
        f"{OURS}, {largest['lines']:,} lines of {largest['customers']:,} customers: "
        f"{largest['seconds']:.1f} s, {largest['peak_mb']:,} MB "
        "(wanted at 50 million: well below 120 s, below 2,000 MB)"
    )


def main():
    """Measure at the sizes given on the command line, compare, and record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lines", type=float, nargs="+", default=LINES, help="in millions")
    parser.add_argument("--full", action="store_true", help="25 and 50 million as well")
    parser.add_argument("--record", action=argparse.BooleanOptionalAction, default=True)
    asked = parser.parse_args()
    sizes = {round(lines * MILLION) for lines in (*asked.lines, *(LARGE if asked.full else ()))}
    print("From a folder of Parquet files to five named clusters")
    with tempfile.TemporaryDirectory() as folder:
        measured = measure(sizes, folder, enough_seconds=120, progress=show)
    for way, reason in measured["skipped"].items():
        print(f"  {way}: {reason}")
    table = pd.DataFrame(measured["runs"])
    if OURS in set(table.get("way", [])):
        compare(table)
        growth(table)
    if asked.record:
        write_measurements(RECORD, measured)
        machine = ", ".join(f"{name} {value}" for name, value in measured["machine"].items())
        print(f"{RECORD.name}: {measured['made']}, {machine}, {len(table)} rows of the above sizes")


if __name__ == "__main__":
    main()
