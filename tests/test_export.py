import csv
import hashlib
import importlib.metadata
import io
import json
import os
import pickle
import platform
import zipfile

import numpy as np
import pandas as pd
import pytest
import skops.io
from matplotlib.figure import Figure
from numpy.testing import assert_array_equal
from pandas.testing import assert_frame_equal
from PIL import Image
from scipy.sparse import coo_array
from sklearn.ensemble import IsolationForest
from sklearn.exceptions import InconsistentVersionWarning
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.tree._tree import Tree

from helpers import export
from helpers.export import (
    ModelVersionWarning,
    model_card,
    read_card,
    read_model,
    run_record,
    write_csv,
    write_figure,
    write_json,
    write_model,
)
from helpers.segmentation import CustomerSegmenter
from helpers.text import InputError

OURS = [CustomerSegmenter]
FEATURES = ["recency", "frequency", "monetary"]
PURPOSE = "Place customers in segments."
LIMITS = ["Says what customers did, not why.", "Knows one shop."]

# write_csv


def cells(table, tmp_path):
    """Write a table with one column and return its cells, read by Python's own csv module."""
    text = write_csv(table, tmp_path / "table.csv").read_bytes().decode()
    _, *rows = csv.reader(io.StringIO(text, newline=""))
    return [row[0] for row in rows]


@pytest.mark.parametrize(
    "kind",
    [
        lambda texts: pd.Series(texts, dtype="str"),
        lambda texts: pd.Series(texts, dtype=object),
        lambda texts: pd.Series(texts, dtype="category"),
    ],
    ids=["str", "object", "category"],
)
@pytest.mark.parametrize(
    "formula",
    [
        '=HYPERLINK("http://example.org")',
        "+1+cmd|' /C calc'!A0",
        "-1+2",
        "@SUM(A1)",
        "\t=1",
        "-",
        "--1",
        "-1e5",
        "-1.000,00",
    ],
)
def test_what_a_spreadsheet_would_run_becomes_text(tmp_path, kind, formula):
    table = pd.DataFrame({"name": kind([formula, "plain"])})
    assert cells(table, tmp_path) == ["'" + formula, "plain"]


@pytest.mark.parametrize(
    "text",
    [
        "harmless\n=1+1",
        "harmless\r\n=1+1",
        "harmless\r=1+1",
        "\r=1+1",
    ],
)
def test_no_line_begins_inside_a_cell(tmp_path, text):
    first, second = cells(pd.DataFrame({"name": [text, "x"]}), tmp_path)
    assert first[0] in "'h"
    assert second == "x"


@pytest.mark.parametrize("text", ["-5", "-5.25", "+7", "a=b", "a-b", "'=1", "", "1e5", "é €"])
def test_other_text_and_plain_numbers_in_text_stay(tmp_path, text):
    assert cells(pd.DataFrame({"name": [text, "x"]}), tmp_path) == [text, "x"]


def test_numbers_dates_and_truths_stay(tmp_path):
    table = pd.DataFrame(
        {
            "whole": [-1, 2],
            "real": [-1e-7, 2.5],
            "true": [True, False],
            "day": pd.to_datetime(["2024-01-31", "2024-02-01"]),
        }
    )
    path = write_csv(table, tmp_path / "table.csv")
    assert path.read_bytes() == (
        b"whole,real,true,day\n-1,-1e-07,True,2024-01-31\n2,2.5,False,2024-02-01\n"
    )


@pytest.mark.parametrize("dtype", ["str", object, "category"])
def test_missing_values_stay_empty(tmp_path, dtype):
    table = pd.DataFrame({"name": pd.Series(["=1", None, "x"], dtype=dtype), "n": [1, 2, 3]})
    path = write_csv(table, tmp_path / "table.csv")
    assert path.read_text() == "name,n\n'=1,1\n,2\nx,3\n"


def test_an_empty_table_is_its_header(tmp_path):
    table = pd.DataFrame({"name": pd.Series(dtype="str"), "n": pd.Series(dtype=float)})
    assert write_csv(table, tmp_path / "t.csv").read_text() == "name,n\n"


