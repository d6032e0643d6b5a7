"""
What a kernel does more while a site is built: figures and sliders give their data as CSV, too.

It goes into the outputs of the cells, from which ``figure_files`` takes it. No notebook has a word
about it, and one that is run by hand or committed has no such outputs.
"""

from typing import Any

from IPython.core.formatters import BaseFormatter
from traitlets import ObjectName, Unicode

CSV = "text/csv"
DIGITS = 10  # of each number: more would be those of rounding errors


class CsvFormatter(BaseFormatter):
    """
    IPython's formatters know no CSV.

    This one does not register its types: Matplotlib takes figures out of all formatters when it
    puts in those for pictures.
    """

    format_type = Unicode(CSV)
    print_method = ObjectName("_repr_csv_")

    def __call__(self, shown: Any) -> str | None:
        """CSV of a figure or a slider; None for anything else."""
        kinds = {f"{kind.__module__}.{kind.__name__}" for kind in type(shown).__mro__}
        if "matplotlib.figure.Figure" in kinds:
            return _of_figure(shown)
        if "helpers.frames.Slider" in kinds:
            return _of_slider(shown)
        return None


def load_ipython_extension(shell: Any) -> None:
    """Let a shell show the data of figures; IPython calls this by its name."""
    formatter = CsvFormatter(parent=shell.display_formatter)
    shell.display_formatter.formatters[CSV] = formatter


# Only a chapter with figures is to wait for what these import.
def _of_figure(figure: Any) -> str | None:
    from helpers.export import csv_text
    from helpers.figure_data import figure_data, shows_pictures

    table = figure_data(figure)
    # A table without rows says that the pictures are the data.
    return csv_text(table, DIGITS) if len(table) or shows_pictures(figure) else None


def _of_slider(slider: Any) -> str:
    from helpers.export import csv_text

    return str(csv_text(slider.data, DIGITS))
