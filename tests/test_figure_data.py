"""The data of figures: what was drawn comes back, and nothing else."""

import datetime

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.figure import Figure
from numpy.testing import assert_allclose, assert_array_equal

from helpers.figure_data import figure_data, shows_pictures
from helpers.figures import (
    plot_check,
    plot_distributions,
    plot_heatmap,
    plot_k_evidence,
    plot_scatter_3d,
    plot_with_control,
    use_course_style,
)
from helpers.pictures import plot_color_space

NAMES = ["Champions", "At Risk", "Lost Customers"]

numbers = st.floats(-1e12, 1e12, allow_subnormal=False)
columns = st.integers(1, 20).flatmap(
    lambda n: st.tuples(*(st.lists(numbers, min_size=n, max_size=n) for _ in "xy"))
)
names = st.lists(st.text(min_size=1, max_size=9), min_size=1, max_size=9, unique=True)


@pytest.fixture(autouse=True)
def style():
    with mpl.rc_context():
        use_course_style()
        yield


def axes(**options):
    figure = Figure()
    ax = figure.subplots()
    ax.set(**options)
    return figure, ax


def drawn(figure, kind):
    table = figure_data(figure)
    return table[table["drawn as"] == kind].dropna(axis=1, how="all")


# Lines


@settings(deadline=None, max_examples=30)
@given(columns)
def test_the_points_of_a_line_come_back(xy):
    figure, ax = axes(xlabel="bits", ylabel="PSNR (dB)", title="A picture")
    ax.plot(*xy, label="palette")
    table = figure_data(figure)
    assert_array_equal(table[["x", "y"]].T, xy)
    assert (
        table[["panel", "title", "series", "drawn as"]] == [1, "A picture", "palette", "line"]
    ).all(axis=None)
    assert (table[["x label", "y label"]] == ["bits", "PSNR (dB)"]).all(axis=None)


def test_the_scale_of_an_axis_does_not_change_the_numbers():
    figure, ax = axes(xscale="log", yscale="log")
    ax.plot([1, 1000], [0.001, 7])
    assert_array_equal(figure_data(figure)[["x", "y"]], [[1, 0.001], [1000, 7]])


def test_what_is_missing_or_hidden_is_not_drawn():
    figure, ax = axes()
    ax.plot([1, 2, 3], [4, np.nan, 6])
    ax.plot([1, 2], [7, 7], visible=False)
    ax.scatter(np.ma.array([1, 2], mask=[True, False]), [8, 9])
    assert_array_equal(figure_data(figure)[["x", "y"]], [[1, 4], [3, 6], [2, 9]])


@pytest.mark.parametrize(
    ("options", "kind"),
    [
        ({}, "line"),
        ({"marker": "o"}, "line"),
        ({"marker": "o", "linestyle": ""}, "points"),
        ({"drawstyle": "steps-post"}, "steps"),
    ],
)
def test_lines_say_how_they_are_drawn(options, kind):
    figure, ax = axes()
    ax.plot([1, 2], [3, 4], **options)
    assert set(figure_data(figure)["drawn as"]) == {kind}


def test_lines_and_bands_across_the_axes_have_one_place_only():
    figure, ax = axes()
    ax.axvline(3, label="K = 3")
    ax.axhline(0.5)
    ax.axvspan(1, 2)
    ax.axhspan(5, 6, label="chance")
    table = figure_data(figure)
    assert list(table["drawn as"]) == ["line across"] * 2 + ["band"] * 2
    assert list(table["series"]) == ["K = 3", "", "", "chance"]
    found = table[["x", "y", "x from", "x to", "y from", "y to"]].to_numpy()
    nothing = np.nan
    expected = np.full((4, 6), nothing)
    expected[0, 0], expected[1, 1], expected[2, 2:4], expected[3, 4:] = 3, 0.5, (1, 2), (5, 6)
    assert_array_equal(found, expected)


def test_segments_go_from_one_value_to_another():
    figure, ax = axes()
    ax.hlines(["a", "b"], 0, [0.5, 0.7])
    found = drawn(figure, "lines")
    assert list(found["y"]) == ["a", "b"]
    assert_array_equal(found[["x from", "x to"]], [[0, 0.5], [0, 0.7]])


