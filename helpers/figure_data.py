"""The numbers that a Matplotlib figure draws, as a table: what a reader may want to check or reuse.

They are read from the figure itself, so that no figure needs a word about its data, and what the
table says is what the picture shows. Names on an axis and dates come back as such.
"""

import functools

import numpy as np
import pandas as pd
from matplotlib import dates
from matplotlib.category import StrCategoryFormatter
from matplotlib.collections import (
    Collection,
    FillBetweenPolyCollection,
    LineCollection,
    PathCollection,
    QuadMesh,
)
from matplotlib.colors import to_hex
from matplotlib.container import BarContainer, ErrorbarContainer
from matplotlib.image import AxesImage
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle, StepPatch
from matplotlib.ticker import FixedFormatter, FixedLocator, FuncFormatter

_ALWAYS = ["panel", "title", "series", "drawn as", "x label", "x", "y label", "y"]
_COLUMNS = [
    *["panel", "title", "series", "drawn as"],
    *(part for axis in "xyz" for part in (f"{axis} label", axis, f"{axis} from", f"{axis} to")),
    *["value label", "value", "text", "area", "colour"],
]
_DRAWN = "drawn"  # Whether a row is one of the table.
_POSITIONS = [part for axis in "xyz" for part in (axis, f"{axis} from", f"{axis} to")]
_DATE_FORMATTERS = (
    dates.AutoDateFormatter,
    dates.ConciseDateFormatter,
    dates.DateFormatter,
)


def figure_data(figure):
    """
    What a figure draws, one row a point, bar, cell or line of reference.

    Texts, grids, legends and scales of colours have no rows, nor have pictures: they are their own
    data.

    Parameters
    ----------
    figure : Figure

    Returns
    -------
    DataFrame
        Always with "panel" (number of the axes, from 1), "title" (theirs, or that of the axes
        above), "series" (name in the legend), "drawn as", and "x" and "y", each with its "label".
        What has an extent has "x from" and "x to", or the same of "y", in place of one number. Only
        where the figure has them: "z", the "value" of the cells of a heat map with the
        "text" in them, the "area" of dots of several sizes in square points, and the "colour" of
        what has several colours.
    """
    axes = [ax for ax in figure.axes if ax.get_visible()]
    mappables = [artist for ax in axes for artist in [*ax.collections, *ax.images]]
    scales = {artist.colorbar.ax for artist in mappables if artist.colorbar}
    parts = []
    for number, ax in enumerate((ax for ax in axes if ax not in scales), start=1):
        for part in _parts(ax):
            labels = {f"{name} label": _label(ax, name) for name in ax._axis_names}
            where = {"panel": number, "title": _title(ax, axes), **labels}
            rows = pd.DataFrame({**where, _DRAWN: True, **part})
            parts.append(rows[rows[_DRAWN]])
    parts = [part for part in parts if len(part)]
    if not parts:
        return pd.DataFrame(columns=_ALWAYS)
    table = pd.concat(parts, ignore_index=True).reindex(columns=_COLUMNS)
    for column in _POSITIONS:
        table[column] = _of_one_kind(table[column])
    for words in table.select_dtypes(exclude="number"):
        # Lines are broken for want of room in the picture.
        table[words] = table[words].map(_in_one_line, na_action="ignore")
    if table["area"].nunique() < 2:
        table["area"] = np.nan
    if table.groupby(["panel", "series"])["colour"].nunique().max() < 2:
        table["colour"] = None
    empty = [column for column in _COLUMNS if table[column].replace("", None).isna().all()]
    return table.drop(columns=[column for column in empty if column not in _ALWAYS])


def _in_one_line(value):
    """Text without line breaks; numbers as they are."""
    return value.replace("\n", " ") if isinstance(value, str) else value


def shows_pictures(figure):
    """Whether a figure shows pictures, such as photographs, that no table stands for."""
    return any(_is_picture(image) for ax in figure.axes for image in ax.images)


def _of_one_kind(column):
    """Numbers as they are; numbers among names as text."""
    numbers = pd.to_numeric(column, errors="coerce").astype(float)
    if not (column.notna() & numbers.isna()).any() and not column.map(type).eq(str).any():
        return numbers
    return column.map(
        lambda value: value if isinstance(value, str) else _digits(value), na_action="ignore"
    )


