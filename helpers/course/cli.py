"""The command ``course``: parse, call, report."""

import signal
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from functools import wraps
from pathlib import Path
from typing import Any, get_args

import click

from helpers.course.check import check_edition
from helpers.course.data_sets import DATA_SETS
from helpers.course.draft import write_draft
from helpers.course.edition import Audience, Edition, find_edition, read_edition
from helpers.course.execute import ChapterError, run_chapter, take, workspace
from helpers.course.fetch import DownloadError, fetch_data_set
from helpers.course.lite import FOLDER
from helpers.course.markdown import shortened, visible
from helpers.course.monitor import check_model, write_report
from helpers.course.needs import why_not
from helpers.course.parallel import end_children
from helpers.course.parameters import (
    Parameter,
    chapter_path,
    chapters,
    exports_folder,
    read_notebook,
    read_parameters,
    read_values,
)
from helpers.course.rendering import SiteError
from helpers.course.site import build_site
from helpers.text import InputError, counted, listed, nearest, read_yaml

DONE, FAILED, BAD_INPUT, INTERRUPTED = 0, 1, 2, 130
MOST, LONGEST = 100, 1_000  # lines of a message, and characters of each
DECIDED = {"keep": DONE, "watch": 3, "refit": 4}


def _find_project() -> Path:
    """Return the folder, here or above, that holds the book."""
    here = Path.cwd()
    for folder in (here, *here.parents):
        if (folder / "_config.yml").is_file() and (folder / "notebooks").is_dir():
            return folder
    msg = "There is no course here: no _config.yml beside a folder notebooks, in {} or above."
    raise InputError(msg.format(here))


def _reporting(command: Callable[..., None]) -> Callable[..., None]:
    """Turn errors into a message and an exit code."""

    @wraps(command)
    def reported(*args: Any, **kwargs: Any) -> None:
        try:
            with _interruptible():
                command(*args, **kwargs)
        except KeyboardInterrupt:
            end_children()
            _clear_line()
            click.echo("Interrupted.", err=True)
            sys.exit(INTERRUPTED)
        except InputError as error:
            _clear_line()
            click.echo(_readable(str(error)), err=True)
            sys.exit(BAD_INPUT)
        except DownloadError as error:
            click.echo(f"{error}\nNothing was written.", err=True)
            sys.exit(FAILED)
        except ChapterError as error:
            _clear_line()
            click.echo(str(error), err=True)
            if error.notebook:
                click.echo(f"What ran until then: {_short(error.notebook)}", err=True)
            sys.exit(FAILED)
        except SiteError as error:
            click.echo(f"{error}\nThe site was not built; the previous one is unchanged.", err=True)
            sys.exit(FAILED)

    return reported


@contextmanager
def _interruptible() -> Iterator[None]:
    """Let a kill, or a closed terminal, end a command as Ctrl-C does: it cleans up first."""
    signals = (signal.SIGTERM, signal.SIGHUP)
    before = [signal.signal(number, signal.default_int_handler) for number in signals]
    try:
        yield
    finally:
        for number, handler in zip(signals, before, strict=True):
            signal.signal(number, handler)


def _reporting_everything(command: Callable[..., None]) -> Callable[..., None]:
    """Turn any error into a message and one exit code: a program reads it, and nobody looks on."""

    @wraps(command)
    def reported(*args: Any, **kwargs: Any) -> None:
        try:
            _reporting(command)(*args, **kwargs)
        except Exception as error:
            place = traceback.extract_tb(error.__traceback__)[-1]
            what = " ".join(f"{type(error).__name__}: {error}".split()).rstrip(":")
            where = f"{Path(place.filename).name}, line {place.lineno}"
            click.echo(f"Could not finish, for an unexpected reason ({where}): {what}", err=True)
            sys.exit(BAD_INPUT)

    return reported


def _readable(message: str) -> str:
    """Message that fits on a screen, whatever it quotes."""
    lines = [shortened(visible(line), LONGEST) for line in message.splitlines()]
    more = [f"And {len(lines) - MOST:,} more faults."] if len(lines) > MOST else []
    return "\n".join(lines[:MOST] + more)


def _short(path: Path) -> str:
    """Path as seen from where the user is."""
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)


def _clear_line() -> None:
    if sys.stdout.isatty():
        click.echo("\r\x1b[K", nl=False)


