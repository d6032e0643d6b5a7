"""Every image that Pillow reads comes back as the same pixels, or is refused with a remedy."""

import io
import random
import re
import socket
import struct
import subprocess
import sys
import textwrap
import zlib
from pathlib import Path

import numpy as np
import pytest
import skimage
import sklearn.datasets
from numpy.testing import assert_array_equal
from PIL import Image, ImageDraw, PngImagePlugin, features

from helpers.inputs import MAX_PIXELS, SAMPLE_IMAGES, InputError, image_file, read_image

RNG = np.random.default_rng(0)
RGB = RNG.integers(0, 256, (5, 7, 3), np.uint8)
ALPHA = RNG.integers(0, 255, (5, 7, 1), np.uint8)
RGBA = np.concatenate([RGB, ALPHA], axis=-1)
GREY = RGB[..., 0]
WIDE = RNG.integers(0, 65536, (5, 7), np.uint16)
WIDE[0] = [0, 127, 128, 129, 65406, 65407, 65535]


@pytest.fixture
def save(tmp_path):
    """Write an array, an image or bytes to a file; return its path."""

    def write(content, name="x.png", **options):
        path = tmp_path / name
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            image = content if isinstance(content, Image.Image) else Image.fromarray(content)
            image.save(path, **options)
        return path

    return write


def refusal(path):
    """Message of the refusal."""
    with pytest.raises(InputError) as caught:
        read_image(path)
    return str(caught.value)


def check(pixels, wanted):
    """Hold what was read to what was written."""
    assert pixels.dtype == np.uint8
    assert pixels.flags.c_contiguous
    assert pixels.flags.writeable
    assert_array_equal(pixels, wanted)


def three(grey):
    """Grey as red, green and blue."""
    return np.stack([grey] * 3, axis=-1)


def chunk(kind, content):
    """Chunk of a PNG."""
    check = struct.pack(">I", zlib.crc32(kind + content))
    return struct.pack(">I", len(content)) + kind + content + check


def png(width, height, depth, colour, rows, *chunks):
    """PNG as the specification has it, of rows that each begin with a filter byte."""
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    parts = [chunk(b"IHDR", header), *chunks, chunk(b"IDAT", zlib.compress(rows))]
    return b"\x89PNG\r\n\x1a\n" + b"".join([*parts, chunk(b"IEND", b"")])


def tiff(width, bits, photometric, content):
    """TIFF of one row, as the specification has it."""
    tags = [(256, width), (257, 1), (258, bits), (259, 1), (262, photometric), (273, 8)]
    tags += [(277, 1), (278, 1), (279, len(content))]
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    place = 8 + len(content) + len(content) % 2
    directory = struct.pack("<H", len(tags)) + entries + bytes(4)
    return (b"II*\0" + struct.pack("<I", place) + content).ljust(place, b"\0") + directory


# Kinds of image


@pytest.mark.parametrize("name", ["x.png", "x.bmp", "x.tif", "x.ppm", "x.tga", "x.webp", "x.PNG"])
def test_colours_come_back_from_every_lossless_format(save, name):
    options = {"lossless": True} if name == "x.webp" else {}
    check(read_image(save(RGB, name, **options)), RGB)


@pytest.mark.parametrize("name", ["x.png", "x.tif", "x.webp"])
def test_transparency_is_kept(save, name):
    options = {"lossless": True, "exact": True} if name == "x.webp" else {}
    check(read_image(save(RGBA, name, **options)), RGBA)


def test_opacity_that_hides_nothing_is_left_out(save):
    opaque = np.concatenate([RGB, np.full_like(ALPHA, 255)], axis=-1)
    check(read_image(save(opaque)), RGB)
    opaque[4, 6, 3] = 254
    check(read_image(save(opaque)), opaque)


def test_grey_becomes_three_equal_channels(save):
    check(read_image(save(GREY)), three(GREY))


