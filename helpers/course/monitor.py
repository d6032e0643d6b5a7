"""
What ``course monitor`` does: a table that came in, beside the one that a saved model was fitted on.

Nothing here knows the time of day, so the same files give the same report, byte by byte.
"""

import base64
import hashlib
import io
import json
import sys
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import matplotlib as mpl
import pandas as pd
import pandera.pandas as pa
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from matplotlib.figure import Figure
from sklearn.utils import get_tags

from helpers.anomalies import OFFSETS, DensityDetector, flow_features
from helpers.drift import DriftMonitor, DriftReport, strength
from helpers.export import read_card, read_model, write_json
from helpers.figures import use_course_style
from helpers.files import replacing, write_text
from helpers.inputs import FLOWS, ORDERS, read_flows, read_orders
from helpers.segmentation import RFM, CustomerSegmenter, rfm_window
from helpers.tables import check_file, read_header, read_ids, read_table
from helpers.text import InputError, counted, listed

PAGE, RECORD = "drift_report.html", "drift_report.json"
TRUSTED = [CustomerSegmenter, DensityDetector]

_PACKETS = ["packets_sent", "packets_received"]
_ID = "customer_id"


@dataclass(frozen=True)
class Source:
    """
    A table of a model's features, and where it came from.

    Attributes
    ----------
    table : DataFrame
        The features, indexed by customer_id where the rows have one.
    facts : dict
        Plain values: "file" (bare name), "sha256", "kind", "rows"; of order lines also "days" and
        "last_day"; of flows "left_out", the number of those with missing values.
    """

    table: pd.DataFrame
    facts: dict[str, Any]


@dataclass(frozen=True)
class Check:
    """
    What a check found, and of what.

    Attributes
    ----------
    report : DriftReport
    model, reference, current : dict
        Plain values: what was compared, by names and digests.
    card : dict
        Of the model.
    """

    report: DriftReport
    model: dict[str, Any]
    reference: dict[str, Any]
    current: dict[str, Any]
    card: dict[str, Any]

    def line(self) -> str:
        """
        Decision with the evidence that speaks loudest, as one line of plain text.

        Of a refit this is what makes it one: the rows outside the radius, else the refit on the
        side.
        """
        report = self.report
        head, *others = report.reasons
        counting = report.evidence[report.evidence["counts"]]
        reasons = dict(zip(counting.index, others, strict=False))
        if not reasons:
            because = head.partition(": ")[2]
        elif report.decision == "watch":
            because = reasons[strength(counting).idxmax()]
        else:
            because = reasons.get("rows outside the radius") or others[len(reasons)]
        # Names of features come from a file, and may hold what moves the cursor of a terminal.
        plain = "".join(letter if letter.isprintable() else " " for letter in because)
        return f"{report.decision}: {plain}"

    def to_dict(self) -> dict[str, Any]:
        """Plain values of everything, ready for ``helpers.export.write_json``."""
        compared = ("model", "reference", "current", "card")
        return {**self.report.to_dict(), **{name: getattr(self, name) for name in compared}}


