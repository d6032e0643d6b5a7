"""
The page "Reference": every verb, setting and parameter, from what the program itself goes by.

Nothing on it is typed, so it says what this version does.
"""

import inspect
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import click

from helpers.course.edition import FIELDS, Edition, accepts
from helpers.course.execute import heading
from helpers.course.markdown import as_code, as_row, as_text
from helpers.course.parameters import chapter_path, literal, read_notebook, read_parameters


def reference_page(project: Path, chapters: Sequence[str], program: click.Group) -> str:
    """
    Markdown page of what can be asked for.

    Parameters
    ----------
    project : Path
    chapters : sequence of str
        Those whose parameters are listed, in order.
    program : click.Group
        The command ``course``.

    Returns
    -------
    str
    """
    lines = [
        "# Reference",
        "",
        "Every verb of the command `course`, every setting of an edition, and every parameter of "
        "the chapters, as the program itself has them.",
        "",
        "## The command `course`",
        "",
        *_described(program),
        *_epilog(program),
    ]
    for name, command in program.commands.items():
        if not command.hidden:
            lines += _verb(f"course {name}", command)
    lines += ["", "## Settings of an edition", ""]
    lines += [
        "An edition is a YAML file of `name: value` lines; `course new` writes one with all of "
        "them."
    ]
    lines += ["", *_settings(), "", "## Parameters of the chapters", ""]
    lines += ["`course run` takes them after `-p`, an edition below the name of the chapter."]
    for chapter in chapters:
        lines += ["", *_parameters(project, chapter)]
    return "\n".join(lines) + "\n"


def _verb(path: str, command: click.Command) -> Iterator[str]:
    """Yield the section on a verb, and those on the verbs below it."""
    context = click.Context(command, info_name=path)
    usage = " ".join([path, *command.collect_usage_pieces(context)])
    yield from ("", f"### `{path}`", "", *_described(command), "```text", usage, "```")
    help_names = set(command.get_help_option_names(context))
    records = [
        option.get_help_record(context)
        for option in command.get_params(context)
        if isinstance(option, click.Option) and not help_names & set(option.opts)
    ]
    rows = [as_row(as_code(names), as_text(about)) for names, about in filter(None, records)]
    if rows:
        yield from ("", "| option | what it does |", "| --- | --- |", *rows)
    yield from _epilog(command)
    if isinstance(command, click.Group):
        for name, inner in command.commands.items():
            yield from _verb(f"{path} {name}", inner)


def _described(command: click.Command) -> Iterator[str]:
    """Yield the help of a command, paragraph by paragraph."""
    text = inspect.cleandoc(command.help or "").partition("\f")[0]
    for paragraph in re.split(r"\n\s*\n", text):
        yield from (as_text(" ".join(paragraph.split())), "")


def _epilog(command: click.Command) -> Iterator[str]:
    """Yield what the help of a command ends with: examples, exit codes."""
    # A line with a backspace tells click to keep the lines of the paragraph.
    lines = inspect.cleandoc(command.epilog or "").replace("\b\n", "").splitlines()
    if lines:
        yield from ("", "```text", *lines, "```")


def _settings() -> Iterator[str]:
    yield from ("| setting | takes | default | what it does |", "| --- | --- | --- | --- |")
    for name in FIELDS:
        field = Edition.model_fields[name]
        default = "the name of the file" if field.is_required() else "that of the book"
        if not field.is_required() and field.default is not None:
            default = as_code(literal(field.default))
        about = as_text(field.description or "")
        yield as_row(as_code(name), as_text(accepts(field)), default, about)


def _parameters(project: Path, chapter: str) -> Iterator[str]:
    """Yield the section on the parameters of a chapter."""
    notebook = read_notebook(chapter_path(project, chapter))
    yield from (
        f"### {heading(notebook, 0) or chapter}",
        "",
        f"Its name is {as_code(chapter)}.",
        "",
    )
    yield from ("| parameter | type | default | what it is |", "| --- | --- | --- | --- |")
    for parameter in read_parameters(notebook, chapter):
        kind, default = as_code(parameter.annotation), as_code(literal(parameter.default))
        yield as_row(as_code(parameter.name), kind, default, as_text(parameter.help))
