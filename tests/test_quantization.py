"""Palettes, indexed files and measures, held against Pillow, scikit-image and published numbers."""

import io
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.testing import assert_array_equal
from pandas.testing import assert_frame_equal
from PIL import Image
from skimage.color import deltaE_ciede2000, rgb2lab
from skimage.metrics import mean_squared_error, peak_signal_noise_ratio, structural_similarity
from sklearn.base import clone
from sklearn.cluster import KMeans
from sklearn.datasets import load_sample_image
from sklearn.exceptions import NotFittedError
from threadpoolctl import threadpool_info, threadpool_limits

from helpers import quantization
from helpers.quantization import (
    PaletteQuantizer,
    compression_table,
    count_colors,
    encode_png,
    errors,
    jpeg_of_size,
    on_white,
    write_palette_image,
)

KODAK = Path(__file__).parents[1] / "../shared/data/kodak"
SIZES = [8, 16, 32, 64]
PILLOW_METHODS = [Image.Quantize.MEDIANCUT, Image.Quantize.MAXCOVERAGE, Image.Quantize.FASTOCTREE]


def photograph(name):
    """Pixels of a photograph, without our own reader."""
    if name == "china.jpg":
        return load_sample_image(name)
    path = KODAK / f"{name}.png"
    if not path.exists():
        pytest.skip("the Kodak photographs are not here")
    with Image.open(path) as image:
        return np.asarray(image)


def mse(image, other):
    """Squared error summed over channels, per pixel."""
    return ((image.astype(int) - other) ** 2).sum(axis=-1).mean()


def quantized(image, n_colors, **options):
    """The image in the colours of its palette, and the fitted quantizer."""
    quantizer = PaletteQuantizer(n_colors, **options)
    return quantizer.inverse_transform(quantizer.fit_transform(image)), quantizer


def noise(height, width, channels=3, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, channels), np.uint8)


def few_colors(n_colors, height=30, width=41, channels=3, seed=0):
    """An image in which each of some random colours occurs."""
    rng = np.random.default_rng(seed)
    colors = rng.choice(1 << 24, n_colors, replace=False)
    colors = np.column_stack([colors >> 16, colors >> 8, colors, rng.integers(1, 256, n_colors)])
    places = rng.permutation(np.arange(height * width) % n_colors).reshape(height, width)
    return (colors & 255).astype(np.uint8)[places][..., :channels]


def as_pillow_reads(content, mode):
    """Pixels of an encoded image, in a mode."""
    with Image.open(io.BytesIO(content)) as image:
        return np.asarray(image.convert(mode))


@pytest.fixture(scope="module")
def china():
    return photograph("china.jpg")


@pytest.fixture(scope="module")
def thumbnail(china):
    """160 x 107 pixels of a photograph: thousands of colours, quickly done with."""
    return np.asarray(Image.fromarray(china).resize((160, 107), Image.Resampling.LANCZOS))


@pytest.fixture(scope="module")
def logo():
    """A disc and its shadow that fade into nothing, on hidden colours that differ everywhere."""
    rows, columns = np.mgrid[-50:50, -60:60]
    radius = np.hypot(rows, columns)
    image = noise(100, 120, 4)
    image[..., 3] = np.clip(255 * (48 - radius) / 20, 0, 255)
    image[image[..., 3] > 0, :3] = [200, 30, 60]
    image[(image[..., 3] > 0) & (rows > 10), :3] = [20, 40, 90]
    return image


# PaletteQuantizer: how small the error is


@pytest.mark.parametrize(
    ("name", "n_colors", "reference"),
    [
        *zip(["kodim05"] * 4, SIZES, [676.5, 360.9, 187.9, 107.8], strict=True),
        *zip(["kodim23"] * 4, SIZES, [888.1, 443.3, 230.7, 127.1], strict=True),
    ],
)
def test_error_is_that_of_published_programs(name, n_colors, reference):
    """The best of four variants of the program of Abernathy and Celebi (2022), within 1 %."""
    image = photograph(name)
    assert mse(image, quantized(image, n_colors)[0]) <= 1.01 * reference


@pytest.mark.parametrize("name", ["kodim05", "kodim23", "china.jpg"])
@pytest.mark.parametrize("n_colors", SIZES)
def test_error_is_never_above_that_of_pillow(name, n_colors):
    image = photograph(name)
    picture = Image.fromarray(image)
    theirs = [
        picture.quantize(n_colors, method=method, kmeans=rounds, dither=Image.Dither.NONE)
        for method in PILLOW_METHODS
        for rounds in (0, n_colors)
    ]
    best = min(mse(image, np.asarray(one.convert("RGB"))) for one in theirs)
    assert mse(image, quantized(image, n_colors)[0]) <= best


@pytest.mark.parametrize("n_colors", SIZES)
def test_error_is_that_of_the_tutorials_ten_restarts(china, n_colors):
    """
    Ten restarts on the colours with their counts do what the tutorial does pixel by pixel; like it,
    they cut centres off. A tenth of a percent is what k-means stops short of its end.
    """
    colors, counts = np.unique(china.reshape(-1, 3), axis=0, return_counts=True)
    model = KMeans(n_colors, n_init=10, random_state=42).fit(colors, sample_weight=counts)
    theirs = model.cluster_centers_.astype(np.uint8)[model.labels_]
    squares = ((theirs.astype(int) - colors) ** 2).sum(axis=1)
    assert mse(china, quantized(china, n_colors)[0]) <= 1.001 * np.average(squares, weights=counts)


