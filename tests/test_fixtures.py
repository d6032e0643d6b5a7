import hashlib
import ipaddress
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_array_equal
from pandas.testing import assert_frame_equal, assert_series_equal
from PIL import Image
from scipy import ndimage

from helpers.fixtures import (
    ATTACKS,
    CHANGE_DAY,
    CHANGED_SHOP,
    FIRST_DAY,
    HISTORY_START,
    LAST_DAY,
    ONE_CROWD,
    PAINTS,
    SHOPPERS,
    STEADY_SHOP,
    TRAFFIC,
    ecommerce_customers,
    flat_graphic,
    network_traffic,
    order_history,
    write_digests,
    write_fixtures,
)
from helpers.inputs import read_flows
from helpers.segmentation import rfm_window

DATA = Path(__file__).parents[1] / "data"


@pytest.fixture(scope="module")
def lines():
    return ecommerce_customers()[0]


@pytest.fixture(scope="module")
def sales(lines):
    return lines[(lines["revenue"] > 0) & lines["customer_id"].notna()]


def test_the_committed_files_are_made_by_this_code_byte_for_byte(tmp_path):
    "But for pictures, whose pixels alone are the same on every machine"
    paths = write_fixtures(tmp_path)
    committed = [path.name for path in DATA.iterdir() if path.suffix in (".csv", ".png")]
    assert sorted(path.name for path in paths) == sorted(committed)
    for path in paths:
        if path.suffix == ".png":
            with Image.open(path) as made, Image.open(DATA / path.name) as kept:
                assert made.mode == kept.mode == "RGB"
                assert_array_equal(np.asarray(kept), np.asarray(made))
        else:
            assert path.read_bytes() == (DATA / path.name).read_bytes()
    assert sorted(tmp_path.iterdir()) == sorted(paths)


def test_the_digests_are_those_of_the_committed_files(tmp_path):
    "In the format of sha256sum: a digest, two spaces, a name"
    lines = (DATA / "SHA256SUMS").read_text().splitlines()
    written = [hashlib.sha256((DATA / line[66:]).read_bytes()).hexdigest() for line in lines]
    assert [f"{digest}  {line[66:]}" for digest, line in zip(written, lines, strict=True)] == lines
    tables = [path.name for path in DATA.iterdir() if path.suffix in (".csv", ".png")]
    assert [line[66:] for line in lines] == sorted(tables)
    (tmp_path / "b.csv").write_text("abc")
    (tmp_path / "a.csv").write_text("")
    # As FIPS 180-2 has them.
    abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    path = write_digests([tmp_path / "b.csv", tmp_path / "a.csv"])
    assert path.read_text() == f"{empty}  a.csv\n{abc}  b.csv\n"


def test_a_picture_with_the_right_pixels_stays_and_any_other_goes(tmp_path):
    path = tmp_path / "flat_graphic.png"
    Image.fromarray(flat_graphic()).save(path, compress_level=0)
    other_zlib = path.read_bytes()
    write_fixtures(tmp_path)
    assert path.read_bytes() == other_zlib
    Image.new("RGB", (480, 320)).save(path)
    write_fixtures(tmp_path)
    with Image.open(path) as image:
        assert_array_equal(np.asarray(image), flat_graphic())


def test_the_same_seed_gives_the_same_rows_and_another_seed_others():
    first, first_truth = ecommerce_customers(100, 1)
    again, again_truth = ecommerce_customers(100, 1)
    assert_frame_equal(first, again)
    assert_series_equal(first_truth, again_truth)
    assert not first.equals(ecommerce_customers(100, 2)[0])


def test_the_columns_are_those_of_the_docstring(lines):
    assert list(lines.columns) == ["customer_id", "order_id", "last_purchase_date", "revenue"]
    assert lines["last_purchase_date"].str.fullmatch(r"2024-\d\d-\d\d|2023-12-31").all()
    assert lines["customer_id"].dropna().str.fullmatch(r"C\d{5}").all()
    assert lines["revenue"].equals(lines["revenue"].round(2))


