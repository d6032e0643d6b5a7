"""The cover and the icons of a book, and what its pages tell whoever previews a link to them."""

import io
import re
import shutil

import numpy as np
import pytest
from bs4 import BeautifulSoup
from click.testing import CliRunner
from course_project import make_project
from matplotlib.colors import to_hex
from PIL import Image
from pypdf import PdfReader
from site_pages import of_the_book, pages

from helpers.course.cli import main
from helpers.course.cover import ALT, BANNER_SIZE, SIZE, banner, cover, write_pictures
from helpers.course.edition import read_edition
from helpers.course.previews import LONGEST, _beginning
from helpers.course.printing import BROWSERS
from helpers.figures import COLORS
from helpers.text import InputError

TITLE = "R&D &lt;b&gt; \"at\" 'home' {{ title }} $x$ *a* \\ &copy 漢字"
ADDRESS = "https://example.org/a-course"
WRITTEN = ["book/welcome.html", "notebooks/mini.html", "book/references.html"]
MADE = ["book/reference.html", "book/downloads.html", "book/about_this_edition.html"]


def picture(content):
    return np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))


# The pictures


@pytest.mark.parametrize(
    "title",
    [
        "x",
        "Practical Clustering Applications",
        "W" * 200,
        "i" * 120 + " " + "W" * 79,
        "word " * 40,
        "$x^2$ \\alpha {{ x }} &lt;b&gt; % # \" '",
        "Кластеризация",
        "مقدمة في التجميع",
    ],
)
def test_a_title_of_any_length_stands_within_its_strip(title):
    drawn = picture(cover(title))
    width, height = SIZE
    assert drawn.shape == (height, width, 3)
    strip, art = drawn[BANNER_SIZE[1] :], drawn[: BANNER_SIZE[1]]
    dark = (strip < 128).all(axis=2)
    assert dark.any(), "there is no title"
    rows, columns = np.flatnonzero(dark.any(axis=1)), np.flatnonzero(dark.any(axis=0))
    assert columns.min() >= 55
    assert columns.max() < width - 55
    assert rows.min() >= 20
    assert rows.max() < len(strip) - 20
    # The clusters are those of the banner, whatever the title.
    assert np.mean(np.abs(art.astype(int) - picture(banner()))) < 1


def test_two_titles_make_two_covers():
    assert cover("Clustering") != cover("Clusterings")


@pytest.mark.parametrize("title", ["聚类应用", "Clusters 🎉", "Half 漢 of it"])
def test_a_title_that_the_font_lacks_letters_of_is_left_off(title):
    drawn = picture(cover(title))
    assert not (drawn < 60).all(axis=2).any(), "there are letters"
    # Nor is their place left empty.
    assert (drawn[-150:] == 255).all(axis=2).mean() < 0.1


def test_pictures_are_small_and_the_same_each_time(tmp_path):
    written = []
    for name in ("first", "second"):
        folder = tmp_path / name
        folder.mkdir()
        write_pictures(folder, "Clustering")
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        written.append({path.relative_to(folder): path.read_bytes() for path in files})
    assert written[0] == written[1]
    assert len(written[0]) == 4
    assert all(len(content) < 50_000 for content in written[0].values())


def test_the_icons_have_the_colours_of_the_figures(tmp_path):
    write_pictures(tmp_path, "Clustering")
    drawing = (tmp_path / "_static" / "favicon.svg").read_text()
    assert [color for color in COLORS if to_hex(color) in drawing] == COLORS[:3]
    touch = picture((tmp_path / "_static" / "apple-touch-icon.png").read_bytes())
    assert touch.shape == (180, 180, 3)
    shown = {to_hex(color / 255) for color in np.unique(touch.reshape(-1, 3), axis=0)}
    assert {to_hex(color) for color in COLORS[:3]} <= shown


# Pages of the miniature project


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    project = make_project(tmp_path_factory.mktemp("cover") / "project")
    quoted = TITLE.replace("'", "''")
    (project / "editions" / "here.yml").write_text(f"title: '{quoted}'\naddress: {ADDRESS}/\n")
    (project / "editions" / "nowhere.yml").write_text("author: Me\n")
    return project


