"""
The page "Downloads": every file of an edition that a reader may keep, with its size.

The course's own data is among them, as ``data/SHA256SUMS`` tells it. Other data belongs to
somebody, perhaps to an instructor's customers, so it is named and not offered.
"""

import html
import shutil
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from helpers.course.edition import Edition, chapter_values
from helpers.course.execute import heading
from helpers.course.markdown import as_code, as_row, as_text
from helpers.course.parameters import (
    EXERCISES,
    chapter_path,
    default_exports,
    input_path,
    read_notebook,
    read_parameters,
)
from helpers.course.reuse import tree_digest
from helpers.files import visible_files
from helpers.text import counted, listed

DIGESTS = "SHA256SUMS"  # as the program sha256sum writes and checks it
SIZE = '<span class="pdf-size"></span>'  # not known before the page is there to be printed


def downloads_page(
    project: Path,
    source: Path,
    edition: Edition,
    chapters: Sequence[str],
    not_run: Collection[str],
    pdf: str | None,
) -> str:
    """
    Markdown page of the files of an edition.

    Parameters
    ----------
    project : Path
    source : Path
        The folder of the pages and notebooks of the edition, with what the chapters exported. The
        data that is offered is copied into its ``data``.
    edition : Edition
    chapters : sequence of str
        In the order of the site.
    not_run : collection of str
        Those of them that have no exports.
    pdf : str or None
        Name of the whole book as one file, if there will be one.

    Returns
    -------
    str
    """
    lines = ["# Downloads", "", "The files of this edition, to keep and to work on.", ""]
    if pdf:
        link = f'<a class="reference download internal" href="../{html.escape(pdf)}" download="">'
        lines += [
            "## The whole book",
            "",
            f"{link}{html.escape(pdf)}</a>{SIZE}: all pages as one PDF, with their figures, page "
            "numbers and a contents with links.",
            "",
        ]
    for chapter in chapters:
        notebook = read_notebook(chapter_path(project, chapter))
        lines += [f"## {as_text(heading(notebook, 0) or chapter)}", ""]
        lines += ["| file | what it is | size |", "| --- | --- | ---: |"]
        lines += _notebooks(source, chapter)
        if chapter not in not_run:
            lines += _exports(project, source, chapter)
            offered, others = _data(project, source, edition, chapter)
            lines += [_row(source, path, "data that it reads") for path in offered]
            if others:
                lines += ["", _kept_back(others)]
        lines.append("")
    return "\n".join(lines)


def with_size(page: str, pdf: Path) -> str:
    """HTML of the page with the size of the printed book."""
    return page.replace(SIZE, SIZE.replace("><", f">, {size(pdf)}<"))


def size(path: Path) -> str:
    """
    Size of a file in the unit that suits it.

    Examples
    --------
    >>> from tempfile import NamedTemporaryFile
    >>> with NamedTemporaryFile() as file:
    ...     file.write(bytes(1500)), file.flush(), size(Path(file.name))[:6]
    (1500, None, '1.5 kB')
    """
    n_bytes = path.stat().st_size
    for power, unit in ((3, "GB"), (2, "MB"), (1, "kB")):
        if n_bytes >= 1000**power:
            return f"{n_bytes / 1000**power:.1f} {unit}"
    return counted(n_bytes, "byte")


def _notebooks(source: Path, chapter: str) -> Iterator[str]:
    folder = source / "notebooks"
    yield _row(source, folder / f"{chapter}.ipynb", "the chapter as a notebook")
    exercises = folder / f"{chapter}{EXERCISES}.ipynb"
    if exercises.is_file():
        yield _row(source, exercises, "its exercises, with a check for each and no solutions")


def _exports(project: Path, source: Path, chapter: str) -> Iterator[str]:
    name = default_exports(project, chapter)
    folder = source / "notebooks" / name
    if name and folder.is_dir():
        for file in visible_files(folder):
            yield _row(source, folder / file, "a result of the chapter")


def _row(source: Path, path: Path, what: str) -> str:
    place = Path("..", path.relative_to(source)).as_posix()
    return as_row(f"{{download}}`{path.name} <{place}>`", what, size(path))


def _data(
    project: Path, source: Path, edition: Edition, chapter: str
) -> tuple[list[Path], list[str]]:
    """Copies of the course's own data that a chapter read, and names of what else it was given."""
    given = chapter_values(project, edition, chapter)
    own, offered, others = own_digests(project), list[Path](), list[str]()
    for parameter in read_parameters(read_notebook(chapter_path(project, chapter)), chapter):
        value = given.get(parameter.name, parameter.default)
        if not parameter.is_path(value):
            continue
        base = edition.base if parameter.name in given else project / "notebooks"
        path = input_path(value, base)
        if path.is_file() and tree_digest(path) in own:
            copy = source / "data" / path.name
            copy.parent.mkdir(exist_ok=True)
            shutil.copyfile(path, copy)
            offered.append(copy)
        elif parameter.name in given:
            others.append(path.name)
    return list(dict.fromkeys(offered)), list(dict.fromkeys(others))


def own_digests(project: Path) -> set[str]:
    """Digests of the data that belongs to the course, which anybody may have."""
    path = project / "data" / DIGESTS
    if not path.is_file():
        return set()
    return {line.split()[0] for line in path.read_text(encoding="utf-8").splitlines() if line}


def _kept_back(names: Sequence[str]) -> str:
    files = listed(as_code(name) for name in names)
    them = "it" if len(names) == 1 else "them"
    return (
        f"The chapter also reads {files}, which this site does not hand out. Whoever made this "
        f"edition knows who may have {them}."
    )
