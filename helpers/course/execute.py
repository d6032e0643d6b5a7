"""
Running a chapter: papermill executes it in a workspace of its own, and only success leaves it.

A workspace looks like the project, without its notebooks and what they exported. Its folders are
its own and their files are links, so relative paths work, nothing large is copied, and every new
file stays there until somebody takes it. An executed notebook is normalised: the same inputs give
the same text.
"""

import os
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
import papermill
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import AsyncKernelManager
from nbclient.exceptions import DeadKernelError
from papermill.engines import NBClientEngine, papermill_engines
from papermill.exceptions import PapermillExecutionError
from traitlets import Integer, default
from traitlets.config import Config

from helpers.course.parameters import (
    Parameter,
    chapter_path,
    chapters,
    exports_folder,
    input_path,
    parameters_cell,
    read_notebook,
    read_parameters,
    tags,
    with_values,
)
from helpers.files import visible_files, write_text
from helpers.text import InputError

Progress = Callable[[str, int, int, str], None]  # chapter, cell, cells, heading

KERNEL_ENVIRONMENT = {
    "PYTHONHASHSEED": "0",
    "MPLBACKEND": "module://matplotlib_inline.backend_inline",
}
# An author's notes on the page stay; what a tool or a run left behind goes.
RUN_METADATA = {"papermill", "execution", "ExecuteTime", "collapsed", "scrolled"}
NOTEBOOK_METADATA: dict[str, Any] = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python", "pygments_lexer": "ipython3"},
}
WIDGET = "application/vnd.jupyter.widget-view+json"


class ChapterError(Exception):
    """A chapter failed; the message names its cell, ``notebook`` is what ran until then."""

    def __init__(self, message: str, notebook: Path | None = None):
        super().__init__(message)
        self.notebook = notebook


@dataclass(frozen=True)
class Run:
    """
    A chapter that ran.

    Attributes
    ----------
    chapter : str
    notebook : NotebookNode
        Executed and normalised.
    folder : Path
        With the files that it wrote.
    seconds : float
        That it took.
    digest : str
        Of what it follows from, where that is known.
    reused : bool
        Whether it ran for an earlier build.
    """

    chapter: str
    notebook: nbformat.NotebookNode
    folder: Path
    seconds: float
    digest: str = ""
    reused: bool = False

    def files(self) -> list[Path]:
        """Files that the chapter wrote, relative to the folder."""
        found = (path for path in self.folder.rglob("*") if path.is_file())
        inside = (path.relative_to(self.folder) for path in found if not _linked(path, self.folder))
        return sorted(path for path in inside if not any(p.startswith(".") for p in path.parts))


def _linked(path: Path, folder: Path) -> bool:
    """Whether a path reaches out of a folder through a link."""
    return not path.resolve().is_relative_to(folder.resolve())


@contextmanager
def workspace(project: Path, beside: Path) -> Iterator[Path]:
    """
    Yield a temporary folder that looks like the project; it is gone afterwards.

    Parameters
    ----------
    project : Path
        The folder of ``_config.yml`` and ``notebooks``.
    beside : Path
        Where results will go: they can be renamed only within one file system.
    """
    beside = beside.resolve()
    while not beside.is_dir():
        beside = beside.parent
    try:
        folder = Path(tempfile.mkdtemp(prefix=".course-", dir=beside))
    except OSError as error:
        raise InputError(f"Cannot write to {beside}: {error.strerror}.") from None
    try:
        _link_files(project.resolve(), folder, left_out=project.resolve() / "_build")
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _link_files(source: Path, target: Path, left_out: Path, above: tuple[Path, ...] = ()) -> None:
    """Link the visible files of a folder and of those below it into new folders."""
    above = (*above, source)
    for entry in source.iterdir():
        # Unlike Path.resolve, this takes links that lead to themselves.
        place, real = target / entry.name, Path(os.path.realpath(entry))
        if entry.name.startswith((".", "__")) or entry.suffix == ".ipynb" or entry == left_out:
            continue
        if not entry.is_dir():
            place.symlink_to(real)
        elif real not in above and os.access(real, os.R_OK | os.X_OK):
            place.mkdir()
            _link_files(real, place, left_out, above)


