"""
What a chapter refuses by its parameters alone, found in its cells and asked without running it.

A chapter says itself which values it takes, in statements such as::

    if n_segments != 0 and not 2 <= n_segments <= 10:
        raise InputError(f"n_segments is {n_segments}. Use 2 to 10, or 0.")

One that depends on nothing but parameters gives the same answer before the chapter runs, so the
limits stand in one place only. What depends on the data, too, is left to the run.
"""

import ast
import builtins
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import nbformat
from IPython.core.inputtransformer2 import TransformerManager

from helpers.course.parameters import Parameter, tags
from helpers.text import InputError, counted, listed

# What a statement may call on its way to a refusal: it neither reads nor writes nor takes long.
CALLED = {"abs", "all", "any", "isinstance", "len", "max", "min", "range", "set", "sorted", "type"}
WORDS = {"InputError": InputError, "Path": Path, "counted": counted, "listed": listed}


def refusals(
    notebook: nbformat.NotebookNode, parameters: list[Parameter], values: Mapping[str, Any]
) -> list[str]:
    """
    Messages of a chapter about parameters that it would refuse whatever the data.

    Parameters
    ----------
    notebook : NotebookNode
        The chapter; only statements that refuse, and what they are made of, are executed.
    parameters : list of Parameter
        Its own.
    values : dict
        By name; what refuses a parameter that is not in it is not asked.

    Returns
    -------
    list of str
        Each begins with the name of the parameter, as a chapter writes it.
    """
    defaults = {parameter.name: parameter.default for parameter in parameters}
    known = {**WORDS, **values}
    messages: list[str] = []
    for statement in _statements(notebook):
        stored = {name for name, stores in _names(statement) if stores}
        loaded = {name for name, stores in _names(statement) if not stores} - stored
        asked = loaded <= known.keys() | set(dir(builtins)) and _is_plain(statement)
        if asked and isinstance(statement, ast.If | ast.For) and _refuses(statement):
            messages += _asked(statement, known, defaults)
        elif asked and isinstance(statement, ast.Assign):
            made = _made(statement, known)
            known |= {name: made[name] for name in stored & made.keys()}
            stored -= made.keys()
        for name in stored:
            known.pop(name, None)
    return messages


def _statements(notebook: nbformat.NotebookNode) -> Iterator[ast.stmt]:
    """Statements of the cells of a chapter after that of the parameters, in order."""
    for cell in notebook.cells:
        if cell.cell_type == "code" and not {"parameters", "solution"} & set(tags(cell)):
            try:
                yield from ast.parse(TransformerManager().transform_cell(cell.source)).body
            except SyntaxError:
                # What follows may depend on what cannot be read.
                return


def _names(statement: ast.stmt) -> Iterator[tuple[str, bool]]:
    """Yield each name in a statement, and whether it gets a value there."""
    for node in ast.walk(statement):
        match node:
            case ast.Name(id=name, ctx=context):
                yield name, not isinstance(context, ast.Load)
            # Wherever a chapter imports the words of a refusal from, they are the same.
            case ast.alias(name=name, asname=other) if (other or name) not in WORDS:
                yield other or name.partition(".")[0], True
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
                yield name, True


def _is_plain(statement: ast.stmt) -> bool:
    """Whether a statement calls nothing but simple functions, other than for its message."""
    said = {
        id(node)
        for refusal in ast.walk(statement)
        if isinstance(refusal, ast.Raise)
        for node in ast.walk(refusal)
    }
    return all(
        isinstance(node.func, ast.Name) and node.func.id in CALLED
        for node in ast.walk(statement)
        if isinstance(node, ast.Call) and id(node) not in said
    )


def _refuses(statement: ast.stmt) -> bool:
    return any(isinstance(node, ast.Raise) for node in ast.walk(statement))


def _made(statement: ast.stmt, known: Mapping[str, Any]) -> dict[str, Any]:
    """Names with their values after a statement; none if it fails, as it may on what is refused."""
    names = dict(known)
    try:
        exec(compile(ast.Module([statement], []), "chapter", "exec"), names)  # noqa: S102
    except InputError:
        raise
    except Exception:
        return {}
    return names


def _asked(
    statement: ast.stmt, known: dict[str, Any], defaults: Mapping[str, Any]
) -> Iterator[str]:
    """
    Yield what a statement says against the parameters, until it is content.

    One that looks at several stops at the first that it refuses. That is then given its default,
    also for what follows, and the statement asked about the others.
    """
    for _ in defaults:
        try:
            _made(statement, known)
            return
        except InputError as error:
            yield str(error)
            name = str(error).split()[0].rstrip(":")
        if name not in defaults or known.get(name) == defaults[name]:
            return
        known[name] = defaults[name]
