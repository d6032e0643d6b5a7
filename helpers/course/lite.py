"""
The chapters in a reader's browser: a JupyterLite beside the pages, with no server behind it.

It holds the notebooks, the course's own data that they read, and wheels of the helpers and of what
they need. Python itself is Pyodide, which a browser fetches from its own host when somebody opens a
notebook, together with the large libraries. Until then nobody is asked for anything.
"""

import html
import importlib.metadata
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Sequence
from email.message import Message
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import nbformat

import helpers
from helpers.course.absent import without_links
from helpers.course.audience import note_below_title, solution_labels
from helpers.course.downloads import own_digests
from helpers.course.edition import Audience, Edition, chapter_values
from helpers.course.execute import write_notebook
from helpers.course.parameters import (
    chapter_path,
    input_path,
    parameters_cell,
    read_notebook,
    read_parameters,
    tags,
    with_values,
)
from helpers.course.rendering import SiteError
from helpers.course.reuse import imported_libraries, named_files, tree_digest
from helpers.files import write_text
from helpers.text import InputError, listed

FOLDER = "lite"
PROJECT = "practical-clustering"

# Of the parts of a staging folder, each the input of the next step.
CONTENTS, UNPACKED, WHEELS = "contents", "unpacked", "wheels"

# What the chapters import and a browser can have, by the names of the packages.
LIBRARIES = {
    "IPython": "ipython",
    "PIL": "pillow",
    "duckdb": "duckdb",
    "matplotlib": "matplotlib",
    "narwhals": "narwhals",
    "numpy": "numpy",
    "pandas": "pandas",
    "pandera": "pandera",
    "pydantic": "pydantic",
    "scipy": "scipy",
    "seaborn": "seaborn",
    "skimage": "scikit-image",
    "sklearn": "scikit-learn",
    "skops": "skops",
    "threadpoolctl": "threadpoolctl",
    "yaml": "pyyaml",
}
# Those that Pyodide lacks, what they need, and comm for the kernel. All are plain Python, so that
# what is installed here runs there.
BROUGHT = (
    *("comm", "mypy-extensions", "pandera", "prettytable", "seaborn", "skops", "typeguard"),
    "typing-inspect",
)
# What an installer notes about a machine, and no part of a package.
NOTES = {"INSTALLER", "RECORD", "REQUESTED", "direct_url.json"}

# A chapter hands numbers to other pages through myst_nb, which needs all of Sphinx.
GLUE = '''"""In place of myst_nb: no other page waits for what a chapter hands over here."""

from IPython.display import display as show


def glue(name, value, display=True):
    """Show a value, if it is to be shown."""
    if display:
        show(value)
'''
# Advice and measurements that the course has of its own. Tables may be anybody's.
OWN_KINDS = (".json", ".yml")

EXTENSIONS = ("jupyterlab-myst", "@jupyterlite/pyodide-kernel-extension")
KERNEL = {"display_name": "Python (Pyodide)", "language": "python", "name": "python"}


def check_lite() -> None:
    """
    Refuse to go on without what makes a JupyterLite.

    Raises
    ------
    InputError
        The message says what to install.
    """
    modules = ("jupyterlite_core", "jupyterlite_pyodide_kernel", "jupyter_server", "wheel")
    absent = [name for name in modules if find_spec(name) is None]
    absent += [name for name in EXTENSIONS if not _extension(name).is_dir()]
    if absent:
        msg = (
            f"--lite needs {listed(absent)}, which {'is' if len(absent) == 1 else 'are'} not "
            "installed. In the folder of the project, `pip install --editable '.[lite]'` installs "
            "what is needed; or build without --lite."
        )
        raise InputError(msg)


def _extension(name: str) -> Path:
    """Folder of an extension of JupyterLab that is installed."""
    return Path(sys.prefix, "share", "jupyter", "labextensions", name)


def why_not_in_browser(project: Path, chapters: Sequence[str]) -> dict[str, str]:
    """
    Chapters that no browser can run, and why.

    Parameters
    ----------
    project : Path
    chapters : sequence of str
        Those of an edition.

    Raises
    ------
    InputError
        If there would be no chapter left.
    """
    reasons = {}
    for chapter in chapters:
        imported = imported_libraries(read_notebook(chapter_path(project, chapter)))
        if missing := sorted(imported - {*LIBRARIES, "myst_nb"}):
            reasons[chapter] = (
                f"{chapter} is not for the browser: it imports {listed(missing)}, which cannot be "
                "had there."
            )
    if len(reasons) == len(chapters):
        faults = "\n".join(reasons.values())
        raise InputError(f"--lite: no chapter of this edition runs in a browser.\n{faults}")
    return reasons


