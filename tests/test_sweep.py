"""The sweep leaves no parameter out, meets every pair, and would notice what is wrong."""

import base64

import pytest
from chapter_runs import ROOT
from nbformat.v4 import new_code_cell, new_notebook, new_output
from PIL import Image
from sweep import (
    FAULT,
    REFUSED,
    RUNS,
    Outcome,
    Row,
    never_run,
    rows_of,
    run_row,
    summary,
    uncovered,
    what_is_wrong_with,
)
from sweep_data import write_files
from sweep_invariants import (
    faults_of_exports,
    faults_of_page,
    faults_of_pictures,
    faults_of_record,
    read_back,
)
from sweep_levels import SWEEPS, File, Sweep, each

from helpers.course.needs import why_not
from helpers.course.parameters import chapter_path, chapters, read_notebook, read_parameters

CHAPTERS = chapters(ROOT)


def without_levels(sweep, names):
    """Parameters that a sweep does not vary, or of which it tries nothing beyond the border."""
    groups = [*sweep.factors, sweep.alone]
    return {
        name
        for name in names
        if name not in sweep.free
        and not (
            any(len({repr(level.get(name)) for level in levels}) > 1 for levels in groups)
            and any(name in level for level in sweep.beyond)
        )
    }


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_every_parameter_has_levels_and_some_beyond_the_border(chapter):
    known = {parameter.name for parameter in parameters_of(chapter)}
    sweep = SWEEPS[chapter]
    missing = without_levels(sweep, known) | {
        name for name in sweep.free if not any(name in level for level in every_level(sweep))
    }
    assert not missing, f"{missing} of {chapter} have no levels in tests/sweep_levels.py"
    assert {name for level in every_level(sweep) for name in level} <= known


def every_level(sweep):
    return [*(level for levels in sweep.factors for level in levels), *sweep.beyond, *sweep.alone]


def parameters_of(chapter):
    return read_parameters(read_notebook(chapter_path(ROOT, chapter)))


def test_a_parameter_without_levels_is_noticed():
    sweep = Sweep(factors=[each("k", 1, 2), each("seed", 1)], beyond=[{"k": 0}, {"seed": -1}])
    assert without_levels(sweep, {"k", "seed", "new"}) == {"seed", "new"}
    assert without_levels(Sweep(factors=[each("k", 1, 2)], beyond=[]), {"k"}) == {"k"}


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_every_pair_of_levels_meets_in_a_row(chapter, monkeypatch):
    assert uncovered(chapter) == []
    rows = rows_of(chapter)
    assert len({row.name for row in rows}) == len(rows)
    assert [row.given for row in rows_of(chapter)] == [row.given for row in rows]
    monkeypatch.setattr("sweep.rows_of", lambda _: rows[1:])
    assert uncovered(chapter)


def test_a_level_beyond_the_border_is_alone_in_its_row():
    first = SWEEPS["image_compression"].first()
    given = [row.given for row in rows_of("image_compression") if row.kind == "beyond"]
    changed = [{name for name in row if row[name] != first.get(name)} for row in given]
    assert {"n_colors"} in changed
    assert max(map(len, changed)) == 2  # dithering is refused for one kind of picture only


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sweep")
    write_files(folder)
    return folder


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_the_files_of_sensible_levels_are_written(chapter, files):
    levels = [level for levels in SWEEPS[chapter].factors for level in levels]
    named = {value for level in levels for value in level.values() if isinstance(value, File)}
    assert not [name for name in named if not (files / name).exists()]


