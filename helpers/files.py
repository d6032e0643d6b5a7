"""Writing files so that a reader never meets half of one; what a folder of data holds."""

import ctypes
import os
import tempfile
from contextlib import contextmanager
from pathlib import Path

_HERE = -100  # AT_FDCWD: a relative path begins in the current folder.
_EXCHANGE = 2  # RENAME_EXCHANGE of Linux, and RENAME_SWAP of macOS.


@contextmanager
def replacing(path):
    """
    Yield a temporary path; on success it replaces ``path``, on error nothing is left.

    Parameters
    ----------
    path : str or Path
        The file to write. Missing parent directories are made.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # Beside the target, because a rename is atomic only within one file system; the suffix is
    # kept because libraries choose a format by it.
    handle, name = tempfile.mkstemp(prefix=".", suffix=path.suffix, dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        # mkstemp makes private files; results are for everybody.
        temporary.chmod(0o644)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def exchange(first, second):
    """
    Let two folders of one file system change places.

    Whoever looks finds a folder in either place at any moment, if the system can do that (Linux
    and macOS can, on their usual file systems). If not, nothing is done.

    Parameters
    ----------
    first, second : str or Path
        Both there.

    Returns
    -------
    bool
        Whether it was done.
    """
    paths = os.fsencode(first), os.fsencode(second)
    library = ctypes.CDLL(None)
    if hasattr(library, "renameat2"):
        return library.renameat2(_HERE, paths[0], _HERE, paths[1], _EXCHANGE) == 0
    if hasattr(library, "renamex_np"):
        return library.renamex_np(*paths, _EXCHANGE) == 0
    return False


def write_text(path, text):
    """Write ``text`` as UTF-8 with its line ends as they are; return the path."""
    with replacing(path) as temporary:
        temporary.write_bytes(text.encode())
    return Path(path)


def visible_files(folder):
    """
    Files of a folder and of those below it, without hidden ones.

    Parameters
    ----------
    folder : str or Path

    Returns
    -------
    list of Path
        Relative to the folder, in order of their names. A link that leads nowhere is among them,
        so that whoever reads it meets an error and not a smaller data set.

    Raises
    ------
    OSError
        If a folder cannot be listed.
    """
    folder = Path(folder)
    found = [path.relative_to(folder) for path in _visible(folder, ())]
    return sorted(found, key=Path.as_posix)


def _visible(folder, above):
    """Yield the visible files at and below a folder, whose links may lead back to those above."""
    above = (*above, folder.resolve())
    for entry in folder.iterdir():
        if entry.name.startswith("."):
            continue
        if entry.is_dir():
            if entry.resolve() not in above:
                yield from _visible(entry, above)
        elif entry.is_file() or not entry.exists():
            yield entry
