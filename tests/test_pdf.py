import hashlib
import re
import shutil
import unicodedata

import pytest
from bs4 import BeautifulSoup
from click.testing import CliRunner
from course_project import make_project
from pypdf import PdfReader

from helpers.course.cli import main
from helpers.course.printing import BROWSERS, one_page, pdf_name

NAME = "practical-clustering-applications.pdf"
TITLES = ["Welcome", "Mini", "References", "Reference", "About this edition"]

needs_browser = pytest.mark.skipif(
    not any(map(shutil.which, BROWSERS)), reason="no browser to print with is installed"
)


def build(project, monkeypatch, *words):
    monkeypatch.chdir(project)
    return CliRunner().invoke(main, ["build", *words])


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """Miniature project whose data is the course's own."""
    project = make_project(tmp_path_factory.mktemp("pdf") / "project")
    data = project / "data" / "orders.csv"
    line = f"{hashlib.sha256(data.read_bytes()).hexdigest()}  orders.csv"
    (project / "data" / "SHA256SUMS").write_text(f"{line}\n")
    return project


@pytest.fixture(scope="module")
def site(project):
    with pytest.MonkeyPatch.context() as monkeypatch:
        result = build(project, monkeypatch, "--pdf")
    assert result.exit_code == 0, result.output
    assert NAME in result.output
    return project / "_build" / "default" / "html"


@pytest.fixture(scope="module")
def book(site):
    return PdfReader(site / NAME)


def text_of(reader):
    return "\n".join(page.extract_text() for page in reader.pages)


def begins_with(page, title):
    """Whether a page begins with a title; what comes first in the file is the page's number."""
    return page.extract_text().splitlines()[1:2] == [title]


def links(reader):
    """Page number, and the annotation, of every link."""
    for number, page in enumerate(reader.pages):
        for annotation in page.get("/Annots", []):
            yield number, annotation.get_object()


def descriptions(reader):
    """Texts in place of pictures, for those who do not see them."""
    objects = (reader.get_object(number) for number in range(1, reader.trailer["/Size"]))
    return [found["/Alt"] for found in objects if isinstance(found, dict) and "/Alt" in found]


# What is in it


@needs_browser
def test_the_book_has_every_page_and_an_outline_of_them(book):
    chapters = [entry for entry in book.outline if not isinstance(entry, list)]
    assert [chapter.title for chapter in chapters] == TITLES
    for chapter in chapters:
        number = book.get_destination_page_number(chapter)
        assert begins_with(book.pages[number], chapter.title)
    assert [entry.title for entry in book.outline[2]] == ["Reading", "Exercises"]
    assert "3 orders in 4 segments" in text_of(book)


@needs_browser
def test_the_contents_say_on_which_page_everything_begins(book):
    assert begins_with(book.pages[1], "Contents")
    contents = book.pages[1].extract_text()
    for title in TITLES:
        (page,) = (page for page in book.pages if begins_with(page, title))
        assert re.search(rf"^{title} {page.extract_text().split()[0]}$", contents, re.MULTILINE)


@needs_browser
def test_every_page_but_the_title_has_its_number(book):
    numbers = [page.extract_text().split()[0] for page in book.pages[1:]]
    assert numbers == [str(number) for number in range(2, len(book.pages) + 1)]


@needs_browser
def test_pictures_are_there_and_say_what_they_show(book):
    # The cover comes first, and nowhere else.
    title, *others = (len(page.images) for page in book.pages)
    assert title == 1
    assert sum(others) == 1
    assert "A line that rises by one a step" in descriptions(book)


@needs_browser
def test_mathematics_is_set(book):
    "The source is not among the words."
    text = unicodedata.normalize("NFKC", " ".join(text_of(book).split()))
    assert re.search(r"As x ?2 grows, so does x\.", text)


@needs_browser
def test_links_within_the_book_lead_to_its_pages_and_others_to_the_web(book):
    within = [(number, link["/Dest"]) for number, link in links(book) if "/Dest" in link]
    targets = {
        name: book.get_destination_page_number(place)
        for name, place in book.named_destinations.items()
    }
    assert all(targets[name] is not None for _, name in within)
    welcome, mini = (targets[f"/{name}"] for name in ("book-welcome", "notebooks-mini"))
    assert (welcome, "/notebooks-mini") in within
    assert begins_with(book.pages[mini], "Mini")
    elsewhere = [link["/A"]["/URI"] for _, link in links(book) if "/Dest" not in link]
    assert [address for address in elsewhere if not address.startswith("https:")] == []


