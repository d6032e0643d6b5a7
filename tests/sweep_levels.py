"""
What the parameters of each chapter are swept over.

A level is a dict of parameters, mostly of one; a file and the names of its columns go together. A
``File`` is one that ``sweep_data`` writes, or a path in the project's own folders.

``factors`` have the sensible levels, borders included. Every pair of levels of two factors meets in
some row. A row may be refused, because a small file does not bear everything, but each level has to
run in some row. The first level of each factor is what the others fall back on: quick, and sound.

``beyond`` has the levels that have to be refused. Each is alone in its row, where no other fault
hides it. ``alone`` has rows that take long, or need data that not everybody has; they have to run.
"""

from dataclasses import dataclass, field

from sweep_data import KODAK, OWN_AMOUNTS, OWN_FLOWS, OWN_ORDERS, RETAIL

TOP_SEED = 2**31 - 1


class File(str):
    """Name of a file that ``sweep_data.write_files`` writes."""


@dataclass(frozen=True)
class Sweep:
    """Levels of one chapter, as the module says."""

    factors: list[list[dict]]
    beyond: list[dict]
    alone: list[dict] = field(default_factory=list)
    # Parameters of which nothing can be refused, or nothing varied, and why.
    free: dict[str, str] = field(default_factory=dict)

    def first(self):
        """Parameters of the row that every other differs from."""
        return {name: value for levels in self.factors for name, value in levels[0].items()}


def each(parameter, *values):
    """Levels of one parameter."""
    return [{parameter: value} for value in values]


def files(parameter, *names):
    """Levels of one parameter that are files."""
    return [{parameter: File(name)} for name in names]


ANY_TEXT = "any text may stand in front of an amount"
SEEDS = each("random_state", 42, 0, TOP_SEED)
BAD_SEEDS = each("random_state", -1, TOP_SEED + 1, "seven")
COMMAND = each("output_dir", "elsewhere")
BY_COMMAND = {"output_dir": "course run sets it, as every row shows"}

SEGMENTATION = Sweep(
    factors=[
        [
            *files("orders", "small.csv", "ten.csv", "thirty.csv", "once.csv", "ties.csv"),
            *files("orders", "one_day.csv", "equal_sums.csv", "equal_amounts.csv"),
            *files("orders", "large_amounts.csv", "decade.csv"),
            {"orders": File("own.csv.gz"), "columns": OWN_ORDERS | OWN_AMOUNTS},
        ],
        each("n_segments", 0, 2, 3, 7, 10),
        each("snapshot", "", "2025-01-01", "2026-02-28"),
        each("currency", "$", "€", "", "<b>|*"),
        [{}, *files("playbook", "plays.yml")],
        SEEDS,
    ],
    beyond=[
        *files("orders", "nine.csv", "one_customer.csv", "no_sales.csv", "words.csv", "empty.csv"),
        *files("orders", "no_revenue.csv", "nowhere.csv", "no_files", "text.jpg"),
        *each("columns", {"customer_id": "Client"}, {"client": "customer_id"}, {"revenue": 3}, []),
        *each("n_segments", -1, 1, 11, "four", 2.5),
        *each("snapshot", "2024-11-30", "2999-01-01", "soon", "2025-02-30", "31.12.2024"),
        *files("playbook", "no_plays.yml", "few_plays.yml", "empty.csv", "nowhere.yml"),
        *BAD_SEEDS,
        *COMMAND,
    ],
    alone=[
        {},
        {"orders": RETAIL, "columns": {
            "customer_id": "CustomerID", "order_id": "InvoiceNo", "order_date": "InvoiceDate",
            "quantity": "Quantity", "unit_price": "UnitPrice"}, "currency": "£"},
    ],
    free={"currency": ANY_TEXT} | BY_COMMAND,
)  # fmt: skip