def _digits(number):
    """Return a number as text, without an exponent: as text, a spreadsheet might run -1e5."""
    return np.format_float_positional(number, precision=10, fractional=False, trim="-")


def _title(ax, axes):
    """Title of axes; of those without, that of the axes above in the same column."""
    above = [ax]
    place = ax.get_subplotspec()
    if place is not None:
        specs = {other: other.get_subplotspec() for other in axes}
        over = [
            other
            for other, spec in specs.items()
            if spec is not None
            and spec.get_gridspec() is place.get_gridspec()
            and spec.colspan == place.colspan
            and spec.rowspan.start < place.rowspan.start
        ]
        above += sorted(over, key=lambda other: -specs[other].rowspan.start)
    titles = (one.get_title(loc) for one in above for loc in ("center", "left", "right"))
    return next(filter(None, titles), "")


def _label(ax, name):
    """Label of an axis; of panels that share one, that of whichever has it."""
    siblings = ax._shared_axes[name].get_siblings(ax)
    texts = [getattr(one, f"{name}axis").get_label_text() for one in [ax, *siblings]]
    return next(filter(None, texts), "")


def _parts(ax):
    """Yield columns of what each visible artist of some axes draws, in the order of drawing."""
    containers = {
        artist: container
        for container in ax.containers
        if isinstance(container, BarContainer | ErrorbarContainer)
        for artist in container.get_children()
    }
    seen = set()
    for artist in ax.get_children():
        container = containers.get(artist)
        if not artist.get_visible():
            continue
        if container is None:
            part, label = _part(ax, artist), artist.get_label()
        elif id(container) in seen:
            continue
        else:
            seen.add(id(container))
            bars = isinstance(container, BarContainer)
            part = _bars(ax, container) if bars else _error_bars(ax, container)
            label = container.get_label()
            if label is None or label.startswith("_"):
                label = artist.get_label()
        if part is not None:
            # What has no name in the legend has one that begins with an underscore.
            yield {"series": "" if str(label).startswith("_") else label, **part}


def _part(ax, artist):
    """Columns of what an artist draws, or None if that is no data."""
    match artist:
        case Line2D():
            return _line(ax, artist)
        case PathCollection():
            return _points(ax, artist)
        case QuadMesh() if not _is_picture(artist):
            return _mesh(ax, artist)
        case AxesImage() if not _is_picture(artist):
            return _image(ax, artist)
        case FillBetweenPolyCollection():
            return _band(ax, artist)
        case LineCollection() if ax.name != "3d":
            return _segments(ax, artist)
        case StepPatch():
            return _stairs(ax, artist)
        case Rectangle():
            return _rectangle(ax, artist)
    return None


def _line(ax, line):
    """Columns of a line, of its points if it has no line, or of a line of reference."""
    if hasattr(line, "get_data_3d"):
        return {"drawn as": "line", **_positions(ax, *line.get_data_3d())}
    x_is_data, y_is_data = line.get_transform().contains_branch_seperately(ax.transData)
    x, y = (_numbers(values) for values in line.get_data(orig=False))
    if x_is_data and y_is_data:
        steps = line.get_drawstyle().startswith("steps")
        points = line.get_linestyle() in ("None", "none", " ", "")
        kind = "points" if points else "steps" if steps else "line"
        return {"drawn as": kind, **_positions(ax, x, y)}
    if x_is_data or y_is_data:
        name, values = ("x", x) if x_is_data else ("y", y)
        return {"drawn as": "line across", name: _read(ax, name, np.unique(values))}
    return None


def _points(ax, dots):
    """Columns of dots, with their areas and colours."""
    # Drawing in three dimensions puts the dots in the order of their depth, and shades them by it.
    deep = ax.name == "3d"
    places = dots._offsets3d if deep else dots.get_offsets().T
    sizes = dots._sizes3d if deep else dots.get_sizes()
    colors = Collection.get_facecolor(dots)
    part = _positions(ax, *map(_numbers, places))
    n_points = len(places[0])
    part["area"] = np.resize(np.asarray(sizes, dtype=float), n_points)
    if dots.get_array() is not None:
        part |= {"value": _numbers(dots.get_array()), "value label": _value_label(dots)}
    elif len(colors) > 1:
        part["colour"] = [to_hex(tuple(color)) for color in np.resize(colors, (n_points, 4))]
    return {"drawn as": "points", **part}


