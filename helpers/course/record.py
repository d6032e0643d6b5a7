"""
The record of an edition: what a site was built from, and what came of it, as plain JSON.

One lies in every site, so that the next build can say what has changed.
"""

import csv
import gzip
import hashlib
import json
import math
import warnings
from collections.abc import Iterator, Mapping
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Any, NotRequired

import duckdb
from PIL import Image
from pydantic import TypeAdapter, ValidationError
from typing_extensions import TypedDict  # Python's own, pydantic takes from 3.12 on

from helpers.course.edition import Audience, Edition
from helpers.course.execute import heading
from helpers.course.markdown import as_code, as_text
from helpers.course.parameters import (
    chapter_path,
    default_exports,
    input_path,
    read_notebook,
    read_parameters,
)
from helpers.export import read_card, run_record
from helpers.files import visible_files
from helpers.text import InputError, counted, listed

# The record of a run has those that compute.
OTHERS = ("matplotlib", "jupyter-book", "practical-clustering")
RUN_RECORD = "run_record.json"
# Two runs on different machines may add the same numbers in another order.
TOLERANCE = 1e-9
MOST = 20  # moved numbers of one chapter that are told


class DataRecord(TypedDict, total=False):
    """What a parameter named: a file, a folder, or something that is neither."""

    name: str
    file: str
    folder: str
    files: int
    sha256: str
    rows: int
    width: int
    height: int
    model: str
    kind: str


class ChapterRecord(TypedDict):
    """What a chapter was run with, and what came of it."""

    chapter: str
    heading: str
    notebook: str
    parameters: dict[str, Any]
    defaults: dict[str, Any]  # of the parameters that the edition gives
    data: dict[str, DataRecord]
    metrics: dict[str, Any]
    decisions: dict[str, Any]
    not_run: NotRequired[str]
    seconds: NotRequired[float]
    reused: NotRequired[bool]


class EditionRecord(TypedDict):
    """What a site was built from, and what came of it."""

    edition: str
    title: str | None
    author: str | None
    audience: str
    built: NotRequired[str]
    chapters: list[ChapterRecord]
    versions: dict[str, str]


def edition_record(
    project: Path,
    edition: Edition,
    audience: Audience,
    values: Mapping[str, Mapping[str, Any]],
    not_run: Mapping[str, str],
    *,
    exports: Path | None = None,
    timings: Mapping[str, tuple[float, bool]] | None = None,
) -> EditionRecord:
    """
    What a site was built from, and what came of it.

    Parameters
    ----------
    project : Path
    edition : Edition
    audience : str
    values : dict
        Checked values that were given, by chapter, in the order of the site.
    not_run : dict
        Chapters that were not run, and why.
    exports : Path, optional
        Folder of notebooks that holds what the chapters exported, each in its own folder.
    timings : dict, optional
        Seconds by chapter, and whether they are those of an earlier build whose run was reused.

    Returns
    -------
    dict
        Ready for JSON.
    """
    versions = run_record(inputs={}, parameters={}, metrics={}, decisions={})["versions"]
    return {
        "edition": edition.name,
        "title": edition.title,
        "author": edition.author,
        "audience": audience,
        "built": date.today().isoformat(),
        "chapters": [
            _chapter_record(project, edition, chapter, given, not_run, exports, timings or {})
            for chapter, given in values.items()
        ],
        "versions": versions | {package: version(package) for package in OTHERS},
    }


def _chapter_record(
    project: Path,
    edition: Edition,
    chapter: str,
    given: Mapping[str, Any],
    not_run: Mapping[str, str],
    exports: Path | None,
    timings: Mapping[str, tuple[float, bool]],
) -> ChapterRecord:
    notebook = read_notebook(chapter_path(project, chapter))
    parameters = {parameter.name: parameter for parameter in read_parameters(notebook, chapter)}
    defaults = {name: parameter.default for name, parameter in parameters.items()}
    # Outputs aside: they follow from what is recorded here.
    cells = json.dumps([[cell.cell_type, cell.source] for cell in notebook.cells])
    record: ChapterRecord = {
        "chapter": chapter,
        "heading": heading(notebook, 0) or chapter,
        "notebook": hashlib.sha256(cells.encode()).hexdigest(),
        "parameters": {**defaults, **given},
        "defaults": {name: defaults[name] for name in given},
        "data": {},
        "metrics": {},
        "decisions": {},
    }
    # Whether the course's own run had the files that are here now is not known.
    if chapter in not_run:
        record["not_run"] = not_run[chapter]
        return record
    for name, parameter in parameters.items():
        text = record["parameters"][name]
        if parameter.is_path(text):
            base = edition.base if name in given else project / "notebooks"
            record["data"][name] = _data_record(input_path(text, base))
        elif text in parameter.names:
            record["data"][name] = {"name": text}
    if exports is not None:
        results = _results(exports / default_exports(project, chapter) / RUN_RECORD)
        record["metrics"], record["decisions"] = results["metrics"], results["decisions"]
    if chapter in timings:
        seconds, record["reused"] = timings[chapter]
        record["seconds"] = round(seconds, 1)
    return record


