"""The data of figures as files of a site, each with its link."""

import io
import re
from html.parser import HTMLParser

import nbformat
import numpy as np
import pandas as pd
import pytest
from course_project import make_project
from matplotlib.figure import Figure
from nbformat.v4 import new_code_cell as code

from helpers.course.edition import Edition
from helpers.course.execute import run_chapter, workspace
from helpers.course.figure_files import FigureFile, put_figure_files, take_figure_files
from helpers.course.kernel import CSV
from helpers.course.site import build_site
from helpers.export import csv_text
from helpers.figure_data import figure_data
from helpers.frames import Frame, Slider

PICTURES = """\
import numpy as np
from matplotlib.figure import Figure

from helpers.frames import Frame, Slider


def picture():
    figure = Figure()
    figure.subplots().imshow(np.zeros((2, 2, 3), dtype=np.uint8))
    return figure


def line(k):
    figure = Figure(figsize=(2, 2))
    figure.subplots().plot([k, 1.5], [0.1, 1 / 3], label="=1+1")
    return figure
"""
SLIDER = """\
frames = (Frame(f"K = {k}", line(k), "A line.") for k in (2, 3))
Slider("parts", frames, chosen="K = 2", alt="a line", label="K")"""


class Links(HTMLParser):
    """Links of a page to data, each with what is read out, in the order of the page's images."""

    def __init__(self, text):
        super().__init__()
        self.found = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        if tag == "img":
            self.found.append("image")
        if attrs.get("class") == "figure-data":
            self.found.append("line")
        if tag == "a" and attrs.get("aria-label", "").startswith("Data") and "download" in attrs:
            self.found[-1] = (attrs["href"], attrs["aria-label"])


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    alts = ["A black picture. It has no data.", "A slider: two lines"]
    cells = [
        code(PICTURES + "picture()", metadata={"mystnb": {"image": {"alt": alts[0]}}}),
        code(SLIDER, metadata={"mystnb": {"image": {"alt": alts[1]}}}),
    ]
    project = make_project(tmp_path_factory.mktemp("figures") / "project", *cells)
    return build_site(project, Edition(name="default", base=project))


def data(site, name):
    return pd.read_csv(site / "_downloads" / "figures" / name)


def test_below_each_figure_is_a_link_that_says_which(site):
    found = Links((site / "notebooks" / "mini.html").read_text()).found
    places = "../_downloads/figures/mini-figure-{}.csv"
    label = "Data of this figure (CSV)"
    assert found == [
        "image",
        (places.format(1), f"{label}: A line that rises by one a step"),
        "image",
        "line",
        # The frames of a slider, then its data.
        "image",
        "image",
        (places.format(3), f"{label}: A slider"),
    ]


def test_the_files_hold_what_is_drawn(site):
    line = data(site, "mini-figure-1.csv")
    assert line[["x", "y"]].to_numpy().tolist() == [[k, k] for k in range(4)]
    slider = data(site, "mini-figure-3.csv")
    assert list(slider["frame"]) == ["K = 2", "K = 2", "K = 3", "K = 3"]
    assert list(slider["x"]) == [2, 1.5, 3, 1.5]
    assert list(slider["y"]) == [0.1, 0.3333333333] * 2


def test_pictures_say_that_they_are_their_own_data(site):
    page = (site / "notebooks" / "mini.html").read_text()
    assert page.count("Data of this figure: the pictures themselves.") == 1
    assert not (site / "_downloads" / "figures" / "mini-figure-2.csv").exists()


def test_no_marker_is_left(site):
    page = (site / "notebooks" / "mini.html").read_text()
    assert not re.search(r"<!-- mini-figure|<div[^>]*>\s*<p class=\"figure-data", page)


def test_no_spreadsheet_runs_a_name_of_a_series(site):
    assert set(data(site, "mini-figure-3.csv")["series"]) == {"'=1+1"}


def test_the_notebook_to_download_holds_no_data(site):
    (source,) = site.glob("_sources/notebooks/mini.ipynb")
    assert CSV not in source.read_text()
    assert "_downloads/figures" not in source.read_text()


def test_only_a_build_asks_for_data(tmp_path):
    project = make_project(tmp_path / "project")
    for with_data in (False, True):
        with workspace(project, tmp_path) as folder:
            done = run_chapter(
                project, "mini", {}, base=project, folder=folder, with_data=with_data
            )
        assert (CSV in nbformat.writes(done.notebook)) == with_data


def test_a_slider_has_the_data_of_its_figures():
    def figure(k):
        drawn = Figure(figsize=(1, 1))
        drawn.subplots().plot([k], [2 * k])
        return drawn

    frames = [Frame(f"K = {k}", figure(k), "") for k in (2, 3)]
    slider = Slider("parts", frames, chosen="K = 2", alt="a line", label="K")
    assert slider.data[["frame", "x", "y"]].to_numpy().tolist() == [
        ["K = 2", 2, 4],
        ["K = 3", 3, 6],
    ]


def test_a_slider_of_pictures_has_no_rows():
    frames = [Frame("K = 2", np.zeros((2, 2, 3), dtype=np.uint8), "")]
    slider = Slider("parts", frames, chosen="K = 2", alt="a picture", label="K")
    assert slider.data.empty


def test_what_was_glued_leaves_no_data_behind():
    kinds = {"application/papermill.record/text/csv": "a", "text/plain": "b"}
    output = nbformat.v4.new_output("display_data", kinds)
    notebook = nbformat.v4.new_notebook(cells=[code("1", outputs=[output])])
    assert take_figure_files(notebook, "mini") == []
    assert notebook.cells[0].outputs[0].data == {"text/plain": "b"}


def test_a_name_cannot_leave_its_attribute(tmp_path):
    file = FigureFile("a.csv", 'A "figure" <b>&', "x\n1\n")
    page = tmp_path / "notebooks" / "a.html"
    page.parent.mkdir()
    page.write_text(f'<div class="output text_html">{file.marker}\n</div>')
    put_figure_files(tmp_path, [file])
    assert Links(page.read_text()).found[0][1] == 'Data of this figure (CSV): A "figure" <b>&'


@pytest.mark.parametrize("number", [-1.5e-7, 1e300, -3, 0.1 + 0.2])
def test_numbers_have_ten_digits_and_no_apostrophe(number):
    figure = Figure()
    above, below = figure.subplots(2)
    above.bar(["a"], 1)
    below.plot([number], [number])
    found = pd.read_csv(io.StringIO(csv_text(figure_data(figure), 10)))
    assert found["x"][0] == "a"
    assert float(found["x"][1]) == pytest.approx(number, rel=1e-9)
    assert found["y"][1] == pytest.approx(number, rel=1e-9)
