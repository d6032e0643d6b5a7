"""Every chapter: its exercises can be done, their checks tell right from wrong, nothing leaks."""

import json
import os
import re
import subprocess
import symtable
import sys

import nbformat
import pytest
from chapter_runs import ROOT
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook
from prose import directives

from helpers.course.audience import exercise_notebook, left_out, solution_labels
from helpers.course.execute import KERNEL_ENVIRONMENT
from helpers.course.needs import why_not
from helpers.course.parameters import chapters, read_notebook, read_parameters, tags

CHAPTERS = chapters(ROOT)
KINDS = ("exercise", "stub", "solution", "check")
LEVELS = ("recall", "apply", "analyse", "open-ended")

# Plausible mistakes, each after the solution of its exercise.
WRONG = {
    "customer_segmentation": {
        1: ["negative = negative / 100", "negative = 100 - negative"],
        2: [
            "on_both = on_both + 1",
            "by_orders = list(rfm['monetary'].nlargest(10).index)",
            "by_lines = list(lines_each.nlargest(11).index)",
        ],
        3: [
            "revenue_less = revenue_less / 100",
            "renamed_percent = renamed_percent + 1",
            "segments_once = segments_once[::-1]",
        ],
        4: ["divided = list(segmenter.names_)", "more_segments = np.asarray(segments)"],
        5: [
            "with_tenure = with_tenure.assign(tenure=with_tenure['tenure'] + 1)",
            "silhouette_4 = 100 * silhouette_4",
        ],
    },
    "network_anomalies": {
        1: ["noise_only, anomalous_only = anomalous_only, noise_only", "anomalous_only += 1"],
        2: [
            "clusters_at = [n + 1 for n in clusters_at]",
            "anomalous_at = [len(X) - n for n in anomalous_at]",
            "anomalous_at = anomalous_at[:3]",
        ],
        3: ["filled = features.loc[found.index]", "still = len(found)"],
        4: ["hours_within = hours_within * 60", "hours_all = hours_all * n_days * 2"],
        5: ["with_feature = features", "now_anomalous = now_anomalous[1:]"],
    },
    "image_compression": {
        1: ["bits = [1, 2, 4, 5, 8]", "bits = [1, 2, 8, 8, 8]", "file_16 = file_17"],
        2: ["best_color = [0, 0, 0]", "best_error = best_error / 3"],
        3: ["own_error, foreign_error = foreign_error, own_error", "own_error = own_error / 3"],
        4: ["patch_table = patch_table.T", "patch_table = -patch_table"],
    },
    "clustering_at_scale": {
        1: [
            "points_gb = points_gb / 8",
            "pairs_gb = 2 * pairs_gb",
            "fit_in = ['k-means', 'Ward']",
        ],
        2: ["wrong = wrong / 100 + 0.1", "nearly = nearly.assign(nearly=3 * nearly['nearly'])"],
        3: ["others = judges", "rejudged = [value / 3 for value in rejudged]"],
        4: ["n_raw_cells = len(cells)", "fullest = fullest + 20"],
        5: ["changed = ~changed", "changed = changed[1:]"],
    },
    "clustering_on_spark": {
        1: ["travels = [n_rfm, n_rfm, 0, n_groups, 0]", "travels = [1, n_rfm, n_groups, 0, 0]"],
        2: [
            "weighted_inertia = weighted_inertia * 1.1",
            "weighted_centers = np.log1p(weighted_centers)",
        ],
        3: ["fullest_month = fullest_month / 8", "fullest_customer = 0.5"],
        4: ["estimates = [value / 300 for value in estimates]", "my_way = 'by hand'"],
    },
    "stability_and_drift": {
        1: ["psi_by_hand = 0.1", "threshold_2000 = threshold_200"],
        2: ["shifted = fits[0]", "moved_then = moved_then / 100 + 0.5", "shuffled = fits[0] * 0"],
        3: ["decisions = decisions[:4]", "first_rise = first_rise + 1"],
        4: [
            "small_chances = [value / 100 for value in small_chances]",
            "small_decisions = ['none'] * 4",
        ],
        5: ["step_decisions = step_decisions[1:]", "step_decisions = list(tables)"],
    },
}

JARGON = re.compile(
    r"\b(NoneType|ndarray|ellipsis|object|dtype|attribute|iterable|subscriptable|index|Error)\b"
)