def check_model(
    model: Path,
    data: Path,
    *,
    reference: Path | None = None,
    columns: Mapping[str, str] | None = None,
    last_day: date | None = None,
    n_periods: int = 12,
    alpha: float = 0.05,
) -> Check:
    """
    Compare a table with the one that a saved model was fitted on.

    Parameters
    ----------
    model : Path
        A file that ``helpers.export.write_model`` wrote.
    data : Path
        CSV of the model's features; or of order lines, if these are recency, frequency and
        monetary; or of network flows, if they are those of ``flow_features``.
    reference : Path, optional
        Of the same kinds. By default the table that the model's card names, beside the model.
    columns : dict of str to str, optional
        The file's own names by the standard ones: of the data, and of a ``reference`` that does
        not have the features under their own names.
    last_day : date, optional
        Of order lines in the data; by default the day of the last one.
    n_periods, alpha
        Of ``DriftMonitor``.

    Returns
    -------
    Check
        Its ``model["warnings"]`` has what ``read_model`` warns of, such as older packages.

    Raises
    ------
    InputError
        If one of the files cannot be used, or they do not fit each other.
    """
    check_file(model)
    card = read_card(model)
    features = card["features"]
    if not features:
        raise InputError(
            f"{model.name}: was fitted without names of features, so that nothing can be compared. "
            "Fit it on a table with names, and write it anew."
        )
    estimator, remarks = _read_model(model)
    reader = _Reader(
        model.name,
        features,
        days=_days(card),
        at_least=0.0 if get_tags(estimator).input_tags.positive_only else -sys.float_info.max,
    )
    if reference is None:
        before = reader.read(_reference_of(model, card))
        period = {name: card["reference"].get(name) for name in ("days", "last_day")}
        before.facts.update({name: value for name, value in period.items() if value is not None})
    else:
        known = set(features) <= set(read_header(reference))
        before = reader.read(reference, {} if known else columns)
    now = reader.read(data, columns, last_day)

    try:
        with _naming(before.facts["file"]):
            monitor = DriftMonitor(estimator, before.table, n_periods=n_periods, alpha=alpha)
    except TypeError as error:
        raise InputError(f"{model.name}: {error} It cannot be monitored.") from None
    with _naming(now.facts["file"]):
        report = monitor.check(now.table)
    return Check(
        report=report,
        model={"file": model.name, "sha256": _sha256(model), "warnings": remarks},
        reference=before.facts,
        current=now.facts,
        card=card,
    )


def _read_model(path: Path) -> tuple[Any, list[str]]:
    """Model of a file, and what it warns of."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model = read_model(path, trusted=TRUSTED)
    return model, [str(warning.message) for warning in caught]


def _days(card: Mapping[str, Any]) -> int | None:
    """Days that the reference of a card covers, if it says so."""
    match card.get("reference"):
        case {"days": int(days)} if days > 0:
            return days
    return None


def _reference_of(model: Path, card: Mapping[str, Any]) -> Path:
    """Table that a model's card names, unaltered."""
    another = "or name another: --reference FILE."
    match card.get("reference"):
        case None:
            raise InputError(
                f"{model.name}: its card names no table to compare with. Name one: --reference "
                "FILE."
            )
        case {"table": str(name), "sha256": str(digest)} if Path(name).name == name:
            path = model.parent / name
        case other:
            raise InputError(
                f"{model.name}: what its card compares with is no file beside it ({other!r:.200}). "
                f"Run the chapter again to write it anew, {another}"
            )
    if not path.is_file():
        raise InputError(
            f"{name}: this table, on which {model.name} was fitted, is not beside it in "
            f"'{model.parent}'. Put it there, {another}"
        )
    if _sha256(path) != digest:
        raise InputError(
            f"{name}: was altered since {model.name} was fitted on it: its SHA-256 is not that of "
            f"the model card. Put the table as it was beside the model, {another}"
        )
    return path


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def _naming(file: str) -> Iterator[None]:
    """Put the name of a file in front of an InputError that does not know it."""
    try:
        yield
    except InputError as error:
        raise InputError(f"{file}: {error}") from None


