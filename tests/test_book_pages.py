"""The pages across the chapters: where they lead, what they list, and what is left out for whom."""

import re
from collections import Counter

import nbformat
import pytest
import yaml
from course_project import ROOT, make_project
from myst_parser.mdit_to_docutils.base import default_slugify
from nbformat.v4 import new_markdown_cell, new_notebook

from helpers.course import site
from helpers.course.book import read_config, read_toc, toc_chapters, write_book
from helpers.course.chapter_map import chapter_map
from helpers.course.edition import Edition
from helpers.course.site import build_site

CHAPTERS = toc_chapters(read_toc(ROOT))
PAGES = sorted(path.name for path in (ROOT / "book").glob("*.md"))
GLUE = re.compile(r"\{glue:text\}`\.\./notebooks/(\w+)\.ipynb::(\w+):s`")
SECTION = re.compile(r"\]\(\.\./notebooks/(\w+)\.ipynb#([^)\s]+)\)")


def page(name):
    return (ROOT / "book" / name).read_text(encoding="utf-8")


def notebook(chapter):
    return nbformat.read(ROOT / "notebooks" / f"{chapter}.ipynb", as_version=4)


def prose(chapter):
    cells = notebook(chapter).cells
    return "\n\n".join(cell.source for cell in cells if cell.cell_type == "markdown")


def sections(chapter):
    "Anchors of the headings, as MyST makes them."
    headings = re.findall(r"^#{1,3} +(.+)$", prose(chapter), flags=re.MULTILINE)
    return {default_slugify(heading.replace("`", "")) for heading in headings}


def glued(chapter):
    outputs = [out for cell in notebook(chapter).cells for out in cell.get("outputs", [])]
    records = [out.get("metadata", {}).get("scrapbook", {}) for out in outputs]
    return {record["name"] for record in records if "name" in record}


def parts(text, depth):
    "Text of each section of a depth, by its heading."
    pieces = re.split(rf"^{'#' * depth} +(.+)$", text, flags=re.MULTILINE)
    return dict(zip(pieces[1::2], pieces[2::2], strict=True))


def blocks(text):
    "Paragraphs, list items and rows, whose values stay or go together."
    found = re.split(r"\n\s*\n|\n(?=[-*|] |\d+\. )", text)
    return [" ".join(block.split()) for block in found if block.strip()]


# Where they lead


@pytest.mark.parametrize("name", PAGES)
def test_every_link_into_a_chapter_leads_to_a_section_that_is_there(name):
    missing = [
        f"{chapter}#{anchor}"
        for chapter, anchor in SECTION.findall(page(name))
        if anchor not in sections(chapter)
    ]
    assert missing == []


@pytest.mark.parametrize("name", PAGES)
def test_every_value_of_a_chapter_is_one_that_it_computes(name):
    missing = [
        f"{chapter}::{key}"
        for chapter, key in GLUE.findall(page(name))
        if key not in glued(chapter)
    ]
    assert missing == []


@pytest.mark.parametrize("name", PAGES)
def test_no_result_is_typed_beside_a_value_that_was_computed(name):
    "Ends of a scale are no results: 0 is chance, 1 is identical, 0.5 is guessing."
    typed = {}
    for block in blocks(page(name)):
        words = re.sub(r"\]\([^)]*\)", "]", GLUE.sub("", block))
        numbers = set(re.findall(r"(?<![\w-])\d[\d.,]*\d|(?<![\w-])\d(?!\w)", words))
        if GLUE.search(block) and numbers - {"0", "1", "0.5"}:
            typed[block] = numbers
    assert typed == {}


@pytest.mark.parametrize("name", PAGES)
def test_a_value_and_a_section_of_a_chapter_stand_in_one_block(name):
    "An edition without the chapter drops the block with the value; the sentence on it must go too."
    apart = []
    for block in blocks(page(name)):
        linked = {chapter for chapter, _ in SECTION.findall(block)}
        computed = {chapter for chapter, _ in GLUE.findall(block)}
        if "](#exercise-" not in block and not linked <= computed:
            apart.append(block)
    assert apart == []


