"""Writing files so that a reader never meets half of one."""

import os
import tempfile
from contextlib import contextmanager
from pathlib import Path


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


def write_text(path, text):
    """Write ``text`` as UTF-8 with its line ends as they are; return the path."""
    with replacing(path) as temporary:
        temporary.write_bytes(text.encode())
    return Path(path)
