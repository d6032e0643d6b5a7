"""The reference follows from the program: nobody edits the page when the program changes."""

import click
import nbformat
import pytest
from bs4 import BeautifulSoup
from course_project import ROOT, make_project
from pydantic import Field

from helpers.course import cli, reference
from helpers.course.book import read_toc, toc_chapters
from helpers.course.edition import FIELDS, Edition
from helpers.course.parameters import chapter_path, read_notebook, read_parameters
from helpers.course.reference import reference_page
from helpers.course.site import build_site

CHAPTERS = toc_chapters(read_toc(ROOT))


@pytest.fixture(scope="module")
def page():
    return reference_page(ROOT, CHAPTERS, cli.main)


def section(page, heading):
    return page.split(f"\n### {heading}\n")[1].split("\n### ")[0].split("\n## ")[0]


def test_every_verb_is_there_with_its_options_defaults_and_example(page):
    for name, command in cli.main.commands.items():
        text = section(page, f"`course {name}`")
        assert f"\ncourse {name} [OPTIONS]" in text
        assert "Example" in text
        for option in command.params:
            if isinstance(option, click.Option):
                assert f"| `{option.opts[0]}" in text
    assert r"Chapters at a time\.  \[default\: 2" in section(page, "`course build`")
    assert r"`--audience [student\|instructor\|reader]`" in section(page, "`course build`")
    assert "\n  3  watch   the rows have changed" in section(page, "`course monitor`")
    assert "--help" not in page
    assert "\b" not in page


def test_every_exit_code_is_there(page):
    text = page.split("\n## ")[1].split("\n### ")[0]
    for code in (cli.DONE, cli.FAILED, cli.BAD_INPUT, cli.INTERRUPTED):
        assert f"\n  {code} " in text
    for name, code in cli.DECIDED.items():
        assert f"\n  {code}  {name} " in section(page, "`course monitor`")


def test_every_setting_is_there(page):
    rows = page.split("## Settings of an edition")[1].split("\n## ")[0]
    for name in FIELDS:
        assert f"\n| `{name}` | " in rows
    assert '\n| `audience` | student, instructor, reader | `"reader"` | ' in rows
    assert "\n| `chapters` | dict | `{}` | " in rows
    assert "\n| `title` | str | that of the book | " in rows


def test_every_parameter_of_every_chapter_is_there(page):
    rows = page.split("## Parameters of the chapters")[1]
    for chapter in CHAPTERS:
        own = rows.split(f"Its name is `{chapter}`.")[1].split("\n### ")[0]
        known = read_parameters(read_notebook(chapter_path(ROOT, chapter)))
        assert own.count("\n| `") == len(known)
        for parameter in known:
            assert f"\n| `{parameter.name}` | `{parameter.annotation}` | `" in own


def test_a_verb_that_is_added_appears(tmp_path):
    @click.group(epilog="After all of it.")
    def program():
        """Do things."""

    @program.command(epilog="Example: course fetch it\n\n\b\nExit codes:\n  7  none")
    @click.argument("what")
    @click.option("--where", default="here", show_default=True, help="A `place` | <b>.")
    def fetch(what, where):
        """
        Fetch a *thing*.

        Then say so.
        \f
        Not for users.
        """

    @program.command(hidden=True)
    def secret():
        """Do what nobody asked for."""

    @program.group()
    def tools():
        """Hold more verbs."""

    tools.command("hammer")(lambda: None)

    page = reference_page(make_project(tmp_path / "project"), ["mini"], program)
    assert "\nDo things\\.\n" in page
    assert "After all of it." in page
    text = section(page, "`course fetch`")
    assert (
        "\nFetch a \\*thing\\*\\.\n\nThen say so\\.\n\n```text\ncourse fetch [OPTIONS] WHAT\n```"
        in text
    )
    assert "| `--where TEXT` | A \\`place\\` \\\\| \\<b\\>\\.  \\[default\\: here\\] |" in text
    assert text.rstrip().endswith("Example: course fetch it\n\nExit codes:\n  7  none\n```")
    assert "Not for users" not in page
    assert "secret" not in page
    assert section(page, "`course tools hammer`")


def test_a_setting_that_is_added_appears(monkeypatch, tmp_path):
    class Larger(Edition):
        colour: str = Field(default="red", description="of the | cover")

    monkeypatch.setattr(reference, "Edition", Larger)
    monkeypatch.setattr(reference, "FIELDS", [*FIELDS, "colour"])
    page = reference_page(make_project(tmp_path / "project"), ["mini"], cli.main)
    assert '\n| `colour` | str | `"red"` | of the \\\\| cover |\n' in page


def test_a_parameter_that_changes_appears(tmp_path):
    project = make_project(tmp_path / "project")
    path = project / "notebooks" / "mini.ipynb"
    notebook = nbformat.read(path, as_version=4)
    notebook.cells[1].source += '\nshade: str = "a|b`c"  # how {{ dark }} <b>it</b> is'
    nbformat.write(notebook, path)
    page = reference_page(project, ["mini"], cli.main)
    assert '| `shade` | `str` | ``"a\\|b`c"`` | how \\{\\{ dark \\}\\} \\<b\\>it' in page


def test_the_site_has_the_page_of_the_command_that_builds_it(tmp_path, monkeypatch):
    @click.command(epilog="Example: course dance")
    def dance():
        """Dance, if you can."""

    monkeypatch.setitem(cli.main.commands, "dance", dance)
    project = make_project(tmp_path / "project")
    html = build_site(project, Edition(name="default", base=project))
    page = BeautifulSoup((html / "book" / "reference.html").read_text(), "html.parser")
    assert page.select_one("#course-dance h3").get_text().startswith("course dance")
    assert "Dance, if you can." in page.get_text()
    cells = [cell.get_text() for cell in page.select("#mini td")]
    assert cells[:4] == ["orders", "str", '"../data/orders.csv"', "input file: one order a line"]
    welcome = BeautifulSoup((html / "book" / "welcome.html").read_text(), "html.parser")
    assert [link for link in welcome.select("nav a") if link["href"] == "reference.html"]
