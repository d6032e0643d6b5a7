"""
What each audience sees: solutions, checks and the page for those who teach for all but students.

The checks reach a student in a notebook to download, which has the chapter and its stubs.
"""

import re
from pathlib import Path

import nbformat

from helpers.course.absent import without_links
from helpers.course.edition import Audience
from helpers.course.parameters import (
    EXERCISES,
    chapter_path,
    parameters_cell,
    read_notebook,
    read_parameters,
    tags,
    with_values,
)
from helpers.text import listed

FOLDED = {"hide-cell", "hide-input", "hide-output"}
VERBS = ("show", "hide")


def left_out(audience: Audience) -> set[str]:
    """Tags of the cells that an audience must not get, neither to see nor in what they export."""
    return {"solution", "check"} if audience == "student" else set()


def pages_left_out(audience: Audience) -> set[str]:
    """Pages of the book, by name, that an audience must not get."""
    return {"instructor_guide"} if audience == "student" else set()


def for_audience(notebook: nbformat.NotebookNode, audience: Audience) -> nbformat.NotebookNode:
    """
    Open or fold the cells tagged ``solution`` or ``check``; the notebook is changed in place.

    Those of a student were left out before the chapter ran, so that no export comes from them.

    Parameters
    ----------
    notebook : NotebookNode
        Its solutions are folded in Markdown by the class ``dropdown``.
    audience : {"student", "instructor", "reader"}
        Who reads the page.

    Returns
    -------
    NotebookNode
        The same notebook.
    """
    for cell in notebook.cells:
        kind = next((tag for tag in ("solution", "check") if tag in tags(cell)), None)
        if kind is None or "remove-cell" in tags(cell):
            continue
        if cell.cell_type == "code":
            kept = [tag for tag in tags(cell) if tag not in FOLDED]
            cell.metadata["tags"] = kept + (["hide-cell"] if audience == "reader" else [])
            # A page would say "code cell" of both.
            prompts = {f"code_prompt_{verb}": f"{verb.title()} the {kind}" for verb in VERBS}
            cell.metadata["mystnb"] = {**cell.metadata.get("mystnb", {}), **prompts}
        elif audience == "instructor":
            cell.source = re.sub(
                r"^(:class:.*?) *\bdropdown\b", r"\1", cell.source, flags=re.MULTILINE
            )
    return notebook


def solution_labels(notebook: nbformat.NotebookNode) -> set[str]:
    """Names by which other cells may link to the solutions of a notebook."""
    text = "\n".join(cell.source for cell in notebook.cells if "solution" in tags(cell))
    options = re.findall(r"^:(?:name|label): *(\S+)", text, flags=re.MULTILINE)
    targets = re.findall(r"^\(([^)\s]+)\)=", text, flags=re.MULTILINE)
    return {*options, *targets}


def exercise_notebook(
    project: Path, chapter: str, page: nbformat.NotebookNode
) -> nbformat.NotebookNode | None:
    """
    Notebook in which a student does the exercises of a chapter, without their solutions.

    Parameters
    ----------
    project : Path
        The folder of ``notebooks``.
    chapter : str
        Its committed notebook has the stubs and the checks.
    page : NotebookNode
        The chapter as it ran, with the parameters of the edition. A sentence on the exercise
        notebook, with a link to it, is put above its first exercise.

    Returns
    -------
    NotebookNode or None
        Without outputs; None for a chapter that has no stubs.
    """
    notebook = read_notebook(chapter_path(project, chapter))
    if not any("stub" in tags(cell) for cell in notebook.cells):
        return None
    labels = solution_labels(notebook)
    notebook.cells = [cell for cell in notebook.cells if "solution" not in tags(cell)]
    reading = _with_edition(notebook, page, project / "notebooks")
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
        else:
            cell.source = without_links(cell.source, labels=labels)
    name = f"{chapter}{EXERCISES}.ipynb"
    how = (
        "Save it in the folder `notebooks` of the course, open it with `make lab`, and run it from "
        f"the top.{reading} It stops at the first exercise without an answer: put one in place of "
        "the `...`, run its cell and the check below it, and go on."
    )
    # A link would lead to a page, and there is none of this notebook.
    above = (
        f"**Work on the exercises** in {{download}}`{name} <{name}>`: this chapter without its "
        f"solutions, with a check for each exercise that says whether the answer is right. {how}"
    )
    note_below_title(
        notebook,
        "Exercises",
        "This notebook is the chapter without its solutions, with a check below each exercise. "
        + how,
    )
    _insert_above_exercises(page, above)
    return notebook


def _with_edition(
    notebook: nbformat.NotebookNode, page: nbformat.NotebookNode, folder: Path
) -> str:
    """Give a notebook the parameters of a page; the sentences on the files that it reads."""
    cell, known = parameters_cell(notebook), read_parameters(notebook)
    if cell is None:
        return ""
    values = {each.name: each.default for each in read_parameters(page)}
    committed = {each.name: each.default for each in known}
    here, own = [], []
    for parameter in known:
        path = str(values.get(parameter.name, ""))
        if not parameter.is_path(path):
            continue
        if path != committed[parameter.name]:
            # The instructor's own file, in a place that is none on the student's machine.
            values[parameter.name] = Path(path).name
            own.append(f"`{Path(path).name}`")
        else:
            here.append(f"`{path}`")
    cell.source = with_values(cell.source, known, values)
    text = f" It reads {listed(here)} of the course." if here else ""
    if own:
        them = "it" if len(own) == 1 else "them"
        text += f" Save {listed(own)} in the same folder; your instructor hands {them} out."
    return text


def note_below_title(notebook: nbformat.NotebookNode, title: str, text: str) -> None:
    """
    Put a note below the first heading of a notebook.

    Parameters
    ----------
    notebook : NotebookNode
        Changed in place.
    title, text : str
        Of the note, in Markdown.
    """
    for cell in notebook.cells:
        heading = re.search(r"^#+ .*$", cell.source, flags=re.MULTILINE)
        if cell.cell_type == "markdown" and heading:
            note = f"```{{admonition}} {title}\n:class: note\n\n{text}\n```"
            rest = cell.source[heading.end() :]
            cell.source = f"{cell.source[: heading.end()]}\n\n{note}\n{rest}"
            return


def _insert_above_exercises(page: nbformat.NotebookNode, text: str) -> None:
    """Put a paragraph above the exercise that the first stub belongs to."""
    first = next(n for n, cell in enumerate(page.cells) if "stub" in tags(cell))
    while first and page.cells[first].cell_type != "markdown":
        first -= 1
    cell = nbformat.v4.new_markdown_cell(text)
    cell["id"] = "exercise-notebook"
    page.cells.insert(first, cell)