def _say(text: str) -> None:
    _clear_line()
    click.echo(text)


class _Progress:
    """Each cell on one rewritten line of a terminal; elsewhere a line for each section."""

    def __init__(self) -> None:
        self.headings: dict[str, str] = {}

    def __call__(self, chapter: str, cell: int, cells: int, heading: str) -> None:
        line = f"{chapter}: cell {cell} of {cells}"
        if sys.stdout.isatty():
            _clear_line()
            click.echo(f"{line}  {heading}"[:78], nl=False)
        elif self.headings.get(chapter) != heading:
            self.headings[chapter] = heading
            click.echo(f"{line}: {heading}" if heading else line)


def _speaking(quiet: bool) -> tuple[Callable[[str], None], _Progress | None]:
    """What to tell results to, and each cell: nobody, if it is to be quiet."""
    return (lambda text: None, None) if quiet else (_say, _Progress())


_quiet = click.option(
    "--quiet", is_flag=True, help="Tell neither progress nor results; errors are still told."
)


@click.group(
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 96},
    epilog=f"""
    \b
    Exit codes, but for monitor, which has its own:
      {DONE:<4} done
      {FAILED:<4} a chapter or a page failed; what was there before is unchanged
      {BAD_INPUT:<4} something given is wrong; each line of the message says what
      {INTERRUPTED:<4} interrupted
    """,
)
def main() -> None:
    """Run the notebooks of the course and build its site."""


@main.command("parameters", epilog="Example: course parameters customer_segmentation")
@click.argument("chapter", required=False)
@_reporting
def list_parameters(chapter: str | None) -> None:
    """List what the chapters may be asked: names, types, defaults, help."""
    project = _find_project()
    for name in [chapter] if chapter else chapters(project):
        known = read_parameters(read_notebook(chapter_path(project, name)), name)
        click.echo(name)
        for parameter in known:
            head = f"  {parameter.name}: {parameter.annotation} = {parameter.default!r}"
            click.echo(f"{head}\n      {parameter.help}" if parameter.help else head)


@main.command(epilog="Example: course run customer_segmentation -p n_segments=5 --out results")
@click.argument("chapter")
@click.option("-p", "given", multiple=True, metavar="NAME=VALUE", help="A parameter; repeatable.")
@click.option(
    "--out", required=True, type=click.Path(path_type=Path), help="Folder for the results."
)
@_quiet
@_reporting
def run(chapter: str, given: tuple[str, ...], out: Path, quiet: bool) -> None:
    """
    Run one chapter; write its executed notebook to a folder.

    Its exports go into a folder of its name beside it.
    """
    project, here = _find_project(), Path.cwd()
    source = chapter_path(project, chapter)
    notebook = read_notebook(source)
    parameters = read_parameters(notebook, chapter)
    if why := why_not(notebook, chapter):
        raise InputError(f"{chapter} cannot run here. {why}")
    texts = _assignments(given)
    if "output_dir" in texts:
        raise InputError("output_dir is set by --out; leave out -p output_dir.")
    values = read_values(
        parameters, texts, base=here, notebooks=project / "notebooks", read=Parameter.from_text
    )
    target = here / out
    _refuse_file(target / chapter)
    if target.resolve() == source.parent.resolve():
        raise InputError(f"--out {out} would overwrite the course's own notebook; name another.")
    if exports_folder(parameters, chapter):
        values["output_dir"] = chapter
    say, progress = _speaking(quiet)
    with workspace(project, target) as folder:
        done = run_chapter(project, chapter, values, base=here, folder=folder, progress=progress)
        files = take(done, target, notebook=target / source.name)
    say(f"{chapter}: {len(files)} files in {_short(target)}")
    for file in files:
        say(f"  {file.relative_to(target)}")


def _refuse_file(folder: Path) -> None:
    """Refuse a folder to write to if a file is in its place, or in that of one above it."""
    there = next(place for place in (folder, *folder.parents) if place.exists())
    if there.is_file():
        raise InputError(f"--out takes a folder; {_short(there)!r} is a file.")


def _assignments(given: tuple[str, ...]) -> dict[str, str]:
    """Texts by name of the ``-p`` options."""
    texts: dict[str, str] = {}
    for item in given:
        name, equals, text = item.partition("=")
        if not equals:
            raise InputError(f"-p {item}: write -p name=value.")
        if name in texts:
            raise InputError(f"-p {name}=... is given twice.")
        texts[name] = text
    return texts