def _without_exports(project: Path, notebooks: Path, own: str | None) -> None:
    """Take from a workspace what the chapters exported earlier; no run may build on it."""
    folders = {own}
    for name in chapters(project):
        with suppress(InputError):  # Another chapter's fault is not this one's.
            parameters = read_parameters(read_notebook(chapter_path(project, name)))
            folders.add(exports_folder(parameters, name))
    for folder in folders - {None}:
        shutil.rmtree(notebooks / str(folder), ignore_errors=True)


class OwnKernel(AsyncKernelManager):
    """The running interpreter, whatever kernels and profiles the user has; no network port."""

    n_threads = Integer(0, help="of each numerical library; 0 leaves it to them").tag(config=True)

    @default("kernel_spec_manager")
    def _no_installed_kernels(self) -> KernelSpecManager:
        return KernelSpecManager(kernel_dirs=[])

    def start_kernel(self, **kwargs: Any) -> Any:
        """Start in an environment that the user's settings do not change."""
        profile = str(Path(kwargs["cwd"]).parent / ".ipython")
        env = {**os.environ, **KERNEL_ENVIRONMENT, "IPYTHONDIR": profile}
        if self.n_threads:
            env |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), str(self.n_threads))
        # What goes wrong in a cell is told by the cell; the kernel's own log goes to our stderr.
        arguments = [*kwargs.pop("extra_arguments", []), "--log-level=CRITICAL"]
        return super().start_kernel(env=env, extra_arguments=arguments, **kwargs)


class WrittenInTheEnd(NBClientEngine):
    """
    papermill's own engine, which writes the notebook in the end, however that comes.

    Its own way is to write all of it before and after every cell, pictures included: of a chapter
    that is some 200 times, and as long as the chapter itself computes.
    """

    @classmethod
    def execute_managed_notebook(cls, nb_man: Any, kernel_name: str, **kwargs: Any) -> None:
        """Keep the path from the cells; papermill writes once more after this."""
        path, nb_man.output_path = nb_man.output_path, None
        try:
            super().execute_managed_notebook(nb_man, kernel_name, **kwargs)
        finally:
            nb_man.output_path = path


papermill_engines.register("written in the end", WrittenInTheEnd)


def _connection(sockets: str) -> dict[str, str]:
    """Return the settings of a kernel that listens on files in a folder."""
    return {
        "transport": "ipc",
        "connection_file": f"{sockets}/kernel.json",
        "ip": f"{sockets}/kernel",
    }


def run_chapter(
    project: Path,
    chapter: str,
    values: Mapping[str, Any],
    *,
    base: Path,
    folder: Path,
    without: Collection[str] = (),
    with_data: bool = False,
    n_threads: int = 0,
    progress: Progress | None = None,
) -> Run:
    """
    Execute a chapter in a workspace.

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
    folder : Path
        A workspace.
    without : collection of str
        Cells with one of these tags are left out.
    with_data : bool
        Give the outputs that are figures their data as CSV, too.
    n_threads : int
        Of each numerical library, where other chapters run at the same time: with more threads than
        cores, each waits busily for the others. 0 leaves it to the libraries.
    progress : callable, optional
        Told the chapter, the cell about to run, how many there are, and the heading above.

    Raises
    ------
    ChapterError
        If a cell raises, or writes to standard error.
    InputError
        If a cell raises one.
    """
    begun = time.perf_counter()
    source = read_notebook(chapter_path(project, chapter))
    source.cells = [cell for cell in source.cells if not set(without) & set(tags(cell))]
    parameters = read_parameters(source, chapter)
    own = exports_folder(parameters, chapter, values)
    _without_exports(project, folder / "notebooks", own)
    executed, shown = _paths(project, parameters, values, base, folder)
    cell = parameters_cell(source)
    if cell is not None:
        cell.source = with_values(cell.source, parameters, executed)

    texts = {}
    for name, text in shown.items():
        texts[f"{executed[name]}/"] = f"{text.rstrip('/')}/"
        texts[executed[name]] = text
    clean = _cleaner(project, folder, texts)
    staged, output = folder / "source.ipynb", folder / "executed.ipynb"
    nbformat.write(source, staged)
    reached = 0

    def on_cell_start(cell: nbformat.NotebookNode, cell_index: int) -> None:
        nonlocal reached
        reached = cell_index
        if progress:
            progress(chapter, cell_index + 1, len(source.cells), heading(source, cell_index))

    try:
        # A socket's path may have 107 characters at most, so it lies in the shortest folder.
        with tempfile.TemporaryDirectory(prefix="course-") as sockets:
            papermill.execute_notebook(
                _verbatim(staged),
                _verbatim(output),
                engine_name="written in the end",
                kernel_name="python3",
                progress_bar=False,
                kernel_manager_class=OwnKernel,
                config=Config(OwnKernel={**_connection(sockets), "n_threads": n_threads}),
                extra_arguments=["--ext=helpers.course.kernel"] if with_data else [],
                resources={"metadata": {"path": str(folder / "notebooks")}},
                on_cell_start=on_cell_start,
            )
    except PapermillExecutionError as error:
        if error.ename == "InputError":
            raise InputError(clean(error.evalue)) from None
        reason = f"{error.ename}: {error.evalue}" if error.evalue else error.ename
        place = _place(chapter, source, error.cell_index)
        raise _failure(project, chapter, output, clean, f"{place}: {reason}") from None
    except (DeadKernelError, RuntimeError) as error:
        place = _place(chapter, source, reached)
        reason = f"the kernel died ({error})"
        raise _failure(project, chapter, output, clean, f"{place}: {reason}") from None

    notebook = read_notebook(output)
    for index, cell in enumerate(notebook.cells):
        said = "".join(out.text for out in cell.get("outputs", []) if out.get("name") == "stderr")
        if said:
            place = _place(chapter, source, index)
            reason = f"it wrote to standard error: {said.strip()}"
            raise _failure(project, chapter, output, clean, f"{place}: {reason}")
    seconds = round(time.perf_counter() - begun, 1)
    return Run(chapter, normalised(notebook, clean), folder / "notebooks", seconds)


