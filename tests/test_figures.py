import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgb, to_rgba
from matplotlib.figure import Figure
from numpy.testing import assert_allclose, assert_array_equal
from pandas.testing import assert_frame_equal

from helpers.figures import (
    COLORS,
    MARKERS,
    plot_check,
    plot_distributions,
    plot_flows_at_eps,
    plot_growth,
    plot_heatmap,
    plot_k_evidence,
    plot_projection,
    plot_scatter_3d,
    plot_segments_at_k,
    plot_shares,
    plot_weighted_points,
    plot_with_control,
    use_course_style,
)

NAMES = ["Champions", "At Risk", "Lost Customers"]


@pytest.fixture(autouse=True)
def style():
    """The course's style, for one test; no figure may be left to pyplot."""
    with mpl.rc_context():
        use_course_style()
        yield
        assert plt.get_fignums() == []


@pytest.fixture
def clusters():
    return pd.Categorical(np.repeat(NAMES, [5, 3, 2]), categories=NAMES)


@pytest.fixture
def points():
    return np.random.default_rng(0).normal(size=(10, 3))


@pytest.fixture
def evidence():
    return pd.DataFrame(
        {
            "silhouette": [0.3, 0.5, 0.4],
            "silhouette_se": [0.01, 0.02, 0.03],
            "davies_bouldin": [0.9, 0.6, 0.8],
            "inertia": [2000.0, 900.0, 700.0],
        },
        index=pd.Index([2, 3, 4], name="n_clusters"),
    )


def drawn(figure):
    """Draw, so that texts and ticks are final; return the axes."""
    assert isinstance(figure, Figure)
    figure.draw_without_rendering()
    return figure.axes


def texts(labels):
    return [label.get_text() for label in labels]


def legend_names(figure):
    (legend,) = figure.legends
    return texts(legend.get_texts())


# plot_distributions


def test_distributions_have_a_row_for_a_feature_and_a_column_for_a_view():
    raw = pd.DataFrame({"recency": [1.0, 2.0, 90.0], "monetary": [5.0, 7.0, 900.0]})
    before = raw.copy()
    figure = plot_distributions({"as it is": raw, "logarithm": np.log1p(raw)}, "customers")
    axes = drawn(figure)
    assert [ax.get_title() for ax in axes] == ["as it is", "logarithm", "", ""]
    assert [ax.get_xlabel() for ax in axes] == ["recency", "recency", "monetary", "monetary"]
    assert [ax.get_ylabel() for ax in axes] == ["customers", "", "customers", ""]
    for ax in axes:
        assert sum(bar.get_height() for bar in ax.patches) == 3
    assert_frame_equal(raw, before)


def test_one_feature_in_one_view_is_enough():
    (ax,) = drawn(plot_distributions({"raw": pd.DataFrame({"recency": [1.0, 2.0]})}, "rows"))
    assert ax.get_xlabel() == "recency"


def test_sums_that_differ_by_rounding_only_are_drawn_as_one():
    sums = pd.DataFrame({"monetary": [100.0, np.nextafter(100.0, 0), np.nextafter(100.0, 200)]})
    (ax,) = drawn(plot_distributions({"raw": sums}, "customers"))
    assert [bar.get_height() for bar in ax.patches if bar.get_height()] == [3]


# plot_k_evidence


@pytest.mark.parametrize("chosen", [2, 4])
def test_a_line_marks_the_chosen_k_in_every_panel(evidence, chosen):
    before = evidence.copy()
    axes = drawn(plot_k_evidence(evidence, chosen))
    assert [ax.get_title().split(" ")[0] for ax in axes] == [
        "Silhouette",
        "Davies-Bouldin",
        "Inertia",
    ]
    for ax, column in zip(axes, ["silhouette", "davies_bouldin", "inertia"], strict=True):
        values, mark = ax.lines[:2]
        assert_array_equal(values.get_xdata(), [2, 3, 4])
        assert_array_equal(values.get_ydata(), evidence[column])
        assert set(mark.get_xdata()) == {chosen}
        assert mark.get_linestyle() == "--"
    assert texts(axes[0].texts) == [f"K = {chosen}"]
    assert axes[0].texts[0].xy[0] == chosen
    assert axes[2].get_xlabel() == "Number of clusters K"
    assert axes[2].get_ylim()[0] == 0
    assert_frame_equal(evidence, before)