def _bars(ax, bars):
    """Columns of bars, by name where the axis has names, else from edge to edge."""
    left, bottom, width, height = np.array([bar.get_bbox().bounds for bar in bars]).T
    part = {"drawn as": "bars", "colour": [to_hex(bar.get_facecolor()) for bar in bars]}
    sides = [("x", left, width), ("y", bottom, height)]
    across, along = sides if bars.orientation != "horizontal" else sides[::-1]
    name, start, length = across
    middles = _read(ax, name, start + length / 2)
    if isinstance(middles, list):
        part[name] = middles
    elif not _is_bare(getattr(ax, f"{name}axis")):
        part |= _extents(ax, name, start, start + length)
    name, start, length = along
    if (start == 0).all():
        part[name] = length
    else:
        part |= _extents(ax, name, start, start + length)
    return part


def _error_bars(ax, errors):
    """Columns of error bars, with the points that they belong to if these are drawn."""
    line, _, collections = errors.lines
    part = {"drawn as": "error bars"}
    names = [name for name, has in (("x", errors.has_xerr), ("y", errors.has_yerr)) if has]
    for name, collection in zip(names, collections, strict=True):
        segments, side = _ends(collection), "xy".index(name)
        part |= _extents(ax, name, segments[:, 0, side], segments[:, 1, side])
        other = "yx"[side]
        part[other] = _read(ax, other, segments[:, 0, 1 - side])
    if line is not None:
        part |= _positions(ax, *map(_numbers, line.get_data(orig=False)))
    return part


def _mesh(ax, mesh):
    """Columns of a mesh, by the middles of its cells."""
    corners = mesh.get_coordinates()
    middles = (corners[:-1, :-1] + corners[1:, 1:]) / 2
    return _cells(ax, mesh, middles[..., 0], middles[..., 1])


def _image(ax, image):
    """Columns of a matrix that is shown as an image, by the middles of its pixels."""
    n_rows, n_columns = image.get_array().shape
    left, right, bottom, top = image.get_extent()
    first, last = (bottom, top) if image.origin == "lower" else (top, bottom)
    x = left + (np.arange(n_columns) + 0.5) * (right - left) / n_columns
    y = first + (np.arange(n_rows) + 0.5) * (last - first) / n_rows
    return _cells(ax, image, *np.meshgrid(x, y))


def _is_picture(image):
    """Whether an image or a mesh has colours of its own, not those of a scale."""
    return image.get_array().ndim == 3


def _stairs(ax, stairs):
    """Columns of steps: from edge to edge, each with its height."""
    values, edges, _ = stairs.get_data()
    across, along = "xy" if stairs.orientation == "vertical" else "yx"
    extents = _extents(ax, across, edges[:-1], edges[1:])
    return {"drawn as": "steps", along: _numbers(values), **extents}


def _cells(ax, mappable, x, y):
    """Columns of the cells of a heat map, with what is written in them."""
    x, y = x.ravel(), y.ravel()
    written = {text.get_position(): text.get_text() for text in ax.texts}
    return {
        "drawn as": "heat map",
        **_positions(ax, x, y),
        "value": _numbers(mappable.get_array()).ravel(),
        "value label": _value_label(mappable),
        "text": [written.get(place, "") for place in zip(x, y, strict=True)],
    }


def _value_label(mappable):
    """What the scale of colours is called, if there is one."""
    scale = mappable.colorbar
    return scale.ax.get_ylabel() or scale.ax.get_xlabel() if scale else ""


def _band(ax, band):
    """Columns of what is filled between two curves: there, along the one, and back."""
    kind, across = ("x", "y") if band.t_direction == "x" else ("y", "x")
    pieces = []
    for path in band.get_paths():
        corners = path.vertices if kind == "x" else path.vertices[:, ::-1]
        n_points = (len(corners) - 3) // 2
        there, back = corners[1 : n_points + 1], corners[n_points + 2 : -1][::-1]
        pieces.append(np.column_stack([there, back[:, 1]]))
    along, first, second = np.concatenate(pieces).T
    low, high = np.minimum(first, second), np.maximum(first, second)
    return {"drawn as": "band", kind: _read(ax, kind, along), **_extents(ax, across, low, high)}


