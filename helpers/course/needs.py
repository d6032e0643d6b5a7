"""
What a chapter needs that not everybody has.

A notebook says in its metadata ``{"course": {"needs": "spark"}}``. Where that is absent the chapter
is not run, and an edition shows the notebook as the course has it, with the outputs of its own run.
"""

from collections.abc import Callable, Mapping

import nbformat

from helpers import spark
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
