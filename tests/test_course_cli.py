import shutil

import pytest
from click.testing import CliRunner
from course_project import make_project

from helpers.course.cli import main


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    return make_project(tmp_path_factory.mktemp("template") / "project")


@pytest.fixture
def project(template, tmp_path, monkeypatch):
    folder = shutil.copytree(template, tmp_path / "project", symlinks=True)
    monkeypatch.chdir(folder)
    return folder


def course(*words):
    return CliRunner().invoke(main, words)


def tree(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("verb", ["parameters", "run", "build", "refresh"])
def test_help_shows_an_example(verb):
    result = course(verb, "--help")
    assert result.exit_code == 0
    assert f"Example: course {verb}" in result.output


def test_parameters_are_listed_with_their_types_defaults_and_help(project):
    result = course("parameters")
    assert result.exit_code == 0
    assert "mini\n  orders: str = '../data/orders.csv'\n      input file" in result.output
    assert "  n_segments: int = 4\n      0 lets the evidence choose\n" in result.output


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["parameters", "mino"], "There is no chapter 'mino'. Did you mean mini? There are: mini."),
        (["refresh", "mino"], "There is no chapter 'mino'"),
        (["run", "mino", "--out", "out"], "There is no chapter 'mino'"),
        (["run", "mini"], "Missing option '--out'"),
        (["run", "mini", "--out", "out", "-p", "n_segment=5"], "Did you mean n_segments?"),
        (["run", "mini", "--out", "out", "-p", "n_segments=five"], "n_segments takes int"),
        (["run", "mini", "--out", "out", "-p", "n_segments"], "write -p name=value"),
        (["run", "mini", "--out", "out", "-p", "share=1", "-p", "share=2"], "share=... is given"),
        (["run", "mini", "--out", "out", "-p", "orders=data/order.csv"], "mean orders.csv?"),
        (["run", "mini", "--out", "out", "-p", "orders=data"], "is a folder"),
        (["run", "mini", "--out", "out", "-p", "orders=bad.csv"], "bad.csv: line 2 is bad"),
        (["run", "mini", "--out", "out", "-p", "output_dir=x"], "output_dir is set by --out"),
        (["run", "mini", "--out", "bad.csv"], "'bad.csv' is a file"),
        (["run", "mini", "--out", "notebooks"], "would overwrite"),
        (["build", "sprung"], "There is no edition 'sprung'. Did you mean spring?"),
        (["build", "--audience", "students"], "'students' is not one of"),
        (["build", "--jobs", "0"], "0 is not in the range"),
        (["bild"], "No such command"),
    ],
)
def test_bad_input_exits_2_with_a_message_and_writes_nothing(project, words, message):
    (project / "bad.csv").write_text("a\nbad\n")
    (project / "editions" / "spring.yml").write_text("")
    before = tree(project)
    result = course(*words)
    assert result.exit_code == 2
    assert message in result.output
    assert "Traceback" not in result.output
    assert tree(project) == before
    assert not (project / "out").exists()


def test_outside_a_course_nothing_can_be_done(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = course("parameters")
    assert result.exit_code == 2
    assert "There is no course here" in result.output


def test_a_run_says_what_it_does_and_what_it_wrote(project, monkeypatch):
    monkeypatch.chdir(project / "data")
    result = course("run", "mini", "-p", "orders=orders.csv", "-p", "currency=$", "--out", "../o/p")
    assert result.exit_code == 0
    assert "mini: cell 3 of 10: Reading\n" in result.output
    assert result.output.endswith("  orders.csv\n  mini.ipynb\n")
    assert sorted(path.name for path in (project / "o" / "p").iterdir()) == [
        "mini.ipynb",
        "orders.csv",
    ]
    assert "in 4 segments, $" in (project / "o" / "p" / "mini.ipynb").read_text()


def test_a_failing_chapter_exits_1_and_leaves_an_earlier_run_as_it_was(project):
    (project / "out").mkdir()
    (project / "out" / "orders.csv").write_text("earlier")
    result = course("run", "mini", "-p", "n_segments=13", "--out", "out")
    assert result.exit_code == 1
    assert (
        "ValueError: 13 is unlucky\nWhat ran until then: _build/failed/mini.ipynb" in result.output
    )
    assert tree(project / "out") == {project / "out" / "orders.csv": b"earlier"}


def test_the_same_run_elsewhere_gives_the_same_files(project):
    for name in ("one", "two"):
        assert course("run", "mini", "--out", name).exit_code == 0
    one, two = (
        {path.name: data for path, data in tree(project / n).items()} for n in ("one", "two")
    )
    assert one == two


def test_a_second_refresh_changes_nothing(project):
    assert "mini: changed" in course("refresh").output
    before = tree(project)
    result = course("refresh", "mini")
    assert result.exit_code == 0
    assert "mini: unchanged" in result.output
    assert tree(project) == before
    assert (project / "notebooks" / "exports" / "mini" / "orders.csv").is_file()


def test_a_failing_refresh_leaves_the_notebook_as_it_was(project):
    notebook = project / "notebooks" / "mini.ipynb"
    notebook.write_text(notebook.read_text().replace("n_segments: int = 4", "n_segments: int = 13"))
    before = notebook.read_bytes()
    assert course("refresh").exit_code == 1
    assert notebook.read_bytes() == before