def test_the_bars_of_the_silhouette_are_two_standard_errors_each_way(evidence):
    ax = drawn(plot_k_evidence(evidence, 3))[0]
    (bars,) = ax.collections
    ends = [segment[:, 1] for segment in bars.get_segments()]
    assert_allclose(ends, [[0.28, 0.32], [0.46, 0.54], [0.34, 0.46]])


def test_a_single_k_can_be_shown(evidence):
    assert len(drawn(plot_k_evidence(evidence.loc[[3]], 3))) == 3


def test_numbers_of_clusters_are_whole_on_the_axis(evidence):
    ticks = texts(drawn(plot_k_evidence(evidence, 3))[2].get_xticklabels())
    assert set(ticks) >= {"2", "3", "4"}
    assert not any("." in tick for tick in ticks)


# plot_with_control


def test_values_stand_beside_the_band_of_the_control():
    values = pd.Series([0.9, 0.6], index=["Champions", "At Risk"])
    figure = plot_with_control(values, [0.4, 0.5, 0.45], "stability", {"stable": 0.75})
    (ax,) = drawn(figure)
    (band,) = ax.patches
    assert (band.get_x(), band.get_x() + band.get_width()) == pytest.approx((0.4, 0.5))
    assert texts(ax.get_yticklabels()) == ["Champions", "At Risk"]
    assert ax.yaxis_inverted(), "the first name on top"
    assert texts(ax.texts) == ["0.90", "0.60"]
    assert_array_equal(ax.lines[0].get_xdata(), [0.9, 0.6])
    assert set(ax.lines[1].get_xdata()) == {0.75}
    assert ax.get_xlabel() == "stability"
    assert legend_names(figure) == ["without structure", "stable (0.75)"]


def test_a_control_of_one_value_can_still_be_seen():
    (ax,) = drawn(plot_with_control(pd.Series([0.6], index=[0]), [0.3], "silhouette"))
    assert ax.patches[0].get_width() > 0
    assert texts(ax.get_yticklabels()) == ["0"]


# plot_scatter_3d and plot_projection


def scatters(figure):
    """Name -> colour and marker of each cluster drawn, and its number of points."""
    styles = {}
    for collection in figure.axes[0].collections:
        (outline,) = collection.get_paths()
        # Three-dimensional points are sorted by depth, but keep their number.
        styles[collection.get_label()] = (
            to_rgb(collection.get_facecolor()[0]),
            outline.vertices.round(6).tobytes(),
            len(collection.get_offsets()),
        )
    return styles


def outline(marker):
    style = mpl.markers.MarkerStyle(marker)
    return style.get_path().transformed(style.get_transform()).vertices.round(6).tobytes()


TICKS = [{0.0: "1", 1.0: "10"}, {-1.0: "low"}, {}]
AXES = ["Recency (days)", "Orders", "Spend ($)"]


def test_a_projection_shows_every_point_in_the_style_of_its_cluster(points, clusters):
    before = points.copy()
    figure = plot_projection(points[:, :2], clusters, [0.614, 0.25])
    (ax,) = drawn(figure)
    assert ax.get_xlabel() == "PC1 (61.4% of the variance)"
    assert ax.get_ylabel() == "PC2 (25.0% of the variance)"
    for name, collection in zip(NAMES, ax.collections, strict=True):
        assert_array_equal(collection.get_offsets(), points[clusters == name, :2])
    assert scatters(figure) == {
        name: (to_rgb(COLORS[place]), outline(MARKERS[place]), size)
        for place, (name, size) in enumerate(zip(NAMES, [5, 3, 2], strict=True))
    }
    assert legend_names(figure) == NAMES
    assert_array_equal(points, before)


def test_three_dimensions_have_the_ticks_and_labels_given(points, clusters):
    figure = plot_scatter_3d(points, clusters, TICKS, AXES)
    (ax,) = drawn(figure)
    assert [ax.get_xlabel(), ax.get_ylabel(), ax.get_zlabel()] == AXES
    assert ax.get_xticks().tolist() == [0, 1]
    assert texts(ax.get_xticklabels()) == ["1", "10"]
    assert texts(ax.get_yticklabels()) == ["low"]
    assert texts(ax.get_zticklabels()) == []
    assert {name: size for name, (_, _, size) in scatters(figure).items()} == {
        "Champions": 5,
        "At Risk": 3,
        "Lost Customers": 2,
    }
    assert legend_names(figure) == NAMES


