"""The course's figures: legible on a phone, readable without colour, drawn from data alone.

Each function draws on a figure of its own and returns it. A cluster keeps its colour and its
marker from figure to figure, because both follow from its place in the list of names.
"""

import itertools
import textwrap

import matplotlib as mpl
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure
from matplotlib.ticker import (
    EngFormatter,
    FuncFormatter,
    LogLocator,
    MaxNLocator,
    NullFormatter,
    NullLocator,
)
from matplotlib.transforms import ScaledTranslation

# Dark enough for a dot on white (a contrast of 3), and as far apart as ten such colours can be for
# readers who do not see red or green. What has a colour has a marker, a hatching or a style, too.
COLORS = [
    *["#005f9e", "#d06c00", "#3f9d8c", "#7a0f4e", "#658bfb"],
    *["#811100", "#bf3854", "#4c0d19", "#2b8ca3", "#1c0ba6"],
]
MARKERS = ["o", "s", "^", "D", "v", "P", "X", "<", ">", "*"]
LINE_STYLES = ["-", "--", "-.", ":", (0, (6, 1, 1, 1, 1, 1)), (0, (8, 3)), (0, (1, 3)), (0, (3, 1))]
ACCENT = "#a43a00"

# A phone shows a figure 350 pixels wide: each point of a letter's size is then one of them.
WIDTH = 4.8

# What stays legible on top of a line.
_GROUND = {"facecolor": "white", "edgecolor": "none", "pad": 1.5}
_LETTERS = 42  # that fit into the width of a figure's axes
# Ticks so close that one label would stand over the other.
_SLANTED = {"rotation": 45, "ha": "right", "rotation_mode": "anchor"}


def use_course_style():
    """Set the look of every figure of a notebook: call it once, at the top."""
    sns.set_theme(style="whitegrid", palette=COLORS)
    mpl.rcParams.update(
        {
            "figure.dpi": 120,
            "savefig.pad_inches": 0.03,
            "font.size": 11,
            "axes.labelsize": 11,
            "axes.titlesize": 11,
            "axes.titleweight": "bold",
            "legend.fontsize": 11,
            "legend.columnspacing": 1.2,
            "legend.handlelength": 1.8,
            "xtick.labelsize": 11,
            "ytick.labelsize": 11,
            "axes.formatter.use_mathtext": False,
            # Names from data may hold a dollar sign, which would start a formula.
            "text.parse_math": False,
        }
    )


def new_figure(height, n_rows=1, n_columns=1, **options):
    """Return a figure of the common width, which no notebook shows twice, and its axes."""
    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    return figure, figure.subplots(n_rows, n_columns, **options)


