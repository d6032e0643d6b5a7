"""Time palettes side by side with the source tutorial's code, with Pillow and with libimagequant.

Both sides of a comparison run in this process, one after the other, on the same pixels; only the
ratios mean anything on another machine. Memory, and the growth of time with the number of pixels,
are measured in processes of their own. Ours is the median of three runs. The tutorial's code runs
once, and takes some four minutes on 12 megapixels; ``--plain-megapixels 0`` leaves that out.
"""

import argparse
import io
import math
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import numpy as np
from PIL import Image, features
from sklearn.cluster import KMeans

from helpers.inputs import read_image
from helpers.measurement import own_peak
from helpers.quantization import PaletteQuantizer, encode_png, errors

N_COLORS = (8, 16, 32, 64)
MANY = 16  # colours, for large images
MEGAPIXELS = (0.1, 0.4, 1.5, 6.0, 12.0, 24.0)
RESTARTS = 10  # of the tutorial's code
MB = 1e6


def seconds(function, *arguments):
    """Return the time of one call, and its result."""
    start = time.perf_counter()
    result = function(*arguments)
    return time.perf_counter() - start, result


def in_a_process(function, *arguments):
    """Return what a function returns when a new process calls it."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()


def enlarged(megapixels):
    """Return a photograph enlarged to 4 x 3, with the grain of a camera: many colours."""
    height = round(math.sqrt(megapixels * 1e6 * 3 / 4))
    width = round(height * 4 / 3)
    picture = Image.fromarray(read_image("china.jpg"))
    image = np.array(picture.resize((width, height), Image.Resampling.LANCZOS))
    rng = np.random.default_rng(0)
    for strip in np.array_split(image, max(1, height // 256)):
        strip[:] = np.clip(strip + rng.integers(-2, 3, strip.shape, np.int16), 0, 255)
    return image


def by_tutorial(image, n_colors, restarts=RESTARTS):
    """Return the image as the source tutorial makes it: k-means on every pixel, centres cut off."""
    pixels = image.reshape(-1, 3)
    model = KMeans(n_clusters=n_colors, random_state=42, n_init=restarts)
    labels = model.fit_predict(pixels)
    return model.cluster_centers_[labels].astype(np.uint8).reshape(image.shape)


def by_us(image, n_colors):
    """Return the image in the colours of its palette."""
    quantizer = PaletteQuantizer(n_colors)
    return quantizer.inverse_transform(quantizer.fit_transform(image))


def median_run(image, n_colors):
    """Return the median time of three of our runs, and the result, which is always the same."""
    return sorted((seconds(by_us, image, n_colors) for _ in range(3)), key=lambda run: run[0])[1]


def mse(image, other):
    """Return the squared error summed over channels, per pixel."""
    strips = zip(*(np.array_split(each, 16) for each in (image, other)), strict=True)
    squares = sum(float(((one.astype(np.int32) - two) ** 2).sum()) for one, two in strips)
    return squares / (image.shape[0] * image.shape[1])


def report(what, ours, plain, image, shown, wanted):
    """Print one comparison: times, their ratio, and the errors of both results."""
    print(f"  {what}: {ours:.2f} s against {plain:.2f} s, ratio {plain / ours:.1f} ({wanted})")
    print("    MSE {:.2f} against {:.2f}".format(*(mse(image, each) for each in shown)))


def benchmark_photograph():
    """Print time and error of both ways to a palette of a small photograph."""
    image = read_image("china.jpg")
    print(f"china.jpg, {image.shape[1]} x {image.shape[0]}, beside k-means on every pixel")
    for n_colors in N_COLORS:
        ours, shown = median_run(image, n_colors)
        plain, theirs = seconds(by_tutorial, image, n_colors)
        report(f"K = {n_colors}", ours, plain, image, [shown, theirs], "wanted: 20")


def benchmark_large_photograph(megapixels):
    """Print time and error of both ways to a palette of a camera's photograph."""
    image = enlarged(megapixels)
    print(f"{megapixels:g} megapixels, K = {MANY}, beside k-means on every pixel")
    ours, shown = median_run(image, MANY)
    print(f"  ours took {ours:.2f} s; now the tutorial's code, which takes minutes", flush=True)
    plain, theirs = seconds(by_tutorial, image, MANY)
    report(f"{RESTARTS} restarts", ours, plain, image, [shown, theirs], "wanted: 100")