def _results(path: Path) -> dict[str, dict[str, Any]]:
    """Numbers and decisions that a chapter exported with the record of its run, if it has one."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        content = None
    content = content if isinstance(content, dict) else {}
    parts = {part: content.get(part) for part in ("metrics", "decisions")}
    return {part: value if isinstance(value, dict) else {} for part, value in parts.items()}


def _data_record(path: Path) -> DataRecord:
    """Name and digest of a file or folder, and how much it holds."""
    record = run_record(inputs={"": path.absolute()}, parameters={}, metrics={}, decisions={})
    return {**record["inputs"][""], **_holdings(path)}


def _holdings(path: Path) -> DataRecord:
    """Rows of a table, pixels of an image, or kind of another file, as far as it can be told."""
    files = [path / file for file in visible_files(path)] if path.is_dir() else [path]
    heads = [_head(file) for file in files]
    if heads and all(head == b"PAR1" for head in heads):
        return {"rows": _parquet_rows(files)}
    name = path.name.lower().removesuffix(".gz")
    if path.is_dir():
        return {}
    if name.endswith((".csv", ".tsv", ".txt")):
        rows = _csv_rows(path, compressed=heads[0].startswith(b"\x1f\x8b"))
        return {} if rows is None else {"rows": rows}
    if name.endswith(".skops"):
        try:
            return {"model": read_card(path)["model"]}
        except InputError:
            return {}
    if name.endswith((".json", ".yml", ".yaml")):
        return {"kind": "JSON" if name.endswith(".json") else "YAML"}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(path) as image:
                return {"width": image.width, "height": image.height}
    except (OSError, Image.DecompressionBombError):
        return {}


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(4)


def _parquet_rows(files: list[Path]) -> int:
    """Rows of Parquet files, by what they say themselves."""
    with duckdb.connect() as engine:
        found = engine.execute(
            "SELECT sum(num_rows) FROM parquet_file_metadata(?)", [[str(file) for file in files]]
        ).fetchone()
    return int(found[0]) if found else 0


def _csv_rows(path: Path, *, compressed: bool) -> int | None:
    """Rows below the header; None if the file is not read to its end."""
    try:
        with (gzip.open if compressed else open)(
            path, "rt", encoding="utf-8", errors="replace", newline=""
        ) as text:
            return max(0, sum(1 for row in csv.reader(text) if row) - 1)
    except (OSError, EOFError, csv.Error):
        return None


def read_record(content: Any) -> EditionRecord | None:
    """Record as it was read from a file; None if it is none, or one of another course."""
    try:
        return TypeAdapter(EditionRecord).validate_python(content)
    except ValidationError:
        return None


def changes(previous: EditionRecord, current: EditionRecord) -> list[str]:
    """
    What two builds of an edition differ in.

    Parameters
    ----------
    previous, current : dict
        Records as ``edition_record`` makes them.

    Returns
    -------
    list of str
        Sentences in Markdown; none if nothing has changed.
    """
    return [
        *_changed_words(previous, current),
        *_changed_chapters(previous, current),
        *_changed_versions(previous["versions"], current["versions"]),
    ]


def _changed_words(previous: EditionRecord, current: EditionRecord) -> Iterator[str]:
    for key in ("title", "author", "audience"):
        old, new = previous.get(key), current.get(key)
        if old != new:
            yield f"The {key} is {_said(new)}; it was {_said(old)}."


def _said(value: Any) -> str:
    return "that of the book" if value is None else as_code(str(value))


def _changed_chapters(previous: EditionRecord, current: EditionRecord) -> Iterator[str]:
    """Yield a sentence for each difference in chapters and between them."""
    before = {chapter["chapter"]: chapter for chapter in previous["chapters"]}
    now = {chapter["chapter"]: chapter for chapter in current["chapters"]}
    for what, these, others in (("New", now, before), ("No longer in it", before, now)):
        names = [_title(chapter) for name, chapter in these.items() if name not in others]
        if names:
            yield f"{what}: {listed(names)}."
    both = [name for name in now if name in before]
    if both != [name for name in before if name in now]:
        yield f"The order of the chapters has changed: {listed(_title(c) for c in now.values())}."
    for name in both:
        for sentence in _changed_chapter(before[name], now[name]):
            yield f"{_title(now[name])}: {sentence}."


def _title(chapter: ChapterRecord) -> str:
    return f"*{as_text(str(chapter['heading']))}*"


def _changed_chapter(old: ChapterRecord, new: ChapterRecord) -> Iterator[str]:
    """Yield what changed in a chapter, and what it led to, each without the chapter's name."""
    if bool(old.get("not_run")) != bool(new.get("not_run")):
        yield "it was not run this time" if new.get("not_run") else "it was not run last time"
    if old["notebook"] != new["notebook"]:
        yield "the notebook itself has changed"
    for name in {**old["parameters"], **new["parameters"]}:
        moved = _moved(old["parameters"], new["parameters"], name)
        if moved:
            yield f"parameter {as_code(name)} {moved}"
    for name in {**old["data"], **new["data"]}:
        if name in old["data"] and name in new["data"]:
            yield from _changed_data(name, old["data"][name], new["data"][name])
    if new.get("not_run") or old.get("not_run"):
        return
    told = []
    for part in ("metrics", "decisions"):
        was, now = _flat(old[part]), _flat(new[part])
        for name in {**was, **now}:
            moved = _moved(was, now, name)
            if moved:
                told.append(f"{as_code(name)} {moved}")
    yield from told[:MOST]
    if len(told) > MOST:
        yield f"{counted(len(told) - MOST, 'more number or decision', 'more numbers or decisions')}"


