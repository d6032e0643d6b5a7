"""Every page for everybody: by keyboard, by ear, in the dark, without scripts, on a slow line."""

import re
from itertools import product

import numpy as np
import pandas as pd
import pytest
from axe_playwright_python.sync_playwright import Axe
from bs4 import BeautifulSoup
from course_project import make_project
from nbformat.v4 import new_markdown_cell
from PIL import Image
from site_pages import of_the_book, pages

from helpers.course.edition import Edition
from helpers.course.formulas import mathml
from helpers.course.pages import finish_pages
from helpers.course.rendering import SiteError
from helpers.course.site import build_site

# Web Content Accessibility Guidelines 2.2, levels A and AA, and what else axe advises.
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]

UNFOLD = """() => {
  document.querySelectorAll("details").forEach((folded) => { folded.open = true; });
  document.querySelectorAll(".toggle-button-hidden").forEach((button) => button.click());
}"""

# Thousands of words of code and of numbers in tables have a dozen looks between them: one word of
# each is looked at.
MARK_REPEATED = """() => {
  const seen = new Set();
  document.querySelectorAll(":is(.highlight span, td):not(:has(*))").forEach((word) => {
    const look = getComputedStyle(word);
    const behind = getComputedStyle(word.parentElement).backgroundColor;
    const box = word.closest("div").className;
    const kind = [look.color, look.backgroundColor, behind, look.fontWeight, box].join();
    word.toggleAttribute("data-repeated", seen.has(kind));
    seen.add(kind);
  });
}"""

# A colour on its way to another has the contrast of neither.
STILL = "*, ::before, ::after { animation: none !important; transition: none !important; }"

INVISIBLE = """(parts) => parts
  .filter((part) => !part.closest("details:not([open]), [hidden]"))
  .filter((part) => !part.checkVisibility({opacityProperty: true, visibilityProperty: true}))
  .map((part) => part.textContent)
"""

LARGEST_VISIT = 1_500_000  # bytes


def violations(page, rules=RULES):
    """What axe finds wrong with a page: the rule, the element, the reason."""
    page.evaluate(MARK_REPEATED)
    found = Axe().run(
        page,
        context={"exclude": [["[data-repeated]"]]},
        options={"runOnly": rules, "resultTypes": ["violations"]},
    )
    return [
        f"{rule['id']}: {node['html'][:120]}: {node['failureSummary']}"
        for rule in found.response["violations"]
        for node in rule["nodes"]
    ]


@of_the_book
def test_no_page_shuts_anybody_out(site, address, visit):
    "Folded on a phone; unfolded on a wide screen and on a phone, by day and by night."
    problems = []
    for name in pages(site):
        page, _ = visit(address + name, 390)
        page.add_style_tag(content=STILL)
        problems += [f"{name}, folded: {found}" for found in violations(page)]
        page.evaluate(UNFOLD)
        for width, scheme in product((390, 1280), ("dark", "light")):
            page.set_viewport_size({"width": width, "height": 800})
            page.emulate_media(color_scheme=scheme)
            # Colours are all that a scheme changes.
            rules = RULES if scheme == "light" else ["color-contrast"]
            problems += [f"{name}, {width}, {scheme}: {found}" for found in violations(page, rules)]
        page.close()
    assert problems == []


@pytest.mark.parametrize(
    ("html", "rule"),
    [
        ('<p style="color: #999">pale</p>', "color-contrast"),
        ('<div class="highlight"><span style="color: #999">pale</span></div>', "color-contrast"),
        ('<img src="data:," width="9" height="9">', "image-alt"),
        ('<button style="width: 99px; height: 99px"></button>', "button-name"),
    ],
)
def test_what_shuts_somebody_out_is_found(browser, html, rule):
    page = browser.new_page()
    page.set_content(f'<html lang="en"><title>A</title><main><h1>A</h1>{html}</main></html>')
    assert [found.split(":")[0] for found in violations(page)] == [rule]
    page.close()


# By keyboard


