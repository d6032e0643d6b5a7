import pytest
from course_project import ROOT, make_project

from helpers.course.edition import chapter_values, find_edition, read_edition
from helpers.text import InputError


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    return make_project(tmp_path_factory.mktemp("edition"))


def edition(project, text, name="spring.yml"):
    path = project / "editions" / name
    path.write_text(text, encoding="utf-8")
    return read_edition(project, path)


def test_everything_has_a_default(project):
    empty = edition(project, "", "Spring_2026.yml")
    assert (empty.name, empty.audience, empty.chapters) == ("spring-2026", "reader", {})
    assert edition(project, "chapters:").chapters == {}


def test_an_edition_says_what_to_build_and_for_whom(project):
    (project / "editions" / "mine.csv").write_text("a\n")
    text = """
        name: spring
        title: Ours
        author: Me
        audience: student
        chapters:
          mini: {orders: mine.csv, n_segments: 5, currency: "€", share: 1, columns: {a: b}}
        """
    spring = edition(project, text)
    assert (spring.title, spring.author, spring.audience) == ("Ours", "Me", "student")
    assert chapter_values(project, spring, "mini") == {
        "orders": "mine.csv",
        "n_segments": 5,
        "currency": "€",
        "share": 1.0,
        "columns": {"a": "b"},
    }


def test_a_chapter_can_be_named_without_parameters(project):
    assert edition(project, "chapters:\n  mini:\n").chapters == {"mini": {}}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("titel: x", "There is no setting 'titel' (nearest: 'title'). There are: name, title"),
        ("base: /", "There is no setting 'base'"),
        ("1: x", "There is no setting 1"),
        ("name: ../up", "name takes lower-case letters, digits and single hyphens"),
        ("name: 3", "name takes lower-case"),
        ("title: 3", "title takes"),
        ("audience: pupils", "audience takes 'student', 'instructor' or 'reader', not 'pupils'"),
        ("chapters: [mini]", "chapters takes"),
        ("chapters: {mini: 3}", "chapters.mini takes"),
        ("chapters: {mino: {}}", "There is no chapter 'mino' (nearest: 'mini')."),
        (
            "chapters: {mini: {n_segment: 3}}",
            "mini: There is no parameter 'n_segment' (nearest: 'n_segments')",
        ),
        ("chapters: {mini: {n_segments: '3'}}", "mini: n_segments takes int, not '3'"),
        ("chapters: {mini: {currency: 5}}", "mini: currency takes str, not 5 (written before "),
        ("chapters: {mini: {orders: nowhere.csv}}", "mini: orders: there is no file 'nowhere.csv'"),
        ("chapters: {mini: {output_dir: x}}", "mini: output_dir is chosen by the build"),
        ("- a", "write name: value lines"),
        ("title: a\ntitle: b", "line 2: 'title' is given twice"),
        ("a: [", "line 1"),
    ],
)
def test_what_is_wrong_is_refused_by_name(project, text, message):
    with pytest.raises(InputError) as error:
        edition(project, text)
    assert "spring.yml" in str(error.value)
    assert message in str(error.value)


def test_every_fault_is_told_at_once(project):
    text = "titel: x\naudience: all\nchapters: {mini: {n_segments: x, shares: 1}, mino: {}}"
    with pytest.raises(InputError) as error:
        edition(project, text)
    assert len(str(error.value).splitlines()) == 5


def test_text_that_is_not_utf8_is_refused(project):
    path = project / "editions" / "latin.yml"
    path.write_bytes("title: Année".encode("latin-1"))
    with pytest.raises(InputError, match=r"latin\.yml cannot be read"):
        read_edition(project, path)


def test_an_edition_is_found_by_its_path_or_its_name(project, monkeypatch):
    path = project / "editions" / "spring.yml"
    path.write_text("")
    assert find_edition(project, "spring") == path
    assert find_edition(project, str(path)) == path


@pytest.mark.parametrize("path", sorted((ROOT / "editions").glob("*.yml")), ids=lambda p: p.stem)
def test_the_editions_of_the_course_ask_only_for_what_there_is(path):
    "Their data need not be there: only online_retail.yml names a file that is not shipped."
    try:
        read_edition(ROOT, path)
    except InputError as error:
        problems = str(error).splitlines()
        assert problems
        assert all("there is no file" in problem for problem in problems)
        assert path.stem == "online_retail"
