import contextlib
import html
import re
import shutil
import subprocess
import sys

import nbformat
import pytest
from click.testing import CliRunner
from course_project import ROOT, make_project
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from helpers import spark
from helpers.course.absent import without_links
from helpers.course.cli import main
from helpers.course.needs import NEEDS, why_not
from helpers.text import InputError

WHY = "There is no telescope: run `buy one`."
UNRUN = (
    "This chapter was not run for this edition. There is no telescope: run buy one. What is shown "
    "are the outputs of the course's own run with its default parameters."
)
DRAW = 'fig.savefig(f"{output_dir}/orders.png")'
LINKS = """\
Take [the orders](exports/mini/orders.csv), {download}`these <exports/mini/orders.csv>` or
{download}`exports/mini/orders.csv`, not [those](https://example.org/exports/mini/orders.csv).

![Lines of orders](exports/mini/orders.png)"""


def course(project, *words, telescope=None):
    """Run the command where the telescope is absent, or not."""
    with contextlib.chdir(project), pytest.MonkeyPatch.context() as patch:
        patch.setitem(NEEDS, "telescope", lambda: telescope)
        return CliRunner().invoke(main, words)


def text_of(page):
    """Words of a page's article, without its tags."""
    article = page.read_text().partition("<article")[2].partition("</article>")[0]
    words = html.unescape(re.sub(r"<[^>]*>", "", article)).replace("\u2019", "'")
    return " ".join(words.split())


