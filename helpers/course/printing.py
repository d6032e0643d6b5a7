"""
The whole book as one PDF: the pages of a finished site, one after the other, printed by a browser.

What is printed are the pages themselves, so the PDF says what the site says, and to an audience
without solutions it shows none. Sphinx could make one page of a book, too, but there the anchors of
all chapters are one heap, and a link into the second chapter's data ends in the first one's.
"""

import html
import logging
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from posixpath import normpath
from urllib.parse import unquote, urldefrag

from bs4 import BeautifulSoup, Tag
from docutils.nodes import make_id
from pypdf import PdfReader, PdfWriter
from pypdf.generic import Destination, Fit

from helpers.course.rendering import SiteError
from helpers.files import replacing
from helpers.text import InputError, listed

# A browser counts the objects of a PDF in another way, and each is there: nothing to tell a user.
logging.getLogger("pypdf").setLevel(logging.ERROR)

BROWSERS = (
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
)

# It opens one page, made just now, with one short script, and asks no host for anything.
FLAGS = (
    "--headless=new",
    "--no-sandbox",  # as root, and in containers, there is none
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-extensions",
    "--disable-sync",
    "--no-first-run",
    "--host-resolver-rules=MAP * ~NOTFOUND",
    "--no-pdf-header-footer",
    # Time in which nothing happens is skipped, so this waits for pictures and for no clock.
    "--virtual-time-budget=600000",
)
LONGEST = 15 * 60  # seconds of printing, before something must have gone wrong

PARSER = "html.parser"
STYLE = Path(__file__).with_name("print.css")
PRINTED = "print.html"
CONTENTS = "contents"
NUMBER = "000"  # holds the place of the number of a page until that is known

# A browser lays a page out for its window first. The body is as wide as the paper, so what is too
# wide can be told then.
FIT = """
addEventListener("load", () => {
  for (const table of document.querySelectorAll("article table")) {
    const room = table.parentElement.clientWidth;
    if (table.offsetWidth > room) table.style.zoom = room / table.offsetWidth;
  }
});
"""


def find_browser() -> str:
    """
    Program that prints pages.

    Raises
    ------
    InputError
        If there is none; the message says what to install.
    """
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        names = listed([name for name in BROWSERS if "/" not in name])
        msg = (
            f"--pdf needs a browser that prints, and none of {names} is on the path. Install "
            "Chromium (on Debian and Ubuntu, `apt install chromium`) or Google Chrome, or build "
            "without --pdf."
        )
        raise InputError(msg)
    return found


def pdf_name(title: str, edition: str) -> str:
    """Name of the file: the title in letters that every system takes, or the edition's name."""
    return f"{make_id(title) or edition}.pdf"


def print_book(
    site: Path, pages: Sequence[str], *, title: str, about: Sequence[str], name: str, browser: str
) -> Path:
    """
    Print pages of a site into one PDF beside them.

    Parameters
    ----------
    site : Path
        The folder of the finished pages.
    pages : sequence of str
        Paths of the pages in their order, without the suffix.
    title : str
        Of the book.
    about : sequence of str
        Lines below the title.
    name : str
        Of the PDF.
    browser : str
        As ``find_browser`` gives it.

    Returns
    -------
    Path

    Raises
    ------
    SiteError
        If the browser makes no PDF; the message holds what it said.
    """
    page = BeautifulSoup(one_page(site, pages, title=title, about=about), PARSER)
    target = site / name
    _print(page, target, browser)
    # Which page something is on shows when it is printed; then the contents can say so.
    reader = PdfReader(target)
    for link in page.select(f"#{CONTENTS} a"):
        number = reader.get_destination_page_number(_destination(reader, link))
        shown = link.select_one(".print-number")
        if number is not None and shown is not None:
            shown.string = str(number + 1)
    _print(page, target, browser)
    _add_outline(target, page, title)
    return target


def _destination(reader: PdfReader, link: Tag) -> Destination:
    """Where a link within a page ended."""
    return reader.named_destinations[f"/{str(link['href'])[1:]}"]


def _add_outline(target: Path, page: BeautifulSoup, title: str) -> None:
    """
    Give a PDF the outline that its contents show, and its title.

    A browser could make an outline of the headings, but it writes some of them twice.
    """
    reader = PdfReader(target)
    writer = PdfWriter(clone_from=reader)
    for chapter in page.select(f"#{CONTENTS} > ol > li"):
        above = None
        for link in chapter.select("a"):
            place = _destination(reader, link)
            number, words = reader.get_destination_page_number(place), link.select_one("span")
            if number is None or words is None:
                continue
            entry = writer.add_outline_item(
                title=words.get_text(),
                page_number=number,
                parent=above,
                fit=Fit.xyz(place.left, place.top),
                is_open=False,
            )
            above = above or entry
    writer.page_mode = "/UseOutlines"
    writer.metadata = {"/Title": title}
    with replacing(target) as temporary:
        writer.write(temporary)


def _print(page: BeautifulSoup, target: Path, browser: str) -> None:
    """Print a page of the folder of the target."""
    target.unlink(missing_ok=True)
    printed = target.with_name(PRINTED)
    printed.write_text(str(page), encoding="utf-8")
    try:
        # A profile of its own keeps out of the way of a browser that is open already.
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
            command = [browser, *FLAGS, f"--user-data-dir={profile}", f"--print-to-pdf={target}"]
            done = subprocess.run(  # noqa: S603
                [*command, printed.as_uri()],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=LONGEST,
                check=False,
            )
        said = done.stderr.strip().splitlines()[-3:]
    except subprocess.TimeoutExpired:
        said = [f"It did not finish within {LONGEST // 60} minutes."]
    finally:
        printed.unlink()
    if not target.is_file() or not target.read_bytes().rstrip().endswith(b"%%EOF"):
        raise SiteError("\n".join([f"{browser} made no PDF.", *said]))