def test_there_are_ten_takeaways_and_each_leads_to_where_the_course_shows_it():
    takeaways = parts(page("takeaways.md"), 2)
    assert [heading.partition(".")[0] for heading in takeaways] == [str(n) for n in range(1, 11)]
    for heading, text in takeaways.items():
        assert SECTION.search(text), heading
        assert GLUE.search(text), heading
        # What holds without any chapter comes first.
        first = text.strip().partition("\n\n")[0]
        assert not GLUE.search(first), heading
        assert not SECTION.search(first), heading


# What the guide for instructors lists


@pytest.fixture(scope="module")
def guide():
    return page("instructor_guide.md")


def rows(text):
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("| ").split(" | ")] for line in lines]


def chapter_part(guide, chapter):
    (part,) = [text for heading, text in parts(guide, 3).items() if f"/{chapter}.ipynb)" in heading]
    return part.partition("\n## ")[0]


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_the_guide_lists_every_objective_of_a_chapter_in_its_words(guide, chapter):
    text = re.sub(r"\[([^\]]+)\]\([^)]+\)", r"\1", notebook(chapter).cells[0].source)
    objectives = re.findall(r"^[*-] (.+?)[.;]?$", text, flags=re.MULTILINE)
    assert len(objectives) >= 4
    table = [row for row in rows(chapter_part(guide, chapter)) if len(row) == 4][2:]
    listed = [row[0] for row in table]
    assert listed == objectives
    assert all(SECTION.search(row[1]) for row in table)


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_the_guide_lists_every_exercise_and_every_question_of_a_chapter(guide, chapter):
    text = prose(chapter)
    exercises = re.findall(
        r"^:+\{admonition\} Exercise (\d+):.*\n(?::class: .*\n)?:name: (\S+)", text, re.MULTILINE
    )
    part = chapter_part(guide, chapter)
    assert exercises
    assert set(re.findall(r"\[(\d+)\]\(#(exercise-[\w-]+)\)", part)) == set(exercises)
    questions = set(re.findall(r"^\*\*(\d+)\. ", text, flags=re.MULTILINE))
    table = [row for row in rows(part) if len(row) == 4][2:]
    assert {number for row in table for number in re.findall(r"\d+", row[3])} == questions


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_a_lesson_takes_two_hours(guide, chapter):
    table = [row for row in rows(chapter_part(guide, chapter)) if len(row) == 2]
    assert table[0][0] == "minutes"
    assert sum(int(minutes) for minutes, _ in table[2:]) == 120


# How the chapters depend on each other


def write_chapters(folder, **needs):
    for name, text in needs.items():
        cell = new_markdown_cell(
            f"# The {name}\n\n**You need** {text}\n\n**Time:** about 9 minutes."
        )
        nbformat.write(new_notebook(cells=[cell]), folder / "notebooks" / f"{name}.ipynb")


@pytest.fixture
def three(tmp_path):
    (tmp_path / "notebooks").mkdir()
    write_chapters(
        tmp_path,
        base="some patience.",
        middle="the chapter on [base](base.ipynb), all of it.",
        top="[the middle](middle.ipynb). The [other](other.ipynb) helps.",
        other="nothing. Look at [base](base.ipynb) if you like.",
    )
    return tmp_path


def test_a_chapter_hangs_below_the_one_that_it_needs(three):
    text = chapter_map(three, ["base", "other", "middle", "top"])
    lines = [line for line in text.splitlines() if "- **" in line]
    depths = {re.search(r"The (\w+)", line)[1]: line.index("-") for line in lines}
    assert depths == {"base": 0, "middle": 2, "top": 4, "other": 0}
    assert [
        line
        for line in text.splitlines()
        if line.endswith("helps to know [The base](../notebooks/base.ipynb).")
    ] == ["  It helps to know [The base](../notebooks/base.ipynb)."]
    assert text.count("About 9 minutes.") == 4


def test_what_an_edition_leaves_out_is_bridged(three):
    text = chapter_map(three, ["top", "base"])
    lines = [line for line in text.splitlines() if line]
    assert lines[1].startswith("- **[The base]")
    assert "  - **[The top](../notebooks/top.ipynb)**" in lines
    assert "middle" not in text
    assert "other" not in text


# What is left out, and for whom


