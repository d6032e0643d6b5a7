"""Seeded data sets with a known truth, for the notebooks and the tests.

Run ``python -m helpers.fixtures`` to write the files of ``data/`` again; the bytes are the same
every time. A picture with the right pixels stays as it is, for compressors differ.
"""

import hashlib
import tempfile
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
from PIL import Image

from helpers.engine import connect
from helpers.files import replacing, write_text
from helpers.text import InputError

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

FIRST_DAY = pd.Timestamp("2024-03-04")
N_DAYS = 7

# Per kind of flow: share of the ordinary flows, or number of flows of an attack; median of the
# bytes sent, the bytes received and the seconds, each with the spread of its logarithm; bytes in
# a packet sent and received.
_FLOW_COLUMNS = [
    *("share", "sent", "sent_spread", "received", "received_spread"),
    *("duration", "duration_spread", "packet_sent", "packet_received"),
]
TRAFFIC = pd.DataFrame(
    {
        "web": (0.45, 1_500, 0.6, 40_000, 1.1, 3.0, 0.9, 400, 1_200),
        "name lookup": (0.20, 70, 0.15, 180, 0.30, 0.03, 0.5, 70, 180),
        "mail": (0.10, 20_000, 0.9, 2_000, 0.4, 2.0, 0.6, 1_000, 150),
        "video": (0.10, 60_000, 0.5, 8e6, 0.7, 240, 0.5, 100, 1_300),
        "remote shell": (0.08, 12_000, 0.6, 20_000, 0.6, 300, 0.8, 120, 180),
        "backup": (0.07, 50e6, 0.6, 150_000, 0.5, 120, 0.5, 1_350, 60),
    },
    index=_FLOW_COLUMNS,
).T

# Addresses are of the ranges kept for documentation (RFC 5737).
ATTACKS = pd.DataFrame(
    {
        # label, number, bytes and seconds as above, source, first hour of the week, last hour
        0: ("port scan", 36, 44, 0.08, 0, 0, 0.002, 0.5, 44, 40, "203.0.113.77", 57.2, 57.6),
        1: ("port scan", 9, 44, 0.08, 40, 0, 0.004, 0.5, 44, 40, "203.0.113.77", 57.2, 57.6),
        2: ("exfiltration", 6, 4e9, 0.4, 3e6, 0.4, 3000, 0.3, 1_400, 60, "192.0.2.23", 73, 147),
        3: ("exfiltration", 3, 90e6, 0.3, 2e5, 0.3, 150, 0.3, 1_350, 60, "192.0.2.23", 73, 147),
        4: ("beaconing", 42, 320, 0.02, 150, 0.02, 60, 0.02, 80, 50, "192.0.2.141", 0, 168),
        5: ("flood", 25, 5e6, 0.15, 0, 0, 10, 0.05, 60, 60, "198.51.100.9", 153.4, 153.5),
        6: ("flood", 25, 5e6, 0.15, 0, 0, 10, 0.05, 60, 60, "198.51.100.62", 153.4, 153.5),
    },
    index=["label", "number", *_FLOW_COLUMNS[1:], "source", "start", "end"],
).T

# Per kind of customer of a shop that goes on for long: customers at any time; mean days between
# two orders; how regular they are (shape of a gamma distribution: 1 is pure chance); mean days
# until somebody else takes the customer's place, 0 for one who comes only once; median spend on
# an order.
STEADY_SHOP = pd.DataFrame(
    {
        "regular": (120, 9, 4, 500, 60.0),
        "occasional": (170, 32, 3, 700, 45.0),
        "large baskets": (80, 40, 3, 700, 420.0),
        "passing by": (240, 90, 1, 0, 25.0),
    },
    index=["customers", "gap", "regularity", "stays", "basket"],
).T

# The same shop once resellers have found it.
CHANGED_SHOP = pd.concat(
    [
        STEADY_SHOP,
        pd.DataFrame(
            {"reseller": (60, 5, 6, 500, 1_500.0)},
            index=STEADY_SHOP.columns,
        ).T,
    ]
)

HISTORY_START, CHANGE_DAY = pd.Timestamp("2023-10-03"), pd.Timestamp("2024-07-01")