@pytest.fixture(scope="module")
def unequal():
    """Few colours, some a hundred times as frequent as others, all over the cube."""
    rng = np.random.default_rng(3)
    return rng.integers(0, 256, (300, 3), np.uint8)[(300 * rng.random((60, 70)) ** 4).astype(int)]


def test_counted_colors_are_clustered_as_every_pixel_is(unequal):
    """From the same start, k-means ends with the same sum of squares either way."""
    pixels = unequal.reshape(-1, 3)
    colors, counts = count_colors(unequal)
    start = pixels[:: len(pixels) // 6][:6].astype(float)
    every = KMeans(6, init=start, n_init=1, tol=0).fit(pixels)
    counted = KMeans(6, init=start, n_init=1, tol=0).fit(colors, sample_weight=counts)
    assert counted.inertia_ == pytest.approx(every.inertia_)


def test_k_means_on_every_pixel_hardly_moves_the_palette(unequal):
    shown, quantizer = quantized(unequal, 6)
    pixels = unequal.reshape(-1, 3)
    start = quantizer.palette_.astype(float)
    model = KMeans(6, init=start, n_init=1, tol=0).fit(pixels)
    assert np.abs(model.cluster_centers_ - start).max() <= 0.5 + 1e-9, "what rounding moved"
    assert model.inertia_ / len(pixels) == pytest.approx(mse(unequal, shown), rel=0.005)


@pytest.mark.parametrize("values", [(10, 11, 11), (10, 10, 11)])
@pytest.mark.parametrize("color_space", ["srgb", "lab"])
def test_palette_is_rounded_and_not_cut_off(values, color_space):
    """A mean of 10.67 is 11, one of 10.33 is 10; cut off, both would be 10."""
    image = np.repeat(np.array(values, np.uint8), 3).reshape(1, 3, 3)
    palette = PaletteQuantizer(1, color_space).fit(image).palette_
    assert palette.tolist() == [[round(sum(values) / 3)] * 3]


def test_centers_that_round_to_one_color_are_one():
    """Two of four means in Lab differ by less than a step of red, green or blue."""
    colors = [[171, 140, 47], [171, 141, 47], [172, 140, 46], [172, 140, 48]]
    colors += [[172, 141, 47], [172, 141, 48], [173, 142, 48]]
    image = np.repeat(np.array(colors, np.uint8), [2, 3, 5, 1, 3, 7, 3], axis=0)
    palette = PaletteQuantizer(4, "lab").fit(image.reshape(4, 6, 3)).palette_
    assert len(np.unique(palette, axis=0)) == len(palette) == 3


# PaletteQuantizer: the palette


def test_palette_runs_from_dark_to_light():
    """By brightness (0.299 red, 0.587 green, 0.114 blue): 0, 29, 76, 150, 226, 255."""
    wanted = [[0, 0, 0], [0, 0, 255], [255, 0, 0], [0, 255, 0], [255, 255, 0], [255, 255, 255]]
    image = np.array([wanted[::-1], wanted], np.uint8)
    quantizer = PaletteQuantizer(6)
    indices = quantizer.fit_transform(image)
    assert quantizer.palette_.tolist() == wanted
    assert indices.tolist() == [[5, 4, 3, 2, 1, 0], [0, 1, 2, 3, 4, 5]]


@pytest.mark.parametrize("color_space", ["srgb", "lab"])
@pytest.mark.parametrize("n_colors", [1, 2, 16, 200])
def test_palette_is_as_large_as_asked_for(thumbnail, n_colors, color_space):
    quantizer = PaletteQuantizer(n_colors, color_space).fit(thumbnail)
    palette = quantizer.palette_
    assert palette.dtype == np.uint8
    assert len(np.unique(palette, axis=0)) == len(palette) == n_colors
    brightness = palette @ [0.299, 0.587, 0.114]
    assert (np.diff(brightness) >= 0).all()
    assert quantizer.n_distinct_ == len(np.unique(thumbnail.reshape(-1, 3), axis=0))


@pytest.mark.parametrize("color_space", ["srgb", "lab"])
@pytest.mark.parametrize("channels", [3, 4])
@pytest.mark.parametrize("n_colors", [40, 41, 256])
def test_with_as_many_colors_as_there_are_nothing_is_lost(n_colors, channels, color_space):
    image = few_colors(40, channels=channels)
    shown, quantizer = quantized(image, n_colors, color_space=color_space)
    assert_array_equal(shown, image)
    assert len(quantizer.palette_) == quantizer.n_distinct_ == 40


def test_one_pixel():
    image = np.array([[[1, 2, 3]]], np.uint8)
    shown, quantizer = quantized(image, 16)
    assert_array_equal(shown, image)
    assert quantizer.palette_.tolist() == [[1, 2, 3]]


def test_grey_stays_grey(thumbnail):
    grey = np.asarray(Image.fromarray(thumbnail).convert("L").convert("RGB"))
    shown, quantizer = quantized(grey, 5)
    assert len(quantizer.palette_) == 5
    assert (quantizer.palette_ == quantizer.palette_[:, :1]).all()
    assert mse(grey, shown) < mse(grey, quantized(grey, 4)[0])
    assert_array_equal(quantized(grey, 256)[0], grey)


@pytest.mark.parametrize("color_space", ["srgb", "lab"])
def test_pixels_get_the_nearest_color_of_the_palette(thumbnail, color_space):
    """Also those of an image that the palette was not made for."""
    quantizer = PaletteQuantizer(16, color_space).fit(thumbnail)
    as_points = {"srgb": lambda image: image.astype(float), "lab": rgb2lab}[color_space]
    palette = as_points(quantizer.palette_[np.newaxis])[0]
    for image in (thumbnail, noise(40, 50)):
        shown = as_points(quantizer.inverse_transform(quantizer.transform(image)))
        points = as_points(image)
        distances = np.linalg.norm(points[:, :, np.newaxis] - palette, axis=-1)
        ours = np.linalg.norm(points - shown, axis=-1)
        np.testing.assert_allclose(ours, distances.min(axis=-1), rtol=1e-9)


@pytest.mark.parametrize("n_colors", [8, 16, 64])
def test_lab_looks_closer(china, n_colors):
    """Mean CIEDE2000 is smaller, at the price of squared error."""
    plain, lab = (quantized(china, n_colors, color_space=name)[0] for name in ("srgb", "lab"))
    difference = {
        name: deltaE_ciede2000(rgb2lab(china), rgb2lab(shown)).mean()
        for name, shown in (("srgb", plain), ("lab", lab))
    }
    assert difference["lab"] < 0.96 * difference["srgb"]
    assert mse(china, lab) > mse(china, plain)


# PaletteQuantizer: transparency


def test_hidden_colors_do_not_count(logo):
    rgba = logo.copy()
    rgba[rgba[..., 3] == 0, :3] = 0
    assert_array_equal(count_colors(logo)[0], count_colors(rgba)[0])
    assert_array_equal(quantized(logo, 8)[0], quantized(rgba, 8)[0])


@pytest.mark.parametrize("color_space", ["srgb", "lab"])
def test_transparency_and_its_levels_survive(logo, color_space):
    """Fifteen places along 255 levels are 17 apart: no level has to move by more than 20."""
    opaque, hidden = logo[..., 3] == 255, logo[..., 3] == 0
    shown, quantizer = quantized(logo, 32, color_space=color_space)
    assert (shown[hidden] == 0).all()
    assert np.abs(shown[..., 3].astype(int) - logo[..., 3]).max() <= 20
    assert len(np.unique(quantizer.palette_[:, 3])) >= 8
    assert (shown[opaque, 3] >= 250).all()
    assert errors(logo, shown)["MSE"] < 50


@pytest.mark.parametrize("n_colors", [2, 4, 16])
@pytest.mark.parametrize("channel", [0, 255])
def test_few_hidden_pixels_stay_hidden_and_draw_no_veil(n_colors, channel):
    """They were merged with dark colours, which all became a little transparent by it."""
    image = np.dstack([noise(64, 64), np.full((64, 64), 255, np.uint8)])
    image[:2, :2] = [channel, channel, channel, 0]
    shown, _ = quantized(image, n_colors)
    assert (shown[:2, :2, 3] == 0).all()
    assert (shown[..., 3] == 255).sum() == 64 * 64 - 4


@pytest.mark.parametrize("n_colors", [1, 2, 5, 16, 17, 256])
def test_transparent_png_reads_back_as_it_was_shown(logo, tmp_path, n_colors):
    quantizer = PaletteQuantizer(n_colors).fit(logo)
    path = write_palette_image(quantizer, logo, tmp_path / "logo.png")
    shown = quantizer.inverse_transform(quantizer.transform(logo))
    with Image.open(path) as image:
        assert image.mode == "P"
        assert_array_equal(np.asarray(image.convert("RGBA")), shown)


def test_nearest_color_shines_through_as_much_as_it_shows(logo):
    """Brute force on colours in proportion to their opacity."""
    quantizer = PaletteQuantizer(12).fit(logo)

    def as_points(colors):
        colors = colors.astype(float)
        return np.concatenate([colors[..., :3] * colors[..., 3:] / 255, colors[..., 3:]], axis=-1)

    points = as_points(logo)
    distances = np.linalg.norm(points[:, :, None] - as_points(quantizer.palette_), axis=-1)
    shown = as_points(quantizer.inverse_transform(quantizer.transform(logo)))
    np.testing.assert_allclose(np.linalg.norm(points - shown, axis=-1), distances.min(axis=-1))


# PaletteQuantizer: dithering


@pytest.fixture(scope="module")
def gradient():
    """From blue to orange, 256 x 128 pixels."""
    share = np.linspace(0, 1, 256)[np.newaxis, :, np.newaxis]
    colors = np.array([20, 60, 160]) * (1 - share) + np.array([250, 160, 30]) * share
    return np.repeat(np.rint(colors), 128, axis=0).astype(np.uint8)


@pytest.mark.parametrize("n_colors", [4, 6, 8])
def test_dithering_keeps_mean_colors_of_small_places(gradient, n_colors):
    """In squares of 16 pixels, where an eye at some distance sees one colour."""

    def mean_colors(image):
        return image.reshape(8, 16, 16, 16, 3).mean(axis=(1, 3))

    plain, _ = quantized(gradient, n_colors)
    dithered, quantizer = quantized(gradient, n_colors, dither=True)
    far, near = (
        np.abs(mean_colors(one) - mean_colors(gradient)).mean() for one in (plain, dithered)
    )
    assert near < far / 2
    assert mse(gradient, dithered) > mse(gradient, plain)
    assert_array_equal(quantizer.palette_, PaletteQuantizer(n_colors).fit(gradient).palette_)


@pytest.mark.parametrize("n_colors", [1, 2, 3, 100, 256])
def test_dithering_uses_no_place_beyond_the_palette(n_colors):
    image = noise(60, 80)
    quantizer = PaletteQuantizer(n_colors, dither=True)
    indices = quantizer.fit_transform(image)
    assert indices.dtype == np.uint8
    assert indices.shape == (60, 80)
    assert indices.max() == len(quantizer.palette_) - 1


def test_dithering_has_nothing_to_do_where_nothing_is_lost():
    image = few_colors(100)
    assert_array_equal(quantized(image, 100, dither=True)[0], image)


def test_dithering_tells_neighbouring_colors_apart():
    "Pillow alone takes one of them for the other, and spreads the error"
    ramp = np.tile(np.arange(256, dtype=np.uint8)[:, np.newaxis], (1, 40))
    image = np.stack([ramp, ramp, ramp], axis=2)
    assert_array_equal(quantized(image, 256, dither=True)[0], image)


def test_dithering_refuses_transparency(logo):
    quantizer = PaletteQuantizer(8, dither=True).fit(logo)
    with pytest.raises(ValueError, match="transparent pixels cannot be dithered"):
        quantizer.transform(logo)


# PaletteQuantizer: the same each time


def test_any_number_of_threads_gives_the_same_palette(thumbnail, monkeypatch):
    """Sums in another order end in other digits, so k-means has one thread, whatever there are."""
    threads = []

    class Watched(KMeans):
        def fit(self, *args, **options):
            threads.extend(pool["num_threads"] for pool in threadpool_info())
            return super().fit(*args, **options)

    monkeypatch.setattr(quantization, "KMeans", Watched)
    palettes = []
    for limit in (1, 2):
        with threadpool_limits(limit):
            assert {pool["num_threads"] for pool in threadpool_info()} == {limit}
            palettes.append(PaletteQuantizer(16).fit(thumbnail).palette_)
    assert_array_equal(*palettes)
    assert set(threads) == {1}


def test_every_run_gives_the_same_file(thumbnail):
    files = []
    for _ in range(2):
        quantizer = PaletteQuantizer(16)
        files.append(encode_png(quantizer.fit_transform(thumbnail), quantizer.palette_))
    assert files[0] == files[1]


@pytest.mark.parametrize("n_colors", SIZES[:3])
def test_the_seed_hardly_matters(china, n_colors):
    found = [mse(china, quantized(china, n_colors, random_state=seed)[0]) for seed in range(4)]
    assert max(found) < 1.02 * min(found)


def test_a_generator_is_a_seed_too(thumbnail):
    seeds = (7, np.random.RandomState(7))
    one, other = (PaletteQuantizer(4, random_state=seed).fit(thumbnail) for seed in seeds)
    assert_array_equal(one.palette_, other.palette_)


@pytest.mark.parametrize(
    "view",
    [
        lambda image: image[::-1, ::-1],
        lambda image: image[::2, 1::3],
        lambda image: image.transpose(1, 0, 2),
        lambda image: image[..., ::-1],
        np.asfortranarray,
        lambda image: np.dstack([image, image])[..., 1:4],
    ],
    ids=["turned", "thinned", "transposed", "blue first", "by columns", "three of six channels"],
)
def test_pixels_may_lie_anyhow_in_memory(thumbnail, view):
    image = view(thumbnail)
    assert not image.flags.c_contiguous
    shown, _ = quantized(image, 8)
    assert_array_equal(shown, quantized(np.ascontiguousarray(image), 8)[0])
    assert mse(image, shown) < 900


@pytest.mark.parametrize("dither", [False, True])
def test_the_image_is_left_as_it_was(thumbnail, dither):
    image = thumbnail.copy()
    image.flags.writeable = False
    quantized(image, 8, dither=dither)
    assert_array_equal(image, thumbnail)


def test_the_transparent_image_is_left_as_it_was(logo):
    before = logo.copy()
    quantized(logo, 8)
    errors(logo, noise(100, 120))
    assert_array_equal(logo, before)


def test_parameters_are_those_of_an_estimator():
    quantizer = clone(PaletteQuantizer(8, "lab", dither=True, random_state=3))
    wanted = {"n_colors": 8, "color_space": "lab", "dither": True, "random_state": 3}
    assert quantizer.get_params() == wanted


# PaletteQuantizer: what it refuses


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((4, 4, 3)),
        np.zeros((4, 4, 3), np.uint16),
        np.zeros((4, 4), np.uint8),
        np.zeros((4, 4, 1), np.uint8),
        np.zeros((4, 4, 2), np.uint8),
        np.zeros((4, 4, 5), np.uint8),
        np.zeros((2, 4, 4, 3), np.uint8),
        np.zeros((0, 4, 3), np.uint8),
        np.zeros((4, 0, 3), np.uint8),
    ],
    ids=lambda image: f"{image.dtype} {image.shape}",
)
def test_what_is_not_an_image_is_refused(image):
    fitted = PaletteQuantizer(2).fit(noise(4, 4))
    for method in (PaletteQuantizer().fit, fitted.transform, count_colors, compression_table):
        with pytest.raises(ValueError, match="Expected a uint8 array of shape") as caught:
            method(image)
        assert str(image.shape) in str(caught.value)
        assert str(image.dtype) in str(caught.value)


