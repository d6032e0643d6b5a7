"""A course in miniature, for tests: one short chapter, two pages. And the real one, for reading."""

import shutil
from pathlib import Path

import nbformat
from nbformat.v4 import new_code_cell as code
from nbformat.v4 import new_markdown_cell as markdown
from nbformat.v4 import new_notebook

ROOT = Path(__file__).parents[1]

PARAMETERS = """\
orders: str = "../data/orders.csv"  # input file: one order a line
n_segments: int = 4  # 0 lets the evidence choose
currency: str = "£"  # written before amounts
share: float = 0.5  # part of the orders to use
columns: dict = {}  # names in the file by our names
verbose: bool = False  # say more
output_dir: str = "exports/mini"  # folder for the exports"""

READ = """\
from pathlib import Path

from IPython.display import Markdown
from myst_nb import glue

from helpers.text import InputError

lines = Path(orders).read_text().split()
if "bad" in lines:
    raise InputError(f"{orders}: line 2 is bad. Mend it.")
Path(output_dir).mkdir(parents=True, exist_ok=True)
Path(output_dir, "orders.csv").write_text("\\n".join(lines))
glue("n_orders", f"{len(lines)}", display=False)
Markdown(
    f"**{len(lines)} orders** in {n_segments} segments, {currency}, {columns}. "
    f"[orders.csv]({output_dir}/orders.csv)"
)"""

FIGURE = """\
import matplotlib.pyplot as plt

fig, ax = plt.subplots()
ax.plot(range(n_segments))
plt.show()"""

FAIL = """\
if n_segments == 13:
    raise ValueError("13 is unlucky")
if n_segments == 14:
    import warnings

    warnings.warn("14 is odd")"""

EXERCISE = """\
:::{admonition} Exercise 1: more segments
:class: exercise
:name: ex-more

Set `n_segments` to 5. The [solution](#sol-more) is below, see also {ref}`here <sol-more>`.
:::"""

SOLUTION = """\
:::{admonition} Solution to exercise 1
:class: dropdown solution
:name: sol-more

The parameters cell, says the marmalade.
:::"""

CHECK = """\
assert one_more is not ..., "There is no answer yet."
assert one_more - 1 == n_segments, "That is not one more."
"pineapple\""""

WELCOME = """\
# Welcome

Read [mini](../notebooks/mini.ipynb).

Mini counts
{glue:text}`../notebooks/mini.ipynb::n_orders:s` orders. It says so here.

- mini has {glue:text}`../notebooks/mini.ipynb::n_orders:s` orders

  and a second paragraph in its item
- an item for everybody

| chapter | orders |
| --- | --- |
| mini in the table | {glue:text}`../notebooks/mini.ipynb::n_orders:s` |
| any | some |

:::{note}
A note for mini: {glue:text}`../notebooks/mini.ipynb::n_orders:s` orders.
:::

[Mini](../notebooks/mini.ipynb), a term
: Defined by {glue:text}`../notebooks/mini.ipynb::n_orders:s` orders.

A term for everybody
: Defined by nothing.
"""


def chapter(*extra):
    """Notebook of the miniature chapter, with further cells at its end."""
    solution = {"tags": ["solution"]}
    figure = {"mystnb": {"image": {"alt": "A line that rises by one a step"}}}
    cells = [
        markdown("# Mini\n\nAs $x^2$ grows, so does $x$."),
        code(PARAMETERS, metadata={"tags": ["parameters"]}),
        markdown("## Reading"),
        code(READ),
        code(FIGURE, metadata=figure),
        code(FAIL),
        markdown("## Exercises"),
        markdown(EXERCISE),
        code("one_more: int = ...  # segments", metadata={"tags": ["stub"]}),
        markdown(SOLUTION, metadata=solution),
        code(
            "marmalade = n_segments + 1\none_more = marmalade\nprint('marmalade')",
            metadata=solution,
        ),
        code(CHECK, metadata={"tags": ["check"]}),
        *extra,
    ]
    for number, cell in enumerate(cells, start=1):
        cell["id"] = f"cell-{number:02d}"
    return new_notebook(cells=cells)


def make_project(folder, *extra):
    """Write the miniature project into a folder; return its path."""
    for name in ("book", "data", "editions", "notebooks"):
        (folder / name).mkdir(parents=True)
    shutil.copy(ROOT / "_config.yml", folder)
    # Links spare each test copies.
    for name in ("_extra", "_static", "_templates"):
        (folder / "book" / name).symlink_to(ROOT / "book" / name)
    (folder / "_toc.yml").write_text(
        "format: jb-book\nroot: book/welcome\nchapters:\n"
        "  - file: notebooks/mini\n  - file: book/references\n"
    )
    (folder / "book" / "welcome.md").write_text(WELCOME)
    (folder / "book" / "references.md").write_text("# References\n\n```{bibliography}\n```\n")
    (folder / "book" / "references.bib").write_text("")
    (folder / "data" / "orders.csv").write_text("a\nb\nc\n")
    nbformat.write(chapter(*extra), folder / "notebooks" / "mini.ipynb")
    return folder


def copy_course(folder):
    """Put the course itself, without pages and outputs, into a folder; return its path."""
    for name in ("_config.yml", "_toc.yml"):
        shutil.copy(ROOT / name, folder)
    # A copy, because a test that writes into a link writes into the project itself.
    shutil.copytree(ROOT / "data", folder / "data", ignore=shutil.ignore_patterns("public"))
    (folder / "editions").mkdir()
    (folder / "notebooks").mkdir()
    for path in (ROOT / "notebooks").glob("*.yml"):
        shutil.copy(path, folder / "notebooks")
    for path in (ROOT / "notebooks").glob("*.ipynb"):
        notebook = nbformat.read(path, as_version=4)
        for cell in notebook.cells:
            if cell.cell_type == "code":
                cell.outputs = []
        nbformat.write(notebook, folder / "notebooks" / path.name)
    return folder