def _segments(ax, lines):
    """Columns of straight lines: each at a place, from one value to another."""
    ends = _ends(lines)
    ends = ends[np.isfinite(ends).all(axis=(1, 2))]
    part = {"drawn as": "lines"}
    for side, name in enumerate("xy"):
        start, end = ends[:, 0, side], ends[:, 1, side]
        if np.array_equal(start, end):
            part[name] = _read(ax, name, start)
        else:
            part |= _extents(ax, name, start, end)
    return part


def _ends(lines):
    """First and last points of lines, as an array of shape (n_lines, 2, 2)."""
    return np.array([path.vertices[[0, -1]] for path in lines.get_paths()]).reshape(-1, 2, 2)


def _rectangle(ax, patch):
    """Columns of a rectangle, or of a band across the axes."""
    are_data = patch.get_data_transform().contains_branch_seperately(ax.transData)
    if not any(are_data):
        return None
    corners = patch.get_bbox().get_points()
    part = {"drawn as": "rectangle" if all(are_data) else "band"}
    for side, name in enumerate("xy"):
        if are_data[side]:
            part |= _extents(ax, name, *corners[:, [side]])
    return part


def _positions(ax, *places):
    """Columns of points, by the names of the axes; what is not finite is not drawn."""
    drawn = np.all([np.isfinite(_numbers(place)) for place in places], axis=0)
    finite = (np.where(drawn, _numbers(place), 0.0) for place in places)
    parts = {name: _read(ax, name, place) for name, place in zip("xyz", finite, strict=False)}
    return {_DRAWN: drawn, **parts}


def _extents(ax, name, start, end):
    """Columns of what goes from one place on an axis to another."""
    return {f"{name} from": _read(ax, name, start), f"{name} to": _read(ax, name, end)}


def _numbers(values):
    """Floats, with NaN for what is masked."""
    return np.ma.filled(np.ma.asarray(values, dtype=float), np.nan)


def _read(ax, name, places):
    """What places on an axis stand for: a list of texts for names and dates, else numbers."""
    axis = getattr(ax, f"{name}axis")
    places = _numbers(places)
    formatter = axis.get_major_formatter()
    there = np.isfinite(places)
    if isinstance(formatter, StrCategoryFormatter):
        texts = formatter.format_ticks(np.where(there, places, 0))
        return np.where(there, texts, "").tolist()
    if isinstance(formatter, _DATE_FORMATTERS):
        times = pd.to_datetime(dates.num2date(np.where(there, places, 0))).tz_localize(None)
        whole_days = (times == times.normalize()).all()
        texts = times.strftime("%Y-%m-%d" if whole_days else "%Y-%m-%dT%H:%M:%S")
        return np.where(there, texts, "").tolist()
    ticks = _fixed_ticks(axis)
    if ticks is not None and len(ticks) and _has_own_texts(formatter):
        return _by_ticks(places, ticks, formatter)
    return places


def _fixed_ticks(axis):
    """Places of the ticks of an axis, or None if they follow from its limits."""
    locator = axis.get_major_locator()
    return np.asarray(locator(), dtype=float) if isinstance(locator, FixedLocator) else None


def _has_own_texts(formatter):
    """Whether the texts of the ticks were given with them, and are not made from numbers."""
    if isinstance(formatter, FixedFormatter):
        return True
    return isinstance(formatter, FuncFormatter) and isinstance(formatter.func, functools.partial)


def _by_ticks(places, ticks, formatter):
    """Names where the ticks are one apart, as those of groups are; else numbers."""
    texts = formatter.format_ticks(ticks)
    if (2 * ticks % 1 == 0).all() and (np.diff(ticks) % 1 == 0).all():
        nearest = np.abs(places[:, None] - ticks).argmin(axis=1)
        return [texts[tick] for tick in nearest]
    labels = pd.to_numeric(pd.Series(texts).str.replace(",", ""), errors="coerce")
    if np.allclose(np.log1p(labels), ticks):
        # Three-dimensional axes have no logarithmic scale, so that their ticks stand in for one.
        return np.expm1(places)
    return places


def _is_bare(axis):
    """Whether an axis was left without ticks, since places on it mean nothing."""
    ticks = _fixed_ticks(axis)
    return ticks is not None and not len(ticks)
