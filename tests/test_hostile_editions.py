"""Editions that somebody wrote to do harm: a harmless page, or one clear message."""

import time

import nbformat
import pytest
from bs4 import BeautifulSoup
from click.testing import CliRunner
from course_project import make_project
from nbformat.v4 import new_code_cell

from helpers.course.cli import main

SECONDS = 20  # for a message; on a busy machine

MARKUP = [
    "<script>alert(1)</script>",
    "<iframe src=//example.org></iframe>",
    "<img src=x onerror=alert(1)>",
    "</code></pre><script>alert(1)</script>",
    "{{ config }} {% raw %}",
    "{glue:text}`mini::n` {download}`/etc/passwd` {raw}`x`",
    ":::{raw} html",
    "```{include} /etc/passwd",
    "[x](javascript:alert(1)) ![y](http://example.org/y.png)",
    "a | b ` c `` d $x$ \\ *e* _f_ # g",
]


def course(*words):
    began = time.monotonic()
    result = CliRunner().invoke(main, words)
    return result, time.monotonic() - began


def files(folder):
    "Every file outside the folder of builds, with what is in it."
    found = (path for path in folder.rglob("*") if "_build" not in path.parts)
    return {path: path.read_bytes() if path.is_file() else b"" for path in found}


@pytest.fixture
def project(tmp_path, monkeypatch):
    folder = make_project(tmp_path / "a" / "project")
    monkeypatch.chdir(folder)
    return folder


NESTED = "chapters: {mini: {columns: " + "{a: " * 40 + "1" + "}" * 40 + "}}"
BOMB = "a: &a [x, x]\nb: &b [*a, *a]\nc: &c [*b, *b]\ntitle: *c"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name: ../../x", "name takes lower-case letters"),
        ("name: /tmp/x", "name takes lower-case letters"),
        ('name: "x\\n"', "name takes lower-case letters"),
        ("name: " + "x" * 61, "name takes lower-case letters"),
        ("chapters: {../../etc/passwd: {}}", "There is no chapter '../../etc/passwd'"),
        ("chapters: {../notebooks/mini: {}}", "There is no chapter '../notebooks/mini'"),
        ('chapters: {"mini\\0": {}}', "There is no chapter 'mini\\x00'"),
        ("chapters: {mini: {output_dir: ../../out}}", "output_dir is chosen by the build"),
        ("chapters: {mini: {orders: /etc}}", "'/etc' is a folder; give one file in it"),
        ("chapters: {mini: {orders: ../../../no/such}}", "there is no file '../../../no/such'"),
        ('chapters: {mini: {orders: "a\\0b"}}', "orders takes text of one line, not 'a\\x00b'"),
        ('chapters: {mini: {currency: "a\\e[31mb"}}', "currency takes text of one line, not"),
        ('chapters: {mini: {columns: {"a\\nb": c}}}', "columns takes text of one line, not"),
        ('chapters: {mini: {currency: "\\ud800"}}', "spring.yml"),
        ("title: !!python/object/apply:os.system [touch pwned]", "could not determine"),
        ("chapters: {mini: {currency: !!python/name:os.system }}", "could not determine"),
        (BOMB, "line 2: aliases are not supported"),
        ("title: &a [*a]", "aliases are not supported"),
        ("title: a\ntitle: b", "line 2: 'title' is given twice"),
        ("chapters: {mini: {}, mini: {}}", "'mini' is given twice"),
        (NESTED, "values lie within values more than 20 deep"),
        ("[" * 50_000, "values lie within values more than 20 deep"),
        ("title: " + "x" * 1_000_000, "1,000,007 characters are too many"),
        ("title: " + "x" * 90_000, "title takes one line of text, at most 200 characters"),
        ("x" * 1_000 + ": 1", "There is no setting 'xxx"),
        ("? " + "x" * 90_000 + "\n: 1", "There is no setting 'xxx"),
        ("chapters: {mini: {currency: " + "x" * 90_000 + "}}", "takes at most 10,000 bytes"),
        ("chapters: {mini: {" + "x" * 900 + ": 1}}", "There is no parameter 'xxx"),
        ("\n".join(f"k{n}: 1" for n in range(9_000)), "There is no setting 'k0'"),
        ("title: a\0b", "not readable as YAML"),
        ("title: a\x07b", "not readable as YAML"),
        (b"title: \xff\xfe\xfd", "spring.yml cannot be read"),
        (b"\xff\xfet\0i\0t\0l\0e\0", "spring.yml cannot be read"),
        ("<script>alert(1)</script>: 1", "There is no setting '<script>alert(1)</script>'"),
        ("title: <script>alert(1)</script>", "without < and >"),
        ("author: <b>me</b>", "without < and >"),
        ("repository: 'https://github.com/a/b\"><script>'", "owner and name of a repository"),
        ("- 1", "write name: value lines"),
        ("--- a\n--- b", "spring.yml, line 2"),
    ],
    ids=str,
)  # fmt: skip
def test_it_is_refused_in_seconds_with_one_message_and_nothing_is_written(project, text, message):
    path = project / "editions" / "spring.yml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass"))
    before = files(project.parents[1])
    for verb in ("check", "build"):
        result, seconds = course(verb, str(path))
        assert result.exit_code == 2, result.output
        assert message in result.output
        assert "Traceback" not in result.output
        assert len(result.output) < 200_000
        assert all(len(line) < 1_100 for line in result.output.splitlines())
        assert all(line.isprintable() for line in result.output.splitlines())
        assert seconds < SECONDS
    assert files(project.parents[1]) == before
    assert not (project / "_build").exists()


