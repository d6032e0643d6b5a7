"""Every chapter: the committed notebook is whole, and keeps the conventions of the course."""

import ast
import re

import nbformat
import pytest
from chapter_runs import ROOT, code_cells, markdown_outputs

from helpers.course.parameters import read_parameters

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


@pytest.fixture(params=NOTEBOOKS, ids=lambda path: path.stem)
def path(request):
    return request.param


@pytest.fixture
def notebook(path):
    return nbformat.read(path, as_version=4)


def code(notebook):
    """Source of all cells but that of the parameters."""
    return "\n".join(
        cell.source
        for cell in code_cells(notebook)
        if "parameters" not in cell.metadata.get("tags", [])
    )


def test_every_cell_was_executed_in_order(notebook):
    counts = [cell.execution_count for cell in code_cells(notebook)]
    assert counts == list(range(1, len(counts) + 1))


def test_no_cell_raised_or_wrote_to_stderr(notebook):
    outputs = [output for cell in code_cells(notebook) for output in cell.outputs]
    assert not [out for out in outputs if out.output_type == "error" or out.get("name") == "stderr"]


def test_every_parameter_has_help_and_is_used(notebook):
    parameters = read_parameters(notebook)
    assert parameters
    for parameter in parameters:
        assert parameter.help
        assert re.search(rf"\b{parameter.name}\b", code(notebook)), f"{parameter.name} is not used"


def test_the_results_go_to_a_folder_of_the_chapters_own(path, notebook):
    defaults = {parameter.name: parameter.default for parameter in read_parameters(notebook)}
    assert defaults["output_dir"] == f"exports/{path.stem}"


def test_the_record_of_the_run_holds_every_parameter_and_every_input_file(notebook):
    "Whether each name goes with its own value"
    lines = (line for line in code(notebook).splitlines() if not line.startswith("%"))
    calls = [
        {keyword.arg: keyword.value for keyword in node.keywords}
        for node in ast.walk(ast.parse("\n".join(lines)))
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("run_record")
    ]
    assert len(calls) == 1
    recorded = {
        part: {
            key.value: ast.unparse(value)
            for key, value in zip(calls[0][part].keys, calls[0][part].values, strict=True)
        }
        for part in ("inputs", "parameters")
    }
    parameters = read_parameters(notebook)
    files = {parameter.name for parameter in parameters if parameter.is_input_file}
    others = {parameter.name for parameter in parameters} - files - {"output_dir"}
    paths = {
        name: re.sub(r"image_file\((\w+)\)", r"\1", path)
        for name, path in recorded["inputs"].items()
    }
    assert paths == {name: name for name in files}
    assert recorded["parameters"] == {name: name for name in others}


def test_every_figure_has_alt_text(notebook):
    for cell in code_cells(notebook):
        if any("image/png" in output.get("data", {}) for output in cell.outputs):
            assert len(cell.metadata["mystnb"]["image"]["alt"]) > 30


def test_cells_are_short(notebook):
    assert max(len(cell.source.splitlines()) for cell in code_cells(notebook)) <= 30


def test_computed_text_has_no_headings_and_no_gaps(notebook):
    for text in markdown_outputs(notebook):
        assert not re.search(r"^#", text, flags=re.MULTILINE)
        assert not re.search(r"\b(nan|NaN|None(?! of)|inf)\b", text)


def test_no_path_or_address_of_a_machine(notebook):
    text = nbformat.writes(notebook)
    assert not re.search(r"/(home|root|tmp|Users)/|0x[0-9a-f]{8}", text)
