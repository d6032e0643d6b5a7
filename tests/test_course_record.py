import copy
import gzip
import json
from html import unescape

import duckdb
import numpy as np
import pytest
from course_project import make_project
from markdown_it import MarkdownIt
from PIL import Image
from sklearn.cluster import KMeans

from helpers import export
from helpers.course.about import record_page
from helpers.course.edition import Edition
from helpers.course.markdown import as_code, as_row, as_text
from helpers.course.record import (
    _data_record,
    changes,
    edition_record,
    holding,
    read_record,
)

HOSTILE = [
    "`a`",
    "``",
    " ",
    "a|b",
    "<script>alert(1)</script>",
    "{glue:text}`x`",
    "{{ title }}",
    "two\nlines\n\n# and a heading",
    "$x$",
    "[a](javascript:alert(1))",
    "![a](http://example.org/x.png)",
    "\\",
    "\\`",
    ":::{raw} html",
    "&lt;b&gt;",
    "\x00\x1b[31m\u202e\u2028",
]


def record(**chapter):
    mini = {
        "chapter": "mini",
        "heading": "Mini",
        "notebook": "abc",
        "parameters": {"k": 4, "random_state": 42},
        "defaults": {},
        "data": {"orders": {"file": "a.csv", "sha256": "0" * 64, "rows": 3}},
        "metrics": {"customers": 100, "inertia": {"all": 1.5}},
        "decisions": {"segments": "K = 4"},
        **chapter,
    }
    other = {**copy.deepcopy(mini), "chapter": "other", "heading": "Other"}
    return {
        "edition": "spring",
        "title": None,
        "author": None,
        "audience": "reader",
        "chapters": [mini, other],
        "versions": {"python": "3.12.1", "numpy": "2.2.0"},
    }


# What is recorded


@pytest.fixture
def project(tmp_path):
    return make_project(tmp_path / "project")


def test_a_record_says_what_went_in_and_what_came_out(project, tmp_path):
    (tmp_path / "mini").mkdir(parents=True)
    exported = tmp_path / "exports" / "mini"
    exported.mkdir(parents=True)
    results = {"metrics": {"customers": 3}, "decisions": {"K": "4"}, "inputs": {}}
    (exported / "run_record.json").write_text(json.dumps(results))
    edition = Edition(name="x", title="T", base=project)
    made = edition_record(
        project,
        edition,
        "student",
        {"mini": {"n_segments": 4, "share": 0.25}},
        {},
        exports=tmp_path,
        timings={"mini": (1.26, True)},
    )
    assert read_record(json.loads(json.dumps(made))) == made
    assert (made["edition"], made["title"], made["audience"]) == ("x", "T", "student")
    [mini] = made["chapters"]
    assert mini["parameters"]["share"] == 0.25
    assert mini["parameters"]["currency"] == "£"
    assert mini["defaults"] == {"n_segments": 4, "share": 0.5}
    assert mini["data"]["orders"]["rows"] == 2  # of three lines one is the header
    assert (mini["metrics"], mini["decisions"]) == ({"customers": 3}, {"K": "4"})
    assert (mini["seconds"], mini["reused"]) == (1.3, True)


def test_of_a_chapter_that_was_not_run_neither_data_nor_results_are_recorded(project):
    edition = Edition(name="x", base=project)
    made = edition_record(project, edition, "reader", {"mini": {}}, {"mini": "No Java."})
    assert made["chapters"][0]["data"] == {}
    assert made["chapters"][0]["not_run"] == "No Java."


@pytest.mark.parametrize("content", ["", "[]", '{"metrics": 3}', "\x00"])
def test_an_export_that_is_no_record_has_no_results(project, tmp_path, content):
    path = tmp_path / "exports" / "mini" / "run_record.json"
    path.parent.mkdir(parents=True)
    path.write_text(content)
    made = edition_record(
        project, Edition(name="x", base=project), "reader", {"mini": {}}, {}, exports=tmp_path
    )
    assert made["chapters"][0]["metrics"] == {}


