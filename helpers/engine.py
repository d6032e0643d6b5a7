"""DuckDB, the engine inside Python: connections that keep to their memory, and a full disk."""

import re
from pathlib import Path

import duckdb

from helpers.text import InputError


def connect(folder=None, memory_limit=None):
    """
    Open a database of its own.

    Parameters
    ----------
    folder : str, Path or None, default=None
        Existing folder for the database and for what does not fit into memory. None is memory
        alone.
    memory_limit : str or None, default=None
        What the engine may hold at once, such as "500MB" or "2GB". None is DuckDB's own limit, most
        of the machine's memory.

    Returns
    -------
    duckdb.DuckDBPyConnection

    Raises
    ------
    InputError
        If the limit is no size.
    """
    connection = duckdb.connect(str(Path(folder, "work.duckdb")) if folder else ":memory:")
    if folder:
        connection.execute("SET temp_directory = ?", [str(folder)])
    if memory_limit is not None:
        try:
            # To DuckDB "-1GB" and "none" are no limit at all.
            if not re.match(r"\s*[\d.]", memory_limit):
                raise ValueError(memory_limit)
            connection.execute("SET memory_limit = ?", [memory_limit])
        except (ValueError, duckdb.Error):
            connection.close()
            raise InputError(
                f"memory_limit={memory_limit!r} is no size. Write it like 500MB or 2GB."
            ) from None
    # In a notebook without widgets it is off, and even switching it off is refused.
    if connection.execute("SELECT current_setting('enable_progress_bar')").fetchall()[0][0]:
        connection.execute("SET enable_progress_bar = false")
    return connection


def is_full(error):
    """
    Whether nothing more could be written: by the operating system's word or DuckDB's own.

    Parameters
    ----------
    error : Exception

    Returns
    -------
    bool
    """
    reasons = ("No space left", "File too large", "quota exceeded", "max_temp_directory_size")
    return any(reason in str(error) for reason in reasons)