def _paths(
    project: Path,
    parameters: list[Parameter],
    values: Mapping[str, Any],
    base: Path,
    folder: Path,
) -> tuple[dict[str, Any], dict[str, str]]:
    """Values as they run, and for what lies outside the workspace the texts to show instead."""
    executed, shown = dict(values), {}
    for parameter in parameters:
        text = values.get(parameter.name, "")
        if not parameter.is_path(text):
            continue
        path = input_path(text, base).resolve()
        inside = os.path.relpath(path, project.resolve() / "notebooks")
        if path.is_relative_to(project.resolve()) and _same(path, folder / "notebooks" / inside):
            plain = Path(inside).as_posix()
            executed[parameter.name] = f"./{plain}" if plain in parameter.names else plain
        else:
            # Linked, so that no export records where somebody keeps their files.
            whole = Path(os.path.normpath(input_path(text, base).absolute()))  # ".." has a name
            link = folder / "inputs" / parameter.name / whole.name
            link.parent.mkdir(parents=True)
            link.symlink_to(path)
            executed[parameter.name] = f"../inputs/{parameter.name}/{link.name}"
            shown[parameter.name] = text
    return executed, shown


def _same(path: Path, place: Path) -> bool:
    """Whether a place in a workspace has what is at a path: it lacks notebooks and exports."""
    if place.is_dir():
        return visible_files(place) == visible_files(path)
    return place.is_file()


def _cleaner(project: Path, folder: Path, texts: Mapping[str, str]) -> Callable[[str], str]:
    """Return a function that takes from a text whatever says where and when it was made."""
    notebooks, root = folder / "notebooks", project.resolve()
    plain = {
        **texts,
        f"{notebooks}/": "",
        str(notebooks): ".",
        str(folder): "..",
        f"{root}/": "../",
    }

    def clean(text: str) -> str:
        for old, new in plain.items():
            text = text.replace(old, new)
        return _without_chance(text)

    return clean


def _without_chance(text: str) -> str:
    """Text without process numbers, addresses, and the names that pandas gives to styled tables."""
    # A slider's pictures are words of a million letters. A pattern that may begin at any of them
    # takes half a minute for a chapter.
    text = re.sub(r"(?<!\S)\S*/ipykernel_\d+/\d+\.py", "<cell>", text)
    text = re.sub(r"\bat 0x[0-9a-f]{6,}", "at 0x0", text)
    names = dict.fromkeys(re.findall(r"\bT_[0-9a-f]{5}(?=\b|_)", text))
    for number, name in enumerate(names, start=1):
        text = text.replace(name, f"T_{number:05d}")
    return text