def test_every_customer_has_a_segment_and_a_sale(sales, truth):
    assert len(truth) == 2000
    assert truth.index.is_unique
    assert truth.index.is_monotonic_increasing
    assert set(truth) == set(SHOPPERS.index)
    assert set(sales["customer_id"]) == set(truth.index)


def test_segments_have_the_shares_they_were_drawn_with(truth):
    "Four standard errors of a share among 2,000: 4 sqrt(p (1 - p) / 2000)"
    assert SHOPPERS["share"].sum() == pytest.approx(1)
    shares = truth.value_counts(normalize=True)[SHOPPERS.index]
    error = 4 * np.sqrt(SHOPPERS["share"] * (1 - SHOPPERS["share"]) / 2000)
    assert ((shares - SHOPPERS["share"]).abs() < error).all()


def test_segments_behave_as_they_are_described(sales, truth):
    days = (LAST_DAY + pd.Timedelta(days=1) - pd.to_datetime(sales["last_purchase_date"])).dt.days
    recency = days.groupby(sales["customer_id"]).min().groupby(truth).median()
    orders = sales.groupby("customer_id")["order_id"].nunique().groupby(truth).mean()
    assert recency[SHOPPERS.index].to_numpy() == pytest.approx(SHOPPERS["recency"], rel=0.1)
    assert orders[SHOPPERS.index].to_numpy() == pytest.approx(SHOPPERS["orders"], rel=0.1)


def test_about_half_of_the_customers_bought_once(sales):
    "New and lost ones: 24 % and 28 %"
    orders = sales.groupby("customer_id")["order_id"].nunique()
    assert 0.45 < orders.eq(1).mean() < 0.60


def test_an_order_has_one_customer_and_one_day(sales):
    same = sales.groupby("order_id")[["customer_id", "last_purchase_date"]].nunique()
    assert same.eq(1).all(axis=None)


@pytest.mark.parametrize(
    ("fault", "share"),
    [
        (lambda lines: lines["revenue"] < 0, 0.015),
        (lambda lines: lines["revenue"] == 0, 0.003),
        (lambda lines: lines["customer_id"].isna(), 0.01),
        # Besides, small amounts within one order agree by chance now and then.
        (lambda lines: lines.duplicated(), 0.0055),
    ],
    ids=["returned", "free", "without a customer", "twice"],
)
def test_everyday_faults_are_there(lines, fault, share):
    assert fault(lines).mean() == pytest.approx(share, rel=0.1)


def test_returns_are_marked_and_refund_a_sale(lines, sales):
    returned = lines[lines["revenue"] < 0]
    assert returned["order_id"].str.startswith("R").all()
    assert not sales["order_id"].str.startswith("R").any()
    sold = set(zip(sales["customer_id"], sales["order_id"].str[1:], sales["revenue"], strict=True))
    refunds = zip(
        returned["customer_id"], returned["order_id"].str[1:], -returned["revenue"], strict=True
    )
    assert set(refunds) <= sold


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_nothing_happens_after_the_last_day(seed):
    lines, _ = ecommerce_customers(500, seed)
    days = pd.to_datetime(lines["last_purchase_date"])
    assert days.max() <= LAST_DAY
    assert days.min() >= LAST_DAY - pd.Timedelta(days=365), "a year, and no more"
    assert days.is_monotonic_increasing


def test_one_crowd_is_a_single_segment_that_varies_smoothly():
    lines, truth = ecommerce_customers(500, 0, ONE_CROWD, spread=3.0)
    assert set(truth) == {"Everybody"}
    last = lines[lines["revenue"] > 0].groupby("customer_id")["last_purchase_date"].max()
    assert last.value_counts(normalize=True).max() < 0.03


def test_one_customer_is_enough():
    lines, truth = ecommerce_customers(1, 0)
    assert truth.index.tolist() == ["C00001"]
    assert len(lines) >= 1