def build(project, *words):
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.chdir(project)
        result = CliRunner().invoke(main, ["build", *words])
    assert result.exit_code == 0, result.output
    return project / "_build" / words[0] / "html"


@pytest.fixture(scope="module")
def here(project):
    return build(project, "here")


@pytest.fixture(scope="module")
def nowhere(project):
    return build(project, "nowhere")


def read(path):
    return BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")


def told(page):
    "What a page tells whoever previews it, by name; nothing is told twice."
    tags = page.select("meta[property], meta[name=description]")
    names = [tag.get("property") or tag["name"] for tag in tags]
    assert len(names) == len(set(names)), names
    return {name: tag["content"] for name, tag in zip(names, tags, strict=True)}


def straight(text):
    return re.sub("[\u2018\u2019]", "'", re.sub("[\u201c\u201d]", '"', text))


def test_with_an_address_a_page_tells_where_it_and_its_cover_are(here):
    for name in WRITTEN + MADE:
        page = read(here / name)
        tags = told(page)
        assert tags["og:url"] == f"{ADDRESS}/{name}"
        assert [link["href"] for link in page.select("link[rel=canonical]")] == [tags["og:url"]]
        image = tags["og:image"].removeprefix(f"{ADDRESS}/")
        with Image.open(here / image) as shown:
            assert shown.size == (int(tags["og:image:width"]), int(tags["og:image:height"]))
        assert tags["og:image:alt"] == ALT
        assert tags["twitter:card"] == "summary_large_image"


def test_without_an_address_nothing_leads_to_another_host(nowhere):
    for name in [*WRITTEN, *MADE, "index.html"]:
        page = read(nowhere / name)
        tags = told(page)
        assert {"og:title", "og:type", "og:site_name", "og:locale"} <= tags.keys()
        assert not tags.keys() & {"og:url", "og:image", "og:image:alt", "twitter:card"}
        assert not any("http" in content for content in tags.values())
        assert page.select("link[rel=canonical]") == []


def test_titles_are_told_as_they_are_written(here, nowhere):
    for name in WRITTEN + MADE:
        page = read(here / name)
        tags = told(page)
        heading = straight(page.select_one("article h1").get_text().removesuffix("#"))
        assert tags["og:site_name"] == TITLE
        assert tags["og:title"] == heading
        assert tags["og:type"] == "website"
        assert tags["og:locale"] == "en_GB"
        # Of the first page, the title is that of the book, and one of them is enough.
        whole = TITLE if name == WRITTEN[0] else f"{heading} — {TITLE}"
        assert page.select_one("title").get_text() == whole
        assert page.select_one(".logo__title").get_text() == TITLE
    welcome = read(nowhere / WRITTEN[0])
    assert welcome.select_one("title").get_text() == told(welcome)["og:site_name"]
    assert welcome.select_one(".logo__title").get_text() == told(welcome)["og:site_name"]


def test_a_page_is_described_by_its_first_sentences(here):
    words = {name: told(read(here / name)).get("og:description") for name in WRITTEN}
    assert words == {
        "book/welcome.html": "Read mini.",
        "notebooks/mini.html": "As x^2 grows, so does x.",
        # There is nothing on it but a list.
        "book/references.html": None,
    }
    for name in WRITTEN + MADE:
        tags = told(read(here / name))
        assert tags.get("description") == tags.get("og:description")


def test_a_description_ends_where_a_sentence_or_a_word_does():
    sentence = "Near points belong together."
    assert _beginning(sentence) == sentence
    assert _beginning(f"{sentence} {'far ' * 90}.") == sentence
    many = _beginning(" ".join([sentence] * 20))
    assert many.endswith("together.")
    assert LONGEST - len(sentence) - 1 < len(many) <= LONGEST
    long = _beginning("far " * 90)
    assert long.endswith("far …")
    assert LONGEST - 5 <= len(long) <= LONGEST


def test_every_page_has_both_icons(here):
    for name in pages(here):
        page = read(here / name)
        for kind, file in (("icon", "favicon.svg"), ("apple-touch-icon", "apple-touch-icon.png")):
            (link,) = page.select(f"link[rel={kind}]")
            target = (here / name).parent / link["href"]
            assert target.resolve() == here / "_static" / file, name
            assert target.is_file()


