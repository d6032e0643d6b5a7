"""The book around the chapters: its settings, its table of contents, its pages."""

import copy
import html
import re
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import yaml
from myst_parser.config.main import MdParserConfig
from sphinx_external_toc.parsing import MalformedError, parse_toc_data

from helpers.course.absent import without_glue, without_links, without_sections
from helpers.course.audience import (
    exercise_notebook,
    for_audience,
    pages_left_out,
    solution_labels,
)
from helpers.course.chapter_map import chapter_map
from helpers.course.cover import ALT, BANNER, write_pictures
from helpers.course.downloads import downloads_page
from helpers.course.edition import Audience, Edition, read_settings
from helpers.course.execute import write_notebook
from helpers.course.launch import button_options
from helpers.course.markdown import as_text
from helpers.course.parameters import EXERCISES, chapter_path, default_exports, read_notebook
from helpers.course.previews import preview_settings
from helpers.course.reference import reference_page
from helpers.files import write_text
from helpers.text import InputError

Toc = dict[str, Any]

ABOUT, REFERENCE = "book/about_this_edition", "book/reference"
DOWNLOADS = "book/downloads"

# Included by pages, and no page itself.
CHAPTER_MAP = "book/chapter_map.md"


def read_config(project: Path) -> dict[str, Any]:
    """Settings for Jupyter Book."""
    config = read_settings(project / "_config.yml")
    for section in ("execute", "parse"):
        _section(config, section)
    try:
        MdParserConfig(enable_extensions=config["parse"].get("myst_enable_extensions", []))
    except (TypeError, ValueError) as error:
        raise InputError(f"_config.yml: parse: myst_enable_extensions: {error}.") from None
    return config


def _section(config: dict[str, Any], *keys: str) -> dict[str, Any]:
    """Section of the settings, which is there afterwards."""
    for key in keys:
        config = config.setdefault(key, {})
        if not isinstance(config, dict):
            raise InputError(f"_config.yml: {key} takes name: value lines below it.")
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


def printed_pages(source: Path) -> list[str]:
    """Pages of the book as it was written, in its order; what leads to files is not for paper."""
    toc = read_settings(source / "_toc.yml")
    files = [toc["root"], *(entry["file"] for entry in _entries(toc))]
    pages = [re.sub(r"\.(md|ipynb)$", "", file) for file in files]
    return [page for page in pages if page != DOWNLOADS]


def title_and_author(edition: Edition, config: dict[str, Any]) -> tuple[str, str]:
    """Return the title and the author of an edition; those of the book unless it has others."""
    title = edition.title or str(config.get("title") or edition.name)
    return title, edition.author or str(config.get("author") or "")


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


def _without_pages(node: Any, pages: Collection[str]) -> Any:
    """Table of contents without some pages, and without the parts that held nothing else."""
    if isinstance(node, dict):
        return {key: _without_pages(value, pages) for key, value in node.items()}
    if not isinstance(node, list):
        return node
    files = {f"book/{page}" for page in pages}
    kept = [_without_pages(item, pages) for item in node if item.get("file") not in files]
    return [item for item in kept if item.get("chapters") != []]


def write_book(
    project: Path,
    source: Path,
    edition: Edition,
    toc: Toc,
    config: dict[str, Any],
    chapters: list[str],
    audience: Audience,
    not_run: Collection[str],
    pdf: str | None = None,
) -> None:
    """Write the settings, the table of contents and the pages as the audience sees them."""
    write_text(
        source / "_config.yml",
        yaml.safe_dump(_settings(edition, config, audience), allow_unicode=True),
    )

    absent = set(toc_chapters(toc)) - set(chapters)
    extensions = config["parse"].get("myst_enable_extensions", [])
    folders = {default_exports(project, chapter) for chapter in not_run} - {""}

    hidden = pages_left_out(audience)
    gone = {f"{chapter}.ipynb" for chapter in absent} | {f"{name}.md" for name in hidden}

    def present(text: str, labels: Collection[str] = ()) -> str:
        text = without_sections(text, gone, extensions)
        text = without_glue(text, absent, extensions)
        return without_links(text, chapters=absent, labels=labels, folders=folders, pages=hidden)

    toc = _without_pages(_with_chapters(toc, chapters), hidden)
    for name in hidden:
        (source / "book" / f"{name}.md").unlink(missing_ok=True)
    # Parts have chapters of their own, so the last part takes the pages that are made here.
    last = toc["parts"][-1] if "parts" in toc else toc
    last.setdefault("chapters", []).extend({"file": page} for page in (REFERENCE, DOWNLOADS, ABOUT))
    write_text(source / "_toc.yml", yaml.safe_dump(toc, sort_keys=False, allow_unicode=True))

    write_pictures(source / "book", title_and_author(edition, config)[0])
    for page in sorted((source / "book").rglob("*.md")):
        text = present(page.read_text(encoding="utf-8"))
        if page == source / f"{toc['root']}.md":
            text = _with_cover(_with_title(text, edition.title) if edition.title else text)
        write_text(page, text)
    write_text(source / CHAPTER_MAP, chapter_map(project, chapters))
    # The command builds books, so it cannot be known yet when this module is read.
    from helpers.course.cli import main

    write_text(source / f"{REFERENCE}.md", reference_page(project, chapters, main))
    for chapter in chapters:
        path = source / "notebooks" / f"{chapter}.ipynb"
        labels = solution_labels(read_notebook(chapter_path(project, chapter)))
        notebook = for_audience(read_notebook(path), audience)
        for cell in notebook.cells:
            if cell.cell_type == "markdown":
                cell.source = present(cell.source, labels if audience == "student" else ())
        exercises = exercise_notebook(project, chapter, notebook)
        if exercises is not None:
            write_notebook(exercises, path.with_stem(f"{chapter}{EXERCISES}"))
        write_notebook(notebook, path)
    # After the notebooks, for it says how large they are.
    downloads = downloads_page(project, source, edition, chapters, not_run, pdf)
    write_text(source / f"{DOWNLOADS}.md", downloads)


def _settings(edition: Edition, config: dict[str, Any], audience: Audience) -> dict[str, Any]:
    """Settings for Jupyter Book, with what the edition says in place of them."""
    config = copy.deepcopy(config)
    config["execute"]["execute_notebooks"] = "off"
    title, _ = title_and_author(edition, config)
    # The theme puts both into its pages as HTML. The title is text where a browser shows it as its
    # window's, so only the copy in the menu can be made HTML.
    config["title"] = title
    theme: dict[str, Any] = {"logo": {"text": html.escape(title)}}
    if edition.author:
        config["author"] = html.escape(edition.author)
    if edition.has_buttons(audience):
        theme |= button_options(edition.repository, edition.branch, edition.jupyterhub)
    # These options replace all that Jupyter Book would make of its own settings.
    _section(config, "sphinx", "config", "html_theme_options").update(theme)
    _section(config, "sphinx", "config").update(preview_settings(title, edition.address))
    return config


def _with_cover(page: str) -> str:
    """Markdown page with the picture of the cover below its first heading."""
    picture = f"```{{image}} /book/{BANNER}\n:alt: {ALT}\n:class: cover\n```"
    return re.sub(
        r"^# .*$", lambda found: f"{found[0]}\n\n{picture}", page, count=1, flags=re.MULTILINE
    )


def _with_title(page: str, title: str) -> str:
    """Markdown page whose first heading is a title."""
    return re.sub(r"^# .*$", lambda _: f"# {as_text(title)}", page, count=1, flags=re.MULTILINE)
