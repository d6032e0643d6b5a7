"""Pages of the real book's site, for the tests that visit them."""

import pytest

# Each process of the tests would build the book of its own: all chapters, for minutes.
of_the_book = pytest.mark.xdist_group("book")


def pages(html):
    """Names of the pages; the theme leaves scraps of its own among the static files."""
    found = (path.relative_to(html) for path in html.rglob("*.html"))
    return sorted(path.as_posix() for path in found if path.parts[0] != "_static")


def chapter_pages(html):
    return [name for name in pages(html) if name.startswith("notebooks/")]
