"""
Every parameter of every chapter over its range: each run is right, or it is refused with a reason.

``make sweep`` runs all rows, as ``course run`` does, and ends with a table; ``python
tests/sweep.py CHAPTER --row NAME`` runs some of them again. What a row of a fault wrote is kept in
``_build/sweep``.
"""

import itertools
import json
import multiprocessing
import os
import re
import shutil
import sys
import tempfile
import time
import traceback
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import click
import psutil
from allpairspy import AllPairs
from click.testing import CliRunner
from sweep_data import write_files
from sweep_invariants import broken_invariants
from sweep_levels import SWEEPS, File

from helpers.course.cli import main
from helpers.course.needs import why_not
from helpers.course.parameters import chapter_path, read_notebook

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "_build/sweep"
RUNS, REFUSED, FAULT, SKIPPED = "completed", "refused", "FAULT", "skipped"
SECONDS = 300
SECONDS_ALONE = 1800

# A message says what to do in one of these words, or what there is, or is not, to choose from.
REMEDY = re.compile(
    r"\b(Use|Give|Write|Check|Put|Choose|Set|Add|Remove|Correct|Save|Export|Say|Install|Look|Copy|Run"
    r"|Measure|Leave out|leave out|give|use|put the|say in|[Aa]t least|takes|needs?|There are"
    r"|[Nn]earest|is one of|not one of|knows|there is no|has to|have to|make it again"
    r"|is the better one)\b"
)


@dataclass(frozen=True)
class Row:
    """Parameters of one run; ``kind`` is "pairs", "beyond" or "alone"."""

    chapter: str
    name: str
    kind: str
    given: dict
    levels: tuple = ()

    @property
    def told(self):
        """Parameters as somebody would type them."""
        return " ".join(f"{name}={value!r}" for name, value in self.given.items())


@dataclass
class Outcome:
    """What became of a row, with what was said or went wrong."""

    row: Row
    kind: str
    said: str
    seconds: float


def rows_of(chapter):
    """
    Return the rows of a chapter's sweep.

    Parameters
    ----------
    chapter : str

    Returns
    -------
    list of Row
    """
    sweep = SWEEPS[chapter]
    pairs = list(AllPairs([list(range(len(levels))) for levels in sweep.factors]))
    rows = []
    for number, places in enumerate(map(tuple, pairs), start=1):
        chosen = [levels[place] for levels, place in zip(sweep.factors, places, strict=True)]
        given = {name: value for level in chosen for name, value in level.items()}
        rows.append(Row(chapter, f"pairs-{number}", "pairs", given, places))
    for number, level in enumerate(sweep.beyond, start=1):
        given = {**sweep.first(), **level}
        rows.append(Row(chapter, f"beyond-{number}", "beyond", given))
    for number, given in enumerate(sweep.alone, start=1):
        rows.append(Row(chapter, f"alone-{number}", "alone", given))
    return rows


def typed(value, folder):
    """Value of a parameter as it is typed behind its name."""
    if isinstance(value, File):
        return str(folder / value)
    return value if isinstance(value, str) else json.dumps(value, default=str).strip('"')


def absent_data(row, files):
    """Path of data that a row alone needs and that is not here, or None."""
    values = row.given.values() if row.kind == "alone" else []
    paths = [files / value if isinstance(value, File) else value for value in values]
    return next((path for path in paths if isinstance(path, Path) and not path.exists()), None)


def run_row(row, files, folder):
    """
    Run one row in a process of its own, and say what became of it.

    Parameters
    ----------
    row : Row
    files : Path
        Where ``write_files`` wrote.
    folder : Path
        For what the row writes; it is kept if the row is a fault.

    Returns
    -------
    Outcome
    """
    if data := absent_data(row, files):
        return Outcome(row, SKIPPED, f"{data.name} is not here", 0.0)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["helpers.course.cli", "pytest", "skimage.metrics"])
    reader, writer = context.Pipe(duplex=False)
    process = context.Process(target=_run_and_judge, args=(row, files, folder, writer))
    start = time.monotonic()
    process.start()
    writer.close()
    limit = SECONDS_ALONE if row.kind == "alone" else SECONDS
    kind, said = FAULT, f"it was not done after {limit} seconds"
    if reader.poll(limit):
        try:
            kind, said = reader.recv()
        except EOFError:
            kind, said = FAULT, "its process died"
    else:
        # Kernels, and what they started, are not stopped with the process.
        for child in psutil.Process(process.pid).children(recursive=True):
            child.kill()
        process.kill()
    process.join()
    if kind != FAULT:
        shutil.rmtree(folder)
    return Outcome(row, kind, said, time.monotonic() - start)


def _run_and_judge(row, files, folder, writer):
    """Run a row as the command does, and send its class with what was said."""
    try:
        writer.send(_judged(row, files, folder))
    except Exception:
        writer.send((FAULT, traceback.format_exc()))