@pytest.mark.parametrize("n_colors", [0, -1, 257, 2.5, float("nan"), "16", None])
@pytest.mark.parametrize("image", [noise(40, 40), noise(1, 1)], ids=["many", "one"])
def test_a_wrong_number_of_colors_is_refused(n_colors, image):
    with pytest.raises(ValueError, match=r"n_colors is .*\. Use 1 to 256"):
        PaletteQuantizer(n_colors).fit(image)


@pytest.mark.parametrize("n_colors", [3.0, np.int64(3)])
def test_a_whole_number_of_another_type_will_do(n_colors):
    assert len(PaletteQuantizer(n_colors).fit(noise(20, 20)).palette_) == 3


def test_an_unknown_color_space_is_refused():
    with pytest.raises(ValueError, match=r"color_space is 'hsv'. Use one of .*srgb.*lab"):
        PaletteQuantizer(color_space="hsv").fit(noise(4, 4))


def test_an_image_with_other_channels_is_refused(logo):
    with pytest.raises(ValueError, match="The image has 3 channels, the palette 4"):
        PaletteQuantizer(4).fit(logo).transform(noise(4, 4))
    with pytest.raises(ValueError, match="The image has 4 channels, the palette 3"):
        PaletteQuantizer(4).fit(noise(4, 4)).transform(logo)


