"""Files that the chapters are swept over: small ones, odd ones, and some that are to be refused."""

import json
import shutil
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
from PIL import Image

from helpers import export
from helpers.fixtures import (
    ATTACKS,
    CHANGED_SHOP,
    SHOPPERS,
    STEADY_SHOP,
    ecommerce_customers,
    flat_graphic,
    network_traffic,
    order_history,
    write_order_lines,
)
from helpers.measurement import write_measurements
from helpers.segmentation import CustomerSegmenter, rfm_window

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOKS = ROOT / "notebooks"
RETAIL = ROOT.parent / "shared/data/online_retail/online_retail.csv.gz"
NSL_KDD = ROOT.parent / "shared/data/nsl_kdd"
KODAK = ROOT.parent / "shared/data/kodak"

OWN_ORDERS = {"customer_id": "Client", "order_id": "Receipt", "order_date": "Day"}
OWN_AMOUNTS = {"quantity": "Pieces", "unit_price": "Price"}
OWN_FLOWS = {"bytes_sent": "out", "bytes_received": "in", "duration": "seconds"}


def write_files(folder):
    """
    Write every file that a level may name into a folder.

    Parameters
    ----------
    folder : Path
    """
    folder.mkdir(parents=True, exist_ok=True)
    _write_shops(folder)
    _write_histories(folder)
    _write_traffic(folder)
    _write_real_traffic(folder)
    _write_pictures(folder)
    _write_order_lines(folder)
    _write_settings(folder)


def _customers(n_customers, seed=7, **options):
    return ecommerce_customers(n_customers, random_state=seed, **options)[0]


def _without_faults(orders):
    return orders[(orders["revenue"] > 0) & orders["customer_id"].notna()]


def _write_shops(folder):
    """Orders of one shop over one period."""
    small = _customers(120)
    clean = _without_faults(small).copy()
    newcomers = SHOPPERS.loc[["New Customers"]].assign(share=1.0)
    day = "last_purchase_date"
    long_ago = clean["customer_id"].str[-1].astype(int) % 2 == 0
    decade = clean[day].where(~long_ago, clean[day].str.replace("2024", "2012"))
    totals = clean.groupby("customer_id")["revenue"].transform("sum")
    tied = pd.MultiIndex.from_product([range(1, 5), range(1, 4), range(1, 6)]).to_frame(index=False)
    tied = tied.loc[tied.index.repeat(tied[1])]
    shops = {
        "small": small,
        "ten": _customers(10, 2),
        "nine": _customers(9, 2),
        "thirty": _customers(30, 3),
        "once": _customers(150, 5, shoppers=newcomers),
        "one_day": clean.assign(last_purchase_date="2024-12-31"),
        "equal_sums": clean.assign(revenue=100 * clean["revenue"] / totals),
        "equal_amounts": clean.assign(revenue=10.0),
        "large_amounts": small.assign(revenue=small["revenue"] * 1e6),
        "decade": clean.assign(last_purchase_date=decade),
        "ties": pd.DataFrame(
            {
                "customer_id": [f"C{a}{b}{c}" for a, b, c in tied.to_numpy()],
                "order_id": range(len(tied)),
                day: [f"2024-{3 * a:02d}-01" for a in tied[0]],
                "revenue": 10.0,
            }
        ),
        "one_customer": small.assign(customer_id="C1"),
        "no_sales": small.assign(revenue=-1.0),
        "words": small.astype({"revenue": object}).replace(
            {"revenue": {clean["revenue"].iloc[0]: "free"}}
        ),
        "no_revenue": small.drop(columns="revenue"),
    }
    for name, orders in shops.items():
        orders.to_csv(folder / f"{name}.csv", index=False)
    own = clean.rename(columns={day: "order_date"}).rename(columns=OWN_ORDERS)
    own = own.assign(Pieces=1, Price=own.pop("revenue"))
    own.to_csv(folder / "own.csv.gz", index=False)
    (folder / "empty.csv").write_text("")


