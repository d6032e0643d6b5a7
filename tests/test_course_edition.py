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


@pytest.mark.parametrize(
    ("address", "taken"),
    [
        ("https://github.com/owner/name", "https://github.com/owner/name"),
        ("https://github.com/owner/name/", "https://github.com/owner/name"),
        ("https://github.com/owner/name.git", "https://github.com/owner/name"),
        ("https://gitlab.com/my_group/a.b-c", "https://gitlab.com/my_group/a.b-c"),
        ("", ""),
    ],
)
def test_the_address_of_a_repository_is_taken(project, address, taken):
    assert edition(project, f"repository: {address!r}").repository == taken


@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("http://github.com/owner/name", "begins with https://github.com/"),
        ("git@github.com:owner/name.git", "begins with https://github.com/"),
        ("https://github.com.example.org/owner/name", "begins with https://github.com/"),
        ("https://www.github.com/owner/name", "begins with https://github.com/"),
        ("https://user:secret@github.com/owner/name", "begins with https://github.com/"),
        ("https://codeberg.org/owner/name", "whose notebooks Binder can open"),
        ("javascript:alert(1)", "begins with https://github.com/"),
        ("https://github.com/owner", "owner and name of a repository and nothing more"),
        ("https://github.com/owner/name/tree/main", "and nothing more"),
        ("https://gitlab.com/group/subgroup/name", "and nothing more"),
        ("https://github.com/owner/..", "and nothing more"),
        ("https://github.com/owner/name?x=1", "and nothing more"),
        ("https://github.com/owner/na me", "and nothing more"),
        ('https://github.com/owner/na"onclick="x', "and nothing more"),
        ("https://github.com/owner/" + "n" * 1_000, "and nothing more"),
    ],
)
def test_an_address_that_would_make_a_broken_button_is_refused(project, address, why):
    with pytest.raises(InputError, match="repository takes ") as error:
        edition(project, f"repository: {address!r}")
    assert why in str(error.value)


@pytest.mark.parametrize(
    ("setting", "why"),
    [
        ("branch: feature/x", "branch takes letters, digits, dots, hyphens and underscores"),
        ("branch: ''", "branch takes letters"),
        ("branch: -f", "branch takes letters"),
        ("jupyterhub: http://hub.example.org", "jupyterhub takes an address such as https://hub."),
        ("jupyterhub: https://hub.example.org/hub/home", "jupyterhub takes the address up to"),
        ("jupyterhub: https://hub.example.org?next=x", "jupyterhub takes an address such as"),
        ("jupyterhub: https://me@hub.example.org", "jupyterhub takes an address such as"),
        ("jupyterhub: 'https://hub.example.org/<x>'", "jupyterhub takes an address such as"),
    ],
)
def test_what_cannot_stand_in_the_address_of_a_button_is_refused(project, setting, why):
    with pytest.raises(InputError) as error:
        edition(project, f"repository: https://github.com/owner/name\n{setting}")
    assert why in str(error.value)


@pytest.mark.parametrize("setting", ["branch: spring", "jupyterhub: https://hub.example.org"])
def test_what_is_for_buttons_wants_a_repository(project, setting):
    with pytest.raises(InputError, match="is for the buttons that open chapters of a repository"):
        edition(project, setting)


@pytest.mark.parametrize(
    "title",
    ["''", "' '", '"two\\nlines"', "a <b> b", '"\\e[31m"', '"a\\u2028b"', "x" * 201],
)
def test_what_is_not_one_plain_line_is_no_title_and_no_author(project, title):
    for key in ("title", "author"):
        with pytest.raises(InputError, match=f"{key} takes one line of text, at most 200 char"):
            edition(project, f"{key}: {title}")


def test_students_get_no_buttons_and_the_instructor_is_told(project):
    spring = edition(project, "repository: https://github.com/owner/name")
    assert spring.has_buttons("reader")
    assert spring.has_buttons("instructor")
    assert spring.remarks("reader") == []
    assert not spring.has_buttons("student")
    [remark] = spring.remarks("student")
    assert "https://github.com/owner/name hold the solutions" in remark
    plain = edition(project, "title: Ours")
    assert not plain.has_buttons("reader")
    assert plain.remarks("student") == []


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
