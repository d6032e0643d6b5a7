"""What has to hold for every run of a chapter, whatever its parameters and its data."""

import ast
import base64
import io
import json
import re
import traceback
from pathlib import Path

import duckdb
import nbformat
import numpy as np
import pandas as pd
import test_chapter_clustering_at_scale as scale_tests
import test_chapter_clustering_on_spark as spark_tests
import test_chapter_customer_segmentation as segmentation_tests
import test_chapter_image_compression as compression_tests
import test_chapter_network_anomalies as anomalies_tests
import test_chapter_stability_and_drift as drift_tests
from chapter_runs import ROOT, markdown_outputs
from PIL import Image

from helpers import export
from helpers.anomalies import DensityDetector
from helpers.course.parameters import Parameter, read_notebook, read_parameters, tags
from helpers.inputs import image_file, read_image
from helpers.segmentation import CustomerSegmenter

# What a computation leaves behind where there was nothing to compute.
HOLES = re.compile(
    r"(?<![\w./-])(nan|NaN|None(?! emerged\.| of )|-?inf|NaT|<NA>|&lt;NA&gt;)(?![\w/-]|\.\w)"
)
# Formulas, code and the fences of MyST have braces of their own.
BRACED = re.compile(r"\$[^$]*\$|`[^`]*`|^:::+\{\w+\}", flags=re.MULTILINE)
MODELS = [CustomerSegmenter, DensityDetector]


def broken_invariants(chapter, out, given):
    """
    Return what does not hold for a run, as sentences.

    Parameters
    ----------
    chapter : str
    out : Path
        What ``course run`` wrote.
    given : dict
        The texts behind ``-p``, by name.
    """
    notebook = nbformat.read(out / f"{chapter}.ipynb", as_version=4)
    found = [*faults_of_page(notebook), *faults_of_pictures(notebook, out / chapter)]
    found += faults_of_exports(notebook, out, chapter)
    record = json.loads((out / chapter / "run_record.json").read_text())
    found += faults_of_record(record, chapter, given)
    try:
        AGREES[chapter](out, values_of(chapter, given), record)
    except AssertionError:
        found.append(f"its page or exports do not agree:\n{traceback.format_exc()}")
    return found


def faults_of_page(notebook):
    """
    Return holes, braces and emptiness in what the cells of a page say.

    Parameters
    ----------
    notebook : NotebookNode
        Executed.
    """
    found = []
    for number, cell in enumerate(notebook.cells, start=1):
        if cell.cell_type != "code":
            continue
        sentences = [
            output["data"]["text/markdown"]
            for output in cell.outputs
            if "text/markdown" in output.get("data", {})
        ]
        for text in texts_of(cell):
            # The file as it is may lack values, and the page shows it so.
            if (hole := HOLES.search(text)) and not cell.source.strip().endswith("raw.head()"):
                around = text[max(0, hole.start() - 60) : hole.end() + 40]
                found.append(f"cell {number} says {hole[0]}: ...{around}...")
        for text in sentences:
            if brace := re.search(r"[{}]", BRACED.sub("", text)):
                found.append(f"cell {number} has an unfilled {brace[0]}: {text[:200]}")
        if makes_sentences(cell) and not any(text.strip() for text in sentences):
            found.append(f"cell {number} makes sentences, and there are none")
        printed = any(output.get("name") in ("stdout", "stderr") for output in cell.outputs)
        # Spark's own way to show the types of its columns.
        if printed and not cell.source.strip().endswith(".printSchema()"):
            found.append(f"cell {number} prints")
    return found


def texts_of(cell):
    """Texts that a cell gave, tables in plain text included."""
    texts = []
    for output in cell.outputs:
        data = output.get("data", {})
        kinds = ("text/markdown", "text/plain", "application/papermill.record/text/plain")
        texts += [data[kind] for kind in kinds if kind in data]
        texts += [output["text"]] if "text" in output else []
    return texts


def makes_sentences(cell):
    """Whether a cell ends with Markdown for the reader."""
    if "remove-input" not in tags(cell):
        return False
    last = ast.parse(cell.source).body[-1]
    return isinstance(last, ast.Expr) and "Markdown(" in ast.unparse(last)


def faults_of_pictures(notebook, exports):
    """
    Return the pictures of a page that show nothing.

    Parameters
    ----------
    notebook : NotebookNode
        Executed.
    exports : Path
        Folder. If the pictures in it have one colour, a slider that shows them may have it, too.
    """
    files = list(exports.glob("compressed_*.png"))
    one_color = bool(files) and all(map(is_blank, map(Image.open, files)))
    found = []
    for number, cell in enumerate(notebook.cells, start=1):
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            if "image/png" in data:
                content = base64.b64decode(data["image/png"])
                right = one_color and 'class="frames-beside"' in data.get("text/html", "")
                if is_blank(Image.open(io.BytesIO(content))) and not right:
                    found.append(f"the picture of cell {number} is blank")
    return found


def is_blank(image):
    """Whether all pixels of a picture look alike on white."""
    ground = Image.new("RGBA", image.size, "white")
    seen = Image.alpha_composite(ground, image.convert("RGBA")).convert("RGB")
    return all(low == high for low, high in np.atleast_2d(seen.getextrema()))