@needs_browser
def test_what_is_folded_on_the_site_can_be_read(book):
    text = text_of(book)
    assert "marmalade = n_segments + 1" in text
    assert "The solution" in text
    assert "Show the" not in text
    assert "Hide the" not in text


@needs_browser
def test_students_get_no_solution(project, site, monkeypatch):
    result = build(project, monkeypatch, "--pdf", "--audience", "student")
    assert result.exit_code == 0, result.output
    text = text_of(PdfReader(site.with_name("html-student") / NAME))
    assert "Exercise 1: more segments" in text
    for secret in ("marmalade", "pineapple"):
        assert secret not in text


def page_of(title, *links):
    anchors = "".join(f'<a href="{link}">x</a>' for link in links)
    return f'''<html><head><link rel="stylesheet" href="../_static/a.css"></head><body>
    <nav><a href="elsewhere.html">menu</a></nav><article class="bd-article">
    <section id="{title}"><h1>{title}<a class="headerlink" href="#{title}">#</a></h1>
    <section id="the-data"><h2>The data</h2>{anchors}<img src="../_images/a.png" loading="lazy">
    <details><summary>Words</summary>folded</details><img hidden src="../_images/b.png">
    <script>alert(1)</script></section></section></article></body></html>'''


def test_chapters_with_the_same_anchors_keep_their_own(tmp_path):
    (tmp_path / "notebooks").mkdir()
    to = ["#the-data", "b.html#the-data", "b.html", "c.html", "../_downloads/1/a.csv", "#nowhere"]
    (tmp_path / "notebooks" / "a.html").write_text(page_of("a", *to, "https://example.org"))
    (tmp_path / "notebooks" / "b.html").write_text(page_of("b"))
    pages = ["notebooks/a", "notebooks/b"]
    page = BeautifulSoup(one_page(tmp_path, pages, title="A < B", about=["me"]), "html.parser")
    ids = [tag["id"] for tag in page.find_all(id=True)]
    assert len(ids) == len(set(ids))
    first, second = page.find_all("article")
    data = [article.find("h2").parent["id"] for article in (first, second)]
    expected = [f"#{data[0]}", f"#{data[1]}", f"#{second['id']}", "https://example.org"]
    assert [link["href"] for link in first.find_all("a")] == expected
    assert [image["src"] for image in page.find_all("img")] == ["_images/a.png"] * 2
    assert not page.find("img").has_attr("loading")
    assert all(folded.has_attr("open") for folded in page.find_all("details"))
    assert [link["href"] for link in page.find_all("link")] == ["_static/a.css"]
    assert "alert" not in str(page)
    assert page.title.string == "A < B"


@pytest.mark.parametrize(
    ("title", "expected"),
    [
        ("Clustering in Two Hours", "clustering-in-two-hours.pdf"),
        ("Grüße / ../x", "grusze-x.pdf"),
        ("聚类", "spring.pdf"),
    ],
)
def test_the_name_of_the_file_is_one_for_every_system(title, expected):
    assert pdf_name(title, "spring") == expected


# Around it


@needs_browser
def test_an_unchanged_book_is_not_printed_again(project, site, monkeypatch):
    before = (site / NAME).read_bytes()
    result = build(project, monkeypatch, "--pdf")
    assert "Nothing has changed" in result.output
    assert (site / NAME).read_bytes() == before
    assert not list(site.rglob("print.html"))


def downloads(site):
    """Name, size and file of everything that the page of the downloads offers."""
    page = site / "book" / "downloads.html"
    soup = BeautifulSoup(page.read_text(), "html.parser").find("article")
    for row in soup.select("tr:has(a)"):
        link, shown = row.find("a"), row.find_all("td")[-1].get_text()
        yield link.get_text(), shown, (page.parent / link["href"]).resolve()


