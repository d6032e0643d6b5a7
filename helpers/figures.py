"""The course's figures: legible on a phone, readable without colour, drawn from data alone.

Each function draws on a figure of its own and returns it. A cluster keeps its colour and its
marker from figure to figure, because both follow from its place in the list of names.
"""

import matplotlib as mpl
import numpy as np
import seaborn as sns
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

# Told apart by shape as well; the colours are seaborn's for colour-blind readers.
MARKERS = ["o", "s", "^", "D", "v", "P", "X", "<", ">", "*"]
COLORS = sns.color_palette("colorblind", len(MARKERS))
ACCENT = "#a43a00"

# Wide enough for the page, and still legible when a phone shows it at half its size.
WIDTH = 7.0


def use_course_style():
    """Set the look of every figure of a notebook: call it once, at the top."""
    sns.set_theme(style="whitegrid", palette=COLORS)
    mpl.rcParams.update(
        {
            "figure.dpi": 110,
            "font.size": 12,
            "axes.labelsize": 12,
            "axes.titlesize": 13,
            "axes.titleweight": "bold",
            "legend.fontsize": 11,
            "xtick.labelsize": 11,
            "ytick.labelsize": 11,
            "axes.formatter.use_mathtext": False,
            # Names from data may hold a dollar sign, which would start a formula.
            "text.parse_math": False,
        }
    )


def _new_figure(height, n_rows=1, n_columns=1, **options):
    """Return a figure that no notebook shows twice, and its axes."""
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
    figure, axes = _new_figure(2.0 * len(features), len(features), len(tables), squeeze=False)
    for column, (title, table) in enumerate(tables.items()):
        axes[0, column].set_title(title)
        for row, feature in enumerate(features):
            ax = axes[row, column]
            ax.hist(table[feature], bins=40, color=COLORS[0], edgecolor="white", linewidth=0.3)
            ax.set(xlabel=feature, ylabel=unit if column == 0 else "")
            ax.xaxis.set_major_locator(MaxNLocator(4))
            ax.yaxis.set_major_locator(MaxNLocator(4))
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
    figure, axes = _new_figure(8.0, 3, sharex=True)
    panels = [
        ("silhouette", "Silhouette (higher is better)", MARKERS[0]),
        ("davies_bouldin", "Davies-Bouldin index (lower is better)", MARKERS[1]),
        ("inertia", "Inertia (always falls)", MARKERS[2]),
    ]
    for ax, (column, title, marker) in zip(axes, panels, strict=True):
        ax.plot(evidence.index, evidence[column], marker=marker, color=COLORS[0], linewidth=2)
        ax.axvline(chosen, color=ACCENT, linestyle="--")
        ax.set_title(title)
        ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
    axes[-1].set_ylim(bottom=0)
    axes[0].errorbar(
        evidence.index,
        evidence["silhouette"],
        yerr=2 * evidence["silhouette_se"],
        fmt="none",
        color=COLORS[0],
        capsize=4,
    )
    axes[0].annotate(
        f"K = {chosen}",
        (chosen, 0),
        xycoords=("data", "axes fraction"),
        xytext=(6, 8),
        textcoords="offset points",
        color=ACCENT,
        weight="bold",
    )
    axes[-1].set_xlabel("Number of clusters K")
    axes[-1].xaxis.set_major_locator(MaxNLocator(integer=True))
    return figure


