"""Palettes by k-means: choosing colours, writing indexed images, measuring what was saved and lost.

An image has far fewer colours than pixels. So the colours are counted first and clustered after,
with their counts as weights: the same sums for a fraction of the work.
"""

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image
from scipy.spatial import KDTree
from skimage.color import lab2rgb, rgb2lab
from skimage.metrics import structural_similarity
from sklearn.base import BaseEstimator
from sklearn.cluster import KMeans
from sklearn.utils.validation import check_is_fitted
from threadpoolctl import threadpool_limits

from helpers.files import replacing

COLOR_SPACES = ("srgb", "lab")
MOST_COLORS = 256  # what one byte can tell apart, and what PNG, GIF and Pillow allow
MOST_JPEG = 65_500  # pixels a side, and what libjpeg allows

# Restarts run on cells of a colour cube cut into 32 parts a side; more colours than this have them.
_MANY_COLORS = 5_000
_CELL_BITS = 3
_RESTARTS = 20
_PIXELS_TOGETHER = 1 << 22
_SORTED_PIXELS = 1 << 20  # sorting so many takes less time than a table of all colours


class PaletteQuantizer(BaseEstimator):
    """
    The few colours that replace all colours of an image with the least squared error.

    The distinct colours are clustered by k-means, each weighted with its pixels. Many restarts
    run on a histogram of the colours (mean colour and pixels of each of its cells); the best is
    refined on the exact colours. The palette is rounded, not cut off, to whole numbers.

    Parameters
    ----------
    n_colors : int, default=16
        1 to 256. With as many as the image has, nothing is lost; with more, none is added. From
        2 on, full transparency is one of them where it occurs, so it stays where it was.
    color_space : {"srgb", "lab"}, default="srgb"
        Where distances are measured: in the file's own numbers, which is what squared error
        counts, or in CIELAB, which is closer to what eyes see.
    dither : bool, default=False
        Whether ``transform`` spreads the error over neighbouring pixels (Floyd and Steinberg, by
        Pillow). Opaque images only.
    random_state : int, RandomState instance or None, default=42

    Attributes
    ----------
    palette_ : uint8 array of shape (n_palette, 3 or 4)
        Distinct colours, dark to light; with an alpha channel if the image has one.
    n_distinct_ : int
        Colours of the image that was fitted.

    References
    ----------
    Celebi (2011), "Improving the performance of k-means for color quantization", Image and Vision
    Computing 29(4). Arthur and Vassilvitskii (2007), "k-means++", SODA, for the starts.

    Examples
    --------
    >>> image = np.zeros((2, 3, 3), dtype=np.uint8)
    >>> image[0, 0] = [250, 0, 0]
    >>> quantizer = PaletteQuantizer(n_colors=2).fit(image)
    >>> quantizer.palette_.tolist(), quantizer.transform(image).tolist()
    ([[0, 0, 0], [250, 0, 0]], [[1, 0, 0], [0, 0, 0]])
    """

    def __init__(self, n_colors=16, color_space="srgb", dither=False, random_state=42):
        self.n_colors = n_colors
        self.color_space = color_space
        self.dither = dither
        self.random_state = random_state

    def fit(self, image, y=None):
        """
        Choose the palette.

        Parameters
        ----------
        image : uint8 array of shape (height, width, 3 or 4)
        y : ignored

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If the image or a parameter is not of the kind above.
        """
        image = _checked(image)
        if self.n_colors not in range(1, MOST_COLORS + 1):
            raise ValueError(f"n_colors is {self.n_colors!r}. Use 1 to {MOST_COLORS}.")
        if self.color_space not in COLOR_SPACES:
            raise ValueError(f"color_space is {self.color_space!r}. Use one of {COLOR_SPACES}.")
        colors, counts, _ = _count_colors(image)
        self.n_distinct_ = len(colors)
        palette = colors
        if len(colors) > self.n_colors:
            # Full transparency is the first colour if there is any. It keeps a place of its own:
            # a mean of it and of opaque colours would make the opaque ones transparent too.
            kept = int(self.n_colors > 1 and colors.shape[1] == 4 and colors[0, 3] == 0)
            points = _coordinates(colors, self.color_space)
            centers = self._centers(
                int(self.n_colors) - kept, colors[kept:], points[kept:], counts[kept:]
            )
            palette = np.vstack([colors[:kept], _colors(centers, self.color_space)])
        palette = np.unique(palette, axis=0)
        brightness = palette @ np.array([0.299, 0.587, 0.114, 0.0])[: palette.shape[1]]
        self.palette_ = palette[np.argsort(brightness, kind="stable")]
        return self

    def _centers(self, n_centers, colors, points, counts):
        """Return the centres of k-means: many starts on cells, the best refined on all colours."""
        rows, weights = points, counts
        if len(points) > _MANY_COLORS:
            sides = (256 >> _CELL_BITS) ** np.arange(colors.shape[1])
            _, cell = np.unique((colors >> _CELL_BITS) @ sides[::-1], return_inverse=True)
            weights = np.bincount(cell, counts)
            sums = [np.bincount(cell, counts * feature) for feature in points.T]
            rows = np.column_stack(sums) / weights[:, np.newaxis]
        if len(rows) <= n_centers:
            rows, weights = points, counts
        start = KMeans(n_centers, n_init=_RESTARTS, random_state=self.random_state)
        # One thread: the sums, and so the palette, are the same on any number of cores.
        with threadpool_limits(1):
            centers = start.fit(rows, sample_weight=weights).cluster_centers_
            refined = KMeans(n_centers, init=centers, n_init=1)
            return refined.fit(points, sample_weight=counts).cluster_centers_

    def transform(self, image):
        """
        Place of each pixel's colour in the palette.

        Parameters
        ----------
        image : uint8 array of shape (height, width, n_channels)
            The image that was fitted, or another with as many channels.

        Returns
        -------
        uint8 array of shape (height, width)
            Nearest palette colour, or with ``dither`` one that evens out its neighbours' errors.

        Raises
        ------
        ValueError
            If the channels are not those of the palette, or transparent pixels are to be dithered.
        """
        check_is_fitted(self)
        image = _checked(image)
        if image.shape[2] != self.palette_.shape[1]:
            raise ValueError(
                f"The image has {image.shape[2]} channels, the palette {self.palette_.shape[1]}. "
                "Fit the quantizer on an image of this kind."
            )
        if self.dither and image.shape[2] == 4:
            raise ValueError("An image with transparent pixels cannot be dithered here.")
        colors, _, to_image = _count_colors(image)
        tree = KDTree(_coordinates(self.palette_, self.color_space))
        nearest = tree.query(_coordinates(colors, self.color_space), workers=-1)[1]
        # Pillow looks colours up coarsely, and would find errors to spread where there are none.
        if self.dither and not np.array_equal(self.palette_[nearest], colors):
            return self._dithered(image)
        return to_image(nearest.astype(np.uint8))

    def _dithered(self, image):
        """Return palette places by Pillow's Floyd-Steinberg dithering."""
        holder = Image.new("P", (1, 1))
        holder.putpalette(self.palette_.tobytes())
        dithered = Image.fromarray(image).quantize(
            palette=holder, dither=Image.Dither.FLOYDSTEINBERG
        )
        return np.asarray(dithered)

    def fit_transform(self, image, y=None):
        """
        Choose the palette and return the place of each pixel's colour in it.

        Parameters
        ----------
        image : uint8 array of shape (height, width, 3 or 4)
        y : ignored

        Returns
        -------
        uint8 array of shape (height, width)
        """
        return self.fit(image).transform(image)

    def inverse_transform(self, indices):
        """
        Colours of palette places.

        Parameters
        ----------
        indices : int array of shape (height, width)

        Returns
        -------
        uint8 array of shape (height, width, 3 or 4)
        """
        check_is_fitted(self)
        return self.palette_[np.asarray(indices)]


