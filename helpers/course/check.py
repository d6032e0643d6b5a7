"""
Every fault of an edition in one go, in seconds, without running a chapter.

Each file is read as its chapter will read it; a large one, only as far as its header.
"""

import datetime
import json
import os
import struct
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from helpers.anomalies import Triage
from helpers.course.book import read_toc, toc_chapters
from helpers.course.downloads import own_digests
from helpers.course.edition import read_edition, read_settings
from helpers.course.guards import refusals
from helpers.course.needs import why_not
from helpers.course.parameters import (
    Parameter,
    chapter_path,
    chapters,
    input_path,
    read_notebook,
    read_parameters,
    read_values,
)
from helpers.course.reuse import tree_digest
from helpers.engine import connect
from helpers.export import read_model
from helpers.files import visible_files
from helpers.inputs import flow_columns, order_columns, read_flows, read_image, read_orders
from helpers.measurement import read_measurements
from helpers.order_lines import parquet_files
from helpers.playbook import read_plays
from helpers.segmentation import RFM, CustomerSegmenter, read_playbook
from helpers.text import InputError, listed

LARGE = 50_000_000  # bytes of text that are read in a few seconds


@dataclass(frozen=True)
class Look:
    """
    How a chapter reads a file.

    Attributes
    ----------
    read : callable
        Refuses a file that the chapter would refuse.
    header : callable or None
        The same by the header alone, for a file that takes long to read.
    mapped : bool
        Whether both are told the chapter's ``columns``.
    """

    read: Callable[..., object]
    header: Callable[..., object] | None = None
    mapped: bool = False


