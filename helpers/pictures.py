"""Figures of images and their colours, in the look of ``helpers.figures``."""

import numpy as np
from matplotlib.figure import Figure

from helpers.figures import COLORS, MARKERS, WIDTH, new_figure, put_legend_below

# More pixels than a page can show only make it heavy.
_LONGEST_SIDE = 640


def plot_images(images, n_columns=2):
    """
    Images side by side, each with its title.

    Parameters
    ----------
    images : dict of str to uint8 array of shape (height, width, 3 or 4)
        Of larger ones some rows and columns are left out; no colours are mixed.
    n_columns : int, default=2

    Returns
    -------
    Figure
    """
    n_rows = -(-len(images) // n_columns)
    height, width = next(iter(images.values())).shape[:2]
    tall = WIDTH / n_columns * min(max(height / width, 0.2), 2) + 0.35
    figure, axes = new_figure(n_rows * tall, n_rows, n_columns, squeeze=False)
    for ax in axes.flat:
        ax.axis("off")
    for ax, (title, image) in zip(axes.flat, images.items(), strict=False):
        step = max(1, -(-max(image.shape[:2]) // _LONGEST_SIDE))
        ax.imshow(image[::step, ::step], interpolation="nearest")
        ax.set_title(title)
    return figure


def plot_color_space(colors, counts, palette):
    """
    Colours as points in a cube of red, green and blue, and a palette among them.

    Parameters
    ----------
    colors : uint8 array of shape (n_colors, 3)
    counts : int array of shape (n_colors,)
        Pixels of each colour: what is frequent is drawn larger.
    palette : uint8 array of shape (n_palette, 3)
        Drawn as large squares.

    Returns
    -------
    Figure
    """
    figure = Figure(figsize=(WIDTH, 4.6), layout="constrained")
    ax = figure.add_subplot(projection="3d", computed_zorder=False)
    shown = np.linspace(0, len(colors) - 1, min(len(colors), 4000)).astype(int)
    sizes = 8 + 80 * np.sqrt(counts[shown] / counts.max())
    ax.scatter(*colors[shown].T, c=colors[shown] / 255, s=sizes, linewidths=0)
    ax.scatter(
        *palette.T, c=palette / 255, s=140, marker="s", edgecolors="black", linewidths=1.5, zorder=5
    )
    for axis, name in zip((ax.xaxis, ax.yaxis, ax.zaxis), ("red", "green", "blue"), strict=True):
        axis.set_label_text(name)
        axis.set_ticks([0, 100, 200])
        axis.labelpad = 8
    ax.set(xlim=(0, 255), ylim=(0, 255), zlim=(0, 255))
    ax.view_init(elev=20, azim=-60)
    ax.set_box_aspect(None, zoom=0.85)
    return figure


def plot_palettes(palettes):
    """
    Palettes as strips, each colour as wide as its share of the pixels.

    Parameters
    ----------
    palettes : dict of str to tuple of uint8 array of shape (n_colors, 3) and array of shares
        Title -> colours and how much of the image each has.

    Returns
    -------
    Figure
    """
    figure, axes = new_figure(0.6 + 0.55 * len(palettes), len(palettes), squeeze=False)
    for ax, (title, (palette, shares)) in zip(axes[:, 0], palettes.items(), strict=True):
        starts = np.cumsum(shares) - shares
        ax.barh(0, shares, left=starts, color=palette / 255, height=1, linewidth=0)
        ax.set(xlim=(0, 1), ylim=(-0.5, 0.5), yticks=[], xticks=[])
        ax.set_ylabel(title, rotation=0, ha="right", va="center")
    return figure


def plot_rate_distortion(tables):
    """
    Quality over size, one panel an image, one line a method: up and to the left is better.

    Parameters
    ----------
    tables : dict of str to DataFrame
        Title -> table with "method", "bits per pixel" and "PSNR". What is without any error, and so
        has no finite PSNR, stands on a dotted line at the top.

    Returns
    -------
    Figure
    """
    figure, axes = new_figure(3.2 * len(tables), len(tables), squeeze=False)
    for ax, (title, table) in zip(axes[:, 0], tables.items(), strict=True):
        finite = table["PSNR"][np.isfinite(table["PSNR"])]
        top = max(60.0, 1.05 * float(finite.max())) if len(finite) else 60.0
        if len(finite) < len(table):
            ax.axhline(top, color="black", linestyle=":", linewidth=1)
            place = {"xycoords": ("axes fraction", "data"), "textcoords": "offset points"}
            ax.annotate("no error", (0, top), (6, 2), **place)
        for (method, rows), color, marker in zip(
            table.groupby("method", sort=False), COLORS, MARKERS, strict=False
        ):
            rows = rows.sort_values("bits per pixel")
            heights = rows["PSNR"].clip(upper=top)
            ax.plot(
                rows["bits per pixel"],
                heights,
                color=color,
                marker=marker,
                linestyle="" if method == "source" else "-",
                label=method,
                markersize=8,
                clip_on=False,
            )
        ax.set(title=title, xlabel="bits per pixel", ylabel="PSNR (dB)")
        if len(finite) < len(table):
            ax.set_ylim(top=top * 1.06)
        ax.set_xlim(left=0)
    put_legend_below(figure, axes[0, 0])
    return figure