# Quick ones of every chapter that reach far: what is odd in a file, and a border of a parameter.
SAMPLE = {
    "customer_segmentation": ({"orders": File("ties.csv"), "n_segments": 3}, {"n_segments": 11}),
    "network_anomalies": ({"flows": File("silent.flows.csv"), "min_samples": 2}, {"eps": 1e-9}),
    "image_compression": ({"image": File("row.png"), "n_colors": [2, 256]}, {"n_colors": [0]}),
    "clustering_at_scale": (
        {"n_customers": 2_000, "n_clusters": 10},
        {"memory_limit": "1MB", "n_customers": 2_000},
    ),
    "clustering_on_spark": (None, {"spark_master": "lokal", "n_customers": 2_000}),
    "stability_and_drift": (
        {"orders": File("spring.csv"), "control_orders": "drawn", "flows": "none"},
        {"window_days": 400},
    ),
}


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_a_sample_of_the_sweep(chapter, files, tmp_path):
    "Of the chapter on Spark a refusal only: it takes a minute and a half, and has its own tests."
    if why := why_not(read_notebook(chapter_path(ROOT, chapter)), chapter):
        pytest.skip(why)
    right, wrong = SAMPLE[chapter]
    rows = [Row(chapter, "beyond", "beyond", wrong)]
    rows += [Row(chapter, "alone", "alone", right)] if right else []
    outcomes = [run_row(row, files, tmp_path / row.name) for row in rows]
    assert [(done.kind, done.said) for done in outcomes if done.kind == FAULT] == []
    assert [done.kind for done in outcomes] == [REFUSED, RUNS][: len(rows)]


def test_what_runs_beyond_the_border_and_what_is_refused_within_are_faults(files, tmp_path):
    for kind, given in (("beyond", {"image": File("pixel.png")}), ("alone", {"n_colors": [0]})):
        done = run_row(Row("image_compression", kind, kind, given), files, tmp_path / kind)
        assert done.kind == FAULT
        assert "was to" in done.said
        assert (tmp_path / kind).is_dir()


def test_a_run_that_does_not_end_is_a_fault(files, tmp_path, monkeypatch):
    monkeypatch.setattr("sweep.SECONDS", 0.5)
    row = Row("image_compression", "slow", "pairs", {"image": File("noise.png")})
    done = run_row(row, files, tmp_path / "slow")
    assert (done.kind, done.said) == (FAULT, "it was not done after 0.5 seconds")


@pytest.mark.parametrize(
    ("message", "wrong"),
    [
        ("n_colors is [0]. Use 1 to 8 whole numbers.", []),
        ("graphic.png: has no colours. Use another.", []),
        ("The value is bad. Use another.", ["neither a parameter"]),
        ("n_colors is bad.", ["what to do"]),
        ("n_colorses is bad. Use another.", ["neither a parameter"]),
        ("n_colors: Traceback (most recent call last). Use another.", ["traceback"]),
    ],
)
def test_a_refusal_has_to_say_what_is_wrong_and_what_to_do(message, wrong, tmp_path):
    given = {**SWEEPS["image_compression"].first(), "n_colors": [0]}
    row = Row("image_compression", "beyond-1", "beyond", given)
    found = what_is_wrong_with(message, row, tmp_path / "out")
    assert len(found) == len(wrong)
    assert all(words in sentence for words, sentence in zip(wrong, found, strict=True))
    assert what_is_wrong_with(message, row, tmp_path)[-1] == "something was exported"


def test_a_level_that_never_ran_is_told():
    rows = [row for row in rows_of("image_compression") if row.kind == "pairs"]
    dither = SWEEPS["image_compression"].factors.index(each("dither", False, True))
    outcomes = [Outcome(row, REFUSED if row.levels[dither] == 1 else RUNS, "", 1.0) for row in rows]
    assert never_run(outcomes) == ["{'dither': True} ran in no row"]
    table = summary({"image_compression": outcomes})
    n_refused = sum(row.levels[dither] == 1 for row in rows)
    assert table.splitlines()[1].split()[1:4] == [str(len(rows) - n_refused), str(n_refused), "0"]


def page(source, text, *, tags=("remove-input",), kind="text/markdown"):
    output = new_output("display_data", {kind: text})
    cell = new_code_cell(source, metadata={"tags": list(tags)}, outputs=[output])
    return new_notebook(cells=[cell])


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("The mean is 3.0, none of them is infinite. None emerged.", None),
        (r"$\chi^2_{B-1}$ and `{a: b}`", None),
        (":::{admonition} Pitfall\nText.\n:::", None),
        ("The mean is nan.", "says nan"),
        ("It grows by inf %.", "says inf"),
        ("It grows by -inf%.", "says -inf"),
        ("Missed: None of 5", None),
        ("by None.", "says None"),
        ("since NaT", "says NaT"),
        ("of <NA> customers", "says <NA>"),
        ("The mean is {mean}.", "unfilled"),
        (" ", "there are none"),
    ],
)
def test_holes_in_sentences_are_found(text, wrong):
    found = faults_of_page(page("Markdown(told)", text))
    assert (wrong is None and not found) or (len(found) == 1 and wrong in found[0])


