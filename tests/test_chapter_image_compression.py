"""The chapter on palettes: every run, with other pictures and parameters, reads true."""

import json
import re

import nbformat
import numpy as np
import pandas as pd
import pytest
from chapter_runs import assert_refused, markdown_outputs, run_chapter
from PIL import Image

from helpers.fixtures import flat_graphic
from helpers.inputs import read_image
from helpers.quantization import errors

CHAPTER = "image_compression"
SIZES = [8, 16, 32, 64]


def assert_page_agrees_with_exports(out, original, sizes):
    """Check what has to hold for every run; return the page's sentences, the table and record."""
    notebook = nbformat.read(out / f"{CHAPTER}.ipynb", as_version=4)
    out = out / CHAPTER
    images = {f"compressed_{k}.png" for k in sizes}
    others = {"comparison.png", "rate_distortion.png", "compression_table.csv", "run_record.json"}
    assert {path.name for path in out.iterdir()} == images | others
    table = pd.read_csv(out / "compression_table.csv", index_col="file")
    record = json.loads((out / "run_record.json").read_text())
    text = "\n".join(markdown_outputs(notebook))
    assert not re.search(r"\b(nan|NaN|None|inf)\b", text)

    for k in sizes:
        path = out / f"compressed_{k}.png"
        row = table.loc[f"K = {k}"]
        assert path.stat().st_size == row["bytes"] == record["metrics"]["bytes"][f"K = {k}"]
        with Image.open(path) as image:
            assert image.mode == "P"
            depth = path.read_bytes()[24]  # of the header chunk IHDR
            assert (
                depth == {1: 1, 2: 1, 4: 2, 16: 4}.get(k, 4 if k < 16 else 8)
                or len(image.getcolors()) <= 2**depth
            )
            assert len(image.getcolors()) <= row["colors"] <= k
            pixels = np.asarray(image.convert("RGBA" if original.shape[2] == 4 else "RGB"))
        assert errors(original, pixels)["MSE"] == pytest.approx(row["MSE"])
    assert f"**{original.shape[0] * original.shape[1]:,} pixel" in text
    return text, table, record


def save(path, array):
    Image.fromarray(array).save(path)
    return path


def test_with_its_defaults_the_photograph_belongs_to_jpeg(tmp_path, monkeypatch):
    result = run_chapter(CHAPTER, tmp_path / "out", monkeypatch)
    assert result.exit_code == 0, result.output
    original = read_image("china.jpg")
    text, table, record = assert_page_agrees_with_exports(tmp_path / "out", original, SIZES)
    assert "**96,615 distinct colours**" in text
    assert "Wherever the two can be compared, the JPEG is better" in text
    assert record["inputs"]["image"]["file"] == "china.jpg"
    # One start of k-means on every pixel, and Pillow's median cut, as measured elsewhere.
    assert (table.loc[[f"K = {k}" for k in SIZES], "MSE"] <= [651.0, 365.8, 190.7, 113.2]).all()


def transparent():
    image = np.zeros((60, 90, 4), np.uint8)
    image[10:50, 20:70] = [200, 30, 30, 255]
    image[20:40, 30:60] = [30, 30, 200, 128]
    return image


@pytest.mark.parametrize(
    ("array", "parameters", "sentences"),
    [
        (flat_graphic(), {}, ["The palette wins", "loses nothing"]),
        (np.full((1, 1, 3), 7, np.uint8), {}, ["**1 pixel** and **1 distinct colour**"]),
        (np.zeros((30, 40, 3), np.uint8), {"n_colors": "[1]"}, ["**1 distinct colour**"]),
        (transparent(), {"n_colors": "[2, 3, 256]"}, ["some of them transparent"]),
        (
            np.random.default_rng(0).integers(0, 256, (50, 70), dtype=np.uint8),
            {"dither": "true", "n_colors": "[2, 16]", "random_state": 5},
            ["distinct colours"],
        ),
    ],
    ids=["graphic", "one pixel", "black", "transparent", "grey noise, dithered"],
)
def test_other_pictures(tmp_path, monkeypatch, array, parameters, sentences):
    path = save(tmp_path / "mine.png", array)
    result = run_chapter(CHAPTER, tmp_path / "out", monkeypatch, image=path, **parameters)
    assert result.exit_code == 0, result.output
    sizes = json.loads(parameters.get("n_colors", str(SIZES)))
    text, _, record = assert_page_agrees_with_exports(tmp_path / "out", read_image(path), sizes)
    lowered = text.lower()
    assert all(sentence.lower() in lowered for sentence in sentences)
    assert record["inputs"]["image"]["file"] == "mine.png"


def test_what_is_no_picture_is_refused(tmp_path):
    whole = save(tmp_path / "whole.jpg", read_image("flower.jpg")).read_bytes()
    cases = []
    for name, content, fragment in [
        ("empty.jpg", b"", "the file is empty"),
        ("text.jpg", b"dear reader, this is text", "not an image"),
        ("truncated.jpg", whole[:20_000], "damaged, cut short"),
    ]:
        (tmp_path / name).write_bytes(content)
        cases.append(({"image": tmp_path / name}, [f"{name}: ", fragment]))
    assert_refused(CHAPTER, tmp_path, cases)


def test_a_parameter_out_of_range_is_refused(tmp_path):
    path = save(tmp_path / "mine.png", transparent())
    cases = [
        ({"n_colors": "[]"}, "n_colors is []. Use 1 to 8 whole numbers from 1 to 256"),
        ({"n_colors": "[300]"}, "n_colors is [300]"),
        ({"n_colors": "[2.5]"}, "n_colors is [2.5]"),
        ({"random_state": -1}, "random_state is -1"),
        ({"image": path, "dither": "true"}, "mine.png: has transparent pixels"),
    ]
    cases = [(parameters, [fragment]) for parameters, fragment in cases]
    assert_refused(CHAPTER, tmp_path, cases)


def test_what_is_refused_stops_the_command_and_leaves_nothing(tmp_path, monkeypatch):
    (tmp_path / "mine.jpg").write_bytes(b"dear reader, this is text")
    for image, fragment in [
        (tmp_path / "mine.jpg", "mine.jpg: not an image"),
        ("chinna.jpg", "china.jpg"),
    ]:
        result = run_chapter(CHAPTER, tmp_path / "out", monkeypatch, image=image)
        assert result.exit_code == 2, result.output
        assert fragment in result.output
        assert not (tmp_path / "out").exists()