# Cells of a chapter once, then for each exercise its check after the stub, and after mistakes.
_JUDGED = """
import contextlib, io, json, sys

from IPython.core.interactiveshell import InteractiveShell

shell = InteractiveShell.instance()
shell.enable_gui = lambda gui=None: None


def run(source):
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        done = shell.run_cell(source)
    error = done.error_before_exec or done.error_in_exec
    return None if error is None else [type(error).__name__, str(error)]


given = json.load(sys.stdin)
told = {"chapter": [run(source) for source in given["chapter"]], "exercises": []}
for exercise in given["exercises"]:
    said = {"stub": [run(exercise["stub"]), run(exercise["check"])], "wrong": {}}
    said["solution"] = [run(source) for source in exercise["solution"]] + [run(exercise["check"])]
    names = exercise["names"]
    kept = {name: shell.user_ns.get(name) for name in names}
    for mistake in exercise["wrong"]:
        said["wrong"][mistake] = [run(mistake), run(exercise["check"])]
        shell.user_ns.update(kept)
    told["exercises"].append(said)
json.dump(told, sys.stdout)
"""


def exercises_of(notebook):
    """Cells of each exercise by their kind, in order; and all other cells."""
    found, others = [], []
    for cell in notebook.cells:
        kind = next((kind for kind in KINDS[1:] if kind in tags(cell)), None)
        if cell.cell_type == "markdown" and ":class: exercise" in cell.source:
            found.append([("exercise", cell)])
        elif kind and found:
            found[-1].append((kind, cell))
        elif kind is None:
            others.append(cell)
    return found, others


def sources(exercise, kind):
    return [cell.source for k, cell in exercise if k == kind and cell.cell_type == "code"]


def assigned(source):
    """Names that a cell of code gives a value to, those inside functions excepted."""
    lines = (line for line in source.splitlines() if not line.startswith("%"))
    table = symtable.symtable("\n".join(lines), "cell", "exec")
    return {symbol.get_name() for symbol in table.get_symbols() if symbol.is_assigned()}


@pytest.fixture(params=CHAPTERS)
def chapter(request):
    return request.param


@pytest.fixture
def notebook(chapter):
    return read_notebook(ROOT / "notebooks" / f"{chapter}.ipynb")


def test_every_exercise_has_a_stub_a_solution_and_a_check_in_this_order(notebook):
    exercises, _ = exercises_of(notebook)
    assert len(exercises) >= 4
    for exercise in exercises:
        kinds = [kind for kind, _ in exercise]
        assert list(dict.fromkeys(kinds)) == list(KINDS)
        assert sorted(kinds, key=KINDS.index) == kinds
        assert kinds.count("stub") == kinds.count("check") == 1
        assert sources(exercise, "solution")


def test_exercises_go_from_recall_to_open_ended(notebook):
    "What each asks for stands in its title; the solution has the number of its exercise."
    asked = []
    for number, exercise in enumerate(exercises_of(notebook)[0], start=1):
        (text,) = (cell.source for kind, cell in exercise if kind == "exercise")
        (directive,) = directives(text)
        title = re.fullmatch(r"Exercise (\d+): \S.* \(([\w-]+)\)", directive.argument)
        assert int(title[1]) == number
        asked.append(title[2])
        solutions = [cell.source for kind, cell in exercise if kind == "solution"]
        (solution,) = (found for text in solutions for found in directives(text))
        assert solution.argument == f"Solution to exercise {number}"
    assert sorted(asked, key=LEVELS.index) == asked
    assert set(asked) == set(LEVELS)
    assert asked.count("open-ended") == 1


def test_the_words_for_what_an_exercise_asks_are_explained_above_it(notebook):
    (text,) = (cell.source for cell in notebook.cells if cell.source.startswith("## Exercises"))
    assert re.findall(r"\*([\w-]+)\*", text) == list(LEVELS)


def test_a_stub_says_of_one_to_three_answers_what_is_wanted(notebook):
    exercises, others = exercises_of(notebook)
    chapters_own = set().union(*(assigned(c.source) for c in others if c.cell_type == "code"))
    for number, exercise in enumerate(exercises, start=1):
        lines = sources(exercise, "stub")[0].splitlines()
        assert 1 <= len(lines) <= 3
        for line in lines:
            name = re.fullmatch(r"(\w+): [\w.]+ = \.\.\.  # \S.*", line)[1]
            assert name not in chapters_own
            assert any(name in assigned(source) for source in sources(exercise, "solution"))
            assert name in sources(exercise, "check")[0]
        assert f"right({number})" in sources(exercise, "check")[0]


