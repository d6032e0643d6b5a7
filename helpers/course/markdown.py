"""Text that somebody else wrote, as Markdown that shows it and does nothing else."""

import re

from helpers.text import escaped

LONGEST = 300  # characters of one value on a page


def as_code(text: str) -> str:
    r"""
    Text as Markdown code, whatever it holds; long text without its middle.

    Examples
    --------
    >>> print(as_code("a`b|c\n"))
    ``a`b|c\n``
    """
    plain = shortened(visible(text), LONGEST)
    fence = "`" * (1 + max(map(len, re.findall("`+", plain)), default=0))
    # One space at each end is taken away again, and without it a backtick would join the fence.
    pad = " " if not plain or plain.strip(" `") != plain else ""
    return f"{fence}{pad}{plain}{pad}{fence}"


def as_text(text: str) -> str:
    r"""
    Text as Markdown that shows it as it is.

    Examples
    --------
    >>> print(as_text("# 3 < 4\t5"))
    \# 3 \< 4\\t5
    """
    return escaped(visible(text))


def as_row(*cells: str) -> str:
    r"""
    Row of a Markdown table.

    Examples
    --------
    >>> print(as_row(as_code("a|b"), as_text("|")))
    | `a\|b` | \\| |
    """
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def visible(text: str) -> str:
    r"""
    Text in one line, with an escape for what no reader could see.

    Examples
    --------
    >>> print(visible("a\tb\u202e"))
    a\tb\u202e
    """
    return "".join(
        character if character.isprintable() or character in "\xa0\u200d" else _escape(character)
        for character in text
    )


def _escape(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


def shortened(text: str, longest: int) -> str:
    """
    Text without its middle if it is long.

    Examples
    --------
    >>> shortened("abcdefghij", 5)
    'ab … ij'
    """
    half = longest // 2
    return text if len(text) <= longest else f"{text[:half]} … {text[-half:]}"