# network_traffic

SIZES = ["bytes_sent", "bytes_received", "packets_sent", "packets_received"]
DOCUMENTATION = [  # RFC 5737
    ipaddress.ip_network(block) for block in ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24")
]


@pytest.fixture(scope="module", params=[2024, 0, 1])
def flows(request):
    return network_traffic(random_state=request.param)


def test_the_same_seed_gives_the_same_flows_and_another_seed_others():
    first = network_traffic(100, 1)
    assert_frame_equal(first, network_traffic(100, 1))
    assert not first.equals(network_traffic(100, 2))


def test_the_columns_of_the_flows_are_those_of_the_docstring(flows):
    assert list(flows) == ["timestamp", "ip_address", *SIZES, "duration", "label"]
    assert flows.drop(columns="duration").notna().all(axis=None)
    assert (flows[SIZES].dtypes == np.int64).all()
    assert (flows[SIZES] >= 0).all(axis=None)
    assert flows["duration"].dropna().ge(0).all()
    assert flows["duration"].equals(flows["duration"].round(3))


def test_a_few_durations_are_missing_and_none_of_an_attack(flows):
    "3 in 1,000, give or take four standard errors"
    missing = flows["duration"].isna()
    assert 0.003 - 0.0025 < missing.mean() < 0.003 + 0.0025
    assert (flows.loc[missing, "label"] == "normal").all()


def test_attacks_are_rare_and_as_many_as_their_table_says(flows):
    attacks = flows.loc[flows["label"] != "normal", "label"]
    assert len(flows) == 8000 + ATTACKS["number"].sum()
    assert 0.01 < len(attacks) / len(flows) < 0.02
    numbers = ATTACKS.astype({"number": int}).groupby("label")["number"].sum()
    assert attacks.value_counts().to_dict() == numbers.to_dict()


def test_a_week_without_attacks_has_none():
    flows = network_traffic(500, 0, attacks=ATTACKS[:0])
    assert len(flows) == 500
    assert set(flows["label"]) == {"normal"}


def test_every_address_is_kept_for_documentation(flows):
    for address in flows["ip_address"].unique():
        assert any(ipaddress.ip_address(address) in block for block in DOCUMENTATION), address
    ordinary = flows.loc[flows["label"] == "normal", "ip_address"]
    assert ordinary.nunique() == 199


def test_attacks_come_from_their_sources_in_their_hours(flows):
    hours = (pd.to_datetime(flows["timestamp"]) - FIRST_DAY) / pd.Timedelta(hours=1)
    for label, bursts in ATTACKS.groupby("label"):
        those = flows["label"] == label
        assert set(flows.loc[those, "ip_address"]) == set(bursts["source"])
        assert hours[those].between(bursts["start"].min(), bursts["end"].max()).all()


def test_a_direction_has_packets_where_it_has_bytes_and_nowhere_else(flows):
    for way in ("sent", "received"):
        assert_series_equal(
            flows[f"packets_{way}"] > 0, flows[f"bytes_{way}"] > 0, check_names=False
        )
    assert (flows["bytes_received"] == 0).any(), "a scan and a flood have no reply"


def test_packets_have_the_size_of_their_kind(flows):
    "Whatever the kind, from a bare acknowledgement to a full frame, give or take"
    for way in ("sent", "received"):
        some = flows[flows[f"bytes_{way}"] > 10_000]
        size = some[f"bytes_{way}"] / some[f"packets_{way}"]
        assert TRAFFIC[f"packet_{way}"].min() / 2 < size.min()
        assert size.max() < 2 * TRAFFIC[f"packet_{way}"].max()


def test_flows_are_in_order_of_time_within_one_week(flows):
    times = pd.to_datetime(flows["timestamp"], format="%Y-%m-%d %H:%M:%S")
    assert times.is_monotonic_increasing
    assert times.min() >= FIRST_DAY
    assert times.max() <= FIRST_DAY + pd.Timedelta(days=7)
    assert times.dt.normalize().nunique() == 7


