"""Clustering out of core agrees with clustering in memory, and says what it cannot do."""

import functools
import hashlib
import json
import re
import subprocess
import sys
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pytest
from order_files import assert_same_table, copy_of, halves_of, lines_of
from scipy.spatial.distance import cdist
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score
from sklearn.preprocessing import StandardScaler

from helpers import scale
from helpers.fixtures import ONE_CROWD, SHOPPERS, write_order_lines
from helpers.order_lines import parquet_files
from helpers.scale import (
    CELL_WIDTH,
    FEATURES,
    cluster_cells,
    cluster_out_of_core,
    holdout_inertia,
)
from helpers.segmentation import name_profiles, rfm_table
from helpers.text import InputError

ROOT = Path(__file__).parents[1]
ONLINE_RETAIL = ROOT / "../shared/data/online_retail/online_retail.csv.gz"
RETAIL_COLUMNS = {
    "customer_id": "CustomerID",
    "order_id": "InvoiceNo",
    "order_date": "InvoiceDate",
    "quantity": "Quantity",
    "unit_price": "UnitPrice",
}


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """Return a folder of order lines of 5,000 customers."""
    return write_order_lines(tmp_path_factory.mktemp("shop") / "lines", 5_000)


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


def assert_same_clusters(ours, reference):
    np.testing.assert_array_equal(ours.centers, reference.centers)
    np.testing.assert_array_equal(ours.sizes, reference.sizes)
    np.testing.assert_array_equal(ours.positions, reference.positions)
    assert ours.n_points == reference.n_points
    assert ours.inertia == pytest.approx(reference.inertia, rel=1e-9)


@pytest.fixture(scope="module")
def found(shop):
    return cluster_out_of_core(shop, 4)


def test_columns_may_have_other_names_and_revenue_come_from_its_parts(shop, found, tmp_path):
    file = copy_of(
        shop,
        tmp_path / "own.parquet",
        "SELECT customer_id AS Client, order_id AS Receipt, order_date::TIMESTAMP AS Day, "
        "2 AS Pieces, revenue / 2 AS Price FROM lines",
    )
    names = {"customer_id": "Client", "order_id": "Receipt", "order_date": "Day"}
    names |= {"quantity": "Pieces", "unit_price": "Price"}
    assert_same_clusters(cluster_out_of_core(file, 4, columns=names), found)
    with pytest.raises(InputError, match=r"own\.parquet: no column customer_id"):
        cluster_out_of_core(file, 4)


def test_the_cells_do_not_depend_on_order_files_or_threads(shop, found, tmp_path, monkeypatch):
    shuffled = "SELECT * FROM lines ORDER BY hash(order_id, revenue, 7)"
    one = copy_of(shop, tmp_path / "one.parquet", shuffled, row_group_size=2_048)
    assert_same_clusters(cluster_out_of_core(one, 4), found)
    assert_same_clusters(cluster_out_of_core(halves_of(shop, tmp_path / "two"), 4), found)
    for threads in (1, 2, 5):
        connect = functools.partial(duckdb.connect, config={"threads": threads})
        with monkeypatch.context() as patch:
            patch.setattr(scale.duckdb, "connect", connect)
            assert_same_clusters(cluster_out_of_core(shop, 4), found)


def test_ids_may_be_text_or_text_in_some_files_only(shop, tmp_path):
    text = "* REPLACE (customer_id::VARCHAR AS customer_id)"
    numbers = cluster_out_of_core(shop, 4)
    for name, kinds in {"text": (text, text), "first": (text, "*"), "last": ("*", text)}.items():
        folder = halves_of(shop, tmp_path / name, *kinds)
        assert_same_clusters(cluster_out_of_core(folder, 4), numbers)
    named = "* REPLACE ('Kundin ' || customer_id AS customer_id)"
    folder = halves_of(shop, tmp_path / "names", named, named)
    words = cluster_out_of_core(folder, 4, assignments=tmp_path / "clusters.parquet")
    assert words.sizes.sum() == numbers.sizes.sum()
    ids = duckdb.read_parquet(str(tmp_path / "clusters.parquet")).fetchnumpy()["customer_id"]
    assert len(set(ids)) == numbers.sizes.sum()
    assert all(name.startswith("Kundin ") for name in ids)