# The colours of the flat graphic. The mark is for what must not be overlooked.
PAINTS = {
    "paper": (255, 255, 255),
    "ink": (31, 41, 55),
    "rule": (209, 213, 219),
    "blue": (0, 114, 178),
    "sky": (86, 180, 233),
    "green": (0, 158, 115),
    "orange": (230, 159, 0),
    "sand": (240, 228, 200),
    "mark": (213, 0, 50),
}


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


def order_history(kinds=STEADY_SHOP, changed=None, *, random_state=2024):
    """
    Order lines of fifteen months of a shop where nothing changes but what is asked to.

    Customers come, order, leave and are replaced by others of their kind, so that any 90 days look
    like any other, but for chance: the truth for whoever looks for change.

    Parameters
    ----------
    kinds : DataFrame, default=STEADY_SHOP
        One row a kind of customer: "customers" (at any time), "gap" (mean days between orders),
        "regularity" (1 is pure chance, more is more regular), "stays" (mean days; 0 for customers
        who come once), "basket" (median spend).
    changed : DataFrame, optional
        The kinds from 1 July 2024 on. Customers of a kind that both have go on.
    random_state : int, default=2024
        Seed; the same seed gives the same rows.

    Returns
    -------
    orders : DataFrame
        One row an order, 2023-10-03 to 2024-12-31, 90 days and twelve months: "customer_id",
        "order_id", "order_date" (text, YYYY-MM-DD), "revenue". As in ``ecommerce_customers`` a few
        lines are returns, free, doubled or without a customer.
    truth : Series
        Kind of each customer, indexed by customer_id.
    """
    rng = np.random.default_rng(random_state)
    changed = kinds if changed is None else changed
    end = (LAST_DAY - HISTORY_START).days + 1
    change = (CHANGE_DAY - HISTORY_START).days
    parts = []
    for name in kinds.index.union(changed.index, sort=False):
        before, after = (
            table.loc[name] if name in table.index else None for table in (kinds, changed)
        )
        same = before is not None and before.equals(after)
        epochs = [(before, 0, end)] if same else [(before, 0, change), (after, change, end)]
        parts.append(_orders_of(name, epochs, end, rng))
    orders = pd.concat(parts).sort_values("day", kind="stable", ignore_index=True)
    people = pd.factorize(orders["customer"])[0]
    numbers = rng.permutation(len(orders))[people] + 1  # not in the order of their coming
    lines = pd.DataFrame(
        {
            "customer_id": pd.Series(numbers).map("C{:05d}".format),
            "order_id": [f"{number:06d}" for number in range(200_001, 200_001 + len(orders))],
            "last_purchase_date": HISTORY_START + pd.to_timedelta(orders["day"], "D"),
            "revenue": orders["revenue"],
        }
    )
    truth = pd.Series(orders["kind"].to_numpy(), index=lines["customer_id"], name="kind")
    lines = _add_everyday_faults(lines, rng).rename(columns={"last_purchase_date": "order_date"})
    return lines, truth[~truth.index.duplicated()].sort_index()


def _orders_of(name, epochs, end, rng):
    """One row an order of one kind of customer, whose ways may differ between epochs."""
    kinds = [kind for kind, _, _ in epochs if kind is not None]
    n_places = int(max(kind["customers"] for kind in kinds))
    stays = kinds[0]["stays"]
    # A place is held by one customer after another, or by a new one for each order.
    leavings = np.zeros((n_places, 0))
    if stays:
        n_leavings = int(4 * end / stays) + 12
        leavings = rng.exponential(stays, size=(n_places, n_leavings)).cumsum(axis=1)
    taste = np.exp(rng.normal(0, 0.35, size=(n_places, leavings.shape[1] + 1)))

    parts = []
    for kind, start, stop in epochs:
        if kind is None:
            continue
        n_now = int(kind["customers"])
        # The process is long under way when the first day comes, so that no day is special.
        lead = 4 * kind["gap"] + rng.random(n_now) * kind["gap"]
        n_orders = int(2 * (stop - start + lead.max()) / kind["gap"]) + 20
        gaps = rng.gamma(
            kind["regularity"], kind["gap"] / kind["regularity"], size=(n_now, n_orders)
        )
        days = start - lead[:, None] + gaps.cumsum(axis=1)
        place, number = np.nonzero((days >= start) & (days < stop))
        day = days[place, number]
        holder = (day[:, None] > leavings[place]).sum(axis=1)
        spend = kind["basket"] * taste[place, holder] * np.exp(rng.normal(0, 0.25, len(day)))
        who = holder if stays else start * n_orders + number
        parts.append(
            pd.DataFrame(
                {
                    "kind": name,
                    "customer": [f"{name} {a} {b}" for a, b in zip(place, who, strict=True)],
                    "day": day.astype(int),
                    "revenue": spend.clip(0.5).round(2),
                }
            )
        )
    return pd.concat(parts)