@of_the_book
def test_what_scrolls_can_be_reached_by_keyboard_without_scripts(site, address, browser):
    context = browser.new_context(java_script_enabled=False, viewport={"width": 390, "height": 800})
    page = context.new_page()
    tables = 0
    for name in pages(site):
        if name == "index.html":  # which leads to the welcome page at once
            continue
        page.goto(address + name)
        names = []
        for table in page.locator("article table").all():
            around = table.locator("xpath=ancestor::*[@tabindex=0 and @role='region']")
            assert around.count() == 1, f"{name}: {table.inner_text()[:80]}"
            names.append(around.get_attribute("aria-label"))
        assert len(set(names)) == len(names)
        tables += len(names)
        code = page.locator("article pre")
        assert code.count() == page.locator("article pre[tabindex='0']").count()
    assert tables > 50
    context.close()


# Without scripts


@of_the_book
def test_every_page_can_be_read_without_scripts(site, address, browser):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    formulas = 0
    for name in pages(site):
        if name in ("index.html", "search.html"):
            continue
        page.goto(address + name)
        parts = page.locator("article :is(h1, h2, h3, p, li, table, math)")
        assert parts.count() > 3, name
        assert parts.evaluate_all(INVISIBLE) == [], name
        formulas += page.locator("article math").count()
    assert formulas >= 14
    context.close()


# On a slow line


@of_the_book
def test_no_first_visit_is_heavy(site, address, browser):
    heavy = {}
    for name in pages(site):
        context = browser.new_context(viewport={"width": 1280, "height": 800})
        page, sizes = context.new_page(), []

        def weigh(response, sizes=sizes):
            sizes.append(int(response.headers.get("content-length", 0)))

        page.on("response", weigh)
        page.goto(address + name, wait_until="networkidle")
        if sum(sizes) > LARGEST_VISIT:
            heavy[name] = sum(sizes)
        assert len(sizes) > 10
        context.close()
    assert heavy == {}


ICONS = """\
.fa-bars:before,.fa-navicon:before{content:"\\f0c9"}\
.fa-tree:before{content:"\\f1bb"}.fa-lg{font-size:1.25em}"""

PAGE = """\
<html><head><script src="../_static/scripts/fontawesome.js?digest=1"></script></head><body><article>
<h2>Shops<a href="#shops">#</a></h2>
<img alt="Figure" src="../_images/figure.png">
<img class="sd-card-img-top" src="../_images/card.png">
<div class="output"><table><tr><th></th><th>a</th></tr></table></div>
<pre>code</pre><i class="fa-solid fa-bars"></i>
</article></body></html>"""


@pytest.fixture
def finished(tmp_path):
    """Folder of a site with one page, two pictures and the icons, and its page, finished."""
    for folder in ("_images", "_static/scripts", "_static/styles", "book"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "_static" / "scripts" / "fontawesome.js").write_text("fa-tree")
    (tmp_path / "_static" / "styles" / "pydata-sphinx-theme.css").write_text(ICONS)
    ramp = np.add.outer(np.arange(300), np.arange(900)) // 5
    noise = np.random.default_rng(1).integers(0, 4, (300, 900, 3))
    colours = (ramp[..., None] + noise).astype(np.uint8)
    for name in ("figure", "card"):
        Image.fromarray(colours).save(tmp_path / "_images" / f"{name}.png")
    page = tmp_path / "book" / "a.html"
    page.write_text(PAGE)
    finish_pages(tmp_path)
    return tmp_path, BeautifulSoup(page.read_text(), "html.parser"), colours


def test_a_figure_is_lighter_and_keeps_every_pixel(finished):
    site, soup, colours = finished
    figure = soup.find("img", alt="Figure")
    assert (figure["width"], figure["height"], figure["loading"]) == ("900", "300", "lazy")
    file = site / "book" / figure["src"]
    assert file.suffix == ".webp"
    with Image.open(file) as image:
        assert np.array_equal(np.asarray(image.convert("RGB")), colours)


def test_a_card_shows_a_smaller_copy_and_nothing_unused_is_left(finished):
    site, soup, _ = finished
    card = soup.find("img", class_="sd-card-img-top")
    with Image.open(site / "book" / card["src"]) as image:
        assert image.size == (800, 267)
    assert not list(site.rglob("*.png"))
    assert not list(site.rglob("fontawesome*"))
    assert soup.find("script") is None


