"""
The pages of the course as their readers meet them: headings and prose, without the code.

``make prose`` says how each page reads.
"""

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import nbformat
import yaml
from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from myst_parser.config.main import MdParserConfig
from myst_parser.parsers.mdit import create_md_parser

ROOT = Path(__file__).resolve().parent.parent

# What these directives hold is not prose.
SILENT = ("code", "include", "bibliography", "glue", "toctree", "figure", "image", "raw", "math")


@dataclass(frozen=True)
class Block:
    """
    A heading, or a run of prose: a paragraph, an item, a cell of a table.

    Attributes
    ----------
    level : int
        Of a heading; 0 for prose.
    section : str
        The heading of the second level that it stands below.
    tokens : list of Token
        What it consists of, from the parser.
    computed : bool
        Whether a code cell said it.
    """

    level: int
    section: str
    tokens: list[Token]
    computed: bool = False

    def text(self, code: str = "") -> str:
        """Words of the block, with something in place of code, formulas and values."""
        return "".join(_text(token, code) for token in self.tokens)


def _text(token: Token, code: str) -> str:
    if token.type == "text":
        return token.content
    if token.type in ("softbreak", "hardbreak"):
        return " "
    return code if token.type in ("code_inline", "math_inline", "myst_role") else ""


@dataclass(frozen=True)
class Directive:
    """A directive of MyST, such as an admonition."""

    name: str
    argument: str
    options: dict[str, str]
    body: str


@cache
def parser() -> MarkdownIt:
    """The parser that makes the site."""
    config = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))
    extensions = set(config["parse"]["myst_enable_extensions"])
    return create_md_parser(MdParserConfig(enable_extensions=extensions), RendererHTML)


def pages() -> list[Path]:
    """Every page that was written: the book's, the chapters, and those beside the code."""
    folders = (ROOT, ROOT / "book", ROOT / "data")
    found = [path for folder in folders for path in folder.glob("*.md")]
    return sorted(found) + chapters()


def chapters() -> list[Path]:
    """The committed notebooks."""
    return sorted((ROOT / "notebooks").glob("*.ipynb"))


def markdown(path: Path, *, computed: bool = True) -> Iterator[tuple[str, bool]]:
    """Pieces of Markdown of a page, and whether a code cell made them."""
    if path.suffix == ".md":
        yield path.read_text(encoding="utf-8"), False
        return
    for cell in nbformat.read(path, as_version=4).cells:
        if cell.cell_type == "markdown":
            yield cell.source, False
        for output in cell.get("outputs", []) if computed else []:
            text = output.get("data", {}).get("text/markdown")
            if text and "remove-cell" not in cell.metadata.get("tags", []):
                yield text, True


def blocks(path: Path, *, computed: bool = True) -> Iterator[Block]:
    """Headings and prose of a page, in the order of reading."""
    section = ""
    for text, was_computed in markdown(path, computed=computed):
        for level, tokens in _runs(text):
            block = Block(level, section, tokens, was_computed)
            if level == 2:
                section = block.text(code="code")
            yield block


def _runs(text: str) -> Iterator[tuple[int, list[Token]]]:
    tokens = parser().parse(text)
    for before, token in zip([None, *tokens], tokens, strict=False):
        if token.type == "inline":
            heading = before is not None and before.type == "heading_open"
            yield int(before.tag[1]) if heading else 0, token.children or []
        elif token.type in ("fence", "colon_fence") and token.info.startswith("{"):
            directive = _directive(token)
            if not directive.name.startswith(SILENT):
                yield from _runs(directive.argument)
                yield from _runs(directive.body)


def directives(text: str) -> list[Directive]:
    """Directives of a text, those within others left out."""
    tokens = parser().parse(text)
    fences = (token for token in tokens if token.type in ("fence", "colon_fence"))
    return [_directive(token) for token in fences if token.info.startswith("{")]


def _directive(token: Token) -> Directive:
    name, _, argument = token.info.removeprefix("{").partition("}")
    options, lines = {}, token.content.splitlines()
    while lines and (option := re.fullmatch(r":([\w-]+): ?(.*)", lines[0])):
        options[option[1]] = option[2]
        lines.pop(0)
    return Directive(name, argument.strip(), options, "\n".join(lines).strip())


# How it reads


@dataclass(frozen=True)
class Reading:
    """How much prose a page has, and how easily it reads."""

    words: int
    sentences: int
    syllables: int

    @property
    def ease(self) -> float:
        """
        Reading ease after Flesch (1948): 100 is very easy, 60 plain, below 30 very hard.

        A formula of lengths, which knows nothing of sense; long words of the subject lower it.
        """
        if not self.words:
            return float("nan")
        return 206.835 - 1.015 * self.words / self.sentences - 84.6 * self.syllables / self.words


WORD = re.compile(r"[^\W\d_]+(?:['\u2019][^\W\d_]+)*")


def reading(texts: list[str]) -> Reading:
    """Counts of some runs of prose; a run without a full stop is a sentence too."""
    words = [word for text in texts for word in WORD.findall(text)]
    return Reading(
        words=len(words),
        sentences=sum(len(re.findall(r"[.!?:](?:\s|$)", text.strip())) or 1 for text in texts),
        syllables=sum(map(syllables, words)),
    )


def syllables(word: str) -> int:
    """
    Runs of vowels in a word, without a silent e at its end.

    Right for nineteen words of this course in twenty; its slips go both ways, and move the reading
    ease by a point.
    """
    silent = r"(?<=[^l])e$|(?<=[^dt])ed$|(?<=[^cghlsxz])es$"
    spoken = re.sub(silent, "", word.lower())
    return len(re.findall("[aeiouyäöü]+", spoken)) or 1


def main() -> None:
    """Print how each page reads."""
    say = sys.stdout.write
    say(f"{'page':<40}{'words':>8}{'words a sentence':>20}{'reading ease':>16}\n")
    for path in pages():
        counts = reading([block.text() for block in blocks(path) if not block.level])
        each = counts.words / max(counts.sentences, 1)
        name = path.relative_to(ROOT).as_posix()
        say(f"{name:<40}{counts.words:>8}{each:>20.1f}{counts.ease:>16.0f}\n")


if __name__ == "__main__":
    main()