def test_a_cluster_keeps_its_style_from_figure_to_figure(points, clusters):
    "Whichever points are drawn, and in whatever order"
    first = scatters(plot_projection(points[:, :2], clusters, [0.5, 0.3]))
    later = scatters(plot_projection(points[::-1, :2][:4], clusters[::-1][:4], [0.5, 0.3]))
    space = scatters(plot_scatter_3d(points, clusters, TICKS, AXES))
    for name in NAMES:
        assert first[name][:2] == later[name][:2] == space[name][:2]
    assert later["Champions"][2] == 0


def test_the_markers_of_the_legend_are_opaque_and_large(points, clusters):
    figure = plot_projection(points[:, :2], clusters, [0.5, 0.3])
    for handle in figure.legends[0].legend_handles:
        assert to_rgba(handle.get_facecolor()[0])[3] == 1
        assert handle.get_sizes().min() >= 60


def many(n):
    rng = np.random.default_rng(0)
    return rng.normal(size=(2 * n, 3)), pd.Categorical(np.tile(np.arange(n), 2))


def test_ten_clusters_differ_by_colour_and_by_shape():
    points, clusters = many(10)
    styles = scatters(plot_projection(points[:, :2], clusters, [0.5, 0.3])).values()
    assert len({color for color, _, _ in styles}) == 10
    assert len({marker for _, marker, _ in styles}) == 10


def test_more_than_ten_clusters_are_all_drawn():
    points, clusters = many(13)
    for figure in (
        plot_projection(points[:, :2], clusters, [0.5, 0.3]),
        plot_scatter_3d(points, clusters, TICKS, AXES),
    ):
        assert [size for _, _, size in scatters(figure).values()] == [2] * 13
        assert legend_names(figure) == [str(i) for i in range(13)]


def test_more_than_ten_clusters_can_be_told_apart():
    points, clusters = many(13)
    styles = scatters(plot_projection(points[:, :2], clusters, [0.5, 0.3])).values()
    assert len({(color, marker) for color, marker, _ in styles}) == 13


# plot_heatmap


def test_a_heatmap_writes_the_texts_on_the_positions():
    positions = pd.DataFrame(
        {"recency": [0.2, 0.8], "monetary": [0.5, 0.25]}, index=["At Risk", "Champions"]
    )
    written = pd.DataFrame(
        {"recency": ["300 days", "5 days"], "monetary": ["$12", "$9$"]}, index=positions.index
    )
    before = positions.copy()
    ax, _ = drawn(plot_heatmap(positions, written))
    assert texts(ax.texts) == ["300 days", "$12", "5 days", "$9$"]
    assert texts(ax.get_xticklabels()) == ["recency", "monetary"]
    assert texts(ax.get_yticklabels()) == ["At Risk", "Champions"]
    (mesh,) = ax.collections
    assert_allclose(np.ravel(mesh.get_array()), [0.2, 0.5, 0.8, 0.25])
    assert mesh.get_clim() == (0, 1), "one scale, whatever the values"
    assert {text.get_color() for text in ax.texts} == {"black"}
    assert_frame_equal(positions, before)


def test_the_texts_of_a_heatmap_can_be_read_on_its_darkest_colour():
    "Contrast of black on it by WCAG 2: at least 4.5"
    positions = pd.DataFrame({"a": [1.0]}, index=["x"])
    ax, _ = drawn(plot_heatmap(positions, positions.astype(str)))
    red, green, blue, _ = to_rgba(ax.collections[0].cmap(1.0))
    linear = [((c + 0.055) / 1.055) ** 2.4 for c in (red, green, blue)]
    luminance = np.dot(linear, [0.2126, 0.7152, 0.0722])
    assert (luminance + 0.05) / 0.05 >= 4.5


# plot_shares