def test_without_fit_there_is_no_palette():
    with pytest.raises(NotFittedError):
        PaletteQuantizer().transform(noise(4, 4))
    with pytest.raises(NotFittedError):
        PaletteQuantizer().inverse_transform(np.zeros((4, 4), int))


# PaletteQuantizer: for any image


@st.composite
def images(draw):
    """Up to 6 x 6 pixels, opaque or not, in colours that often repeat."""
    channels = draw(st.sampled_from([3, 4]))
    level = st.sampled_from([0, 1, 100, 128, 254, 255])
    colors = draw(arrays(np.uint8, (draw(st.integers(1, 12)), channels), elements=level))
    shape = draw(st.integers(1, 6)), draw(st.integers(1, 6))
    return colors[draw(arrays(int, shape, elements=st.integers(0, len(colors) - 1)))]


def visible(image):
    """The image with every fully transparent colour the same."""
    return image * (image[..., 3:] > 0) if image.shape[2] == 4 else image


N_COLORS = st.integers(1, 12)
SPACE = st.sampled_from(["srgb", "lab"])


@settings(deadline=None, max_examples=60)
@given(images(), N_COLORS, SPACE, st.randoms(use_true_random=False))
def test_pixels_may_stand_anywhere(image, n_colors, color_space, random):
    pixels = image.reshape(-1, image.shape[2])
    order = list(range(len(pixels)))
    random.shuffle(order)
    moved = pixels[order].reshape(image.shape)
    one, other = (PaletteQuantizer(n_colors, color_space).fit(each) for each in (image, moved))
    assert_array_equal(one.palette_, other.palette_)


