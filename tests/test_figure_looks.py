"""How figures look: legible on a phone, told apart by readers who see few colours, and in grey."""

import base64
import itertools
import struct

import matplotlib as mpl
import nbformat
import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb, to_rgba, to_rgba_array
from numpy.testing import assert_array_equal
from prose import chapters
from skimage.color import deltaE_ciede2000, rgb2lab

from helpers import figures, pictures
from helpers.figure_data import figure_data
from helpers.figures import COLORS, LINE_STYLES, MARKERS, WIDTH, use_course_style

PHONE = 350  # pixels of a phone that a figure gets
WIDEST = WIDTH + 0.1  # inches of a figure as a notebook shows it: cut to what is drawn

# How those see who lack the cones for long or for middle waves, on linear RGB: Machado, Oliveira
# and Fernandes (2009), "A Physiologically-based Model for Simulation of Color Vision Deficiency".
VISION = {
    "usual": np.eye(3),
    "protanopia": np.array(
        [
            [0.152286, 1.052583, -0.204868],
            [0.114503, 0.786281, 0.099216],
            [-0.003882, -0.048116, 1.051998],
        ]
    ),
    "deuteranopia": np.array(
        [
            [0.367322, 0.860646, -0.227968],
            [0.280085, 0.672501, 0.047413],
            [-0.011820, 0.042940, 0.968881],
        ]
    ),
}

RNG = np.random.default_rng(0)
NAMES = [
    *["Champions", "Loyal Customers", "Potential Loyalists", "Big Spenders", "New Customers"],
    *["Promising Beginners of the Year", "At Risk", "Cannot Lose Them", "Hibernating", "Lost"],
]
TESTS = [
    *["recency", "frequency", "monetary", "cluster shares", "distance to the clusters"],
    "rows outside the radius",
]
POINTS = RNG.normal(size=(400, 3))
CLUSTERS = pd.Categorical([NAMES[i % 10] for i in range(400)], categories=NAMES)
MONTHS = [f"2024-{month:02}" for month in range(1, 13)] + [
    f"2025-{month:02}" for month in range(1, 13)
]
SHARES = pd.DataFrame(RNG.dirichlet(np.ones(10), 2).T, NAMES, ["customer share", "revenue share"])
STRENGTH = pd.Series([0.1, 0.95, 1.05, 12.4, 0.7, 2.5], TESTS)
EVIDENCE = pd.DataFrame(
    {
        "silhouette": np.linspace(0.3, 0.5, 9),
        "silhouette_se": 0.01,
        "davies_bouldin": np.linspace(1, 0.5, 9),
        "inertia": np.geomspace(9e8, 1e6, 9),
    },
    index=range(2, 11),
)
RUNS = pd.DataFrame(
    [
        {"way": way, "order lines": n, "seconds": n / 1e5 * (i + 1), "inertia": 0.2 + i / 100}
        for i, way in enumerate(["DuckDB, mini-batches", "Spark, pipeline", "pandas", "BIRCH"])
        for n in (1e6, 5e6, 5e7)
    ]
)
PHOTO = RNG.integers(0, 255, (60, 90, 3), dtype=np.uint8)


def bins(n):
    limits = np.geomspace(1, 1_234_567, n)
    return pd.DataFrame(
        {"from": limits - 1, "to": limits, "reference": 1 / n, "current": np.arange(n) / n**2}
    )


def rates():
    table = pd.DataFrame({"method": ["palette", "JPEG"] * 3, "bits per pixel": range(6)})
    return table.assign(PSNR=[20.0, 25, 30, 35, 40, np.inf])


