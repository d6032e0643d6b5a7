"""
Pages without what an edition leaves out, or what a chapter that was not run did not export.

A link to it becomes plain text. A value that an absent chapter would have computed takes the block
around it along: the smallest list item, table row or entry of a definition list, else the
paragraph; and a directive or a section of which nothing is left. A section whose heading links to
an absent chapter or page goes as a whole.
"""

import re
from collections.abc import Collection, Iterable, Iterator

from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from myst_parser.config.main import MdParserConfig
from myst_parser.parsers.mdit import create_md_parser

WHOLE = {"list_item_open", "tr_open", "dt_open", "dd_open"}


def without_links(
    text: str,
    *,
    chapters: Collection[str] = (),
    labels: Collection[str] = (),
    folders: Collection[str] = (),
    pages: Collection[str] = (),
) -> str:
    """
    Markdown in which links to what is not on the site have become plain text.

    Parameters
    ----------
    text : str
        MyST Markdown.
    chapters, labels : collection of str
        Notebooks, by name, and targets that are not on the site.
    folders : collection of str
        Those of exports that are not there, relative to the notebooks. A card loses its picture,
        and not only the link to it.
    pages : collection of str
        Pages that are not on the site, by name.

    Examples
    --------
    >>> without_links("See [the answer](#sol-1) or {ref}`it <sol-1>`.", labels={"sol-1"})
    'See the answer or it.'
    >>> without_links("Read [on](../notebooks/drift.ipynb#why).", chapters={"drift"})
    'Read on.'
    >>> without_links("Take [the table](exports/drift/psi.csv).", folders={"exports/drift"})
    'Take the table.'
    """
    for page in map(re.escape, pages):
        text = re.sub(rf"\[([^\]]*)\]\((?:[^)\s]*/)?{page}\.md(#[^)\s]*)?\)", r"\1", text)
        text = _without_roles(text, rf"(?:[^<`]*/)?{page}")
    for label in map(re.escape, labels):
        text = re.sub(rf"\[([^\]]*)\]\([^)\s]*#{label}\)", r"\1", text)
        text = _without_roles(text, label)
    for chapter in map(re.escape, chapters):
        text = re.sub(rf"\[([^\]]*)\]\([^)\s]*\b{chapter}(\.ipynb)?(#[^)\s]*)?\)", r"\1", text)
        text = _without_roles(text, rf"[^<`]*\b{chapter}")
    for folder in map(re.escape, folders):
        # Relative, whether from a notebook or from another page.
        export = rf"(?!\w+:)(?:[^)<>`\s]*/)?{folder}/[^)<>`\s]*"
        card = (
            rf"^:img-(?:top|bottom|background): *{export} *\n(?::(?:class-img-\w+|img-alt):.*\n)*"
        )
        text = re.sub(card, "", text, flags=re.MULTILINE)
        text = re.sub(rf"!?\[([^\]]*)\]\(<?{export}>?\)", r"\1", text)
        text = re.sub(rf"\{{download\}}`([^`<]*?) *<{export}>`", r"\1", text)
        text = re.sub(rf"\{{download\}}`({export})`", r"\1", text)
    return text


def _without_roles(text: str, target: str) -> str:
    """Markdown without the roles that link to a target, which is a pattern."""
    text = re.sub(rf"\{{(?:ref|doc|numref)\}}`([^`<]*?) *<{target}>`", r"\1", text)
    return re.sub(rf"\{{(?:ref|doc|numref)\}}`{target}`", "(not in this edition)", text)


def without_sections(text: str, files: Collection[str], extensions: Iterable[str]) -> str:
    r"""
    Markdown without the sections that are about an absent file, as their heading links to it.

    Parameters
    ----------
    text : str
        MyST Markdown.
    files : collection of str
        Names of chapters and pages that are not on the site, with their suffix.
    extensions : iterable of str
        Of MyST, as the page is read with them.

    Examples
    --------
    >>> page = "# A\n\n## [Drift](../notebooks/drift.ipynb)\n\nOf drift.\n\n## B"
    >>> without_sections(page, {"drift.ipynb"}, [])
    '# A\n\n## B'
    """
    if not files:
        return text
    absent = re.compile(rf"(?:.*/)?(?:{'|'.join(map(re.escape, files))})(?:#.*)?")
    gone = set[int]()
    for section, words in _sections(text, _parser(extensions)):
        if any(absent.fullmatch(str(word.attrGet("href") or "")) for word in words):
            gone.update(section)
    return _without_lines(text, gone)