def _checked(image):
    """Return the image if it is one."""
    image = np.asarray(image)
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] not in (3, 4) or not image.size:
        raise ValueError(
            f"Expected a uint8 array of shape (height, width, 3 or 4), not {image.dtype} of shape "
            f"{image.shape}. Read the image with read_image."
        )
    return image


def count_colors(image):
    """
    Distinct colours of an image and the number of pixels of each.

    Parameters
    ----------
    image : uint8 array of shape (height, width, 3 or 4)
        The colour of fully transparent pixels does not count.

    Returns
    -------
    colors : uint8 array of shape (n_distinct, 3 or 4)
    counts : int array of shape (n_distinct,)

    Examples
    --------
    >>> colors, counts = count_colors(np.zeros((2, 3, 3), dtype=np.uint8))
    >>> colors.tolist(), counts.tolist()
    ([[0, 0, 0]], [6])
    """
    return _count_colors(_checked(image))[:2]


def _count_colors(image):
    """Return distinct colours, their pixels, and what turns values of colours into an image."""
    shape, channels = image.shape[:2], image.shape[2]
    codes = np.zeros(image.size // channels, dtype=np.uint32)
    for channel in np.moveaxis(image, 2, 0):
        codes = (codes << 8) | channel.reshape(-1)
    if channels == 4:
        codes[codes & 255 == 0] = 0
    by_sorting = channels == 4 or len(codes) <= _SORTED_PIXELS
    if by_sorting:
        found, place, counts = np.unique(codes, return_inverse=True, return_counts=True)
    else:
        # Every colour has a place in one table: no sorting of pixels, however many there are.
        table = np.zeros(1 << 24, dtype=np.int64)
        for start in range(0, len(codes), _PIXELS_TOGETHER):
            part = np.bincount(codes[start : start + _PIXELS_TOGETHER])
            table[: len(part)] += part
        found = np.flatnonzero(table)
        counts = table[found]
    shifts = range(8 * channels - 8, -1, -8)
    colors = np.column_stack([(found >> shift) & 255 for shift in shifts]).astype(np.uint8)

    def to_image(values):
        if by_sorting:
            return values[place].reshape(shape)
        by_code = np.zeros(1 << 24, dtype=values.dtype)
        by_code[found] = values
        return by_code[codes].reshape(shape)

    return colors, counts, to_image


def _coordinates(colors, color_space):
    """Return colours as points: what shines through a transparent colour counts less."""
    points = colors.astype(float)
    if colors.shape[1] == 4:
        points[:, :3] *= points[:, 3:] / 255
    if color_space == "lab":
        points[:, :3] = rgb2lab(points[:, :3] / 255)
    return points


def _colors(points, color_space):
    """Return the colours nearest to points, as ``_coordinates`` makes them."""
    points = points.copy()
    if color_space == "lab":
        points[:, :3] = lab2rgb(points[:, :3]) * 255
    if points.shape[1] == 4:
        points[:, :3] *= 255 / np.maximum(points[:, 3:], 0.5)
    return np.clip(np.rint(points), 0, 255).astype(np.uint8)


def encode_png(indices, palette):
    """
    Indexed PNG: the palette once, then for each pixel as few bits as the palette needs.

    Places in a palette are names and no quantities, so rows are packed as they are. Pillow filters
    rows of 4 bits or fewer as if they were brightness, which makes photographs of up to 16 colours
    about a sixth larger.

    Parameters
    ----------
    indices : uint8 array of shape (height, width)
    palette : uint8 array of shape (n_colors, 3 or 4)

    Returns
    -------
    bytes

    References
    ----------
    "Portable Network Graphics (PNG) Specification", W3C, sections 9.2 and 11.

    Examples
    --------
    >>> content = encode_png(np.zeros((2, 3), np.uint8), np.zeros((1, 3), np.uint8))
    >>> Image.open(io.BytesIO(content)).size
    (3, 2)
    """
    height, width = indices.shape
    bits = next(depth for depth in (1, 2, 4, 8) if 2**depth >= len(palette))
    per_byte = 8 // bits
    places = np.pad(indices, ((0, 0), (0, -width % per_byte))).reshape(height, -1, per_byte)
    shifts = np.arange(8 - bits, -1, -bits, dtype=np.uint8)
    packed = np.bitwise_or.reduce(places << shifts, axis=2)
    rows = np.insert(packed, 0, 0, axis=1).tobytes()  # each row begins with its filter: none
    chunks = [
        (b"IHDR", struct.pack(">IIBBBBB", width, height, bits, 3, 0, 0, 0)),
        (b"PLTE", np.ascontiguousarray(palette[:, :3]).tobytes()),
        (b"tRNS", palette[:, 3].tobytes() if palette.shape[1] == 4 else b""),
        (b"IDAT", min((_deflated(rows, strategy) for strategy in (0, 1)), key=len)),
        (b"IEND", b""),
    ]
    content = b"\x89PNG\r\n\x1a\n"
    for name, data in chunks:
        if data or name == b"IEND":
            content += struct.pack(">I", len(data)) + name + data
            content += struct.pack(">I", zlib.crc32(name + data))
    return content


def _deflated(data, strategy):
    """Return data compressed as hard as zlib can, with one of its strategies."""
    packer = zlib.compressobj(level=9, memLevel=9, strategy=strategy)
    return packer.compress(data) + packer.flush()


def write_palette_image(quantizer, image, path):
    """
    Write an image in the colours of a fitted quantizer, as indexed PNG; return the path.

    Parameters
    ----------
    quantizer : PaletteQuantizer
        Fitted.
    image : uint8 array of shape (height, width, 3 or 4)
    path : str or Path

    Returns
    -------
    Path
    """
    content = encode_png(quantizer.transform(image), quantizer.palette_)
    with replacing(path) as temporary:
        temporary.write_bytes(content)
    return Path(path)


def _encoded(image, kind, **options):
    """Return the bytes of a Pillow image in a format."""
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def on_white(image):
    """
    Show an image with transparent pixels as it looks on white paper.

    Parameters
    ----------
    image : uint8 array of shape (height, width, 3 or 4)

    Returns
    -------
    uint8 array of shape (height, width, 3)
        The image itself if it has no alpha channel.
    """
    if image.shape[2] == 3:
        return image
    alpha = image[..., 3:].astype(np.uint16)
    blended = image[..., :3] * alpha + 255 * (255 - alpha) + 127
    return (blended // 255).astype(np.uint8)


def errors(image, other):
    """
    How far an image is from another: three measures.

    Parameters
    ----------
    image, other : uint8 arrays of shape (height, width, 3 or 4)
        Transparent pixels are compared as they look on white.

    Returns
    -------
    dict of str to float
        "MSE", the squared error summed over the three channels, per pixel, as the literature on
        palettes has it; "PSNR" in decibels (infinite where nothing differs), from the squared
        error per channel; "SSIM", 1 where nothing differs, missing where the image is smaller
        than its window of 7 pixels.

    Raises
    ------
    ValueError
        If the images differ in size.

    References
    ----------
    Wang, Bovik, Sheikh and Simoncelli (2004), "Image quality assessment: from error visibility to
    structural similarity", IEEE Transactions on Image Processing 13(4).

    Examples
    --------
    >>> black = np.zeros((8, 8, 3), dtype=np.uint8)
    >>> {name: round(value, 2) for name, value in errors(black, black + 1).items()}
    {'MSE': 3.0, 'PSNR': 48.13, 'SSIM': 0.87}
    """
    image, other = on_white(_checked(image)), on_white(_checked(other))
    height, width = image.shape[:2]
    if other.shape != image.shape:
        theirs = f"{other.shape[1]} x {other.shape[0]}"
        raise ValueError(
            f"Expected images of one size in pixels, not {width} x {height} and {theirs}."
        )
    # In strips, for the measures need many times the memory of what they look at.
    rows = max(64, (1 << 20) // width)
    strips = [slice(start, start + rows) for start in range(0, height, rows)]
    if len(strips) > 1 and height % rows and height % rows < 7:
        strips[-2:] = [slice(strips[-2].start, height)]
    squares, similar, weights = 0.0, 0.0, 0
    for strip in strips:
        one, two = image[strip], other[strip]
        squares += float(((one.astype(np.int32) - two) ** 2).sum())
        if min(one.shape[:2]) >= 7:
            likeness = structural_similarity(one, two, channel_axis=2, data_range=255)
            similar += float(likeness) * len(one)
            weights += len(one)
    mse = squares / (height * width)
    psnr = 10 * np.log10(255**2 / (mse / 3)) if mse else np.inf
    return {"MSE": mse, "PSNR": float(psnr), "SSIM": similar / weights if weights else np.nan}


def jpeg_of_size(image, n_bytes):
    """
    Best JPEG of at most this size.

    Parameters
    ----------
    image : uint8 array of shape (height, width, 3)
    n_bytes : int

    Returns
    -------
    content : bytes
        The smallest that Pillow makes, if even that is larger.
    quality : int
        Pillow's scale, 1 to 95.

    Raises
    ------
    ValueError
        If the image is larger than a JPEG can be.
    """
    longest = max(image.shape[:2])
    if longest > MOST_JPEG:
        raise ValueError(f"A JPEG has at most {MOST_JPEG:,} pixels a side, not {longest:,}.")
    picture = Image.fromarray(image)
    low, high = 1, 95
    while low < high:
        middle = (low + high + 1) // 2
        if len(_encoded(picture, "JPEG", quality=middle, optimize=True)) <= n_bytes:
            low = middle
        else:
            high = middle - 1
    return _encoded(picture, "JPEG", quality=low, optimize=True), low


def compression_table(
    image, n_colors=(8, 16, 32, 64), *, given=None, dither=False, random_state=42
):
    """
    What palettes of several sizes save and lose, beside JPEGs of the same size.

    Parameters
    ----------
    image : uint8 array of shape (height, width, 3 or 4)
    n_colors : sequence of int or PaletteQuantizer, default=(8, 16, 32, 64)
        Numbers of colours, or quantizers that have been fitted on the image already.
    given : int, optional
        Bytes of the file that the image came from.
    dither : bool, default=False
    random_state : int, default=42

    Returns
    -------
    DataFrame
        A row for the source as PNG (and as given), and for each number of colours one as indexed
        PNG and one as the best JPEG that is no larger. Columns: "method" ("source", "palette",
        "JPEG"), "colors", "bytes", "bits per pixel", "of PNG" (share of the source's bytes as
        PNG), "MSE", "PSNR", "SSIM".
    """
    image = _checked(image)
    flat = on_white(image)
    plain = Image.fromarray(image)
    if image.shape[2] == 3 and (image == image[..., :1]).all():
        plain = plain.convert("L")  # one number a pixel says as much
    source = _encoded(plain, "PNG", optimize=True)
    distinct = len(count_colors(image)[0])
    rows = {"source as PNG": ["source", distinct, len(source), image]}
    if given is not None:
        rows["source as given"] = ["source", distinct, given, image]
    for each in n_colors:
        quantizer = each
        if not isinstance(each, PaletteQuantizer):
            quantizer = PaletteQuantizer(each, dither=dither, random_state=random_state).fit(image)
        indices, k = quantizer.transform(image), quantizer.n_colors
        size = len(encode_png(indices, quantizer.palette_))
        shown = quantizer.inverse_transform(indices)
        rows[f"K = {k}"] = ["palette", len(quantizer.palette_), size, shown]
        jpeg, _ = jpeg_of_size(flat, size)
        with Image.open(io.BytesIO(jpeg)) as picture:
            shown = np.asarray(picture.convert("RGB"))
        rows[f"JPEG like K = {k}"] = ["JPEG", len(count_colors(shown)[0]), len(jpeg), shown]
    pixels = image.shape[0] * image.shape[1]
    return pd.DataFrame(
        {
            name: {
                "method": method,
                "colors": colors,
                "bytes": size,
                "bits per pixel": 8 * size / pixels,
                "of PNG": size / len(source),
                **errors(image, shown),
            }
            for name, (method, colors, size, shown) in rows.items()
        }
    ).T.infer_objects()
