"""What the guides tell people to type exists, and the skeleton of a chapter is a sound chapter."""

import inspect
import re
import shlex

import click
import nbformat
import pytest
import test_chapter_exercises
import test_chapter_frames
import test_chapter_quizzes
import test_notebooks
from chapter_runs import ROOT
from click.testing import CliRunner
from course_project import copy_course

from helpers.course.cli import main

GUIDES = ["README.md", "CONTRIBUTING.md", "book/troubleshooting.md", "book/testing.md"]
TARGETS = set(re.findall(r"^([a-z]+):.*## ", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
# Made by the walk-throughs, by the command or by readers; or no path of the project at all.
OWN = ("wholesale_customers", "my_", "data/public", "exports", "results", "./", "/mnt")


@pytest.fixture(params=GUIDES)
def guide(request):
    return (ROOT / request.param).read_text(encoding="utf-8")


def commands(text):
    """Return each command of a guide as words, from its sessions and its sentences."""
    text = text.replace("\\\n", " ")
    typed = re.findall(r"^ *\$ (.*)$", text, flags=re.MULTILINE)
    said = re.findall(r"(?<!`)`((?:course|make|pytest) [^`]+)`", text.replace("\n", " "))
    return [
        shlex.split(part, comments=True) for line in [*typed, *said] for part in line.split("&&")
    ]


def test_commands_are_found_wherever_they_stand():
    text = "Type `make\nbook`.\n\n   $ cd x && course run it \\\n   -p 'a: b'  # now\n"
    assert commands(text) == [["cd", "x"], ["course", "run", "it", "-p", "a: b"], ["make", "book"]]


def test_every_target_and_every_verb_with_its_options_exists(guide):
    for program, *words in commands(guide):
        if program == "make":
            assert {word for word in words if "=" not in word} <= TARGETS
        if program == "course":
            verb = main.commands[words[0]]
            try:
                verb.make_context(words[0], [word.strip(".") for word in words[1:]])
            except click.MissingParameter:
                continue  # Where a sentence only names the verb and an option.


def test_every_file_that_is_named_exists(guide):
    named = re.findall(r"`([\w./-]+/[\w.*-]+|[\w-]+\.(?:py|md|yml|toml|lock))`", guide)
    named += [target for target in re.findall(r"\]\(([^)#:\s]+)\)", guide) if "/" in target]
    for name in named:
        # What a build makes is not there in a fresh clone.
        if not name.startswith("_build/") and not any(own in name for own in OWN):
            places = (ROOT, ROOT / "book", ROOT / "helpers", ROOT / "data")
            assert any(True for place in places for _ in place.glob(name)), name


@pytest.fixture(scope="module")
def skeleton(tmp_path_factory):
    """Return the notebook that CONTRIBUTING.md lets a new chapter begin with, after its run."""
    project = copy_course(tmp_path_factory.mktemp("skeleton"))
    path = project / "notebooks" / "skeleton.ipynb"
    text = (ROOT / "templates" / "chapter.ipynb").read_text()
    path.write_text(text.replace("exports/chapter", "exports/skeleton"))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(project)
        result = CliRunner().invoke(main, ["refresh", "skeleton"])
    assert result.exit_code == 0, result.output
    return path


MODULES = (test_notebooks, test_chapter_exercises, test_chapter_frames, test_chapter_quizzes)
CONVENTIONS = {
    f"{module.__name__}.{name}": test
    for module in (
        test_notebooks,
        test_chapter_exercises,
        test_chapter_frames,
        test_chapter_quizzes,
    )
    for name, test in inspect.getmembers(module, inspect.isfunction)
    if name.startswith("test_")
    and {*inspect.signature(test).parameters} <= {"path", "notebook", "frame", "quiz"}
    and inspect.signature(test).parameters
}


@pytest.mark.parametrize("name", CONVENTIONS)
def test_the_skeleton_keeps_to_the_conventions(name, skeleton):
    notebook = nbformat.read(skeleton, as_version=4)
    given = {
        "path": skeleton,
        "notebook": notebook,
        "frame": notebook.cells[0].source,
        "quiz": next(c.source for c in notebook.cells if c.source.startswith("## Check yourself")),
    }
    test = CONVENTIONS[name]
    test(**{wanted: given[wanted] for wanted in inspect.signature(test).parameters})


def test_a_chapter_that_breaks_a_convention_would_be_noticed(skeleton):
    notebook = nbformat.read(skeleton, as_version=4)
    notebook.cells[0].source = notebook.cells[0].source.replace("* tell ", "* know ")
    with pytest.raises(AssertionError):
        test_chapter_frames.test_the_objectives_are_things_to_do(notebook.cells[0].source)