def test_grey_with_opacity_keeps_it(save):
    both = np.stack([GREY, ALPHA[..., 0]], axis=-1)
    wanted = np.concatenate([three(GREY), ALPHA], axis=-1)
    check(read_image(save(Image.fromarray(both, "LA"))), wanted)


def test_one_bit_is_black_and_white(save):
    check(read_image(save(GREY > 99)), three(np.where(GREY > 99, 255, 0)))


COLOURS = np.array([[10, 20, 30], [200, 100, 0], [255, 255, 255]], np.uint8)
INDICES = np.array([[0, 1, 2, 1], [2, 2, 0, 1]], np.uint8)


def palette_image():
    image = Image.fromarray(INDICES, "P")
    image.putpalette(COLOURS.tobytes())
    return image


@pytest.mark.parametrize("name", ["x.png", "x.gif", "x.bmp"])
def test_a_palette_becomes_its_colours(save, name):
    check(read_image(save(palette_image(), name)), COLOURS[INDICES])


@pytest.mark.parametrize(
    ("transparency", "alpha"), [(1, [255, 0, 255]), (b"\x00\x80\xff", [0, 128, 255])]
)
def test_a_palette_may_be_transparent_in_one_colour_or_in_each(save, transparency, alpha):
    wanted = np.column_stack([COLOURS, alpha])[INDICES]
    check(read_image(save(palette_image(), transparency=transparency)), wanted)


def test_a_colour_can_be_declared_transparent(save):
    colour = tuple(map(int, RGB[2, 3]))
    alpha = np.where((colour == RGB).all(axis=-1, keepdims=True), 0, 255)
    pixels = read_image(save(RGB, transparency=colour))
    check(pixels, np.concatenate([RGB, alpha], axis=-1))


@pytest.mark.parametrize("name", ["x.png", "x.tif", "x.pgm", "x.jp2"])
def test_grey_of_16_bits_is_scaled_and_rounded(save, name):
    wanted = three(np.floor(WIDE / 257 + 0.5))
    assert wanted[0, :, 0].tolist() == [0, 0, 0, 1, 254, 255, 255]
    if name == "x.jp2" and not features.check("jpg_2000"):
        pytest.skip("this Pillow was built without JPEG 2000")
    check(read_image(save(WIDE, name)), wanted)


def test_grey_of_16_bits_in_either_order_of_bytes(save):
    check(read_image(save(WIDE.astype(">u2"), "x.tif")), three(np.floor(WIDE / 257 + 0.5)))


def test_a_grey_of_16_bits_can_be_declared_transparent(save):
    path = save(WIDE, transparency=127)
    alpha = np.where(WIDE == 127, 0, 255)[..., None]
    wanted = np.concatenate([three(np.floor(WIDE / 257 + 0.5)), alpha], axis=-1)
    check(read_image(path), wanted)


def test_a_scan_may_begin_with_white_or_have_12_bits(save):
    content = struct.pack("<3H", 0, 128 * 257, 65535)
    check(read_image(save(tiff(3, 16, 0, content), "x.tif")), three([[255, 127, 0]]))
    check(read_image(save(tiff(2, 12, 1, b"\x00\x0f\xff"), "x.tif")), three([[0, 255]]))


def test_colour_of_16_bits_is_as_pillow_gives_it(save):
    path = save(png(1, 2, 16, 2, bytes.fromhex("00 80ff 01fe 0080  00 ffff 0000 7fff")))
    check(read_image(path), np.asarray(Image.open(path)))
    assert read_image(path)[1, 0].tolist() == [255, 0, 127]


@pytest.mark.parametrize("mode", ["CMYK", "YCbCr", "L"])
def test_a_jpeg_is_as_pillow_converts_it(save, mode):
    source = Image.fromarray(RGB).resize((32, 24)).convert(mode)
    path = save(source, "x.jpg", quality=95)
    with Image.open(path) as image:
        assert image.mode == {"YCbCr": "RGB"}.get(mode, mode)
        wanted = np.asarray(image.convert("RGB"))
    check(read_image(path), wanted)
    assert np.abs(wanted - np.asarray(source.convert("RGB"), float)).mean() < 15