def test_the_name_of_a_column_becomes_text_too(tmp_path):
    path = write_csv(pd.DataFrame({"=1+1": [1]}), tmp_path / "table.csv")
    assert path.read_text() == "'=1+1\n1\n"


def test_the_table_is_not_changed(tmp_path):
    table = pd.DataFrame({"name": ["=1", None], "kind": pd.Categorical(["=2", "x"])})
    before = table.copy()
    write_csv(table, tmp_path / "table.csv")
    assert_frame_equal(table, before)


# Half a file is no file


def card_of(model, record=None, **options):
    record = record or run_record(inputs={}, parameters={}, metrics={}, decisions={})
    return model_card(model, record, **{"purpose": PURPOSE, "limits": LIMITS, **options})


def write(model, path, **options):
    """Write a model with a card of its own."""
    return write_model(model, path, card_of(model, **options))


class Torn:
    """Writes a few bytes, whatever it is asked for, and fails."""

    def savefig(self, path, **options):
        path.write_bytes(b"PNG")
        raise OSError("disk full")


@pytest.mark.parametrize(
    "write_badly",
    [
        lambda path: write_figure(Torn(), path),
        lambda path: write((row for row in "no file can hold a generator"), path),
        lambda path: write_json({"a": 1, "b": float("nan")}, path),
        lambda path: write_json({"a": 1, "b": {1, 2}}, path),
    ],
    ids=["figure", "model", "not finite", "not JSON"],
)
def test_a_failure_leaves_the_old_file_and_no_other(tmp_path, write_badly):
    path = tmp_path / "result.bin"
    path.write_text("old")
    with pytest.raises((OSError, TypeError, ValueError, AttributeError)):
        write_badly(path)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_figure_has_the_resolution_asked_for(tmp_path):
    figure = Figure(figsize=(2, 1))
    figure.subplots().plot([1, 2])
    path = write_figure(figure, tmp_path / "figure.png", dpi=50)
    with Image.open(path) as image:
        assert image.format == "PNG"
        assert image.info["dpi"] == pytest.approx((50, 50), abs=0.1)


# Models


@pytest.fixture(scope="module")
def model(rfm):
    return CustomerSegmenter(n_segments=4).fit(rfm)


@pytest.fixture
def path(model, tmp_path):
    return write(model, tmp_path / "model.skops")


def test_a_model_read_back_says_the_same(model, path, rfm):
    again = read_model(path, OURS)
    assert_array_equal(again.predict(rfm), model.predict(rfm))
    assert_frame_equal(again.profiles_, model.profiles_)
    assert_frame_equal(again.centers_, model.centers_)


def test_a_model_that_chose_its_k_comes_back_with_the_evidence(tmp_path, rfm):
    chosen = CustomerSegmenter().fit(rfm.iloc[:200])
    again = read_model(write(chosen, tmp_path / "model.skops"), OURS)
    assert_frame_equal(again.k_evidence_, chosen.k_evidence_)


@pytest.mark.parametrize("part", [0, 0.01, 0.5, 0.99])
def test_a_part_of_a_model_is_refused(path, part):
    content = path.read_bytes()
    path.write_bytes(content[: int(part * len(content))])
    with pytest.raises(InputError, match=r"^model\.skops: is not a model .* Run the chapter again"):
        read_model(path, OURS)


def test_an_altered_byte_is_refused_or_without_effect(path, model, rfm):
    content = path.read_bytes()
    refused = 0
    for place in np.random.default_rng(0).integers(len(content), size=40):
        altered = bytearray(content)
        altered[place] ^= 0xFF
        path.write_bytes(altered)
        try:
            again = read_model(path, OURS)
        except InputError:
            refused += 1
        else:
            assert_array_equal(again.predict(rfm), model.predict(rfm))
    assert refused > 20


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(InputError, match=r"^absent\.skops: .*No such file"):
        read_model(tmp_path / "absent.skops")


