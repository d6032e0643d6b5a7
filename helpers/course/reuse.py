"""
Chapters that need not run again, because nothing that they are made of has changed.

What a chapter says follows from its notebook, its values, the files that they name, the helpers
that it imports, and the packages that are installed. A run is kept under the digest of all of
these, so it is found again whatever edition asks for it, and never for something else.
"""

import ast
import hashlib
import json
import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from importlib.metadata import distributions
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import grimp
import nbformat
from IPython.core.inputtransformer2 import TransformerManager

import helpers
from helpers.course.execute import Run, take
from helpers.course.parameters import chapter_path, input_path, read_notebook, read_parameters, tags
from helpers.files import exchange, visible_files, write_text

# Runs of each chapter: enough for two editions, each for two audiences.
KEPT = 4

# Of what may be the name of a file; systems refuse to look for longer ones.
LONGEST_NAME = 250

# They put the finishing touches to every notebook.
_RUNNING = {"helpers.course.execute", "helpers.course.kernel", "helpers.figure_data"}


def run_digest(
    project: Path,
    chapter: str,
    values: Mapping[str, Any],
    *,
    base: Path,
    without: Collection[str] = (),
) -> str:
    """
    Digest of everything that the run of a chapter follows from.

    Parameters
    ----------
    project : Path
        The folder of ``_config.yml`` and ``notebooks``.
    chapter : str
        Name of the notebook, without its suffix.
    values : dict
        Checked values by parameter name; the others keep their defaults.
    base : Path
        Folder that the paths among the values are relative to.
    without : collection of str
        Cells with one of these tags do not count.

    Returns
    -------
    str
        SHA-256, in hexadecimal digits.
    """
    notebook = read_notebook(chapter_path(project, chapter))
    cells = [cell for cell in notebook.cells if not set(without) & set(tags(cell))]
    files = {}
    for parameter in read_parameters(notebook, chapter):
        value = values.get(parameter.name, parameter.default)
        if parameter.is_path(value):
            folder = base if parameter.name in values else project / "notebooks"
            files[parameter.name] = tree_digest(input_path(value, folder))
    modules = _RUNNING | imported_helpers(notebook)
    parts = {
        "chapter": chapter,
        "notebook": notebook.metadata,
        "cells": [[cell.cell_type, cell.source, cell.metadata] for cell in cells],
        "values": values,
        "files": files,
        "named": {text: tree_digest(path) for text, path in named_files(project, notebook)},
        "helpers": {name: tree_digest(_source(name)) for name in sorted(modules)},
        "versions": installed_versions(),
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def imported_helpers(notebook: nbformat.NotebookNode) -> set[str]:
    """
    Modules of ``helpers`` that a notebook imports, and those that they import.

    Parameters
    ----------
    notebook : NotebookNode

    Returns
    -------
    set of str
        Full names, such as helpers.segmentation; also of what is imported within functions.
    """
    graph = grimp.build_graph(helpers.__name__, cache_dir=None)
    if any(cell.source.lstrip().startswith("%%") for cell in notebook.cells):
        return set(graph.modules)  # What such a cell imports is text to Python.
    named = graph.modules & {helpers.__name__, *_imported(notebook)}
    return named.union(*(graph.find_upstream_modules(name) for name in named))


def _imported(notebook: nbformat.NotebookNode) -> Iterator[str]:
    """Yield the full names of what a notebook imports."""
    for node in _nodes(notebook):
        match node:
            case ast.Import(names=names):
                yield from (alias.name for alias in names)
            case ast.ImportFrom(module=str(module), names=names):
                yield module
                yield from (f"{module}.{alias.name}" for alias in names)


def imported_libraries(notebook: nbformat.NotebookNode) -> set[str]:
    """
    Names of what a notebook imports and is neither a helper nor in the standard library.

    Parameters
    ----------
    notebook : NotebookNode

    Returns
    -------
    set of str
        Such as numpy, also of what the helpers import that it imports.
    """
    graph = grimp.build_graph(helpers.__name__, include_external_packages=True, cache_dir=None)
    named = {*_imported(notebook)}
    found = named.union(*(graph.find_upstream_modules(name) for name in named & graph.modules))
    names = {name.partition(".")[0] for name in found}
    return names - {helpers.__name__} - sys.stdlib_module_names


def named_files(project: Path, notebook: nbformat.NotebookNode) -> Iterator[tuple[str, Path]]:
    """Yield the files of the project that a notebook names in its code, parameter or not."""
    for node in _nodes(notebook):
        match node:
            case ast.Constant(value=str(text)) if len(text) < LONGEST_NAME and "\0" not in text:
                path = project / "notebooks" / text
                if path.is_file():
                    yield text, path


def _nodes(notebook: nbformat.NotebookNode) -> Iterator[ast.AST]:
    """Yield everything in the code of a notebook."""
    for cell in notebook.cells:
        if cell.cell_type == "code":
            # One that is no Python does not run, so no run with it is ever looked for.
            with suppress(SyntaxError):
                yield from ast.walk(ast.parse(TransformerManager().transform_cell(cell.source)))


def _source(module: str) -> Path:
    """File of a module's source."""
    spec = find_spec(module)
    return Path(str(spec.origin if spec else module))


def tree_digest(path: Path) -> str:
    """SHA-256 of a file, or of the names and contents of all visible files of a folder."""
    if path.is_file():
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    parts = {file.as_posix(): tree_digest(path / file) for file in visible_files(path)}
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def installed_versions() -> dict[str, str]:
    """Versions of Python and of every package that is installed, and the kind of machine."""
    packages = {found.name: found.version for found in distributions()}
    machine = f"{platform.system()} {platform.machine()}"
    return packages | {"Python": sys.version, "machine": machine}


def find_run(project: Path, chapter: str, digest: str) -> Run | None:
    """Return the kept run of a digest, if there is one."""
    folder = _place(project, chapter, digest)
    try:
        about = json.loads((folder / "run.json").read_text(encoding="utf-8"))
        os.utime(folder)
    except FileNotFoundError:
        return None
    notebook = read_notebook(folder / "notebook.ipynb")
    return Run(chapter, notebook, folder / "files", about["seconds"], digest, reused=True)


def keep_run(project: Path, run: Run, digest: str) -> Run:
    """
    Move what a chapter wrote from its workspace to where later builds find it.

    Parameters
    ----------
    project : Path
    run : Run
    digest : str
        Of what it follows from.

    Returns
    -------
    Run
        The same, with its files in the place where they are kept.
    """
    place = _place(project, run.chapter, digest)
    place.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".", dir=place.parent) as name:
        new = Path(name) / "run"
        (new / "files").mkdir(parents=True)
        take(run, new / "files", notebook=new / "notebook.ipynb")
        write_text(new / "run.json", json.dumps({"seconds": run.seconds}))
        if place.exists() and not exchange(new, place):
            shutil.rmtree(place)
        if not place.exists():
            new.rename(place)
    kept = [path for path in place.parent.iterdir() if not path.name.startswith(".")]
    for old in sorted(kept, key=lambda path: path.stat().st_mtime, reverse=True)[KEPT:]:
        shutil.rmtree(old)
    return replace(run, folder=place / "files", digest=digest)


def last_seconds(project: Path, chapter: str) -> float:
    """Return how long the last run of a chapter took, whatever it followed from; 0 if unknown."""
    kept = (project / "_build" / "runs" / chapter).glob("*/run.json")
    latest = max(kept, key=lambda path: path.stat().st_mtime, default=None)
    return float(json.loads(latest.read_text(encoding="utf-8"))["seconds"]) if latest else 0.0


def _place(project: Path, chapter: str, digest: str) -> Path:
    return project / "_build" / "runs" / chapter / digest