def _sections(text: str, parser: MarkdownIt) -> Iterator[tuple[range, list[Token]]]:
    """Yield the lines of each section, those below its subheadings included, and its heading."""
    tokens = parser.parse(text)
    headings = [
        (token.tag, (token.map or [0])[0], tokens[number + 1].children or [])
        for number, token in enumerate(tokens)
        if token.type == "heading_open" and token.level == 0
    ]
    for number, (tag, first, words) in enumerate(headings):
        later = (line for other, line, _ in headings[number + 1 :] if other <= tag)
        yield range(first, next(later, text.count("\n") + 1)), words


def _without_lines(text: str, gone: Collection[int]) -> str:
    lines = enumerate(text.split("\n"))
    return "\n".join(line for number, line in lines if number not in gone)


def _parser(extensions: Iterable[str]) -> MarkdownIt:
    return create_md_parser(MdParserConfig(enable_extensions=set(extensions)), RendererHTML)


def without_glue(text: str, chapters: Collection[str], extensions: Iterable[str]) -> str:
    r"""
    Markdown without the blocks that hold a value computed by one of the chapters.

    Parameters
    ----------
    text : str
        MyST Markdown.
    chapters : collection of str
        Those that are not on the site.
    extensions : iterable of str
        Of MyST, as the page is read with them.

    Examples
    --------
    >>> page = "- {glue:text}`../notebooks/drift.ipynb::psi`, a drift\n- no drift"
    >>> without_glue(page, {"drift"}, [])
    '- no drift'
    """
    if not chapters:
        return text
    names = "|".join(map(re.escape, chapters))
    absent = re.compile(rf"(?:.*/)?(?:{names})(?:\.ipynb)?(?:::.*)?", flags=re.DOTALL)
    parser, lines = _parser(extensions), text.split("\n")
    gone = _glued(text, parser, absent)
    # From the innermost sections outwards, for a section may hold nothing but such ones.
    for section, _ in reversed(list(_sections(text, parser))):
        body = {number for number in section[1:] if lines[number].strip()}
        if body and body <= gone:
            gone.update(section)
    return _without_lines(text, gone)


def _glued(text: str, parser: MarkdownIt, absent: re.Pattern[str]) -> set[int]:
    """Numbers of the lines to leave out."""
    tokens, gone = parser.parse(text), set[int]()
    _span_entries(tokens)
    around: list[Token] = []
    for token in tokens:
        if token.nesting == 1:
            around.append(token)
        elif token.nesting == -1:
            around.pop()
        elif token.type == "inline" and any(
            _is_glue(child, absent) for child in token.children or []
        ):
            whole = [block for block in around if block.type in WHOLE] or around
            gone.update(range(*whole[-1].map or ()))
        elif token.type in ("fence", "colon_fence") and token.info.startswith("{"):
            gone |= _glued_directive(token, parser, absent)
    return gone


def _glued_directive(token: Token, parser: MarkdownIt, absent: re.Pattern[str]) -> set[int]:
    """Numbers of the lines to leave out of a directive, or of all its lines."""
    first, end = token.map or (0, 0)
    name = token.info.partition("}")[0].removeprefix("{")
    source = re.search(r"^:doc: *(\S+)", token.content, flags=re.MULTILINE)
    if name.startswith("glue") and source and absent.fullmatch(source[1]):
        return set(range(first, end))
    if name.startswith("code"):
        return set()
    # The options stay; as empty lines they do not run into the text below them.
    lines = token.content.split("\n")
    options = next((n for n, line in enumerate(lines) if not re.match(r":\w", line)), 0)
    body = [""] * options + lines[options:]
    gone = _glued("\n".join(body), parser, absent)
    left = any(line.strip() for number, line in enumerate(body) if number not in gone)
    if gone and not left:
        return set(range(first, end))
    return {first + 1 + number for number in gone}


def _is_glue(token: Token, absent: re.Pattern[str]) -> bool:
    """Whether a token shows a value of an absent chapter."""
    named = token.type == "myst_role" and str(token.meta["name"]).startswith("glue")
    return named and "::" in token.content and bool(absent.fullmatch(token.content))


def _span_entries(tokens: list[Token]) -> None:
    """Let each term and definition of a definition list have all lines of its entry."""
    entries: dict[int, list[int]] = {}
    for token in tokens:
        if token.type == "dt_open" and token.map:
            entries[token.level] = token.map
        elif token.type == "dd_open" and token.map:
            entries[token.level][1] = token.map[1]
            token.map = entries[token.level]
