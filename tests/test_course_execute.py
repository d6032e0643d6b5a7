import json
from pathlib import Path

import nbformat
import pytest
from course_project import make_project
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from helpers.course.execute import ChapterError, normalised, run_chapter, take, workspace
from helpers.text import InputError


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    return make_project(tmp_path_factory.mktemp("execute") / "a {strange} name")


def run(project, values=None, *, base=None, **options):
    with workspace(project, project / "_build") as folder:
        done = run_chapter(
            project, "mini", values or {}, base=base or project, folder=folder, **options
        )
        return done.notebook, {str(file): (done.folder / file).read_text() for file in done.files()}


@pytest.fixture(scope="module")
def executed(project):
    told = []
    notebook, files = run(project, progress=lambda *step: told.append(step))
    return notebook, files, told


def outputs(notebook):
    return json.dumps([cell.get("outputs") for cell in notebook.cells], ensure_ascii=False)


def test_a_chapter_runs_with_its_defaults(executed):
    notebook, files, told = executed
    assert "**3 orders** in 4 segments, £, {}" in outputs(notebook)
    assert files == {"exports/mini/orders.csv": "a\nb\nc"}
    assert told[3] == ("mini", 4, 12, "Reading")


def test_the_executed_notebook_is_valid_and_holds_no_trace_of_the_run(project, executed):
    notebook, _, _ = executed
    nbformat.validate(notebook)
    text = nbformat.writes(notebook)
    for trace in ('"papermill":', "iopub", ".course-", str(project.parent), "start_time"):
        assert trace not in text
    assert notebook.metadata.kernelspec.name == "python3"
    assert [cell.id for cell in notebook.cells] == [f"cell-{n:02d}" for n in range(1, 13)]


def test_two_runs_give_the_same_text(project, executed):
    assert nbformat.writes(run(project)[0]) == nbformat.writes(executed[0])


def test_values_appear_where_the_defaults_stood(project):
    notebook, _ = run(project, {"n_segments": 5, "currency": "kr", "columns": {"a": "b"}})
    assert "in 5 segments, kr, {'a': 'b'}" in outputs(notebook)
    source = notebook.cells[1].source
    assert "n_segments: int = 5  # 0 lets the evidence choose" in source
    assert [cell for cell in notebook.cells if "injected" in str(cell.metadata)] == []


def test_a_file_outside_the_project_is_read_and_shown_as_it_was_given(project, tmp_path):
    (tmp_path / "my orders.csv").write_text("a\n")
    notebook, files = run(project, {"orders": "my orders.csv"}, base=tmp_path)
    assert "**1 orders**" in outputs(notebook)
    assert 'orders: str = "my orders.csv"' in notebook.cells[1].source
    assert list(files) == ["exports/mini/orders.csv"]


def test_a_file_in_the_project_is_shown_as_the_notebook_would_find_it(project):
    (project / "data" / "other.csv").write_text("a\nb\n")
    notebook, _ = run(project, {"orders": "data/other.csv"})
    assert 'orders: str = "../data/other.csv"' in notebook.cells[1].source


PARTS = """\
parts: str = "../data"  # input file or folder
output_dir: str = "exports/mini"  # folder"""

SHOW = """\
from pathlib import Path

from helpers.export import run_record, write_json

files = sorted(Path(parts).rglob("*.csv"))
print(parts, *files)
record = run_record(inputs={"parts": parts}, parameters={}, metrics={}, decisions={})
write_json(record["inputs"], f"{output_dir}/run.json")"""


@pytest.fixture(scope="module")
def parted(tmp_path_factory):
    """A chapter that reads a folder, and folders for it within the project and beside it."""
    project = make_project(tmp_path_factory.mktemp("parted") / "project")
    cell = new_code_cell(PARTS, metadata={"tags": ["parameters"]})
    chapter = new_notebook(cells=[cell, new_code_cell(SHOW)])
    nbformat.write(chapter, project / "notebooks" / "mini.ipynb")
    for folder in ("data/own", "notebooks/exports/mini", "../disk/mine"):
        (project / folder / "y=2").mkdir(parents=True)
        (project / folder / "y=2" / "a.csv").write_text("a")
    return project


@pytest.mark.parametrize(
    ("text", "base", "shown", "file", "name"),
    [
        ("data/own/", ".", "../data/own", "../data/own/y=2/a.csv", "own"),
        ("mine", "../disk", "mine", "mine/y=2/a.csv", "mine"),
        ("mine/", "../disk", "mine/", "mine/y=2/a.csv", "mine"),
        (".", "../disk/mine", ".", "./y=2/a.csv", "mine"),
        ("..", "../disk/mine/y=2", "..", "../y=2/a.csv", "mine"),
        # What the chapters exported earlier is not in a workspace.
        (
            "notebooks/exports",
            ".",
            "notebooks/exports",
            "notebooks/exports/mini/y=2/a.csv",
            "exports",
        ),
    ],
)
def test_a_folder_is_read_and_shown_as_a_file_would_be(parted, text, base, shown, file, name):
    notebook, files = run(parted, {"parts": text}, base=parted / base)
    assert notebook.cells[0].source == PARTS.replace('"../data"', json.dumps(shown))
    printed = notebook.cells[1].outputs[0].text
    assert printed.split()[-1] == file
    assert "inputs" not in printed
    entry = json.loads(files["exports/mini/run.json"])["parts"]
    assert (entry["folder"], entry["files"]) == (name, 1)