# Each with what is hard on it: many groups, long names, large numbers.
GALLERY = {
    "distributions": lambda: figures.plot_distributions(
        {
            "as they are": pd.DataFrame({"monetary": RNG.lognormal(15, 2, 400)}),
            "log, scaled": pd.DataFrame({"monetary": RNG.normal(0, 1, 400)}),
        },
        "customers",
    ),
    "k evidence": lambda: figures.plot_k_evidence(EVIDENCE, 9),
    "control": lambda: figures.plot_with_control(
        pd.Series(np.linspace(0, 1, 10), NAMES),
        [0.9, 0.95],
        "mean Jaccard similarity",
        {"trusted": 0.6, "stable": 0.75},
    ),
    "3d": lambda: figures.plot_scatter_3d(
        POINTS,
        CLUSTERS,
        [{0.0: "1", 2.0: "10,000"}] * 3,
        ["recency (days)", "frequency (orders)", "monetary (USD)"],
    ),
    "projection": lambda: figures.plot_projection(POINTS[:, :2], CLUSTERS, [0.614, 0.25]),
    "segments at K": lambda: figures.plot_segments_at_k(
        POINTS[:, :2], np.arange(400) % 10, EVIDENCE, [0.614, 0.25]
    ),
    "flows at eps": lambda: figures.plot_flows_at_eps(
        POINTS[:, :2], CLUSTERS, np.geomspace(0.01, 5, 400), 0.5, [0.614, 0.25]
    ),
    "heatmap": lambda: figures.plot_heatmap(
        pd.DataFrame(RNG.random((10, 3)), NAMES, TESTS[:3]),
        pd.DataFrame("1,234,567.8", NAMES, TESTS[:3]),
    ),
    "history": lambda: figures.plot_heatmap(
        pd.DataFrame(RNG.random((24, 6)), MONTHS, TESTS),
        pd.DataFrame("12.3!", MONTHS, TESTS),
        "strength of evidence (beyond 1 it counts)",
    ),
    "shares": lambda: figures.plot_shares(SHARES, "share of the total"),
    "evidence": lambda: figures.plot_evidence(STRENGTH),
    "check": lambda: figures.plot_check(
        "2024-11: refit", STRENGTH, SHARES, "share of the customers", 12.4, 0.5
    ),
    "bins": lambda: figures.plot_bins({name: bins(10) for name in TESTS[:3]}),
    "over time": lambda: figures.plot_over_time(
        pd.DataFrame(RNG.random((24, 10)), MONTHS, NAMES), "share of the customers", 0.5
    ),
    "k distances": lambda: figures.plot_k_distances(np.geomspace(0.01, 5, 5000), 1.5, 10),
    "scatter": lambda: figures.plot_scatter(
        np.exp(3 * POINTS[:, :2]), CLUSTERS, ["total bytes", "duration (seconds)"]
    ),
    "scores": lambda: figures.plot_scores(
        np.exp(POINTS[:, 0]),
        pd.Categorical(np.where(POINTS[:, 1] > 0, "normal", "anomalous")),
        0.5,
        "distance to the nearest core flow of a large cluster",
    ),
    "precision and recall": lambda: figures.plot_precision_recall(
        {f"{name} Forest": (np.linspace(0, 1, 9), np.linspace(1, 0, 9)) for name in NAMES[:7]}, 0.02
    ),
    "weighted points": lambda: figures.plot_weighted_points(
        np.exp(POINTS[:, :2]), np.arange(1, 401), CLUSTERS, ["recency (days)", "monetary value"]
    ),
    "growth": lambda: figures.plot_growth(
        RUNS, "way", "order lines", {"seconds": "seconds"}, {"inertia": "inertia of those held out"}
    ),
    "images": lambda: pictures.plot_images({"original": PHOTO, "K = 256, dithered": PHOTO}),
    "details": lambda: pictures.plot_images(
        dict.fromkeys(["original", "K = 8", "K = 256"], PHOTO), 3
    ),
    "colours": lambda: pictures.plot_color_space(PHOTO.reshape(-1, 3), np.ones(5400), PHOTO[0, :8]),
    "palettes": lambda: pictures.plot_palettes({"K = 256": (PHOTO[0, :4], np.full(4, 0.25))}),
    "rates": lambda: pictures.plot_rate_distortion(
        {"the picture": rates(), "the graphic": rates()}
    ),
}
OF_DATA = {"colours", "palettes", "images", "details"}  # whose colours are those of pictures


@pytest.fixture(autouse=True)
def style():
    with mpl.rc_context():
        use_course_style()
        yield


@pytest.fixture(params=GALLERY)
def name(request):
    return request.param


