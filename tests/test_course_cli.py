import shutil

import pytest
from click.testing import CliRunner
from course_project import make_project

from helpers.course.cli import main
from helpers.course.rendering import SiteError


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


@pytest.mark.parametrize("verb", sorted(main.commands))
def test_help_shows_an_example(verb):
    result = course(verb, "--help")
    assert result.exit_code == 0
    assert f"Example: course {verb} " in " ".join(result.output.split())


def test_parameters_are_listed_with_their_types_defaults_and_help(project):
    result = course("parameters")
    assert result.exit_code == 0
    assert "mini\n  orders: str = '../data/orders.csv'\n      input file" in result.output
    assert "  n_segments: int = 4\n      0 lets the evidence choose\n" in result.output


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["parameters", "mino"], "There is no chapter 'mino' (nearest: 'mini'). There are: mini."),
        (["refresh", "mino"], "There is no chapter 'mino'"),
        (["run", "mino", "--out", "out"], "There is no chapter 'mino'"),
        (["run", "mini"], "Missing option '--out'"),
        (["run", "mini", "--out", "out", "-p", "n_segment=5"], "(nearest: 'n_segments')"),
        (["run", "mini", "--out", "out", "-p", "n_segments=five"], "n_segments takes int"),
        (["run", "mini", "--out", "out", "-p", "n_segments"], "write -p name=value"),
        (["run", "mini", "--out", "out", "-p", "share=1", "-p", "share=2"], "share=... is given"),
        (["run", "mini", "--out", "out", "-p", "orders=data/order.csv"], "(nearest: 'orders.csv')"),
        (["run", "mini", "--out", "out", "-p", "orders=data"], "is a folder"),
        (["run", "mini", "--out", "out", "-p", "orders=bad.csv"], "bad.csv: line 2 is bad"),
        (["run", "mini", "--out", "out", "-p", "output_dir=x"], "output_dir is set by --out"),
        (["run", "mini", "--out", "bad.csv"], "'bad.csv' is a file"),
        (["run", "mini", "--out", "notebooks"], "would overwrite"),
        (["build", "sprung"], "There is no edition 'sprung' (nearest: 'spring')."),
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
    assert "mini: cell 3 of 12: Reading\n" in result.output
    assert result.output.endswith("  mini/orders.csv\n  mini.ipynb\n")
    out = project / "o" / "p"
    assert set(tree(out)) == {out / "mini.ipynb", out / "mini" / "orders.csv"}
    text = (out / "mini.ipynb").read_text()
    assert "in 4 segments, $" in text
    assert "[orders.csv](mini/orders.csv)" in text


@pytest.mark.parametrize("words", [("run", "mini", "--out", "out"), ("refresh",)])
def test_quietly_nothing_is_told_but_errors(project, words):
    result = course(*words, "--quiet")
    assert (result.exit_code, result.output) == (0, "")
    notebook = project / "notebooks" / "mini.ipynb"
    notebook.write_text(notebook.read_text().replace("n_segments: int = 4", "n_segments: int = 13"))
    result = course(*words, "--quiet")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "ValueError: 13 is unlucky\nWhat ran until then: " in result.stderr


def test_a_quiet_build_tells_nothing_but_errors(project, monkeypatch):
    def build_site(project, edition, *, progress, say, **options):
        assert progress is None
        say("a step")
        if edition.title == "bad":
            raise SiteError("no page")
        return project

    monkeypatch.setattr("helpers.course.cli.build_site", build_site)
    result = course("build", "--quiet")
    assert (result.exit_code, result.output) == (0, "")
    (project / "editions" / "bad.yml").write_text("title: bad")
    result = course("build", "bad", "--quiet")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("no page\n")


def test_two_chapters_can_have_their_results_in_one_folder(project):
    first = (project / "notebooks" / "mini.ipynb").read_text()
    (project / "notebooks" / "second.ipynb").write_text(first)
    (project / "data" / "two.csv").write_text("a\nb\n")
    assert course("run", "mini", "--out", "out").exit_code == 0
    assert course("run", "second", "-p", "orders=data/two.csv", "--out", "out").exit_code == 0
    assert (project / "out" / "mini" / "orders.csv").read_text() == "a\nb\nc"
    assert (project / "out" / "second" / "orders.csv").read_text() == "a\nb"


def test_a_file_where_the_folder_of_the_exports_should_be_is_refused(project):
    (project / "out").mkdir()
    (project / "out" / "mini").write_text("a file")
    result = course("run", "mini", "--out", "out")
    assert result.exit_code == 2
    assert "'out/mini' is a file" in result.output
    assert tree(project / "out") == {project / "out" / "mini": b"a file"}


def test_exports_outside_a_folder_of_their_own_are_refused_by_every_command(project):
    notebook = project / "notebooks" / "mini.ipynb"
    notebook.write_text(notebook.read_text().replace("exports/mini", "../results"))
    before = tree(project)
    for words in (["run", "mini", "--out", "out"], ["refresh"], ["build"]):
        result = course(*words)
        assert result.exit_code == 2
        assert "mini: output_dir = '../results'" in result.output
        assert tree(project) == before


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("_toc.yml", "root: book/welcome\nchapters: [", "_toc.yml, line 2: "),
        ("_toc.yml", "", "_toc.yml: 'root' key not found"),
        ("_toc.yml", "- book/welcome", "_toc.yml: write name: value lines"),
        ("_toc.yml", "format: jb-book\nroot: book/welcome\nchapters:", "_toc.yml: 'chapters' not"),
        ("_toc.yml", "format: jb-book\nroot: book/welcome\ndefaults:", "_toc.yml: "),
        ("_toc.yml", "format: jb-book\nroot: a\nroot: b", "_toc.yml, line 3: 'root' is given"),
        ("_toc.yml", None, "_toc.yml cannot be read: "),
        ("_config.yml", "title: [", "_config.yml, line 1: "),
        ("_config.yml", "- title", "_config.yml: write name: value lines"),
        ("_config.yml", "execute: [off]", "_config.yml: execute takes name: value lines"),
        ("_config.yml", "parse: {myst_enable_extensions: [foo]}", "_config.yml: parse: "),
        ("_config.yml", "parse: {myst_enable_extensions:}", "_config.yml: parse: "),
        ("_config.yml", "title: a\ntitle: b", "_config.yml, line 2: 'title' is given twice"),
    ],
)
def test_settings_of_the_book_that_cannot_be_read_are_refused(project, name, text, message):
    if text is None:
        (project / name).unlink()
    else:
        (project / name).write_text(text)
    before = tree(project)
    result = course("build")
    assert result.exit_code == 2
    assert message in result.output
    assert "Traceback" not in result.output
    assert tree(project) == before


def test_a_failing_chapter_exits_1_and_leaves_an_earlier_run_as_it_was(project):
    (project / "out").mkdir()
    (project / "out" / "mini.ipynb").write_text("earlier")
    result = course("run", "mini", "-p", "n_segments=13", "--out", "out")
    assert result.exit_code == 1
    assert (
        "ValueError: 13 is unlucky\nWhat ran until then: _build/failed/mini.ipynb" in result.output
    )
    assert tree(project / "out") == {project / "out" / "mini.ipynb": b"earlier"}


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