ANOMALIES = Sweep(
    factors=[
        [
            *files("flows", "week.flows.csv", "quiet.flows.csv", "twenty.flows.csv"),
            *files("flows", "three_columns.flows.csv", "flow_ties.flows.csv"),
            *files("flows", "two_heaps.flows.csv", "equal_durations.flows.csv"),
            *files("flows", "equal_bytes.flows.csv", "one_day.flows.csv", "all_attacks.flows.csv"),
            *files("flows", "patchy.flows.csv", "silent.flows.csv"),
            {"flows": File("own.flows.csv.gz"), "columns": OWN_FLOWS},
        ],
        each("eps", 0.0, 0.02, 0.5, 1e6),
        each("min_samples", 0, 2, 4, 40),
        each("small_cluster", 0.0, 1e-6, 0.1, 0.49),
        each("alerts_per_day", 5, 0, 1, 10_000),
        [{}, *files("playbook", "patterns.yml")],
        SEEDS,
    ],
    beyond=[
        *files("flows", "nineteen.flows.csv", "nine_kinds.flows.csv", "negative.flows.csv"),
        *files("flows", "no_duration.flows.csv", "empty.csv", "nowhere.csv", "no_files"),
        *each("columns", {"bytes_sent": "out"}, {"sent": "bytes_sent"}, {"duration": 3}, []),
        *each("eps", -0.1, 1e-9, "wide", "nan", "inf"),
        *each("min_samples", -1, 1, 601, "few", 2.5),
        *each("small_cluster", -0.01, 0.5, 1.0, "some"),
        *each("alerts_per_day", -1, "some", 2.5),
        *files("playbook", "no_plays.yml", "few_patterns.yml", "empty.csv", "nowhere.yml"),
        *BAD_SEEDS,
        *COMMAND,
    ],
    alone=[
        {},
        {
            "flows": File("nsl_kdd.csv"),
            "columns": {"bytes_sent": "src_bytes", "bytes_received": "dst_bytes"},
        },
    ],
    free=BY_COMMAND,
)

COMPRESSION = Sweep(
    factors=[
        [
            *files("image", "graphic.png", "photograph.jpg", "cmyk.jpg", "palette.gif"),
            *files("image", "pixel.png", "row.png", "column.png", "black.png"),
            *files("image", "eight.png", "noise.png", "transparent.png"),
            *files("image", "invisible.png"),
        ],
        each("n_colors", [8, 16, 32, 64], [1], [2, 256], [1, 2, 3, 4, 5, 6, 7, 8], [64, 8, 8]),
        each("dither", False, True),
        SEEDS,
    ],
    beyond=[
        *files("image", "text.jpg", "empty.jpg", "cut.jpg", "nowhere.png", "no_files"),
        *each("image", "chinna.jpg"),
        *each("n_colors", [], [0], [257], [-8], [2.5], ["8"], [True], list(range(1, 10))),
        *each("n_colors", 8, "many"),
        *each("dither", "perhaps", 2),
        {"image": File("transparent.png"), "dither": True},
        *BAD_SEEDS,
        *COMMAND,
    ],
    alone=[
        {},
        *each("image", "flower.jpg", "astronaut", "coffee", "chelsea", "rocket"),
        {"image": KODAK / "kodim23.png", "dither": True},
    ],
    free=BY_COMMAND,
)  # fmt: skip

OWN_LINES = {"customer_id": "client", "order_id": "receipt", "order_date": "moment",
             "quantity": "pieces", "unit_price": "price"}  # fmt: skip


def own_lines(name):
    """Level of a file of order lines with names of its own."""
    return {"orders": File(name), "columns": OWN_LINES}


BAD_LINES = [
    own_lines("fewer.parquet"),
    own_lines("damaged.parquet"),
    *files("orders", "lines.parquet", "no_files", "nowhere", "small.csv"),
    *each("orders", "generatd"),
    *each("columns", {"revenue": "amount"}, []),
    {"orders": File("lines.parquet"), "columns": OWN_LINES | {"customer_id": "klient"}},
]
BAD_SIZES = [
    *each("n_customers", 1_999, 5_000_001, 0, "many"),
    *each("n_clusters", -1, 1, 11, "four"),
]
BAD_DAYS = each("snapshot", "2024-06-30", "2999-01-01", "soon")
BAD_TIMES = files("measurements", "list.json", "words.json", "nowhere.json")

