"""Every chapter: the same frame, so that a reader always knows where to look."""

import re

import nbformat
import pytest
from prose import ROOT, WORD, blocks, chapters, parser
from pybtex.database import parse_file

# What somebody who can do it can be seen doing; "know" and "understand" are not.
VERBS = re.findall(
    r"\w+",
    "choose cluster compare count decide describe estimate explain find freeze judge leave match "
    "measure name prepare rank recognise run say tell turn write",
)
BEGINNINGS = ("The problem", "The business problem")
MIDDLE = ("The data", "Preparation", "Choosing", "Evaluation", "Pictures", "Interpretation")
PLAN = "What to do on Monday"
ENDING = ["Exercises", "Check yourself", "Takeaways", "Further reading"]
CITED = re.compile(r"\[([^\]]*?),? ?\(?(\d{4})\)?\]\(([^)]*)\)")

# What a minute of study holds, of a text that is to be understood and not only read.
WORDS, LINES, PICTURES = 150, 15, 3


@pytest.fixture(params=chapters(), ids=lambda path: path.stem)
def path(request):
    return request.param


@pytest.fixture
def notebook(path):
    return nbformat.read(path, as_version=4)


@pytest.fixture
def frame(notebook):
    """The first cell: what a reader will learn, has to know, and how long it takes."""
    return notebook.cells[0].source


def section(notebook, heading):
    text = "\n\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    return re.search(rf"^## {heading}\n(.*?)(?=^## |\Z)", text, flags=re.DOTALL | re.MULTILINE)[1]


def items(text):
    return re.findall(r"^\* (.*)", text, flags=re.MULTILINE)


def test_the_objectives_are_things_to_do(frame):
    assert re.match(r"# \S.*\n\n\*\*You will learn to\*\*\n\n\* ", frame)
    objectives = items(frame.split("**You need**")[0])
    assert len(objectives) >= 4
    assert {WORD.match(objective)[0] for objective in objectives} <= {*VERBS}


def test_no_verb_is_listed_in_vain():
    used = {
        WORD.match(item)[0]
        for path in chapters()
        for item in items(nbformat.read(path, as_version=4).cells[0].source)
    }
    assert used == {*VERBS}


def test_the_prerequisites_stand_before_the_time(frame):
    needed, time = frame.index("\n\n**You need** "), frame.index("\n\n**Time:** ")
    assert needed < time
    assert len(WORD.findall(frame[needed:time])) > 8


def test_headings_come_in_the_agreed_order(path):
    headings = [block.text(code="x") for block in blocks(path) if block.level == 2]
    assert headings[0] in BEGINNINGS
    assert headings[-4:] == ENDING
    assert headings[-5] == "What this cannot tell you"
    assert headings[-6] == "Exports"
    assert PLAN in headings[-8:-6]
    assert len(set(headings)) == len(headings)
    known = [part for heading in headings for part in MIDDLE if heading.startswith(part)]
    known = list(dict.fromkeys(known))
    assert known == sorted(known, key=MIDDLE.index)


def minutes(path, notebook):
    """Estimate the time of reading: prose, visible code, figures and tables; no exercises."""
    prose = [
        block.text()
        for block in blocks(path)
        if not block.level and block.section not in ENDING[:1]
    ]
    words = sum(len(WORD.findall(text)) for text in prose)
    lines = pictures = 0
    for cell in notebook.cells:
        if cell.source.startswith("## Exercises"):
            break
        hidden = {*cell.metadata.get("tags", [])}
        if cell.cell_type == "markdown" or "remove-cell" in hidden:
            continue
        shown = [{*output.get("data", {})} for output in cell.outputs]
        pictures += sum(bool(kinds & {"image/png", "text/html"}) for kinds in shown)
        if not hidden & {"remove-input", "hide-input"}:
            lines += len(cell.source.split("\n"))
    return words / WORDS + lines / LINES + pictures / PICTURES


def test_the_minutes_are_honest(path, notebook, frame):
    "Within a third; an exercise is thought to take ten to fifteen minutes."
    said = re.search(
        r"\*\*Time:\*\* about (\d+) minutes to read, and another (\d+) for the exercises\.", frame
    )
    assert 3 / 4 <= int(said[1]) / minutes(path, notebook) <= 4 / 3
    exercises = sum("stub" in cell.metadata.get("tags", []) for cell in notebook.cells)
    assert 10 <= int(said[2]) / exercises <= 15


def test_takeaways_are_few_and_short(notebook):
    found = items(section(notebook, "Takeaways"))
    assert 5 <= len(found) <= 10
    assert max(len(WORD.findall(item)) for item in found) <= 40


def test_further_reading_says_why_to_read_it(notebook):
    found = items(section(notebook, "Further reading"))
    assert len(found) >= 3
    for item in found:
        assert CITED.search(item)
        assert len(WORD.findall(CITED.sub("", item))) >= 3, item


def test_every_work_that_is_named_is_in_the_list_of_references(notebook):
    entries = parse_file(ROOT / "book" / "references.bib").entries.values()
    known = {
        (str(entry.persons["author"][0].rich_last_names[-1]), entry.fields["year"])
        for entry in entries
    }
    text = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    cited = CITED.findall(text)
    assert len(cited) >= 3
    for names, year, target in cited:
        assert target == "../book/references.md"
        first = re.split(r",| and | et ", names)[0].removeprefix("Von ").strip()
        assert (first, year) in known


def test_the_first_cell_reads_well_where_myst_is_not_rendered(frame):
    kinds = {token.type for token in parser().parse(frame)}
    assert not kinds & {"fence", "colon_fence", "field_list_open", "myst_target"}