def network_traffic(n_flows=8000, random_state=2024, attacks=ATTACKS):
    """
    Flows of a week in a small office network, with attacks among them.

    Parameters
    ----------
    n_flows : int, default=8000
        Ordinary flows; the attacks come on top, 1.8 % of the whole by default.
    random_state : int, default=2024
        Seed; the same seed gives the same rows.
    attacks : DataFrame, default=ATTACKS
        One row a burst of an attack. ``ATTACKS[:0]`` leaves the week without any.

    Returns
    -------
    flows : DataFrame
        In order of time: "timestamp" (text), "ip_address" of the source, "bytes_sent",
        "bytes_received", "packets_sent", "packets_received", "duration" (seconds; a few are
        missing) and "label", "normal" or the name of the attack, which no detector may see. Three
        of the exfiltration's flows are as small as a backup and cannot be told from one.
    """
    rng = np.random.default_rng(random_state)
    kinds = TRAFFIC.loc[rng.choice(TRAFFIC.index, n_flows, p=TRAFFIC["share"].astype(float))]
    ordinary = _flows(kinds, rng)
    ordinary["ip_address"] = [f"192.0.2.{host}" for host in rng.integers(1, 200, n_flows)]
    # Offices are busy by day, backups run by night.
    hours = np.where(kinds.index == "backup", 2, 13) + rng.normal(0, 3.0, n_flows)
    hours = rng.integers(0, N_DAYS, n_flows) * 24 + hours % 24
    ordinary = ordinary.assign(label="normal", hours=hours)
    ordinary.loc[rng.random(n_flows) < 0.003, "duration"] = np.nan

    bursts = attacks.loc[attacks.index.repeat(attacks["number"].astype(int))]
    attack = _flows(bursts, rng).assign(
        label=bursts["label"].to_numpy(), ip_address=bursts["source"].to_numpy()
    )
    span = (bursts["end"] - bursts["start"]).to_numpy(float)
    rank = bursts.groupby(level=0).cumcount().to_numpy()
    number = bursts["number"].to_numpy(float)
    attack["hours"] = bursts["start"].to_numpy(float) + span * (rank + 0.5) / number

    flows = pd.concat([ordinary, attack]).sort_values("hours", kind="stable", ignore_index=True)
    seconds = pd.to_timedelta((flows["hours"] * 3600).round(), unit="s")
    flows["timestamp"] = (FIRST_DAY + seconds).dt.strftime("%Y-%m-%d %H:%M:%S")
    sizes = ["bytes_sent", "bytes_received", "packets_sent", "packets_received"]
    return flows[["timestamp", "ip_address", *sizes, "duration", "label"]]


def _flows(kinds, rng):
    """One flow of each kind: bytes and packets both ways, and seconds."""

    def vary(column):
        spread = kinds[f"{column}_spread"].to_numpy(float)
        return kinds[column].to_numpy(float) * np.exp(rng.normal(0, 1, len(kinds)) * spread)

    flows = pd.DataFrame({"duration": vary("duration").round(3)})
    for way in ("sent", "received"):
        size = np.rint(vary(way))
        # Packets are not all of one size; a side that only listens acknowledges now and then.
        packets = size / kinds[f"packet_{way}"].to_numpy(float)
        packets *= np.exp(rng.normal(0, 0.1, len(kinds)))
        flows[f"bytes_{way}"] = size.astype(np.int64)
        flows[f"packets_{way}"] = np.where(size > 0, np.maximum(1, np.rint(packets)), 0).astype(int)
    return flows


