"""Rendering: Jupyter Book makes pages of the notebooks, in a process of its own."""

import os
import re
import subprocess
import sys
import threading
from pathlib import Path

from helpers.course.pages import finish_pages
from helpers.course.previews import introduce
from helpers.course.search import write_search_index


class SiteError(Exception):
    """Rendering the site failed; the message holds the warnings and errors."""


def render(source: Path, out: Path) -> Path:
    """
    Render a book from clean, every warning being an error.

    Parameters
    ----------
    source : Path
        The folder of ``_config.yml`` and ``_toc.yml``.
    out : Path
        Folder to make.

    Returns
    -------
    Path
        The folder of the pages.

    Raises
    ------
    SiteError
    """
    command = [sys.executable, "-m", __name__, "build", str(source), "--path-output", str(out)]
    environment = {**os.environ, "PYTHONHASHSEED": "0", "NO_COLOR": "1"}
    alive, held = os.pipe()
    try:
        done = subprocess.run(  # noqa: S603
            [*command, "-W", "--keep-going", "-n"],
            stdin=alive,
            capture_output=True,
            text=True,
            encoding="utf-8",
            errors="replace",
            env=environment,
            check=False,
        )
    finally:
        os.close(alive)
        os.close(held)
    html = out / "_build" / "html"
    if done.returncode or not (html / "index.html").is_file():
        text = re.sub(r"\x1b\[[0-9;]*m", "", done.stdout + done.stderr).replace(f"{source}/", "")
        lines = text.splitlines()
        faults = [line for line in lines if re.search(r"\b(WARNING|ERROR|CRITICAL)\b", line)]
        raise SiteError("\n".join(dict.fromkeys(faults)) or "\n".join(lines[-30:]))
    introduce(html / "index.html")
    finish_pages(html)
    write_search_index(html)
    return html


def _end_with_parent() -> None:
    """Exit when standard input ends, which it does when whoever started this is gone."""
    while os.read(sys.stdin.fileno(), 1):
        pass
    os._exit(1)


if __name__ == "__main__":
    from jupyter_book.cli.main import main  # type: ignore[import-untyped]

    threading.Thread(target=_end_with_parent, daemon=True).start()
    main()
