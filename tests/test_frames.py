"""Sliders: what they say to a browser, to a screen reader and to formats without HTML."""

import base64
import io
import json
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from bs4 import BeautifulSoup
from matplotlib.figure import Figure
from nbval.plugin import get_sanitize_patterns
from numpy.testing import assert_array_equal
from PIL import Image

from helpers.course.pages import _put_pictures_into_files
from helpers.frames import Frame, Slider

HOSTILE = """K = <b>"5"</b> & 'six', $7$ </script><img src=x onerror="alert(1)">"""
VOID = {"img", "input"}


class Tree(HTMLParser):
    """Elements in order, each with its attributes, its text and the elements around it."""

    def __init__(self, text):
        super().__init__()
        self.elements, self._open = [], []
        self.feed(text)
        assert self._open == [], "an element is not closed"

    def handle_starttag(self, tag, attrs):
        element = {"tag": tag, "text": "", "in": [one["tag"] for one in self._open], **dict(attrs)}
        self.elements.append(element)
        if tag not in VOID:
            self._open.append(element)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)

    def handle_endtag(self, tag):
        assert self._open.pop()["tag"] == tag

    def handle_data(self, data):
        for element in self._open:
            element["text"] += data

    def __getitem__(self, tag):
        return [element for element in self.elements if element["tag"] == tag]


def flat(value, height=6, width=9):
    return np.full((height, width, 3), value, dtype=np.uint8)


def slider(chosen="K = 3", **options):
    frames = (Frame(f"K = {k}", flat(10 * k), f"It has {k} parts.") for k in (2, 3, 4))
    options = {"alt": "all the parts", "label": "Number of parts", "mark": "in use", **options}
    return Slider("parts", frames, chosen=chosen, **options)


def bundle(one):
    return one._repr_mimebundle_()


def html(one):
    return Tree(bundle(one)["text/html"])


def picture(data):
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(data))).convert("RGB"))


def shown(image):
    return picture(image["src"].partition("base64,")[2])


@pytest.mark.parametrize("place", [0, 1, 2])
def test_only_the_chosen_frame_is_shown_and_named(place):
    label = f"K = {place + 2}"
    tree = html(slider(label))
    hidden = ["hidden" in image for image in tree["img"]]
    assert hidden == [at != place for at in range(3)]
    (control,) = tree["input"]
    assert [control[name] for name in ("min", "max", "step", "value")] == [
        "0",
        "2",
        "1",
        f"{place}",
    ]
    assert control["aria-valuetext"] == f"{label}, in use"
    said = [element for element in tree["p"] if element.get("aria-live") == "polite"]
    assert [element["text"] for element in said] == [f"{label}, in use. It has {place + 2} parts."]


def test_every_frame_has_its_picture_its_alternative_text_and_its_sentence():
    tree = html(slider())
    assert [image["alt"] for image in tree["img"]] == [f"K = {k}: all the parts" for k in (2, 3, 4)]
    assert [shown(image)[0, 0, 0] for image in tree["img"]] == [20, 30, 40]
    assert [(image["width"], image["height"]) for image in tree["img"]] == [("9", "6")] * 3
    assert [item["text"] for item in tree["li"]] == [
        "K = 2. It has 2 parts.",
        "K = 3, in use. It has 3 parts.",
        "K = 4. It has 4 parts.",
    ]


def test_the_control_has_a_label_and_waits_for_the_script():
    tree = html(slider())
    (control,), (label,) = tree["input"], tree["label"]
    assert label["for"] == control["id"] == "frames-parts"
    assert label["text"] == "Number of parts"
    assert [div for div in tree["div"] if div["class"] == "frames-control" and "hidden" in div]


def test_what_jupyterlab_makes_of_it():
    """
    The keys are the slider's, and a notebook that it has not run shows the chosen frame alone.

    Then it drops ``hidden`` without a value, and its shortcuts stop at the element with the focus.
    """
    tree = html(slider())
    assert {one.get("hidden") for one in tree.elements} == {None, "hidden"}
    for one in tree["input"] + tree["summary"]:
        assert one["data-lm-suppress-shortcuts"] == "true"


def test_what_is_in_no_control_needs_no_script():
    "Sentences and pictures lie outside the element that the script unhides"
    tree = html(slider())
    hidden = [one["tag"] for one in tree.elements if "hidden" in one]
    assert hidden == ["img", "img", "div"]
    assert tree["li"][0]["in"] == ["figure", "figcaption", "details", "ul"]


def test_text_from_data_stays_text():
    frames = [Frame(HOSTILE, flat(1), HOSTILE), Frame("other", flat(2), "Plain.")]
    tree = html(Slider("x", frames, chosen=HOSTILE, alt=HOSTILE, label=HOSTILE, mark=HOSTILE))
    assert len(tree["img"]) == 2
    assert len(tree["script"]) == 1
    assert tree["b"] == []
    assert tree["img"][0]["alt"] == f"{HOSTILE}: {HOSTILE}"
    assert tree["label"][0]["text"] == tree["span"][0]["text"] == HOSTILE
    assert tree["li"][0]["text"] == f"{HOSTILE}, {HOSTILE}. {HOSTILE}"
    assert tree["input"][0]["aria-valuetext"] == f"{HOSTILE}, {HOSTILE}"
    assert {"mathjax_ignore", "tex2jax_ignore"} < set(tree["figure"][0]["class"].split())