def test_traffic_has_shares_that_add_up():
    assert TRAFFIC["share"].sum() == pytest.approx(1)


def test_the_committed_flows_are_read_as_they_were_made():
    flows = read_flows(DATA / "network_traffic.csv")
    made = network_traffic()
    made["timestamp"] = pd.to_datetime(made["timestamp"]).astype("datetime64[us]")
    assert sorted(flows) == sorted(made)
    for column in made:
        read = flows[column].astype("str") if made[column].dtype == "str" else flows[column]
        assert_series_equal(read, made[column], check_dtype=False)


def test_the_flat_graphic_has_every_paint_and_no_other_colour():
    pixels = flat_graphic()
    assert (pixels.shape, pixels.dtype) == ((320, 480, 3), np.uint8)
    assert set(map(tuple, pixels.reshape(-1, 3).tolist())) == set(PAINTS.values())
    assert len(set(PAINTS.values())) == 9


def test_the_mark_on_the_flat_graphic_is_one_small_disc():
    mark = (flat_graphic() == PAINTS["mark"]).all(axis=-1)
    assert ndimage.label(mark)[1] == 1
    assert mark.sum() == pytest.approx(np.pi * 7**2, rel=0.05)
    assert mark.mean() == pytest.approx(0.001, abs=0.0001)


def test_the_flat_graphic_is_flat():
    "Few pixels differ from their neighbour on the left, and each paint fills more than a line"
    pixels = flat_graphic().astype(int)
    assert (np.diff(pixels, axis=1) != 0).any(axis=-1).mean() < 0.03
    for name, colour in PAINTS.items():
        area = (pixels == colour).all(axis=-1)
        assert ndimage.binary_erosion(area).any() == (name != "rule"), name


def test_the_bars_of_the_flat_graphic_have_their_heights():
    pixels = flat_graphic()
    for paint, tops in {"blue": [40, 64, 58, 90, 120], "orange": [24, 30, 52, 48, 71]}.items():
        chart = (pixels[56:200, 34:232] == PAINTS[paint]).all(axis=-1)
        bars = ndimage.find_objects(ndimage.label(chart)[0])
        bars.sort(key=lambda bar: bar[1].start)
        assert [bar[0].stop - bar[0].start for bar in bars] == tops
        assert {bar[1].stop - bar[1].start for bar in bars} == {14}


def test_the_page_on_the_data_describes_every_paint():
    pixels = flat_graphic()
    text = (DATA / "README.md").read_text()
    for name, colour in PAINTS.items():
        share = (pixels == colour).all(axis=-1).mean()
        assert f"| {name} | {', '.join(map(str, colour))} | {100 * share:.1f} % |" in text


# order_history


def history(**options):
    """Orders with true dates, and the kind of each customer."""
    lines, truth = order_history(**options)
    lines["order_date"] = pd.to_datetime(lines["order_date"])
    return lines, truth


@pytest.fixture(scope="module")
def steady():
    return history()


@pytest.fixture(scope="module")
def changing():
    return history(changed=CHANGED_SHOP)


def test_the_same_seed_gives_the_same_history_and_another_seed_another():
    first, first_truth = order_history(random_state=1)
    again, again_truth = order_history(random_state=1)
    assert_frame_equal(first, again)
    assert_series_equal(first_truth, again_truth)
    assert not first.equals(order_history(random_state=2)[0])