def test_a_folder_has_one_digest_within_the_project_and_beside_it(parted):
    digests = set()
    for text in ("data/own", "../disk/mine"):
        _, files = run(parted, {"parts": text}, base=parted)
        digests.add(json.loads(files["exports/mini/run.json"])["parts"]["sha256"])
    assert len(digests) == 1


def test_an_input_error_is_the_users_to_mend(project, tmp_path):
    (tmp_path / "bad.csv").write_text("a\nbad\n")
    with pytest.raises(InputError) as error:
        run(project, {"orders": "bad.csv"}, base=tmp_path)
    assert str(error.value) == "bad.csv: line 2 is bad. Mend it."


@pytest.mark.parametrize(
    ("segments", "reason"),
    [(13, "ValueError: 13 is unlucky"), (14, "it wrote to standard error: <cell>:6: UserWarning")],
)
def test_a_failing_cell_is_named_and_what_ran_is_kept(project, segments, reason):
    with pytest.raises(ChapterError) as error:
        run(project, {"n_segments": segments})
    place = 'mini: cell 6 of 12 under "Reading" (if n_segments == 13:): '
    assert str(error.value).startswith(place + reason)
    assert error.value.notebook == project / "_build" / "failed" / "mini.ipynb"
    kept = nbformat.read(error.value.notebook, as_version=4)
    assert len(kept.cells) == 12
    assert "**3 orders**" in outputs(kept)


def test_a_kernel_that_dies_is_a_failing_chapter_and_what_ran_is_kept(tmp_path):
    project = make_project(tmp_path / "p", new_code_cell("import os\n\nos._exit(1)"))
    with pytest.raises(ChapterError, match=r"mini: cell 13 of 13 .*the kernel died") as error:
        run(project)
    assert "**3 orders**" in outputs(nbformat.read(error.value.notebook, as_version=4))


@pytest.mark.parametrize(("n_threads", "expected"), [(3, "3 3"), (0, "7 7")])
def test_numerical_libraries_get_as_many_threads_as_they_are_given(
    tmp_path, monkeypatch, n_threads, expected
):
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    for name in names:
        monkeypatch.setenv(name, "7")
    cell = new_code_cell(f"import os\n\nprint(*[os.environ[name] for name in {names}])")
    notebook, _ = run(make_project(tmp_path / "p", cell), n_threads=n_threads)
    assert notebook.cells[-1].outputs[0].text == f"{expected}\n"


def test_no_installed_kernel_or_profile_gets_in_between(tmp_path, monkeypatch):
    kernel = tmp_path / "jupyter" / "kernels" / "python3"
    kernel.mkdir(parents=True)
    spec = {"argv": ["false"], "display_name": "Mine", "language": "python"}
    (kernel / "kernel.json").write_text(json.dumps(spec))
    startup = tmp_path / "ipython" / "profile_default" / "startup"
    startup.mkdir(parents=True)
    (startup / "00.py").write_text("import builtins\n\nbuiltins.len = None")
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "jupyter"))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.setenv("MPLBACKEND", "agg")
    notebook, _ = run(make_project(tmp_path / "p"))
    assert "image/png" in outputs(notebook)


def test_cells_with_a_tag_can_be_left_out(project):
    notebook, _ = run(project, without={"solution", "check"})
    assert len(notebook.cells) == 9
    assert "marmalade" not in nbformat.writes(notebook)


def test_a_workspace_is_gone_afterwards_and_made_nothing_that_was_not_there(tmp_path):
    project = make_project(tmp_path / "p")
    with workspace(project, tmp_path / "not" / "yet") as folder:
        assert folder.parent == tmp_path
        assert (folder / "data" / "orders.csv").is_file()
        assert list((folder / "notebooks").iterdir()) == []
    assert [path.name for path in tmp_path.iterdir()] == ["p"]


def test_only_what_the_chapter_wrote_is_taken(tmp_path):
    project = make_project(tmp_path / "p")
    (project / "notebooks" / "shared").mkdir()
    (project / "notebooks" / "shared" / "kept.txt").write_text("kept")
    with workspace(project, tmp_path) as folder:
        done = run_chapter(project, "mini", {"output_dir": "mini"}, base=tmp_path, folder=folder)
        (folder / "notebooks" / ".ipynb_checkpoints").mkdir()
        (folder / "notebooks" / ".ipynb_checkpoints" / "x.txt").write_text("")
        files = take(done, tmp_path / "out", notebook=tmp_path / "out" / "mini.ipynb")
    assert [file.name for file in files] == ["orders.csv", "mini.ipynb"]
    assert (project / "notebooks" / "shared" / "kept.txt").is_file()