def test_formats_without_html_get_the_chosen_frame():
    formats = bundle(slider("K = 4"))
    assert formats["text/plain"] == "K = 4, in use: It has 4 parts."
    assert_array_equal(picture(formats["image/png"]), flat(40))


def test_a_picture_may_stay_beside_the_frames():
    one = slider(beside=Frame("The one that stays", flat(200), ""))
    first, *frames = html(one)["img"]
    assert first["alt"] == "The one that stays"
    assert "hidden" not in first
    assert len(frames) == 3
    row = picture(bundle(one)["image/png"])
    assert_array_equal(row, np.hstack([flat(200), flat(30)]))


def test_a_palette_is_shown_without_loss_and_without_new_colours():
    rng = np.random.default_rng(0)
    palette = rng.integers(0, 256, (200, 3), dtype=np.uint8)
    large = palette[rng.integers(0, 200, (300, 1000))]
    frames = [Frame("large", large, "")]
    (image,) = html(Slider("x", frames, chosen="large", alt="", label=""))["img"]
    assert shown(image).shape == (120, 400, 3)
    known = {tuple(color) for color in palette.tolist()}
    assert {tuple(color) for color in shown(image).reshape(-1, 3).tolist()} <= known


def test_a_figure_keeps_its_size_and_needs_few_bytes():
    figure = Figure(figsize=(4, 2), dpi=100)
    ax = figure.subplots()
    ax.scatter(*np.random.default_rng(0).random((2, 500)), alpha=0.5)
    one = Slider("x", [Frame("f", figure, "")], chosen="f", alt="", label="")
    (image,) = html(one)["img"]
    assert shown(image).shape == (200, 400, 3)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    assert len(image["src"]) * 3 / 4 < len(buffer.getvalue()) / 2
    before = np.asarray(Image.open(buffer).convert("RGB")).astype(float)
    assert np.abs(shown(image) - before).mean() < 3


def test_the_figures_of_a_generator_are_drawn_one_after_the_other():
    alive = []

    def frames():
        for k in (1, 2, 3):
            alive.append(k)
            yield Frame(str(k), flat(k), "")
            assert len(alive) == k

    Slider("x", frames(), chosen="2", alt="", label="")
    assert alive == [1, 2, 3]


@pytest.mark.parametrize(("chosen", "count"), [("K = 9", 0), ("K = 2", 2)])
def test_the_chosen_frame_has_to_be_one(chosen, count):
    frames = [Frame(f"K = {k}", flat(k), "") for k in (2, 2, 3)]
    with pytest.raises(ValueError, match=f"{count} frames are called '{chosen}'"):
        Slider("x", frames, chosen=chosen, alt="", label="")


def test_another_process_says_the_same():
    "Whatever its hash seed: a notebook that ran again shows no difference"
    code = (
        "import json, sys; sys.path[:0] = sys.argv[1:]; from test_frames import bundle, slider; "
        "print(json.dumps(bundle(slider())))"
    )
    folders = [str(Path(__file__).parent), str(Path(__file__).parents[1])]
    outputs = [
        subprocess.run(
            [sys.executable, "-c", code, *folders],
            env={"PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
            text=True,
        ).stdout
        for seed in ("1", "2")
    ]
    assert json.loads(outputs[0]) == json.loads(outputs[1]) == bundle(slider())


def test_nbval_compares_what_a_slider_says_and_not_its_pictures(pytestconfig):
    file = pytestconfig.rootpath / pytestconfig.option.nbval_sanitize_with

    def compared(value, sentence):
        frames = [Frame("K = 2", flat(value), sentence)]
        text = bundle(Slider("x", frames, chosen="K = 2", alt="", label=""))["text/html"]
        for regex, replacement in get_sanitize_patterns(file.read_text()):
            text = re.sub(regex, replacement, text)
        return text

    assert compared(1, "One.") == compared(2, "One.") != compared(1, "Two.")


def test_a_page_links_to_its_pictures(tmp_path):
    "The chosen frame is fetched with the page, the others when the slider moves"
    page = tmp_path / "notebooks" / "a.html"
    page.parent.mkdir()
    soup = BeautifulSoup(bundle(slider())["text/html"] + "<p>é</p>", "html.parser")
    _put_pictures_into_files(soup, page, tmp_path / "_images")
    text = str(soup)
    assert "data:" not in text
    assert text.endswith("<p>é</p>")
    for image, before in zip(Tree(text)["img"], html(slider())["img"], strict=True):
        file = page.parent / image["src"]
        assert base64.b64encode(file.read_bytes()).decode() == before["src"].partition(",")[2]
        assert image["loading"] == "lazy"