@pytest.mark.parametrize("shop", ["steady", "changing"])
def test_a_history_is_as_its_docstring_says(shop, request):
    lines, truth = request.getfixturevalue(shop)
    assert list(lines) == ["customer_id", "order_id", "order_date", "revenue"]
    assert lines["customer_id"].dropna().str.fullmatch(r"C\d{5}").all()
    assert lines["order_date"].min() == HISTORY_START
    assert lines["order_date"].max() == LAST_DAY
    assert lines["order_date"].is_monotonic_increasing
    assert (LAST_DAY - HISTORY_START).days + 1 == 90 + 366, "90 days and the months of a leap year"
    assert lines["revenue"].equals(lines["revenue"].round(2))
    assert lines.loc[lines["revenue"] < 0, "order_id"].str.startswith("R").all()
    assert truth.index.is_unique
    assert truth.index.is_monotonic_increasing
    assert set(lines["customer_id"].dropna()) == set(truth.index)
    sold = lines[lines["revenue"].gt(0) & lines["customer_id"].notna()]
    assert sold.groupby("order_id")["customer_id"].nunique().eq(1).all()


def test_a_history_has_everyday_faults(steady):
    lines, _ = steady
    faults = {
        "returned": (lines["revenue"] < 0, 0.015),
        "free": (lines["revenue"] == 0, 0.003),
        "without a customer": (lines["customer_id"].isna(), 0.01),
        "twice": (lines.duplicated(), 0.005),
    }
    shares = {name: rows.mean() for name, (rows, _) in faults.items()}
    assert shares == pytest.approx({name: share for name, (_, share) in faults.items()}, rel=0.1)


def ways(lines, truth):
    """Mean days between orders, orders, and median spend of each kind, from first sales alone."""
    lines = lines[lines["revenue"] > 0].drop_duplicates("order_id").dropna()
    kind = lines["customer_id"].map(truth)
    gaps = lines["order_date"].groupby(lines["customer_id"]).diff().dt.days
    return pd.DataFrame(
        {
            "gap": gaps.groupby(kind).mean(),
            "deviation": gaps.groupby(kind).std(),
            "orders": kind.value_counts(),
            "basket": lines["revenue"].groupby(kind).median(),
        }
    )


def test_kinds_behave_as_they_are_described(steady):
    """
    Orders of a day from so many customers, each so many days apart; and what they spend.

    Gaps are those within one customer's time; each day of a gap is a whole one. A gap that would
    outlast the customer is not seen, so the mean of long ones is a little less.
    """
    found = ways(*steady).loc[STEADY_SHOP.index]
    orders = STEADY_SHOP["customers"] * 456 / STEADY_SHOP["gap"]
    assert found["orders"].to_numpy() == pytest.approx(orders, rel=0.06)
    assert found["basket"].to_numpy() == pytest.approx(STEADY_SHOP["basket"], rel=0.1)
    stay = STEADY_SHOP["stays"] > 0
    gaps, asked = found.loc[stay, "gap"], STEADY_SHOP.loc[stay]
    assert gaps.to_numpy() == pytest.approx(asked["gap"], rel=0.08)
    spread = found.loc[stay, "deviation"] / gaps
    assert spread.to_numpy() == pytest.approx(1 / np.sqrt(asked["regularity"]), rel=0.08)
    assert found.loc["passing by", "gap"] != found.loc["passing by", "gap"], "they come once"


def test_customers_stay_as_long_as_asked_and_others_take_their_places(steady):
    "So many places, and a new holder every so many days, over 456 days"
    _, truth = steady
    for name, kind in STEADY_SHOP[STEADY_SHOP["stays"] > 0].iterrows():
        holders = kind["customers"] * (1 + 456 / kind["stays"])
        # Not all of those who come order before they leave.
        assert 0.85 * holders < (truth == name).sum() < 1.05 * holders, name


@pytest.mark.parametrize("seed", [2024, 0, 1])
def test_any_two_quarters_of_a_steady_shop_are_alike(seed):
    "Means of logarithms: at most four standard errors of the difference of two samples apart"
    lines, _ = history(random_state=seed)
    quarters = [
        np.log1p(rfm_window(lines, day, 90))
        for day in ("2023-12-31", "2024-03-31", "2024-06-29", "2024-09-27", "2024-12-26")
    ]
    for one in quarters:
        for other in quarters:
            error = np.sqrt(one.var() / len(one) + other.var() / len(other))
            assert ((one.mean() - other.mean()).abs() < 4 * error).all()
            assert abs(len(one) - len(other)) < 4 * np.sqrt(len(one) + len(other))