def flat_graphic():
    """
    Page of a report, drawn in nine flat colours: bars, a pie, a map.

    Returns
    -------
    ndarray of uint8, of shape (320, 480, 3)
        Red, green and blue. Every edge is hard: each pixel has one of the colours of ``PAINTS``.
        A disc on the map, 0.1 % of the pixels, alone has the colour "mark".
    """
    y, x = np.mgrid[:320, :480]  # whole numbers, so that every machine draws the same

    def box(left, top, right, bottom):
        return (left <= x) & (x < right) & (top <= y) & (y < bottom)

    def disc(across, down, radius):
        return (x - across) ** 2 + (y - down) ** 2 <= radius**2

    def polygon(*corners):
        """Inside a convex polygon whose corners go round clockwise, as seen on the page."""
        inside = np.ones(x.shape, bool)
        for (x0, y0), (x1, y1) in zip(corners, [*corners[1:], corners[0]], strict=True):
            inside &= (x1 - x0) * (y - y0) >= (y1 - y0) * (x - x0)
        return inside

    page = np.full((320, 480), "paper", dtype=object)
    page[box(0, 0, 480, 36)] = "ink"
    page[box(16, 12, 200, 24)] = "paper"

    page[box(32, 56, 232, 200) & ((y - 56) % 24 == 0)] = "rule"
    heights = {"blue": [40, 64, 58, 90, 120], "orange": [24, 30, 52, 48, 71]}
    for offset, (paint, tops) in zip([0, 14], heights.items(), strict=True):
        for number, height in enumerate(tops):
            left = 40 + 38 * number + offset
            page[box(left, 200 - height, left + 14, 200)] = paint
    page[box(32, 56, 34, 202) | box(32, 200, 232, 202)] = "ink"

    pie = disc(132, 262, 48)
    page[pie] = "sky"
    page[pie & polygon((132, 262), (132, 200), (200, 200), (200, 280))] = "blue"
    page[pie & polygon((132, 262), (200, 280), (200, 320), (100, 320))] = "green"

    page[box(256, 56, 464, 304)] = "sky"
    page[polygon((270, 120), (330, 66), (420, 80), (452, 170), (400, 280), (290, 292))] = "sand"
    page[polygon((300, 140), (352, 90), (400, 120), (380, 180), (320, 190))] = "green"
    page[polygon((330, 232), (392, 206), (414, 236), (380, 272), (336, 266))] = "orange"
    page[(abs((x - 256) - 2 * (y - 190)) <= 4) & box(280, 56, 430, 304)] = "ink"
    page[disc(356, 140, 7)] = "mark"
    page[box(256, 56, 464, 304) & ~box(258, 58, 462, 302)] = "ink"

    pixels = np.empty((320, 480, 3), np.uint8)
    for paint, colour in PAINTS.items():
        pixels[page == paint] = colour
    return pixels


def write_order_lines(
    directory, n_customers=2_000, *, segments=SHOPPERS, lines_per_order=2.6, random_state=2024
):
    """
    Write order lines of any number of customers as Parquet, one folder a month.

    Parameters
    ----------
    directory : str or Path
        Must not exist yet.
    n_customers : int, default=2_000
        They place about 5 orders each.
    segments : DataFrame, default=SHOPPERS
        As for ``ecommerce_customers``.
    lines_per_order : float, default=2.6
        Mean number of lines of an order, at least 1.
    random_state : int, default=2024
        Seed. The rows are the same on any number of cores, with one version of DuckDB.

    Returns
    -------
    Path
        The directory: "month=1/..." and so on, with "customer_id" (a number; missing on 1 % of
        the lines), "order_id", "order_date", "revenue" (negative on 1.5 %, the returns) and
        "segment", the truth.

    Raises
    ------
    FileExistsError
        If there is something under that name.
    InputError
        If the disk is full. Nothing is left of what was written.
    """
    directory = Path(directory)
    if directory.exists():
        raise FileExistsError(f"{directory} exists already. Remove it, or choose another name.")
    directory.parent.mkdir(parents=True, exist_ok=True)
    # Beside the target, so that the last step is a rename: whole, or not there.
    with tempfile.TemporaryDirectory(dir=directory.parent, prefix=".") as temporary:
        with connect() as connection:
            shoppers = segments.reset_index(names="segment").assign(
                upper=segments["share"].cumsum().to_numpy().clip(max=1)
            )
            shoppers["lower"] = shoppers["upper"].shift(fill_value=0)
            connection.register("shoppers", shoppers)
            query = _ORDER_LINES.format(
                seed=int(random_state),
                n_customers=int(n_customers),
                extra_lines=float(lines_per_order) - 1,
                last_day=f"{LAST_DAY:%Y-%m-%d}",
                path=str(Path(temporary, "lines")).replace("'", "''"),
            )
            try:
                connection.execute(query)
            except duckdb.Error as error:
                reason = str(error).splitlines()[0]
                raise InputError(f"{directory}: cannot be written ({reason}).") from None
        Path(temporary, "lines").replace(directory)
    return directory