def one_page(site: Path, pages: Sequence[str], *, title: str, about: Sequence[str]) -> str:
    """
    Pages of a site as one, in light colours and with everything unfolded.

    Parameters
    ----------
    site, pages, title, about
        As ``print_book`` takes them.

    Returns
    -------
    str
        HTML for the folder of the site. The anchors of each page begin with its name, and links
        between the pages lead to them.
    """
    soups = {
        page: BeautifulSoup((site / f"{page}.html").read_text(encoding="utf-8"), PARSER)
        for page in pages
    }
    heads = dict.fromkeys(line for page, soup in soups.items() for line in _head(soup, page))
    articles = {page: _article(soup, page, pages) for page, soup in soups.items()}
    anchors = {tag["id"] for article in articles.values() for tag in article.select("[id]")}
    anchors |= {article["id"] for article in articles.values()}
    for article in articles.values():
        for link in article.select('a[href^="#"]'):
            if str(link["href"])[1:] not in anchors:
                link.unwrap()
    # It takes a page of its own on paper, with the title below it.
    cover = [picture.extract() for page in pages for picture in articles[page].select("img.cover")]
    lines = [
        "<!DOCTYPE html>",
        '<html lang="en" data-theme="light" data-mode="light">',
        "<head>",
        '<meta charset="utf-8">',
        f"<title>{html.escape(title)}</title>",
        *heads,
        f"<style>{STYLE.read_text(encoding='utf-8')}</style>",
        f"<script>{FIT}</script>",
        "</head>",
        "<body>",
        '<header class="print-title">',
        *map(str, cover),
        f'<p class="print-name">{html.escape(title)}</p>',
        *(f"<p>{html.escape(line)}</p>" for line in about),
        "</header>",
        f'<nav id="{CONTENTS}">',
        "<h1>Contents</h1>",
        "<ol>",
        *map(_entry, articles.values()),
        "</ol>",
        "</nav>",
        *map(str, articles.values()),
        "</body>",
        "</html>",
    ]
    return "\n".join(lines)


def _head(soup: BeautifulSoup, page: str) -> Iterator[str]:
    """Yield the style sheets of a page."""
    for sheet in soup.select('link[rel="stylesheet"]'):
        sheet["href"] = _from_root(page, str(sheet["href"]))
        yield str(sheet)


def _from_root(page: str, link: str) -> str:
    """Relative link of a page, as seen from the folder of the site."""
    return normpath(f"{page}/../{link}")


def _anchor(page: str, anchor: str = "") -> str:
    """Anchor in the book of an anchor in a page, or of the page itself."""
    name = page.replace("/", "-")
    return f"{name}--{anchor}" if anchor else name


def _article(soup: BeautifulSoup, page: str, pages: Sequence[str]) -> Tag:
    """What a page says, without what needs a mouse."""
    article = soup.select_one("article")
    if article is None:
        raise SiteError(f"{page}.html has no article.")
    for gone in article.select("a.headerlink, script, button, [hidden]"):
        gone.decompose()
    for folded in article.select("details"):
        folded["open"] = ""
        _name(folded)
    for tag in article.select("[id]"):
        # What a drawing names is its own, and nobody links to it.
        if tag.find_parent("svg") is None:
            tag["id"] = _anchor(page, str(tag["id"]))
    for image in article.select("[src]"):
        if not _is_absolute(str(image["src"])):
            image["src"] = _from_root(page, str(image["src"]))
        # What is loaded as a reader comes to it would be missing.
        image.attrs.pop("loading", None)
    for link in article.select("a[href]"):
        target, anchor = urldefrag(str(link["href"]))
        if _is_absolute(target):
            continue
        path = _from_root(page, unquote(target)).removesuffix(".html") if target else page
        if path in pages:
            link["href"] = f"#{_anchor(path, unquote(anchor))}"
        else:
            # A file of the site, which is not where the PDF is.
            link.unwrap()
    article["class"], article["id"] = "print-page", _anchor(page)
    return article


def _is_absolute(link: str) -> bool:
    return re.match(r"[a-z]+:", link) is not None


def _name(folded: Tag) -> None:
    """Let the first line of what is unfolded say what it is, and not how to fold it."""
    prompt = folded.select_one("summary .collapsed")
    if prompt is not None and prompt.parent is not None:
        text = prompt.get_text(strip=True).removeprefix("Show ")
        prompt.parent.string = text[:1].upper() + text[1:]


def _entry(article: Tag) -> str:
    """Item of the contents for a page, with its sections below it."""
    sections = [
        f"<li>{_to(section)}</li>"
        for section in article.select("section > section[id]")
        if section.find("h2", recursive=False)
    ]
    below = f"<ol>{''.join(sections)}</ol>" if sections else ""
    return f"<li>{_to(article)}{below}</li>"


def _to(part: Tag) -> str:
    """Link to a part, in the words of its heading, with the number of its page."""
    heading = part.select_one("h1, h2, h3, h4, h5, h6")
    text = html.escape(" ".join(heading.get_text().split())) if heading else ""
    number = f'<span class="print-number">{NUMBER}</span>'
    return f'<a href="#{part["id"]}"><span>{text}</span>{number}</a>'