def logarithms(table):
    return np.log1p(table[FEATURES].to_numpy(float))


def nearest_centers(table, centers):
    """Number of the nearest centre in standardised logarithms, by another way than the engine's."""
    lots = [hashlib.md5(str(name).encode()).hexdigest()[0] for name in table["customer_id"]]  # noqa: S324
    points = logarithms(table)
    cells = pd.DataFrame(points[np.array(lots) != "0"])
    cells = cells.groupby([np.floor(cells[i] / CELL_WIDTH) for i in range(3)]).agg(["mean", "size"])
    weights = cells[0]["size"]
    scaler = StandardScaler().fit(cells.xs("mean", axis=1, level=1), sample_weight=weights)
    places = scaler.transform(logarithms(centers))
    return cdist(scaler.transform(points), places).argmin(axis=1)


def test_every_customer_is_written_with_the_nearest_center(shop, tmp_path):
    target = tmp_path / "new" / "clusters.parquet"
    result = cluster_out_of_core(shop, 4, assignments=target)
    table = duckdb.read_parquet(str(target)).df()
    assert table.columns.tolist() == ["customer_id", *FEATURES, "cluster"]
    reference = rfm_table(lines_of(shop).df())
    assert_same_table(table.set_index("customer_id").sort_index(), reference)
    assert (nearest_centers(table, result.centers) == table["cluster"]).all()
    assert np.bincount(table["cluster"], minlength=4).tolist() == result.sizes.tolist()
    assert [file.name for file in target.parent.iterdir()] == ["clusters.parquet"]


def test_assignments_are_replaced_only_at_the_end(shop, tmp_path, monkeypatch):
    target = tmp_path / "clusters.parquet"
    target.write_text("of yesterday")
    kept = []

    def seen(*arguments):
        kept.append(target.read_text())
        return labelled(*arguments)

    labelled = scale._labelled
    monkeypatch.setattr(scale, "_labelled", seen)
    cluster_out_of_core(shop, 4, assignments=target)
    assert kept == ["of yesterday"]
    assert duckdb.read_parquet(str(target)).count("*").fetchall()[0][0] > 4_900

    target.write_text("of yesterday")
    monkeypatch.setattr(scale, "_labelled", lambda *arguments: "SELECT error('in between')")
    with pytest.raises(InputError, match="in between"):
        cluster_out_of_core(shop, 4, assignments=target)
    assert target.read_text() == "of yesterday"
    assert [file.name for file in tmp_path.iterdir()] == ["clusters.parquet"]


def test_the_month_whose_file_is_damaged_is_named(tmp_path):
    shop = write_order_lines(tmp_path / "lines", 5_000)
    (damaged,) = (shop / "month=6").iterdir()
    content = bytearray(damaged.read_bytes())
    content[200:-5_000] = bytes(len(content) - 5_200)
    damaged.write_bytes(content)
    with pytest.raises(InputError, match=r"^month=6/.*\.parquet: cannot be read \(.*\)\. Write"):
        cluster_out_of_core(shop, 4)
    with pytest.raises(InputError, match=r"^month=6/.*\.parquet: cannot be read"):
        parquet_files(shop, check_values=True)


def test_lines_without_a_date_and_days_after_the_snapshot_are_refused(shop, tmp_path):
    undated = "CASE WHEN customer_id % 100 = 7 THEN NULL ELSE order_date END AS order_date"
    halves_of(shop, tmp_path / "some", *[f"* REPLACE ({undated})"] * 2)
    with pytest.raises(InputError, match="50 customers with sales but without any order_date"):
        cluster_out_of_core(tmp_path / "some", 4)
    none = "* REPLACE (NULL::DATE AS order_date)"
    halves_of(shop, tmp_path / "none", none, none)
    with pytest.raises(InputError, match="There are no order dates"):
        cluster_out_of_core(tmp_path / "none", 4)
    with pytest.raises(InputError, match="snapshot 2024-12-28 is 2 days before the last sale"):
        cluster_out_of_core(shop, 4, snapshot="2024-12-28")
    assert cluster_out_of_core(shop, 4, snapshot="2024-12-30").sizes.sum() > 4_900


