"""
The cover of a book, and its icon: clusters in the colours and shapes of the course's figures.

Both show made points and no result. A cover travels without its page, as the preview of a link,
where nothing can say whose data it would show; and it has to suit a book of any chapters.
"""

import io
import textwrap
from pathlib import Path

import numpy as np
from matplotlib import rc_context
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont, get_font
from PIL import Image
from scipy.spatial import Voronoi

from helpers.figures import COLORS, MARKERS

# Below the folder of the pages.
COVER, BANNER = "_static/cover.png", "images/banner.png"
ICON, TOUCH_ICON = "_static/favicon.svg", "_static/apple-touch-icon.png"

# In pixels: what previews of links show, a strip of it for the pages, and what a phone asks for.
SIZE, BANNER_SIZE, TOUCH_SIZE = (1200, 630), (1200, 400), (180, 180)

ALT = (
    "Points on a plane in five clusters, each with its own colour and marker, on the areas nearest "
    "to their centres"
)

DPI = 100
INK = "#222222"
MARGIN, LARGEST = 60, 42  # pixels beside the title, and points of its letters
FONT = FontProperties(family="DejaVu Sans", weight="bold")  # comes with Matplotlib

# In hundreds of pixels from the lower left, and how far the points of each cluster spread.
CENTRES = np.array([[1.9, 2.7], [4.7, 1.1], [6.3, 3.0], [8.9, 1.5], [10.6, 2.9]])
SPREADS = np.array([0.50, 0.42, 0.36, 0.46, 0.40])
POINTS = 46  # of each cluster


def write_pictures(folder: Path, title: str) -> None:
    """
    Write the cover, the banner and the icons of a book.

    Parameters
    ----------
    folder : Path
        Of the pages.
    title : str
        For the cover.
    """
    pictures = {
        COVER: cover(title),
        BANNER: banner(),
        ICON: _svg(_icon()),
        TOUCH_ICON: _png(_icon("white"), TOUCH_SIZE),
    }
    for name, content in pictures.items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)


def cover(title: str) -> bytes:
    """
    Picture of a book with its title, as previews of links show it.

    Parameters
    ----------
    title : str
        Left off if the font lacks one of its letters; wherever a cover is shown, the title stands
        beside it.

    Returns
    -------
    bytes
        PNG.
    """
    figure = _figure(SIZE)
    if not _has_letters(title):
        _draw_clusters(figure, 0, SIZE[1])
        return _png(figure, SIZE)
    height = SIZE[1] - BANNER_SIZE[1]
    _draw_clusters(figure, height, BANNER_SIZE[1])
    _write_title(figure, title, height)
    return _png(figure, SIZE)


def banner() -> bytes:
    """Return the same picture without a title, for pages that have one: PNG."""
    figure = _figure(BANNER_SIZE)
    _draw_clusters(figure, 0, BANNER_SIZE[1])
    return _png(figure, BANNER_SIZE)


def _has_letters(title: str) -> bool:
    """Whether the font has every letter of a title."""
    return {ord(letter) for letter in title} <= get_font(findfont(FONT)).get_charmap().keys()


def _figure(size: tuple[int, int], color: str = "white") -> Figure:
    """Empty figure of so many pixels."""
    return Figure(figsize=(size[0] / DPI, size[1] / DPI), dpi=DPI, facecolor=color)


def _write_title(figure: Figure, title: str, height: int) -> None:
    """Write a title into the lowest pixels of a figure, in the lines that let it be largest."""
    middle = height / 2 / SIZE[1]
    text = figure.text(MARGIN / SIZE[0], middle, "", va="center", color=INK, fontproperties=FONT)
    text.set(parse_math=False, linespacing=1.25, fontsize=LARGEST)

    def fitting(layout: str, size: float) -> float:
        """Size at which a layout fits, by its size at another."""
        text.set(text=layout, fontsize=size)
        box = text.get_window_extent()
        room = min((SIZE[0] - 2 * MARGIN) / box.width, (height - MARGIN) / box.height)
        return size * min(room, 1)

    layouts = {"\n".join(textwrap.wrap(title, letters)) for letters in range(8, len(title) + 8)}
    sizes = {layout: fitting(layout, LARGEST) for layout in layouts}
    best = max(layouts, key=lambda layout: (sizes[layout], -layout.count("\n"), layout))
    # Letters are whole pixels wide, so small ones may take more room than their size says.
    size = sizes[best]
    while (smaller := fitting(best, size)) < size:
        size = smaller


def _draw_clusters(figure: Figure, bottom: int, height: int) -> None:
    """Draw the clusters across a figure, from so many pixels above its lower edge."""
    whole = figure.get_figheight() * DPI
    ax = figure.add_axes((0, bottom / whole, 1, height / whole))
    ax.set_axis_off()
    ax.set(xlim=(0, SIZE[0] / 100), ylim=(0, height / 100))
    stretch = np.array([1, height / BANNER_SIZE[1]])
    centres = CENTRES * stretch
    # Far points close the areas around the outer centres.
    far = np.array([[-50, -50], [-50, 50], [50, -50], [50, 50]])
    areas = Voronoi(np.vstack([centres, far]))
    generator = np.random.default_rng(42)
    points = generator.normal(
        np.repeat(centres, POINTS, axis=0), np.repeat(SPREADS, POINTS)[:, np.newaxis] * stretch
    )
    nearest = np.argmin(np.linalg.norm(points[:, np.newaxis] - centres, axis=2), axis=1)
    for cluster, (color, marker) in enumerate(zip(COLORS, MARKERS[: len(centres)], strict=False)):
        corners = areas.vertices[areas.regions[areas.point_region[cluster]]]
        ax.fill(*corners.T, color=_tint(color), edgecolor="white", linewidth=3)
        x, y = points[nearest == cluster].T
        ax.scatter(
            x,
            y,
            s=95,
            color=color,
            marker=marker,
            edgecolor="white",
            linewidth=0.9,
        )


def _tint(color: str) -> tuple[float, ...]:
    """Pale shade of a colour."""
    return tuple(1 - 0.16 * (1 - part) for part in to_rgb(color))


def _icon(color: str = "none") -> Figure:
    """Three markers, large enough to be told apart in the corner of a browser."""
    figure = _figure(TOUCH_SIZE, color)
    ax = figure.add_axes((0, 0, 1, 1))
    ax.set_axis_off()
    ax.set(xlim=(0, 1), ylim=(0, 1))
    places = [(0.27, 0.7), (0.73, 0.7), (0.5, 0.26)]
    for place, color, marker in zip(places, COLORS, MARKERS, strict=False):
        ax.plot(*place, marker, color=color, markersize=50, markeredgewidth=0)
    return figure


def _png(figure: Figure, size: tuple[int, int]) -> bytes:
    """Picture of a figure, in as many colours as it takes to look the same."""
    raw = io.BytesIO()
    figure.savefig(raw, format="png", dpi=DPI)
    picture, small = Image.open(raw).convert("RGB"), io.BytesIO()
    picture.quantize(128, dither=Image.Dither.NONE).save(small, format="png", optimize=True)
    return small.getvalue()


def _svg(figure: Figure) -> bytes:
    """Drawing of a figure, the same each time."""
    drawing = io.BytesIO()
    with rc_context({"svg.hashsalt": "icon"}):
        figure.savefig(drawing, format="svg", metadata={"Date": None, "Creator": None})
    return drawing.getvalue()