def test_how_much_each_kind_of_file_holds_is_told(tmp_path):
    def held(name, data):
        (tmp_path / name).write_bytes(data)
        return holding(_data_record(tmp_path / name))

    rows = b'a,b\n1,"two\nlines"\n\n3,4\n'
    assert held("a.csv", rows) == "2 rows"
    assert held("a.csv.gz", gzip.compress(rows)) == "2 rows"
    assert held("zip.csv", gzip.compress(rows)) == "2 rows"
    assert held("empty.csv", b"") == "0 rows"
    assert held("cut.csv.gz", gzip.compress(rows * 50)[:40]) == ""
    assert held("long.csv", b'a\n"' + b"x" * 200_000) == ""
    assert held("a.json", b"{}") == "JSON"
    assert held("plays.yml", b"") == "YAML"
    assert held("what.bin", b"\x00") == ""
    assert held("broken.skops", b"PK") == ""
    Image.new("RGB", (30, 20)).save(tmp_path / "a.png")
    assert holding(_data_record(tmp_path / "a.png")) == "30 by 20 pixels"
    (tmp_path / "parts").mkdir()
    for n in (3, 4):
        duckdb.sql(f"COPY (FROM range({n})) TO '{tmp_path}/parts/{n}.parquet' (FORMAT parquet)")
    assert holding(_data_record(tmp_path / "parts")) == "7 rows"
    assert holding(_data_record(tmp_path / "parts" / "3.parquet")) == "3 rows"
    model = KMeans(2, n_init=1).fit(np.arange(6.0).reshape(-1, 1))
    card = export.model_card(
        model,
        export.run_record(inputs={}, parameters={}, metrics={}, decisions={}),
        purpose="none",
        limits=["all"],
    )
    export.write_model(model, tmp_path / "model.skops", card)
    assert "KMeans" in holding(_data_record(tmp_path / "model.skops"))


# What has changed


def test_the_same_record_has_no_changes():
    assert changes(record(), record()) == []


@pytest.mark.parametrize(
    ("chapter", "sentence"),
    [
        ({"parameters": {"k": 5, "random_state": 42}}, "parameter `k` `4` → `5`."),
        ({"parameters": {"k": True, "random_state": 42}}, "parameter `k` `4` → `true`."),
        ({"parameters": {"random_state": 42}}, "parameter `k` is gone; it was `4`."),
        ({"notebook": "abd"}, "the notebook itself has changed."),
        (
            {"metrics": {"customers": 90, "inertia": {"all": 1.5}}},
            "`customers` `100` → `90` (-10.0%).",
        ),
        (
            {"metrics": {"customers": 100, "inertia": {"all": 1.50000001}}},
            "`inertia: all` `1.5` → `1.50000001` (+0.0%).",
        ),
        ({"decisions": {"segments": "K = 5"}}, '`segments` `"K = 4"` → `"K = 5"`.'),
        ({"decisions": {"segments": "K = 4", "why": "so"}}, '`why` is new: `"so"`.'),
        (
            {"data": {"orders": {"file": "a.csv", "sha256": "1" * 64, "rows": 1200}}},
            "the data given as `orders` have changed (digest: `000000000000` → `111111111111`; "
            "holds: 3 rows → 1,200 rows).",
        ),
        (
            {"data": {"orders": {"file": "b.csv", "sha256": "0" * 64, "rows": 3}}},
            "the data given as `orders` are called `b.csv`, not `a.csv`.",
        ),
        ({"data": {"orders": {"name": "drawn"}}}, "(file: `a.csv` → `drawn`; digest: "),
        ({"not_run": "No Java."}, "it was not run this time."),
    ],
)
def test_each_change_of_a_chapter_is_told_with_what_it_was(chapter, sentence):
    now = record()
    now["chapters"][0] |= chapter
    [said] = changes(record(), now)
    assert said.startswith("*Mini*: ")
    assert sentence in said


@pytest.mark.parametrize(
    ("number", "same"),
    [
        (0.1 + 0.2, True),
        (0.3, True),
        (0.30000001, False),
        (-0.3, False),
        (0, False),
        (10**400, False),
    ],
)
def test_numbers_are_the_same_up_to_the_order_of_adding(number, same):
    before, now = record(metrics={"x": 0.3}), record(metrics={"x": number})
    now["chapters"][1] = before["chapters"][1]
    assert (changes(before, now) == []) is same


def test_a_whole_number_may_be_written_with_a_point():
    assert changes(record(metrics={"x": 3}), record(metrics={"x": 3.0})) == []


def test_what_differs_only_behind_the_digits_shown_is_told_in_full():
    [said, _] = changes(record(metrics={"x": 1.0}), record(metrics={"x": 1.00000001}))
    assert "`1.0` → `1.00000001`" in said


def test_chapters_that_came_went_and_moved_are_told():
    before, now = record(), record()
    now["chapters"].reverse()
    assert changes(before, now) == ["The order of the chapters has changed: *Other* and *Mini*."]
    now["chapters"] = [{**before["chapters"][0], "chapter": "third", "heading": "Third"}]
    assert changes(before, now) == ["New: *Third*.", "No longer in it: *Mini* and *Other*."]


