"""The prose of all pages: spelling, headings, no result typed by hand, no page too hard to read."""

import re
import shutil
import subprocess
import sys
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import nbformat
import pytest
from prose import ROOT, WORD, Reading, blocks, chapters, pages, reading, syllables
from spellchecker import SpellChecker

WORDS = ROOT / "tests" / "words.txt"


def by_name(path):
    return path.relative_to(ROOT).as_posix()


@pytest.fixture(params=pages(), ids=by_name)
def page(request):
    return request.param


# Headings


def test_one_title_and_no_level_left_out(page):
    levels = [block.level for block in blocks(page) if block.level]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))


# Spelling

NO_WORDS = re.compile(r"\S*(?:[_/\\@=\d]|\w\.\w)\S*")


def words_of(path):
    """Words of a page in small letters; files, addresses, values and abbreviations are none."""
    texts = (NO_WORDS.sub(" ", block.text(code=" ")) for block in blocks(path))
    words = {word for text in texts for word in WORD.findall(text) if not word.isupper()}
    return {re.sub(r"['\u2019]s?$", "", word.lower()) for word in words}


def own_words():
    lines = WORDS.read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def unknown(words):
    """Words that are neither in the dictionary nor among the course's own."""
    return SpellChecker().unknown(words) - {*own_words()}


def test_every_word_is_known(page):
    found = sorted(unknown(words_of(page)))
    assert not found, f"{found}: mend them, or add them to tests/words.txt"


def test_every_word_of_the_courses_own_is_used_and_unknown_elsewhere():
    used = {word for path in pages() for word in words_of(path)}
    assert own_words() == sorted({*own_words()})
    assert sorted({*own_words()} - used) == []
    assert {*own_words()} == SpellChecker().unknown(own_words())


def test_a_slip_would_be_found():
    assert unknown({"silhouete", "clusters", "colour"}) == {"silhouete"}


def british(text, folder):
    """What ``typos`` has against a text: common slips, and spellings that are not British."""
    path = folder / "prose.txt"
    path.write_text(text, encoding="utf-8")
    settings = folder / "typos.toml"
    settings.write_text('[default]\nlocale = "en-gb"\n', encoding="utf-8")
    program = shutil.which("typos", path=Path(sys.executable).parent)
    assert program
    done = subprocess.run(
        [program, "--isolated", "--config", settings, "--format", "brief", path],
        capture_output=True,
        text=True,
        check=False,
    )
    assert not done.stderr
    return [line.rpartition("error: ")[2] for line in done.stdout.splitlines()]


def test_spelling_is_british_and_free_of_common_slips(page, tmp_path):
    assert british("\n".join(block.text() for block in blocks(page)), tmp_path) == []


def test_an_american_spelling_would_be_found(tmp_path):
    assert british("The color is recognised, and teh end.", tmp_path) == [
        "`color` should be `colour`",
        "`teh` should be `the`",
    ]


# No result is typed by hand

# Numbers that follow from nothing on the page, each as it stands there.
FIXED = {
    "customer_segmentation": [
        # The ends of a measure, and what they mean.
        "The 1 keeps zero days apart",
        "0 is symmetric",
        "From -1 to 1, higher is better",
        "from 0 (worst) to 1 (best)",
        "0.5 is guessing, 1 is a perfect forecast",
        "adds up to 100 %",
        # Published limits.
        "Below 0.6 a segment",
        "from 0.75 it counts as stable",
        # Numbers that are names.
        "give cluster 0 the first name, cluster 1 the second",
    ],
    "network_anomalies": [
        "microseconds of some sensors by 1,000,000",
        "Downloads are far below 1",
        "scaled to mean 0 and standard deviation 1",
        "a distance of 1 a lot",
        "its own score is 0",
        "the KDD Cup 99 family",
    ],
    "image_compression": [
        # What a colour, PNG and Pillow can hold.
        "palettes, 16 bits, transparency",
        "each from 0 to 255",
        "1 bit for up to 2 colours, 2 bits for 4, 4 bits for 16, 8 bits for up to 256",
        "at most 256 colours",
        "quality 1 to 95",
        "even quality 1 is larger",
        "times 8, divided by the pixels",
        "at most 1: does the neighbourhood",
        "CIEDE2000",
        "about 1 is just visible",
    ],
    "clustering_at_scale": [
        "one cluster for all would have 3",
        "(plus 1)",
        "An exponent of 1",
        "Below 1 there is a part",
        "features times 8 bytes",
        "With 400 GB you would",
    ],
    "clustering_on_spark": [],
    "stability_and_drift": [
        "0 is no difference",
        "1 is the same cluster",
        "Below 0.6 a cluster",
        "from 0.75 on it counts as stable",
        "It is 0 if the shares are equal",
        "above 0.1 there is a change, above 0.25 a large one",
    ],
}