def faults_of_exports(notebook, out, chapter):
    """
    Return the exports that are missing, unnamed, or cannot be read back.

    Parameters
    ----------
    notebook : NotebookNode
        Executed.
    out : Path
    chapter : str
    """
    text = "\n".join(markdown_outputs(notebook))
    named = set(re.findall(rf"\]\({chapter}/([^)]+)\)", text))
    present = {path.name for path in (out / chapter).iterdir()}
    found = [f"{name} is named on the page, and is not there" for name in sorted(named - present)]
    pictures_of_files = {name for name in present if name.startswith("compressed_")}
    found += [
        f"{name} was exported, and the page does not say so"
        for name in sorted(present - named - pictures_of_files)
    ]
    for name in sorted(present):
        try:
            read_back(out / chapter / name)
        except Exception as error:
            found.append(f"{name} cannot be read back: {type(error).__name__}: {error}")
    return found


def read_back(path):
    """Read an exported file; an error if it is not what its name says, or has holes."""
    match path.suffix:
        case ".csv":
            pd.read_csv(path)
            if re.search(r"(^|,)-?(inf|nan)(,|$)", path.read_text(), flags=re.MULTILINE):
                raise ValueError("it has infinite numbers")
        case ".json":
            json.loads(path.read_text(), parse_constant=_refuse)
        case ".png":
            with Image.open(path) as image:
                image.load()
        case ".skops":
            export.read_model(path, trusted=MODELS)
        case ".parquet":
            duckdb.read_parquet(str(path)).fetchall()
        case _:
            raise ValueError("nobody said how to read it")


def _refuse(constant):
    raise ValueError(f"{constant} is not JSON")


def values_of(chapter, given):
    """Values of all parameters of a chapter, those given and the defaults."""
    known = read_parameters(read_notebook(ROOT / "notebooks" / f"{chapter}.ipynb"))
    return {
        parameter.name: Parameter.from_text(parameter, given[parameter.name])
        if parameter.name in given
        else parameter.default
        for parameter in known
    }


def faults_of_record(record, chapter, given):
    """
    Return where the record of a run is not about this run.

    Parameters
    ----------
    record : dict
    chapter : str
    given : dict
        The texts behind ``-p``, by name.
    """
    values = values_of(chapter, given)
    found = [
        f"the record has {name} = {recorded!r}, and {values[name]!r} was given"
        for name, recorded in record["parameters"].items()
        if recorded != values[name]
    ]
    for name, entry in record["inputs"].items():
        # A picture of the course is given by its name alone.
        path = image_file(values[name]) if name == "image" else Path(values[name])
        wanted = path.name
        if wanted not in entry.values():
            found.append(f"the record has the input {name} = {entry}, and {wanted} was given")
    missing = set(values) - {"output_dir"} - set(record["parameters"]) - set(record["inputs"])
    return found + [f"the record does not have {name}" for name in sorted(missing)]


def numbers(pattern, text):
    """Whole numbers that a pattern finds in a text, as a set."""
    return {int(number.replace(",", "")) for number in re.findall(pattern, text)}


def segmentation_agrees(out, values, record):
    """Check a page on customers."""
    asked = values["n_segments"]
    text, table, _ = segmentation_tests.assert_page_agrees_with_exports(out, asked or None)
    evident = numbers(r"So the evidence chooses \*\*K = (\d+)\*\*", text)
    assert len(evident) == 1
    assert table["segment"].nunique() == (asked or evident.pop())
    assert numbers(r"\*\*([\d,]+) customers?\*\* spent", text) == {len(table)}
    assert numbers(r"names ([\d,]+) of the", text) == {len(table)}
    assert numbers(r"of the ([\d,]+) customers? as above", text) == {len(table)}
    parts = numbers(r"(?m)^\*\*[^*\n]+\*\*(?: \(the name fits loosely\))?: ([\d,]+) customer", text)
    assert len(parts) <= table["segment"].nunique()
    of_revenue = re.findall(r"(?m)^\*\*[^*\n]+\*\*.*?, ([\d.]+)% of the revenue\.", text)
    assert len(of_revenue) == table["segment"].nunique()
    assert abs(sum(map(float, of_revenue)) - 100) <= 0.05 * len(of_revenue) + 0.01
    assert table["frequency"].min() >= 1
    assert table["recency"].min() >= 0
    assert (table["monetary"] > 0).all()