# What EXIF says of the place of the first row and the first column.
UPRIGHT = {
    1: lambda stored: stored,
    2: lambda stored: stored[:, ::-1],
    3: lambda stored: stored[::-1, ::-1],
    4: lambda stored: stored[::-1],
    5: lambda stored: stored.swapaxes(0, 1),
    6: lambda stored: stored.swapaxes(0, 1)[:, ::-1],
    7: lambda stored: stored[::-1, ::-1].swapaxes(0, 1),
    8: lambda stored: stored.swapaxes(0, 1)[::-1],
}


@pytest.mark.parametrize("orientation", UPRIGHT)
@pytest.mark.parametrize("name", ["x.png", "x.tif", "x.webp"])
def test_the_picture_is_upright(save, orientation, name):
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"lossless": True} if name == "x.webp" else {}
    check(read_image(save(RGB, name, exif=exif, **options)), UPRIGHT[orientation](RGB))


def test_exif_data_that_cannot_be_written_again_turn_the_picture_all_the_same(save):
    "The maker of the camera as a ratio"
    tags = struct.pack("<HHII", 0x010F, 5, 1, 38) + struct.pack("<HHIHH", 0x0112, 3, 1, 6, 0)
    exif = b"Exif\0\0II*\0\x08\0\0\0\x02\0" + tags + bytes(4) + struct.pack("<II", 1, 2)
    path = save(RGB, "x.jpg", exif=exif)
    with Image.open(path) as image:
        wanted = UPRIGHT[6](np.asarray(image))
    check(read_image(path), wanted)


def test_grey_of_16_bits_and_palettes_are_turned_too(save):
    exif = Image.Exif()
    exif[0x0112] = 6
    turn = UPRIGHT[6]
    wide = read_image(save(WIDE, "wide.png", exif=exif))
    check(wide, turn(three(np.floor(WIDE / 257 + 0.5))))
    check(read_image(save(palette_image(), exif=exif)), turn(COLOURS[INDICES]))


@pytest.mark.parametrize("junk", [b"Exif\0\0", b"Exif\0\0MM\0*", b"Exif\0\0junk and more junk"])
def test_damaged_exif_data_do_not_matter(save, junk):
    path = save(RGB, "x.jpg")
    wanted = np.asarray(Image.open(path))
    marked = path.read_bytes()
    segment = b"\xff\xe1" + struct.pack(">H", 2 + len(junk)) + junk
    check(read_image(save(marked[:2] + segment + marked[2:], "y.jpg")), wanted)


@pytest.mark.parametrize("name", ["x.gif", "x.png", "x.webp", "x.tif"])
def test_of_several_frames_it_is_the_first(save, name):
    frames = [Image.new("RGB", (6, 4), colour) for colour in ("red", "blue")]
    options = {"lossless": True} if name == "x.webp" else {}
    path = save(frames[0], name, save_all=True, append_images=frames[1:], **options)
    with Image.open(path) as image:
        assert image.n_frames == 2
    check(read_image(path), np.tile(np.uint8([255, 0, 0]), (4, 6, 1)))


@pytest.mark.parametrize("shape", [(1, 1), (1, 900), (900, 1)])
def test_the_smallest_images_are_images(save, shape):
    pixels = RNG.integers(0, 256, (*shape, 3), np.uint8)
    check(read_image(save(pixels)), pixels)


def test_a_colour_profile_is_not_applied(save):
    from PIL import ImageCms

    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    check(read_image(save(RGB, icc_profile=profile)), RGB)


def test_a_path_may_be_text(save):
    check(read_image(str(save(RGB))), RGB)