@settings(deadline=None, max_examples=60)
@given(images(), N_COLORS, SPACE)
def test_an_image_four_times_has_the_palette_of_one(image, n_colors, color_space):
    """Four is a power of two, so not even the rounding of the sums differs."""
    tiles = np.tile(image, (2, 2, 1))
    one, other = (PaletteQuantizer(n_colors, color_space).fit(each) for each in (image, tiles))
    assert_array_equal(one.palette_, other.palette_)


@settings(deadline=None, max_examples=100)
@given(images(), N_COLORS, SPACE)
def test_invariants_of_any_image(image, n_colors, color_space):
    shown, quantizer = quantized(image, n_colors, color_space=color_space)
    palette, seen = quantizer.palette_, visible(image)
    distinct = np.unique(seen.reshape(-1, seen.shape[2]), axis=0)
    assert quantizer.n_distinct_ == len(distinct)
    assert 1 <= len(palette) <= min(n_colors, len(distinct))
    assert len(np.unique(palette, axis=0)) == len(palette)
    assert shown.shape == image.shape
    assert shown.dtype == np.uint8
    if n_colors >= len(distinct):
        assert_array_equal(shown, seen)
    if image.shape[2] == 4 and n_colors > 1:
        assert (shown[image[..., 3] == 0] == 0).all()
    content = encode_png(quantizer.transform(image), palette)
    mode = "RGB" if image.shape[2] == 3 else "RGBA"
    assert_array_equal(as_pillow_reads(content, mode), shown)


# count_colors


def test_colors_are_counted_by_hand():
    red, blue = [255, 0, 0], [0, 0, 255]
    colors, counts = count_colors(np.array([[red, blue, red], [red, red, red]], np.uint8))
    assert dict(zip(map(tuple, colors.tolist()), counts.tolist(), strict=True)) == {
        (255, 0, 0): 5,
        (0, 0, 255): 1,
    }


@pytest.mark.parametrize("channels", [3, 4])
def test_colors_are_counted_as_by_numpy(channels):
    image = few_colors(300, channels=channels) & 0xF3
    image[..., 3:] |= 1
    colors, counts = count_colors(image)
    theirs = np.unique(image.reshape(-1, channels), axis=0, return_counts=True)
    assert_array_equal(colors, theirs[0])
    assert_array_equal(counts, theirs[1])


@pytest.mark.parametrize("together", [1000, 1 << 22])
def test_a_table_counts_as_sorting_does(monkeypatch, thumbnail, together):
    """Large images are counted part by part, in a table of all colours there are."""
    by_sorting, indices = count_colors(thumbnail), PaletteQuantizer(8).fit_transform(thumbnail)
    monkeypatch.setattr(quantization, "_SORTED_PIXELS", 0)
    monkeypatch.setattr(quantization, "_PIXELS_TOGETHER", together)
    for one, other in zip(count_colors(thumbnail), by_sorting, strict=True):
        assert_array_equal(one, other)
    assert_array_equal(PaletteQuantizer(8).fit_transform(thumbnail), indices)


