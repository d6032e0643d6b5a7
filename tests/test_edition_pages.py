"""What an edition's own words and addresses become on the pages of its site."""

import re

import pytest
from bs4 import BeautifulSoup
from click.testing import CliRunner
from course_project import make_project

from helpers.course.cli import main

TITLE = (
    "R&D &lt;b&gt; \"at\" 'home' {{ title }} {glue:text}`x` *a* _b_ $x$ # [y](z) \\ "
    ":::{note} ![i](j)"
)
AUTHOR = 'Ada & {{ author }} &amp; "Lovelace" `x` ${y}'


def read(path):
    return BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")


def words(page, selector):
    "Text of the first such element, with straight quotes and without the sign of a link to it."
    text = page.select_one(selector).get_text().removesuffix("#")
    for curly, straight in (("\u201c\u201d", '"'), ("\u2018\u2019", "'")):
        text = re.sub(f"[{curly}]", straight, text)
    return " ".join(text.split())


def outside(path):
    "Addresses elsewhere that a page links to, but for the licences at its foot."
    return [a["href"] for a in read(path).select("a[href^=http]:not([rel=license])")]


def sources(page):
    "Addresses of what a browser loads with a page."
    loaded = [element["src"] for element in page.select("[src]")]
    return loaded + [link["href"] for link in page.select("link[href]:not([rel=search])")]


def build(project, text, monkeypatch, *words):
    (project / "editions" / "mine.yml").write_text(text, encoding="utf-8")
    monkeypatch.chdir(project)
    result = CliRunner().invoke(main, ["build", "mine", *words])
    assert result.exit_code == 0, result.output
    folder = result.output.split("Open ")[-1].removesuffix("/index.html\n")
    return project / folder, result.output


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    return make_project(tmp_path_factory.mktemp("pages") / "project")


def quoted(text):
    return "'" + text.replace("'", "''") + "'"


def test_title_and_author_are_shown_as_they_are_written(project, monkeypatch):
    text = f"title: {quoted(TITLE)}\nauthor: {quoted(AUTHOR)}"
    html, _ = build(project, text, monkeypatch)
    welcome = read(html / "book" / "welcome.html")
    assert words(welcome, "article h1") == TITLE
    assert words(welcome, ".logo__title") == TITLE
    assert words(welcome, "title") == TITLE
    assert words(welcome, ".component-author") == f"By {AUTHOR}"
    assert "Welcome" not in words(welcome, "article h1")
    chapter = read(html / "notebooks" / "mini.html")
    assert words(chapter, "article h1") == "Mini"
    assert words(chapter, "title") == f"Mini — {TITLE}"
    about = read(html / "book" / "about_this_edition.html")
    assert f"Edition {TITLE} mine, for" in words(about, "article")
    # A page that is only text has as many elements whatever the text.
    plain, _ = build(project, "title: Ours\nauthor: Me", monkeypatch)
    for name in ("book/welcome.html", "notebooks/mini.html", "search.html"):
        counts = [(site / name).read_text().count("<") for site in (html, plain)]
        assert counts[0] == counts[1], name


def test_without_a_title_the_page_keeps_its_own(project, monkeypatch):
    html, _ = build(project, "author: Me", monkeypatch)
    assert words(read(html / "book" / "welcome.html"), "article h1") == "Welcome"
    assert "Launch" not in (html / "notebooks" / "mini.html").read_text()


def test_a_repository_gives_each_chapter_buttons(project, monkeypatch):
    text = """
        repository: https://github.com/owner/name
        branch: spring
        jupyterhub: https://hub.example.org/teach
        """
    html, output = build(project, text, monkeypatch)
    chapter = html / "notebooks" / "mini.html"
    assert outside(chapter) == [
        "https://mybinder.org/v2/gh/owner/name/spring?urlpath=lab/tree/notebooks/mini.ipynb",
        "https://hub.example.org/teach/hub/user-redirect/git-pull?repo=https%3A//github.com/"
        "owner/name&urlpath=lab/tree/name/notebooks/mini.ipynb&branch=spring",
        "https://colab.research.google.com/github/owner/name/blob/spring/notebooks/mini.ipynb",
    ]
    # Buttons are links: their icons lie in the site, and so does all else that a page loads.
    for source in sources(read(chapter)):
        assert source.startswith("data:") or (chapter.parent / source.split("?")[0]).is_file()
        assert "thebe" not in source
    assert outside(html / "book" / "welcome.html") == []
    assert "no buttons" not in output

    html, output = build(project, text, monkeypatch, "--audience", "student")
    assert "Pages for students have no buttons that open a chapter elsewhere" in output
    assert "owner/name" not in (html / "notebooks" / "mini.html").read_text()


def test_colab_has_no_button_for_what_it_cannot_open(project, monkeypatch):
    html, _ = build(project, "repository: https://gitlab.com/owner/name", monkeypatch)
    assert outside(html / "notebooks" / "mini.html") == [
        "https://mybinder.org/v2/gl/owner%2Fname/main?urlpath=lab/tree/notebooks/mini.ipynb"
    ]