def write_contents(
    project: Path,
    edition: Edition,
    audience: Audience,
    chapters: Sequence[str],
    title: str,
    folder: Path,
) -> None:
    """
    Write all that a JupyterLite is made of.

    Parameters
    ----------
    project : Path
    edition : Edition
    audience : {"student", "instructor", "reader"}
        Students get neither solutions nor links to them.
    chapters : sequence of str
        Those that a browser can run.
    title : str
        Of the book.
    folder : Path
        To make; ``build_lite`` takes it.
    """
    own, imported = own_digests(project), set[str]()
    for chapter in chapters:
        notebook = read_notebook(chapter_path(project, chapter))
        imported |= imported_libraries(notebook)
        kept_back = _write_data(project, edition, chapter, notebook, own, folder / CONTENTS)
        if audience == "student":
            labels = solution_labels(notebook)
            notebook.cells = [cell for cell in notebook.cells if "solution" not in tags(cell)]
        else:
            labels = set()
        pages = {page.stem for page in (project / "book").glob("*.md")}
        absent = {path.stem for path in (project / "notebooks").glob("*.ipynb")} - {*chapters}
        for cell in notebook.cells:
            if cell.cell_type == "code":
                cell.outputs, cell.execution_count = [], None
            else:
                cell.source = without_links(
                    cell.source, chapters=absent, labels=labels, pages=pages
                )
        notebook.metadata["kernelspec"] = KERNEL
        _insert_beginning(notebook, audience, kept_back)
        write_notebook(notebook, folder / CONTENTS / "notebooks" / f"{chapter}.ipynb")
    _unpack_helpers(imported, folder / UNPACKED / PROJECT)
    for name in BROUGHT:
        _unpack(name, folder / UNPACKED / name)
    settings = {
        "jupyter-lite-schema-version": 0,
        "jupyter-config-data": {
            "appName": title,
            "litePluginSettings": {
                f"{EXTENSIONS[1]}:kernel": {"disablePyPIFallback": True},
            },
        },
    }
    write_text(folder / "jupyter-lite.json", json.dumps(settings))


def _write_data(
    project: Path,
    edition: Edition,
    chapter: str,
    notebook: nbformat.NotebookNode,
    own: set[str],
    contents: Path,
) -> list[str]:
    """
    Put beside a notebook what it reads, and give it the parameters of an edition.

    What belongs to somebody else is not handed out: these files are returned, by name.
    """
    given = chapter_values(project, edition, chapter)
    known = read_parameters(notebook, chapter)
    values, replaced, kept_back = dict(given), list[Any](), []
    for parameter in known:
        if parameter.name not in given:
            continue
        replaced.append(parameter.default)
        if parameter.is_path(given[parameter.name]):
            path = input_path(given[parameter.name], edition.base)
            values[parameter.name] = path.name
            if path.is_file() and tree_digest(path) in own:
                _copy(path, contents / "notebooks" / path.name)
            else:
                kept_back.append(path.name)
    for text, path in named_files(project, notebook):
        place = Path(os.path.normpath(contents / "notebooks" / text))
        ours = path.suffix in OWN_KINDS or tree_digest(path) in own
        if ours and text not in replaced and place.is_relative_to(contents):
            _copy(path, place)
    if cell := parameters_cell(notebook):
        cell.source = with_values(cell.source, known, values)
    return list(dict.fromkeys(kept_back))


def _copy(path: Path, place: Path) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(path, place)


def _insert_beginning(
    notebook: nbformat.NotebookNode, audience: Audience, kept_back: Sequence[str]
) -> None:
    """Put in front of a notebook the cell that fetches the libraries, and what to know of it."""
    lines = [
        "This notebook runs in your browser. Run the cell below first: it fetches Python's "
        f"libraries from `{_host()}`, some tens of megabytes, which takes a minute or two. Then "
        "run the rest from the top. The libraries are of other versions than those of the page, so "
        "numbers may differ a little.",
        "What you change, and what the chapter writes, is kept in this browser only. Download what "
        "you want to keep.",
    ]
    if audience == "student":
        lines.append(
            "It is the chapter without its solutions, and stops at the first exercise without an "
            "answer: put one in place of the `...`, run its cell and the check below it, and go on."
        )
    if kept_back:
        names = listed(f"`{name}`" for name in kept_back)
        them = "it" if len(kept_back) == 1 else "them"
        lines.append(
            f"It reads {names}, which this site does not hand out. Whoever made this edition knows "
            f"who may have {them}; upload {them} into the folder `notebooks`."
        )
    note_below_title(notebook, "In the browser", "\n\n".join(lines))
    # Where there is a title, the cell of the note is the first.
    cell = nbformat.v4.new_code_cell(f"%pip install -q {PROJECT}")
    cell["id"] = "libraries"
    first = notebook.cells[0].cell_type if notebook.cells else "code"
    notebook.cells.insert(1 if first == "markdown" else 0, cell)