def test_files_without_a_line_are_refused_alone_and_allowed_among_others(shop, found, tmp_path):
    nothing = copy_of(shop, tmp_path / "0.parquet", "SELECT * FROM lines WHERE false")
    with pytest.raises(InputError, match="There are no order dates"):
        cluster_out_of_core(nothing, 4)
    halves_of(shop, tmp_path)
    assert_same_clusters(cluster_out_of_core(tmp_path, 4), found)


def test_an_unknown_route_and_a_memory_that_is_no_size_are_refused(shop):
    with pytest.raises(ValueError, match="route='cell' is not one of cells, batches and every"):
        cluster_out_of_core(shop, 4, route="cell")
    for size in ("lots", "-1GB", "none", ""):
        with pytest.raises(
            InputError, match=rf"memory_limit='{size}' is no size\. Write it like 5"
        ):
            cluster_out_of_core(shop, 4, memory_limit=size)


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


def test_nothing_to_read_and_too_few_customers_are_refused(tmp_path):
    with pytest.raises(InputError, match="no Parquet file"):
        cluster_out_of_core(tmp_path, 5)
    shop = write_order_lines(tmp_path / "lines", 3)
    with pytest.raises(InputError, match="3 customers with sales: too few"):
        cluster_out_of_core(shop, 5)
    shop = write_order_lines(tmp_path / "more", 40)
    with pytest.raises(InputError, match="too few for 50 clusters"):
        cluster_out_of_core(shop, 50)


def test_too_little_memory_is_said_in_one_line(shop):
    with pytest.raises(InputError, match=r"^memory_limit='1MB' is too small \(.*\)\. Use more\.$"):
        cluster_out_of_core(shop, 5, memory_limit="1MB")


@pytest.mark.parametrize(
    ("segments", "tolerance"),
    # A crowd can be cut in many ways, none of which is the best for the few who are held out.
    [(SHOPPERS, 0.01), (ONE_CROWD, 0.06)],
    ids=["segments", "one crowd"],
)
def test_the_routes_agree_on_any_shop(tmp_path, segments, tolerance):
    shop = write_order_lines(tmp_path / "lines", 8_000, segments=segments, random_state=1)
    cells, everybody, batches = (
        cluster_out_of_core(shop, 4, route=route, batch_size=2_000)
        for route in ("cells", "everybody", "batches")
    )
    assert cells.inertia == pytest.approx(everybody.inertia, rel=tolerance)
    assert batches.inertia == pytest.approx(everybody.inertia, rel=0.2)
    assert cells.inertia < 0.7 * cluster_out_of_core(shop, 1).inertia
    assert cells.sizes.sum() == everybody.sizes.sum() == batches.sizes.sum()
    assert batches.n_points == everybody.n_points > cells.n_points


def test_a_shop_of_one_crowd_is_written_and_has_one_truth(tmp_path):
    shop = write_order_lines(tmp_path / "lines", 2_000, segments=ONE_CROWD)
    truth = lines_of(shop).query("l", "SELECT DISTINCT segment FROM l").fetchall()
    assert truth == [("Everybody",)]
    rfm = rfm_table(lines_of(shop).df(), "2025-01-01")
    assert len(rfm) == 2_000
    expected = ONE_CROWD.loc["Everybody"]
    assert rfm["recency"].median() == pytest.approx(expected["recency"], rel=0.1)
    assert rfm["frequency"].median() == pytest.approx(expected["orders"], rel=0.25)


def clusters_of(lines, tmp_path):
    """Table of the customers of a file with lines, sorted by id."""
    cluster_out_of_core(lines, 4, assignments=tmp_path / "clusters.parquet")
    table = duckdb.read_parquet(str(tmp_path / "clusters.parquet")).df()
    return table.sort_values("customer_id", ignore_index=True)