def _judged(row, files, folder):
    os.chdir(ROOT)
    given = {name: typed(value, files) for name, value in row.given.items()}
    options = [f"-p{name}={value}" for name, value in given.items()]
    out = folder / "out"
    aside = (folder / "stderr").open("w+")
    os.dup2(aside.fileno(), 2)  # what kernels, Java and libraries write beside Python
    command = ["run", row.chapter, *options, "--out", str(out), "--quiet"]
    result = CliRunner().invoke(main, command)
    # What DuckDB says as its kernel ends, now and then, is about no run.
    noise = re.compile(r"^(nanobind: | - |See https://nanobind).*\n?", flags=re.MULTILINE)
    beside = noise.sub("", (folder / "stderr").read_text())
    if result.exception and not isinstance(result.exception, SystemExit):
        return FAULT, "".join(traceback.format_exception(result.exception))
    if result.exit_code == 0:
        found = [] if row.kind != "beyond" else ["it ran, and was to be refused"]
        found += [f"it wrote to standard error: {beside}"] if beside else []
        found += broken_invariants(row.chapter, out, given)
        return (FAULT, "\n".join(found)) if found else (RUNS, "")
    if result.exit_code == 2:
        found = what_is_wrong_with(result.output, row, out)
        found += ["it was refused, and was to run"] if row.kind == "alone" else []
        found += [f"it wrote to standard error: {beside}"] if beside else []
        said = result.output.strip()
        return (FAULT, "\n".join([*found, said])) if found else (REFUSED, said)
    return FAULT, result.output


def what_is_wrong_with(message, row, out):
    """
    Return what a refusal lacks.

    Parameters
    ----------
    message : str
    row : Row
    out : Path
        Where the run was to write.

    Returns
    -------
    list of str
    """
    first = SWEEPS[row.chapter].first()
    suspects = {name: value for name, value in row.given.items() if first.get(name) != value}
    suspects = suspects or row.given
    names = [*suspects, *(Path(str(v)).name for v in row.given.values() if isinstance(v, File))]
    wrong = []
    if not any(re.search(rf"(?<!\w){re.escape(name)}(?!\w)", message) for name in names):
        wrong.append("the message names neither a parameter that was given nor its file")
    if not REMEDY.search(message):
        wrong.append("the message does not say what to do")
    if "Traceback" in message:
        wrong.append("the message has a traceback")
    if out.exists():
        wrong.append("something was exported")
    return wrong


def never_run(outcomes):
    """
    Return the sensible levels that ran in no row, as sentences.

    Parameters
    ----------
    outcomes : list of Outcome
        Of all rows of one chapter.
    """
    rows = [outcome for outcome in outcomes if outcome.row.kind == "pairs"]
    done = {
        place for outcome in rows if outcome.kind == RUNS for place in enumerate(outcome.row.levels)
    }
    met = {place for outcome in rows for place in enumerate(outcome.row.levels)}
    factors = SWEEPS[rows[0].row.chapter].factors if rows else []
    return [f"{factors[factor][place]} ran in no row" for factor, place in sorted(met - done)]


def uncovered(chapter):
    """Return the pairs of levels of two factors that meet in no row of a chapter."""
    factors = SWEEPS[chapter].factors
    rows = [row.levels for row in rows_of(chapter) if row.kind == "pairs"]
    return [
        (first, second, a, b)
        for first, second in itertools.combinations(range(len(factors)), 2)
        for a in range(len(factors[first]))
        for b in range(len(factors[second]))
        if not any(row[first] == a and row[second] == b for row in rows)
    ]


@click.command()
@click.argument("chapters", nargs=-1, type=click.Choice(list(SWEEPS)))
@click.option("--row", "wanted", multiple=True, help="Run rows of this name only.")
def sweep(chapters, wanted):
    """Run every row of the chapters, or of all of them, and tell what became of them."""
    outcomes, faults = {}, []
    with tempfile.TemporaryDirectory(prefix="sweep-") as files:
        write_files(Path(files))
        for chapter in chapters or SWEEPS:
            why = why_not(read_notebook(chapter_path(ROOT, chapter)), chapter)
            if why:
                click.echo(f"{chapter}: {why}")
                continue
            rows = [row for row in rows_of(chapter) if not wanted or row.name in wanted]
            outcomes[chapter] = []
            for row in rows:
                outcome = run_row(row, Path(files), RESULTS / f"{chapter}-{row.name}")
                outcomes[chapter].append(outcome)
                head = f"{chapter} {row.name}: {outcome.kind} ({outcome.seconds:.0f} s)"
                click.echo(f"{head} {row.told}")
                click.echo("".join(f"    {line}\n" for line in outcome.said.splitlines()), nl=False)
                if outcome.kind == FAULT:
                    faults.append(f"{head} {row.told}\n{outcome.said}")
            if not wanted:
                faults += [f"{chapter}: {level}" for level in never_run(outcomes[chapter])]
    click.echo(summary(outcomes))
    for fault in faults:
        click.echo(f"\n{fault}")
    sys.exit(bool(faults))


def summary(outcomes):
    """
    Return a table with the number of rows by chapter and class, and the minutes they took.

    Parameters
    ----------
    outcomes : dict
        Lists of Outcome by chapter.
    """
    kinds = [RUNS, REFUSED, SKIPPED, FAULT]
    lines = ["".join([f"{'chapter':24}", *(f"{kind:>11}" for kind in kinds), f"{'minutes':>11}"])]
    counts = {name: Counter(done.kind for done in some) for name, some in outcomes.items()}
    minutes = {name: sum(done.seconds for done in some) / 60 for name, some in outcomes.items()}
    counts["all"], minutes["all"] = sum(counts.values(), Counter()), sum(minutes.values())
    for name, number in counts.items():
        cells = [f"{number[kind]:11}" for kind in kinds]
        lines.append("".join([f"{name:24}", *cells, f"{minutes[name]:11.1f}"]))
    return "\n".join(lines)


if __name__ == "__main__":
    sweep()