def _read_json(path: Path) -> object:
    """Content of a JSON file."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path.name}: cannot be read as JSON ({error}).") from None


ORDERS = Look(read_orders, order_columns)
OWN_ORDERS = Look(read_orders, order_columns, mapped=True)
OWN_FLOWS = Look(read_flows, flow_columns, mapped=True)
PARQUET = Look(partial(parquet_files, check_values=True), parquet_files, mapped=True)
TIMES = Look(read_measurements)
SEGMENTER = Look(partial(read_model, trusted=[CustomerSegmenter], features=RFM))
PATTERNS = Look(partial(read_plays, play=Triage, name="pattern"))

# A notebook cannot say which of its calls reads what without being run: the path may go through
# other variables, the same name mean order lines in CSV or in Parquet, and playbooks differ.
LOOKS = {
    ("customer_segmentation", "orders"): OWN_ORDERS,
    ("customer_segmentation", "playbook"): Look(read_playbook),
    ("network_anomalies", "flows"): OWN_FLOWS,
    ("network_anomalies", "playbook"): PATTERNS,
    ("image_compression", "image"): Look(read_image),
    ("clustering_at_scale", "orders"): PARQUET,
    ("clustering_at_scale", "measurements"): TIMES,
    ("clustering_on_spark", "orders"): PARQUET,
    ("clustering_on_spark", "measurements"): TIMES,
    ("stability_and_drift", "orders"): OWN_ORDERS,
    ("stability_and_drift", "control_orders"): ORDERS,
    ("stability_and_drift", "flows"): Look(read_flows, flow_columns),
    ("stability_and_drift", "model"): SEGMENTER,
    ("stability_and_drift", "simulations"): Look(_read_json),
}


def _read_snapshot(text: str) -> object:
    """Day that recency counts back from, as the chapters read it."""
    try:
        return datetime.date.fromisoformat(text)
    except ValueError:
        raise InputError(f"{text!r} is not a day. Write it as YYYY-MM-DD.") from None


def _read_day(text: str) -> object:
    """Last day of a reference, as the chapter on drift reads it."""
    try:
        return datetime.datetime.strptime(text, "%Y-%m-%d")
    except ValueError:
        raise InputError(f"{text!r} is not a day. Write it as YYYY-MM-DD.") from None


def _read_memory_limit(text: str) -> object:
    """Size that the database engine itself takes."""
    return connect(memory_limit=text).close()


# Text that a chapter refuses in the course of its calculation, but whatever the data.
VALUES: dict[tuple[str, str], Callable[[str], object]] = {
    ("customer_segmentation", "snapshot"): _read_snapshot,
    ("clustering_at_scale", "snapshot"): _read_snapshot,
    ("clustering_at_scale", "memory_limit"): _read_memory_limit,
    ("clustering_on_spark", "snapshot"): _read_snapshot,
    ("stability_and_drift", "reference_day"): _read_day,
}


@dataclass
class Findings:
    """
    What a check of an edition found.

    Attributes
    ----------
    faults : list of str
        Each a line; the build would refuse the edition for any of them.
    remarks : list of str
        What was not looked at, and why, and what else an instructor should know.
    chapters, parameters : int
        Chapters of the site, and parameters given to them.
    files : set of Path
        Those that were looked at.
    foreign : set of Path
        Order lines and flows that the edition gives and the course has not made.
    own : dict of list of str
        By chapter, the parameters that keep data of the course.
    """

    faults: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    chapters: int = 0
    parameters: int = 0
    files: set[Path] = field(default_factory=set)
    foreign: set[Path] = field(default_factory=set)
    own: dict[str, list[str]] = field(default_factory=dict)


def check_edition(project: Path, path: Path) -> Findings:
    """
    Look for every fault of an edition: its words, its values, and the files that they name.

    Parameters
    ----------
    project : Path
    path : Path
        The edition's file.

    Raises
    ------
    InputError
        If the file, or that of the table of contents, cannot be read at all.
    """
    found = Findings()
    content = read_settings(path)
    try:
        edition = read_edition(project, path)
        found.remarks += edition.remarks(edition.audience)
    except InputError as error:
        found.faults += str(error).splitlines()
    given = content.get("chapters") or {}
    given = given if isinstance(given, dict) else {}
    if not any(given.values()):
        found.remarks.append(
            f"{path.name} gives no chapter a value, so it builds what the course itself shows."
        )
    known = chapters(project)
    seen: dict[Any, list[str]] = {}
    for chapter in given or toc_chapters(read_toc(project)):
        values = given.get(chapter) or {}
        if chapter in known and isinstance(values, dict):
            found.chapters += 1
            found.parameters += len(values)
            check = _ChapterCheck(project, path.resolve().parent, chapter, values, seen)
            # The values that the edition gives were read with it.
            faults = check.faults(found, told=bool(given))
            found.faults += [f"{path.name}: {chapter}: {fault}" for fault in faults]
    if found.foreign and not found.faults:
        found.remarks += [
            f"{chapter}: {listed(names)} {'is' if len(names) == 1 else 'are'} still data of the "
            "course, so the page speaks of that, too."
            for chapter, names in found.own.items()
        ]
    return found


@dataclass(frozen=True)
class _ChapterCheck:
    """Looks at one chapter of an edition; ``seen`` has what was found in files before."""

    project: Path
    base: Path
    chapter: str
    given: Mapping[str, Any]
    seen: dict[Any, list[str]]

    def faults(self, found: Findings, *, told: bool) -> Iterator[str]:
        """Yield each fault of the chapter; those of types and paths only if they are not told."""
        try:
            notebook = read_notebook(chapter_path(self.project, self.chapter))
            parameters = read_parameters(notebook, self.chapter)
        except InputError as error:
            if not told:
                yield str(error)
            return
        try:
            if self.given and (why := why_not(notebook, self.chapter)):
                yield f"it cannot run here, so its parameters cannot be followed. {why}"
        except InputError as error:
            yield str(error)
        values: dict[str, Any] = {}
        for parameter in parameters:
            try:
                values[parameter.name] = self._value(parameter)
            except InputError as error:
                if not told:
                    yield str(error)
        yield from refusals(notebook, parameters, values)
        for parameter in parameters:
            read, text = VALUES.get((self.chapter, parameter.name)), values.get(parameter.name)
            if read and text:
                for line in _faults_of(partial(read, text)):
                    yield f"{parameter.name}: {line}"
            if parameter.is_path(values.get(parameter.name)):
                for line in self._in_file(parameter, values, found):
                    yield f"{parameter.name}: {line}"

    def _value(self, parameter: Parameter) -> Any:
        """Value of a parameter as the chapter would run with it, checked by itself."""
        name = parameter.name
        given = {name: self.given[name]} if name in self.given else {}
        notebooks = self.project / "notebooks"
        values = read_values([parameter], given, base=self.base, notebooks=notebooks)
        return values.get(name, parameter.default)

    def _in_file(
        self, parameter: Parameter, values: Mapping[str, Any], found: Findings
    ) -> list[str]:
        """Faults of a file that is there."""
        name = parameter.name
        base = self.base if name in self.given else self.project / "notebooks"
        path = input_path(values[name], base)
        look = LOOKS.get((self.chapter, name))
        size = _size(path)
        if size <= LARGE and tree_digest(path) in own_digests(self.project):
            found.own.setdefault(self.chapter, []).append(name)
        elif name in self.given and look is not None and look.mapped:
            found.foreign.add(path.resolve())
        if look is None:
            found.remarks.append(
                f"{self.chapter}: {name}: {path.name} is there; what it holds was not looked at."
            )
            return []
        read = look.read
        if size > LARGE:
            large = f"{self.chapter}: {name}: {path.name} holds {size / 1e6:,.0f} MB"
            if look.header is None:
                found.remarks.append(f"{large}, so what it holds was not looked at.")
                return []
            found.remarks.append(f"{large}, so only its header was looked at.")
            read = look.header
        if look.mapped and "columns" not in values:
            return []  # They were refused, so nobody knows what to look for.
        found.files.add(path.resolve())
        columns = {"columns": values["columns"]} if look.mapped else {}
        same = (read, path.resolve(), repr(columns))
        if same not in self.seen:
            self.seen[same] = _faults_of(partial(read, path, **columns))
        return self.seen[same]


def _faults_of(read: Callable[[], object]) -> list[str]:
    """Lines of the error that reading gives, if it gives one."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            read()
        except InputError as error:
            return str(error).splitlines()
    return []


def _size(path: Path) -> int:
    """Bytes to read in a file or folder; of a compressed file what it says that it expands to."""
    if path.is_dir():
        return sum((path / file).stat().st_size for file in visible_files(path))
    size = path.stat().st_size
    with path.open("rb") as file:
        if file.read(2) == b"\x1f\x8b" and size >= 4:
            file.seek(-4, os.SEEK_END)
            size = max(size, *struct.unpack("<I", file.read()))
    return size