def test_lines_that_stand_twice_double_the_money_and_nothing_else(shop, tmp_path):
    once = clusters_of(shop, tmp_path)
    query = "SELECT * FROM lines UNION ALL SELECT * FROM lines"
    twice = clusters_of(copy_of(shop, tmp_path / "twice.parquet", query), tmp_path)
    counts = ["customer_id", "recency", "frequency"]
    pd.testing.assert_frame_equal(once[counts], twice[counts])
    np.testing.assert_allclose(twice["monetary"], 2 * once["monetary"], rtol=1e-9)


def test_cents_give_the_clusters_of_euros_but_for_the_one_in_the_logarithm(shop, tmp_path):
    euros = clusters_of(shop, tmp_path)
    query = "SELECT * REPLACE (100 * revenue AS revenue) FROM lines"
    cents = clusters_of(copy_of(shop, tmp_path / "cents.parquet", query), tmp_path)
    assert adjusted_rand_score(euros["cluster"], cents["cluster"]) > 0.95


def rfm_of(*rows):
    return pd.DataFrame(rows, columns=FEATURES)


def test_inertia_is_the_mean_squared_distance_of_standardised_logarithms():
    # Logarithms of recency 0 and 2, so mean 1 and deviation 1; the others are constant.
    customers = rfm_of((0, 4, 9.0), (np.e**2 - 1, 4, 9.0))
    assert holdout_inertia(customers, customers) == pytest.approx(0, abs=1e-12)
    assert holdout_inertia(rfm_of((np.e - 1, 4, 9.0)), customers) == pytest.approx(1)
    assert holdout_inertia(customers[:1], customers) == pytest.approx(2)
    # What is constant keeps its unit.
    assert holdout_inertia(rfm_of((np.e - 1, 5 * np.e - 1, 9.0)), customers) == pytest.approx(2)
    with_a_third = rfm_of((0, 4, 9.0), (np.e - 1, 4, 9.0), (np.e**2 - 1, 4, 9.0))
    assert holdout_inertia(customers, with_a_third) == pytest.approx((3 / 2) / 3)


@pytest.mark.parametrize("n_customers", [3, 10, 50, 97])
def test_a_constant_feature_counts_in_its_own_unit_however_sums_are_rounded(n_customers):
    customers = rfm_of(*[(recency, 1, 7.3) for recency in range(n_customers)])
    centers = customers.assign(frequency=1 + 1e-13, monetary=7.3 - 1e-13)
    assert holdout_inertia(centers, customers) == pytest.approx(0, abs=1e-12)


def test_inertia_is_what_k_means_says_of_the_same_customers(shop):
    rfm = rfm_table(lines_of(shop).df())
    points = StandardScaler().fit_transform(logarithms(rfm))
    model = KMeans(5, n_init=1, random_state=0).fit(points)
    centers = pd.DataFrame(
        np.expm1(
            model.cluster_centers_ * logarithms(rfm).std(axis=0) + logarithms(rfm).mean(axis=0)
        ),
        columns=FEATURES,
    )
    assert holdout_inertia(centers, rfm) == pytest.approx(model.inertia_ / len(rfm), rel=1e-3)
    assert holdout_inertia(rfm.mean().to_frame().T, rfm) > 3
    one = pd.DataFrame([np.expm1(logarithms(rfm).mean(axis=0))], columns=FEATURES)
    assert holdout_inertia(one, rfm) == pytest.approx(3)


def test_cells_count_as_many_times_as_they_have_customers():
    # Two groups far apart: 3 and 1 customers, and 2; frequency is constant.
    cells = np.array([[3.0, 1.0, 2.0, 3], [3.4, 1.0, 2.4, 1], [0.5, 1.0, 7.0, 2]])
    centers, positions = cluster_cells(cells, 2)
    np.testing.assert_allclose(np.log1p(centers), [[0.5, 1.0, 7.0], [3.1, 1.0, 2.1]])
    # Recency from the best: 2 of 6 customers, 3, 1. Money from the worst: 3, 1, 2.
    old = 1 - (3 * (2 + 3 / 2) + 1 * (5 + 1 / 2)) / 4 / 6
    poor = (3 * (3 / 2) + 1 * (3 + 1 / 2)) / 4 / 6
    np.testing.assert_allclose(positions, [[5 / 6, 1 / 2, 5 / 6], [old, 1 / 2, poor]])