def anomalies_agree(out, values, record):
    """Check a page on flows."""
    text, listing, cases, _ = anomalies_tests.assert_page_agrees_with_exports(out)
    metrics, budget = record["metrics"], values["alerts_per_day"]
    assert metrics["severe"] <= metrics["anomalous"] <= metrics["judged"] <= metrics["flows"]
    assert metrics["cases"] <= len(cases) <= metrics["severe"]
    of_days = cases.groupby("day").size() if len(cases) else pd.Series(dtype=int)
    within = of_days.clip(upper=budget) if budget else of_days
    assert metrics["cases"] == within.sum()
    severities = listing["severity"].value_counts()
    known = ["HIGH", "MEDIUM", "LOW", "not judged"]
    assert severities.reindex(known, fill_value=0).sum() == len(listing)
    low = numbers(r"([\d,]+) anomal(?:y|ies) (?:is|are) LOW", text)
    assert low == {severities.get("LOW", 0)}
    assert numbers(r"The file holds \*\*([\d,]+) flow", text) == {metrics["flows"]}
    normal = numbers(r"\(\d[\d.]*%\) and ([\d,]+) normal flow", text)
    assert normal == {metrics["judged"] - metrics["anomalous"]}
    assert numbers(r"DBSCAN finds \*\*([\d,]+) cluster", text) == {metrics["clusters"]}
    if values["min_samples"]:
        assert record["decisions"]["min_samples"] == f"{values['min_samples']}: asked for"
    if values["small_cluster"]:
        assert record["decisions"]["small_cluster"].endswith(": asked for")


def compression_agrees(out, values, record):
    """Check a page on palettes."""
    sizes = sorted(set(values["n_colors"]))
    names = ("china.jpg", "flower.jpg", "astronaut", "coffee", "chelsea", "rocket")
    image = values["image"]
    original = read_image(image if image in names else Path(image))
    _, table, _ = compression_tests.assert_page_agrees_with_exports(out, original, sizes)
    palettes = table.loc[[f"K = {k}" for k in sizes]]
    assert (palettes["colors"] <= sizes).all()
    if not values["dither"]:
        mse = palettes["MSE"].to_numpy()
        assert (mse[1:] <= mse[:-1] * 1.02 + 1e-9).all(), mse
    lossless = palettes["colors"] >= table.loc["source as PNG", "colors"]
    assert (palettes.loc[lossless, "MSE"] == 0).all()
    assert (palettes["bytes"] > 0).all()


def scale_agrees(out, values, record):
    """Check a page on scale."""
    text, segments, _ = scale_tests.assert_page_agrees_with_exports(out, close=None)
    metrics = record["metrics"]
    n_customers = metrics["customers"]
    assert segments["customers"].sum() == n_customers
    assert segments["share"].sum() == np.float64(1.0) or abs(segments["share"].sum() - 1) < 1e-9
    assert metrics["points"]["cells"] <= metrics["points"]["everybody"] <= n_customers
    assert numbers(r"there are \*\*([\d,]+) customers? with sales\*\*", text) == {n_customers}
    points = metrics["points"]["everybody"]
    assert numbers(r"k-means on ([\d,]+) customers? reaches", text) == {points}
    assert numbers(r"\*\*([\d,]+) customers? have become", text) == {points}
    evident = numbers(r"So the evidence chooses \*\*K = (\d+)\*\*", text)
    assert {record["decisions"]["n_clusters"]} == ({values["n_clusters"] or min(evident)})
    if values["orders"] == "generated":
        assert n_customers <= values["n_customers"]


def spark_agrees(out, values, record):
    """Check a page on Spark."""
    text, _ = spark_tests.results(out)
    metrics = record["metrics"]
    assert metrics["cells"] <= metrics["customers"]
    pattern = r"\*\*([\d,]+) order lines have become ([\d,]+) customers?\*\*"
    ((lines, customers),) = re.findall(pattern, text)
    assert int(lines.replace(",", "")) == metrics["lines"]
    assert int(customers.replace(",", "")) == metrics["customers"]
    evident = numbers(r"rule chooses K = (\d+)\.", text)
    assert {record["decisions"]["n_clusters"]} == ({values["n_clusters"] or min(evident)})
    segments = pd.read_csv(out / "clustering_on_spark" / "segments.csv")
    assert len(segments) == record["decisions"]["n_clusters"]
    inertia = metrics["inertia"]
    assert np.isclose(inertia["Spark, cells"], inertia["one machine, cells"], atol=1e-6)


def drift_agrees(out, values, record):
    """Check a page on drift."""
    text, decisions, model = drift_tests.assert_page_agrees_with_exports(
        out, values["false_alarms"]
    )
    assert numbers(r"\*\*(\d+) checks\*\* follow", text) == {len(decisions)}
    chosen = numbers(r"\*\*(\d+) segments\*\*: ", text)
    assert chosen == {len(model.names_)}
    if values["model"] == "new" and values["n_segments"]:
        assert chosen == {values["n_segments"]}
    counted = re.findall(r"Something counts in (\d+) of (\d+) month", text)
    alarms = int((decisions != "keep").sum())
    assert counted == ([(str(alarms), str(len(decisions)))] if alarms else [])
    customers = pd.read_csv(out / "stability_and_drift" / "reference_customers.csv")
    assert customers["segment"].isin(model.names_).all()
    assert (customers["recency"] < values["window_days"] + 1).all()
    assert ("asks for none" in text) == (values["flows"] == "none")


AGREES = {
    "customer_segmentation": segmentation_agrees,
    "network_anomalies": anomalies_agree,
    "image_compression": compression_agrees,
    "clustering_at_scale": scale_agrees,
    "clustering_on_spark": spark_agrees,
    "stability_and_drift": drift_agrees,
}