def test_segments_and_error_bars_without_an_end_disturb_no_other():
    figure, ax = axes()
    ax.hlines(["a", "b"], 0, [np.nan, 0.7])
    ax.errorbar([1, 2], ["a", "b"], xerr=[np.nan, 0.5], fmt="none")
    lines, bars = drawn(figure, "lines"), drawn(figure, "error bars")
    assert_array_equal(lines[["x from", "x to"]], [[0, 0.7]])
    assert list(lines["y"]) == ["b"]
    assert_array_equal(bars[["x from", "x to"]], [[np.nan, np.nan], [1.5, 2.5]])
    assert list(bars["y"]) == ["a", "b"]


def test_series_without_rows_leave_no_trace():
    figure, ax = axes()
    ax.scatter([], [], label="noise")
    ax.scatter([1], [2], label="normal")
    assert list(figure_data(figure)["series"]) == ["normal"]


# Points


@settings(deadline=None, max_examples=30)
@given(columns)
def test_the_points_of_a_scatter_plot_come_back(xy):
    figure, ax = axes()
    ax.scatter(*xy)
    assert_array_equal(figure_data(figure)[["x", "y"]].T, xy)
    assert not {"area", "colour", "z", "value"} & set(figure_data(figure))


def test_sizes_and_colours_are_told_where_they_differ():
    figure, ax = axes()
    ax.scatter([1, 2], [3, 4], s=[9, 25], c=["red", "blue"])
    found = figure_data(figure)
    assert_array_equal(found["area"], [9, 25])
    assert list(found["colour"]) == ["#ff0000", "#0000ff"]


def test_points_coloured_by_a_value_have_it():
    figure, ax = axes()
    figure.colorbar(ax.scatter([1, 2], [3, 4], c=[0.1, 0.9]), label="score")
    found = figure_data(figure)
    assert_array_equal(found["value"], [0.1, 0.9])
    assert set(found["value label"]) == {"score"}
    assert len(found) == 2, "the scale of colours is no data"


def test_three_dimensions_come_back_in_the_unit_of_their_ticks():
    points = np.array([[3.0, 1.0, 250.5], [400.0, 7.0, 12.0], [30.0, 2.0, 99.0]])
    places = {np.log1p(10**i): f"{10**i:,}" for i in range(4)}
    clusters = pd.Categorical(NAMES, categories=NAMES)
    labels = ["recency (days)", "frequency (orders)", "monetary"]
    figure = plot_scatter_3d(np.log1p(points), clusters, [places] * 3, labels)
    figure.draw_without_rendering()
    found = figure_data(figure)
    assert_allclose(found[["x", "y", "z"]], points)
    assert list(found["series"]) == NAMES
    assert set(found["z label"]) == {"monetary"}


@pytest.mark.parametrize("drawn", [False, True])
def test_what_lies_behind_keeps_its_size_and_its_colour(drawn):
    colors = np.array([[10, 20, 30], [250, 240, 230], [128, 64, 32]], dtype=np.uint8)
    figure = plot_color_space(colors, np.array([1, 4, 100]), colors[:1])
    if drawn:
        figure.draw_without_rendering()
    found = figure_data(figure).head(3)
    assert list(found["colour"]) == ["#0a141e", "#faf0e6", "#804020"]
    assert_allclose(found["area"], [16, 24, 88])
    assert_array_equal(found[["x", "y", "z"]], colors)


# Bars


@settings(deadline=None, max_examples=30)
@given(names, st.data())
def test_bars_come_back_with_the_names_of_their_ticks(names, data):
    values = data.draw(st.lists(numbers, min_size=len(names), max_size=len(names)))
    for draw, name, value in [("bar", "x", "y"), ("barh", "y", "x")]:
        figure, ax = axes()
        getattr(ax, draw)(range(len(names)), values, label="share")
        getattr(ax, f"set_{name}ticks")(range(len(names)), names)
        found = figure_data(figure)
        assert list(found[name]) == [text.replace("\n", " ") for text in names]
        assert_allclose(found[value], values, rtol=1e-12)
        assert set(found["series"]) == {"share"}


