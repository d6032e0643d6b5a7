"""
Building the site: run the chapters, render the book, and only then show it to anybody.

Everything is made in a staging folder. The finished site takes the place of the previous one in
one step, so that a reader meets the old site or the new one, never half of one.
"""

import fcntl
import hashlib
import json
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from helpers.course.about import record_page
from helpers.course.audience import left_out
from helpers.course.book import (
    ABOUT,
    DOWNLOADS,
    printed_pages,
    read_config,
    read_toc,
    title_and_author,
    toc_chapters,
    write_book,
)
from helpers.course.downloads import with_size
from helpers.course.edition import Audience, Edition, chapter_values
from helpers.course.execute import Progress, write_notebook
from helpers.course.figure_files import put_figure_files, take_figure_files
from helpers.course.lite import (
    FOLDER,
    build_lite,
    check_lite,
    put_lite_links,
    why_not_in_browser,
    write_contents,
)
from helpers.course.needs import as_committed, chapters_not_run
from helpers.course.parallel import run_chapters
from helpers.course.parameters import default_exports
from helpers.course.printing import find_browser, pdf_name, print_book
from helpers.course.record import EditionRecord, edition_record, read_record
from helpers.course.rendering import render
from helpers.course.reuse import installed_versions, tree_digest
from helpers.files import exchange, write_text
from helpers.text import InputError

# In the folder of a site, and hidden so that it is no part of it.
BUILD = ".build.json"

# In a staging folder, while the sites change places on a system that cannot do that in one step.
PREVIOUS = "previous"


