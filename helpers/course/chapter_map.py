"""How the chapters of a book depend on each other, from what each says that a reader needs."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from helpers.course.execute import heading
from helpers.course.markdown import as_text
from helpers.course.parameters import chapter_path, read_notebook
from helpers.text import listed


class Preface(NamedTuple):
    """What a chapter says of itself below its title."""

    title: str
    needs: list[str]
    helped_by: list[str]
    time: str


def read_preface(project: Path, chapter: str) -> Preface:
    """
    Read what a chapter asks of its readers.

    Parameters
    ----------
    project : Path
    chapter : str
        Chapters that the first sentence after ``**You need**`` links to are needed, those of the
        sentences after it help.

    Returns
    -------
    Preface
    """
    notebook = read_notebook(chapter_path(project, chapter))
    text = notebook.cells[0].source if notebook.cells else ""
    first, _, rest = _paragraph(text, r"\*\*You need\*\*").partition(". ")
    needs, helped_by = (re.findall(r"\]\((\w+)\.ipynb\)", part) for part in (first, rest))
    time = _paragraph(text, r"\*\*Time:\*\*")
    return Preface(heading(notebook, 0) or chapter, needs, helped_by, time)


def _paragraph(text: str, start: str) -> str:
    """Rest of the paragraph that begins with a pattern, in one line."""
    found = re.search(rf"^{start}(.*?)(?:\n\s*\n|\Z)", text, flags=re.MULTILINE | re.DOTALL)
    return " ".join(found[1].split()) if found else ""


def chapter_map(project: Path, chapters: Sequence[str]) -> str:
    """
    Markdown list of the chapters, in which each stands below the one that it builds on.

    Parameters
    ----------
    project : Path
    chapters : sequence of str
        Those of the edition. Where one that is needed is left out, what it needs takes its place.

    Returns
    -------
    str
    """
    prefaces = {chapter: read_preface(project, chapter) for chapter in chapters}

    def base(needs: Sequence[str], seen: frozenset[str]) -> str | None:
        """Return the nearest chapter of the edition that is needed, and None if there is none."""
        for other in needs:
            if other in prefaces and other not in seen:
                return other
            if other not in seen:
                found = base(read_preface(project, other).needs, seen | {other})
                if found:
                    return found
        return None

    below: dict[str | None, list[str]] = {}
    for chapter, preface in prefaces.items():
        below.setdefault(base(preface.needs, frozenset({chapter})), []).append(chapter)

    def items(above: str | None, indent: str) -> Iterator[str]:
        for chapter in below.get(above, []):
            preface = prefaces[chapter]
            yield f"{indent}- **{_link(chapter, preface.title)}**"
            for sentence in _sentences(preface, prefaces):
                yield f"{indent}  {sentence}"
            yield from items(chapter, indent + "  ")

    return "\n".join(["::::{div} chapter-map", "", *items(None, ""), "", "::::", ""])


def _sentences(preface: Preface, prefaces: dict[str, Preface]) -> Iterator[str]:
    """Yield how long a chapter takes, and what helps to follow it."""
    if preface.time:
        yield preface.time[0].upper() + preface.time[1:]
    helpful = [other for other in preface.helped_by if other in prefaces]
    if helpful:
        links = listed(_link(other, prefaces[other].title) for other in helpful)
        yield f"It helps to know {links}."


def _link(chapter: str, title: str) -> str:
    return f"[{as_text(title)}](../notebooks/{chapter}.ipynb)"