def test_bars_side_by_side_belong_to_one_name():
    strength = pd.Series([0.5, 2.0], ["p", "q"])
    shares = pd.DataFrame({"then": [0.2, 0.8], "now": [0.5, 0.4]}, index=["A", "B"])
    found = figure_data(plot_check("2024-05", strength, shares, "share", 2, 0.8))
    found = found[found["panel"] == 2]
    assert list(found["y"]) == ["A", "B", "A", "B"]
    assert list(found["series"]) == ["then", "then", "now", "now"]
    assert list(found["x"]) == [0.2, 0.8, 0.5, 0.4]
    assert set(found["title"]) == {"2024-05"}


def test_bars_that_float_have_both_ends():
    figure, ax = axes()
    ax.barh(0, [0.25, 0.75], left=[0, 0.25], color=["black", "white"])
    found = figure_data(figure)
    assert_array_equal(found[["x from", "x to"]], [[0, 0.25], [0.25, 1]])
    assert list(found["colour"]) == ["#000000", "#ffffff"]


def test_histograms_are_those_of_numpy():
    values = pd.DataFrame({"recency": np.random.default_rng(0).normal(size=200)})
    found = figure_data(
        plot_distributions({"as they are": values, "twice": 2 * values}, "customers")
    )
    for panel, factor in [(1, 1), (2, 2)]:
        bars = found[found["panel"] == panel]
        counts, edges = np.histogram(factor * values, bins=40)
        assert_array_equal(bars["y"], counts)
        assert_allclose(bars["x from"], edges[:-1])
        assert_allclose(bars["x to"], edges[1:])
    assert list(found["title"].unique()) == ["as they are", "twice"]


def test_stairs_go_from_edge_to_edge():
    figure, ax = axes()
    ax.stairs([3, 5], [0, 1, 4])
    found = drawn(figure, "steps")
    assert_array_equal(found[["x from", "x to", "y"]], [[0, 1, 3], [1, 4, 5]])


# Errors, bands, heat maps


def test_error_bars_have_their_ends():
    evidence = pd.DataFrame(
        {
            "silhouette": [0.3, 0.5],
            "silhouette_se": [0.01, 0.02],
            "davies_bouldin": [0.9, 0.6],
            "inertia": [2000.0, 900.0],
        },
        index=[2, 3],
    )
    figure = plot_k_evidence(evidence, 3)
    assert_allclose(
        drawn(figure, "error bars")[["x", "y from", "y to"]], [[2, 0.28, 0.32], [3, 0.46, 0.54]]
    )
    # Their caps are lines, too.
    assert len(drawn(figure, "line")) == 6
    assert set(figure_data(figure)["x label"]) == {"Number of clusters K"}


def test_error_bars_go_with_their_points():
    figure, ax = axes()
    ax.errorbar([1, 2], [3, 4], xerr=0.5, yerr=[[1, 1], [2, 2]], capsize=3, label="mean")
    found = figure_data(figure)
    assert set(found["series"]) == {"mean"}
    assert_array_equal(found[["x", "y"]], [[1, 3], [2, 4]])
    assert_array_equal(found[["x from", "x to"]], [[0.5, 1.5], [1.5, 2.5]])
    assert_array_equal(found[["y from", "y to"]], [[2, 5], [3, 6]])


def test_a_filled_band_has_both_curves():
    figure, ax = axes()
    ax.fill_between([1, 2, 4], [0, 1, 0], [5, 6, 7], label="range")
    found = drawn(figure, "band")
    assert_array_equal(found[["x", "y from", "y to"]], [[1, 0, 5], [2, 1, 6], [4, 0, 7]])


def test_a_band_beside_an_axis_has_both_curves():
    figure, ax = axes()
    ax.fill_betweenx([1, 2], [0, 1], [5, 6])
    assert_array_equal(drawn(figure, "band")[["y", "x from", "x to"]], [[1, 0, 5], [2, 1, 6]])


def test_a_heat_map_has_the_value_and_the_text_of_every_cell():
    table = pd.DataFrame([[0.1, 0.2], [0.3, 0.4], [0.5, 0.6]], index=NAMES, columns=["R", "F"])
    texts = (table * 100).map("{:.0f} days".format)
    found = figure_data(plot_heatmap(table, texts))
    assert_array_equal(
        found.pivot_table(index="y", columns="x", values="value").loc[NAMES, ["R", "F"]], table
    )
    assert list(found["text"]) == [*texts.to_numpy().ravel()]
    assert set(found["value label"]) == {"position in the base"}