# encode_png and write_palette_image


def png_chunks(content):
    """Content of each chunk of a PNG, by its name."""
    chunks, start = {}, 8
    while start < len(content):
        (size,) = struct.unpack(">I", content[start : start + 4])
        name = content[start + 4 : start + 8].decode()
        chunks[name] = chunks.get(name, b"") + content[start + 8 : start + 8 + size]
        start += 12 + size
    return chunks


@pytest.mark.parametrize(
    ("n_colors", "bits"),
    [(1, 1), (2, 1), (3, 2), (4, 2), (5, 4), (16, 4), (17, 8), (64, 8), (256, 8)],
)
@pytest.mark.parametrize("channels", [3, 4])
def test_a_pixel_takes_as_few_bits_as_the_palette_needs(n_colors, bits, channels):
    image = few_colors(n_colors, channels=channels)
    quantizer = PaletteQuantizer(n_colors)
    indices = quantizer.fit_transform(image)
    content = encode_png(indices, quantizer.palette_)
    chunks = png_chunks(content)
    width, height, depth, kind = struct.unpack(">IIBB", chunks["IHDR"][:10])
    assert (width, height, depth, kind) == (41, 30, bits, 3), "3 is an indexed image"
    assert len(chunks["PLTE"]) == 3 * n_colors
    assert ("tRNS" in chunks) == (channels == 4)
    with Image.open(io.BytesIO(content)) as read:
        assert read.mode == "P"
        assert_array_equal(np.asarray(read), indices)
    assert_array_equal(as_pillow_reads(content, "RGB" if channels == 3 else "RGBA"), image)


@pytest.mark.parametrize("n_colors", [2, 4, 16, 64])
def test_the_file_is_no_larger_than_pillows(thumbnail, n_colors):
    quantizer = PaletteQuantizer(n_colors)
    indices = quantizer.fit_transform(thumbnail)
    theirs = Image.fromarray(indices)
    theirs.putpalette(quantizer.palette_.tobytes())
    buffer = io.BytesIO()
    theirs.save(buffer, "PNG", optimize=True)
    size = len(encode_png(indices, quantizer.palette_))
    assert size <= len(buffer.getvalue())
    colors = io.BytesIO()
    Image.fromarray(quantizer.inverse_transform(indices)).save(colors, "PNG", optimize=True)
    assert size < len(colors.getvalue())


@pytest.mark.parametrize("as_text", [False, True])
def test_the_image_is_written_where_it_was_to_be(thumbnail, tmp_path, as_text):
    path = tmp_path / "new folder" / "small.png"
    quantizer = PaletteQuantizer(8).fit(thumbnail)
    written = write_palette_image(quantizer, thumbnail, str(path) if as_text else path)
    assert isinstance(written, Path)
    assert written == path
    indices = quantizer.transform(thumbnail)
    assert path.read_bytes() == encode_png(indices, quantizer.palette_)
    assert [each.name for each in path.parent.iterdir()] == ["small.png"]