def active(page):
    "Elements and attributes of a page by which it could do something."
    scripts = [script.get("src") or script.get_text() for script in page.select("script")]
    handlers = [
        (name, value)
        for element in page.select("*")
        for name, value in element.attrs.items()
        if name.startswith("on") or str(value).lower().strip().startswith("javascript:")
    ]
    others = page.select("iframe, object, embed, base, meta[http-equiv], [src^=http], [src^='//']")
    return scripts, handlers, [str(element) for element in others]


def pages(site):
    return {
        path.relative_to(site).as_posix(): BeautifulSoup(path.read_text(), "html.parser")
        for path in site.rglob("*.html")
    }


SHOWN = """\
from IPython.display import Markdown
from myst_nb import glue

from helpers.text import money

glue("n_orders", "3", display=False)
print(currency, columns, orders)
Markdown(f"It costs {money(5, currency)}.")"""


def test_text_of_an_edition_never_becomes_active(tmp_path, monkeypatch):
    project = make_project(tmp_path / "project")
    path = project / "notebooks" / "mini.ipynb"
    notebook = nbformat.read(path, as_version=4)
    notebook.cells[3] = new_code_cell(SHOWN, id="cell-04")
    nbformat.write(notebook, path)
    monkeypatch.chdir(project)
    plain, hostile = (project / "editions" / f"{name}.yml" for name in ("plain", "hostile"))
    plain.write_text("title: Ours\nauthor: Me\nchapters: {mini: {currency: x, columns: {a: b}}}\n")
    words = " ".join(MARKUP).replace("'", "''")
    line = words.replace("<", "(").replace(">", ")")[:190]
    hostile.write_text(
        f"title: '{line}'\nauthor: '{line}'\n"
        f"chapters: {{mini: {{currency: '{words}', columns: {{'{words}': '{words}'}}}}}}\n"
    )
    for edition in (plain, hostile):
        result, _ = course("build", str(edition))
        assert result.exit_code == 0, result.output
    sites = [pages(project / "_build" / name / "html") for name in ("plain", "hostile")]
    assert sites[0].keys() == sites[1].keys()
    for name, page in sites[1].items():
        assert active(page) == active(sites[0][name]), name
    chapter = sites[1]["notebooks/mini.html"].get_text()
    assert chapter.count("<script>alert(1)</script>") >= 4
    assert "It costs <script>alert(1)</script> <iframe src=//example.org></iframe>" in chapter
    assert "root:" not in chapter


NAMES = [
    "with space.csv",
    "quo'te\".csv",
    "br[ack](et){s}.csv",
    "{{ x }}.csv",
    "-rf.csv",
    "Äé漢.csv",
    "<b onerror=x> $x$ #1 %20 &amp; `tick` | {glue:text}`x`.csv",
]


def test_a_file_of_any_name_is_read_and_named(project):
    path = project / "editions" / "spring.yml"
    for name in NAMES:
        (project / "editions" / name).write_text("a\nb\n")
        quoted = name.replace("'", "''")
        path.write_text(f"chapters: {{mini: {{orders: '{quoted}'}}}}", encoding="utf-8")
        result, _ = course("check", "spring")
        assert result.exit_code == 0, result.output
    result, _ = course("build", "spring")
    assert result.exit_code == 0, result.output
    html = project / "_build" / "spring" / "html"
    about = BeautifulSoup((html / "book" / "about_this_edition.html").read_text(), "html.parser")
    assert f"The file {name}, given as orders, has" in " ".join(about.get_text().split())
    assert not about.select("article b, article [onerror]")


def test_a_name_with_a_line_break_is_refused(project):
    (project / "editions" / "two\nlines.csv").write_text("a\n")
    path = project / "editions" / "spring.yml"
    path.write_text('chapters: {mini: {orders: "two\\nlines.csv"}}')
    result, _ = course("check", "spring")
    assert result.exit_code == 2
    assert "orders takes text of one line" in result.output


def test_links_are_followed_to_read_and_never_to_write(project, tmp_path):
    target = tmp_path / "elsewhere.csv"
    target.write_text("a\nb\nc\nd\n")
    (project / "editions" / "link.csv").symlink_to(target)
    (project / "editions" / "nowhere.csv").symlink_to(tmp_path / "not there")
    (project / "editions" / "loop.csv").symlink_to(project / "editions" / "loop.csv")
    path = project / "editions" / "spring.yml"
    for name in ("nowhere.csv", "loop.csv"):
        path.write_text(f"chapters: {{mini: {{orders: {name}}}}}")
        result, _ = course("check", "spring")
        assert result.exit_code == 2, result.output
        assert name in result.output
    path.write_text("chapters: {mini: {orders: link.csv}}")
    before = files(tmp_path)
    result, _ = course("build", "spring")
    assert result.exit_code == 0, result.output
    assert files(tmp_path) == before
    page = (project / "_build" / "spring" / "html" / "notebooks" / "mini.html").read_text()
    assert "<strong>4 orders</strong>" in page
    assert str(tmp_path) not in page
