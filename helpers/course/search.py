"""What the search of a site looks through: the sections of its pages."""

import json
import re
from pathlib import Path

from bs4 import BeautifulSoup, SoupStrainer, Tag

from helpers.files import write_text

HEADING = re.compile("^h[1-6]$")

# Not what a section says, or not for people.
LEFT_OUT = ["button", "script", "style"]

# Words on both sides of where such a part ends are two, though no space may be between them.
BLOCKS = ["dd", "div", "dt", "li", "p", "pre", "td", "th"]


def write_search_index(html: Path) -> None:
    """
    Write the sections of a site for its search page, in place of Sphinx's index.

    That one knows on which pages a word is, but not where on them nor how often, so its search
    cannot tell which page says most about it. This one is a script, too, because a page that was
    opened from a disk may fetch no other file.

    Parameters
    ----------
    html : Path
        The folder of the pages.
    """
    pages = sorted(path.relative_to(html) for path in html.rglob("*.html"))
    sections = [
        section
        for page in pages
        if page.parts[0] != "_static"
        for section in _sections(html / page, page.as_posix())
    ]
    text = json.dumps(sections, ensure_ascii=False, separators=(",", ":"))
    write_text(html / "searchindex.js", f"const sections = {text};\n")


def _sections(file: Path, url: str) -> list[dict[str, str]]:
    """Address, page, title and text of each section of a page, in their order."""
    article = BeautifulSoup(
        file.read_text(encoding="utf-8"), "html.parser", parse_only=SoupStrainer("article")
    )
    for part in article.select("a.headerlink"):
        part.decompose()
    for part in article.find_all(LEFT_OUT):
        part.decompose()
    for part in article.find_all(BLOCKS):
        part.append(" ")
    found = []
    # The last comes first, so that what is left of a section is its own when its turn comes.
    for section in reversed(article.find_all("section", id=True)):
        heading = section.find(HEADING, recursive=False)
        if isinstance(heading, Tag):
            title = _words(heading.extract())
            found.append((section["id"], title, _words(section.extract())))
    found.reverse()
    return [
        {
            "url": url if position == 0 else f"{url}#{anchor}",
            "page": found[0][1],
            "title": title,
            "text": text,
        }
        for position, (anchor, title, text) in enumerate(found)
    ]


def _words(tag: Tag) -> str:
    """Text of an element, with one space between words."""
    return " ".join(tag.get_text().split())
