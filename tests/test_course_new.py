import nbformat
import pytest
from click.testing import CliRunner
from course_project import copy_course, make_project

from helpers.course.book import read_toc, toc_chapters
from helpers.course.cli import main
from helpers.course.edition import FIELDS, Edition, read_edition
from helpers.course.parameters import chapter_path, read_notebook, read_parameters


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    return copy_course(tmp_path_factory.mktemp("course"))


def course(*words):
    return CliRunner().invoke(main, words)


def parameters_of(project):
    "Parameters by chapter, but for the folder that the build chooses."
    return {
        chapter: {
            parameter.name: parameter
            for parameter in read_parameters(read_notebook(chapter_path(project, chapter)))
            if parameter.name != "output_dir"
        }
        for chapter in toc_chapters(read_toc(project))
    }


@pytest.fixture(scope="module")
def known(project):
    return parameters_of(project)


@pytest.fixture
def draft(project, monkeypatch):
    monkeypatch.chdir(project)
    path = project / "editions" / "spring-2026.yml"
    path.unlink(missing_ok=True)
    result = course("new", "spring-2026")
    assert result.exit_code == 0, result.output
    return path


def commented(text):
    return [n for n, line in enumerate(text.split("\n")) if line.lstrip().startswith("# ")]


def without_comment(text, numbers):
    lines = text.split("\n")
    for number in numbers:
        lines[number] = lines[number].replace("# ", "", 1)
    return "\n".join(lines)


def test_as_it_is_written_it_equals_the_defaults(project, draft, known):
    edition = read_edition(project, draft)
    assert edition.name == "spring-2026"
    assert (edition.title, edition.author, edition.audience) == (None, None, "reader")
    assert edition.chapters == {chapter: {} for chapter in known}


def test_every_single_line_can_be_taken_out_of_its_comment_and_means_the_default(
    project, draft, known
):
    text = draft.read_text()
    config = (project / "_config.yml").read_text()
    seen = set()
    for number in commented(text):
        draft.write_text(without_comment(text, [number]))
        edition = read_edition(project, draft)
        given = [(c, n, v) for c, values in edition.chapters.items() for n, v in values.items()]
        if text.split("\n")[number].startswith("# "):
            key = text.split("\n")[number].split()[1].rstrip(":")
            value = getattr(edition, key)
            default = Edition.model_fields[key].default
            assert value in ("spring-2026", default) or f"{key}: {value}" in config
            assert not given
            seen.add(key)
            continue
        [(chapter, name, value)] = given
        parameter = known[chapter][name]
        if parameter.is_path(parameter.default):
            there = (project / "notebooks" / parameter.default).resolve()
            assert (draft.parent / value).resolve() == there
        else:
            assert value == parameter.default
            assert type(value) is type(parameter.default)
        seen.add((chapter, name))
    everything = {(chapter, name) for chapter in known for name in known[chapter]}
    assert seen == everything | set(FIELDS) - {"chapters"}


def test_all_lines_together_are_an_edition_too(project, draft, known):
    text = draft.read_text()
    draft.write_text(without_comment(text, commented(text)))
    chapters = read_edition(project, draft).chapters
    assert {chapter: list(values) for chapter, values in chapters.items()} == {
        chapter: list(parameters) for chapter, parameters in known.items()
    }


def test_each_line_tells_the_type_and_the_help(draft, known):
    text = draft.read_text()
    for parameters in known.values():
        for parameter in parameters.values():
            start = f"    # {parameter.name}: "
            ends = f"  # {parameter.annotation}; {parameter.help}\n"
            assert any(
                line.startswith(start) and line.endswith(ends) for line in text.splitlines(1)
            )
    assert '# audience: "reader"  # student, instructor, reader; solutions are left out' in text


def test_it_says_what_to_do_next(project, monkeypatch):
    monkeypatch.chdir(project)
    result = course("new", "autumn")
    assert result.exit_code == 0
    assert result.output.endswith(
        "  course check editions/autumn.yml\n  course build editions/autumn.yml\n"
    )


def test_a_path_ending_in_yml_is_a_file_anywhere(project, tmp_path, monkeypatch):
    monkeypatch.chdir(project)
    path = tmp_path / "far" / "My_course.yml"
    assert course("new", str(path)).exit_code == 0
    path.write_text(without_comment(path.read_text(), commented(path.read_text())))
    edition = read_edition(project, path)
    assert edition.name == "my-course"
    orders = edition.chapters["customer_segmentation"]["orders"]
    assert (path.parent / orders).resolve() == project / "data/ecommerce_customers.csv"


@pytest.mark.parametrize(
    "name",
    ["Spring", "spring 2026", "../up", "a--b", "sub/spring", "", "é", "spring 2026.yml", ".yml"],
)
def test_what_is_no_name_of_an_edition_is_refused(project, name, monkeypatch):
    monkeypatch.chdir(project)
    before = set(project.rglob("*"))
    result = course("new", name)
    assert result.exit_code == 2
    assert "name takes lower-case letters" in result.output
    assert set(project.rglob("*")) == before


def test_a_file_that_is_there_is_left_as_it_is(draft):
    draft.write_text("title: Mine")
    result = course("new", "spring-2026")
    assert result.exit_code == 2
    assert "spring-2026.yml is there already. Choose another name" in result.output
    assert draft.read_text() == "title: Mine"


def test_a_file_that_cannot_be_written_is_told(project, monkeypatch):
    monkeypatch.chdir(project)
    result = course("new", "_config.yml/mine.yml")
    assert result.exit_code == 2
    assert "_config.yml/mine.yml cannot be written (" in result.output


def test_a_book_without_author_and_a_chapter_without_parameters_will_do(tmp_path, monkeypatch):
    folder = make_project(tmp_path / "project")
    (folder / "_config.yml").write_text("title: 2026\n")
    notebook = read_notebook(folder / "notebooks" / "mini.ipynb")
    notebook.cells = notebook.cells[:1]
    nbformat.write(notebook, folder / "notebooks" / "mini.ipynb")
    monkeypatch.chdir(folder)
    assert course("new", "mine").exit_code == 0
    path = folder / "editions" / "mine.yml"
    path.write_text(without_comment(path.read_text(), commented(path.read_text())))
    edition = read_edition(folder, path)
    assert (edition.title, edition.author, edition.chapters) == ("2026", "The author", {"mini": {}})