def _changed_data(name: str, old: DataRecord, new: DataRecord) -> Iterator[str]:
    """Yield a sentence if a parameter's file is another one, or holds something else."""
    if old == new:
        return
    if old.get("sha256") == new.get("sha256") and "sha256" in new:
        if _called(old) != _called(new):
            yield f"the data given as {as_code(name)} are called {_called(new)}, not {_called(old)}"
        return
    differences = [
        f"{what}: {before} → {after}"
        for what, before, after in zip(
            ("file", "digest", "holds"), _described(old), _described(new), strict=True
        )
        if before != after
    ]
    yield f"the data given as {as_code(name)} have changed ({'; '.join(differences)})"


def _called(entry: DataRecord) -> str:
    return as_code(str(entry.get("file") or entry.get("folder") or entry.get("name")))


def _described(entry: DataRecord) -> tuple[str, str, str]:
    digest = entry.get("sha256")
    return _called(entry), as_code(digest[:12]) if digest else "none", holding(entry) or "unknown"


def holding(entry: DataRecord) -> str:
    """Words for what a file of a record holds; none if that is not known."""
    if "rows" in entry:
        return counted(entry["rows"], "row")
    if "width" in entry:
        return f"{entry['width']:,} by {entry['height']:,} pixels"
    if "model" in entry:
        return f"a model, {as_code(entry['model'])}"
    return str(entry.get("kind", ""))


def _changed_versions(old: Mapping[str, str], new: Mapping[str, str]) -> Iterator[str]:
    for package in {**old, **new}:
        if old.get(package) != new.get(package):
            before, after = (str(one.get(package, "not recorded")) for one in (old, new))
            yield f"Version of {as_text(package)}: {as_text(before)} → {as_text(after)}."


def _flat(values: Mapping[str, Any], above: str = "") -> dict[str, Any]:
    """Nested values by names such as ``inertia: everybody``."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        name = f"{above}{key}"
        flat |= _flat(value, f"{name}: ") if isinstance(value, Mapping) else {name: value}
    return flat


def _moved(old: Mapping[str, Any], new: Mapping[str, Any], name: str) -> str:
    """Words for the way of a value from one build to the next; none if it stayed."""
    if name not in old:
        return f"is new: {shown(new[name])}"
    if name not in new:
        return f"is gone; it was {shown(old[name])}"
    before, after = old[name], new[name]
    if _equal(before, after):
        return ""
    texts = shown(before), shown(after)
    if texts[0] == texts[1]:
        texts = as_code(repr(before)), as_code(repr(after))
    share = ""
    counts = isinstance(before, int) and isinstance(after, int) and max(before, after) < 100
    if _is_number(before) and _is_number(after) and before > 0 and after >= 0 and not counts:
        share = f" ({after / before - 1:+.1%})"
    return f"{texts[0]} → {texts[1]}{share}"


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e300


def _equal(old: Any, new: Any) -> bool:
    if _is_number(old) and _is_number(new):
        return math.isclose(old, new, rel_tol=TOLERANCE)
    return type(old) is type(new) and old == new


def shown(value: Any) -> str:
    """Value of a record as Markdown code."""
    if isinstance(value, float):
        return as_code(f"{value:.6g}")
    return as_code(json.dumps(value, ensure_ascii=False))