@pytest.mark.parametrize("height", [1025, 2048])
def test_strips_join_without_a_seam(save, height):
    pixels = RNG.integers(0, 256, (height, 1024, 3), np.uint8)
    check(read_image(save(pixels, "x.bmp")), pixels)


# Photographs that need no file


@pytest.fixture
def no_network(monkeypatch):
    def refuse(*_):
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


@pytest.mark.parametrize("name", SAMPLE_IMAGES)
def test_a_photograph_comes_with_its_package(name, no_network, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folders = [
        Path(sklearn.datasets.__file__).with_name("images"),
        Path(skimage.__file__).with_name("data"),
    ]
    file = next(
        file
        for folder in folders
        for file in folder.iterdir()
        if name in (file.name, file.stem) and file.suffix in (".png", ".jpg")
    )
    with Image.open(file) as image:
        check(read_image(name), np.asarray(image.convert("RGB")))
    assert image_file(name).samefile(file)
    assert list(tmp_path.iterdir()) == []


def test_a_photograph_is_the_callers_own():
    read_image("china.jpg")[:] = 0
    assert read_image("china.jpg").any()


def test_no_photograph_asks_for_pooch(no_network):
    "With a pooch that fails at every use, in a fresh interpreter"
    code = """
        import sys, types

        pooch = types.ModuleType("pooch")
        pooch.os_cache = lambda name: "/nowhere"
        class Fetcher:
            abspath = "/nowhere"
            def fetch(self, *_):
                raise AssertionError("a download")
        pooch.create = lambda **_: Fetcher()
        from skimage.data._fetchers import file_hash
        pooch.file_hash = file_hash
        for name in [name for name in sys.modules if name.startswith("skimage")]:
            del sys.modules[name]
        sys.modules["pooch"] = pooch

        from helpers.inputs import SAMPLE_IMAGES, read_image
        from skimage.data import _fetchers
        assert isinstance(_fetchers._image_fetcher, Fetcher)
        print(*(read_image(name).shape[2] for name in SAMPLE_IMAGES))
    """
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(code)],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[1],
    )
    assert (done.stdout.strip(), done.stderr) == ("3 3 3 3 3 3", "")


def test_a_name_is_the_photograph_and_a_path_is_the_file(save, monkeypatch):
    path = save(RGB, "chelsea", format="PNG")
    monkeypatch.chdir(path.parent)
    assert read_image("chelsea").shape == (300, 451, 3)
    for own in (Path("chelsea"), "./chelsea", str(path)):
        check(read_image(own), RGB)
        assert image_file(own).samefile(path)


# What is refused


def test_a_missing_file_names_the_nearest_file_and_every_photograph(save, monkeypatch):
    path = save(RGB, "holiday.png")
    assert refusal(path.with_name("hollyday.png")) == (
        f"hollyday.png: no such file in '{path.parent}' (nearest: 'holiday.png'). "
        f"Give a file, or one of: {', '.join(SAMPLE_IMAGES)}."
    )
    monkeypatch.chdir(path.parent)
    assert "(nearest: 'astronaut')" in refusal("astronut")
    assert "(nearest: 'china.jpg')" in refusal("China.jpg")


def test_a_folder_is_refused(tmp_path, monkeypatch):
    assert refusal(tmp_path) == (
        f"{tmp_path.name}: this is a folder. Give the path of one file in it."
    )
    monkeypatch.chdir(tmp_path)
    assert refusal(".").startswith(".: this is a folder.")
    assert "there is no folder" in refusal("nowhere/x.png")


def test_an_empty_file_is_refused(save):
    wanted = "x.jpg: the file is empty. Copy or download it again."
    assert refusal(save(b"", "x.jpg")) == wanted


NOT_AN_IMAGE = "not an image of a kind that can be read, or cut short near its beginning."


