"""What the tests of all chapters share: running one as an instructor does, and reading its page."""

from pathlib import Path

from click.testing import CliRunner

from helpers.course.cli import main

ROOT = Path(__file__).resolve().parent.parent


def run_chapter(chapter, out, monkeypatch, **parameters):
    """Run a chapter with ``course run``; return the result of the command."""
    monkeypatch.chdir(ROOT)
    options = [f"-p{name}={value}" for name, value in parameters.items()]
    return CliRunner().invoke(main, ["run", chapter, *options, "--out", str(out)])


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def markdown_outputs(notebook):
    return [
        output["data"]["text/markdown"]
        for cell in code_cells(notebook)
        for output in cell.outputs
        if "text/markdown" in output.get("data", {})
    ]