@pytest.fixture
def written(tmp_path):
    """Write the pages of the real book for an edition; the folder of their sources."""

    def write(chapters, audience="reader"):
        source = tmp_path / "-".join([audience, *chapters])
        (source / "notebooks").mkdir(parents=True)
        (source / "book").mkdir()
        for name in PAGES:
            (source / "book" / name).write_text(page(name))
        for chapter in chapters:
            nbformat.write(notebook(chapter), source / "notebooks" / f"{chapter}.ipynb")
        edition = Edition(name="part", base=ROOT)
        write_book(ROOT, source, edition, read_toc(ROOT), read_config(ROOT), chapters, audience, ())
        return source

    return write


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_pages_of_an_edition_with_one_chapter_speak_of_no_other(written, chapter):
    source = written([chapter])
    for name in (*PAGES, "chapter_map.md"):
        text = (source / "book" / name).read_text()
        others = set(re.findall(r"notebooks/(?:exports/)?(\w+)(?:\.ipynb|/)", text)) - {chapter}
        assert not others, f"{name} speaks of {others}"
        headings = re.findall(r"^(#+) .*\n+(?=(#+ ))?", text, flags=re.MULTILINE)
        empty = [below for above, below in headings if below and len(below) <= len(above) + 1]
        assert not empty, f"{name} has a heading with nothing below it"
    counts = Counter(re.findall(r"grid-item-card\} (.+)", (source / "book/welcome.md").read_text()))
    assert len(counts) == 4


def test_students_get_no_guide_for_instructors_and_no_word_of_it(written):
    source = written(CHAPTERS, "student")
    toc = yaml.safe_load((source / "_toc.yml").read_text())
    assert not (source / "book" / "instructor_guide.md").exists()
    assert "book/instructor_guide" not in str(toc)
    assert all(part["chapters"] for part in toc["parts"])
    for path in (source / "book").glob("*.md"):
        text = path.read_text()
        assert "instructor_guide" not in text, path.name
        assert "guide for instructors" not in text.lower(), path.name


@pytest.mark.parametrize("audience", ["instructor", "reader"])
def test_everybody_else_gets_it(written, audience):
    source = written(CHAPTERS, audience)
    assert (source / "book" / "instructor_guide.md").exists()
    assert "book/instructor_guide" in (source / "_toc.yml").read_text()


def test_a_page_that_is_left_out_is_not_on_the_site(tmp_path):
    project = make_project(tmp_path / "project")
    (project / "book" / "instructor_guide.md").write_text("# For those who teach\n\nQuince.\n")
    (project / "_toc.yml").write_text(
        "format: jb-book\nroot: book/welcome\nparts:\n"
        "- caption: Chapters\n  chapters:\n  - file: notebooks/mini\n"
        "- caption: Teach\n  chapters:\n  - file: book/instructor_guide\n"
        "- caption: More\n  chapters:\n  - file: book/references\n"
    )
    with (project / "book" / "welcome.md").open("a") as welcome:
        welcome.write("\nTeachers read [the guide](instructor_guide.md#for-those-who-teach).\n")
    edition = Edition(name="default", base=project)
    for audience, there in (("student", False), ("reader", True)):
        html = build_site(project, edition, audience=audience)
        found = [path for path in html.rglob("*.*") if b"Quince" in path.read_bytes()]
        assert bool(found) == there
        menu = (html / "book" / "welcome.html").read_text()
        assert ("Teach</span>" in menu) == there
        assert "the guide" in menu


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_an_edition_with_one_chapter_is_built_without_a_warning(tmp_path, monkeypatch, chapter):
    "With the committed outputs, because only the pages are looked at."
    project = tmp_path / "project"
    project.mkdir()
    for name in ("book", "data", "notebooks", "helpers", "_config.yml", "_toc.yml"):
        (project / name).symlink_to(ROOT / name)
    monkeypatch.setattr(site, "chapters_not_run", lambda *_: {chapter: "For a test."})
    edition = Edition(name="part", base=project, chapters={chapter: {}})
    html = build_site(project, edition)
    names = {path.stem for path in (html / "book").glob("*.html")}
    assert {"welcome", "using", "choosing", "practice", "takeaways", "instructor_guide"} <= names