def shown_size(n_bytes):
    if n_bytes < 1000:
        return f"{n_bytes} bytes"
    return f"{n_bytes / 1e3:.1f} kB" if n_bytes < 1e6 else f"{n_bytes / 1e6:.1f} MB"


@needs_browser
def test_the_downloads_are_there_with_their_sizes(site):
    offered = list(downloads(site))
    names = [name for name, _, _ in offered]
    assert names == ["mini.ipynb", "mini_exercises.ipynb", "orders.csv", "orders.csv"]
    for name, shown, file in offered:
        assert file.name == name
        assert shown == shown_size(file.stat().st_size)
    assert {file.read_text() for _, _, file in offered[2:]} == {"a\nb\nc", "a\nb\nc\n"}
    text = (site / "book" / "downloads.html").read_text()
    assert "The whole book" in text
    assert f'href="../{NAME}"' in text
    assert f", {shown_size((site / NAME).stat().st_size)}</span>" in text


def test_an_instructors_own_data_is_named_and_not_handed_out(tmp_path, monkeypatch):
    project = make_project(tmp_path / "p")
    data = project / "data" / "orders.csv"
    line = f"{hashlib.sha256(data.read_bytes()).hexdigest()}  orders.csv"
    (project / "data" / "SHA256SUMS").write_text(f"{line}\n")
    orders = "a\nmy_only_customer\nc\nd\n"
    (project / "editions" / "mine.csv").write_text(orders)
    (project / "editions" / "spring.yml").write_text("chapters: {mini: {orders: mine.csv}}")
    result = build(project, monkeypatch, "spring")
    assert result.exit_code == 0, result.output
    html = project / "_build" / "spring" / "html"
    assert "<strong>4 orders</strong>" in (html / "notebooks" / "mini.html").read_text()
    assert [path for path in html.rglob("*") if path.is_file() and path.name == "mine.csv"] == []
    contents = [path.read_bytes() for path in html.rglob("*") if path.is_file()]
    assert orders.encode() not in contents
    page = (html / "book" / "downloads.html").read_text()
    assert "mine.csv" in page
    assert "does not hand out" in page
    assert "The whole book" not in page


def test_data_that_replaced_the_courses_own_is_not_handed_out(tmp_path, monkeypatch):
    project = make_project(tmp_path / "p")
    (project / "data" / "SHA256SUMS").write_text(f"{'0' * 64}  orders.csv\n")
    assert build(project, monkeypatch).exit_code == 0
    html = project / "_build" / "default" / "html"
    # Without the end of the last line it is the export, which the chapter itself offers.
    assert [name for name, _, file in downloads(html) if file.read_text() == "a\nb\nc\n"] == []


def test_without_a_browser_the_message_says_what_to_install(tmp_path, monkeypatch):
    project = make_project(tmp_path / "p")
    monkeypatch.setattr("helpers.course.printing.BROWSERS", ("no-such-browser",))
    result = build(project, monkeypatch, "--pdf")
    assert result.exit_code == 2
    assert "apt install chromium" in result.output
    assert "no-such-browser" in result.output
    assert not (project / "_build").exists()


def test_a_browser_that_fails_leaves_the_previous_site(tmp_path, monkeypatch):
    project = make_project(tmp_path / "p")
    html = project / "_build" / "default" / "html"
    html.mkdir(parents=True)
    (html / "index.html").write_text("previous")
    browser = tmp_path / "browser"
    browser.write_text("#!/bin/sh\necho no sandbox >&2\n")
    browser.chmod(0o755)
    monkeypatch.setattr("helpers.course.printing.BROWSERS", (str(browser),))
    result = build(project, monkeypatch, "--pdf")
    assert result.exit_code == 1
    assert "browser made no PDF." in result.output
    assert "no sandbox" in result.output
    assert [path.name for path in html.parent.iterdir()] == ["html"]
    assert (html / "index.html").read_text() == "previous"


@needs_browser
def test_without_the_option_there_is_neither_the_file_nor_a_link_to_it(project, site, monkeypatch):
    "Last, for it takes the file away that the others read."
    result = build(project, monkeypatch)
    assert "Nothing has changed" not in result.output
    assert not (site / NAME).exists()
    assert "The whole book" not in (site / "book" / "downloads.html").read_text()