def plot_distributions(tables, unit):
    """
    Histograms: one row a feature, one column a way of looking at it.

    Parameters
    ----------
    tables : dict of str to DataFrame of shape (n_samples, n_features)
        Title of the column -> the same features.
    unit : str
        What is counted, for the axis: "customers".

    Returns
    -------
    Figure
    """
    features = list(next(iter(tables.values())).columns)
    figure, axes = new_figure(1.7 * len(features), len(features), len(tables), squeeze=False)
    for column, (title, table) in enumerate(tables.items()):
        axes[0, column].set_title(_wrapped(title, _LETTERS // len(tables)))
        for row, feature in enumerate(features):
            ax = axes[row, column]
            values = table[feature].to_numpy(dtype=float)
            if np.ptp(values) <= 1e-9 * np.abs(values).max():
                # Between sums that differ by rounding only there is no room for bins.
                values = np.full_like(values, values[0])
            ax.hist(values, bins=40, color=COLORS[0], edgecolor="white", linewidth=0.3)
            ax.set(xlabel=feature, ylabel=unit if column == 0 else "")
            for axis in (ax.xaxis, ax.yaxis):
                axis.set_major_locator(MaxNLocator(3))
                axis.set_major_formatter(FuncFormatter(_short))
    return figure


def plot_k_evidence(evidence, chosen):
    """
    Three measures over the number of clusters, one above the other; a line marks the chosen one.

    Parameters
    ----------
    evidence : DataFrame
        From ``sweep_k``.
    chosen : int
        The K in use.

    Returns
    -------
    Figure
    """
    figure, axes = new_figure(6.4, 3, sharex=True)
    panels = [
        ("silhouette", "Silhouette (higher is better)", MARKERS[0]),
        ("davies_bouldin", "Davies-Bouldin (lower is better)", MARKERS[1]),
        ("inertia", "Inertia (always falls)", MARKERS[2]),
    ]
    for ax, (column, title, marker) in zip(axes, panels, strict=True):
        ax.plot(evidence.index, evidence[column], marker=marker, color=COLORS[0], linewidth=2)
        ax.axvline(chosen, color=ACCENT, linestyle="--")
        ax.set_title(title)
        ax.yaxis.set_major_formatter(FuncFormatter(_short))
    axes[-1].set_ylim(bottom=0)
    axes[0].errorbar(
        evidence.index,
        evidence["silhouette"],
        yerr=2 * evidence["silhouette_se"],
        fmt="none",
        color=COLORS[0],
        capsize=4,
    )
    # On that side of the line where there is more room, and below the curve.
    side, alignment = (1, "left") if chosen <= np.mean(evidence.index) else (-1, "right")
    axes[0].margins(y=0.2)
    axes[0].annotate(
        f"K = {chosen}",
        (chosen, 0),
        xycoords=("data", "axes fraction"),
        xytext=(6 * side, 4),
        textcoords="offset points",
        ha=alignment,
        color=ACCENT,
        weight="bold",
    )
    axes[-1].set_xlabel("Number of clusters K")
    axes[-1].xaxis.set_major_locator(MaxNLocator(integer=True))
    return figure


def plot_with_control(values, control, label, thresholds=None, control_label="without structure"):
    """
    A value for each cluster, and the range of a control without structure as a band.

    Parameters
    ----------
    values : Series
        One number a cluster, indexed by its name.
    control : Series or array
        The same measure on data without structure.
    label : str
        What is measured.
    thresholds : dict of str to float, optional
        Name -> value of lines to draw.
    control_label : str, default="without structure"
        What the band is called.

    Returns
    -------
    Figure
    """
    figure, ax = new_figure(1.2 + 0.45 * len(values))
    names = [_wrapped(name) for name in values.index]
    low, high = float(np.min(control)), float(np.max(control))
    band = {"facecolor": (ACCENT, 0.25), "edgecolor": ACCENT, "linewidth": 1}
    ax.axvspan(low, max(high, low + 0.004), **band, label=control_label)
    ax.hlines(names, 0, values, color=COLORS[0], linewidth=2)
    ax.plot(values, names, "o", color=COLORS[0], markersize=9)
    ax.invert_yaxis()
    styles = itertools.cycle(["--", ":", "-."])
    for (name, value), style in zip((thresholds or {}).items(), styles, strict=False):
        ax.axvline(value, color="black", linestyle=style, label=f"{name} ({value:g})")
    for row, value in enumerate(values):
        # In a column of their own, where no line crosses them.
        ax.text(1.03, row, f"{value:.2f}", va="center", transform=ax.get_yaxis_transform())
    lowest, highest = min(0, low, float(values.min())), max(1, high, float(values.max()))
    ax.set(xlabel=label, xlim=(1.03 * lowest, 1.03 * highest))
    put_legend_below(figure, ax)
    return figure


def plot_scatter_3d(points, clusters, ticks, labels):
    """
    Clusters in three dimensions.

    Parameters
    ----------
    points : array of shape (n_samples, 3)
    clusters : Categorical of shape (n_samples,)
        Name of each point's cluster; the order of the categories chooses colours and markers.
    ticks : sequence of 3 dicts of float to str
        Position -> text of the ticks of each axis.
    labels : sequence of 3 str
        Axis labels, with units.

    Returns
    -------
    Figure
    """
    points = np.asarray(points)
    figure = Figure(figsize=(WIDTH, 4.4), layout="constrained")
    ax = figure.add_subplot(projection="3d", computed_zorder=False)
    # Shading by depth would make the far ones pale.
    _draw_points(ax, points, clusters, depthshade=False)
    for axis, label, places in zip((ax.xaxis, ax.yaxis, ax.zaxis), labels, ticks, strict=True):
        axis.set_label_text(label)
        axis.labelpad = 4 + 1.5 * max(map(len, places.values()), default=0)
        axis.set_ticks(list(places), list(places.values()))
    ax.view_init(elev=22, azim=-125)
    ax.set_box_aspect(None, zoom=0.9)
    put_legend_below(figure, ax)
    return figure


def plot_projection(points, clusters, explained):
    """
    Clusters on the first two principal components.

    Parameters
    ----------
    points : array of shape (n_samples, 2)
    clusters : Categorical of shape (n_samples,)
        Name of each point's cluster; the order of the categories chooses colours and markers.
    explained : sequence of 2 floats
        Share of the variance that each component explains.

    Returns
    -------
    Figure
    """
    points = np.asarray(points)
    figure, ax = new_figure(4.1)
    _draw_projection(ax, points, clusters, explained)
    put_legend_below(figure, ax)
    return figure


def plot_segments_at_k(points, labels, evidence, explained):
    """
    Clusters on two principal components, above the silhouette of every K: one frame of several.

    Parameters
    ----------
    points : array of shape (n_samples, 2)
        Of more than 400 of a cluster some are not drawn, since a page has many frames.
    labels : int array of shape (n_samples,)
        Colours and markers follow from the numbers; the share of each cluster stands in its middle.
    evidence : DataFrame
        From ``sweep_k``. The K among them that equals the number of clusters is marked.
    explained : sequence of 2 floats
        Share of the variance that each component explains.

    Returns
    -------
    Figure
    """
    figure, (above, below) = new_figure(5.2, 2, height_ratios=[3, 1])
    names, counts = np.unique(labels, return_counts=True)
    points = np.asarray(points)
    shown = _at_most(400, labels)
    clusters = pd.Categorical(labels[shown], categories=names)
    _draw_projection(above, points[shown], clusters, explained)
    _hold(above, points)
    for name, count in zip(names, counts, strict=True):
        _annotate(above, f"{count / len(labels):.0%}", np.median(points[labels == name], axis=0))
    below.plot(evidence.index, evidence["silhouette"], "-o", color=COLORS[0])
    below.axvline(len(names), color=ACCENT, linestyle="--")
    below.set(xlabel="Number of clusters K", ylabel="silhouette")
    below.xaxis.set_major_locator(MaxNLocator(integer=True))
    return figure


def plot_flows_at_eps(points, groups, curve, eps, explained):
    """
    Flows on two principal components, above the k-distances that eps cuts: one frame of several.

    Parameters
    ----------
    points : array of shape (n_samples, 2)
        Of more than 600 of a group some are not drawn, since a page has many frames.
    groups : Categorical of shape (n_samples,)
        Later ones are drawn on top.
    curve : float array of shape (n_samples,)
        The k-distances of all rows, ascending.
    eps : float
    explained : sequence of 2 floats
        Share of the variance that each component explains.

    Returns
    -------
    Figure
    """
    figure, (above, below) = new_figure(5.2, 2, height_ratios=[3, 1])
    drawn = _at_most(600, groups.codes)
    points = np.asarray(points)
    _draw_projection(above, points[drawn], groups[drawn], explained)
    _hold(above, points)
    shown = np.unique(np.linspace(0, len(curve) - 1, 300).astype(int))
    positive = shown[curve[shown] > 0]
    below.plot(positive / max(len(curve) - 1, 1), curve[positive], color=COLORS[0], linewidth=2)
    below.axhline(eps, color=ACCENT, linestyle="--")
    below.set(xlabel="share of the flows, from the densest on", ylabel="k-distance", yscale="log")
    below.xaxis.set_major_formatter(FuncFormatter(_percent))
    below.yaxis.set_major_formatter(FuncFormatter(_short))
    put_legend_below(figure, above)
    return figure


def _at_most(number, labels):
    """Return positions, in order, with no more than a number of each label, evenly spaced."""
    order = np.argsort(labels, kind="stable")
    groups = np.split(order, np.flatnonzero(np.diff(labels[order])) + 1)
    return np.sort(np.concatenate([group[:: -(-len(group) // number)] for group in groups]))


def _draw_projection(ax, points, clusters, explained):
    """Draw clusters on two principal components."""
    _draw_points(ax, points, clusters)
    ax.set(
        xlabel=f"PC1 ({explained[0]:.1%} of the variance)",
        ylabel=f"PC2 ({explained[1]:.1%} of the variance)",
    )


def _hold(ax, points):
    """Give axes the limits of all points, so that frames do not jump with those that are drawn."""
    low, high = points.min(axis=0), points.max(axis=0)
    room = 0.05 * np.where(high > low, high - low, 1.0)
    for fix, *limits in zip((ax.set_xlim, ax.set_ylim), low - room, high + room, strict=True):
        fix(*limits)


def _annotate(ax, text, place):
    """Write on a white ground, so that no point makes it illegible."""
    ax.annotate(text, place, ha="center", va="center", bbox={**_GROUND, "alpha": 0.85})


def _draw_points(ax, points, clusters, **options):
    """Draw each cluster in its colour and marker, opaque, with an edge that keeps dots apart."""
    edge = {"edgecolors": "white", "linewidths": 0.15}
    for name, color, marker, mask in _styles(clusters):
        ax.scatter(*points[mask].T, s=22, c=color, marker=marker, label=name, **edge, **options)


def _styles(clusters):
    """Yield name, colour, marker and mask of each cluster, in the order of the categories."""
    for place, name in enumerate(clusters.categories):
        # The second ten have the colours of the first, each with the next marker.
        marker = (place + place // len(COLORS)) % len(MARKERS)
        yield name, COLORS[place % len(COLORS)], MARKERS[marker], np.asarray(clusters == name)


def put_legend_below(figure, ax):
    """
    Put the legend of some axes under all of them, and make the figure as much taller.

    Parameters
    ----------
    figure : Figure
    ax : Axes
        What it draws has labels. Long ones leave the legend fewer columns.
    """
    handles, names = ax.get_legend_handles_labels()
    names = [_wrapped(name, _LETTERS) for name in names]
    style = _legend_style(names)
    legend = figure.legend(handles, names, loc="outside lower center", **style)
    n_lines = sum(name.count("\n") + 1 for name in names) / style["ncols"]
    figure.set_figheight(figure.get_figheight() + 0.22 * np.ceil(n_lines))
    for handle in legend.legend_handles:
        if isinstance(handle, PathCollection):
            # Large enough to be told apart.
            handle.set_sizes([60])


def _legend_style(names):
    """Return the options of a legend: its columns are as many as the longest name leaves."""
    longest = max((len(line) for name in names for line in name.split("\n")), default=0)
    return {"ncols": min(3, max(1, 54 // (longest + 6))), "frameon": False}


def _wrapped(text, n_letters=15):
    """Break a name from the data into lines, so that it leaves room for what it names."""
    return "\n".join(textwrap.wrap(str(text), n_letters))


def _short(value, _=None):
    """Return a number as people say it: 30 k, and not 30000."""
    # Below one, thousandths with a letter would be misread.
    return EngFormatter(sep=" ")(value) if abs(value) >= 1000 else f"{value:.6g}"


def _percent(value, _=None):
    """Return a share as a percentage, with as many digits as it takes."""
    return f"{round(100 * value, 4) + 0.0:g}%"


def plot_heatmap(positions, texts, label="position in the base"):
    """
    A table as colours: how far each cluster stands up or down, with the values written in.

    Parameters
    ----------
    positions : DataFrame of shape (n_clusters, n_features)
        0 (low) to 1 (high): what the colour shows.
    texts : DataFrame of str, of the same shape
        What is written.
    label : str, default="position in the base"
        What the colour means.

    Returns
    -------
    Figure
    """
    upright = len(positions.columns) > 4
    figure, ax = new_figure(1.5 + 0.8 * upright + 0.42 * len(positions))
    sns.heatmap(
        positions.rename(_wrapped).rename(lambda name: _wrapped(name, 12), axis=1),
        annot=texts,
        fmt="",
        # Light enough at its darkest for dark text.
        cmap=sns.light_palette("#56b4e9", as_cmap=True),
        annot_kws={"color": "black"},
        vmin=0,
        vmax=1,
        linewidths=1,
        ax=ax,
        cbar_kws={
            "label": _wrapped(label, _LETTERS),
            "orientation": "horizontal",
            "aspect": 30,
            "pad": 0.02,
        },
    )
    ax.set(xlabel="", ylabel="")
    ax.tick_params(axis="x", rotation=90 * upright)
    ax.tick_params(axis="y", rotation=0)
    return figure


def plot_shares(shares, label):
    """
    Pairs of bars that compare shares: of customers against revenue, say.

    Parameters
    ----------
    shares : DataFrame of shape (n_clusters, 2)
        Shares from 0 to 1, one column a kind: two, for there are two hatchings.
    label : str
        Axis label.

    Returns
    -------
    Figure
    """
    figure, ax = new_figure(0.9 + 0.6 * len(shares))
    _draw_shares(ax, shares, label, shares.to_numpy().max())
    put_legend_below(figure, ax)
    return figure


def _draw_shares(ax, shares, label, largest):
    """Draw pairs of bars, and leave room for the largest share."""
    places = np.arange(len(shares))
    for offset, column, color, hatch in zip(
        (-0.2, 0.2), shares, COLORS[:2], ("", "//"), strict=True
    ):
        bars = ax.barh(
            places + offset, shares[column], 0.38, color=color, hatch=hatch, edgecolor="white"
        )
        bars.set_label(column)
        ax.bar_label(bars, labels=[f"{value:.0%}" for value in shares[column]], padding=3)
    ax.set_yticks(places, [_wrapped(name) for name in shares.index])
    ax.set_ylim(len(shares) - 0.5, -0.5)
    ax.set(xlabel=label, xlim=(0, min(1.0, 1.2 * largest)))
    ax.xaxis.set_major_locator(MaxNLocator(4))
    ax.xaxis.set_major_formatter(FuncFormatter(_percent))


def plot_evidence(strength):
    """
    How strong each piece of evidence is, as a multiple of what it takes to count.

    Parameters
    ----------
    strength : Series
        One number of 0 or more a test, indexed by its name; above 1 it counts.

    Returns
    -------
    Figure
    """
    figure, ax = new_figure(1.0 + 0.44 * len(strength))
    _draw_evidence(ax, strength, float(strength.max()))
    return figure


def _draw_evidence(ax, strength, strongest):
    """Draw a bar for each test, and leave room for the strongest evidence."""
    names = [_wrapped(name) for name in strength.index]
    bars = ax.barh(names, strength, 0.6, color=COLORS[0], edgecolor="white")
    for bar, value in zip(bars, strength, strict=True):
        bar.set_hatch("//" if value > 1 else "")
    labels = [f"{value:.1f}{' counts' if value > 1 else ''}" for value in strength]
    ax.bar_label(bars, labels=labels, padding=3, bbox=_GROUND)
    ax.axvline(1, color=ACCENT, linestyle="--")
    ax.invert_yaxis()
    ax.set(xlabel="multiple of what it takes to count", xlim=(0, max(1.6, 1.45 * float(strongest))))


def plot_check(title, strength, shares, label, strongest, largest):
    """
    Evidence of one check above the shares of its clusters: one frame of several.

    Parameters
    ----------
    title : str
    strength : Series
        As for ``plot_evidence``.
    shares : DataFrame of shape (n_clusters, 2)
        As for ``plot_shares``.
    label : str
        Axis label of the shares.
    strongest, largest : float
        The strongest evidence and the largest share of all checks, so that all frames have one
        scale.

    Returns
    -------
    Figure
    """
    heights = [0.9 + 0.42 * len(strength), 0.7 + 0.6 * len(shares)]
    figure, (above, below) = new_figure(0.5 + sum(heights), 2, height_ratios=heights)
    above.set_title(title)
    _draw_evidence(above, strength, strongest)
    _draw_shares(below, shares, label, largest)
    put_legend_below(figure, below)
    return figure


def plot_bins(distributions):
    """
    Shares of the bins of each feature, in two tables side by side.

    Parameters
    ----------
    distributions : dict of str to DataFrame
        Feature -> one row a bin: "from", "to" (its limits), then two columns of shares.

    Returns
    -------
    Figure
    """
    figure, axes = new_figure(2.1 * len(distributions), len(distributions), squeeze=False)
    for ax, (feature, table) in zip(axes[:, 0], distributions.items(), strict=True):
        places = np.arange(len(table))
        for offset, column, color, hatch in zip(
            (-0.2, 0.2), table.columns[2:], COLORS[:2], ("", "//"), strict=True
        ):
            bars = ax.bar(
                places + offset, table[column], 0.38, color=color, hatch=hatch, edgecolor="white"
            )
            bars.set_label(column)
        digits = [f"{value:,.0f}" if value >= 100 else f"{value:,.3g}" for value in table["to"]]
        ax.set_xticks(places, [f"to {value}" for value in digits], **_SLANTED)
        ax.set(title=_wrapped(feature, _LETTERS), ylabel="share")
        ax.yaxis.set_major_locator(MaxNLocator(4))
        ax.yaxis.set_major_formatter(FuncFormatter(_percent))
    put_legend_below(figure, axes[0, 0])
    return figure


def plot_over_time(table, label, limit=None, as_percent=True):
    """
    Values of several periods, one line a column.

    Parameters
    ----------
    table : DataFrame of shape (n_periods, n_lines)
        Indexed by the names of the periods.
    label : str
        Axis label.
    limit : float, optional
        A value to mark with a line.
    as_percent : bool, default=True
        Whether the values are shares, to be written as percentages.

    Returns
    -------
    Figure
    """
    figure, ax = new_figure(3.2)
    periods = [str(period) for period in table.index]
    styles = zip(itertools.cycle(MARKERS), itertools.cycle(COLORS), strict=False)
    for name, (marker, color) in zip(table, styles, strict=False):
        ax.plot(periods, table[name], marker=marker, color=color, linewidth=2, label=str(name))
    if limit is not None:
        ax.axhline(limit, color=ACCENT, linestyle="--", label="what it takes to count")
    ax.set(ylabel=label, ylim=(0, None))
    # Of many periods not each has room for its name.
    ax.set_xticks(range(0, len(periods), -(-len(periods) // 14)))
    for label in ax.get_xticklabels():
        label.set(**_SLANTED)
    ax.yaxis.set_major_formatter(FuncFormatter(_percent) if as_percent else FuncFormatter(_short))
    put_legend_below(figure, ax)
    return figure


def plot_k_distances(curve, eps, min_samples):
    """
    The k-distances of all rows, ascending, and where ``eps`` cuts them.

    Parameters
    ----------
    curve : float array of shape (n_samples,)
        Ascending.
    eps : float
        The value in use.
    min_samples : int
        For the axis.

    Returns
    -------
    Figure
    """
    figure, axes = new_figure(5.2, 2)
    share = np.linspace(0, 1, len(curve))
    core = float(np.mean(curve <= eps))
    # A page needs no million points, and each end of the curve needs its own.
    shown = np.unique(np.linspace(0, len(curve) - 1, 2000).astype(int))
    for ax, title in zip(axes, ("all rows", "the steep end"), strict=True):
        ax.plot(share[shown], curve[shown], color=COLORS[0], linewidth=2)
        ax.axhline(eps, color=ACCENT, linestyle="--", label=f"eps = {eps:.3g}")
        ax.axvline(core, color="black", linestyle=":", label=f"{core:.1%} of the rows are core")
        ax.set(title=title, xlabel="share of the rows")
        ax.set_ylabel(_wrapped(f"distance to neighbour {min_samples}", 20))
        ax.xaxis.set_major_locator(MaxNLocator(5))
        ax.xaxis.set_major_formatter(FuncFormatter(_percent))
    axes[1].set_xlim(max(0.0, 1 - 2 * max(1 - core, 0.01)), 1)
    axes[1].set_ylim(0, max(3 * eps, float(curve[int(0.999 * (len(curve) - 1))])))
    put_legend_below(figure, axes[0])
    return figure


def plot_scatter(points, clusters, labels):
    """
    Two measures of each row on logarithmic axes.

    Parameters
    ----------
    points : array of shape (n_samples, 2)
        From 0 up; zeros are drawn below the smallest other value.
    clusters : Categorical of shape (n_samples,)
        The order of the categories chooses colours and markers; later ones are drawn on top.
    labels : sequence of 2 str
        Axis labels, with units.

    Returns
    -------
    Figure
    """
    points = _above_zero(points)
    figure, ax = new_figure(4.1)
    _draw_points(ax, points, clusters)
    ax.set(xlabel=labels[0], ylabel=labels[1], xscale="log", yscale="log")
    for axis in (ax.xaxis, ax.yaxis):
        _plain_logarithms(axis)
    put_legend_below(figure, ax)
    return figure


def plot_scores(scores, groups, threshold, label):
    """
    Histograms of scores on a logarithmic axis, one row a group, and a threshold.

    Parameters
    ----------
    scores : float array of shape (n_samples,)
        Those of 0 are counted in the title, not drawn.
    groups : Categorical of shape (n_samples,)
    threshold : float
    label : str
        Of the axis.

    Returns
    -------
    Figure
    """
    scores = np.asarray(scores)
    figure, axes = new_figure(
        1.2 + 1.5 * len(groups.categories), len(groups.categories), sharex=True, squeeze=False
    )
    positive = scores[scores > 0]
    bins = np.geomspace(positive.min(), positive.max() * 1.001, 50) if len(positive) else 50
    for ax, (name, color, _, mask) in zip(axes[:, 0], _styles(groups), strict=True):
        ax.hist(scores[mask & (scores > 0)], bins=bins, color=color, edgecolor="white")
        ax.axvline(threshold, color=ACCENT, linestyle="--")
        title = f"{name}: {mask.sum():,}, of them {(mask & (scores == 0)).sum():,} at 0"
        ax.set_title(_wrapped(title, 36))
        ax.set(xscale="log", ylabel="flows")
        ax.xaxis.set_major_formatter(FuncFormatter(_short))
        ax.xaxis.set_minor_formatter(NullFormatter())
        ax.yaxis.set_major_locator(MaxNLocator(4, integer=True))
        ax.yaxis.set_major_formatter(FuncFormatter(_short))
    axes[-1, 0].set_xlabel(_wrapped(label, _LETTERS))
    return figure


def plot_precision_recall(curves, base_rate):
    """
    Precision against recall, one line a method.

    Parameters
    ----------
    curves : dict of str to tuple of two arrays
        Name -> precision and recall, as ``sklearn.metrics.precision_recall_curve`` gives them.
    base_rate : float
        Precision of alerts drawn by lot.

    Returns
    -------
    Figure
    """
    figure, ax = new_figure(3.8)
    styles = itertools.cycle(zip(COLORS, LINE_STYLES, strict=False))
    for (name, (precision, recall)), (color, style) in zip(curves.items(), styles, strict=False):
        recall, precision = _without_betweens(np.asarray(recall), np.asarray(precision))
        look = {"color": color, "linestyle": style, "linewidth": 2}
        ax.step(recall, precision, where="post", label=name, **look)
    ax.axhline(base_rate, color="black", linewidth=1, label=f"by lot ({base_rate:.1%})")
    ax.set(
        xlabel="recall: attacks that raise an alert",
        ylabel="precision: alerts that are attacks",
        xlim=(0, 1.01),
        ylim=(0, 1.03),
    )
    put_legend_below(figure, ax)
    return figure


def _without_betweens(x, y):
    """Return the corners of a line of steps alone: many thousands lie on the way straight up."""
    changes = np.diff(x) != 0
    corners = np.append(True, changes) | np.append(changes, True)
    return x[corners], y[corners]


def plot_weighted_points(points, weights, labels, axes_labels):
    """
    Points that stand for many on logarithmic axes, each as large as what it stands for.

    Parameters
    ----------
    points : array of shape (n_points, 2)
        From 0 up; zeros are drawn below the smallest other value.
    weights : array of shape (n_points,)
        The area of a dot grows with its square root, or one point would hide the others.
    labels : Categorical of shape (n_points,)
        The order of the categories chooses colours and markers.
    axes_labels : sequence of 2 str
        With units.

    Returns
    -------
    Figure
    """
    points, weights = _above_zero(points), np.asarray(weights, dtype=float)
    areas = 3 + 60 * np.sqrt(weights / weights.max())
    figure, ax = new_figure(4.1)
    for name, color, marker, mask in _styles(labels):
        # Dots show through, but for their edges.
        dots = {"s": areas[mask], "facecolors": (color, 0.4), "edgecolors": color}
        ax.scatter(*points[mask].T, marker=marker, linewidths=0.7, label=name, **dots)
    ax.set(xlabel=axes_labels[0], ylabel=axes_labels[1], xscale="log", yscale="log")
    for axis in (ax.xaxis, ax.yaxis):
        _plain_logarithms(axis)
    put_legend_below(figure, ax)
    return figure


def plot_growth(runs, by, size, costs, levels=None):
    """
    What grows with size and what should not: one panel a measure, one marker a way.

    Parameters
    ----------
    runs : DataFrame
        One row a run.
    by : str
        Column with the name of the way. Their order chooses colours and markers: that of the
        categories if it is categorical, else that of appearance.
    size : str
        Column with the size, which is the label of the axis too.
    costs : dict of str to str
        Column -> label. Drawn on logarithmic axes, with the power of the size that fits best
        where a way has three sizes or more; the legend tells the exponent.
    levels : dict of str to str, optional
        The same for what is no cost, such as quality: not logarithmic, without a fit.

    Returns
    -------
    Figure
    """
    measures = costs | (levels or {})
    known = runs[by].cat.categories if runs[by].dtype == "category" else runs[by].unique()
    styles = itertools.cycle(zip(COLORS, MARKERS, strict=True))
    looks = dict(zip(known, styles, strict=False))
    ways = [way for way in known if (runs[by] == way).any()]
    figure, axes = new_figure((2.9 + 0.2 * len(ways)) * len(measures), len(measures), squeeze=False)
    below_label = ScaledTranslation(0, -0.55, figure.dpi_scale_trans)
    for ax, (column, label) in zip(axes[:, 0], measures.items(), strict=True):
        for way in ways:
            color, marker = looks[way]
            table = runs[runs[by] == way].sort_values(size)
            name, sizes, values = way, table[size].to_numpy(float), table[column].to_numpy(float)
            if column in costs and len(np.unique(sizes)) > 2:
                slope, offset = np.polyfit(np.log(sizes), np.log(values), 1)
                ends = sizes[[0, -1]]
                ax.plot(ends, np.exp(offset) * ends**slope, color=color, linewidth=1)
                name = f"{way} (exponent {round(slope, 2) + 0.0:.2f})"
            ax.plot(sizes, values, marker, color=color, label=name)
        ax.set(ylabel=label, xlabel=size, xscale="log")
        _plain_logarithms(ax.xaxis)
        if column in costs:
            ax.set_yscale("log")
            _plain_logarithms(ax.yaxis)
        _, names = ax.get_legend_handles_labels()
        place = {"bbox_to_anchor": (0, 0), "bbox_transform": ax.transAxes + below_label}
        ax.legend(loc="upper left", **place, **_legend_style(names))
    return figure


def _above_zero(points):
    """Points for logarithmic axes: these have no place for zeros, which are put below the rest."""
    points = np.asarray(points, dtype=float)
    smallest = np.where(points > 0, points, np.inf).min(axis=0, initial=1e300)
    return np.maximum(points, smallest / 3)


def _plain_logarithms(axis):
    """Label a logarithmic axis with numbers as people write them."""
    low, high = axis.get_view_interval()
    # Decades alone would leave a short axis with a single number.
    steps = (1.0, 2.0, 5.0) if high / low < 1_000 else (1.0,)
    axis.set_major_locator(LogLocator(subs=steps, numticks=7))
    axis.set_major_formatter(FuncFormatter(_short))
    axis.set_minor_locator(NullLocator())
