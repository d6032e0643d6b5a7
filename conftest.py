"""What ``pytest --nbval notebooks`` skips: the cells of chapters that need what is not here."""

import pytest

from helpers.course.needs import why_not
from helpers.text import InputError


def pytest_collection_modifyitems(items):
    """Mark those chapters before nbval starts a kernel for them."""
    notebooks = dict.fromkeys(item.parent for item in items if item.path.suffix == ".ipynb")
    for notebook in notebooks:
        try:
            why = why_not(notebook.nb, notebook.path.stem)
        except InputError as error:
            raise pytest.UsageError(str(error)) from None
        if why:
            notebook.add_marker(pytest.mark.skip(reason=why))