@pytest.mark.parametrize(
    "content",
    [
        b"\xff",
        b"\xff\xd8\xff",
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        b"%PDF-1.7\n",
        b"\0\0\0\x18ftypheic\0\0\0\0mif1heic",
        b"PK\x03\x04",
        "A text\nof a few lines, ± ünïcode.\n".encode() * 99,
    ],
)
@pytest.mark.parametrize("name", ["x.jpg", "x.png", "x.tga", "x"])
def test_what_is_no_image_is_refused(save, content, name):
    message = refusal(save(content, name))
    assert message.startswith(f"{name}: ")
    assert message.endswith("Save it as PNG or JPEG.")
    if name != "x.tga":  # a format without a mark of its own
        assert NOT_AN_IMAGE in message


@pytest.mark.parametrize("name", ["x.jpg", "x.png", "x.bmp", "x.tif", "x.webp", "x.ppm"])
@pytest.mark.parametrize("part", [0.3, 0.6, 0.9])
def test_a_file_that_was_cut_short_is_refused(save, name, part):
    content = save(RNG.integers(0, 256, (90, 90, 3), np.uint8), name).read_bytes()
    message = refusal(save(content[: int(part * len(content))], name))
    assert re.match(rf"{name}: (the image is damaged, cut short|{NOT_AN_IMAGE})", message)
    assert "\n" not in message
    assert message.endswith("Save it as PNG or JPEG.")


def test_numbers_without_a_white_are_refused(save):
    wanted = "its pixels are numbers without a fixed white (32 bits, or with a sign). Save it with"
    for kind in (np.float32, np.int32):
        assert wanted in refusal(save(np.ones((4, 4), kind), "x.tif"))


def test_a_program_is_not_run(save, monkeypatch):
    from PIL import EpsImagePlugin

    def run(*_, **__):
        raise AssertionError("another program was run")

    path = save(RGB, "x.eps")
    monkeypatch.setattr(EpsImagePlugin, "Ghostscript", run)
    assert "x.eps: this is a PostScript program" in refusal(path)


def test_a_kind_that_pillow_knows_but_cannot_decode_is_refused(save):
    assert "no pixels that can be read" in refusal(save(b"\x89HDF\r\n\x1a\n", "x.h5"))
    cut = b"FTEX" + bytes(60)
    assert refusal(save(cut, "x.ftc")).endswith("Save it as PNG or JPEG.")
    assert NOT_AN_IMAGE in refusal(save(b"P6 0 0 255\n", "x.ppm"))


def test_what_pillow_says_fits_on_one_line(save, monkeypatch):
    def load(_):
        raise OSError("first\nsecond " + "and so on " * 99)

    path = save(RGB)
    monkeypatch.setattr(PngImagePlugin.PngImageFile, "load", load)
    message = refusal(path)
    assert "(first second and so on" in message
    assert len(message) < 400


def test_a_large_text_in_a_small_png_is_refused(save):
    size = PngImagePlugin.MAX_TEXT_CHUNK + 1
    for after in (b"", b"\0"):
        text = chunk(b"zTXt", b"Comment\0\0" + zlib.compress(b"x" * size))
        content = png(1, 1, 8, 0, b"\0\0", text)
        if after:  # behind the pixels
            content = png(1, 1, 8, 0, b"\0\0").replace(chunk(b"IEND", b""), text)
            content += chunk(b"IEND", b"")
        assert len(content) < 5000
        assert "Decompressed data too large" in refusal(save(content))


@pytest.mark.parametrize("side", [12_248, 40_000, 2**31 - 1])
def test_an_image_that_claims_too_many_pixels_is_refused_unread(save, side):
    assert side**2 > MAX_PIXELS
    message = refusal(save(png(side, side, 1, 0, b"\0")))
    assert message == (
        "x.png: the image has more than 150,000,000 pixels, or claims to. "
        "Save it smaller if you trust it."
    )