@dataclass(frozen=True)
class _Reader:
    """Reads the files that a model with these features can be compared on."""

    model: str
    features: list[str]
    days: int | None
    at_least: float

    def read(
        self,
        path: Path,
        columns: Mapping[str, str] | None = None,
        last_day: date | None = None,
    ) -> Source:
        """Read a file of whichever kind it is."""
        columns = dict(columns or {})
        header = read_header(path)
        missing = [name for name in self.features if columns.get(name, name) not in header]
        raw = self._raw() if missing else None
        if raw != "order lines" and last_day is not None:
            raise InputError(
                f"{path.name}: is not read as order lines, and only these have a last day. Leave "
                "out --last-day."
            )
        schema, read = {
            "order lines": (ORDERS, self._from_orders),
            "network flows": (FLOWS, self._from_flows),
            None: (None, self._from_features),
        }[raw]
        try:
            table, facts = read(path, columns, last_day)
        except InputError as error:
            meant = schema and set(header) & set(self.features) - schema.columns.keys()
            if not meant:
                raise
            raise InputError(
                f"{error}\n{path.name}: was read as {raw}, for as a table of the model's features "
                f"it lacks {listed(map(repr, missing))}."
            ) from None
        origin = {"file": path.name, "sha256": _sha256(path), "kind": raw or "table of features"}
        return Source(table, {**origin, "rows": len(table), **facts})

    def _raw(self) -> str | None:
        """What the features can be made from, if anything."""
        if set(self.features) == set(RFM):
            return "order lines"
        without_packets = {name for name in OFFSETS if "packet" not in name}
        if set(self.features) in (set(OFFSETS), without_packets):
            return "network flows"
        return None

    def _from_orders(
        self, path: Path, columns: dict[str, str], last_day: date | None
    ) -> tuple[pd.DataFrame, dict[str, Any]]:
        if self.days is None:
            raise InputError(
                f"{path.name}: order lines can be compared over as many days as the reference "
                f"covers, and the card of {self.model} does not say how many. Give a table of "
                f"{listed(self.features)} instead."
            )
        orders = read_orders(path, columns=columns)
        end = pd.Timestamp(last_day or orders["order_date"].max())
        with _naming(path.name):
            table = rfm_window(orders, end, self.days)
        return table, {"days": self.days, "last_day": f"{end:%Y-%m-%d}"}

    def _from_flows(
        self, path: Path, columns: dict[str, str], _: date | None
    ) -> tuple[pd.DataFrame, dict[str, Any]]:
        # Packets are asked for if, and only if, the model knows them.
        wanted = "total_packets" in self.features
        packets = {name: name if wanted else "" for name in _PACKETS}
        flows = flow_features(read_flows(path, columns=packets | columns))[self.features]
        complete = flows.dropna()
        return complete, {"left_out": len(flows) - len(complete)}

    def _from_features(
        self, path: Path, columns: dict[str, str], _: date | None
    ) -> tuple[pd.DataFrame, dict[str, Any]]:
        need = "a number of 0 or more" if self.at_least == 0 else "a finite number"
        in_range = pa.Check.in_range(self.at_least, sys.float_info.max, error=need)
        number = pa.Column(float, in_range, description="a number such as 1234.5")
        numbers = dict.fromkeys(self.features, number)
        ids = pa.Column(str, description="an id on every line", required=False)

        def choose_names(header: list[str], columns: Mapping[str, str]) -> dict[str, str]:
            names = [*self.features]
            if _ID in columns or _ID in header:
                names = list(dict.fromkeys([_ID, *names]))
            return {name: columns.get(name, name) for name in names}

        schema = pa.DataFrameSchema({_ID: ids, **numbers})
        read = {} if _ID in numbers else {_ID: read_ids}
        table, names = read_table(path, schema, columns, choose_names, read)
        if _ID in names and _ID not in numbers:
            # ``write_csv`` put the apostrophe there, and order lines do not have it.
            table[_ID] = table[_ID].str.replace(r"^'(?=[=+\-@])", "", regex=True)
            return table.set_index(_ID), {}
        return table.reset_index(drop=True), {}


def write_report(check: Check, out: Path) -> Path:
    """
    Write a check as a page and as a record, both or neither; return the path of the page.

    Parameters
    ----------
    check : Check
    out : Path
        A folder, made if it is missing.

    Raises
    ------
    InputError
        If the folder cannot be written to.
    """
    page, record = out / PAGE, out / RECORD
    text = _page(check)
    try:
        for path in (page, record):
            if path.is_dir():
                raise InputError(f"'{path}' is a folder, where the report should go. Move it away.")
        with replacing(record) as new_record, replacing(page) as new_page:
            write_json(check.to_dict(), new_record)
            write_text(new_page, text)
    except OSError as error:
        raise InputError(
            f"'{out}': the report cannot be written there ({error.strerror}). Check the folder, or "
            "name another: --out DIR."
        ) from error
    return page


