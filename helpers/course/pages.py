"""Finishing the pages: what was rendered becomes lighter, and all of it reachable by keyboard."""

import hashlib
import os
import re
from binascii import a2b_base64
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from bs4 import BeautifulSoup, Tag
from bs4.dammit import EntitySubstitution
from bs4.formatter import HTMLFormatter
from PIL import Image

from helpers.files import write_text

PARSER = "html.parser"

# Twice as wide as a card is on a screen, for screens with fine dots.
CARD_WIDTH = 800

# A drawing of each icon there is, 1.5 MB; the style sheet of the theme has the icons as letters.
ICONS = "_static/scripts/fontawesome.js"
# For a search while somebody types on any page. Here it has a page of its own.
SEARCHING = "searchtools.js", "language_data.js", "searchindex.js"
STYLE = "_static/styles/pydata-sphinx-theme.css"
ICON = re.compile(r'(?:\.fa-[\w-]+:{1,2}before,?)+\{content:"[^"]*"\}')
# What a column of a table holds. One word may be a unit, two are words.
WORDS = re.compile(r"[^\W\d_]{3,}\W+[^\W\d_]{3,}")
SENTENCE = 40  # letters and more; names of segments and of tools have fewer
DAY = re.compile(r"\d{4}-\d{2}(-\d{2})?")
ICON_NAME = re.compile(r"\bfa-[\w-]+")


class AsWritten(HTMLFormatter):
    """Form of a page in which the attributes of an element keep their order."""

    def attributes(self, tag: Tag) -> Iterable[tuple[str, Any]]:
        """All of them."""
        return tag.attrs.items()


def finish_pages(site: Path) -> None:
    """
    Finish the pages of a site in place.

    Parameters
    ----------
    site : Path
        Folder of the rendered pages. The theme's own files in its ``_static`` are no pages.
    """
    paths = [path for path in site.rglob("*.html") if path.relative_to(site).parts[0] != "_static"]
    soups = {path: BeautifulSoup(path.read_text(encoding="utf-8"), PARSER) for path in paths}
    for path, soup in soups.items():
        for script in soup.select(f'script[src*="{ICONS}"]'):
            script.decompose()
        if path != site / "search.html":
            for script in soup.select(", ".join(f'script[src$="{name}"]' for name in SEARCHING)):
                script.decompose()
        # Cards and grids have a style sheet and a script, which other pages do without.
        if soup.select_one('[class*="sd-"]') is None:
            for part in soup.select('link[href*="sphinx-design"], script[src*="design-tabs"]'):
                part.decompose()
        _put_pictures_into_files(soup, path, site / "_images")
        for picture in soup.select('article img[src$=".png"]'):
            _make_lighter(picture, path)
        _mark_columns(soup)
        _let_keys_scroll(soup)
        _say_what_parts_are(soup)
    for path, soup in soups.items():
        write_text(path, soup.decode(formatter=AsWritten(EntitySubstitution.substitute_xml)))
    for file in site.glob(f"{ICONS}*"):
        file.unlink()
    _keep_used_icons(site)
    _remove_unused(site / "_images", paths)


def _put_pictures_into_files(soup: BeautifulSoup, page: Path, folder: Path) -> None:
    """
    Take from a page the pictures that its HTML outputs hold, and link to files instead.

    A browser then fetches those of a slider when somebody moves it, and no first visit waits.
    """
    for picture in soup.select('img[src^="data:image/"]'):
        found = re.fullmatch(r"data:image/(png|webp);base64,([A-Za-z0-9+/=]+)", str(picture["src"]))
        if found:
            data = a2b_base64(found[2])
            file = folder / f"{hashlib.sha256(data).hexdigest()}.{found[1]}"
            folder.mkdir(exist_ok=True)
            file.write_bytes(data)
            picture["src"] = Path(os.path.relpath(file, page.parent)).as_posix()


