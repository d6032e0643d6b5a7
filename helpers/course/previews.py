"""
What a page says of itself to search engines, and to whatever shows a preview of a link to it.

An extension of Sphinx. The tags of Open Graph are those of sphinxext-opengraph; here is what it
cannot know: which words describe a page, and that a site without an address has none to give.
"""

import html
import re
import textwrap
from pathlib import Path
from typing import Any

from bs4 import BeautifulSoup
from docutils import nodes
from sphinx.application import Sphinx

from helpers.course.cover import ALT, COVER, SIZE, TOUCH_ICON

LONGEST = 240  # characters of a description; more is cut off where it is shown

# What the page that leads to the first one has to say, too: it stands at the site's own address.
INTRODUCING = (
    "title, meta[property], meta[name=description], "
    "link[rel=icon], link[rel=apple-touch-icon], link[rel=canonical]"
)


def setup(app: Sphinx) -> dict[str, Any]:
    """Register with Sphinx."""
    app.setup_extension("sphinxext.opengraph")
    app.connect("html-page-context", _describe, priority=400)
    app.connect("html-page-context", _forget_address, priority=600)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def preview_settings(title: str, address: str) -> dict[str, Any]:
    """
    Settings for Sphinx by which pages can be previewed.

    Parameters
    ----------
    title : str
        Of the book.
    address : str
        Where the site will stand, or nothing. Only then can its cover be named: a preview is shown
        elsewhere, where a relative address would lead to another host.

    Returns
    -------
    dict
    """
    tags = {"og:locale": "en_GB"}
    settings: dict[str, Any] = {
        "ogp_site_name": html.escape(title),
        "ogp_social_cards": {"enable": False},
    }
    if address:
        settings["html_baseurl"] = settings["ogp_site_url"] = f"{address}/"
        settings["ogp_image"], settings["ogp_image_alt"] = f"{address}/{COVER}", ALT
        width, height = map(str, SIZE)
        tags |= {"og:image:width": width, "og:image:height": height}
        tags["twitter:card"] = "summary_large_image"
    settings["ogp_custom_meta_tags"] = [
        f'<meta property="{name}" content="{content}" />' for name, content in tags.items()
    ]
    return settings


def _describe(
    app: Sphinx, name: str, template: str, context: dict[str, Any], doctree: nodes.document | None
) -> None:
    """Give a page its icon for phones, its title and its description."""
    if name == app.config.root_doc:
        # The first page is the book's, and would be called the same twice.
        context["title"], context["docstitle"] = html.escape(context["docstitle"]), ""
    icon = context["pathto"](TOUCH_ICON, resource=True)
    # The pages that Sphinx makes of itself, such as that of the search, have no tags yet.
    context.setdefault("metatags", "")
    context["metatags"] += f'<link rel="apple-touch-icon" href="{icon}" />\n'
    if doctree is None:
        return
    # These take the place of what the extension would say, which does not escape it.
    title = BeautifulSoup(context["title"], "html.parser").get_text()
    context["meta"] = {**(context["meta"] or {}), "og:title": html.escape(title)}
    words = html.escape(description(doctree))
    if words:
        context["meta"]["og:description"] = words
        context["metatags"] += f'<meta name="description" content="{words}" />\n'


def _forget_address(
    app: Sphinx, name: str, template: str, context: dict[str, Any], doctree: nodes.document | None
) -> None:
    """Take back the address of a page, which is half of one if that of the site is not known."""
    if not app.config.ogp_site_url:
        context["metatags"] = re.sub(r'<meta property="og:url".*\n', "", context["metatags"])


def description(document: nodes.document) -> str:
    """
    Sentences that say what a page is about: the first ones that are no list, note or output.

    Parameters
    ----------
    document : document
        As it will be shown.

    Returns
    -------
    str
        Empty if the page has no such sentence.
    """
    for paragraph in document.findall(nodes.paragraph):
        text = " ".join(paragraph.astext().split())
        bold = next(paragraph.findall(nodes.strong), None)
        # What begins in bold is labelled, such as what a reader needs for a chapter.
        labelled = bold is not None and text.startswith(bold.astext())
        if isinstance(paragraph.parent, nodes.section | nodes.document) and not labelled:
            return _beginning(text)
    return ""


def _beginning(text: str) -> str:
    """
    Whole sentences of a text, as many as fit; of a long one its first words.

    Examples
    --------
    >>> _beginning("Near points belong together. But" + " then" * 50 + ".")
    'Near points belong together.'
    """
    first, *others = re.split(r"(?<=[.?!]) ", text)
    for sentence in others:
        if len(first) + 1 + len(sentence) > LONGEST:
            break
        first += f" {sentence}"
    return textwrap.shorten(first, LONGEST, placeholder=" …")


def introduce(index: Path) -> None:
    """
    Let the page that only leads to the first one say what that says of itself.

    Parameters
    ----------
    index : Path
        Of a finished site. Whoever shows a preview of its address does not follow it further.
    """
    redirect = index.read_text(encoding="utf-8")
    found = re.search(r"url=([^\"]+)", redirect)
    if found is None:
        return
    first = BeautifulSoup((index.parent / found[1]).read_text(encoding="utf-8"), "html.parser")
    tags = first.select(INTRODUCING)
    up = "../" * found[1].count("/")
    for tag in tags:
        if str(tag.get("href", "")).startswith(up):
            tag["href"] = str(tag["href"]).removeprefix(up)
    lines = [
        "<!DOCTYPE html>",
        '<html lang="en">',
        "<head>",
        '<meta charset="utf-8" />',
        *map(str, tags),
        redirect.strip(),
        "</head>",
        "</html>",
    ]
    index.write_text("\n".join(lines) + "\n", encoding="utf-8")
