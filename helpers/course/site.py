"""
Building the site: run the chapters, render the book, and only then show it to anybody.

Everything is made in a staging folder. The finished site replaces the previous one by renaming,
so that a reader meets the old site or the new one, never half of one.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path

from jupyter_core.utils import ensure_event_loop

from helpers.course.about import about_page
from helpers.course.book import ABOUT, read_config, read_toc, toc_chapters, write_book
from helpers.course.edition import Audience, Edition, chapter_values
from helpers.course.execute import (
    ChapterError,
    Progress,
    Run,
    run_chapter,
    take,
    workspace,
    write_notebook,
)
from helpers.course.needs import as_committed, chapters_not_run
from helpers.course.parameters import default_exports
from helpers.files import write_text
from helpers.text import InputError

JUPYTER_BOOK = "from jupyter_book.cli.main import main; main()"


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
    not_run = chapters_not_run(project, edition, chapters)
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
            notebook = as_committed(project, chapter, why, audience)
            write_notebook(notebook, source / "notebooks" / f"{chapter}.ipynb")
        about = about_page(project, edition, audience, values, not_run)
        write_text(source / f"{ABOUT}.md", about)
        write_book(project, source, edition, toc, config, chapters, audience, not_run)
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
        folder = default_exports(project, chapter)
        if folder and users.setdefault(folder, chapter) != chapter:
            msg = f"{users[folder]} and {chapter} both export to {folder!r}, and would overwrite "
            raise InputError(msg + "each other's files; give each an output_dir of its own.")


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
