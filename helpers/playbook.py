"""Playbooks: what to do about each thing a chapter finds, in a YAML file that anyone can edit."""

from pathlib import Path
from typing import Annotated, Any

import pandas as pd
import pydantic

from helpers.text import InputError, listed, nearest, read_yaml


class Play(pydantic.BaseModel, extra="forbid"):
    """What a playbook says about one name; a chapter adds fields with their types."""


def read_plays(path, play, name):
    """
    Read a playbook: YAML that maps each name to its play.

    Parameters
    ----------
    path : str or Path
    play : type
        Subclass of ``Play``, whose fields each entry has to have, and no others.
    name : str
        What the names are names of, e.g. "segment".

    Returns
    -------
    DataFrame indexed by ``name``, one column a field

    Raises
    ------
    InputError
        If the file cannot be read, holds a name twice, or an entry is missing, unknown or of
        the wrong kind.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> class Advice(Play):
    ...     action: str
    >>> with TemporaryDirectory() as folder:
    ...     path = Path(folder, "plays.yml")
    ...     _ = path.write_text("Champions: {action: say thank you}")
    ...     read_plays(path, Advice, "segment")
                      action
    segment
    Champions  say thank you
    """
    path = Path(path)
    try:
        content = read_yaml(path.read_text(encoding="utf-8"), path.name)
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path.name}: cannot be read as a playbook ({error}).") from None
    try:
        plays = pydantic.TypeAdapter(_some(play)).validate_python(content)
    except pydantic.ValidationError as error:
        places = [" > ".join(map(str, fault["loc"])) for fault in error.errors()]
        faults = [
            f"{place}: {fault['msg']}" if place else fault["msg"]
            for place, fault in zip(places, error.errors(), strict=True)
        ]
        raise InputError(
            f"{path.name}: {'; '.join(faults)}. Give each {name} {listed(play.model_fields)}, and "
            "nothing else."
        ) from None
    rows = {key: entry.model_dump() for key, entry in plays.items()}
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis(name)


def _some(play) -> Any:
    """Type of a playbook: one name or more, each with its play."""
    return Annotated[dict[str, play], pydantic.Field(min_length=1)]


def plays_for(names, plays):
    """
    Return the rows of a playbook for these names, in their order.

    Parameters
    ----------
    names : list of str
    plays : DataFrame
        From ``read_plays``.

    Raises
    ------
    InputError
        If the playbook lacks a name; the nearest one it has is told.
    """
    missing = [f"{name!r}{nearest(name, plays.index)}" for name in names if name not in plays.index]
    if missing:
        raise InputError(f"The playbook has no entry for {listed(missing)}. Add one for each.")
    return plays.loc[list(names)]