def tree(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    """A course whose chapter mini needs a telescope, and was run by somebody who has one."""
    folder = tmp_path_factory.mktemp("needs") / "project"
    project = make_project(folder, new_code_cell(DRAW), new_markdown_cell(LINKS))
    mini = project / "notebooks" / "mini.ipynb"
    notebook = nbformat.read(mini, as_version=4)
    notebook.metadata["course"] = {"needs": "telescope"}
    nbformat.write(notebook, mini)
    plain = new_notebook(cells=[new_markdown_cell("# Plain"), new_code_cell("print(6 * 7)")])
    nbformat.write(plain, project / "notebooks" / "plain.ipynb")
    toc = project / "_toc.yml"
    toc.write_text(
        toc.read_text().replace(
            "  - file: notebooks/mini\n", "  - file: notebooks/mini\n  - file: notebooks/plain\n"
        )
    )
    welcome = project / "book" / "welcome.md"
    link = "\nMore in [a table](../notebooks/exports/mini/orders.csv) of mini.\n"
    welcome.write_text(welcome.read_text() + link)
    assert "mini: changed" in course(project, "refresh", "mini").output
    shutil.rmtree(project / "notebooks" / "exports")
    return project


@pytest.fixture
def project(template, tmp_path):
    return shutil.copytree(template, tmp_path / "project", symlinks=True)


@pytest.fixture(scope="module")
def built(template, tmp_path_factory):
    """Site for readers, and what was said while it was built."""
    project = tmp_path_factory.mktemp("built") / "project"
    shutil.copytree(template, project, symlinks=True)
    result = course(project, "build", telescope=WHY)
    assert result.exit_code == 0, result.output
    return project, project / "_build" / "default" / "html", result.output


# What a notebook needs


def test_spark_is_asked_for_by_its_own_module():
    assert NEEDS["spark"] is spark.why_absent


def test_a_notebook_says_what_it_needs(monkeypatch):
    monkeypatch.setitem(NEEDS, "telescope", lambda: WHY)
    needy = new_notebook(metadata={"course": {"needs": "telescope"}})
    assert why_not(needy, "mini") == WHY
    assert why_not(new_notebook(), "mini") is None
    assert why_not(new_notebook(metadata={"course": {}}), "mini") is None
    monkeypatch.setitem(NEEDS, "telescope", lambda: None)
    assert why_not(needy, "mini") is None


@pytest.mark.parametrize(
    ("course", "message"),
    [
        ({"needs": "sparc"}, "it needs 'sparc' (nearest: 'spark'). Known are: spark."),
        ({"needs": ["spark"]}, "it needs ['spark']"),
        ({"needs": None}, "it needs None"),
        ("spark", 'course takes names and values, such as {"needs": "spark"}.'),
    ],
)
def test_a_need_that_nobody_knows_names_the_notebook(course, message):
    with pytest.raises(InputError) as error:
        why_not(new_notebook(metadata={"course": course}), "mini")
    assert str(error.value).startswith("mini: ")
    assert message in str(error.value)


@pytest.mark.parametrize("words", [["run", "mini", "--out", "out"], ["build"], ["refresh"]])
def test_every_command_refuses_a_need_that_nobody_knows(project, words):
    mini = project / "notebooks" / "mini.ipynb"
    mini.write_text(mini.read_text().replace('"telescope"', '"telescop"'))
    before = tree(project)
    result = course(project, *words)
    assert result.exit_code == 2
    assert "mini: the metadata of the notebook say that it needs 'telescop'" in result.output
    assert tree(project) == before


# One chapter


def test_a_run_without_what_it_needs_says_why_and_writes_nothing(project):
    before = tree(project)
    result = course(project, "run", "mini", "--out", "out", telescope=WHY)
    assert result.exit_code == 2
    assert result.output == f"mini cannot run here. {WHY}\n"
    assert tree(project) == before
    assert not (project / "out").exists()


def test_with_what_it_needs_a_chapter_runs_as_any_other(project):
    assert course(project, "run", "mini", "--out", "out").exit_code == 0
    notebook = nbformat.read(project / "out" / "mini.ipynb", as_version=4)
    assert notebook.metadata.course == {"needs": "telescope"}


def test_refreshing_leaves_a_chapter_that_cannot_run(project):
    mini = project / "notebooks" / "mini.ipynb"
    mini.write_text(mini.read_text().replace("3 orders", "9 orders"))
    before = mini.read_bytes()
    result = course(project, "refresh", telescope=WHY)
    assert result.exit_code == 0
    assert f"mini: left as it is, for it cannot run here. {WHY}\n" in result.output
    assert "plain: changed" in result.output
    assert mini.read_bytes() == before


# The site


def test_a_chapter_that_cannot_run_is_shown_as_the_course_has_it(built):
    _, site, _ = built
    page = site / "notebooks" / "mini.html"
    assert '<div class="note admonition">' in page.read_text()
    said = text_of(page)
    title, note, prose = (said.index(part) for part in ("Mini", UNRUN, "so does"))
    assert title < note < prose
    assert "Not run for this edition " + UNRUN in said
    assert "3 orders in 4 segments" in said
    assert 'alt="A line that rises by one a step"' in page.read_text()
    assert '<div class="dropdown solution admonition" id="sol-more">' in page.read_text()


def test_links_to_what_it_would_have_exported_are_plain_text(built):
    _, site, _ = built
    said = text_of(site / "notebooks" / "mini.html")
    assert "{}. orders.csv" in said
    assert "Take the orders, these or exports/mini/orders.csv, not those." in said
    assert "Lines of orders" in said
    assert "More in a table of mini." in text_of(site / "book" / "welcome.html")
    assert (
        'href="https://example.org/exports/mini/orders.csv"'
        in (site / "notebooks" / "mini.html").read_text()
    )
    assert not list(site.rglob("orders.*"))


def test_other_pages_show_what_it_computed_for_the_course(built):
    _, site, _ = built
    assert "Mini counts 3 orders. It says so here." in text_of(site / "book" / "welcome.html")


def test_the_other_chapters_are_run(built):
    _, site, _ = built
    assert "42" in text_of(site / "notebooks" / "plain.html")
    assert "not run" not in text_of(site / "notebooks" / "plain.html")


def test_the_about_page_says_which_chapter_was_not_run(built):
    _, site, _ = built
    mini, _, plain = text_of(site / "book" / "about_this_edition.html").partition("Plain")
    assert UNRUN in mini
    assert 'orders "../data/orders.csv"' in mini
    assert "SHA-256" not in mini
    assert "not run" not in plain


def test_the_build_says_so_before_and_after(built):
    _, _, output = built
    lines = output.splitlines()
    assert lines[1] == f"mini: not run. {WHY}"
    assert any(line.startswith("plain: done in") for line in lines)
    assert lines[-2] == (
        f"mini was not run; its page shows the outputs of the course's own run. {WHY}"
    )
    assert "mini: cell" not in output


def test_a_build_that_lacks_nothing_says_nothing_of_it(project):
    (project / "editions" / "spring.yml").write_text("chapters: {mini: {n_segments: 5}}")
    result = course(project, "build", "spring")
    assert result.exit_code == 0, result.output
    assert "not run" not in result.output
    site = project / "_build" / "spring" / "html"
    assert "not run" not in text_of(site / "book" / "about_this_edition.html")
    assert "3 orders in 5 segments" in text_of(site / "notebooks" / "mini.html")
    assert len(list(site.glob("_downloads/*/orders.csv"))) == 1


def test_students_get_no_solution_of_it_and_instructors_an_open_one(project):
    site = project / "_build" / "default" / "html-student"
    assert course(project, "build", "--audience", "student", telescope=WHY).exit_code == 0
    found = [path for path, data in tree(site).items() if b"marmalade" in data.lower()]
    assert found == []
    assert tree(site)
    said = text_of(site / "notebooks" / "mini.html")
    assert "The solution is below, see also here." in said
    assert UNRUN in said
    assert course(project, "build", "--audience", "instructor", telescope=WHY).exit_code == 0
    page = (site.with_name("html-instructor") / "notebooks" / "mini.html").read_text()
    assert '<div class="solution admonition" id="sol-more">' in page


def test_parameters_for_a_chapter_that_cannot_run_are_refused_before_anything_runs(project):
    (project / "editions" / "spring.yml").write_text("chapters: {plain: {}, mini: {n_segments: 5}}")
    result = course(project, "build", "spring", telescope=WHY)
    assert result.exit_code == 2
    assert result.output == (
        "Building the edition spring.\n"
        "mini cannot run here, so the parameters that the edition spring gives it cannot be "
        f"followed. {WHY} Do that, or leave the chapter or its parameters out of the edition.\n"
    )
    assert not (project / "_build" / "spring").exists()


def test_an_edition_may_name_it_without_parameters(project):
    (project / "editions" / "spring.yml").write_text("chapters: {mini: {}}")
    result = course(project, "build", "spring", telescope=WHY)
    assert result.exit_code == 0, result.output
    site = project / "_build" / "spring" / "html"
    assert UNRUN in text_of(site / "notebooks" / "mini.html")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[x](exports/a/t.csv)", "x"),
        ("[x](./exports/a/b/t.csv)", "x"),
        ("[x](<../notebooks/exports/a/t.csv>)", "x"),
        ("![`x`](exports/a/t.png)", "`x`"),
        ("{download}`x <exports/a/t.csv>`", "x"),
        ("{download}`exports/a/t.csv`", "exports/a/t.csv"),
        ("[x](exports/ab/t.csv)", "[x](exports/ab/t.csv)"),
        ("[x](my-exports/a/t.csv)", "[x](my-exports/a/t.csv)"),
        ("[x](https://a.org/exports/a/t.csv)", "[x](https://a.org/exports/a/t.csv)"),
        ("[x](y.md) and exports/a/t.csv", "[x](y.md) and exports/a/t.csv"),
    ],
)
def test_only_links_to_its_exports_become_text(text, expected):
    assert without_links(text, folders={"exports/a"}) == expected