@pytest.mark.parametrize("origin", ["upper", "lower"])
def test_a_matrix_shown_as_an_image_is_a_heat_map(origin):
    figure, ax = axes()
    ax.imshow([[1, 2, 3], [4, 5, 6]], origin=origin)
    found = figure_data(figure)
    assert_array_equal(
        found.pivot_table(index="y", columns="x", values="value"), [[1, 2, 3], [4, 5, 6]]
    )
    assert not shows_pictures(figure)


def test_pictures_are_their_own_data():
    figure, ax = axes()
    ax.imshow(np.zeros((2, 2, 3), dtype=np.uint8))
    ax.set_title("a picture")
    assert figure_data(figure).empty
    assert shows_pictures(figure)


# Axes


def test_categories_come_back_as_names():
    figure, ax = axes()
    ax.plot(["2024-01", "2024-02", "2024-03"], [0.1, np.nan, 0.3])
    assert list(figure_data(figure)["x"]) == ["2024-01", "2024-03"]


def test_names_on_numbers_and_between_them_are_those_of_the_nearest_tick():
    figure, ax = axes()
    ax.plot([-0.1, 0.1, 0.9, 1.1], [1, 2, 3, 4], "o")
    ax.set_xticks([0, 1], ["500", "2,000"])
    assert list(figure_data(figure)["x"]) == ["500", "500", "2,000", "2,000"]


def test_ticks_that_are_no_names_leave_the_numbers():
    figure, ax = axes()
    ax.plot([0, 0.4, 1], [1, 2, 3])
    ax.set_xticks([0, 1])
    ax.set_yticks([1, 1.7, 3], ["low", "middle", "high"])
    assert_array_equal(figure_data(figure)[["x", "y"]], [[0, 1], [0.4, 2], [1, 3]])


@pytest.mark.parametrize(
    ("times", "expected"),
    [
        ([datetime.date(2024, 1, 31), datetime.date(2024, 3, 1)], ["2024-01-31", "2024-03-01"]),
        (
            [datetime.datetime(2024, 1, 31, 12, 30), datetime.datetime(2024, 3, 1)],
            ["2024-01-31T12:30:00", "2024-03-01T00:00:00"],
        ),
    ],
)
def test_dates_come_back_as_dates(times, expected):
    figure, ax = axes()
    ax.plot(times, [1, 2])
    assert list(figure_data(figure)["x"]) == expected


def test_panels_of_names_and_of_numbers_go_into_one_table():
    figure = Figure()
    above, below = figure.subplots(2)
    above.bar(["a", "b"], [1, 2])
    below.plot([0.1, -1e-7], [3, 4])
    assert list(figure_data(figure)["x"]) == ["a", "b", "0.1", "-0.0000001"]


def test_texts_legends_and_grids_are_no_data():
    figure, ax = axes()
    ax.annotate("here", (1, 1))
    ax.grid(True)
    ax.plot([], [], label="nothing")
    figure.legend()
    assert figure_data(figure).empty
    assert list(figure_data(figure)) == [
        *["panel", "title", "series", "drawn as", "x label", "x", "y label", "y"]
    ]


def test_a_control_is_a_band_and_the_values_have_names():
    values = pd.Series([0.9, 0.5], NAMES[:2])
    figure = plot_with_control(values, [0.1, 0.2], "Jaccard", {"stable": 0.6})
    assert_allclose(drawn(figure, "band")[["x from", "x to"]], [[0.1, 0.2]])
    points = drawn(figure, "points")
    assert dict(zip(points["y"], points["x"], strict=True)) == values.to_dict()


def test_reading_a_figure_leaves_it_as_it_was():
    evidence = pd.Series([0.5, 2.0], ["p", "q"])
    shares = pd.DataFrame({"then": [0.2, 0.8], "now": [0.5, 0.4]}, index=["A", "B"])

    def pixels(read):
        figure = plot_check("2024-05", evidence, shares, "share", 2, 0.8)
        if read:
            figure_data(figure)
        canvas = mpl.backends.backend_agg.FigureCanvasAgg(figure)
        canvas.draw()
        return np.asarray(canvas.buffer_rgba())

    assert_array_equal(pixels(True), pixels(False))