def test_the_address_of_the_site_itself_tells_what_its_first_page_tells(here):
    index, welcome = read(here / "index.html"), read(here / WRITTEN[0])
    assert told(index) == told(welcome)
    assert index.select_one("title").get_text() == TITLE
    assert index.select_one("link[rel=canonical]")["href"] == f"{ADDRESS}/{WRITTEN[0]}"
    assert index.select_one("meta[http-equiv=Refresh]")["content"] == f"0; url={WRITTEN[0]}"


def test_the_first_page_shows_the_cover_below_its_title(here, nowhere):
    for site in (here, nowhere):
        page = read(site / WRITTEN[0])
        (image,) = page.select("article img.cover")
        assert image["alt"] == ALT
        assert picture((site / "book" / image["src"]).read_bytes()).shape[1::-1] == BANNER_SIZE
        assert image.find_previous("h1") is not None
        assert image.find_next("p").get_text().startswith("Read mini")
    assert not read(here / WRITTEN[1]).select("img.cover")


def test_the_same_site_is_built_again(project, here):
    pictures = ["_static/cover.png", "_static/favicon.svg", "_static/apple-touch-icon.png"]
    names = [*WRITTEN, "index.html", *pictures]
    before = {name: (here / name).read_bytes() for name in names}
    build(project, "here", "--fresh")
    assert {name: (here / name).read_bytes() for name in names} == before


@pytest.mark.skipif(
    not any(map(shutil.which, BROWSERS)), reason="no browser to print with is installed"
)
def test_the_pdf_begins_with_the_cover(project):
    html = build(project, "nowhere", "--pdf")
    (file,) = html.glob("*.pdf")
    book = PdfReader(file)
    shown = [[image.image.size for image in page.images] for page in book.pages]
    assert shown[0] == [BANNER_SIZE]
    # The page that shows it on the site comes after it.
    assert not any(BANNER_SIZE in sizes for sizes in shown[1:])
    assert "Practical Clustering" in book.pages[0].extract_text()


# The setting


@pytest.mark.parametrize(
    ("address", "taken"),
    [
        ("https://example.org/a-course/", "https://example.org/a-course"),
        ("https://example.org/a/index.html", "https://example.org/a"),
        ("https://example.org", "https://example.org"),
        ("https://localhost:8000/~me/a.b", "https://localhost:8000/~me/a.b"),
        ("", ""),
    ],
)
def test_the_address_of_a_site_is_taken(project, address, taken):
    path = project / "editions" / "taken.yml"
    path.write_text(f"address: '{address}'")
    assert read_edition(project, path).address == taken


@pytest.mark.parametrize(
    "address",
    [
        "http://example.org/course",
        "example.org/course",
        "//example.org/course",
        "https://me:secret@example.org/course",
        "https://example.org/course?x=1",
        "https://example.org/course#top",
        "https://example.org/../course",
        "https://example.org/a course",
        'https://example.org/"><script>',
        "javascript:alert(1)",
        "https://example.org/" + "n" * 1_000,
    ],
)
def test_an_address_that_pages_cannot_stand_at_is_refused(project, address):
    path = project / "editions" / "refused.yml"
    path.write_text(f"address: '{address}'")
    with pytest.raises(InputError, match="address takes the address of the folder with the site"):
        read_edition(project, path)


# The book itself


@of_the_book
def test_every_page_of_the_book_tells_what_it_is_about(site):
    described = {}
    for name in pages(site):
        if name == "search.html":
            continue  # A list that nobody wrote.
        tags = told(read(site / name))
        assert tags["og:title"], name
        words = tags["og:description"]
        assert tags["description"] == words
        assert 30 <= len(words) <= LONGEST, name
        assert re.search(r"[.?!…]$", words), words
        assert not re.search(r"\{\w+\}|::|`|\bnan\b|[\[\]]\(|<|\s\s", words), words
        described.setdefault(words, []).append(name)
    twice = [names for names in described.values() if len(names) > 1]
    # One of the two only leads to the other.
    assert twice == [["book/welcome.html", "index.html"]]
    assert len(described) > 15
