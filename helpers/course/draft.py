"""
A new edition's file: every setting and every parameter with its default, each in a comment.

It is made from what checks an edition, so it says what that accepts. A line that may be taken out
of its comment begins with "# ", any other comment with "##".
"""

import os
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from helpers.course.book import read_toc, toc_chapters
from helpers.course.edition import (
    FIELDS,
    Edition,
    accepts,
    model_problems,
    name_of,
    read_settings,
)
from helpers.course.parameters import (
    Parameter,
    chapter_path,
    input_path,
    literal,
    read_notebook,
    read_parameters,
)
from helpers.text import InputError

HEAD = """\
## Remove the "# " in front of a line to set what it says, and change its value. Until then the
## default holds, which is what the line shows. Lines with ## only explain.
"""
CHAPTERS = """
## {chapters}
## Leave out a chapter by deleting its lines. Paths are relative to this file.
chapters:
"""


def write_draft(project: Path, name: str) -> Path:
    """
    Write the file of a new edition, which as it is builds the same as the defaults.

    Parameters
    ----------
    project : Path
    name : str
        Of the edition, for a file in ``editions``; or the path of a file that ends in .yml.

    Returns
    -------
    Path
        The file, with a line for each setting, and for each parameter of the chapters of the site.

    Raises
    ------
    InputError
        If it is no name of an edition, or the file is there already.
    """
    path = Path(name) if name.endswith(".yml") else project / "editions" / f"{name}.yml"
    called = name_of(path) if name.endswith(".yml") else name
    try:
        Edition(name=called)
    except ValidationError as error:
        raise InputError("\n".join(model_problems(error))) from None
    text = draft(project, path.resolve().parent, called)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8", newline="\n") as file:
            file.write(text)
    except OSError as error:
        if os.path.lexists(path):
            raise InputError(f"{path} is there already. Choose another name, or edit it.") from None
        raise InputError(f"{path} cannot be written ({error.strerror}).") from None
    return path


def draft(project: Path, folder: Path, name: str) -> str:
    """Text of a new edition that will lie in a folder."""
    config = read_settings(project / "_config.yml")
    settings = {**Edition(name=name).model_dump(), "name": name}
    lines = []
    for key in FIELDS:
        field = Edition.model_fields[key]
        if key != "chapters":
            # Without a value of its own an edition takes that of the book.
            value = settings[key]
            value = str(config.get(key) or f"The {key}") if value is None else value
            lines.append(f"# {key}: {literal(value)}  # {accepts(field)}; {field.description}")
    about = str(Edition.model_fields["chapters"].description)
    lines += CHAPTERS.format(chapters=about[0].upper() + about[1:] + ".").splitlines()
    for chapter in toc_chapters(read_toc(project)):
        lines += ["", f"  {chapter}:"]
        lines += [
            f"    # {parameter.name}: {literal(_seen_from(folder, project, parameter))}"
            f"  # {'; '.join(filter(None, [parameter.annotation, parameter.help]))}"
            for parameter in read_parameters(read_notebook(chapter_path(project, chapter)), chapter)
            # The build chooses this one.
            if parameter.name != "output_dir"
        ]
    return HEAD + "\n" + "\n".join(lines) + "\n"


def _seen_from(folder: Path, project: Path, parameter: Parameter) -> Any:
    """Default of a parameter; a path, which is relative to the notebooks, relative to a folder."""
    value = parameter.default
    if not parameter.is_path(value) or Path(value).expanduser().is_absolute():
        return value
    path = input_path(value, (project / "notebooks").resolve())
    return Path(os.path.relpath(path, folder)).as_posix()