@main.command(epilog="Example: course new spring-2026")
@click.argument("name")
@_reporting
def new(name: str) -> None:
    """
    Write the file of a new edition, with everything that it may say as comments.

    NAME is that of the edition, for a file in editions; or the path of a file that ends in .yml.
    """
    path = _short(write_draft(_find_project(), name))
    click.echo(
        f'{path}: every setting and parameter with its default. Remove the "# " in front of what '
        f"you want to set. Then:\n  course check {path}\n  course build {path}"
    )


@main.command(epilog="Example: course check editions/online_retail.yml")
@click.argument("edition")
@_reporting
def check(edition: str) -> None:
    """
    Look for every fault of an edition in one go, without running a chapter.

    The words and values of the edition, and what its files hold; large ones by their header.
    """
    project = _find_project()
    path = find_edition(project, edition)
    found = check_edition(project, path)
    for remark in found.remarks:
        click.echo(remark)
    if found.faults:
        raise InputError("\n".join(found.faults))
    counts = [
        counted(found.chapters, "chapter"),
        counted(found.parameters, "parameter"),
        counted(len(found.files), "file"),
    ]
    click.echo(f"{_short(path)}: {', '.join(counts)}: no fault")


@main.command(epilog="Example: course build editions/online_retail.yml --audience student")
@click.argument("edition", required=False)
@click.option("--audience", type=click.Choice(get_args(Audience)), help="Who will read the site.")
@click.option(
    "--jobs", type=click.IntRange(1, 16), default=2, show_default=True, help="Chapters at a time."
)
@click.option("--fresh", is_flag=True, help="Run and render everything, also what is unchanged.")
@click.option(
    "--pdf", is_flag=True, help="Print the whole book as one PDF, too; takes Chromium or Chrome."
)
@click.option(
    "--lite", is_flag=True, help="Let browsers run the chapters, too; they ask another host then."
)
@_quiet
@_reporting
def build(
    edition: str | None,
    audience: Audience | None,
    jobs: int,
    fresh: bool,
    pdf: bool,
    lite: bool,
    quiet: bool,
) -> None:
    """
    Build the site of an edition: run its chapters, render the book, put it in place.

    Without EDITION, editions/default.yml is built. Chapters that have not changed since an earlier
    build are taken from there: the same notebook, values, files, helpers and packages.
    """
    project = _find_project()
    if edition is None and not (project / "editions" / "default.yml").is_file():
        chosen = Edition(name="default", base=project)
    else:
        chosen = read_edition(project, find_edition(project, edition or "default"))
    say, progress = _speaking(quiet)
    reader = audience or chosen.audience
    say(f"Building the edition {chosen.name}.")
    for remark in chosen.remarks(reader):
        say(remark)
    html = build_site(
        project,
        chosen,
        audience=audience,
        jobs=jobs,
        fresh=fresh,
        pdf=pdf,
        lite=lite,
        progress=progress,
        say=say,
    )
    pages = len({*html.rglob("*.html")} - {*(html / FOLDER).rglob("*.html")})
    say(f"{pages} pages for the audience {reader}. Open {_short(html / 'index.html')}")
    for file in html.glob("*.pdf"):
        say(f"The book as one PDF: {_short(file)}")
    if lite:
        say(
            "Browsers run the chapters once the site is on a web server. To try it: "
            f"python -m http.server --bind 127.0.0.1 --directory {_short(html)}"
        )


@main.command(epilog="Example: course refresh customer_segmentation")
@click.argument("chapter", required=False)
@_quiet
@_reporting
def refresh(chapter: str | None, quiet: bool) -> None:
    """Run the committed notebooks again with their defaults, in place."""
    project = _find_project()
    say, progress = _speaking(quiet)
    for name in [chapter] if chapter else chapters(project):
        source = chapter_path(project, name)
        notebook = read_notebook(source)
        if why := why_not(notebook, name):
            say(f"{name}: left as it is, for it cannot run here. {why}")
            continue
        parameters = read_parameters(notebook, name)
        read_values(parameters, {}, base=project, notebooks=source.parent)
        before = source.read_bytes()
        with workspace(project, project / "_build") as folder:
            done = run_chapter(project, name, {}, base=project, folder=folder, progress=progress)
            take(done, source.parent, notebook=source)
        say(f"{name}: {'unchanged' if source.read_bytes() == before else 'changed'}")