# The comparison of its cells

CONFTEST = """

from helpers.course.needs import NEEDS

NEEDS["telescope"] = lambda: {!r}
"""


def compare(folder, why, *, needs="telescope", kernel="python3"):
    """Compare the cells of a notebook as ``make test`` does; return the run of pytest."""
    cell = new_code_cell("print(6 * 7)", execution_count=1)
    cell.outputs = [new_output("stream", name="stdout", text="42\n")]
    notebook = new_notebook(cells=[cell, new_code_cell("1", execution_count=2)])
    notebook.cells[1].outputs = [new_output("execute_result", {"text/plain": "1"})]
    notebook.metadata.course = {"needs": needs}
    notebook.metadata.kernelspec = {"name": kernel, "display_name": kernel}
    nbformat.write(notebook, folder / "far.ipynb")
    conftest = (ROOT / "conftest.py").read_text() + CONFTEST.format(why)
    (folder / "conftest.py").write_text(conftest)
    command = [sys.executable, "-m", "pytest", "--nbval", "-rs", "--rootdir", ".", "far.ipynb"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def test_cells_that_cannot_run_are_skipped_without_a_kernel(tmp_path):
    done = compare(tmp_path, WHY, kernel="of nobody")
    assert done.returncode == 0, done.stdout
    assert "2 skipped" in done.stdout
    assert f": {WHY}" in done.stdout


def test_cells_that_can_run_are_compared(tmp_path):
    done = compare(tmp_path, None)
    assert done.returncode == 0, done.stdout
    assert "2 passed" in done.stdout


def test_a_need_that_nobody_knows_stops_the_comparison(tmp_path):
    done = compare(tmp_path, WHY, needs="telescop")
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert "far: the metadata of the notebook say that it needs 'telescop'" in done.stderr