# Numbers that the code is set to: each as it stands on the page, and where the code says so.
SET = {
    "customer_segmentation": {
        "for each K from 2 to 10": ("", "range(2, 11)"),
        "less than 2 % of the customers": ("helpers/selection.py", "min_share=0.02"),
        "a stability below 0.75": (
            "helpers/stability.py",
            "TRUSTED, STABLE, HIGHLY_STABLE = 0.60, 0.75, 0.85",
        ),
        "over 100 bootstrap samples": ("helpers/stability.py", "n_boot=100"),
        "the middle 95 % of the results": ("helpers/segmentation.py", "[0.025, 0.975]"),
    },
    "network_anomalies": {
        "within which 95 % of the flows": ("helpers/anomalies.py", "FALLBACK_QUANTILE = 0.95"),
        "the 98 % quantile": ("helpers/anomalies.py", "_TAIL_QUANTILES = (0.5, 0.98)"),
        "fewer than 0.01": ("helpers/anomalies.py", '"HIGH": 0.01'),
        "fewer than 0.05": ("helpers/anomalies.py", '"MEDIUM": 0.05'),
        "0.05 or more": ("helpers/anomalies.py", '"MEDIUM": 0.05'),
        "the nearest of 8 centres": ("", "KMeans(8,"),
        "Above 20,000 flows": ("", "20_000"),
    },
    "image_compression": {
        "32 x 32 x 32 cells": ("helpers/quantization.py", "_CELL_BITS = 3"),
        "tries 20 starts": ("helpers/quantization.py", "_RESTARTS = 20"),
        "at least 30 dB": ("", ">= 30"),
    },
    "clustering_at_scale": {
        "asks for 2 % of the customers": ("helpers/selection.py", "min_share=0.02"),
        "the usual 20 restarts": ("helpers/selection.py", "n_init=20"),
        "at most about 5 % in each number": ("helpers/scale.py", "CELL_WIDTH = 0.05"),
        "the default, 0.5, is a distance": ("", "Birch("),
        "DuckDB may hold 1 GB": ("helpers/measurement.py", 'memory_limit="1GB"'),
        "50,000 customers each": ("helpers/scale.py", "batch_size=50_000"),
        "Java may hold 2 GB": ("helpers/spark.py", 'memory="2g"'),
        "all others start 20 times": ("helpers/measurement.py", "n_init=20"),
        "about 25 a customer": ("helpers/measurement.py", "LINES_A_CUSTOMER = 25"),
    },
    "clustering_on_spark": {
        "the iris flowers, with K = 2": ("", "OneMachineKMeans(2,"),
    },
    "stability_and_drift": {
        "a PSI of 0.1 above what chance adds": ("helpers/drift.py", "MATERIAL_PSI = 0.10"),
        "holds 99 % of the segment's": ("helpers/drift.py", "RADIUS_QUANTILE = 0.99"),
        "A little more than 1 %": ("helpers/drift.py", "RADIUS_QUANTILE = 0.99"),
        "changes on 1 July": ("helpers/fixtures.py", 'pd.Timestamp("2024-07-01")'),
        "0 keep, 3 watch, 4 refit, and 2": ("helpers/course/cli.py", '"watch": 3, "refit": 4'),
    },
}

# Here numbers are invented on purpose, or are the years of what to read.
INVENTED = ("", "Exercises", "Check yourself", "Further reading")


def chapter_named(name):
    return ROOT / "notebooks" / f"{name}.ipynb"


def without_citations(tokens):
    """Tokens of a run of prose without those of links to the references."""
    kept, skipped = [], False
    for token in tokens:
        if token.type == "link_open":
            skipped = str(token.attrs["href"]).endswith("references.md")
        if not skipped:
            kept.append(token)
        if token.type == "link_close":
            skipped = False
    return kept


def typed(path):
    """Runs of prose that were typed in the parts of a chapter where results are told."""
    for block in blocks(path, computed=False):
        if not block.level and block.section not in INVENTED:
            yield replace(block, tokens=without_citations(block.tokens)).text()


@pytest.fixture(params=[path.stem for path in chapters()])
def chapter(request):
    return request.param


def test_no_result_is_typed_by_hand(chapter):
    left = []
    for text in typed(chapter_named(chapter)):
        plain = text
        for phrase in (*FIXED[chapter], *SET[chapter]):
            plain = plain.replace(phrase, "")
        if re.search(r"\d", plain):
            left.append(text)
    assert left == []


def test_numbers_that_the_code_is_set_to_are_the_codes(chapter):
    cells = nbformat.read(chapter_named(chapter), as_version=4).cells
    own = "\n".join(cell.source for cell in cells if cell.cell_type == "code")
    for phrase, (file, fragment) in SET[chapter].items():
        code = (ROOT / file).read_text(encoding="utf-8") if file else own
        assert fragment in code, phrase


def test_every_exception_is_still_needed(chapter):
    text = "\n".join(typed(chapter_named(chapter)))
    phrases = [*FIXED[chapter], *SET[chapter]]
    assert [phrase for phrase in phrases if phrase not in text] == []
    assert all(re.search(r"\d", phrase) for phrase in phrases)


# How it reads


def test_no_page_is_a_disaster_to_read(page):
    "A plain text has about 60. A page of terms and names has less, so this is no aim to write for."
    assert reading([block.text() for block in blocks(page) if not block.level]).ease > 40


def test_reading_ease_is_that_of_flesch():
    "Ten words in two sentences, twelve syllables: 206.835 - 1.015 * 5 - 84.6 * 1.2 is 100.24."
    text = "The cat sat on mats. It saw one of seven mice."
    assert reading([text]) == Reading(words=11, sentences=2, syllables=12)
    assert Reading(10, 2, 12).ease == pytest.approx(100.24)


@pytest.mark.parametrize(
    ("word", "expected"),
    [("the", 1), ("customers", 3), ("table", 2), ("scaled", 1), ("noted", 2), ("prices", 2)],
)
def test_syllables_are_those_that_are_heard(word, expected):
    assert syllables(word) == expected