@main.command(
    epilog="""
    \b
    Example: course fetch online_retail
      course fetch online_retail --from ~/Downloads/online+retail.zip
    """
)
@click.argument("name", required=False)
@click.option(
    "--from", "source", metavar="FILE_OR_URL", help="Take this copy of what would be downloaded."
)
@_quiet
@_reporting
def fetch(name: str | None, source: str | None, quiet: bool) -> None:
    """
    Put the public data set NAME into data/public, checked against its published figures.

    Without NAME, list the data sets. What is there already is not downloaded again; what broke off
    begins anew.
    """
    folder = Path(_short(_find_project() / "data" / "public"))
    if name is None:
        if source:
            raise InputError(f"--from takes a name as well: {listed(DATA_SETS)}.")
        for data_set in DATA_SETS.values():
            click.echo(
                f"{data_set.name}\n  {data_set.about}\n  downloads {data_set.size}, becomes "
                f"{folder / data_set.name}.csv.gz\n  {data_set.citation}"
            )
        return
    if name not in DATA_SETS:
        near = nearest(name, DATA_SETS)
        raise InputError(f"There is no data set {name!r}{near}. There are: {listed(DATA_SETS)}.")
    say, _ = _speaking(quiet)
    bar = not quiet and sys.stderr.isatty()
    fetch_data_set(DATA_SETS[name], folder, source=source, say=say, bar=bar)


@main.command(
    epilog="""
    \b
    Example:
      course monitor results/customer_segmentation/customer_segmenter.skops to_june.csv
    \b
    Exit codes:
      0  keep    nothing has changed that is both detectable and material
      3  watch   the rows have changed, but the clusters still fit them
      4  refit   the clusters no longer fit the rows
      2  error   a message on stderr says what is wrong
    """
)
@click.argument("model", type=click.Path(path_type=Path))
@click.argument("data", type=click.Path(path_type=Path))
@click.option(
    "--reference",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Compare with this file, not with the table that the model's card names.",
)
@click.option(
    "--columns",
    metavar="MAPPING",
    help="The file's own names by the standard ones, such as '{customer_id: Client}'.",
)
@click.option(
    "--last-day",
    type=click.DateTime(["%Y-%m-%d"]),
    metavar="YYYY-MM-DD",
    help="Last day of the period in order lines.  [default: day of the last order]",
)
@click.option(
    "--periods",
    type=click.IntRange(min=1),
    default=12,
    show_default=True,
    help="Checks for which the rate of false alarms holds together.",
)
@click.option(
    "--alpha",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    default=0.05,
    show_default=True,
    help="That rate: share of series of so many checks without drift in which any gives an alarm.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path(),
    metavar="DIR",
    help="Folder for the report.  [default: this one]",
)
@click.option("--quiet", is_flag=True, help="Print no line; warnings and errors are still told.")
@_reporting_everything
def monitor(
    model: Path,
    data: Path,
    reference: Path | None,
    columns: str | None,
    last_day: datetime | None,
    periods: int,
    alpha: float,
    out: Path,
    quiet: bool,
) -> None:
    """
    Check whether a saved MODEL still fits the rows of DATA.

    DATA is a CSV file: of order lines, for a model of customers; of network flows, for one of
    flows; or, for any model, of its features as columns. The report goes into drift_report.html
    and drift_report.json.
    """
    _refuse_file(Path.cwd() / out)
    check = check_model(
        model,
        data,
        reference=reference,
        columns=_mapping(columns),
        last_day=last_day,
        n_periods=periods,
        alpha=alpha,
    )
    for remark in check.model["warnings"]:
        click.echo(remark, err=True)
    page = write_report(check, out)
    if not quiet:
        click.echo(f"{check.line()} Report: {_short(page)}")
    sys.exit(DECIDED[check.report.decision])


def _mapping(text: str | None) -> dict[str, str]:
    """Names by names, of the YAML text of ``--columns``."""
    value = {} if text is None else read_yaml(text, "--columns")
    pairs = value.items() if isinstance(value, dict) else [(value, value)]
    if not all(isinstance(name, str) for pair in pairs for name in pair):
        raise InputError(
            f"--columns takes the file's own names by the standard ones, not {value!r}. Write it "
            "like '{customer_id: Client, revenue: \"2024\"}'."
        )
    return dict(pairs)