def plot_with_control(values, control, label, thresholds=None):
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

    Returns
    -------
    Figure
    """
    figure, ax = _new_figure(1.8 + 0.45 * len(values))
    names = [str(name) for name in values.index]
    low, high = float(np.min(control)), float(np.max(control))
    ax.axvspan(low, max(high, low + 0.004), color=ACCENT, alpha=0.25, label="without structure")
    ax.hlines(names, 0, values, color=COLORS[0], linewidth=2)
    ax.plot(values, names, "o", color=COLORS[0], markersize=9)
    ax.invert_yaxis()
    for (name, value), style in zip((thresholds or {}).items(), ["--", ":", "-."], strict=False):
        ax.axvline(value, color="black", linestyle=style, label=f"{name} ({value:g})")
    for row, value in enumerate(values):
        ax.annotate(
            f"{value:.2f}",
            (value / 2, row),
            ha="center",
            va="center",
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 2},
        )
    ax.set(xlabel=label, xlim=(0, 1.03))
    figure.legend(loc="outside lower center", ncols=2, frameon=False)
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
    figure = Figure(figsize=(WIDTH, 6.4), layout="constrained")
    ax = figure.add_subplot(projection="3d", computed_zorder=False)
    for name, color, marker, mask in _styles(clusters):
        ax.scatter(*points[mask].T, color=color, marker=marker, s=14, alpha=0.5, label=name)
    for axis, label, places in zip((ax.xaxis, ax.yaxis, ax.zaxis), labels, ticks, strict=True):
        axis.set_label_text(label)
        axis.labelpad = 9
        axis.set_ticks(list(places), list(places.values()))
    ax.view_init(elev=22, azim=-125)
    ax.set_box_aspect(None, zoom=0.85)
    _legend_below(figure, ax)
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
    figure, ax = _new_figure(5.6)
    for name, color, marker, mask in _styles(clusters):
        ax.scatter(*points[mask].T, color=color, marker=marker, s=18, alpha=0.55, label=name)
    ax.set(
        xlabel=f"PC1 ({explained[0]:.1%} of the variance)",
        ylabel=f"PC2 ({explained[1]:.1%} of the variance)",
    )
    _legend_below(figure, ax)
    return figure


def _styles(clusters):
    """Yield name, colour, marker and mask of each cluster, in the order of the categories."""
    for place, name in enumerate(clusters.categories):
        # The second ten have the colours of the first, each with the next marker.
        marker = (place + place // len(COLORS)) % len(MARKERS)
        yield name, COLORS[place % len(COLORS)], MARKERS[marker], np.asarray(clusters == name)


def _legend_below(figure, ax):
    """Put the legend under the axes, with markers large and opaque enough to be told apart."""
    handles, names = ax.get_legend_handles_labels()
    legend = figure.legend(handles, names, loc="outside lower center", ncols=2, frameon=False)
    for handle in legend.legend_handles:
        handle.set_alpha(1)
        handle.set_sizes([60])


def plot_heatmap(positions, texts):
    """
    A table as colours: how far each cluster stands up or down, with the values written in.

    Parameters
    ----------
    positions : DataFrame of shape (n_clusters, n_features)
        0 (low) to 1 (high): what the colour shows.
    texts : DataFrame of str, of the same shape
        What is written.

    Returns
    -------
    Figure
    """
    figure, ax = _new_figure(1.6 + 0.5 * len(positions))
    sns.heatmap(
        positions,
        annot=texts,
        fmt="",
        # Light enough at its darkest for dark text.
        cmap=sns.light_palette("#56b4e9", as_cmap=True),
        annot_kws={"color": "black"},
        vmin=0,
        vmax=1,
        linewidths=1,
        ax=ax,
        cbar_kws={"label": "position in the base"},
    )
    ax.set(xlabel="", ylabel="")
    ax.tick_params(axis="y", rotation=0)
    return figure


def plot_shares(shares, label):
    """
    Pairs of bars that compare shares: of customers against revenue, say.

    Parameters
    ----------
    shares : DataFrame of shape (n_clusters, 2)
        Shares from 0 to 1, one column each kind.
    label : str
        Axis label.

    Returns
    -------
    Figure
    """
    figure, ax = _new_figure(1.8 + 0.7 * len(shares))
    places = np.arange(len(shares))
    for offset, column, color, hatch in zip((-0.2, 0.2), shares, COLORS, ("", "//"), strict=False):
        bars = ax.barh(
            places + offset, shares[column], 0.38, color=color, hatch=hatch, edgecolor="white"
        )
        bars.set_label(column)
        ax.bar_label(bars, labels=[f"{value:.0%}" for value in shares[column]], padding=3)
    ax.set_yticks(places, [str(name) for name in shares.index])
    ax.invert_yaxis()
    ax.set(xlabel=label, xlim=(0, min(1.0, shares.to_numpy().max() * 1.15)))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.0%}"))
    figure.legend(loc="outside lower center", ncols=2, frameon=False)
    return figure