def build_site(
    project: Path,
    edition: Edition,
    *,
    audience: Audience | None = None,
    jobs: int = 2,
    fresh: bool = False,
    pdf: bool = False,
    lite: bool = False,
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
    fresh : bool
        Run all chapters and render all pages, also what has not changed.
    pdf : bool
        Print all pages into one file beside them, too.
    lite : bool
        Make a JupyterLite beside the pages, too, in which browsers run the chapters.
    progress, say : callable
        Told of each cell, and of each step.

    Returns
    -------
    Path
        The folder of the finished site: ``_build/<name>/html``, or ``html-<audience>`` beside it
        for an audience that is not the edition's own.

    Raises
    ------
    ChapterError, SiteError
        If a chapter or the rendering fails; the previous site is left as it was.
    InputError
        If the settings of the book or a chapter's own files are not as they should be, or if what
        prints or what makes a JupyterLite is not there.
    """
    audience = audience or edition.audience
    toc, config = read_toc(project), read_config(project)
    title, author = title_and_author(edition, config)
    browser = find_browser() if pdf else None
    printed = pdf_name(title, edition.name) if pdf else None
    chapters = list(edition.chapters) or toc_chapters(toc)
    _check_exports(project, chapters)
    in_browser = _chapters_in_browser(project, chapters, say) if lite else []
    not_run = chapters_not_run(project, edition, chapters)
    values = {
        chapter: {} if chapter in not_run else chapter_values(project, edition, chapter)
        for chapter in chapters
    }
    # Solutions must not come to lie where a site for students was fetched from the last time.
    folder = "html" if audience == edition.audience else f"html-{audience}"
    html = project / "_build" / edition.name / folder

    for chapter, why in not_run.items():
        say(f"{chapter}: not run. {why}")
    with _only_build(project, say), _staging(html) as staging:
        source = staging / "source"
        shutil.copytree(project / "book", source / "book")
        # Pages may include what lies beside the data to explain it.
        for readme in project.glob("data/*.md"):
            write_text(source / "data" / readme.name, readme.read_text(encoding="utf-8"))
        notebooks = source / "notebooks"
        notebooks.mkdir()
        runs = run_chapters(
            project,
            {chapter: values[chapter] for chapter in chapters if chapter not in not_run},
            base=edition.base,
            staging=staging,
            without=left_out(audience),
            fresh=fresh,
            jobs=jobs,
            progress=progress,
            say=say,
        )
        figure_files = []
        for chapter, run in runs.items():
            shutil.copytree(run.folder, notebooks, dirs_exist_ok=True)
            figure_files += take_figure_files(run.notebook, chapter)
            write_notebook(run.notebook, notebooks / f"{chapter}.ipynb")
        for chapter, why in not_run.items():
            notebook = as_committed(project, chapter, why, audience)
            write_notebook(notebook, notebooks / f"{chapter}.ipynb")
        write_book(project, source, edition, toc, config, chapters, audience, not_run, printed)
        digests = {name: run.digest for name, run in runs.items()}
        if in_browser:
            write_contents(project, edition, audience, in_browser, title, staging / FOLDER)
            digests[FOLDER] = tree_digest(staging / FOLDER)
        digest = _site_digest(source, edition, digests)
        previous = _read_build(html)
        if (
            not fresh
            and previous.get("source") == digest
            and previous["pages"] == tree_digest(html)
        ):
            say("Nothing has changed since the last build.")
        else:
            timings = {name: (run.seconds, run.reused) for name, run in runs.items()}
            record = edition_record(
                project, edition, audience, values, not_run, exports=notebooks, timings=timings
            )
            write_text(source / f"{ABOUT}.md", record_page(record, previous.get("edition")))
            say("Rendering the pages.")
            new = render(source, staging / "out")
            if browser and printed:
                say("Printing the pages as one PDF.")
                about = (author, f"Edition {edition.name} of {record['built']}")
                pages = printed_pages(source)
                file = print_book(
                    new, pages, title=title, about=about, name=printed, browser=browser
                )
                page = new / f"{DOWNLOADS}.html"
                write_text(page, with_size(page.read_text(encoding="utf-8"), file))
            # Paper has no use for links to files, so it was printed without.
            put_figure_files(new, figure_files)
            if in_browser:
                say("Making the JupyterLite.")
                build_lite(staging / FOLDER, new / FOLDER)
                put_lite_links(new, in_browser)
            build = {"source": digest, "pages": tree_digest(new), "edition": record}
            write_text(new / BUILD, json.dumps(build))
            _put_in_place(new, html, staging)
            for name in _outdated(html, record):
                say(f"{name} beside it is older and says something else; build it again, too.")
    for chapter, why in not_run.items():
        say(f"{chapter} was not run; its page shows the outputs of the course's own run. {why}")
    return html


def _chapters_in_browser(
    project: Path, chapters: Sequence[str], say: Callable[[str], None]
) -> list[str]:
    """Chapters that a browser can run; the others are told, with the reason."""
    check_lite()
    reasons = why_not_in_browser(project, chapters)
    for reason in reasons.values():
        say(reason)
    return [chapter for chapter in chapters if chapter not in reasons]


def _check_exports(project: Path, chapters: Sequence[str]) -> None:
    """Refuse two chapters that would write over each other's exports."""
    users: dict[str, str] = {}
    for chapter in chapters:
        folder = default_exports(project, chapter)
        if folder and users.setdefault(folder, chapter) != chapter:
            msg = f"{users[folder]} and {chapter} both export to {folder!r}, and would overwrite "
            raise InputError(msg + "each other's files; give each an output_dir of its own.")


@contextmanager
def _only_build(project: Path, say: Callable[[str], None]) -> Iterator[None]:
    """Wait until no other build is running in a project, and keep others waiting."""
    path = project / "_build" / ".lock"
    path.parent.mkdir(exist_ok=True)
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("Another build is running in this project; waiting for it to end.")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextmanager
def _staging(html: Path) -> Iterator[Path]:
    """Yield a temporary folder beside a site; what builds that were killed have left goes."""
    html.parent.mkdir(parents=True, exist_ok=True)
    for left in html.parent.glob(".staging-*"):
        if (left / PREVIOUS).exists() and not html.exists():
            (left / PREVIOUS).rename(html)
        shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(
        prefix=".staging-", dir=html.parent, ignore_cleanup_errors=True
    ) as folder:
        yield Path(folder)


def _site_digest(source: Path, edition: Edition, digests: Mapping[str, str]) -> str:
    """Digest of whatever the pages follow from, except for the one that tells of the build."""
    parts = {
        "source": tree_digest(source),
        "edition": edition.model_dump(mode="json"),
        "made": digests,
        "course": tree_digest(Path(__file__).parent),
        "versions": installed_versions(),
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _read_build(html: Path) -> dict[str, Any]:
    """
    What the folder of a site says of its build.

    The digests of its sources and of its pages, and the record of the edition; nothing if there is
    no such site.
    """
    try:
        build = json.loads((html / BUILD).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return build if isinstance(build, dict) and {"source", "pages"} <= build.keys() else {}


def _outdated(html: Path, record: EditionRecord) -> Iterator[str]:
    """Yield the names of the sites for other audiences that were not built from the same."""

    def content(record: Mapping[str, Any]) -> list[Any]:
        parts = ("chapter", "notebook", "parameters", "data")
        return [record["title"], [[each[part] for part in parts] for each in record["chapters"]]]

    for other in sorted(html.parent.glob("html*")):
        theirs = read_record(_read_build(other).get("edition"))
        if other != html and theirs and content(theirs) != content(record):
            yield other.name


def _put_in_place(new: Path, html: Path, staging: Path) -> None:
    """Put a finished site in place of the previous one, or leave that where it is."""
    if not html.exists():
        new.rename(html)
    elif not exchange(new, html):
        previous = staging / PREVIOUS
        html.rename(previous)
        try:
            new.rename(html)
        except BaseException:
            previous.rename(html)
            raise