@pytest.mark.parametrize("k", [2, 5])
def test_cells_are_clustered_as_k_means_clusters_with_weights(k):
    rng = np.random.default_rng(0)
    cells = np.column_stack([rng.gamma(2, size=(400, 3)), rng.integers(1, 50, 400)])
    centers, _ = cluster_cells(cells, k)
    repeated = np.repeat(cells[:, :3], cells[:, 3].astype(int), axis=0)
    scaler = StandardScaler().fit(repeated)
    model = KMeans(k, n_init=20, random_state=1).fit(scaler.transform(repeated))
    distances = cdist(scaler.transform(repeated), scaler.transform(np.log1p(centers.to_numpy())))
    assert (distances.min(axis=1) ** 2).sum() == pytest.approx(model.inertia_, rel=0.005)
    assert centers["recency"].is_monotonic_increasing


def test_one_cell_is_one_cluster_and_not_two():
    cells = np.array([[1.0, 2.0, 3.0, 7.0]])
    centers, positions = cluster_cells(cells, 1)
    np.testing.assert_allclose(np.log1p(centers), cells[:, :3])
    np.testing.assert_allclose(positions, [[0.5, 0.5, 0.5]])
    with pytest.raises(InputError, match="1 different customer: too few for 2 clusters"):
        cluster_cells(cells, 2)


def test_a_real_shop_is_clustered_under_its_own_names(online_retail, tmp_path):
    file = tmp_path / "online_retail.parquet"
    query = (
        f"SELECT * FROM read_csv('{ONLINE_RETAIL}', "  # noqa: S608
        "types = {'InvoiceNo': 'VARCHAR', 'CustomerID': 'VARCHAR'})"
    )
    duckdb.sql(query).write_parquet(str(file))
    target = tmp_path / "clusters.parquet"
    result = cluster_out_of_core(file, 4, columns=RETAIL_COLUMNS, assignments=target)
    assert result.sizes.sum() == 4_338
    table = duckdb.read_parquet(str(target)).df()
    reference = rfm_table(online_retail)
    table["customer_id"] = table["customer_id"].astype(reference.index.dtype)
    assert_same_table(table.set_index("customer_id").sort_index(), reference)
    assert (nearest_centers(table, result.centers) == table["cluster"]).all()
    everybody = cluster_out_of_core(file, 4, columns=RETAIL_COLUMNS, route="everybody")
    assert result.inertia == pytest.approx(everybody.inertia, rel=0.03)


@pytest.fixture(scope="module")
def large_shop(tmp_path_factory):
    """Return a shop whose customers do not fit into 40 MB."""
    return write_order_lines(tmp_path_factory.mktemp("large") / "lines", 200_000)


def test_what_does_not_fit_into_memory_goes_to_disk_and_changes_nothing(
    large_shop, tmp_path, monkeypatch
):
    # Every thread wants memory of its own.
    connect = functools.partial(duckdb.connect, config={"threads": 2})
    monkeypatch.setattr(scale.duckdb, "connect", connect)
    tables = []
    results = []
    for memory in ("1GB", "40MB"):
        target = tmp_path / f"{memory}.parquet"
        results.append(cluster_out_of_core(large_shop, 4, memory_limit=memory, assignments=target))
        query = "SELECT customer_id, recency, frequency, cluster FROM t ORDER BY ALL"
        tables.append(duckdb.read_parquet(str(target)).query("t", query).df())
    assert_same_clusters(*results)
    pd.testing.assert_frame_equal(*tables)
    # It did go to disk: where files may not grow, the smaller memory is not enough.
    folder = tmp_path / "small"
    folder.mkdir()
    assert on_a_full_disk("1GB", 3_000_000, large_shop, folder) == [None, {}]
    assert "duckdb_temp" in on_a_full_disk("40MB", 3_000_000, large_shop, folder)[0]