def _write_histories(folder):
    """Orders of shops over fifteen months, and a model of one."""
    fewer = STEADY_SHOP.assign(customers=STEADY_SHOP["customers"] // 3)
    steady, _ = order_history(fewer)
    changed, _ = order_history(fewer, CHANGED_SHOP.assign(customers=CHANGED_SHOP["customers"] // 3))
    clean = _without_faults(steady)
    histories = {
        "steady": steady,
        "changing": changed,
        "spring": steady[steady["order_date"] < "2024-06-15"],
        "begin": steady[steady["order_date"] < "2024-02-15"],
        "equal_baskets": clean.assign(revenue=20.0),
        "handful": steady[steady["customer_id"].isin(clean["customer_id"].unique()[:60])],
    }
    for name, orders in histories.items():
        orders.to_csv(folder / f"{name}.csv", index=False)
    changed.rename(columns=OWN_ORDERS).to_csv(folder / "own_history.csv.gz", index=False)

    lines = clean.assign(order_date=pd.to_datetime(clean["order_date"]))
    table = rfm_window(lines, "2023-12-31", 90)
    model = CustomerSegmenter(3).fit(table)
    record = export.run_record(inputs={}, parameters={}, metrics={}, decisions={})
    card = export.model_card(model, record, purpose="To be checked.", limits=["None is known."])
    export.write_model(model, folder / "segmenter.skops", card)
    (folder / "words.skops").write_text("no model")


def _write_traffic(folder):
    """Flows of networks."""
    week = network_traffic(600, random_state=7, attacks=ATTACKS[ATTACKS["label"] != "flood"])
    complete = week.dropna(subset=["duration"])
    few = complete[["bytes_sent", "bytes_received", "duration"]]
    rng = np.random.default_rng(7)
    patchy = week.assign(duration=week["duration"].where(rng.random(len(week)) < 0.6))
    some = {
        "week": week,
        "quiet": network_traffic(500, random_state=1, attacks=ATTACKS[:0]),
        "twenty": complete.head(20),
        "nineteen": complete.head(19),
        "three_columns": few,
        "flow_ties": pd.concat([few.head(12)] * 25, ignore_index=True),
        "nine_kinds": pd.concat([few.head(9)] * 25, ignore_index=True),
        "two_heaps": pd.concat([few.iloc[[0]]] * 150 + [few.iloc[[1]]] * 150 + [few.head(15)]),
        "equal_durations": complete.assign(duration=1.5),
        "equal_bytes": complete.assign(
            bytes_sent=700, bytes_received=1_400, packets_sent=1, packets_received=2
        ),
        "one_day": complete[complete["timestamp"].str[:10] == complete["timestamp"].str[:10].min()],
        "all_attacks": complete.assign(label="scan"),
        "patchy": patchy,
        "silent": complete.assign(bytes_received=0),
        "negative": complete.assign(bytes_sent=-complete["bytes_sent"]),
        "no_duration": complete.drop(columns="duration"),
        "quiet_weeks": network_traffic(1_500, random_state=3, attacks=ATTACKS[:0]),
        "hundred_flows": network_traffic(100, attacks=ATTACKS[:0]),
    }
    for name, flows in some.items():
        flows.to_csv(folder / f"{name}.flows.csv", index=False)
    complete.rename(columns=OWN_FLOWS).to_csv(folder / "own.flows.csv.gz", index=False)


def _write_real_traffic(folder):
    """Flows of NSL-KDD, one in a hundred an attack; nothing where these data are not."""
    if not NSL_KDD.exists():
        return
    names = (NSL_KDD / "columns.txt").read_text().strip().split(",")
    table = pd.read_csv(NSL_KDD / "KDDTrain+_20Percent.txt.gz", header=None, names=names)
    normal, attacks = table[table["label"] == "normal"], table[table["label"] != "normal"]
    some = pd.concat([normal, attacks.sample(len(normal) // 99, random_state=0)])
    some.sample(frac=1, random_state=0).to_csv(folder / "nsl_kdd.csv", index=False)


def _write_pictures(folder):
    """Pictures of every kind, and what is none."""
    rng = np.random.default_rng(0)
    graphic = Image.fromarray(flat_graphic())
    small = graphic.resize((90, 60), Image.Resampling.NEAREST)
    transparent = np.zeros((60, 90, 4), np.uint8)
    transparent[10:50, 20:70] = [200, 30, 30, 255]
    transparent[20:40, 30:60] = [30, 30, 200, 128]
    blocks = np.repeat(np.arange(8, dtype=np.uint8) * 30, 60)
    photograph = _photograph()
    photograph.save(folder / "photograph.jpg", quality=92)
    photograph.convert("CMYK").save(folder / "cmyk.jpg", quality=92)
    small.save(folder / "graphic.png")
    small.convert("P").save(folder / "palette.gif")
    arrays = {
        "pixel": np.full((1, 1, 3), 7, np.uint8),
        "row": rng.integers(0, 256, (1, 50, 3), dtype=np.uint8),
        "column": rng.integers(0, 256, (300, 2, 3), dtype=np.uint8),
        "black": np.zeros((30, 40, 3), np.uint8),
        "eight": np.repeat(blocks.reshape(20, 24, 1), 3, axis=2),
        "noise": rng.integers(0, 256, (50, 70), dtype=np.uint8),
        "transparent": transparent,
        "invisible": np.zeros((20, 20, 4), np.uint8),
    }
    for name, array in arrays.items():
        Image.fromarray(array).save(folder / f"{name}.png")
    (folder / "text.jpg").write_text("dear reader, this is text")
    (folder / "empty.jpg").write_text("")
    whole = (folder / "photograph.jpg").read_bytes()
    (folder / "cut.jpg").write_bytes(whole[: len(whole) // 2])


def _write_order_lines(folder):
    """Order lines in Parquet."""
    amounts = {
        "lines": "(5 + i % 90)::DECIMAL(9, 2)",
        "equal_lines": "10.0",
        "large_lines": "(5 + i % 90) * 1e9",
    }
    for name, amount in amounts.items():
        _parquet(folder / f"{name}.parquet", 900, 6_000, amount)
    _parquet(folder / "five_hundred.parquet", 500, 3_000, "5.0 + i % 90")
    _parquet(folder / "fewer.parquet", 499, 3_000, "5.0 + i % 90")
    _parquet(folder / "lines_once.parquet", 800, 800, "5.0 + i % 90")
    _parquet(folder / "lines_one_day.parquet", 700, 4_000, "5.0 + i % 90", days=1)
    _parquet(folder / "lines_ties.parquet", 600, 600, "10.0 * (1 + i % 3)", days=4)
    write_order_lines(folder / "many_files", 2_500, random_state=3)
    (folder / "no_files").mkdir(exist_ok=True)
    whole = (folder / "lines.parquet").read_bytes()
    (folder / "damaged.parquet").write_bytes(whole[:4] + b"\xff" * 900 + whole[904:])


def _parquet(path, n_customers, n_lines, amount, days=330):
    duckdb.sql(
        f"SELECT 'K' || (i % {n_customers})::TEXT AS client, i // 2 AS receipt, "  # noqa: S608
        "1 + i % 3 AS pieces, TIMESTAMP '2024-01-01 23:59:00' + "
        f"to_days(((i * 7919) % {days})::INTEGER) AS moment, {amount} AS price "
        f"FROM range({n_lines}) AS t(i)"
    ).write_parquet(str(path))


def _photograph():
    """Return a soft picture with thousands of colours."""
    y, x = np.mgrid[0:80, 0:120]
    waves = [np.sin(x / a) + np.cos(y / b) for a, b in ((9, 17), (23, 7), (31, 41))]
    array = np.dstack([127 + 60 * wave for wave in waves])
    noise = np.random.default_rng(1).normal(0, 4, array.shape)
    return Image.fromarray(np.clip(array + noise, 0, 255).astype(np.uint8))


def _write_settings(folder):
    """Playbooks, measurements and simulations."""
    customers = (NOTEBOOKS / "customer_playbook.yml").read_text()
    (folder / "plays.yml").write_text(customers.replace("Win the second order", "Say hello"))
    network = (NOTEBOOKS / "network_playbook.yml").read_text()
    (folder / "patterns.yml").write_text(network.replace("A large copy", "A copy"))
    (folder / "no_plays.yml").write_text("Champions: [")
    for source, name in ((customers, "few_plays.yml"), (network, "few_patterns.yml")):
        parts = source.split("\n\n")
        (folder / name).write_text("\n\n".join([*parts[:2], parts[2]]))
    row = {"customers": 4, "inertia": 0.2, "segments": ["a"], "repeats": 1}
    for name, sizes in (("one_size.json", [100]), ("sizes.json", [10**6, 10**7, 10**8])):
        measured = {
            "made": "2026-01-31",
            "machine": {"processor": "abacus", "cores": 1, "memory_gb": 1, "system": "wood"},
            "versions": {"python": "3"},
            "runs": [
                {"way": way, "lines": lines, "seconds": lines / 1e6, "peak_mb": 300, **row}
                for way in ("pandas", "DuckDB, cells")
                for lines in sizes
            ],
            "skipped": {"Spark, cells": "There is no Java."},
        }
        write_measurements(folder / name, measured)
    shutil.copy(ROOT / "data/drift_simulations.json", folder / "simulations.json")
    (folder / "list.json").write_text("[]")
    (folder / "words.json").write_text(json.dumps("words")[:-1])