def test_holes_in_tables_are_found_but_for_those_of_the_file():
    assert faults_of_page(page("table", "a\n0 NaN", tags=(), kind="text/plain"))
    assert not faults_of_page(page("x = 1\nraw.head()", "a\n0 NaN", tags=(), kind="text/plain"))
    printing = page("x", "3", tags=())
    printing.cells[0].outputs = [new_output("stream", name="stdout", text="3")]
    assert faults_of_page(printing) == ["cell 1 prints"]


def test_blank_pictures_are_found(tmp_path):
    for color, blank in (((255, 255, 255), True), (None, False)):
        image = Image.new("RGB", (4, 4), color or (0, 0, 0))
        if color is None:
            image.putpixel((1, 1), (255, 0, 0))
        image.save(tmp_path / "one.png")
        with (tmp_path / "one.png").open("rb") as file:
            content = base64.b64encode(file.read()).decode()
        assert bool(faults_of_pictures(page("x", content, kind="image/png"), tmp_path)) == blank


def test_a_slider_is_blank_rightly_if_the_pictures_that_it_shows_have_one_colour(tmp_path):
    exports = tmp_path / "image_compression"
    exports.mkdir()
    Image.new("RGB", (4, 4)).save(tmp_path / "black.png")
    content = base64.b64encode((tmp_path / "black.png").read_bytes()).decode()
    figure, slider = (page("x", content, kind="image/png") for _ in range(2))
    slider.cells[0].outputs[0].data["text/html"] = '<img class="frames-beside" src="...">'
    fault = ["the picture of cell 1 is blank"]
    assert faults_of_pictures(slider, exports) == fault
    Image.new("RGBA", (4, 4)).save(exports / "compressed_2.png")
    assert faults_of_pictures(slider, exports) == []
    assert faults_of_pictures(figure, exports) == fault
    two = Image.new("RGB", (4, 4))
    two.putpixel((1, 1), (9, 0, 0))
    two.save(exports / "compressed_4.png")
    assert faults_of_pictures(slider, exports) == fault


def test_exports_have_to_be_named_be_there_and_be_what_they_say(tmp_path):
    folder = tmp_path / "shop"
    folder.mkdir()
    (folder / "table.csv").write_text("a,b\n1,2\n")
    links = page("Markdown(x)", "* [table.csv](shop/table.csv)")
    assert faults_of_exports(links, tmp_path, "shop") == []
    (folder / "more.json").write_text("{}")
    assert "more.json was exported" in faults_of_exports(links, tmp_path, "shop")[0]
    (folder / "more.json").unlink()
    (folder / "table.csv").write_text("a,b\n1,inf\n")
    assert "infinite" in faults_of_exports(links, tmp_path, "shop")[0]
    (folder / "table.csv").unlink()
    assert "is not there" in faults_of_exports(links, tmp_path, "shop")[0]


@pytest.mark.parametrize(
    ("name", "content"),
    [("a.json", '{"a": NaN}'), ("a.png", "no picture"), ("a.skops", "no model"), ("a.xyz", "")],
)
def test_a_file_that_cannot_be_read_back_is_an_error(name, content, tmp_path):
    (tmp_path / name).write_text(content)
    with pytest.raises(Exception, match=r".") as caught:
        read_back(tmp_path / name)
    assert caught.type is not AssertionError


def test_the_record_has_to_be_about_this_run():
    values = {p.name: p.default for p in parameters_of("image_compression")}
    record = {
        "inputs": {"image": {"file": values.pop("image")}},
        "parameters": {name: value for name, value in values.items() if name != "output_dir"},
    }
    assert faults_of_record(record, "image_compression", {}) == []
    assert len(faults_of_record(record, "image_compression", {"n_colors": "[3]"})) == 1
    assert len(faults_of_record(record, "image_compression", {"image": "a/other.png"})) == 1
    del record["parameters"]["dither"]
    assert faults_of_record(record, "image_compression", {}) == ["the record does not have dither"]