# Chance comes from hashes of a row's numbers: no order of rows or of threads can change it.
_ORDER_LINES = """
CREATE MACRO uniform(a, b, c) AS (hash(a, b, c, {seed}) >> 11)::DOUBLE / 9007199254740992.0;
CREATE MACRO normal(a, b, c) AS
    sqrt(-2 * ln(1 - uniform(a, b, c))) * cos(2 * pi() * uniform(a, b, c + 1000));
CREATE VIEW customers AS
    SELECT i AS customer_id, segment, active_days,
        greatest(1, round(recency * exp(0.30 * normal(i, 0, 1)))) AS days,
        CASE WHEN orders > 1 THEN greatest(2, round(
            orders * exp(0.18 * normal(i, 0, 2)) + sqrt(orders) * normal(i, 0, 3)
        )) ELSE 1 END::BIGINT AS n_orders,
        basket * exp(0.35 * normal(i, 0, 4)) AS basket
    FROM range({n_customers}) AS t(i)
    JOIN shoppers ON uniform(i, 0, 0) >= lower AND uniform(i, 0, 0) < upper;
CREATE VIEW orders AS
    SELECT customer_id, segment, basket, customer_id * 1000 + k AS order_id,
        CASE WHEN days > 365 THEN 365 - (days - 365) % 180 ELSE days END AS days,
        CASE WHEN k = 0 THEN 0 ELSE round(uniform(order_id, k, 5) * active_days) END AS earlier,
        1 + floor(uniform(order_id, 0, 6) * (2 * {extra_lines} + 1))::BIGINT AS n_lines
    FROM (SELECT *, unnest(range(n_orders)) AS k FROM customers);
COPY (
    SELECT
        CASE WHEN chance < 0.01 THEN NULL ELSE customer_id END AS customer_id,
        order_id, order_date, segment, month(order_date) AS month,
        CASE WHEN chance > 0.985 THEN -1 WHEN chance > 0.982 THEN 0 ELSE 1 END
            * greatest(0.5, round(basket / n_lines * exp(0.25 * normal(order_id, line, 7)), 2))
            AS revenue
    FROM (
        SELECT *, uniform(order_id, line, 8) AS chance,
            DATE '{last_day}' + 1 - least(366, days + earlier)::INTEGER AS order_date
        FROM (SELECT *, unnest(range(n_lines)) AS line FROM orders)
    )
) TO '{path}' (FORMAT parquet, PARTITION_BY (month), ROW_GROUP_SIZE 100000)
"""


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
        "network_traffic.csv": network_traffic(),
        "steady_shop.csv": order_history(random_state=2025)[0],
        "changing_shop.csv": order_history(changed=CHANGED_SHOP)[0],
    }
    written = [
        write_text(directory / name, table.to_csv(index=False, lineterminator="\n"))
        for name, table in tables.items()
    ]
    return [*written, _write_png(flat_graphic(), directory / "flat_graphic.png")]


def write_digests(paths):
    """
    Write beside data files which they are, as the program sha256sum does.

    A copy elsewhere can be compared with it, and a site hands out what is in it.

    Parameters
    ----------
    paths : iterable of Path
        Files of one folder.

    Returns
    -------
    Path
        ``SHA256SUMS`` in their folder.
    """
    paths = sorted(paths)
    lines = [f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in paths]
    return write_text(paths[0].with_name("SHA256SUMS"), "".join(lines))


def _write_png(pixels, path):
    """Write pixels losslessly, unless the file has them already; return the path."""
    if path.exists():
        with Image.open(path) as image:
            if np.array_equal(np.asarray(image), pixels):
                return path
    with replacing(path) as temporary:
        Image.fromarray(pixels).save(temporary, optimize=True)
    return path


if __name__ == "__main__":
    write_digests(write_fixtures())
