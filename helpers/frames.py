"""Pictures to leaf through: a slider over frames that were computed beforehand.

It works by mouse, touch and keyboard, in a static page and in JupyterLab, and needs no server.
Without scripts the chosen frame is there, with the sentences on all of them below it; where there
is no HTML at all, the chosen frame is a picture like others.
"""

import base64
import io
from dataclasses import dataclass, field
from html import escape

import numpy as np
import pandas as pd
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from helpers.figure_data import figure_data

# What a figure needs to look as it was drawn, and half the bytes of all the colours it has.
_FIGURE_COLORS = 64
# Two pictures of this width stand side by side on a page, or fill the width of a phone.
_LONGEST_SIDE = 400

# JupyterLab drops the attribute without its value from what it has not run itself.
_HIDDEN = ' hidden="hidden"'
# Its shortcuts would take the arrow keys from a slider, and Enter from what unfolds.
_OWN_KEYS = ' data-lm-suppress-shortcuts="true"'

_STYLE = """
.frames [hidden] { display: none !important; }
.frames figcaption, .frames figcaption :is(p, li, summary) { color: inherit; text-align: start; }
.frames summary { cursor: pointer; display: list-item; }
.frames-pictures { align-items: start; display: flex; flex-wrap: wrap; gap: 0.5rem; }
.frames-pictures img { height: auto; max-width: 100%; }
.frames-pictures .frames-beside, .frames-beside ~ img {
  flex: 1 1 14rem;
  max-width: 400px;
  min-width: 0;
}
.frames-control { align-items: center; display: flex; flex-wrap: wrap; gap: 0 0.75rem; }
.frames-control label { flex-basis: 100%; }
.frames-control input {
  accent-color: var(--pst-color-link, var(--jp-brand-color1, #0a58ca));
  color: inherit;
  flex: 1 1 4rem;
  min-height: 2.75rem;
  min-width: 0;
}
.frames-control input:focus-visible { outline: 3px solid currentcolor; outline-offset: 2px; }
"""

# The sentences are in the page once, in the list: the slider copies the one that is asked for.
_SCRIPT = """
(() => {
  const figure = document.currentScript?.previousElementSibling;
  const slider = figure?.querySelector("input");
  if (!slider) return;
  const frames = figure.querySelectorAll(".frames-frame");
  const items = figure.querySelectorAll("li");
  const fetchAll = () => frames.forEach((frame) => { frame.loading = "eager"; });
  slider.addEventListener("focus", fetchAll);
  slider.addEventListener("pointerenter", fetchAll);
  slider.addEventListener("input", () => {
    frames.forEach((frame, place) => { frame.hidden = place !== slider.valueAsNumber; });
    const item = items[slider.valueAsNumber];
    figure.querySelector(".frames-said").innerHTML = item.innerHTML;
    slider.setAttribute("aria-valuetext", item.querySelector("strong").textContent);
  });
  slider.parentElement.hidden = false;
})();
"""


@dataclass(frozen=True)
class Frame:
    """
    One position of a slider.

    Attributes
    ----------
    label : str
        Such as "K = 5".
    picture : Figure or uint8 array of shape (height, width, 3)
        All frames of a slider have the same size. Of a large array some rows and columns are left
        out; no colours are mixed.
    sentence : str
        What the picture shows, in numbers, for those who do not see it and for those who do.
    """

    label: str
    picture: Figure | np.ndarray = field(repr=False)
    sentence: str