def _page(check: Check) -> str:
    """Page of a check, which needs no other file."""
    report = check.report
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    card = {
        part: pd.DataFrame(
            {"value": pd.Series({name: _text(value) for name, value in made.items()})}
        )
        for part, made in check.card.items()
        if part in ("inputs", "parameters", "metrics", "decisions", "versions") and made
    }
    return environment.get_template("drift_report.html").render(
        check=check,
        report=report,
        title=f"{report.decision.capitalize()} {check.model['file']}",
        compared=_compared(check),
        evidence=_evidence(report.evidence),
        features=report.features.map("{:,.4g}".format),
        shares=report.shares.map("{:.1%}".format),
        transitions=None if report.transitions is None else report.transitions.map("{:,}".format),
        clusters=_clusters(report.clusters),
        figures=_figures(report),
        card={part: table.rename_axis("name") for part, table in card.items()},
    )


def _text(value: Any) -> str:
    """Plain value as a person reads it."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _compared(check: Check) -> pd.DataFrame:
    """Where the model and both tables came from."""
    features = listed(check.card["features"])
    rows = {"model": (check.model["file"], f"features: {features}", check.model["sha256"])}
    for name, facts in (("reference", check.reference), ("current", check.current)):
        said = [f"{facts['kind']}: {counted(facts['rows'], 'row')}"]
        if "days" in facts:
            said.append(counted(facts["days"], "day"))
        if "last_day" in facts:
            said.append(f"up to {facts['last_day']}")
        if "left_out" in facts:
            said.append(f"{facts['left_out']:,} left out for missing values")
        rows[name] = facts["file"], ", ".join(said), facts["sha256"]
    columns = ["file", "what it holds", "SHA-256"]
    return pd.DataFrame.from_dict(rows, orient="index", columns=columns).rename_axis("part")


def _evidence(evidence: pd.DataFrame) -> pd.DataFrame:
    """Evidence as text: shares as percentages, and what is so or not as yes or no."""
    shown = evidence.copy()
    for name in ("value", "by chance", "size", "material from"):
        as_share = evidence[name].map("{:.1%}".format)
        as_index = evidence[name].map("{:.3f}".format)
        shown[name] = as_share.where(evidence["measure"] == "share", as_index)
    for name in ("detectable", "material", "counts"):
        shown[name] = evidence[name].map({True: "yes", False: "no"})
    return shown


def _clusters(clusters: pd.DataFrame | None) -> pd.DataFrame | None:
    if clusters is None:
        return None
    return clusters.assign(overlap=clusters["overlap"].map("{:.0%}".format)).set_index("old")


def _figures(report: DriftReport) -> dict[str, dict[str, str]]:
    """Figures by name, each as an SVG in base64 with the text that says what it shows."""
    strengths = [f"{test} {value:.2f}" for test, value in strength(report.evidence).items()]
    shares = [
        f"{name} {share['reference']:.1%} then and {share['current']:.1%} now"
        for name, share in report.shares.iterrows()
    ]
    furthest = {
        name: (table["current"] - table["reference"]).abs().max()
        for name, table in report.distributions.items()
    }
    changes = [f"{name} {change:.1%}" for name, change in furthest.items()]
    alts = {
        "evidence": "Bars: each test as a multiple of what it takes to count, with a line at 1. "
        f"{listed(strengths)}.",
        "shares": f"Pairs of bars: the share of each cluster in both tables. {listed(shares)}.",
        "features": "Pairs of bars: the share of each bin of a feature in both tables, a panel a "
        f"feature. The largest difference of a bin: {listed(changes)}.",
    }
    with mpl.rc_context(), warnings.catch_warnings():
        use_course_style()
        mpl.rcParams["svg.hashsalt"] = "drift"  # ids from content, where chance would do else
        # A script that the font lacks: the name stands in a table, too.
        warnings.filterwarnings("ignore", message="Glyph")
        return {
            name: {"alt": alt, "svg": _svg(getattr(report, f"plot_{name}")())}
            for name, alt in alts.items()
        }


def _svg(figure: Figure) -> str:
    """SVG of a figure in base64, without the time."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None})
    return base64.b64encode(buffer.getvalue()).decode()
