"""What the tests of all chapters share: running one as an instructor does, and reading its page."""

import json
import os
import subprocess
import sys
from pathlib import Path

import nbformat
from click.testing import CliRunner

from helpers.course.cli import main
from helpers.course.execute import KERNEL_ENVIRONMENT
from helpers.course.parameters import (
    Parameter,
    parameters_cell,
    read_parameters,
    read_values,
    with_values,
)

ROOT = Path(__file__).resolve().parent.parent

# What each of several notebooks raises, of which the cells are given as JSON.
_RAISED = """
import contextlib, io, json, sys

from IPython.core.interactiveshell import InteractiveShell

shell = InteractiveShell.instance()
shell.enable_gui = lambda gui=None: None  # "%matplotlib inline" asks for it
raised = []
for cells in json.load(sys.stdin):
    shell.reset()
    with contextlib.redirect_stdout(io.StringIO()):
        results = map(shell.run_cell, cells)
        error = next((done.error_in_exec for done in results if not done.success), None)
    raised.append([type(error).__name__, str(error)])
json.dump(raised, sys.stdout)
"""


def run_chapter(chapter, out, monkeypatch, **parameters):
    """Run a chapter with ``course run``; return the result of the command."""
    monkeypatch.chdir(ROOT)
    options = [f"-p{name}={value}" for name, value in parameters.items()]
    return CliRunner().invoke(main, ["run", chapter, *options, "--out", str(out)])


def assert_refused(chapter, folder, cases):
    """
    Check that cells of a chapter refuse what they cannot use, in the words that are wanted.

    All cases in one process, because a kernel for each takes seconds to begin. What ``course run``
    makes of a refusal is the same for all, and each chapter's tests show it once.

    Parameters
    ----------
    chapter : str
    folder : Path
        Where the chapter may write.
    cases : list of (dict, list of str)
        Parameters, and what the message has to contain.
    """
    source = nbformat.read(ROOT / "notebooks" / f"{chapter}.ipynb", as_version=4)
    known, first = read_parameters(source), parameters_cell(source)
    notebooks = []
    for parameters, _ in cases:
        values = read_values(
            known,
            {name: str(value) for name, value in parameters.items()},
            base=ROOT,
            notebooks=ROOT / "notebooks",
            read=Parameter.from_text,
        )
        values["output_dir"] = str(folder / "exports")
        start = with_values(first.source, known, values)
        notebooks.append([start if cell is first else cell.source for cell in code_cells(source)])
    done = subprocess.run(
        [sys.executable, "-c", _RAISED],
        cwd=ROOT / "notebooks",
        env={**os.environ, **KERNEL_ENVIRONMENT, "IPYTHONDIR": str(folder / "ipython")},
        input=json.dumps(notebooks),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    others = [
        (parameters, fragments, error, message)
        for (parameters, fragments), (error, message) in zip(
            cases, json.loads(done.stdout), strict=True
        )
        if error != "InputError" or not all(fragment in message for fragment in fragments)
    ]
    assert not others, others


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def markdown_outputs(notebook):
    return [
        output["data"]["text/markdown"]
        for cell in code_cells(notebook)
        for output in cell.outputs
        if "text/markdown" in output.get("data", {})
    ]