class Slider:
    """
    Frames of which one is shown, for a notebook to display.

    Parameters
    ----------
    name : str
        Letters and hyphens. No other slider of the page has it.
    frames : iterable of Frame
        Drawn one after the other, so that a generator needs the memory of one figure.
    chosen : str
        Label of the frame that is shown first.
    alt : str
        What all frames show, whatever was computed. The label of each is put in front.
    label : str
        What the slider changes: "Number of segments".
    mark : str, default="in use"
        Said of the chosen frame, behind its label.
    beside : Frame, optional
        A picture that stays where it is. Its label is its alternative text; the sentence is not
        used.

    Attributes
    ----------
    data : DataFrame
        What the figures draw, as ``figure_data`` reads it, with the label of each "frame" in front.
        Pictures have no rows.

    Raises
    ------
    ValueError
        If no frame, or more than one, has the chosen label.

    Examples
    --------
    >>> grey = np.full((2, 2, 3), 128, dtype=np.uint8)
    >>> frames = [Frame(f"K = {k}", grey, f"{k} colours.") for k in (2, 4)]
    >>> Slider("palettes", frames, chosen="K = 4", alt="A grey square", label="Colours")
    K = 4, in use: 4 colours.
    """

    def __init__(self, name, frames, *, chosen, alt, label, mark="in use", beside=None):
        self._name, self._label = name, label
        self._beside = [] if beside is None else [(beside.label, _pixels(beside.picture))]
        self._labels, self._titles, self._sentences, self._images = [], [], [], []
        tables = []
        for frame in frames:
            if isinstance(frame.picture, Figure):
                tables.append(_data_of(frame))
            pixels = _pixels(frame.picture)
            if frame.label == chosen:
                self._picture = pixels
            self._labels.append(frame.label)
            self._titles.append(f"{frame.label}, {mark}" if frame.label == chosen else frame.label)
            self._sentences.append(frame.sentence)
            self._images.append((f"{frame.label}: {alt}", pixels.size, _webp(pixels)))
        if self._labels.count(chosen) != 1:
            problem = f"{self._labels.count(chosen)} frames are called {chosen!r}"
            raise ValueError(f"{problem}; give one of them that label.")
        self._chosen = self._labels.index(chosen)
        self.data = pd.concat(tables, ignore_index=True) if tables else pd.DataFrame({"frame": []})

    def __repr__(self):
        return f"{self._titles[self._chosen]}: {self._sentences[self._chosen]}"

    def _repr_mimebundle_(self, include=None, exclude=None):
        """Return HTML with all frames, and the chosen one as a picture."""
        return {"text/html": self._html(), "image/png": self._png(), "text/plain": repr(self)}

    def _png(self):
        """Chosen frame, beside the picture that stays if there is one."""
        pictures = [*(pixels for _, pixels in self._beside), self._picture]
        row = np.hstack([np.asarray(picture.convert("RGB")) for picture in pictures])
        buffer = io.BytesIO()
        Image.fromarray(row).save(buffer, "PNG", optimize=True)
        return base64.b64encode(buffer.getvalue()).decode()

    def _html(self):
        pictures = [
            _img(alt, pixels.size, _webp(pixels), "frames-beside") for alt, pixels in self._beside
        ]
        pictures += [
            _img(alt, size, data, "frames-frame", hidden=place != self._chosen)
            for place, (alt, size, data) in enumerate(self._images)
        ]
        said = [
            f"<strong>{escape(title)}</strong>. {escape(sentence)}"
            for title, sentence in zip(self._titles, self._sentences, strict=True)
        ]
        slider = f"frames-{self._name}"
        # The classes: an amount in dollars is no mathematics.
        return "\n".join(
            [
                f"<style>{_STYLE}</style>",
                '<figure class="frames mathjax_ignore tex2jax_ignore">',
                f'<div class="frames-pictures">{"".join(pictures)}</div>',
                f'<div class="frames-control"{_HIDDEN}>',
                f'<label for="{slider}">{escape(self._label)}</label>',
                f"<span>{escape(self._labels[0])}</span>",
                f'<input id="{slider}"{_OWN_KEYS} type="range" min="0" max="{len(said) - 1}" '
                f'step="1" value="{self._chosen}" autocomplete="off" '
                f'aria-valuetext="{escape(self._titles[self._chosen])}">',
                f"<span>{escape(self._labels[-1])}</span>",
                "</div>",
                "<figcaption>",
                f'<p class="frames-said" aria-live="polite">{said[self._chosen]}</p>',
                f"<details><summary{_OWN_KEYS}>All {len(said)} in words</summary>",
                "<ul>",
                *(f"<li>{text}</li>" for text in said),
                "</ul>",
                "</details>",
                "</figcaption>",
                "</figure>",
                f"<script>{_SCRIPT}</script>",
            ]
        )


def _data_of(frame):
    """Return what the figure of a frame draws, with the label in front."""
    table = figure_data(frame.picture)
    table.insert(0, "frame", frame.label)
    return table


def _pixels(picture):
    """Picture with few colours, or with no more pixels than a page shows."""
    if isinstance(picture, Figure):
        canvas = FigureCanvasAgg(picture)
        canvas.draw()
        drawn = Image.fromarray(np.asarray(canvas.buffer_rgba())[..., :3])
        # Dithering would put dots around every letter.
        return drawn.quantize(_FIGURE_COLORS, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
    image = Image.fromarray(picture)
    scale = min(1.0, _LONGEST_SIDE / max(image.size))
    size = [max(1, round(side * scale)) for side in image.size]
    return image.resize(size, Image.Resampling.NEAREST)


def _webp(image):
    """Bytes of a picture: without any loss if it has few colours."""
    image = image.convert("RGB")
    buffer = io.BytesIO()
    image.save(buffer, "WEBP", lossless=image.getcolors(256) is not None, quality=85)
    return buffer.getvalue()


def _img(alt, size, data, kind, *, hidden=False):
    """Return the element of a picture; a page fetches a hidden one when it is asked for."""
    width, height = size
    source = base64.b64encode(data).decode()
    return (
        f'<img class="{kind}" alt="{escape(alt)}" width="{width}" height="{height}"'
        f'{_HIDDEN if hidden else ""} loading="lazy" src="data:image/webp;base64,{source}">'
    )