def test_icons_that_nothing_names_are_left_out(finished):
    site, _, _ = finished
    style = (site / "_static" / "styles" / "pydata-sphinx-theme.css").read_text()
    assert style == ICONS.replace('.fa-tree:before{content:"\\f1bb"}', "")


def test_columns_of_words_are_told_from_columns_of_numbers(tmp_path):
    frame = pd.DataFrame(
        {
            "customers share": ["1,200 of 3", "7"],
            "name": ["Champions", "Loyal Customers"],
            "K": [1.5, 2.0],
            "day": ["2024-01-01", "unknown"],
            "action": ["Wait", "Ask who owns the source, and where the bytes went"],
        }
    )
    spanned = frame.set_axis(pd.MultiIndex.from_product([["a"], ["c", "d", "e", "f", "g"]]), axis=1)
    page = tmp_path / "a.html"
    (tmp_path / "_static" / "styles").mkdir(parents=True)
    (tmp_path / "_static" / "styles" / "pydata-sphinx-theme.css").write_text(ICONS)
    page.write_text(f"<article>{frame.to_html()}{spanned.to_html()}</article>")
    finish_pages(tmp_path)
    soup = BeautifulSoup(page.read_text(), "html.parser")
    heads = {head.get_text(): head.get("class") for head in soup.find("tr").find_all("th")}
    assert heads.pop("action") == ["words", "sentences"]
    assert heads.pop("name") == ["words"]
    assert heads.pop("day") == ["days"]
    assert set(heads.values()) == {None}
    marked = [cell.get_text() for cell in soup.select(".words:not(.sentences)")]
    assert marked == ["name", "Champions", "Loyal Customers"]


def test_a_table_is_named_by_its_heading_and_its_corner_heads_nothing(finished):
    _, soup, _ = finished
    around = soup.find("table").parent
    assert (around["tabindex"], around["role"]) == ("0", "region")
    assert around["aria-label"] == "Table 1: Shops"
    assert [cell.name for cell in soup.find("tr").find_all(recursive=False)] == ["td", "th"]
    assert soup.find("pre")["tabindex"] == "0"


# Formulas


@pytest.mark.parametrize(
    ("formula", "reason"),
    [
        (r"\logg x", r"\logg is no command"),
        (r"\text{\foo}", r"\foo is no command"),
        ("a & b", "& is no command"),
        (r"\frac{1}", "a part is missing"),
        ("{x", "a brace is missing"),
        ("x}", "a brace is missing"),
        ("x^2^3", "double superscripts"),
        (r"\left( x", "extra left or missing right"),
        (r"\begin{nonsense} a \end{nonsense}", "nonsense is nothing that can begin"),
    ],
)
def test_a_formula_that_cannot_be_read_is_refused(formula, reason):
    with pytest.raises(ValueError, match=re.escape(reason)):
        mathml(formula)


@pytest.mark.parametrize(
    "formula",
    [r"\{x\}", r"\|x\| \# \& \backslash", r"\begin{split}a&=b\end{split}"],
)
def test_signs_that_mean_something_to_latex_can_be_written(formula):
    assert mathml(formula).endswith("</math>")


def test_names_of_functions_keep_their_distance():
    markup = mathml(r"10 \log(x) \ln y")
    assert '<mo lspace="0.167em" rspace="0">log</mo>' in markup
    assert '<mo lspace="0.167em" rspace="0.167em">ln</mo>' in markup
    assert '<mo lspace="0" rspace="0.167em">ln</mo>' in mathml(r"\ln y")


def test_a_formula_that_cannot_be_read_fails_the_build(tmp_path):
    cell = new_markdown_cell("A share $\\frac{1}{n}$ and $$\\logg x$$")
    project = make_project(tmp_path / "project", cell)
    with pytest.raises(
        SiteError, match=r"mini.*logg x.*is no command that is known here"
    ) as caught:
        build_site(project, Edition(name="default", base=project))
    assert "frac" not in str(caught.value)
