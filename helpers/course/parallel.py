"""Running the chapters of a build: several at a time, and the unchanged ones not at all."""

import logging
import os
import time
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextlib import closing
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]
from jupyter_core.utils import ensure_event_loop

from helpers.course.execute import ChapterError, Progress, Run, run_chapter, workspace
from helpers.course.parameters import chapter_path, read_notebook
from helpers.course.reuse import find_run, keep_run, last_seconds, run_digest
from helpers.text import InputError


def run_chapters(
    project: Path,
    values: Mapping[str, Mapping[str, Any]],
    *,
    base: Path,
    staging: Path,
    without: Collection[str] = (),
    fresh: bool = False,
    jobs: int = 2,
    progress: Progress | None = None,
    say: Callable[[str], None] = lambda text: None,
) -> dict[str, Run]:
    """
    Run chapters, or take their runs from earlier builds.

    Parameters
    ----------
    project : Path
        The folder of ``_config.yml`` and ``notebooks``.
    values : dict of dict
        Checked values by parameter name, for each chapter.
    base : Path
        Folder that the paths among the values are relative to.
    staging : Path
        Folder for the workspaces.
    without : collection of str
        Cells with one of these tags are left out.
    fresh : bool
        Run unchanged chapters, too.
    jobs : int
        Chapters that run at the same time.
    progress, say : callable
        Told of each cell, and of each chapter that ended.

    Returns
    -------
    dict of str to Run
        In the order of the values.

    Raises
    ------
    ChapterError, InputError
        If chapters failed; the message is of all of them. The others are kept for the next build.
    """
    at_once = min(jobs, len(values))
    n_threads = max(1, (os.cpu_count() or 1) // at_once) if at_once > 1 else 0

    def run(chapter: str) -> Run:
        given = values[chapter]
        digest = run_digest(project, chapter, given, base=base, without=without)
        if not fresh and (found := find_run(project, chapter, digest)):
            return found
        # The kernel's client leaves a loop behind in each thread.
        with workspace(project, staging) as folder, closing(ensure_event_loop()):
            done = run_chapter(
                project,
                chapter,
                given,
                base=base,
                folder=folder,
                without=without,
                with_data=True,
                n_threads=n_threads,
                progress=progress,
            )
            return keep_run(project, done, digest)

    def length(chapter: str) -> tuple[float, bool]:
        """Seconds, as far as they are known; what needs more than Python takes longer."""
        notebook = read_notebook(chapter_path(project, chapter))
        return last_seconds(project, chapter), "needs" in notebook.metadata.get("course", {})

    # The longest first, so that none is left to run alone in the end.
    order = sorted(values, key=length, reverse=True)
    with ThreadPoolExecutor(max_workers=jobs) as pool:
        futures = {pool.submit(run, chapter): chapter for chapter in order}
        try:
            for future in as_completed(futures):
                say(f"{futures[future]}: {_outcome(future)}")
        except BaseException:
            # Whoever interrupts does not want to wait for the cell that is running.
            pool.shutdown(wait=False, cancel_futures=True)
            logging.disable()  # That kernels die now is no news.
            while any(future.running() for future in futures):
                end_children()
                time.sleep(0.1)
            logging.disable(logging.NOTSET)
            raise
    done = {chapter: future for future, chapter in futures.items()}
    _raise_any([done[chapter] for chapter in values])
    return {chapter: done[chapter].result() for chapter in values}


def _outcome(future: Future[Run]) -> str:
    if future.exception():
        return "failed"
    run = future.result()
    return "unchanged" if run.reused else f"done in {run.seconds:.0f} s"


def _raise_any(futures: list[Future[Run]]) -> None:
    """If chapters failed, raise what went wrong with all of them."""
    errors = [error for error in (future.exception() for future in futures) if error]
    for error in errors:
        if not isinstance(error, InputError | ChapterError):
            raise error
    if errors:
        text = "\n".join(str(error) for error in errors)
        failed = next((error for error in errors if isinstance(error, ChapterError)), None)
        raise ChapterError(text, failed.notebook) if failed else InputError(text)


def end_children() -> None:
    """Kill the processes that this one has started, and theirs: kernels, and what runs in them."""
    for process in psutil.Process().children(recursive=True):
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue
