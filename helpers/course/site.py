"""
Building the site: run the chapters, render the book, and only then show it to anybody.

Everything is made in a staging folder. The finished site replaces the previous one by renaming,
so that a reader meets the old site or the new one, never half of one.
"""

import csv
import gzip
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from importlib.metadata import version
from pathlib import Path
from typing import Any

import nbformat
import yaml
from jupyter_core.utils import ensure_event_loop
from myst_parser.config.main import MdParserConfig
from sphinx_external_toc.parsing import MalformedError, parse_toc_data

from helpers.course.absent import without_glue, without_links
from helpers.course.edition import Audience, Edition, chapter_values, read_settings
from helpers.course.execute import (
    ChapterError,
    Progress,
    Run,
    heading,
    normalised,
    run_chapter,
    take,
    workspace,
    write_notebook,
)
from helpers.course.needs import why_not
from helpers.course.parameters import (
    chapter_path,
    exports_folder,
    input_path,
    read_notebook,
    read_parameters,
    tags,
)
from helpers.export import run_record
from helpers.files import write_text
from helpers.text import InputError, counted

Toc = dict[str, Any]

RENDERERS = ("matplotlib", "jupyter-book")  # The record of a run has those that compute.
JUPYTER_BOOK = "from jupyter_book.cli.main import main; main()"
ABOUT = "book/about_this_edition"
FOLDED = {"hide-cell", "hide-input", "hide-output"}


class SiteError(Exception):
    """Rendering the site failed; the message holds the warnings and errors."""


def build_site(
    project: Path,
    edition: Edition,
    *,
    audience: Audience | None = None,
    jobs: int = 2,
    progress: Progress | None = None,
    say: Callable[[str], None] = lambda text: None,
) -> Path:
    """
    Build the site of an edition.

    Parameters
    ----------
    project : Path
        The folder of ``_config.yml`` and ``notebooks``.
    edition : Edition
        Its values are checked already.
    audience : str, optional
        In place of the edition's.
    jobs : int
        Chapters that run at the same time.
    progress, say : callable
        Told of each cell, and of each step.

    Returns
    -------
    Path
        The folder of the finished site, ``_build/<name>/html``.

    Raises
    ------
    ChapterError, SiteError
        If a chapter or the rendering fails; the previous site is left as it was.
    InputError
        If the settings of the book or a chapter's own files are not as they should be.
    """
    audience = audience or edition.audience
    toc, config = read_toc(project), read_config(project)
    chapters = list(edition.chapters) or toc_chapters(toc)
    _check_exports(project, chapters)
    not_run = _not_run(project, edition, chapters)
    runs = [chapter for chapter in chapters if chapter not in not_run]
    values = {
        chapter: chapter_values(project, edition, chapter) if chapter in runs else {}
        for chapter in chapters
    }
    target = project / "_build" / edition.name
    target.mkdir(parents=True, exist_ok=True)

    for chapter, why in not_run.items():
        say(f"{chapter}: not run. {why}")
    with tempfile.TemporaryDirectory(prefix=".staging-", dir=target) as folder:
        staging = Path(folder)
        source = staging / "source"
        shutil.copytree(project / "book", source / "book")
        # Pages may include what lies beside the data to explain it.
        for readme in project.glob("data/*.md"):
            write_text(source / "data" / readme.name, readme.read_text(encoding="utf-8"))
        (source / "notebooks").mkdir()
        with ExitStack() as stack:

            def run(chapter: str) -> Run:
                # The kernel's client leaves a loop behind in each thread.
                with closing(ensure_event_loop()):
                    return run_chapter(
                        project,
                        chapter,
                        values[chapter],
                        base=edition.base,
                        folder=workspaces[chapter],
                        without="solution" if audience == "student" else "",
                        progress=progress,
                    )

            workspaces = {
                chapter: stack.enter_context(workspace(project, staging)) for chapter in runs
            }
            for done in _each(run, runs, jobs, say):
                take(
                    done,
                    source / "notebooks",
                    notebook=source / "notebooks" / f"{done.chapter}.ipynb",
                )
        for chapter, why in not_run.items():
            notebook = _as_committed(project, chapter, why, audience)
            write_notebook(notebook, source / "notebooks" / f"{chapter}.ipynb")
        about = about_page(project, edition, audience, values, not_run)
        write_text(source / f"{ABOUT}.md", about)
        _write_book(project, source, edition, toc, config, chapters, audience, not_run)
        say("Rendering the pages.")
        html = _render(source, staging / "out")
        _swap(html, target / "html", staging)
    for chapter, why in not_run.items():
        say(f"{chapter} was not run; its page shows the outputs of the course's own run. {why}")
    return target / "html"


def _check_exports(project: Path, chapters: Sequence[str]) -> None:
    """Refuse two chapters that would write over each other's exports."""
    users: dict[str, str] = {}
    for chapter in chapters:
        folder = _exports(project, chapter)
        if folder and users.setdefault(folder, chapter) != chapter:
            msg = f"{users[folder]} and {chapter} both export to {folder!r}, and would overwrite "
            raise InputError(msg + "each other's files; give each an output_dir of its own.")