def drawn(name):
    """Draw a figure; return it with what a notebook shows of it, in inches."""
    figure = GALLERY[name]()
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    shown = figure.get_tightbbox(canvas.get_renderer())
    return figure, shown


def texts(figure):
    """Return all that is written, with its place in pixels."""
    hidden = {label for ax in figure.axes for label in labels_beyond(ax)}
    return [
        (text, text.get_window_extent())
        for text in figure.findobj(mpl.text.Text)
        if text.get_visible() and text.get_text().strip() and text not in hidden
    ]


def labels_beyond(ax):
    """Yield the labels of ticks beyond the limits of their axis, which are not drawn."""
    for axis in (ax.xaxis, ax.yaxis):
        ticks = [*axis.get_major_ticks(), *axis.get_minor_ticks()]
        low, high = sorted(axis.get_transform().transform(axis.get_view_interval()))
        for tick in ticks:
            place = axis.get_transform().transform(tick.get_loc())
            if not ax.axison or not low - 1e-6 <= place <= high + 1e-6:
                yield from (tick.label1, tick.label2)


def luminance(color):
    red, green, blue = to_rgb(color)
    linear = [
        c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in (red, green, blue)
    ]
    return np.dot(linear, [0.2126, 0.7152, 0.0722])


def contrast(color, ground="white"):
    """By WCAG 2; what shows through is mixed with its ground."""
    *color, alpha = to_rgba(color)
    mixed = alpha * np.array(color) + (1 - alpha) * np.array(to_rgb(ground))
    dark, light = sorted([luminance(mixed), luminance(ground)])
    return (light + 0.05) / (dark + 0.05)


# Text


def test_all_text_is_legible_on_a_phone(name):
    figure, shown = drawn(name)
    pixels = PHONE / (72 * max(shown.width, WIDTH))
    sizes = {text.get_text(): text.get_size() * pixels for text, _ in texts(figure)}
    assert sizes
    assert min(sizes.values()) >= 10.5, sizes


def test_nothing_reaches_beyond_the_figure(name):
    figure, shown = drawn(name)
    assert shown.width <= WIDEST
    assert shown.height <= figure.get_figheight() + 0.1


def test_no_text_stands_on_another(name):
    figure, _ = drawn(name)
    places = [
        (text.get_text(), place.padded(-1.5))
        for text, place in texts(figure)
        # The box around a slanted text is mostly empty.
        if text.get_rotation() % 90 == 0 and getattr(text.axes, "name", "") != "3d"
    ]
    # Shares in the middle of clusters stand where the clusters are.
    if name == "segments at K":
        places = [(text, place) for text, place in places if not text.endswith("%")]
    overlaps = [
        (one, other)
        for (one, here), (other, there) in itertools.combinations(places, 2)
        if here.overlaps(there)
    ]
    assert overlaps == []


def test_slanted_names_have_room(name):
    figure, _ = drawn(name)
    for ax in figure.axes:
        slanted = [label for label in ax.get_xticklabels() if label.get_rotation() % 90]
        places = [label.get_window_extent().x1 for label in slanted]
        # Between the feet of two names has to be the height of one, across: sqrt 2.
        assert all(gap >= 11 / 72 * figure.dpi * 1.41 for gap in np.diff(places))


# Contrast


@pytest.mark.parametrize("name", sorted(GALLERY.keys() - OF_DATA))
def test_what_has_a_meaning_stands_out_from_white(name):
    figure, _ = drawn(name)
    marks = 0
    for ax in figure.axes:
        if ax.get_label() == "<colorbar>":
            continue
        for line in ax.lines:
            color = to_rgba(line.get_color(), line.get_alpha())
            assert contrast(color) >= 3, (name, line.get_label())
            marks += 1
        for artist in [*ax.collections, *ax.patches]:
            if isinstance(artist, mpl.collections.QuadMesh):
                assert_texts_stand_out_from_cells(ax, artist)
                marks += 1
                continue
            faces, edges = map(to_rgba_array, (artist.get_facecolor(), artist.get_edgecolor()))
            # Clusters may be empty.
            best = max([contrast(color) for color in [*faces, *edges]], default=21)
            assert best >= 3, (name, artist.get_label())
            marks += 1
    assert marks