SCALE = Sweep(
    factors=[
        [
            *each("n_customers", 2_000, 3_001),
            *files("orders", "many_files"),
            *(own_lines(f"{name}.parquet") for name in (
                "lines", "five_hundred", "equal_lines", "large_lines", "lines_once",
                "lines_one_day", "lines_ties")),
        ],
        each("n_clusters", 0, 2, 5, 10),
        each("snapshot", "", "2025-01-01", "2026-02-28"),
        each("memory_limit", "1GB", "200MB", "1.5 GiB"),
        [{}, *files("measurements", "one_size.json", "sizes.json")],
        SEEDS,
    ],
    beyond=[
        *BAD_LINES,
        *BAD_SIZES,
        *BAD_DAYS,
        *each("memory_limit", "lots", "1MB", "0GB", "-1GB", ""),
        *BAD_TIMES,
        *each("measure", "perhaps", 2),
        *BAD_SEEDS,
        *COMMAND,
    ],
    alone=[{}, {"n_customers": 2_000, "n_clusters": 4, "measure": True}],
    free=BY_COMMAND,
)  # fmt: skip

SPARK = Sweep(
    factors=[
        [
            {"n_customers": 2_000},
            own_lines("lines_ties.parquet"),
            own_lines("lines_one_day.parquet"),
        ],
        each("n_clusters", 0, 2, 10),
        each("snapshot", "", "2025-01-01"),
        each("spark_master", "local[1]", "local[2]"),
        [{}, *files("measurements", "one_size.json")],
        each("random_state", 42, TOP_SEED),
    ],
    beyond=[
        *BAD_LINES,
        *BAD_SIZES,
        *BAD_DAYS,
        *each("spark_master", "lokal", "spark://127.0.0.1:9", ""),
        *BAD_TIMES,
        *BAD_SEEDS,
        *COMMAND,
    ],
    free=BY_COMMAND,
)

DRIFT = Sweep(
    factors=[
        [
            *files("orders", "steady.csv", "changing.csv", "spring.csv", "equal_baskets.csv"),
            {"orders": File("own_history.csv.gz"), "columns": OWN_ORDERS},
        ],
        [*each("control_orders", "drawn"), *files("control_orders", "steady.csv", "spring.csv")],
        each("window_days", 90, 14, 31, 120),
        each("reference_day", "", "2024-03-31", "2024-02-10"),
        [
            *each("n_segments", 4, 0, 2, 10),
            {"model": File("segmenter.skops")},
        ],
        [*each("flows", "none"), *files("flows", "quiet_weeks.flows.csv", "week.flows.csv")],
        each("false_alarms", 0.05, 0.001, 0.5),
        [{}, *files("simulations", "simulations.json")],
        each("currency", "$", "", "<b>|*"),
        SEEDS,
    ],
    beyond=[
        *files("orders", "begin.csv", "handful.csv", "words.csv", "empty.csv", "nowhere.csv"),
        *each("columns", {"customer_id": "Client"}, {"client": "customer_id"}, []),
        *files("control_orders", "begin.csv", "handful.csv", "empty.csv"),
        *each("control_orders", "drwn"),
        *each("window_days", 6, 3_661, 400, 0, "many"),
        *each("reference_day", "2023-10-31", "2024-12-31", "2999-12-31", "1999-12-31", "soon"),
        *each("n_segments", -1, 1, 11, "four"),
        *files("model", "words.skops", "nowhere.skops"),
        *files("flows", "hundred_flows.flows.csv", "negative.flows.csv", "nowhere.csv"),
        *each("false_alarms", 0.0, -0.1, 0.51, "nan", "few"),
        *files("simulations", "list.json", "words.json", "one_size.json", "nowhere.json"),
        *BAD_SEEDS,
        *COMMAND,
    ],
    alone=[
        {},
        {"orders": RETAIL, "columns": SEGMENTATION.alone[1]["columns"], "control_orders": "drawn",
         "n_segments": 0, "flows": "none", "currency": "£"},
    ],
    free={"currency": ANY_TEXT} | BY_COMMAND,
)  # fmt: skip

SWEEPS = {
    "customer_segmentation": SEGMENTATION,
    "network_anomalies": ANOMALIES,
    "image_compression": COMPRESSION,
    "clustering_at_scale": SCALE,
    "clustering_on_spark": SPARK,
    "stability_and_drift": DRIFT,
}