def fit_and_transform(megapixels):
    """Return seconds, bytes at most, and the number of distinct colours."""
    image = enlarged(megapixels)
    quantizer = PaletteQuantizer(MANY)
    took, _ = seconds(quantizer.fit_transform, image)
    return took, own_peak(), quantizer.n_distinct_


def benchmark_growth(sizes):
    """Print how time and memory grow with the pixels."""
    print(f"Growth with the number of pixels, K = {MANY}")
    times = []
    for megapixels in sizes:
        took, memory, n_distinct = in_a_process(fit_and_transform, megapixels)
        times.append(took)
        colors = f"{n_distinct:,} colours"
        print(f"  {megapixels:g} megapixels, {colors}: {took:.2f} s, {memory / MB:,.0f} MB")
    exponent = np.polyfit(np.log(sizes), np.log(times), 1)[0]
    print(f"  time grows as pixels to the power of {exponent:.2f}")
    print(f"  peak memory with imports and image: {memory / MB:,.0f} MB (wanted: below 1,500)")


def other_programs():
    """Return other ways to a palette: name -> function of a Pillow image and n_colors."""
    dither, methods = Image.Dither.NONE, Image.Quantize

    def with_pillow(method, **options):
        return lambda picture, n: picture.quantize(n, method=method, dither=dither, **options)

    ways = {
        "Pillow, median cut": with_pillow(methods.MEDIANCUT),
        "Pillow, median cut and k-means": with_pillow(methods.MEDIANCUT, kmeans=1),
    }
    if features.check("libimagequant"):
        ways["libimagequant, by Pillow"] = with_pillow(methods.LIBIMAGEQUANT)
    try:
        import imagequant
    except ImportError:
        pass
    else:
        ways["libimagequant"] = lambda picture, n: imagequant.quantize_pil_image(
            picture, dithering_level=0.0, max_colors=n
        )
    return ways


def png_size(picture):
    """Return bytes of a Pillow image as PNG."""
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", optimize=True)
    return len(buffer.getvalue())


def benchmark_other_programs():
    """Print bytes, errors and time of each program, none of them dithering."""
    image = read_image("china.jpg")
    picture = Image.fromarray(image)
    ways = other_programs()
    print("china.jpg by other programs, without dithering: bytes as indexed PNG, MSE, SSIM, time")
    if not any("libimagequant" in name for name in ways):
        print("  (libimagequant is not here: Pillow was built without it, nor is there imagequant)")
    for n_colors in N_COLORS:
        quantizer = PaletteQuantizer(n_colors)
        took, indices = seconds(quantizer.fit_transform, image)
        size = len(encode_png(indices, quantizer.palette_))
        rows = [("ours", size, quantizer.inverse_transform(indices), took)]
        for name, way in ways.items():
            took, chosen = seconds(way, picture, n_colors)
            rows.append((name, png_size(chosen), np.asarray(chosen.convert("RGB")), took))
        print(f"  K = {n_colors}")
        for name, size, shown, took in rows:
            found = errors(image, shown)
            measures = f"MSE {found['MSE']:7.2f}  SSIM {found['SSIM']:.3f}  {took:.2f} s"
            print(f"    {name:30} {size:8,} bytes  {measures}")


def main():
    """Run all comparisons at the sizes given on the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--plain-megapixels", type=float, default=12.0)
    parser.add_argument("--megapixels", type=float, nargs="+", default=MEGAPIXELS)
    sizes = parser.parse_args()
    benchmark_photograph()
    benchmark_other_programs()
    benchmark_growth(sizes.megapixels)
    if sizes.plain_megapixels:
        benchmark_large_photograph(sizes.plain_megapixels)


if __name__ == "__main__":
    main()
