"""
Formulas as MathML, which browsers set and screen readers read without any script.

An extension of Sphinx: ``_config.yml`` names it, and chooses what it calls ``mathml``.
"""

import re
from typing import Any

from bs4 import BeautifulSoup
from docutils import nodes
from latex2mathml.commands import MATRICES
from latex2mathml.converter import convert
from sphinx.application import Sphinx
from sphinx.util import logging
from sphinx.util.math import get_node_equation_number

logger = logging.getLogger(__name__)

# Elements that mean nothing with fewer parts.
_PARTS = {
    "mfrac": 2,
    "mover": 2,
    "mroot": 2,
    "msub": 2,
    "msubsup": 3,
    "msup": 2,
    "munder": 2,
    "munderover": 3,
}


def mathml(formula: str, display: str = "inline") -> str:
    r"""
    Formula as MathML.

    Parameters
    ----------
    formula : str
        As LaTeX writes it, without dollars.
    display : {"inline", "block"}
        Whether it is part of a line, or has a line of its own.

    Returns
    -------
    str

    Raises
    ------
    ValueError
        If the formula, or a part of it, cannot be read; the message says which part.

    Examples
    --------
    >>> mathml("x^2").partition("<mrow>")[2]
    '<msup><mi>x</mi><mn>2</mn></msup></mrow></math>'
    >>> mathml(r"\logg x")
    Traceback (most recent call last):
    ...
    ValueError: \logg is no command that is known here
    """
    try:
        markup = convert(formula, display=display)
    except Exception as error:  # each fault has a class of its own, and no words
        words = re.findall("[A-Z][a-z]+", type(error).__name__.removesuffix("Error"))
        raise ValueError(str(error) or " ".join(words).lower()) from None
    for name in re.findall(r"\\begin\{(.*?)\}", formula):
        if f"\\{name}" not in MATRICES:
            raise ValueError(f"{name} is nothing that can begin here")
    braces = re.sub(r"\\.", "", formula)
    if braces.count("{") != braces.count("}"):
        raise ValueError("a brace is missing")
    # What was read is letters, tags and numbers of characters; what was not is left as it came.
    left = re.search(r"\\[A-Za-z]*|[{}]|&(?!#)", markup)
    if left:
        raise ValueError(f"{left[0]} is no command that is known here")
    for element in BeautifulSoup(markup, "html.parser").find_all(list(_PARTS)):
        if len(element.contents) < _PARTS[element.name]:
            raise ValueError("a part is missing, such as what a fraction is divided by")
    return _with_room(markup)


def _with_room(markup: str) -> str:
    """MathML in which log and its like keep the distance that LaTeX keeps around them."""

    def spaced(name: re.Match[str]) -> str:
        before = "0" if name["first"] else "0.167em"
        after = "0.167em" if name["bracket"] is None else "0"
        return f'{name["first"] or ""}<mo lspace="{before}" rspace="{after}">{name["word"]}</mo>'

    bracket = '(?P<bracket>(?=<mo stretchy="false">&#x00028;))?'
    return re.sub(f"(?P<first><mrow>)?<mi>(?P<word>[a-z]{{2,}})</mi>{bracket}", spaced, markup)


def _mathml(node: nodes.Node, display: str) -> str:
    """Formula of a page; a warning, which ends a build, names one that cannot be read."""
    formula = node.astext()
    try:
        return mathml(formula, display)
    except ValueError as error:
        logger.warning("The formula %r cannot be read: %s.", formula, error, location=node)
        return ""


def _visit_inline(translator: Any, node: nodes.math) -> None:
    translator.body.append(translator.starttag(node, "span", "", CLASS="math"))
    translator.body.append(f"{_mathml(node, 'inline')}</span>")
    raise nodes.SkipNode


def _visit_block(translator: Any, node: nodes.math_block) -> None:
    translator.body.append(translator.starttag(node, "div", CLASS="math"))
    if node["number"]:
        number = get_node_equation_number(translator, node)
        translator.body.append(f'<span class="eqno">({number})</span>')
    translator.body.append(f"{_mathml(node, 'block')}</div>\n")
    raise nodes.SkipNode


def setup(app: Sphinx) -> dict[str, bool]:
    """Let Sphinx know of the renderer."""
    app.add_html_math_renderer("mathml", (_visit_inline, None), (_visit_block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