CACHE = """\
for folder in ("../data", "../data/public", "shared", "../book"):
    Path(folder, "cache.csv").write_text("mine")"""


def test_what_a_chapter_writes_beside_its_inputs_does_not_reach_the_project(tmp_path):
    project = make_project(tmp_path / "p", new_code_cell(CACHE))
    for folder in (project / "data" / "public", project / "notebooks" / "shared"):
        folder.mkdir()
        (folder / "kept.txt").write_text("kept")
    _, files = run(project)
    assert list(project.rglob("cache.csv")) == []
    assert files == {"exports/mini/orders.csv": "a\nb\nc", "shared/cache.csv": "mine"}


@pytest.mark.parametrize("place", ["results/mini", "exports/mini/", "./new"])
def test_every_run_exports_anew_wherever_that_is(tmp_path, place):
    seen = new_code_cell("print('seen', *Path('.').rglob('*.csv'))")
    project = make_project(tmp_path / "p", seen)
    path = project / "notebooks" / "mini.ipynb"
    path.write_text(path.read_text().replace("exports/mini", place))
    other = project / "notebooks" / "other.ipynb"
    other.write_text(path.read_text().replace(place, "reports/other"))
    (project / "notebooks" / "draft.ipynb").write_text("not yet a notebook")
    (project / "notebooks" / "reports" / "other").mkdir(parents=True)
    (project / "notebooks" / "reports" / "other" / "old.csv").write_text("old")
    for _ in range(2):
        with workspace(project, tmp_path) as folder:
            done = run_chapter(project, "mini", {}, base=project, folder=folder)
            files = take(done, project / "notebooks", notebook=tmp_path / "mini.ipynb")
        assert [file.name for file in files] == ["orders.csv", "mini.ipynb"]
        assert not files[0].is_symlink()
        assert f"seen {Path(place, 'orders.csv')}\\n" in outputs(done.notebook)


def test_an_export_of_another_chapter_can_be_given_as_input(project):
    export = project / "notebooks" / "exports" / "mini" / "old.csv"
    export.parent.mkdir(parents=True)
    export.write_text("a\nb\n")
    notebook, files = run(project, {"orders": "notebooks/exports/mini/old.csv"})
    assert "**2 orders**" in outputs(notebook)
    assert list(files) == ["exports/mini/orders.csv"]


def test_a_folder_that_is_a_link_to_elsewhere_or_to_itself_is_looked_into(tmp_path):
    project = make_project(tmp_path / "p")
    (project / "data").rename(tmp_path / "disk")
    (project / "data").symlink_to(tmp_path / "disk")
    (tmp_path / "disk" / "again").symlink_to(tmp_path / "disk")
    with workspace(project, tmp_path) as folder:
        assert not (folder / "data").is_symlink()
        assert [path.name for path in (folder / "data").iterdir()] == ["orders.csv"]


def test_normalising_leaves_an_authors_notes_and_takes_a_runs_traces():
    random = '<table id="T_4f1c2"><style>#T_4f1c2_row</style></table>'
    cell = new_code_cell("x", execution_count=7)
    cell.metadata = {"tags": ["hide-input"], "papermill": {"duration": 1}, "execution": {}}
    cell.outputs = [
        new_output("stream", name="stdout", text="a"),
        new_output("stream", name="stdout", text="b"),
        new_output("display_data", {"application/vnd.jupyter.widget-view+json": {"model_id": "1"}}),
        new_output("execute_result", {"text/html": random}, execution_count=7),
        new_output("display_data", {"text/plain": "<A object at 0x7f00aa12bc>"}),
        new_output("stream", name="stderr", text="see /tmp/ipykernel_71/8.py:3 now"),
    ]
    metadata = {
        "authors": ["me"],
        "course": {"needs": "spark"},
        "widgets": {"x": 1},
        "language_info": {"name": "x", "version": "3.99"},
    }
    notebook = new_notebook(cells=[new_markdown_cell("# a"), cell], metadata=metadata)
    result = normalised(notebook)
    assert result.metadata.authors == ["me"]
    assert result.metadata.course == {"needs": "spark"}
    assert "widgets" not in result.metadata
    assert "version" not in result.metadata.language_info
    assert result.cells[1].metadata == {"tags": ["hide-input"]}
    assert result.cells[1].execution_count == 1
    stream, table, thing, trace = result.cells[1].outputs
    assert trace.text == "see <cell>:3 now"
    assert stream.text == "ab"
    assert table.execution_count == 1
    assert table.data["text/html"] == random.replace("T_4f1c2", "T_00001")
    assert thing.data["text/plain"] == "<A object at 0x0>"