def _make_lighter(picture: Tag, page: Path) -> None:
    """
    Show a picture by fewer bytes, and only fetch it when a reader comes near it.

    Every pixel stays, except on cards, which show a picture small and lead to where it is whole.
    """
    file = page.parent / str(picture["src"])
    with Image.open(file) as image:
        if "sd-card-img-top" in picture.get_attribute_list("class"):
            light = file.with_name(f"{file.stem}-card.webp")
            card = image.convert("RGB")
            card.thumbnail((CARD_WIDTH, image.height), Image.Resampling.LANCZOS)
            card.save(light, quality=85)
        else:
            light = file.with_suffix(".webp")
            image.save(light, lossless=True)
        # Their place is kept free, so that no text jumps when they come.
        picture["width"], picture["height"] = map(str, image.size)
    picture["loading"] = "lazy"
    if light.stat().st_size < file.stat().st_size:
        picture["src"] = str(picture["src"]).replace(file.name, light.name)
    else:
        light.unlink()


def _mark_columns(soup: BeautifulSoup) -> None:
    """
    Mark the columns of data frames that hold words, sentences or days.

    Only numbers line up at the right, sentences need room, and a day stays on one line.
    """
    for table in soup.select("article table.dataframe"):
        rows = [row.find_all(["th", "td"], recursive=False) for row in table.select("tr")]
        if len({len(row) for row in rows}) != 1:  # names that span several columns
            continue
        for head, *cells in zip(*rows, strict=True):
            texts = [cell.get_text(strip=True) for cell in cells]
            if any(map(WORDS.search, texts)):
                kind = "words sentences" if max(map(len, texts)) > SENTENCE else "words"
            elif any(map(DAY.fullmatch, texts)):
                kind = "days"
            else:
                continue
            for cell in (head, *cells):
                cell["class"] = kind


def _let_keys_scroll(soup: BeautifulSoup) -> None:
    """
    Let the keyboard reach what may be wider than the page.

    Where scripts run, one of the theme takes out again what happens not to be.
    """
    for number, table in enumerate(soup.select("article table"), start=1):
        around = table.find_parent(class_=["pst-scrollable-table-container", "output"])
        heading = table.find_previous(["h1", "h2", "h3", "h4", "h5", "h6"])
        if around is not None and heading is not None:
            title = heading.get_text().removesuffix("#").strip()
            around["tabindex"], around["role"] = "0", "region"
            around["aria-label"] = f"Table {number}: {title}"
    for number, formula in enumerate(soup.select("article div.math"), start=1):
        formula["tabindex"], formula["role"] = "0", "region"
        formula["aria-label"] = f"Formula {number}"
    for code in soup.select("article pre"):
        code["tabindex"] = "0"


def _say_what_parts_are(soup: BeautifulSoup) -> None:
    """Say what parts are, of which the theme says nothing or what no longer holds."""
    for menu in soup.select("#pst-primary-sidebar"):
        menu["role"], menu["aria-label"] = "region", "Menu"
    for source in soup.select('[role="doc-biblioentry"]'):
        source["role"] = "listitem"
    # The corner between the names of the rows and of the columns is the head of nothing.
    for corner in soup.select("article th"):
        if not corner.get_text(strip=True):
            corner.name = "td"


def _keep_used_icons(site: Path) -> None:
    """Leave of the theme's 1,900 icons those that a page or a script names."""
    texts = [*site.rglob("*.html"), *site.glob("_static/**/*.js")]
    used = {name for path in texts for name in ICON_NAME.findall(path.read_text(encoding="utf-8"))}

    def kept(icon: re.Match[str]) -> str:
        return icon[0] if used.intersection(ICON_NAME.findall(icon[0])) else ""

    style = site / STYLE
    write_text(style, ICON.sub(kept, style.read_text(encoding="utf-8")))


def _remove_unused(folder: Path, pages: Sequence[Path]) -> None:
    """Remove the pictures that no page names any more."""
    texts = [page.read_text(encoding="utf-8") for page in pages]
    for file in folder.glob("*.png"):
        if not any(f"{folder.name}/{file.name}" in text for text in texts):
            file.unlink()
