"""The page "About this edition": what a site was built from."""

import csv
import gzip
import json
import re
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from helpers.course.edition import Audience, Edition
from helpers.course.execute import heading
from helpers.course.needs import unrun_sentence
from helpers.course.parameters import chapter_path, input_path, read_notebook, read_parameters
from helpers.export import run_record
from helpers.text import counted

RENDERERS = ("matplotlib", "jupyter-book")  # The record of a run has those that compute.


def about_page(
    project: Path,
    edition: Edition,
    audience: Audience,
    values: Mapping[str, dict[str, Any]],
    not_run: Mapping[str, str],
) -> str:
    """Markdown page of what an edition was built from; it has no clock, so it can be compared."""
    lines = [
        "# About this edition",
        "",
        f"Edition `{edition.name}`, for the audience *{audience}*.",
    ]
    for chapter, given in values.items():
        notebook = read_notebook(chapter_path(project, chapter))
        parameters = read_parameters(notebook, chapter)
        lines += ["", f"## {heading(notebook, 0) or chapter}", ""]
        if chapter in not_run:
            lines += [unrun_sentence(not_run[chapter]), ""]
        for parameter in parameters:
            value = json.dumps(given.get(parameter.name, parameter.default), ensure_ascii=False)
            lines.append(f"- {_code(parameter.name)}: {_code(value)}")
        # Whether the course's own run had the files that are here now is not known.
        for parameter in [] if chapter in not_run else parameters:
            text = given.get(parameter.name, parameter.default)
            if parameter.is_path(text):
                base = edition.base if parameter.name in given else project / "notebooks"
                lines += ["", _data_sentence(parameter.name, input_path(text, base))]
            elif text in parameter.names:
                named = f"{_code(text)}, given as {_code(parameter.name)}"
                lines += ["", f"{named}, is no file: the chapter brings it or makes it."]
    lines += ["", "## Versions", "", "| what | version |", "| --- | --- |"]
    versions = run_record(inputs={}, parameters={}, metrics={}, decisions={})["versions"]
    versions |= {package: version(package) for package in RENDERERS}
    lines += [f"| {package} | {number} |" for package, number in versions.items()]
    return "\n".join(lines) + "\n"


def _code(text: str) -> str:
    """Text as Markdown code, whatever backticks it holds."""
    fence = "`" * (1 + max(map(len, re.findall("`+", text)), default=0))
    return f"{fence} {text} {fence}"


def _data_sentence(name: str, path: Path) -> str:
    """Say which file or folder it was: its digest, and the rows if it is a CSV."""
    record = run_record(inputs={name: path}, parameters={}, metrics={}, decisions={})
    entry = record["inputs"][name]
    if path.is_dir():
        sentence = f"The folder {_code(entry['folder'])} of {counted(entry['files'], 'file')}"
    else:
        sentence = f"The file {_code(entry['file'])}"
    sentence += f", given as {_code(name)}, has the SHA-256 digest `{entry['sha256'][:12]}`…"
    if path.is_file() and ".csv" in path.suffixes:
        opened = gzip.open if path.suffix == ".gz" else open
        with opened(path, "rt", encoding="utf-8", errors="replace", newline="") as text:
            rows = sum(1 for row in csv.reader(text) if row) - 1
        sentence += f" and {rows:,} rows"
    return sentence + "."
