"""What the checks of exercises share: whether there is an answer, and one of the right form."""

import math
from collections.abc import Callable
from numbers import Real
from typing import Any

import numpy as np
import pandas as pd
from IPython.display import Markdown
from numpy.typing import ArrayLike


def _is_number(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)


def _is_list(value: Any) -> bool:
    if isinstance(value, pd.Series | pd.Index | np.ndarray | pd.Categorical):
        return value.ndim == 1
    return isinstance(value, list | tuple | set)


FORMS: dict[str, Callable[[Any], bool]] = {
    "a whole number": lambda value: _is_number(value) and value == round(value),
    "a number": _is_number,
    "a percentage": lambda value: _is_number(value) and 0 <= value <= 100,
    "True or False": lambda value: isinstance(value, bool | np.bool_),
    "text in quotes": lambda value: isinstance(value, str) and bool(value.strip()),
    "a list": _is_list,
    "a file": lambda value: isinstance(value, bytes) and bool(value),
    "a table": lambda value: isinstance(value, pd.DataFrame),
}


def expect(exercise: int, form: str, **answers: Any) -> None:
    """
    Refuse answers that are missing, or not of the form that the exercise asks for.

    Parameters
    ----------
    exercise : int
        Its number, for the message.
    form : str
        One of FORMS.
    **answers
        By their names in the notebook.

    Raises
    ------
    AssertionError
        Its message names the answer, and what is wanted.

    Examples
    --------
    >>> expect(2, "a number", share=0.5)
    >>> expect(2, "a number", share=...)
    Traceback (most recent call last):
    AssertionError: Exercise 2: `share` has no answer yet. Put a number in place of the dots.
    """
    for name, value in answers.items():
        # Raised, not asserted: without assertions there would be no check at all.
        if value is ...:
            raise AssertionError(
                f"Exercise {exercise}: `{name}` has no answer yet. Put {form} in place of the dots."
            )
        if not FORMS[form](value):
            raise AssertionError(f"Exercise {exercise}: `{name}` is not {form}.")


def right(exercise: int) -> Markdown:
    """
    Sentence for a check that has found nothing wrong.

    Examples
    --------
    >>> right(2).data
    'Exercise 2: right.'
    """
    return Markdown(f"Exercise {exercise}: right.")


def settled(points: ArrayLike, labels: ArrayLike) -> float:
    """
    Share of the points that have no other cluster's mean nearer than that of their own.

    What k-means has finished has 1, or a little less if it stopped early.

    Parameters
    ----------
    points : array-like of shape (n_points, n_features)
        As k-means sees them.
    labels : array-like of shape (n_points,)
        Names or numbers of the clusters.

    Examples
    --------
    >>> settled([[0], [1], [8], [9]], ["low", "low", "high", "high"])
    1.0
    """
    points = np.asarray(points, dtype=float)
    names, cluster = np.unique(np.asarray(labels), return_inverse=True)
    centers = [points[cluster == number].mean(axis=0) for number in range(len(names))]
    distances = np.column_stack([((points - center) ** 2).sum(axis=1) for center in centers])
    own = distances[np.arange(len(points)), cluster]
    return float((own <= distances.min(axis=1) + 1e-9).mean())