def _verbatim(path: Path) -> str:
    """Path for papermill, which fills in what stands in braces."""
    return str(path).replace("{", "{{").replace("}", "}}")


def heading(notebook: nbformat.NotebookNode, index: int) -> str:
    """Last heading at or above a cell."""
    for cell in reversed(notebook.cells[: index + 1]):
        if cell.cell_type == "markdown":
            found = re.findall(r"^#+ +(.+)$", cell.source, flags=re.MULTILINE)
            if found:
                return str(found[-1])
    return ""


def _place(chapter: str, notebook: nbformat.NotebookNode, index: int) -> str:
    """Where in a chapter a cell is."""
    lines = notebook.cells[index].source.strip().splitlines()
    under = heading(notebook, index)
    where = f' under "{under}"' if under else ""
    first = f" ({lines[0]})" if lines else ""
    return f"{chapter}: cell {index + 1} of {len(notebook.cells)}{where}{first}"


def _failure(
    project: Path, chapter: str, output: Path, clean: Callable[[str], str], message: str
) -> ChapterError:
    """Keep the partly run notebook; the error to raise."""
    kept = project / "_build" / "failed" / f"{chapter}.ipynb"
    notebook = read_notebook(output)
    # papermill marks the failing cell with cells of its own; the message names it already.
    notebook.cells = [
        cell for cell in notebook.cells if "papermill-error-cell-tag" not in tags(cell)
    ]
    write_notebook(normalised(notebook, clean), kept)
    return ChapterError(clean(re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", message)), kept)


def normalised(
    notebook: nbformat.NotebookNode, clean: Callable[[str], str] = _without_chance
) -> nbformat.NotebookNode:
    """
    Take out of an executed notebook whatever differs between two runs of the same thing.

    Parameters
    ----------
    notebook : NotebookNode
        Changed in place, and returned.
    clean : callable
        Applied to every text of an output, and to the parameters cell.
    """
    notebook.metadata = {
        **{
            key: value
            for key, value in notebook.metadata.items()
            if key not in ("papermill", "widgets")
        },
        **NOTEBOOK_METADATA,
    }
    count = 0
    for cell in notebook.cells:
        cell.metadata = {k: v for k, v in cell.metadata.items() if k not in RUN_METADATA}
        if not cell.metadata.get("tags", True):
            del cell.metadata["tags"]
        if cell.cell_type != "code":
            continue
        if "parameters" in cell.metadata.get("tags", []):
            cell.source = clean(cell.source)
        if cell.execution_count is not None:
            count += 1
            cell.execution_count = count
        cell.outputs = _outputs(cell.outputs, cell.execution_count, clean)
    return nbformat.from_dict(notebook)


def _outputs(outputs: list[Any], count: int | None, clean: Callable[[str], str]) -> list[Any]:
    """Return the outputs of a cell, with its printed text in one piece and no widgets."""
    kept: list[Any] = []
    for output in outputs:
        # Where a long print is cut depends on the clock.
        before: Any = kept[-1] if kept else {}
        if output.output_type == "stream":
            output.text = clean(output.text)
            if before.get("name") == output.name:
                before.text += output.text
                continue
        if "data" in output:
            output.data = {
                kind: clean(content) if _is_text(kind, content) else content
                for kind, content in output.data.items()
                if kind != WIDGET
            }
            if not output.data:
                continue
        if "execution_count" in output:
            output.execution_count = count
        if "traceback" in output:
            output.traceback = [clean(line) for line in output.traceback]
        kept.append(output)
    return kept


def _is_text(kind: str, content: Any) -> bool:
    """Whether part of an output is text, not a picture in disguise."""
    return isinstance(content, str) and not kind.endswith(("image/png", "image/jpeg"))


def write_notebook(notebook: nbformat.NotebookNode, path: Path) -> None:
    """Write a notebook in one step."""
    write_text(path, nbformat.writes(notebook).rstrip("\n") + "\n")


def take(run: Run, target: Path, *, notebook: Path) -> list[Path]:
    """
    Move what a chapter wrote into a folder, its notebook last; return the files.

    Every file is renamed into place, so that whoever looks meets the old one or the new one.
    """
    taken = []
    for file in run.files():
        place = target / file
        place.parent.mkdir(parents=True, exist_ok=True)
        (run.folder / file).replace(place)
        taken.append(place)
    write_notebook(run.notebook, notebook)
    return [*taken, notebook]