class Trap:
    """Makes a directory when it is unpickled."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return os.mkdir, (self.path,)


def test_a_pickle_is_refused_and_not_run(tmp_path):
    trap = pickle.dumps(Trap(tmp_path / "trapped"))
    (tmp_path / "model.skops").write_bytes(trap)
    with pytest.raises(InputError, match="is not a model of this course"):
        read_model(tmp_path / "model.skops")
    assert not (tmp_path / "trapped").exists()
    pickle.loads(trap)  # noqa: S301
    assert (tmp_path / "trapped").exists(), "or the trap would prove nothing"


@pytest.mark.parametrize(
    ("function", "name"), [(os.mkdir, r"posix\.mkdir"), (eval, r"builtins\.eval")]
)
def test_a_model_with_a_foreign_function_is_refused_by_its_name(tmp_path, function, name):
    path = write(FunctionTransformer(function), tmp_path / "model.skops")
    with pytest.raises(InputError, match=rf"holds {name}, which .* not among .* was not loaded"):
        read_model(path, OURS)


def test_the_type_of_a_chapter_has_to_be_trusted_by_name(path):
    with pytest.raises(
        InputError, match=r"holds helpers\.segmentation\.CustomerSegmenter, which is"
    ):
        read_model(path)


def test_a_model_of_scikit_learn_needs_no_trust(tmp_path, rfm):
    scaler = StandardScaler().fit(rfm)
    again = read_model(write(scaler, tmp_path / "scaler.skops"))
    assert_array_equal(again.transform(rfm), scaler.transform(rfm))


def test_compiled_parts_of_scikit_learn_can_be_trusted(tmp_path, rfm):
    "skops refuses trees unless it is told otherwise"
    forest = IsolationForest(n_estimators=3, random_state=0).fit(rfm)
    path = write(forest, tmp_path / "forest.skops")
    with pytest.raises(InputError, match=r"holds sklearn\.tree\._tree\.Tree, which is not among"):
        read_model(path)
    again = read_model(path, trusted=[Tree])
    assert_array_equal(again.score_samples(rfm), forest.score_samples(rfm))


def test_equal_models_are_equal_files(tmp_path, rfm, monkeypatch):
    "Fitted twice, written at different times"
    first, again = (
        write(CustomerSegmenter(3).fit(rfm), tmp_path / f"{name}.skops")
        for name in ("first", "again")
    )
    monkeypatch.setattr("time.time", lambda: 2e9)
    late = write(CustomerSegmenter(3).fit(rfm), tmp_path / "late.skops")
    other = write(CustomerSegmenter(3).fit(rfm.iloc[1:]), tmp_path / "other.skops")
    purpose = write(CustomerSegmenter(3).fit(rfm), tmp_path / "purpose.skops", purpose="Another.")
    assert first.read_bytes() == again.read_bytes() == late.read_bytes()
    assert first.read_bytes() != other.read_bytes()
    assert first.read_bytes() != purpose.read_bytes()


def test_what_is_no_estimator_is_refused(tmp_path):
    path = write({"a": 1}, tmp_path / "model.skops")
    with pytest.raises(InputError):
        read_model(path)


# The card of a model


def test_a_card_says_what_the_model_is_for_and_what_it_was_made_of(model, tmp_path):
    (tmp_path / "orders.csv").write_text("a,b\n")
    record = run_record(
        inputs={"orders": tmp_path / "orders.csv"},
        parameters={"columns": {"customer_id": "Client"}},
        metrics={"customers": np.int64(3)},
        decisions={"K": "because"},
    )
    card = card_of(model, {**record, "model": "what a record does not have"})
    assert card == {
        "model": "helpers.segmentation.CustomerSegmenter",
        "features": FEATURES,
        "purpose": PURPOSE,
        "limits": LIMITS,
        **record,
        "reference": None,
    }
    assert type(card["metrics"]["customers"]) is int
    assert card["versions"]["skops"] == skops.__version__


@pytest.mark.parametrize(
    "first_steps",
    [
        [],
        ["passthrough"],
        [FunctionTransformer(feature_names_out=lambda _, names: ["log " + name for name in names])],
    ],
    ids=["one step", "the second", "renamed since"],
)
def test_a_pipeline_has_the_features_of_its_first_step_that_knows_them(rfm, first_steps):
    pipeline = make_pipeline(*first_steps, StandardScaler()).set_output(transform="pandas")
    assert card_of(pipeline.fit(rfm))["features"] == FEATURES


def test_a_model_fitted_without_names_has_no_features(rfm):
    assert card_of(make_pipeline(StandardScaler()).fit(rfm.to_numpy()))["features"] == []


@pytest.mark.parametrize(
    "wrong",
    [{"purpose": ""}, {"limits": []}, {"limits": "Knows one shop."}],
)
def test_a_card_without_purpose_or_limits_is_not_made(model, wrong):
    with pytest.raises(ValueError, match="wants a purpose and a list of limits"):
        card_of(model, **wrong)


def test_a_card_with_what_json_cannot_say_is_not_made(model):
    record = run_record(inputs={}, parameters={}, metrics={"s": float("nan")}, decisions={})
    with pytest.raises(ValueError, match="JSON compliant"):
        card_of(model, record)


def test_a_table_of_reference_is_kept_by_its_bare_name_and_its_digest(model, tmp_path):
    'SHA-256 of "abc" as in FIPS 180-2, appendix B.1'
    (tmp_path / "segments.csv").write_bytes(b"abc")
    given = {"table": tmp_path / "segments.csv", "days": np.int64(366), "last_day": "2024-12-31"}
    assert card_of(model, reference=given)["reference"] == {
        "table": "segments.csv",
        "sha256": "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
        "days": 366,
        "last_day": "2024-12-31",
    }
    with pytest.raises(FileNotFoundError):
        card_of(model, reference={"table": tmp_path / "absent.csv"})


def test_a_card_comes_back_as_it_was_and_skops_passes_over_it(model, tmp_path, rfm):
    card = card_of(model, purpose='Été, 1.5 € or "so".')
    path = write_model(model, tmp_path / "model.skops", card)
    assert read_card(path) == card
    assert read_card(str(path)) == card
    assert not (card.keys() & {"sha256"}), "the card that was given is not changed"
    plainly = skops.io.load(path, trusted=OURS)
    assert_array_equal(plainly.predict(rfm), model.predict(rfm))


def test_a_model_is_not_written_with_the_card_of_another_or_with_none(model, tmp_path, rfm):
    card = card_of(model)
    with pytest.raises(
        ValueError, match=r"card of a helpers\.segmentation\.CustomerSegmenter on a"
    ):
        write_model(StandardScaler().fit(rfm), tmp_path / "model.skops", card)
    for part in set(card) - {"reference"}:
        lacking = {name: value for name, value in card.items() if name != part}
        with pytest.raises(ValueError, match=f"the model card has no {part}"):
            write_model(model, tmp_path / "model.skops", lacking)
    with pytest.raises(ValueError, match="the model card has no"):
        write_model(model, tmp_path / "model.skops", None)
    assert not list(tmp_path.iterdir())


# What happened to a file since it was written


def members(path):
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def pack(path, contents, compression=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in contents.items():
            archive.writestr(name, content)


def an_array(contents):
    return next(name for name in contents if name.endswith(".npy"))


def replace(contents):
    name = an_array(contents)
    contents[name] = contents[name][:-1] + bytes([contents[name][-1] ^ 1])


def swap(contents):
    one, other = [name for name in contents if name.endswith(".npy")][:2]
    contents[one], contents[other] = contents[other], contents[one]


def add(contents):
    contents["more.npy"] = b""


def remove(contents):
    del contents[an_array(contents)]


def rename(contents):
    "So that the order of the names stays"
    name = an_array(contents)
    contents[name.replace(".", "0.")] = contents.pop(name)


def rename_class(contents):
    schema = json.loads(contents["schema.json"])
    contents["schema.json"] = json.dumps({**schema, "__class__": "Other"}).encode()


def shorten_limits(contents):
    card = json.loads(contents["card.json"])
    contents["card.json"] = json.dumps({**card, "limits": card["limits"][:1]}).encode()


def drop_digest(contents):
    card = json.loads(contents["card.json"])
    del card["sha256"]
    contents["card.json"] = json.dumps(card).encode()


@pytest.mark.parametrize(
    "change", [replace, swap, add, remove, rename, rename_class, shorten_limits, drop_digest]
)
def test_a_file_that_was_altered_since_is_refused(path, change):
    contents = members(path)
    pack(path, contents)
    assert read_card(path)["purpose"] == PURPOSE, "packing alone alters nothing"
    change(contents)
    pack(path, contents)
    for read in (read_card, lambda path: read_model(path, OURS)):
        with pytest.raises(
            InputError, match=r"^model\.skops: was altered .* Run the chapter again"
        ):
            read(path)


@pytest.mark.parametrize("read", [read_card, lambda path: read_model(path, OURS)])
def test_a_byte_flipped_in_any_member_is_noticed(path, read):
    content = path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        places = archive.infolist()
    for place in places:
        altered = bytearray(content)
        begin = content.index(place.filename.encode(), place.header_offset) + len(place.filename)
        altered[begin + place.file_size // 2] ^= 1
        path.write_bytes(altered)
        with pytest.raises(InputError, match=f"is damaged .*{place.filename}"):
            read(path)


def test_a_model_without_a_card_is_refused(model, tmp_path):
    path = tmp_path / "model.skops"
    skops.io.dump(model, path)
    for read in (read_card, lambda path: read_model(path, OURS)):
        with pytest.raises(InputError, match=r"^model\.skops: has no model card.* Run the chapter"):
            read(path)


@pytest.mark.parametrize(
    "card",
    [b"", b"{}", b"[]", b"null", b"card", b"\xff", b'{"model": NaN}', b"[" * 100_000, b"9" * 5_000],
)
def test_what_is_no_card_is_refused(path, card):
    pack(path, {**members(path), "card.json": card})
    with pytest.raises(InputError, match=r"^model\.skops: is not a model of this course"):
        read_card(path)


def test_an_archive_of_something_else_is_refused(tmp_path, path):
    pack(path, {"a.txt": b"a", "card.json": members(path)["card.json"]})
    with pytest.raises(InputError):
        read_card(path)
    pack(path, {"a.txt": b"a"})
    with pytest.raises(InputError, match=r"^model\.skops: is not a model of this course"):
        read_card(path)


def test_two_members_of_one_name_are_refused(path):
    contents = members(path)
    with zipfile.ZipFile(path, "a") as archive, pytest.warns(UserWarning, match="Duplicate name"):
        archive.writestr(an_array(contents), contents[an_array(contents)])
    with pytest.raises(InputError, match="two members of one name"):
        read_card(path)


# More than a machine can hold


@pytest.fixture
def nothing_is_read(monkeypatch):
    def fail(*_):
        raise AssertionError("a member was read")

    monkeypatch.setattr(zipfile.ZipFile, "read", fail)
    monkeypatch.setattr(zipfile.ZipFile, "open", fail)


def declare(path, name, size):
    """Make an archive say that a member has so many bytes."""
    content = bytearray(path.read_bytes())
    directory = content.rindex(b"PK\x01\x02", 0, content.rindex(name.encode()))
    content[directory + 20 : directory + 28] = 2 * size.to_bytes(4, "little")
    path.write_bytes(content)


def test_a_member_declared_huge_is_refused_before_anything_is_read(path, request):
    name = an_array(members(path))
    declare(path, name, 2_000_000_000)
    request.getfixturevalue("nothing_is_read")
    with pytest.raises(
        InputError, match=r"^model\.skops: declares 2,000,0\d\d,\d+ bytes; .* most 1,000,000,000"
    ):
        read_card(path)


def test_members_that_are_huge_together_are_refused(path, request):
    contents = {**members(path), "a": b"a", "b": b"b", "c": b"c"}
    pack(path, contents)
    for name in "abc":
        declare(path, name, 400_000_000)
    request.getfixturevalue("nothing_is_read")
    with pytest.raises(InputError, match="declares 1,200,0"):
        read_model(path, OURS)


def test_a_compressed_archive_is_refused_before_anything_is_read(path, request):
    pack(path, members(path), zipfile.ZIP_DEFLATED)
    request.getfixturevalue("nothing_is_read")
    with pytest.raises(InputError, match=r"^model\.skops: is compressed, .* It was not read\. Use"):
        read_model(path, OURS)


def test_a_file_beyond_the_limit_is_not_opened(path, nothing_is_read, monkeypatch):
    monkeypatch.setattr(export, "MAX_MODEL", path.stat().st_size - 1)
    monkeypatch.setattr(zipfile, "ZipFile", None)
    with pytest.raises(InputError, match=r"declares .* bytes; a model may have at most"):
        read_card(path)


def test_what_a_sparse_matrix_unpacks_to_counts(tmp_path, rfm, monkeypatch):
    "It is an archive of its own, and compressed"
    scaler = StandardScaler().fit(rfm)
    zeros = np.zeros(100_000, dtype=int)
    scaler.sparse_ = coo_array((zeros, (zeros, zeros)), shape=(1, 1))
    path = write(scaler, tmp_path / "model.skops")
    assert read_model(path, [coo_array]).sparse_.nnz == len(zeros)
    monkeypatch.setattr(export, "MAX_MODEL", 3 * zeros.nbytes)
    assert path.stat().st_size < zeros.nbytes
    with pytest.raises(InputError, match=r"declares .* bytes"):
        read_model(path, [coo_array])


# Nothing runs


class Loud:
    """Makes a directory when it is loaded."""

    def __init__(self, path):
        self.path = path

    def __setstate__(self, state):
        os.mkdir(state["path"])  # noqa: PTH102


def test_types_are_checked_before_anything_is_loaded(tmp_path, rfm):
    scaler = StandardScaler().fit(rfm)
    scaler.extra_ = Loud(str(tmp_path / "loaded"))
    path = write(scaler, tmp_path / "model.skops")
    for trusted in ([], OURS):
        with pytest.raises(InputError, match=r"holds test_export\.Loud, .* was not loaded"):
            read_model(path, trusted)
    assert read_card(path)["purpose"] == PURPOSE
    assert not (tmp_path / "loaded").exists()
    read_model(path, [Loud])
    assert (tmp_path / "loaded").exists(), "or the type would prove nothing"


# Versions


def install(monkeypatch, **versions):
    """Let packages seem to have other versions; underscores are hyphens."""
    versions = {name.replace("_", "-"): version for name, version in versions.items()}
    real = importlib.metadata.version
    monkeypatch.setattr(
        importlib.metadata,
        "version",
        lambda name: versions[name] if name in versions else real(name),
    )


@pytest.mark.parametrize("package", ["scikit-learn", "numpy", "skops"])
@pytest.mark.parametrize("older", ["0.1.9", "0.0.dev3"])
def test_a_model_of_newer_packages_is_refused_with_both_versions(path, monkeypatch, package, older):
    written = importlib.metadata.version(package)
    minor = ".".join(written.split(".")[:2])
    install(monkeypatch, **{package: older})
    with pytest.raises(InputError) as caught:
        read_model(path, OURS)
    message = str(caught.value)
    assert f"model.skops: was written with {package} {written} (installed: {older})." in message
    assert f"(pip install '{package}>={minor}')" in message
    assert read_card(path)["versions"][package] == written


def test_a_model_of_older_packages_loads_and_says_so_once(path, model, rfm, monkeypatch):
    written = {name: importlib.metadata.version(name) for name in ("scikit-learn", "skops")}
    install(monkeypatch, scikit_learn="1.100.0", skops="9.0")
    with pytest.warns(ModelVersionWarning) as caught:
        again = read_model(path, OURS)
    (warning,) = caught
    assert warning.filename == __file__
    assert str(warning.message).startswith(
        f"model.skops: was written with scikit-learn {written['scikit-learn']} (installed: 1.100.0)"
        f" and skops {written['skops']} (installed: 9.0)."
    )
    assert_array_equal(again.predict(rfm), model.predict(rfm))


def test_the_third_number_of_a_version_and_other_packages_do_not_matter(tmp_path, rfm, monkeypatch):
    "Warnings are errors here, scikit-learn's too"
    scaler = StandardScaler().fit(rfm)
    minor = importlib.metadata.version("scikit-learn").rpartition(".")[0]
    with monkeypatch.context() as patch:
        patch.setattr("sklearn.base.__version__", f"{minor}.99")
        path = write(scaler, tmp_path / "scaler.skops")
    with pytest.warns(InconsistentVersionWarning):
        skops.io.load(path)
    install(monkeypatch, scikit_learn=f"{minor}.98", pandas="99.0", scipy="0.1")
    read_model(path)


@pytest.mark.parametrize("version", [None, 3, "", "new"])
def test_a_card_without_a_version_is_refused(model, tmp_path, version):
    record = run_record(inputs={}, parameters={}, metrics={}, decisions={})
    record["versions"]["numpy"] = version
    path = write_model(model, tmp_path / "model.skops", card_of(model, record))
    with pytest.raises(InputError, match="is not a model of this course, or is damaged"):
        read_model(path, OURS)


# Features


def test_features_are_compared_without_their_order(path, rfm):
    for features in (FEATURES, FEATURES[::-1], rfm.columns, np.array(FEATURES), set(FEATURES)):
        read_model(path, OURS, features=features)


@pytest.mark.parametrize(
    ("features", "said"),
    [
        (FEATURES[:2], "Missing: 'monetary'. Give"),
        ([*FEATURES, "tenure"], "Unknown to it: 'tenure'. Give"),
        (
            ["Recency", "frequency", "money"],
            "Missing: 'recency' (nearest: 'Recency') and 'monetary' (nearest: 'money'). "
            "Unknown to it: 'Recency' (nearest: 'recency') and 'money' (nearest: 'monetary'). Give",
        ),
        (np.array(["recency", "frequency", "x"]), "Missing: 'monetary'. Unknown to it: 'x'. Give"),
        ([], "Missing: 'recency', 'frequency' and 'monetary'. Give"),
    ],
    ids=["missing", "extra", "misspelt", "array", "none"],
)
def test_other_features_are_refused_by_name(path, features, said):
    with pytest.raises(InputError) as caught:
        read_model(path, OURS, features=features)
    message = str(caught.value)
    assert message.startswith("model.skops: wants the features recency, frequency and monetary. ")
    assert said in message


def test_features_are_not_compared_with_a_model_that_knows_none(tmp_path, rfm):
    path = write(StandardScaler().fit(rfm.to_numpy()), tmp_path / "scaler.skops")
    with pytest.raises(InputError, match=r"^scaler\.skops: was fitted without names of features"):
        read_model(path, features=FEATURES)
    read_model(path)


# The record of a run


def test_numpy_numbers_are_written_as_plain_ones(tmp_path):
    record = {
        "whole": np.int64(3),
        "real": np.float64(0.5),
        "short": np.float32(0.25),
        "true": np.bool_(True),
        "list": [np.int8(1), None, "é"],
    }
    text = write_json(record, tmp_path / "run.json").read_text(encoding="utf-8")
    assert json.loads(text) == {
        "whole": 3,
        "real": 0.5,
        "short": 0.25,
        "true": True,
        "list": [1, None, "é"],
    }
    assert text.endswith("}\n")
    assert "é" in text


@pytest.mark.parametrize(
    "number", [float("nan"), float("inf"), np.float64("nan"), np.float32("-inf")]
)
def test_a_number_that_json_cannot_say_is_refused(tmp_path, number):
    with pytest.raises(ValueError, match="JSON compliant"):
        write_json({"silhouette": number}, tmp_path / "run.json")


def test_what_is_no_number_is_refused_by_its_type(tmp_path):
    with pytest.raises(TypeError, match="Timestamp cannot be written as JSON"):
        write_json({"day": pd.Timestamp("2024-01-31")}, tmp_path / "run.json")


def test_the_digest_of_a_file_is_its_published_one(tmp_path):
    'SHA-256 of "abc" as in FIPS 180-2, appendix B.1'
    (tmp_path / "abc.csv").write_bytes(b"abc")
    record = run_record(
        inputs={"orders": tmp_path / "abc.csv"}, parameters={}, metrics={}, decisions={}
    )
    assert record["inputs"] == {
        "orders": {
            "file": "abc.csv",
            "sha256": "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
        }
    }


def test_two_files_of_one_name_are_both_in_the_record(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "x.csv").write_text(name)
    inputs = {"orders": tmp_path / "a/x.csv", "image": str(tmp_path / "b/x.csv")}
    record = run_record(inputs=inputs, parameters={}, metrics={}, decisions={})["inputs"]
    assert [entry["file"] for entry in record.values()] == ["x.csv", "x.csv"]
    assert record["orders"]["sha256"] != record["image"]["sha256"]


def test_a_file_of_many_blocks_has_one_digest(tmp_path):
    content = np.random.default_rng(0).bytes(3_000_001)
    (tmp_path / "large.bin").write_bytes(content)
    record = run_record(
        inputs={"image": tmp_path / "large.bin"}, parameters={}, metrics={}, decisions={}
    )
    assert record["inputs"]["image"]["sha256"] == hashlib.sha256(content).hexdigest()


def entries(path):
    return run_record(inputs={"orders": path}, parameters={}, metrics={}, decisions={})["inputs"]


def test_the_digest_of_a_folder_is_that_of_what_sha256sum_prints(tmp_path):
    """
    mkdir -p parts/y=2 && cd parts && printf abc >a.csv && printf '' >b.csv && printf a >y=2/a.csv
    sha256sum a.csv b.csv y=2/a.csv | sha256sum
    """
    parts = tmp_path / "parts"
    (parts / "y=2").mkdir(parents=True)
    (parts / "y=2" / "a.csv").write_text("a")
    (parts / "b.csv").write_text("")
    (parts / "a.csv").write_text("abc")
    (parts / ".a.csv.crc").write_text("hidden")
    digest = "da4be612a80db39c9c1d6a1445129b320ef627c23910b2b1d3c2b7e167d165e9"
    assert entries(parts) == {"orders": {"folder": "parts", "files": 3, "sha256": digest}}
    assert entries(str(parts / "y=2" / ".."))["orders"]["folder"] == "parts"
    (tmp_path / "link").symlink_to(parts)
    assert entries(tmp_path / "link")["orders"]["sha256"] == digest


def test_what_is_no_file_is_recorded_by_its_name_and_no_missing_file_is(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert entries("generated") == {"orders": {"name": "generated"}}
    for missing in ("./mine/orders.csv", tmp_path / "orders.csv"):
        with pytest.raises(FileNotFoundError):
            entries(missing)


@pytest.mark.parametrize("change", ["content", "name", "more", "fewer"])
def test_another_folder_has_another_digest(tmp_path, change):
    for name in ("a.csv", "b.csv"):
        (tmp_path / name).write_text(name)
    before = entries(tmp_path)["orders"]["sha256"]
    match change:
        case "content":
            (tmp_path / "a.csv").write_text("c")
        case "name":
            (tmp_path / "a.csv").rename(tmp_path / "c.csv")
        case "more":
            (tmp_path / "c.csv").write_text("")
        case "fewer":
            (tmp_path / "b.csv").unlink()
    assert entries(tmp_path)["orders"]["sha256"] != before


def test_a_record_holds_what_it_was_given_the_versions_and_nothing_of_place_or_time(tmp_path):
    for name in ("here", "there"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "orders.csv").write_text("a,b\n")
    given = {"parameters": {"n": 4}, "metrics": {"s": 0.5}, "decisions": {"K": "because"}}
    here, there = (
        run_record(inputs={"orders": tmp_path / name / "orders.csv"}, **given)
        for name in ("here", "there")
    )
    assert here == there
    assert given.items() <= here.items()
    assert set(here) == {"inputs", "parameters", "metrics", "decisions", "versions"}
    assert here["versions"]["python"] == platform.python_version()
    assert here["versions"]["scikit-learn"] == importlib.metadata.version("scikit-learn")
    assert str(tmp_path) not in json.dumps(here)