def test_shares_are_pairs_of_bars_with_their_values():
    shares = pd.DataFrame(
        {"of customers": [0.1, 0.9], "of revenue": [0.6, 0.4]}, index=["Champions", "Lost"]
    )
    before = shares.copy()
    figure = plot_shares(shares, "share")
    (ax,) = drawn(figure)
    customers, revenue = ax.containers
    assert [bar.get_width() for bar in customers] == [0.1, 0.9]
    assert [bar.get_width() for bar in revenue] == [0.6, 0.4]
    assert texts(ax.texts) == ["10%", "90%", "60%", "40%"]
    assert texts(ax.get_yticklabels()) == ["Champions", "Lost"]
    assert ax.yaxis_inverted()
    assert legend_names(figure) == ["of customers", "of revenue"]
    # Told apart without colour: only one kind is hatched.
    assert [bars[0].get_hatch() for bars in ax.containers] == ["", "//"]
    assert ax.get_xlim() == (0, 1)
    assert_frame_equal(shares, before)


# plot_growth and plot_weighted_points


def test_growth_tells_the_exponent_of_what_grows_as_a_power():
    sizes = [1e6, 2e6, 8e6]
    runs = pd.DataFrame(
        {
            "way": ["line"] * 3 + ["square"] * 3 + ["twice"] * 2,
            "size": sizes + sizes + sizes[:2],
            "seconds": [*sizes, *np.square(sizes), 5.0, 7.0],
            "quality": 0.2,
        }
    )
    before = runs.copy()
    figure = plot_growth(runs, "way", "size", {"seconds": "s"}, {"quality": "q"})
    seconds, quality = drawn(figure)
    names = texts(seconds.get_legend().get_texts())
    assert names == ["line (exponent 1.00)", "square (exponent 2.00)", "twice"]
    assert texts(quality.get_legend().get_texts()) == ["line", "square", "twice"]
    assert seconds.get_yscale() == "log"
    assert quality.get_yscale() == "linear"
    assert len(seconds.lines) == 3 + 2  # what was measured, and two fits
    assert_frame_equal(runs, before)


def test_a_way_keeps_its_colour_when_others_are_left_out():
    runs = pd.DataFrame({"way": ["a", "b"], "size": [1.0, 2.0], "seconds": [1.0, 2.0]})
    runs["way"] = pd.Categorical(runs["way"])
    (both,) = drawn(plot_growth(runs, "way", "size", {"seconds": "s"}))
    (alone,) = drawn(plot_growth(runs[1:], "way", "size", {"seconds": "s"}))
    assert [line.get_label() for line in alone.lines] == ["b"]
    assert alone.lines[0].get_color() == both.lines[1].get_color() != both.lines[0].get_color()


@pytest.mark.parametrize("reach", [30, 100_000])
def test_a_logarithmic_axis_has_several_numbers_whatever_its_length(reach):
    points = np.geomspace(1, reach, 8)
    labels = pd.Categorical(["a"] * 8)
    (ax,) = drawn(
        plot_weighted_points(np.column_stack([points, points]), points, labels, ["x", "y"])
    )
    low, high = ax.get_xlim()
    assert 3 <= sum(low <= place <= high for place in ax.get_xticks()) <= 9


def test_a_point_that_stands_for_more_is_larger():
    points = [[0, 1], [2, 2], [3, 3]]
    labels = pd.Categorical(["a", "a", "b"])
    (ax,) = drawn(plot_weighted_points(points, [1, 100, 4], labels, ["x", "y"]))
    small, large = ax.collections[0].get_sizes()
    assert small < ax.collections[1].get_sizes()[0] < large
    assert (ax.collections[0].get_offsets() > 0).all()


# Frames of a slider


def test_a_frame_of_k_tells_the_shares_and_marks_its_k(points, evidence):
    labels = np.repeat([0, 1, 2], [5, 3, 2])
    above, below = drawn(plot_segments_at_k(points[:, :2], labels, evidence, [0.6, 0.3]))
    assert texts(above.texts) == ["50%", "30%", "20%"]
    assert_allclose(above.texts[0].xy, np.median(points[:5, :2], axis=0))
    assert_array_equal(below.lines[0].get_xydata()[:, 1], evidence["silhouette"])
    assert_array_equal(below.lines[1].get_xdata(), [3, 3])