def test_the_first_days_are_like_any_others(steady):
    "Four standard errors of a number of orders: the shop is long open when its history begins"
    lines, _ = steady
    a_day = len(lines) / 456
    for n_days in (3, 7, 21):
        first = (lines["order_date"] < HISTORY_START + pd.Timedelta(days=n_days)).sum()
        assert abs(first - a_day * n_days) < 4 * np.sqrt(a_day * n_days)


def test_the_other_shop_is_the_same_until_the_day_of_the_change(steady, changing):
    "Under other numbers of customers: the same orders, and the same people behind them"
    before, after = (
        lines[lines["order_date"].lt(CHANGE_DAY) & lines["revenue"].gt(0)]
        .drop_duplicates("order_id")
        .set_index("order_id")
        for lines, _ in (steady, changing)
    )
    # The everyday faults fall on other lines.
    both = before.join(after.add_suffix(" of the other"), how="inner")
    both = both[~both.index.str.startswith("9")].dropna()
    assert len(both) > 0.98 * len(before)
    assert both["revenue"].equals(both["revenue of the other"].rename("revenue"))
    assert both["order_date"].equals(both["order_date of the other"].rename("order_date"))
    people = both.groupby("customer_id")["customer_id of the other"].nunique()
    assert people.eq(1).all()
    kinds = (
        truth[both[name]]
        for name, (_, truth) in zip(
            ("customer_id", "customer_id of the other"), (steady, changing), strict=True
        )
    )
    assert next(kinds).tolist() == next(kinds).tolist()


def test_resellers_come_with_the_change_and_the_others_go_on(steady, changing):
    lines, truth = changing
    kind = lines["customer_id"].map(truth)
    resellers = lines[kind == "reseller"]
    assert resellers["order_date"].min() >= CHANGE_DAY
    assert resellers.loc[resellers["revenue"] > 0, "revenue"].median() == pytest.approx(
        CHANGED_SHOP.loc["reseller", "basket"], rel=0.1
    )
    assert ways(*changing).loc["reseller", "gap"] == pytest.approx(5, rel=0.08)
    sales = lines[lines["revenue"].gt(0) & kind.notna() & kind.ne("reseller")]
    same = steady[0][steady[0]["revenue"].gt(0)].dropna()
    # A line without a customer could be anybody's: 1 %.
    n_others, n_same = (
        table.loc[table["order_date"].ge(CHANGE_DAY), "order_id"].nunique()
        for table in (sales, same)
    )
    assert n_others == pytest.approx(n_same, rel=0.01)


def test_a_kind_that_changes_its_ways_keeps_its_customers():
    dearer = STEADY_SHOP.assign(basket=2 * STEADY_SHOP["basket"])
    lines, truth = history(changed=dearer)
    lines = lines[lines["revenue"] > 0].dropna()
    late = lines["order_date"] >= CHANGE_DAY
    kind = lines["customer_id"].map(truth)
    spend = (lines.loc[rows, "revenue"].groupby(kind[rows]).median() for rows in (late, ~late))
    assert (next(spend) / next(spend)).to_numpy() == pytest.approx(2, rel=0.1)
    before, after = (set(lines.loc[rows, "customer_id"]) for rows in (~late, late))
    regulars = {who for who in before if truth[who] == "regular"}
    # Of 500 days, nine months and six are a good part.
    assert len(regulars & after) > 0.4 * len(regulars)


def test_a_kind_that_leaves_is_gone():
    lines, truth = history(changed=STEADY_SHOP.drop("large baskets"))
    large = lines[lines["customer_id"].map(truth) == "large baskets"]
    sold = large[large["revenue"] > 0]
    assert sold["order_date"].max() < CHANGE_DAY
    assert len(sold) > 100
