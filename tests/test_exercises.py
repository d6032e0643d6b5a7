"""Answers of the right form pass; of others the message says what is wanted."""

import numpy as np
import pandas as pd
import pytest

from helpers.exercises import FORMS, expect, settled

ANSWERS = {
    "a whole number": [3, 3.0, np.int64(3), -1],
    "a number": [0.5, np.float32(0.5), 3],
    "a percentage": [0, 100, 12.5],
    "True or False": [True, np.bool_(False)],
    "text in quotes": ["Champions"],
    "a list": [[1], (1,), {1}, np.arange(2), pd.Series([1]), pd.Categorical(["a"])],
    "a file": [b"\x89PNG"],
    "a table": [pd.DataFrame({"a": [1]})],
}
OTHERS = {
    "a whole number": [0.5, "3", True, None, [3], float("nan"), 1j],
    "a number": ["0.5", False, np.inf, pd.Series([1.0])],
    "a percentage": [-0.1, 100.1, "12 %"],
    "True or False": [1, "yes"],
    "text in quotes": ["", " ", 3],
    "a list": ["abc", 3, np.eye(2), pd.DataFrame({"a": [1]})],
    "a file": [b"", "picture.png"],
    "a table": [[1], pd.Series([1])],
}


def test_every_form_is_tested():
    assert set(ANSWERS) == set(OTHERS) == set(FORMS)


@pytest.mark.parametrize("form", FORMS)
def test_answers_of_the_form_pass_and_others_do_not(form):
    for value in ANSWERS[form]:
        expect(1, form, answer=value)
    for value in OTHERS[form]:
        with pytest.raises(AssertionError, match=f"^Exercise 1: `answer` is not {form}.$"):
            expect(1, form, fine=ANSWERS[form][0], answer=value)


def test_no_answer_is_told_from_a_wrong_one():
    with pytest.raises(AssertionError, match="`second` has no answer yet"):
        expect(4, "a number", first=1, second=...)


def test_points_are_settled_where_no_other_centre_is_nearer():
    "Centres at 1 and 10; 4 is nearer to 1, so that it is not where it belongs in the second"
    points = np.array([[0.0], [1], [2], [9], [11], [10]])
    assert settled(points, list("aaabbb")) == 1
    assert settled(points, list("aabbbb")) == pytest.approx(5 / 6)