def test_frames_of_k_have_one_size_and_one_scale(points, evidence):
    frames = [
        plot_segments_at_k(points[:, :2], np.arange(10) % k, evidence, [0.6, 0.3]) for k in (2, 4)
    ]
    (two, _), (four, _) = map(drawn, frames)
    assert two.get_xlim() == four.get_xlim()
    assert two.get_ylim() == four.get_ylim()
    assert_allclose(two.get_position().bounds, four.get_position().bounds)
    assert to_rgb(two.collections[1].get_facecolor()[0]) == to_rgb(COLORS[1])
    assert to_rgb(four.collections[1].get_facecolor()[0]) == to_rgb(COLORS[1])


def test_of_many_points_some_are_drawn_and_all_are_counted(evidence):
    points = np.random.default_rng(0).normal(size=(9_000, 2))
    points[1] = [50, -50]  # the row that is not drawn
    labels = np.repeat([0, 1], [8_990, 10])
    above, _ = drawn(plot_segments_at_k(points, labels, evidence, [0.6, 0.3]))
    many, few = (len(group.get_offsets()) for group in above.collections)
    assert above.get_xlim()[0] < points[:, 0].min() < points[:, 0].max() < above.get_xlim()[1]
    assert above.get_ylim()[0] < points[:, 1].min() < points[:, 1].max() < above.get_ylim()[1]
    assert 200 < many <= 400
    assert few == 10
    assert texts(above.texts) == ["100%", "0%"]


def test_a_frame_of_eps_has_every_group_and_cuts_the_curve():
    points = np.random.default_rng(0).normal(size=(40, 2))
    names = ["normal", "small cluster", "noise"]
    groups = pd.Categorical(["normal"] * 38 + ["noise"] * 2, categories=names)
    curve = np.sort(np.random.default_rng(1).random(40))
    figure = plot_flows_at_eps(points, groups, curve, 0.5, [0.6, 0.3])
    above, below = drawn(figure)
    assert legend_names(figure) == names
    assert [len(group.get_offsets()) for group in above.collections] == [38, 0, 2]
    assert_allclose(below.lines[0].get_ydata(), curve)
    assert_array_equal(below.lines[1].get_ydata(), [0.5, 0.5])


def test_frames_of_months_have_one_scale_and_say_the_decision():
    names = ["rows outside", "shares"]
    frames = [
        plot_check(
            f"month {n}",
            pd.Series([power, 0.2], names),
            pd.DataFrame({"reference": [0.5, 0.5], "current": [share, 1 - share]}, NAMES[:2]),
            "share",
            2.4,
            0.7,
        )
        for n, power, share in [(1, 0.3, 0.5), (2, 2.4, 0.7)]
    ]
    quiet, loud = map(drawn, frames)
    assert [ax.get_xlim() for ax in quiet] == [ax.get_xlim() for ax in loud]
    assert quiet[0].get_title() == "month 1"
    assert texts(loud[0].texts) == ["2.4 counts", "0.2"]
    assert texts(quiet[0].texts) == ["0.3", "0.2"]
    assert loud[0].get_xlim()[1] > 2.4


# Names from data


DOLLARS = ["from $5 to $9", "$\\alpha$"]


@pytest.mark.parametrize(
    "plot",
    [
        lambda: plot_with_control(pd.Series([0.9, 0.6], index=DOLLARS), [0.4, 0.5], "$x$"),
        lambda: plot_shares(pd.DataFrame({"a $": [0.1, 0.9], "b $": [0.5, 0.5]}, DOLLARS), "$s$"),
        lambda: plot_projection(np.eye(2), pd.Categorical(DOLLARS, categories=DOLLARS), [0.5, 0.3]),
        lambda: plot_scatter_3d(
            np.eye(2, 3), pd.Categorical(DOLLARS, categories=DOLLARS), TICKS, AXES
        ),
        lambda: plot_heatmap(
            pd.DataFrame({"$a$": [0.1, 0.9]}, DOLLARS), pd.DataFrame({"$a$": DOLLARS}, DOLLARS)
        ),
        lambda: plot_distributions({"$a$": pd.DataFrame({"$b$": [1.0, 2.0]})}, "$c$"),
    ],
    ids=["control", "shares", "projection", "3d", "heatmap", "distributions"],
)
def test_dollar_signs_do_not_become_formulas(plot):
    figure = plot()
    drawn(figure)
    with_dollar = [t for t in figure.findobj(mpl.text.Text) if "$" in t.get_text()]
    assert len(with_dollar) >= 2
    assert not any(text.get_parse_math() for text in with_dollar)
