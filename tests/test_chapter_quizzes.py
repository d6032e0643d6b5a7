"""Every chapter: its quiz has one right answer a question, and says of the others what is wrong."""

import re
from dataclasses import dataclass

import nbformat
import pytest
from prose import WORD, chapters, directives, parser

HEADING = "## Check yourself"
STEM = re.compile(r"\*\*(\d+)\. (.+)\*\*")


@dataclass
class Question:
    number: int
    stem: str
    options: list


def questions(text):
    """Questions of a quiz, each with the directives that are its options."""
    found = []
    for token in parser().parse(text):
        if token.type == "inline" and (stem := STEM.fullmatch(token.content)):
            found.append(Question(int(stem[1]), stem[2], []))
        elif token.type == "colon_fence":
            found[-1].options += directives(f":::{token.info}\n{token.content}:::")
    return found


def is_right(option):
    return re.match(r"Yes\b", option.body) is not None


@pytest.fixture(params=chapters(), ids=lambda path: path.stem)
def quiz(request):
    cells = nbformat.read(request.param, as_version=4).cells
    (text,) = (
        c.source for c in cells if c.cell_type == "markdown" and c.source.startswith(HEADING)
    )
    return text


def test_there_are_five_questions_of_three_options_and_nothing_is_read_as_something_else(quiz):
    "Each line that looks like a question or an option to a reader is one to the parser."
    asked = questions(quiz)
    assert len(asked) >= 5
    assert [question.number for question in asked] == list(range(1, len(asked) + 1))
    assert len(asked) == len(re.findall(r"^\**\d+\.", quiz, flags=re.MULTILINE))
    options = [option for question in asked for option in question.options]
    assert len(options) == quiz.count(":::{") == quiz.count("\n:::\n") + quiz.endswith("\n:::")
    for question in asked:
        titles = [option.argument for option in question.options]
        assert len(set(titles)) == len(titles) >= 3, question.stem
    for option in options:
        assert (option.name, option.options) == ("admonition", {"class": "dropdown"})


def test_exactly_one_answer_is_right(quiz):
    for question in questions(quiz):
        assert [is_right(option) for option in question.options].count(True) == 1, question.stem


def test_every_answer_explains_itself(quiz):
    "A bare No teaches nothing; and two wrong answers are two misconceptions."
    for question in questions(quiz):
        reasons = [re.sub(r"^(Yes|No)\b", "", option.body) for option in question.options]
        assert len(set(reasons)) == len(reasons)
        for reason in reasons:
            assert len(WORD.findall(reason)) >= 5, reason


WAYS = {
    "the first": lambda lengths: 0,
    "the second": lambda lengths: 1,
    "the third": lambda lengths: 2,
    "the longest": lambda lengths: lengths.index(max(lengths)),
    "the shortest": lambda lengths: lengths.index(min(lengths)),
}


@pytest.mark.parametrize("way", WAYS)
def test_who_does_not_read_is_seldom_right(quiz, way):
    "Neither the place nor the length of an answer tells; a guess is right in a third."
    asked = questions(quiz)
    right = 0
    for question in asked:
        guess = WAYS[way]([len(option.argument) for option in question.options])
        right += is_right(question.options[guess])
    assert right <= len(asked) / 2


QUIZ = """
**1. How many?**

:::{admonition} Two
:class: dropdown
Yes. One and one.
:::
:::{admonition} Three
:class: dropdown
No: that would be one more.
:::
"""


def test_a_quiz_is_read_as_it_was_written():
    (question,) = questions(QUIZ)
    assert question.stem == "How many?"
    assert [option.argument for option in question.options] == ["Two", "Three"]
    assert [option.body for option in question.options] == [
        "Yes. One and one.",
        "No: that would be one more.",
    ]
    assert [is_right(option) for option in question.options] == [True, False]
