"""What each audience sees of the solutions: students none, instructors all, readers folded."""

import re

import nbformat

from helpers.course.edition import Audience
from helpers.course.parameters import tags

FOLDED = {"hide-cell", "hide-input", "hide-output"}


def left_out(audience: Audience) -> set[str]:
    """Tags of the cells that an audience must not get, neither to see nor in what they export."""
    return {"solution"} if audience == "student" else set()


def for_audience(notebook: nbformat.NotebookNode, audience: Audience) -> nbformat.NotebookNode:
    """
    Open or fold the cells tagged ``solution``; the notebook is changed in place, and returned.

    Those of a student were left out before the chapter ran, so that no export comes from them.

    Parameters
    ----------
    notebook : NotebookNode
        Its solutions are folded in Markdown by the class ``dropdown``.
    audience : {"student", "instructor", "reader"}
        Who reads the page.
    """
    for cell in notebook.cells:
        if "solution" not in tags(cell):
            continue
        if cell.cell_type == "code":
            kept = [tag for tag in tags(cell) if tag not in FOLDED]
            cell.metadata["tags"] = kept + (["hide-cell"] if audience == "reader" else [])
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