def test_words_and_versions_that_changed_are_told():
    now = record() | {"title": "A `title`", "audience": "student", "versions": {"numpy": "2.3.0"}}
    assert changes(record(), now) == [
        "The title is `` A `title` ``; it was that of the book.",
        "The audience is `student`; it was `reader`.",
        r"Version of python: 3\.12\.1 → not recorded.",
        r"Version of numpy: 2\.2\.0 → 2\.3\.0.",
    ]


def test_of_very_many_changes_some_are_told_and_the_others_counted():
    before, now = record(), record()
    before["chapters"][0]["metrics"] = {str(n): n for n in range(100)}
    now["chapters"][0]["metrics"] = {str(n): n + 1 for n in range(100)}
    said = changes(before, now)
    assert len(said) == 21
    assert said[-1] == "*Mini*: 80 more numbers or decisions."


@pytest.mark.parametrize("content", [None, [], {}, {"chapters": [3]}, record(metrics=3), "x"])
def test_what_is_no_record_is_compared_with_nothing(content):
    assert read_record(content) is None
    assert "This is the first build" in record_page(record(), content)


# What the page says


def test_the_page_tells_changes_or_that_there_are_none():
    assert "This is the first build of this edition here" in record_page(record())
    assert "Nothing has changed since the previous build." in record_page(record(), record())
    before = record()
    before["chapters"][0]["parameters"]["k"] = 3
    assert "- *Mini*: parameter `k` `3` → `4`." in record_page(record(), before)


def test_what_the_edition_sets_comes_first_and_is_marked():
    page = record_page(record(parameters={"a": 1, "b": 2, "c": 3}, defaults={"c": 4, "b": 2}))
    rows = [line for line in page.splitlines() if line.startswith("| `")][:3]
    assert rows == [
        "| `b` | `2` | **this edition** |",
        "| `c` | `3` | **this edition**, not `4` |",
        "| `a` | `1` | the chapter |",
    ]


def test_seeds_are_named_together():
    now = record()
    now["chapters"][1]["parameters"]["random_state"] = 7
    page = record_page(now)
    assert "- `random_state` = `42`: *Mini*\n- `random_state` = `7`: *Other*\n" in page
    assert "- `random_state` = `42`: *Mini* and *Other*\n" in record_page(record())
    assert "Seeds" not in record_page(record(parameters={}))


def test_timings_say_of_which_build_they_are():
    assert "Timings" not in record_page(record())
    now = record(seconds=61.26, reused=False)
    now["chapters"][1] |= {"seconds": 2.0, "reused": True}
    page = record_page(now)
    assert "| Mini | 61.3 | in this build |" in page
    assert "| Other | 2.0 | in an earlier build, reused |" in page


@pytest.mark.parametrize("text", HOSTILE)
def test_whatever_a_value_is_the_page_shows_it_and_does_nothing_else(text):
    now = record(
        parameters={"k": text},
        defaults={"k": text},
        data={"orders": {"file": text, "sha256": "0" * 64, "rows": 3}},
        metrics={text: text},
        decisions={"d": [text]},
    )
    now["title"] = now["author"] = text
    before = record(heading=text)
    html = MarkdownIt("commonmark").enable("table").render(record_page(now, before))
    tags = {part.split(">")[0].split()[0] for part in html.split("<")[1:]}
    plain = {"p", "h1", "h2", "em", "strong", "code", "ul", "li", "table", "thead", "tbody"}
    plain |= {"tr", "th", "td"}
    assert tags <= plain | {f"/{tag}" for tag in plain}
    assert html.count("<h1>") == 1
    assert html.count("<tr>") == 2 * 2 + 3
    for cell in html.split("<tr>")[1:]:
        assert cell.count("<td>") in (0, 2, 3)


@pytest.mark.parametrize("text", HOSTILE)
def test_code_text_and_table_cells_show_what_they_were_given(text):
    visible = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    read = MarkdownIt("commonmark").enable("table")
    assert unescape(read.renderInline(as_code(text))) == f"<code>{visible}</code>" or text == " "
    if text.strip():
        assert unescape(read.renderInline(as_text(text))).strip() == visible.strip()
    table = read.render(f"| a |\n| --- |\n{as_row(as_code(text))}\n")
    assert f"<code>{visible}</code>" in unescape(table) or text == " "


def test_a_long_value_is_shown_without_its_middle():
    assert as_code("a" * 1_000_000) == "`" + "a" * 150 + " … " + "a" * 150 + "`"
