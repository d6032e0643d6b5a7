"""The data of the figures of a site: a file for each, and below each figure a link to it."""

import html
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import nbformat
from nbformat.v4 import new_output

from helpers.course.kernel import CSV
from helpers.files import write_text

FOLDER = "_downloads/figures"

# With the box that a page puts around an output, which is a light one also on dark pages.
_MARKER = re.compile(r'<div class="output text_html">\s*<!-- (\S+) -->\s*</div>')


@dataclass(frozen=True)
class FigureFile:
    """
    What a figure of a chapter draws.

    Attributes
    ----------
    name : str
        Of the file.
    figure : str
        What the figure shows, in few words.
    text : str
        CSV; of figures that show pictures, which no table stands for, its first line only.
    """

    name: str
    figure: str
    text: str

    @property
    def marker(self) -> str:
        """What stands in a page where the link belongs."""
        return f"<!-- {self.name} -->"

    @property
    def has_rows(self) -> bool:
        """Whether there is more than the names of the columns."""
        return self.text.count("\n") > 1

    @property
    def line(self) -> str:
        """What a page says below the figure."""
        if not self.has_rows:
            return '<p class="figure-data">Data of this figure: the pictures themselves.</p>'
        place = f"../{FOLDER}/{self.name}"
        label = "Data of this figure (CSV)"
        name = html.escape(f"{label}: {self.figure}")
        return (
            f'<p class="figure-data"><a href="{place}" download aria-label="{name}">{label}</a></p>'
        )


def take_figure_files(notebook: nbformat.NotebookNode, chapter: str) -> list[FigureFile]:
    """
    Take the data of its figures out of a notebook, and mark where the links to them belong.

    Parameters
    ----------
    notebook : NotebookNode
        Executed with ``helpers.course.kernel``; changed in place.
    chapter : str
        Its name, which the names of the files begin with.

    Returns
    -------
    list of FigureFile
    """
    files: list[FigureFile] = []
    for cell in notebook.cells:
        outputs = []
        for output in cell.get("outputs", []):
            outputs.append(output)
            data = output.get("data", {})
            text = data.get(CSV)
            # What was glued has kinds of its own, such as "application/papermill.record/text/csv".
            for kind in [kind for kind in data if kind.endswith(CSV)]:
                del data[kind]
            if text is not None:
                alt = cell.metadata.get("mystnb", {}).get("image", {}).get("alt", "")
                name = f"{chapter}-figure-{len(files) + 1}.csv"
                files.append(FigureFile(name, _in_few_words(alt), text))
                outputs.append(new_output("display_data", {"text/html": files[-1].marker}))
        if "outputs" in cell:
            cell.outputs = outputs
    return files


def _in_few_words(alt: str) -> str:
    """Return the beginning of an alternative text, which names the figure."""
    return re.split(r"[.:;](?:\s|$)", alt, maxsplit=1)[0]


def put_figure_files(site: Path, files: Sequence[FigureFile]) -> None:
    """
    Write the data of figures into a site, with a link below each.

    Parameters
    ----------
    site : Path
        Folder of the rendered pages, in which the markers are.
    files : sequence of FigureFile
    """
    lines = {file.name: file.line for file in files}

    def line(marker: re.Match[str]) -> str:
        return lines.get(marker[1], marker[0])

    for file in files:
        if file.has_rows:
            write_text(site / FOLDER / file.name, file.text)
    for page in site.glob("notebooks/*.html"):
        write_text(page, _MARKER.sub(line, page.read_text(encoding="utf-8")))