# Runs in a process of its own, because limits and mounts are those of a process. Says as JSON what
# was raised, and what is left in the folder that was full.
_ON_A_FULL_DISK = """
import contextlib, functools, json, os, resource, signal, sys, tempfile
from pathlib import Path

import duckdb

from helpers import scale
from helpers.fixtures import write_order_lines
from helpers.text import InputError

what, limit, shop, folder = sys.argv[1:]
folder = Path(folder)
duckdb.connect = functools.partial(duckdb.connect, config={"threads": 2})


def fill():
    if limit != "0":
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(limit), resource.RLIM_INFINITY))


@contextlib.contextmanager
def replacing(path, original=scale.replacing):
    with original(path) as temporary:
        fill()
        yield temporary


if what == "assignments":
    (folder / "clusters.parquet").write_text("of yesterday")
    scale.replacing = replacing
else:
    fill()
    tempfile.tempdir = str(folder)
said = None
try:
    if what == "lines":
        write_order_lines(folder / "lines", 100_000)
    elif what == "assignments":
        scale.cluster_out_of_core(shop, 4, assignments=folder / "clusters.parquet")
    else:
        scale.cluster_out_of_core(shop, 4, memory_limit=what)
except InputError as error:
    said = str(error)
left = {
    str(path.relative_to(folder)): path.read_text() if path.suffix == ".parquet" else ""
    for path in folder.rglob("*")
}
os.write(1, json.dumps([said, left]).encode())
"""


def on_a_full_disk(what, limit, shop, folder, mount=()):
    """Error and files left over in a folder that is limited or mounted."""
    command = [*mount, sys.executable, "-c", _ON_A_FULL_DISK, what, str(limit), shop, folder]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def small_disk(size, folder):
    """Command that runs another one with a small disk of its own in the folder, or skip."""
    mount = f'mount -t tmpfs -o {size} tmpfs "$0" && exec "$@"'
    command = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", mount, str(folder)]
    try:
        allowed = subprocess.run([*command, "true"], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("there is no unshare to mount a small disk with")
    if allowed.returncode:
        pytest.skip(f"a small disk cannot be mounted here: {allowed.stderr.strip()}")
    return command


FULL = {
    "40MB": r"The disk of {} is full \(.*\)\. What does not fit into memory goes there: make",
    "assignments": r"assignments: the disk of {} is full\. Make room there",
    "lines": r"{}/lines: cannot be written \(.*\)\.",
}
OF_YESTERDAY = {"40MB": {}, "assignments": {"clusters.parquet": "of yesterday"}, "lines": {}}


@pytest.mark.parametrize("what", FULL)
def test_files_that_may_not_grow_are_said_in_one_line_and_leave_nothing(what, large_shop, tmp_path):
    said, left = on_a_full_disk(what, 300_000, large_shop, tmp_path)
    assert re.match(FULL[what].format(tmp_path), said)
    assert "\n" not in said
    assert left == OF_YESTERDAY[what]


@pytest.mark.parametrize(
    ("what", "size"),
    [("40MB", "16k"), ("40MB", "300k"), ("40MB", "3m"), ("assignments", "300k"), ("lines", "300k")],
)
def test_a_full_disk_is_said_in_one_line_and_leaves_nothing(what, size, large_shop, tmp_path):
    disk = small_disk(f"size={size}", tmp_path)
    said, left = on_a_full_disk(what, 0, large_shop, tmp_path, disk)
    assert re.match(FULL[what].format(tmp_path), said)
    assert "\n" not in said
    assert left == OF_YESTERDAY[what]


_PEAK = """
import re, sys
from pathlib import Path

from helpers.scale import cluster_out_of_core

cluster_out_of_core(sys.argv[1], 5, memory_limit="300MB")
print(re.search(r"VmHWM:\\s*(\\d+)", Path("/proc/self/status").read_text())[1])
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak is read from /proc")
def test_ten_times_the_lines_of_the_same_customers_take_no_more_memory(tmp_path):
    peaks = []
    for lines_per_order in (2.6, 26):
        shop = write_order_lines(
            tmp_path / f"{lines_per_order}", 25_000, lines_per_order=lines_per_order
        )
        command = [sys.executable, "-c", _PEAK, shop]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        peaks.append(int(done.stdout))
    assert peaks[1] < 1.2 * peaks[0]