def test_checks_change_nothing_that_the_chapter_made(notebook):
    exercises, others = exercises_of(notebook)
    chapters_own = set().union(*(assigned(c.source) for c in others if c.cell_type == "code"))
    answers = {name for e in exercises for name in assigned(sources(e, "stub")[0])}
    for exercise in exercises:
        (check,) = sources(exercise, "check")
        assert not assigned(check) & (answers | chapters_own)


def test_every_solution_passes_its_check_and_every_stub_and_mistake_fails_it(
    chapter, notebook, tmp_path
):
    if why_not(notebook, chapter):
        pytest.skip(why_not(notebook, chapter))
    exercises, others = exercises_of(notebook)
    first = next(cell for cell in others if "parameters" in tags(cell))
    default = next(p.default for p in read_parameters(notebook) if p.name == "output_dir")
    first.source = first.source.replace(default, str(tmp_path / "exports"))
    given = {
        "chapter": [cell.source for cell in others if cell.cell_type == "code"],
        "exercises": [
            {
                "stub": sources(exercise, "stub")[0],
                "solution": sources(exercise, "solution"),
                "check": sources(exercise, "check")[0],
                "names": sorted(assigned(sources(exercise, "stub")[0])),
                "wrong": WRONG[chapter][number],
            }
            for number, exercise in enumerate(exercises, start=1)
        ],
    }
    done = subprocess.run(
        [sys.executable, "-c", _JUDGED],
        cwd=ROOT / "notebooks",
        env={**os.environ, **KERNEL_ENVIRONMENT, "IPYTHONDIR": str(tmp_path / "ipython")},
        input=json.dumps(given),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert [error for error in told["chapter"] if error] == []
    for number, said in enumerate(told["exercises"], start=1):
        assert [error for error in said["solution"] if error] == []
        ran, (error, message) = said["stub"]
        assert (ran, error) == (None, "AssertionError")
        assert f"Exercise {number}: " in message
        assert "no answer yet" in message
        for mistake, (ran, judged) in said["wrong"].items():
            assert ran is None, mistake
            assert judged and judged[0] == "AssertionError", f"{mistake}: {judged}"
            assert judged[1].startswith(f"Exercise {number}: "), mistake
            assert not JARGON.search(judged[1]), judged[1]


# What reaches a student


def leaks(text, notebook):
    """Lines of solutions, and labels of solutions, that stand in a text and nowhere else."""
    others = (cell for cell in notebook.cells if not {"solution", "check"} & {*tags(cell)})
    elsewhere = re.sub(r"\s+", " ", "\n".join(cell.source for cell in others))
    lines = {
        re.sub(r"\s+", " ", line).strip()
        for cell in notebook.cells
        if "solution" in tags(cell)
        for line in [*cell.source.splitlines(), *outputs(cell)]
    }
    told = {line for line in lines if len(line) > 20 and line not in elsewhere}
    plain = re.sub(r"\s+", " ", text)
    found = {line for line in told if line in plain and not line.startswith(":")}
    return found | {label for label in solution_labels(notebook) if label in plain}


def outputs(cell):
    """Lines of text that a cell shows."""
    data = [output.get("data", {}) for output in cell.get("outputs", [])]
    return "\n".join(part.get("text/plain", "") for part in data).splitlines()


def test_nothing_of_a_solution_reaches_the_notebook_or_the_page_of_a_student(chapter, notebook):
    page = read_notebook(ROOT / "notebooks" / f"{chapter}.ipynb")
    page.cells = [cell for cell in page.cells if not left_out("student") & {*tags(cell)}]
    exercises = exercise_notebook(ROOT, chapter, page)
    for made in (page, exercises):
        text = "\n".join(cell.source for cell in made.cells)
        assert leaks(text, notebook) == set()
        assert not any("solution" in tags(cell) for cell in made.cells)
    assert not any(cell.outputs for cell in exercises.cells if cell.cell_type == "code")
    nbformat.validate(page)
    nbformat.validate(exercises)


def test_a_leak_would_be_found():
    solution = new_code_cell("answer = sum(weights) / len(weights)")
    solution.metadata["tags"] = ["solution"]
    text = new_markdown_cell(":::{admonition} Solution\n:name: solution-1\nThe mean.\n:::")
    text.metadata["tags"] = ["solution"]
    notebook = new_notebook(cells=[solution, text])
    assert leaks("x\nanswer = sum(weights)  / len(weights)", notebook) == {
        "answer = sum(weights) / len(weights)"
    }
    assert leaks("see [it](#solution-1)", notebook) == {"solution-1"}
    assert leaks("nothing", notebook) == set()