def _host() -> str:
    """Name of the host that Pyodide and the large libraries come from."""
    from jupyterlite_pyodide_kernel.constants import PYODIDE_CDN_URL

    return str(urlsplit(PYODIDE_CDN_URL).hostname)


def _unpack_helpers(imported: Iterable[str], folder: Path) -> None:
    """Make the tree of a wheel that has the helpers, without what runs the course itself."""
    left_out = shutil.ignore_patterns("course", "__pycache__")
    name = helpers.__name__
    shutil.copytree(Path(str(helpers.__file__)).parent, folder / name, ignore=left_out)
    write_text(folder / "myst_nb.py", GLUE)
    about, installed = Message(), importlib.metadata.metadata(PROJECT)
    about["Metadata-Version"] = "2.4"
    for field in ("Name", "Version", "Summary", "License-Expression"):
        about[field] = installed[field]
    for library in sorted({LIBRARIES[name] for name in imported & LIBRARIES.keys()}):
        about["Requires-Dist"] = library
    notes = folder / f"{PROJECT.replace('-', '_')}-{installed['Version']}.dist-info"
    write_text(notes / "METADATA", str(about))
    kind = "Wheel-Version: 1.0\nGenerator: course\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    write_text(notes / "WHEEL", kind)


def _unpack(name: str, folder: Path) -> None:
    """Make the tree of the wheel that an installed package came from."""
    found = importlib.metadata.distribution(name)
    for path in found.files or ():
        if not {"..", "__pycache__"} & {*path.parts} and path.name not in NOTES:
            _copy(Path(str(path.locate())), folder / path)


def build_lite(folder: Path, target: Path) -> None:
    """
    Make a JupyterLite, without asking any other host.

    Parameters
    ----------
    folder : Path
        As ``write_contents`` leaves it.
    target : Path
        The folder to make.

    Raises
    ------
    SiteError
        If it cannot be made; the message holds what was said.
    """
    (folder / WHEELS).mkdir()
    for tree in sorted((folder / UNPACKED).iterdir()):
        _run("wheel", "pack", str(tree), "--dest-dir", str(folder / WHEELS), at=folder)
    extensions = [
        f"--LiteBuildConfig.federated_extensions={_extension(name)}" for name in EXTENSIONS
    ]
    _run(
        *("jupyterlite_core", "build", "--apps=notebooks", "--apps=tree", f"--output-dir={target}"),
        *(f"--contents={folder / CONTENTS}", f"--piplite-wheels={folder / WHEELS}"),
        *("--ignore-sys-prefix", *extensions, "--no-libarchive"),
        *("--no-sourcemaps", "--no-unused-shared-packages"),
        at=folder,
    )


def _run(module: str, *words: str, at: Path) -> None:
    """Run a program of this Python, in a folder and without the settings that a user has."""
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("JUPYTERLITE_")
    }
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-m", module, *words],
        cwd=at,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        encoding="utf-8",
        errors="replace",
        env={**environment, "JUPYTER_NO_CONFIG": "1"},
        check=False,
    )
    lines = (done.stdout + done.stderr).replace(f"{at}/", "").splitlines()
    faults = [line for line in lines if re.search(r"\b(WARNING|ERROR|CRITICAL)\b", line)]
    if done.returncode or faults:
        said = faults or lines[-10:]
        raise SiteError("\n".join([f"JupyterLite could not be made ({module} {words[0]}).", *said]))


def put_lite_links(site: Path, chapters: Sequence[str]) -> None:
    """
    Link from the pages of chapters to their notebooks in the browser.

    Parameters
    ----------
    site : Path
        Folder of the rendered pages, with the JupyterLite in it.
    chapters : sequence of str
        Those that a browser can run.
    """
    for chapter in chapters:
        page = site / "notebooks" / f"{chapter}.html"
        link = f"../{FOLDER}/notebooks/index.html?path=notebooks/{chapter}.ipynb"
        line = (
            f'<p class="run-in-browser"><a href="{html.escape(link)}">Run in the browser</a>, '
            "without an install. That fetches some tens of megabytes from another host, "
            f"{html.escape(_host())}.</p>"
        )
        # The theme repeats the title above the article, for those who print the page.
        before, article, rest = page.read_text(encoding="utf-8").partition("<article")
        rest = rest.replace("</h1>", f"</h1>\n{line}", 1)
        write_text(page, before + article + rest)
