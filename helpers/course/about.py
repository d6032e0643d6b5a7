"""The page "About this edition": what a site was built from, and what has changed."""

from collections.abc import Iterator
from typing import Any

from helpers.course.markdown import as_code, as_row, as_text
from helpers.course.needs import unrun_sentence
from helpers.course.record import (
    ChapterRecord,
    EditionRecord,
    changes,
    holding,
    read_record,
    shown,
)
from helpers.text import counted, listed

SEEDS = ("random_state", "seed")


def record_page(record: EditionRecord, previous: Any = None) -> str:
    """
    Markdown page of what a site was built from.

    Parameters
    ----------
    record : dict
        As ``edition_record`` makes it.
    previous : optional
        That of the site that is there, as it was read; None if there is none.

    Returns
    -------
    str
        Without a clock unless the record has a day and timings, so that it can be compared.
    """
    title = f" *{as_text(record['title'])}*" if record["title"] else ""
    lines = [
        "# About this edition",
        "",
        f"Edition{title} {as_code(record['edition'])}, for the audience *{record['audience']}*"
        + (f", built on {record['built']}." if "built" in record else "."),
        "",
        "## What has changed",
        "",
        *_changes(record, previous),
        *_seeds(record),
    ]
    for chapter in record["chapters"]:
        lines += ["", f"## {chapter['heading']}", ""]
        if "not_run" in chapter:
            lines += [unrun_sentence(chapter["not_run"]), ""]
        lines += [*_parameters(chapter), *_data(chapter)]
    lines += [*_timings(record), "", "## Versions", "", "| what | version |", "| --- | --- |"]
    lines += [f"| {package} | {number} |" for package, number in record["versions"].items()]
    return "\n".join(lines) + "\n"


def _changes(record: EditionRecord, previous: Any) -> list[str]:
    before = read_record(previous)
    if before is None:
        return [
            "This is the first build of this edition here, so there is nothing to compare with."
        ]
    sentences = changes(before, record)
    if not sentences:
        return ["Nothing has changed since the previous build."]
    return ["Since the previous build:", "", *(f"- {sentence}" for sentence in sentences)]


def _seeds(record: EditionRecord) -> Iterator[str]:
    """Yield the seeds of all chapters in one place: with these, the same numbers come out."""
    chapters: dict[str, list[str]] = {}
    for chapter in record["chapters"]:
        for name in SEEDS:
            if name in chapter["parameters"]:
                seed = f"{as_code(name)} = {shown(chapter['parameters'][name])}"
                chapters.setdefault(seed, []).append(f"*{as_text(chapter['heading'])}*")
    if chapters:
        yield from (
            "",
            "## Seeds",
            "",
            "With the same seeds, data and versions, chance is the same.",
        )
        yield ""
        yield from (f"- {seed}: {listed(titles)}" for seed, titles in chapters.items())


def _parameters(chapter: ChapterRecord) -> Iterator[str]:
    """Yield a table of the parameters: first what the edition says, then what it leaves."""
    values, defaults = chapter["parameters"], chapter["defaults"]
    if not values:
        yield "This chapter has no parameters."
        return
    yield from ("| parameter | value | set by |", "| --- | --- | --- |")
    for name in sorted(values, key=lambda name: name not in defaults):
        by = "the chapter"
        if name in defaults:
            differs = defaults[name] != values[name]
            by = "**this edition**" + (f", not {shown(defaults[name])}" if differs else "")
        yield as_row(as_code(name), shown(values[name]), by)


def _data(chapter: ChapterRecord) -> Iterator[str]:
    for name, entry in chapter["data"].items():
        yield ""
        if "sha256" not in entry:
            named = f"{as_code(entry['name'])}, given as {as_code(name)}"
            yield f"{named}, is no file: the chapter brings it or makes it."
            continue
        if "folder" in entry:
            sentence = f"The folder {as_code(entry['folder'])} of {counted(entry['files'], 'file')}"
        else:
            sentence = f"The file {as_code(entry['file'])}"
        sentence += f", given as {as_code(name)}, has the SHA-256 digest `{entry['sha256'][:12]}`…"
        held = holding(entry)
        yield sentence + (f" and holds {held}." if held else ".")


def _timings(record: EditionRecord) -> Iterator[str]:
    """Yield a table of how long the chapters ran, if anybody measured it."""
    timed = [chapter for chapter in record["chapters"] if "seconds" in chapter]
    if not timed:
        return
    yield from ("", "## Timings", "", "How long the chapters ran on the machine of the build.", "")
    yield from ("| chapter | seconds | run |", "| --- | ---: | --- |")
    for chapter in timed:
        when = "in an earlier build, reused" if chapter["reused"] else "in this build"
        yield as_row(as_text(chapter["heading"]), f"{chapter['seconds']:,.1f}", when)