def test_a_failure_leaves_the_old_file_and_no_other(thumbnail, tmp_path, monkeypatch):
    path = tmp_path / "small.png"
    path.write_bytes(b"old")
    quantizer = PaletteQuantizer(8).fit(thumbnail)

    def fail(*args, **options):
        raise OSError("no space left")

    def fail_half_way(self, content):
        with self.open("wb") as file:
            file.write(content[:100])
        fail()

    for target, name, failure in (
        (quantization, "encode_png", fail),
        (Path, "write_bytes", fail_half_way),
        (Path, "replace", fail),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(target, name, failure)
            with pytest.raises(OSError, match="no space left"):
                write_palette_image(quantizer, thumbnail, path)
        assert path.read_bytes() == b"old"
        assert list(tmp_path.iterdir()) == [path]


# on_white, errors and jpeg_of_size


def test_transparent_pixels_look_as_pillow_pastes_them_on_white():
    image = noise(60, 80, 4)
    paper = Image.new("RGBA", (80, 60), "white")
    theirs = np.asarray(Image.alpha_composite(paper, Image.fromarray(image)).convert("RGB"))
    assert np.abs(on_white(image).astype(int) - theirs).max() <= 1, "Pillow rounds its own way"
    exact = 255 - (255.0 - image[..., :3]) * image[..., 3:] / 255
    assert np.abs(on_white(image) - exact).max() <= 0.5 + 1e-9
    opaque = noise(5, 7)
    assert on_white(opaque) is opaque


def test_errors_by_hand():
    """One of four pixels is off by 3 and 4: 25 / 4; per channel a third of it."""
    image = np.full((2, 2, 3), 100, np.uint8)
    other = image.copy()
    other[1, 0] = [103, 96, 100]
    found = errors(image, other)
    assert found["MSE"] == 6.25
    assert found["PSNR"] == pytest.approx(10 * np.log10(255**2 * 3 / 6.25))
    assert np.isnan(found["SSIM"]), "smaller than its window"
    assert errors(other, image)["MSE"] == 6.25
    assert errors(image * 0, image * 0 + 255)["MSE"] == 3 * 255**2


def test_an_image_is_no_error_to_itself(thumbnail):
    assert errors(thumbnail, thumbnail) == {"MSE": 0, "PSNR": np.inf, "SSIM": 1}


def test_errors_are_those_of_scikit_image(thumbnail):
    other = quantized(thumbnail, 8)[0]
    found = errors(thumbnail, other)
    assert found["MSE"] == pytest.approx(3 * mean_squared_error(thumbnail, other))
    assert found["PSNR"] == pytest.approx(peak_signal_noise_ratio(thumbnail, other))
    likeness = structural_similarity(thumbnail, other, channel_axis=2, data_range=255)
    assert found["SSIM"] == pytest.approx(likeness)


@pytest.mark.parametrize(
    ("height", "width", "tolerance"),
    [
        pytest.param(2700, 800, 0.001, id="three strips"),
        pytest.param(1315, 800, 1e-9, id="one strip and five rows"),
        pytest.param(1 << 17, 8, 0.001, id="narrow"),
        pytest.param(130, 17_000, 0.005, id="wide"),
    ],
)
def test_strips_measure_nearly_what_the_whole_does(china, height, width, tolerance):
    """Windows across a seam are left out. Too few rows for a strip belong to the one before."""
    picture = Image.fromarray(china).resize((width, height))
    image = np.asarray(picture)
    other = np.asarray(picture.quantize(8, dither=Image.Dither.NONE).convert("RGB"))
    found = errors(image, other)
    likeness = structural_similarity(image, other, channel_axis=2, data_range=255)
    assert found["SSIM"] == pytest.approx(likeness, abs=tolerance)
    assert found["MSE"] == pytest.approx(mse(image, other))


@pytest.mark.parametrize("shape", [(1, 1), (6, 100), (100, 6), (1, 3000)])
def test_images_smaller_than_the_window_have_no_ssim(shape):
    found = errors(noise(*shape), noise(*shape, seed=1))
    assert np.isnan(found["SSIM"])
    assert 0 < found["PSNR"] < 20


def test_the_smallest_image_with_ssim():
    image, other = noise(7, 7), noise(7, 7, seed=1)
    likeness = structural_similarity(image, other, channel_axis=2, data_range=255)
    assert errors(image, other)["SSIM"] == pytest.approx(likeness)


def test_errors_of_transparent_images_are_those_seen_on_white(logo):
    assert errors(logo, visible(logo))["MSE"] == 0
    assert errors(logo, on_white(logo))["MSE"] == 0
    hole = np.full((8, 8, 4), 255, np.uint8)
    hole[0, 0] = 0
    black = np.zeros((8, 8, 4), np.uint8)
    black[..., 3] = 255
    assert errors(hole, black * 0)["MSE"] == 0, "white and nothing look the same on white"
    assert errors(hole, black)["MSE"] == 3 * 255**2


@pytest.mark.parametrize("shape", [(10, 1), (1, 10), (10, 12), (1, 1)])
def test_errors_refuse_images_of_different_sizes(shape):
    """Numpy would have compared each row with the only column."""
    with pytest.raises(ValueError, match="of one size in pixels, not 10 x 10 and"):
        errors(noise(10, 10), noise(*shape))


def jpeg_sizes(image):
    """Bytes as JPEG at each quality that Pillow recommends."""
    sizes = {}
    for quality in range(1, 96):
        buffer = io.BytesIO()
        Image.fromarray(image).save(buffer, "JPEG", quality=quality, optimize=True)
        sizes[quality] = len(buffer.getvalue())
    return sizes


@pytest.mark.parametrize("kind", ["photograph", "noise", "flat"])
def test_the_largest_jpeg_quality_that_fits_is_found(thumbnail, kind):
    image = {"photograph": thumbnail, "noise": noise(50, 60), "flat": few_colors(4)}[kind]
    sizes = jpeg_sizes(image)
    for n_bytes in np.linspace(min(sizes.values()), max(sizes.values()) + 1, 15).astype(int):
        content, quality = jpeg_of_size(image, n_bytes)
        assert quality == max(each for each, size in sizes.items() if size <= n_bytes)
        assert len(content) == sizes[quality] <= n_bytes
        assert as_pillow_reads(content, "RGB").shape == image.shape


def test_where_no_jpeg_fits_the_smallest_is_returned(thumbnail):
    content, quality = jpeg_of_size(thumbnail, 10)
    assert quality == 1
    assert len(content) == jpeg_sizes(thumbnail)[1]


def test_no_jpeg_is_longer_than_the_format_allows():
    with pytest.raises(ValueError, match=r"at most 65,500 pixels a side, not 66,000"):
        jpeg_of_size(np.zeros((66_000, 3, 3), np.uint8), 1000)


# compression_table


@pytest.fixture(scope="module")
def table(thumbnail):
    return compression_table(thumbnail, (4, 20), given=12_345)


def test_fitted_quantizers_make_the_same_table_as_numbers_of_colours(thumbnail):
    fitted = [PaletteQuantizer(k, dither=True).fit(thumbnail) for k in (4, 20)]
    before = compression_table(thumbnail, (4, 20), dither=True)
    assert_frame_equal(compression_table(thumbnail, fitted), before)


def test_the_table_has_a_row_for_each_way_to_write_the_image(table):
    sizes = ["colors", "bytes", "bits per pixel", "of PNG"]
    assert list(table) == ["method", *sizes, "MSE", "PSNR", "SSIM"]
    palettes = ["K = 4", "JPEG like K = 4", "K = 20", "JPEG like K = 20"]
    assert list(table.index) == ["source as PNG", "source as given", *palettes]
    assert table["method"].tolist() == ["source"] * 2 + ["palette", "JPEG"] * 2
    assert [str(table[name].dtype) for name in sizes[:2]] == ["int64"] * 2
    assert all(kind.kind == "f" for kind in table.dtypes.iloc[3:])


def test_the_source_is_the_image_itself(table, thumbnail):
    buffer = io.BytesIO()
    Image.fromarray(thumbnail).save(buffer, "PNG", optimize=True)
    assert table["bytes"].tolist()[:2] == [len(buffer.getvalue()), 12_345]
    distinct = len(np.unique(thumbnail.reshape(-1, 3), axis=0))
    assert table["colors"].tolist()[:2] == [distinct] * 2
    source = table[table["method"] == "source"]
    assert source[["MSE", "PSNR", "SSIM"]].to_numpy().tolist() == [[0, np.inf, 1]] * 2


def test_without_a_given_size_there_is_no_row_for_it(thumbnail):
    assert "source as given" not in compression_table(thumbnail, (2,)).index


@pytest.mark.parametrize("n_colors", [4, 20])
def test_the_table_tells_bytes_and_errors_of_the_written_file(table, thumbnail, tmp_path, n_colors):
    row = table.loc[f"K = {n_colors}"]
    quantizer = PaletteQuantizer(n_colors).fit(thumbnail)
    path = write_palette_image(quantizer, thumbnail, tmp_path / "small.png")
    assert row["bytes"] == path.stat().st_size
    assert row["colors"] == n_colors
    shown = as_pillow_reads(path.read_bytes(), "RGB")
    assert row["MSE"] == pytest.approx(mse(thumbnail, shown))
    assert row["PSNR"] == pytest.approx(peak_signal_noise_ratio(thumbnail, shown))
    jpeg = table.loc[f"JPEG like K = {n_colors}"]
    shown = as_pillow_reads(jpeg_of_size(thumbnail, row["bytes"])[0], "RGB")
    assert jpeg["MSE"] == pytest.approx(mse(thumbnail, shown))


def test_shares_and_bits_follow_from_the_bytes(table):
    assert table["bits per pixel"].tolist() == [8 * size / (160 * 107) for size in table["bytes"]]
    assert table["of PNG"].tolist() == [size / table["bytes"].iloc[0] for size in table["bytes"]]


def test_a_jpeg_of_the_same_size_beats_the_palette_on_a_photograph(china):
    table = compression_table(china, (8, 16, 64))
    for n_colors in (8, 16, 64):
        palette, jpeg = table.loc[f"K = {n_colors}"], table.loc[f"JPEG like K = {n_colors}"]
        assert jpeg["bytes"] <= palette["bytes"]
        assert jpeg["PSNR"] > palette["PSNR"] + 1
    palettes = table[table["method"] == "palette"]
    assert palettes["MSE"].is_monotonic_decreasing
    assert palettes["bytes"].is_monotonic_increasing


def test_a_palette_beats_every_jpeg_on_a_flat_graphic():
    image = np.repeat(np.repeat(few_colors(6, 20, 20), 20, axis=0), 20, axis=1)
    table = compression_table(image, (8,))
    assert table.loc["K = 8", "MSE"] == 0
    assert table.loc["K = 8", "colors"] == 6
    assert table.loc["K = 8", "bytes"] < table.loc["source as PNG", "bytes"]
    assert table.loc["JPEG like K = 8", "MSE"] > 100


def test_a_dithered_table_has_the_errors_of_dithering(thumbnail, table):
    dithered = compression_table(thumbnail, (4,), dither=True)
    shown = quantized(thumbnail, 4, dither=True)[0]
    assert dithered.loc["K = 4", "MSE"] == pytest.approx(mse(thumbnail, shown))
    assert dithered.loc["K = 4", "MSE"] > table.loc["K = 4", "MSE"]


def test_a_table_of_an_image_with_transparency(logo):
    table = compression_table(logo, (8, 64))
    assert table.loc["K = 64", "MSE"] < table.loc["K = 8", "MSE"] < 400
    assert (table["MSE"].iloc[[2, 4]] > 0).all()
    assert table.loc["source as PNG", "MSE"] == 0


def test_a_table_of_one_pixel():
    table = compression_table(noise(1, 1), (8,))
    assert table.loc["K = 8", "MSE"] == 0
    assert table["SSIM"].isna().all()


# Memory

LARGE = """
import numpy as np
from PIL import Image
from sklearn.datasets import load_sample_image
from helpers.measurement import own_peak
from helpers.quantization import PaletteQuantizer

picture = Image.fromarray(load_sample_image("china.jpg")).resize((6000, 4000))
grain = np.random.default_rng(0).integers(-2, 3, (500, 6000, 3), np.int16)
image = np.array(picture)
for top in range(0, 4000, 500):
    image[top : top + 500] = np.clip(image[top : top + 500] + grain, 0, 255)
del picture
quantizer = PaletteQuantizer(16)
shape = quantizer.fit_transform(image).shape
print(*shape, quantizer.n_distinct_, own_peak())
"""


def test_24_megapixels_take_less_than_one_and_a_half_gigabytes():
    pytest.importorskip("resource", reason="memory is not measured on this system")
    run = subprocess.run([sys.executable, "-c", LARGE], capture_output=True, text=True, check=True)
    height, width, n_distinct, peak = map(int, run.stdout.split())
    assert (height, width) == (4000, 6000)
    assert n_distinct > 1_000_000
    assert peak < 1.5e9