def assert_texts_stand_out_from_cells(ax, mesh):
    cells = mesh.get_facecolor()
    assert len(ax.texts) == len(cells)
    for text, cell in zip(ax.texts, cells, strict=True):
        assert contrast(text.get_color(), cell) >= 4.5


def test_all_text_stands_out_from_white(name):
    figure, _ = drawn(name)
    assert min(contrast(text.get_color()) for text, _ in texts(figure)) >= 4.5


# Colours


def seen(color, matrix):
    """Return a colour as a kind of vision sees it, in CIELAB."""
    rgb = np.array(to_rgb(color))
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    linear = np.clip(matrix @ linear, 0, 1)
    return rgb2lab(
        np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    )


@pytest.mark.parametrize("vision", VISION)
@pytest.mark.parametrize(("n_colors", "least"), [(5, 17), (10, 12)])
def test_the_colours_stay_apart(vision, n_colors, least):
    "A CIEDE2000 difference of 10 is one at a glance; seaborn's ten come down to 5.7."
    places = [seen(color, VISION[vision]) for color in COLORS[:n_colors]]
    assert min(itertools.starmap(deltaE_ciede2000, itertools.combinations(places, 2))) >= least


def test_the_two_colours_of_pairs_of_bars_differ_in_grey():
    dark, light = (rgb2lab(to_rgb(color))[0] for color in COLORS[:2])
    assert light - dark >= 15


def test_every_colour_has_a_marker_and_lines_have_styles():
    assert len(COLORS) == len(set(COLORS)) == len(set(MARKERS)) == 10
    assert min(map(contrast, COLORS)) >= 3
    assert len(set(LINE_STYLES)) >= 7


# Data


def test_names_that_were_broken_into_lines_are_in_one_in_the_data():
    for name in ("shares", "evidence", "control", "heatmap"):
        figure, _ = drawn(name)
        assert any("\n" in text.get_text() for text, _ in texts(figure)), name
        found = figure_data(figure)
        assert {*NAMES, *TESTS} >= {*found["y"].dropna()}, name


def test_periods_without_a_tick_have_their_names_in_the_data():
    figure, _ = drawn("over time")
    assert len(figure.axes[0].get_xticks()) == 12
    found = figure_data(figure)
    assert list(found[found["series"] == NAMES[0]]["x"]) == MONTHS


def test_steps_are_drawn_by_their_corners_alone():
    recall = np.array([1.0, 1, 1, 1, 0.5, 0.5, 0.5, 0.0])
    precision = np.array([0.2, 0.25, 0.3, 0.4, 0.3, 0.5, 0.9, 1.0])
    figure = figures.plot_precision_recall({"a": (precision, recall)}, 0.2)
    line = figure.axes[0].lines[0]
    assert_array_equal(line.get_xdata(), [1, 1, 0.5, 0.5, 0])
    assert_array_equal(line.get_ydata(), [0.2, 0.4, 0.3, 0.9, 1])


def test_the_data_of_a_frame_are_few():
    points = RNG.normal(size=(20_000, 2))
    groups = pd.Categorical(np.repeat(["normal", "noise"], 10_000))
    curve = np.geomspace(0.01, 5, 20_000)
    flows = figures.plot_flows_at_eps(points, groups, curve, 0.5, [0.6, 0.3])
    assert len(figure_data(flows)) < 1_600
    labels = np.arange(20_000) % 4
    segments = figures.plot_segments_at_k(points, labels, EVIDENCE, [0.6, 0.3])
    assert len(figure_data(segments)) < 1_700


# Chapters


@pytest.mark.parametrize("path", chapters(), ids=lambda path: path.stem)
def test_the_figures_of_a_chapter_have_the_common_width(path):
    "A label that is too long would make one wider, and a phone its text smaller."
    notebook = nbformat.read(path, as_version=4)
    widths = []
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            if "image/png" in data and "beside" not in cell.source:
                head = base64.b64decode(data["image/png"])[:24]
                widths.append(struct.unpack(">I", head[16:20])[0])
    assert widths
    assert max(widths) <= WIDEST * mpl.rcParams["figure.dpi"]