def _exports(project: Path, chapter: str) -> str:
    """Folder that a chapter exports to by default, relative to the notebooks, or nothing."""
    parameters = read_parameters(read_notebook(chapter_path(project, chapter)), chapter)
    return exports_folder(parameters, chapter) or ""


def _not_run(project: Path, edition: Edition, chapters: Sequence[str]) -> dict[str, str]:
    """Chapters that cannot run here, and why; an edition may not give them parameters."""
    reasons = {
        chapter: why
        for chapter in chapters
        if (why := why_not(read_notebook(chapter_path(project, chapter)), chapter))
    }
    problems = [
        f"{chapter} cannot run here, so the parameters that the edition {edition.name} gives it "
        f"cannot be followed. {why} Do that, or leave the chapter or its parameters out of the "
        "edition."
        for chapter, why in reasons.items()
        if edition.chapters.get(chapter)
    ]
    if problems:
        raise InputError("\n".join(problems))
    return reasons


def _as_committed(
    project: Path, chapter: str, why: str, audience: Audience
) -> nbformat.NotebookNode:
    """Notebook of a chapter that was not run, which says so below its title."""
    notebook = read_notebook(chapter_path(project, chapter))
    folders = {_exports(project, chapter)} - {""}
    if audience == "student":
        notebook.cells = [cell for cell in notebook.cells if "solution" not in tags(cell)]
    note = f"```{{admonition}} Not run for this edition\n:class: note\n\n{_unrun(why)}\n```"
    for cell in notebook.cells:
        title = re.search(r"^#+ .*$", cell.source, flags=re.MULTILINE)
        if cell.cell_type == "markdown" and title:
            rest = cell.source[title.end() :]
            cell.source = f"{cell.source[: title.end()]}\n\n{note}\n{rest}"
            break
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            if "text/markdown" in data:
                data["text/markdown"] = without_links(data["text/markdown"], folders=folders)
    return normalised(notebook)


def _unrun(why: str) -> str:
    """Sentences on a chapter that was not run."""
    return (
        f"This chapter was not run for this edition. {why} What is shown are the outputs of the "
        "course's own run with its default parameters."
    )


def _each(
    run: Callable[[str], Run], chapters: Sequence[str], jobs: int, say: Callable[[str], None]
) -> Iterator[Run]:
    """Yield the chapters' runs in order; if any failed, raise what went wrong with all of them."""
    with ThreadPoolExecutor(max_workers=jobs) as pool:
        futures = [pool.submit(run, chapter) for chapter in chapters]
        for chapter, future in zip(chapters, futures, strict=True):
            future.exception()
            say(f"{chapter}: {'failed' if future.exception() else 'done'}")
    errors = [error for error in (future.exception() for future in futures) if error]
    for error in errors:
        if not isinstance(error, InputError | ChapterError):
            raise error
    if errors:
        text = "\n".join(str(error) for error in errors)
        failed = next((error for error in errors if isinstance(error, ChapterError)), None)
        raise ChapterError(text, failed.notebook) if failed else InputError(text)
    yield from (future.result() for future in futures)


# The settings of the book


def read_config(project: Path) -> dict[str, Any]:
    """Settings for Jupyter Book."""
    config = read_settings(project / "_config.yml")
    for section in ("execute", "parse"):
        if not isinstance(config.setdefault(section, {}), dict):
            raise InputError(f"_config.yml: {section} takes name: value lines below it.")
    try:
        MdParserConfig(enable_extensions=config["parse"].get("myst_enable_extensions", []))
    except (TypeError, ValueError) as error:
        raise InputError(f"_config.yml: parse: myst_enable_extensions: {error}.") from None
    return config


def read_toc(project: Path) -> Toc:
    """Table of contents of the book."""
    toc = read_settings(project / "_toc.yml")
    try:
        parse_toc_data(toc)
    except (MalformedError, TypeError, ValueError) as error:
        raise InputError(f"_toc.yml: {error}.") from None
    for chapter in toc_chapters(toc):
        chapter_path(project, chapter)
    return toc


def toc_chapters(toc: Toc) -> list[str]:
    """Names of the notebooks in a table of contents, in its order."""
    return [Path(entry["file"]).stem for entry in _entries(toc) if _is_notebook(entry)]


def _entries(node: Any) -> Iterator[dict[str, Any]]:
    """Every entry of a table of contents that has a file, from the top down."""
    if isinstance(node, list):
        for item in node:
            yield from _entries(item)
    elif isinstance(node, dict):
        if "file" in node:
            yield node
        for key in ("parts", "chapters", "sections"):
            yield from _entries(node.get(key))


def _is_notebook(entry: Any) -> bool:
    return isinstance(entry, dict) and str(entry.get("file", "")).startswith("notebooks/")


