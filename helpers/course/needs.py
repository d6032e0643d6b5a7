"""
What a chapter needs that not everybody has.

A notebook says in its metadata ``{"course": {"needs": "spark"}}``. Where that is absent the chapter
is not run, and an edition shows the notebook as the course has it, with the outputs of its own run.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import nbformat

from helpers import spark
from helpers.course.absent import without_links
from helpers.course.audience import left_out, note_below_title
from helpers.course.edition import Audience, Edition
from helpers.course.execute import normalised
from helpers.course.parameters import chapter_path, default_exports, read_notebook, tags
from helpers.text import InputError, listed, nearest

# Each tells what is missing and how to get it, or returns None.
NEEDS: dict[str, Callable[[], str | None]] = {"spark": spark.why_absent}


def why_not(notebook: nbformat.NotebookNode, chapter: str) -> str | None:
    """
    Why a chapter cannot run here.

    Parameters
    ----------
    notebook : NotebookNode
    chapter : str
        Its name, for the message.

    Returns
    -------
    str or None
        What is missing and how to get it; None if the chapter can run.

    Raises
    ------
    InputError
        If the notebook needs something that nobody knows.
    """
    settings = notebook.metadata.get("course", {})
    if not isinstance(settings, Mapping):
        msg = f"{chapter}: in the metadata of the notebook, course takes names and values, such as "
        raise InputError(f'{msg}{{"needs": "spark"}}.')
    if "needs" not in settings:
        return None
    name = settings["needs"]
    if not isinstance(name, str) or name not in NEEDS:
        msg = f"{chapter}: the metadata of the notebook say that it needs {name!r}"
        raise InputError(f"{msg}{nearest(name, NEEDS)}. Known are: {listed(NEEDS)}.")
    return NEEDS[name]()


def chapters_not_run(project: Path, edition: Edition, chapters: Sequence[str]) -> dict[str, str]:
    """Chapters that cannot run here, and why; an edition may not give them parameters."""
    reasons = {
        chapter: why
        for chapter in chapters
        if (why := why_not(read_notebook(chapter_path(project, chapter)), chapter))
    }
    problems = [
        f"{chapter} cannot run here, so the parameters that the edition {edition.name} gives it "
        f"cannot be followed. {why} Do that, or leave the chapter or its parameters out of the "
        "edition."
        for chapter, why in reasons.items()
        if edition.chapters.get(chapter)
    ]
    if problems:
        raise InputError("\n".join(problems))
    return reasons


def as_committed(
    project: Path, chapter: str, why: str, audience: Audience
) -> nbformat.NotebookNode:
    """Notebook of a chapter that was not run, which says so below its title."""
    notebook = read_notebook(chapter_path(project, chapter))
    folders = {default_exports(project, chapter)} - {""}
    without = left_out(audience)
    notebook.cells = [cell for cell in notebook.cells if not without & set(tags(cell))]
    text = f"{unrun_sentence(why)} The data of its figures as CSV come with a run only."
    note_below_title(notebook, "Not run for this edition", text)
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            if "text/markdown" in data:
                data["text/markdown"] = without_links(data["text/markdown"], folders=folders)
    return normalised(notebook)


def unrun_sentence(why: str) -> str:
    """Sentences on a chapter that was not run."""
    return (
        f"This chapter was not run for this edition. {why} What is shown are the outputs of the "
        "course's own run with its default parameters."
    )