def test_pillows_own_limit_is_heeded_and_left_as_it_is(save, monkeypatch):
    path = save(RGB)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 20)
    check(read_image(path), RGB)  # 35 pixels: Pillow would only warn
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    assert "more than 150,000,000 pixels" in refusal(path)
    assert Image.MAX_IMAGE_PIXELS == 10


def test_a_name_that_no_folder_can_hold_is_refused():
    assert "cannot be read (File name too long)" in refusal("x" * 300 + ".png")
    assert "no such file" in refusal("x\0.png")


def test_warnings_of_pillow_do_not_come_through(save):
    "Two of its own kinds: a palette with opacities, and EXIF data that end too early"
    path = save(palette_image(), transparency=b"\x00\x80\xff")
    assert read_image(path).shape == (2, 4, 4)
    exif = b"Exif\0\0II*\0\x08\0\0\0\x05\0\x12\x01\x03\0"
    path = save(RGB, "x.jpg", exif=exif)
    with pytest.warns(UserWarning, match="Corrupt EXIF data"), Image.open(path) as image:
        image.getexif()
    assert read_image(path).shape == RGB.shape


def damaged(content, seed):
    """Content with a few bytes changed, and perhaps an end that is missing."""
    chance = random.Random(seed)  # noqa: S311
    new = bytearray(content)
    for _ in range(chance.randint(1, 8)):
        new[chance.randrange(min(len(new), 200))] = chance.randrange(256)
    return bytes(new[: chance.choice([len(new), chance.randrange(1, len(new))])])


@pytest.mark.parametrize(
    "name", ["x.png", "x.gif", "x.bmp", "x.tif", "x.tga", "x.jpg", "x.webp", "x.ppm", "x.ico"]
)
def test_damage_gives_pixels_or_a_refusal_and_nothing_else(save, name):
    exif = Image.Exif()
    exif[0x0112] = 6
    drawing = Image.new("RGB", (40, 30), "white")
    ImageDraw.Draw(drawing).ellipse((3, 3, 30, 25), "teal")
    content = save(drawing, f"good-{name}", exif=exif).read_bytes()
    read = 0
    for seed in range(60):
        path = save(damaged(content, seed), name)
        try:
            pixels = read_image(path)
        except InputError as error:
            assert str(error).startswith(f"{name}: ")
            assert str(path.parent) not in str(error)
        else:
            read += 1
            assert pixels.dtype == np.uint8
            assert pixels.ndim == 3
    assert read < 60


@pytest.mark.parametrize(
    ("name", "shape"), [("x.jpg", (4000, 6000, 3)), ("x.png", (4000, 6000, 4))]
)
def test_a_photograph_of_24_megapixels_takes_the_memory_of_three(tmp_path, name, shape):
    "Read by a process of its own, whose peak only Linux tells apart from that of its parent"
    if not Path("/proc/self/status").exists():
        pytest.skip("no /proc here")
    pixels = np.zeros(shape, np.uint8)
    pixels[::7] = 99
    Image.fromarray(pixels).save(tmp_path / name, compress_level=1)
    code = """
        import re, sys
        from pathlib import Path
        from helpers.inputs import read_image

        def peak():
            status = Path("/proc/self/status").read_text()
            return 1024 * int(re.search("VmHWM:[^0-9]*([0-9]+)", status)[1])

        read_image("chelsea")
        before = peak()
        pixels = read_image(Path(sys.argv[1]))
        print((peak() - before) / pixels.nbytes)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), str(tmp_path / name)],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[1],
    )
    assert 1 < float(done.stdout) < 3.2


def test_an_image_of_48_megapixels_is_read(tmp_path):
    buffer = io.BytesIO()
    Image.new("1", (8000, 6000), 1).save(buffer, "PNG", compress_level=1)
    path = tmp_path / "x.png"
    path.write_bytes(buffer.getvalue())
    pixels = read_image(path)
    assert pixels.shape == (6000, 8000, 3)
    assert pixels.min() == 255