def _with_chapters(node: Any, chapters: list[str]) -> Any:
    """Table of contents in which the chapters stand where the first notebook stood."""
    left = list(chapters)

    def rebuilt(node: Any) -> Any:
        if isinstance(node, dict):
            return {key: rebuilt(value) for key, value in node.items()}
        if not isinstance(node, list):
            return node
        items: list[Any] = []
        for item in node:
            if not _is_notebook(item):
                items.append(rebuilt(item))
            else:
                items += [{"file": f"notebooks/{chapter}"} for chapter in left]
                left.clear()
        return items

    return rebuilt(node)


def _write_book(
    project: Path,
    source: Path,
    edition: Edition,
    toc: Toc,
    config: dict[str, Any],
    chapters: list[str],
    audience: Audience,
    not_run: Collection[str],
) -> None:
    """Write the settings, the table of contents and the pages as the audience sees them."""
    config |= {key: text for key in ("title", "author") if (text := getattr(edition, key))}
    config["execute"]["execute_notebooks"] = "off"
    write_text(source / "_config.yml", yaml.safe_dump(config, allow_unicode=True))

    absent = set(toc_chapters(toc)) - set(chapters)
    extensions = config["parse"].get("myst_enable_extensions", [])
    folders = {_exports(project, chapter) for chapter in not_run} - {""}

    def present(text: str, labels: Collection[str] = ()) -> str:
        text = without_glue(text, absent, extensions)
        return without_links(text, chapters=absent, labels=labels, folders=folders)

    toc = _with_chapters(toc, chapters)
    # Parts have chapters of their own, so the last part takes the page.
    (toc["parts"][-1] if "parts" in toc else toc).setdefault("chapters", []).append({"file": ABOUT})
    write_text(source / "_toc.yml", yaml.safe_dump(toc, sort_keys=False, allow_unicode=True))

    for page in sorted((source / "book").rglob("*.md")):
        write_text(page, present(page.read_text(encoding="utf-8")))
    for chapter in chapters:
        path = source / "notebooks" / f"{chapter}.ipynb"
        labels = solution_labels(read_notebook(chapter_path(project, chapter)))
        notebook = for_audience(read_notebook(path), audience)
        for cell in notebook.cells:
            if cell.cell_type == "markdown":
                cell.source = present(cell.source, labels if audience == "student" else ())
        write_notebook(notebook, path)


# Solutions


def for_audience(notebook: nbformat.NotebookNode, audience: Audience) -> nbformat.NotebookNode:
    """
    Open or fold the cells tagged ``solution``; the notebook is changed in place, and returned.

    Those of a student were left out before the chapter ran, so that no export comes from them.

    Parameters
    ----------
    notebook : NotebookNode
        Its solutions are folded in Markdown by the class ``dropdown``.
    audience : {"student", "instructor", "reader"}
        Who reads the page.
    """
    for cell in notebook.cells:
        if "solution" not in tags(cell):
            continue
        if cell.cell_type == "code":
            kept = [tag for tag in tags(cell) if tag not in FOLDED]
            cell.metadata["tags"] = kept + (["hide-cell"] if audience == "reader" else [])
        elif audience == "instructor":
            cell.source = re.sub(
                r"^(:class:.*?) *\bdropdown\b", r"\1", cell.source, flags=re.MULTILINE
            )
    return notebook


def solution_labels(notebook: nbformat.NotebookNode) -> set[str]:
    """Names by which other cells may link to the solutions of a notebook."""
    text = "\n".join(cell.source for cell in notebook.cells if "solution" in tags(cell))
    options = re.findall(r"^:(?:name|label): *(\S+)", text, flags=re.MULTILINE)
    targets = re.findall(r"^\(([^)\s]+)\)=", text, flags=re.MULTILINE)
    return {*options, *targets}


# The page about the edition


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
            lines += [_unrun(not_run[chapter]), ""]
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


# Rendering


def _render(source: Path, out: Path) -> Path:
    """Render the book from clean, every warning being an error; return the folder of its pages."""
    command = [sys.executable, "-c", JUPYTER_BOOK, "build", str(source), "--path-output", str(out)]
    environment = {**os.environ, "PYTHONHASHSEED": "0", "NO_COLOR": "1"}
    done = subprocess.run(  # noqa: S603
        [*command, "-W", "--keep-going", "-n"],
        capture_output=True,
        text=True,
        encoding="utf-8",
        errors="replace",
        env=environment,
        check=False,
    )
    html = out / "_build" / "html"
    if done.returncode or not (html / "index.html").is_file():
        text = re.sub(r"\x1b\[[0-9;]*m", "", done.stdout + done.stderr).replace(f"{source}/", "")
        lines = text.splitlines()
        faults = [line for line in lines if re.search(r"\b(WARNING|ERROR|CRITICAL)\b", line)]
        raise SiteError("\n".join(dict.fromkeys(faults)) or "\n".join(lines[-30:]))
    return html


def _swap(new: Path, place: Path, staging: Path) -> None:
    """Put a finished site in place of the previous one, or leave that where it is."""
    previous = staging / "previous"
    if place.exists():
        place.rename(previous)
    try:
        new.rename(place)
    except OSError:
        if previous.exists():
            previous.rename(place)
        raise
