import re
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from urllib.parse import unquote, urldefrag, urljoin

import nbformat
import pytest
from click.testing import CliRunner
from course_project import ROOT, make_project
from nbformat.v4 import new_code_cell, new_markdown_cell
from site_pages import chapter_pages, of_the_book, pages

from helpers.course.absent import without_glue, without_links, without_sections
from helpers.course.book import toc_chapters
from helpers.course.cli import main
from helpers.course.edition import Edition
from helpers.course.site import build_site

EXTENSIONS = ["attrs_block", "attrs_inline", "colon_fence", "deflist", "dollarmath", "fieldlist"]


def build(project, monkeypatch, *words):
    monkeypatch.chdir(project)
    return CliRunner().invoke(main, ["build", *words])


@pytest.fixture(scope="module")
def miniature(tmp_path_factory):
    """Miniature project and its site, for readers."""
    project = make_project(tmp_path_factory.mktemp("site") / "project")
    return project, build_site(project, Edition(name="default", base=project))


def texts(folder):
    """Every file of a site as text, and its name."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path: path.read_bytes().decode("utf-8", "replace") for path in files}


# What is built


def test_a_page_shows_what_the_chapter_computed(miniature):
    _, html = miniature
    page = (html / "notebooks" / "mini.html").read_text()
    assert "<strong>3 orders</strong> in 4 segments" in page
    assert 'alt="A line that rises by one a step"' in page
    assert [path.read_text() for path in html.glob("_downloads/*/orders.csv")] == ["a\nb\nc"]


def test_other_pages_show_numbers_that_the_chapter_computed(miniature):
    _, html = miniature
    page = (html / "book" / "welcome.html").read_text()
    for text in ("3</span> orders. It says", "3</span> orders.</p>", "in the table", "by <span"):
        assert text in page


def test_every_page_names_the_licences(miniature):
    _, html = miniature
    for page in html.glob("*/*.html"):
        if page.parent.name in ("book", "notebooks"):
            text = page.read_text()
            assert text.count('<a rel="license" href="https://') == 2
            assert "CC BY 4.0" in text and "BSD 3-Clause" in text


def test_the_about_page_says_what_the_site_was_built_from(miniature):
    "The digest is what sha256sum prints for the three lines a, b and c."
    _, html = miniature
    page = (html / "book" / "about_this_edition.html").read_text()
    assert "880553fca8fc" in page
    assert "scikit-learn" in page
    assert "n_segments" in page
    assert "<h2>Mini" in page


def test_solutions_are_folded_for_readers(miniature):
    _, html = miniature
    page = (html / "notebooks" / "mini.html").read_text()
    assert '<div class="dropdown solution admonition" id="sol-more">' in page
    assert "tag_hide-cell" in page


def test_solutions_and_checks_say_which_they_are(miniature):
    _, html = miniature
    page = (html / "notebooks" / "mini.html").read_text()
    for prompt in ("Show the solution", "Hide the solution", "Show the check", "Hide the check"):
        assert prompt in page


def test_everybody_is_offered_the_exercises_without_solutions(miniature):
    _, html = miniature
    page = (html / "notebooks" / "mini.html").read_text()
    (offered,) = html.glob("_downloads/*/mini_exercises.ipynb")
    assert f'href="../{offered.relative_to(html).as_posix()}"' in page
    assert page.index("Work on the exercises") < page.index("Exercise 1: more segments")
    text = offered.read_text()
    assert "marmalade" not in text
    assert "pineapple" in text


def test_solutions_are_open_for_instructors(miniature, monkeypatch):
    project, html = miniature
    assert build(project, monkeypatch, "--audience", "instructor").exit_code == 0
    page = (html.with_name("html-instructor") / "notebooks" / "mini.html").read_text()
    assert '<div class="solution admonition" id="sol-more">' in page
    assert "tag_hide-cell" not in page
    assert "marmalade" in page


def test_students_get_no_solution_anywhere(miniature, monkeypatch):
    project, html = miniature
    result = build(project, monkeypatch, "--audience", "student")
    assert result.exit_code == 0, result.output
    html = html.with_name("html-student")
    found = [path for path, text in texts(html).items() if "marmalade" in text.lower()]
    assert found == []
    checks = [path.name for path, text in texts(html).items() if "pineapple" in text.lower()]
    assert checks == ["mini_exercises.ipynb"]
    page = (html / "notebooks" / "mini.html").read_text()
    assert "The solution is below, see also here." in page
    assert "Exercise 1: more segments" in page
    assert '<span class="n">one_more</span>' in page


def test_an_edition_chooses_chapters_their_order_and_the_title(tmp_path, monkeypatch):
    project = make_project(tmp_path / "p")
    notebook = project / "notebooks" / "mini.ipynb"
    for name, title in (("second", "# Second"), ("third", "# Third")):
        text = notebook.read_text().replace("# Mini", title).replace("-more", f"-{name}")
        text = text.replace("exports/mini", f"exports/{name}")
        (project / "notebooks" / f"{name}.ipynb").write_text(text)
    (project / "editions" / "spring.yml").write_text(
        "title: Our spring\nchapters: {third: {n_segments: 3}, second: {}}"
    )
    result = build(project, monkeypatch, "spring")
    assert result.exit_code == 0, result.output
    html = project / "_build" / "spring" / "html"
    assert sorted(path.stem for path in (html / "notebooks").iterdir()) == ["second", "third"]
    welcome = (html / "book" / "welcome.html").read_text()
    assert "Read mini." in welcome
    for gone in ("Mini counts", "a second paragraph", "in the table", "A note", "a term"):
        assert gone not in welcome
    for kept in ("an item for everybody", "any", "some", "A term for everybody"):
        assert kept in welcome
    assert "Our spring" in welcome
    assert welcome.index("Third") < welcome.index("Second")
    assert "in 3 segments" in (html / "notebooks" / "third.html").read_text()


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        (new_code_cell("raise ValueError('late')"), "mini: cell 13 of 13"),
        (new_markdown_cell("See [nothing](#nowhere)."), "nowhere"),
        (new_markdown_cell("![](missing.png)"), "missing.png"),
    ],
    ids=["cell", "link", "image"],
)
def test_a_failing_build_exits_1_and_leaves_the_previous_site(tmp_path, monkeypatch, cell, message):
    project = make_project(tmp_path / "p", cell)
    html = project / "_build" / "default" / "html"
    html.mkdir(parents=True)
    (html / "index.html").write_text("previous")
    result = build(project, monkeypatch)
    assert result.exit_code == 1
    assert message in result.output
    assert "Traceback" not in result.output
    assert [path.name for path in html.parent.iterdir()] == ["html"]
    assert (html / "index.html").read_text() == "previous"


def test_chapters_that_export_into_one_folder_are_refused_before_anything_runs(
    tmp_path, monkeypatch
):
    project = make_project(tmp_path / "p")
    text = (project / "notebooks" / "mini.ipynb").read_text()
    same = text.replace("exports/mini", "./exports/mini/")
    (project / "notebooks" / "second.ipynb").write_text(same)
    (project / "editions" / "spring.yml").write_text("chapters: {mini: {}, second: {}}")
    result = build(project, monkeypatch, "spring")
    assert result.exit_code == 2
    assert "mini and second both export to 'exports/mini'" in result.output
    assert "cell 1" not in result.output
    assert not (project / "_build").exists()


def test_a_table_of_contents_is_read_at_every_depth():
    parts = [
        {"chapters": [{"file": "notebooks/a", "sections": [{"file": "notebooks/b"}]}]},
        {"chapters": [{"file": "book/c"}, {"file": "notebooks/d"}]},
    ]
    assert toc_chapters({"root": "book/welcome", "parts": parts}) == ["a", "b", "d"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[x](#sol)", "x"),
        ("[x](a.ipynb#sol)", "x"),
        ("{ref}`x <sol>`", "x"),
        ("{ref}`sol`", "(not in this edition)"),
        ("[x](#solar)", "[x](#solar)"),
        ("[x](../notebooks/drift.ipynb)", "x"),
        ("[x](drift.md)", "[x](drift.md)"),
        ("{doc}`../notebooks/drift`", "(not in this edition)"),
        ("[x](driftwood.ipynb)", "[x](driftwood.ipynb)"),
    ],
)
def test_only_links_to_what_is_left_out_become_text(text, expected):
    assert without_links(text, chapters={"drift"}, labels={"sol"}) == expected


GLUE = "{glue:text}`../notebooks/drift.ipynb::share:.1%`"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("one\n\ntwo GLUE\nthree\n\nfour", "one\n\n\nfour"),
        ("- a\n- b GLUE\n  c\n- d", "- a\n- d"),
        ("- a\n  - b GLUE\n- c", "- a\n- c"),
        ("- a\n\n  b GLUE\n\n  - c\n- d", "- d"),
        ("1. a GLUE\n2. b", "2. b"),
        ("| a |\n| - |\n| GLUE |\n| b |", "| a |\n| - |\n| b |"),
        ("a\n: b GLUE\n: c\n\nd\n: e", "d\n: e"),
        ("a\n: b\n\nd GLUE\n: e\n\n  f", "a\n: b\n"),
        ("> a GLUE\n\nb", "\nb"),
        ("a GLUE\n===\n\nb", "\nb"),
        (":::{tip} a\n:class: b\n\nc GLUE\n\nd\n:::", ":::{tip} a\n:class: b\n\n\nd\n:::"),
        (":::{tip} a\n:class: b\nc GLUE\n:::\nd", "d"),
        ("::::{a}\n:::{b}\nc GLUE\n:::\n::::\nd", "d"),
        ("```{note}\n- a GLUE\n- b\n```", "```{note}\n- b\n```"),
        ("```{glue} share\n:doc: ../notebooks/drift.ipynb\n```\nb", "b"),
        ("a {glue}`../notebooks/drift.ipynb::x`", ""),
        ("a {glue:text}`drift.ipynb::x`", ""),
        ("# t\n\n## a\n\nGLUE\n\n## b\n\nc", "# t\n\n## b\n\nc"),
        ("# t\n\n## a\n\n### b\n\nGLUE\n\n## c", "# t\n\n## c"),
        ("# t\n\n## a\n\n### b\n\nGLUE\n\n### c\n\nd", "# t\n\n## a\n\n### c\n\nd"),
        ("## a\n\n## b\n\nGLUE\n\nc", "## a\n\n## b\n\n\nc"),
    ],
)
def test_a_value_of_an_absent_chapter_takes_the_block_around_it_along(text, expected):
    assert without_glue(text.replace("GLUE", GLUE), {"drift"}, EXTENSIONS) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("# A\n\n## [D](../notebooks/drift.ipynb)\n\nd\n\n### e\n\nf\n\n## B", "# A\n\n## B"),
        ("## a\n\n### [D](drift.ipynb#x) and more\n\nd\n\n### e", "## a\n\n### e"),
        ("## [D](drift.ipynb)\n\nd", ""),
        ("## [G](guide.md)\n\ng\n\n## h", "## h"),
        ("## [D](snowdrift.ipynb)\n\nd", "## [D](snowdrift.ipynb)\n\nd"),
        ("## a\n\n[D](drift.ipynb)", "## a\n\n[D](drift.ipynb)"),
        ("```\n## [D](drift.ipynb)\n```\nd", "```\n## [D](drift.ipynb)\n```\nd"),
    ],
)
def test_a_section_whose_heading_links_to_what_is_absent_goes_as_a_whole(text, expected):
    assert without_sections(text, {"drift.ipynb", "guide.md"}, EXTENSIONS) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a [guide](guide.md#x) b", "a guide b"),
        ("a [guide](../book/guide.md) b", "a guide b"),
        ("{doc}`guide <guide>`", "guide"),
        ("[guide](misguide.md)", "[guide](misguide.md)"),
        ("[guide](guide.ipynb)", "[guide](guide.ipynb)"),
    ],
)
def test_links_to_a_page_that_is_left_out_become_text(text, expected):
    assert without_links(text, pages={"guide"}) == expected


def test_a_card_loses_the_picture_that_was_not_exported():
    top = ":img-top: ../notebooks/exports/{}/cost.png\n:class-img-top: tall\n:img-alt: Cost\n"
    card = ":::{{grid-item-card}} A\n:link: a\n{}\nText\n:::"
    text = card.format(top.format("drift"))
    assert without_links(text, folders={"exports/drift"}) == card.format("")
    other = card.format(top.format("other"))
    assert without_links(other, folders={"exports/drift"}) == other


@pytest.mark.parametrize(
    "text",
    [
        "a {glue:text}`../notebooks/snowdrift.ipynb::share`",
        "a {glue:text}`share` and {glue:text}`../notebooks/other.ipynb::drift`",
        f"`` {GLUE} ``",
        f"```markdown\n{GLUE}\n```",
        "```{glue} drift\n```",
        "see drift.ipynb::share",
    ],
)
def test_values_of_other_chapters_stay(text):
    assert without_glue(text, {"drift"}, EXTENSIONS) == text


# What a browser makes of it


class _Page(HTMLParser):
    """Links and anchors of a page."""

    def __init__(self, text):
        super().__init__()
        self.links, self.anchors = set(), {""}
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.anchors |= {attrs[name] for name in ("id", "name") if attrs.get(name)}
        self.links |= {attrs[name] for name in ("href", "src") if attrs.get(name)}


@of_the_book
def test_every_link_leads_somewhere(site):
    parsed = {name: _Page((site / name).read_text()) for name in pages(site)}
    broken = []
    for name, page in parsed.items():
        for link in page.links:
            if link.startswith(("http:", "https:", "mailto:", "data:", "javascript:")):
                continue
            target, anchor = urldefrag(urljoin(name, link))
            target = unquote(target.partition("?")[0])
            there = (site / target).is_file()
            if not there or (target in parsed and unquote(anchor) not in parsed[target].anchors):
                broken.append(f"{name}: {link}")
    assert broken == []


@of_the_book
def test_every_figure_has_its_data_below_or_is_a_picture(site):
    ran = 0
    for name in chapter_pages(site):
        page = (site / name).read_text()
        lines = re.findall(r'<p class="figure-data">(.*?)</p>', page)
        if "Not run for this edition" in page:
            assert "The data of its figures as CSV come with a run only." in page
            assert lines == []
            continue
        notebook = nbformat.read(ROOT / Path(name).with_suffix(".ipynb"), as_version=4)
        figures = [
            cell.source
            for cell in notebook.cells
            for output in cell.get("outputs", [])
            if "image/png" in output.get("data", {})
        ]
        assert len(lines) == len(figures) > 0
        for line, source in zip(lines, figures, strict=True):
            link = re.search(r'href="([^"]+)"', line)
            if link:
                text = (site / urljoin(name, link[1])).read_text()
                assert text.count("\n") > 2
                assert line.count("Data of this figure (CSV)") == 2
            else:
                assert "plot_images" in source or "on_white(picture)" in source, source
        ran += 1
    assert ran >= 5


@of_the_book
def test_nothing_is_left_of_the_machine_that_built_it(site):
    traces = (str(ROOT), str(Path.home()) + "/", str(site.parents[2]), ".staging-", ".course-")
    found = [
        (path.name, trace)
        for path, text in texts(site).items()
        for trace in traces
        if trace in text
    ]
    assert found == []


@of_the_book
@pytest.mark.parametrize(("width", "scheme"), [(390, "light"), (1280, "dark")])
def test_every_page_works_without_complaint_and_without_another_host(
    site, address, visit, width, scheme
):
    problems = []
    for name in pages(site):
        page, complaints = visit(address + name, width, scheme)
        wide = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
        problems += [f"{name}: {complaint}" for complaint in complaints]
        if wide > 0:
            problems.append(f"{name}: {wide} pixels wider than the window")
        page.close()
    assert problems == []


@of_the_book
def test_every_image_says_what_it_shows(site, address, visit):
    problems = []
    for name in pages(site):
        page, _ = visit(address + name, 1280)
        for image in page.locator("main img").all():
            alt, source = image.get_attribute("alt") or "", image.get_attribute("src") or ""
            if len(alt.split()) < 3 or alt in source or Path(source).name in alt:
                problems.append(f"{name}: {alt!r}")
        page.close()
    assert problems == []


@of_the_book
def test_every_answer_of_a_quiz_opens_by_keyboard(site, address, visit):
    opened = 0
    for name in chapter_pages(site):
        page, _ = visit(address + name, 390)
        for option in page.locator("#check-yourself .admonition").all():
            answer = option.locator("p:not(.admonition-title)").first
            assert not answer.is_visible()
            option.locator("button").press("Enter")
            assert answer.is_visible()
            opened += 1
        page.close()
    assert opened >= 3 * 5 * len(chapter_pages(site))


@of_the_book
def test_every_answer_of_a_quiz_can_be_read_without_scripts(site, address, browser):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    for name in chapter_pages(site):
        page.goto(address + name)
        answers = page.locator("#check-yourself .admonition > .admonition-title + *").all()
        assert len(answers) >= 3 * 5
        assert all(answer.is_visible() for answer in answers)
    context.close()


@of_the_book
def test_headings_of_every_page_go_down_step_by_step(site, address, visit):
    "One title; below it no level is left out, also where a page was put together from parts."
    problems = []
    for name in pages(site):
        page, _ = visit(address + name, 1280)
        # The theme has a title and a contents for print, too, which screens leave out.
        found = page.locator("main :is(h1, h2, h3, h4, h5, h6):not(#jb-print-docs-body *)")
        levels = found.evaluate_all("found => found.map(heading => Number(heading.tagName[1]))")
        steps = [after - before for before, after in pairwise(levels)]
        if levels[:1] != [1] or levels.count(1) != 1 or max(steps, default=0) > 1:
            problems.append(f"{name}: {levels}")
        page.close()
    assert problems == []


@of_the_book
def test_the_site_opens_from_a_disk(site, visit):
    page, complaints = visit(site.joinpath("index.html").as_uri(), 1280)
    assert page.locator("article h1").is_visible()
    assert complaints == []


def test_mathematics_is_set(miniature, visit):
    _, html = miniature
    page, complaints = visit((html / "notebooks" / "mini.html").as_uri(), 1280)
    assert page.locator("article math").count() == 2
    square = page.locator("article msup")
    two, x = (square.locator(part) for part in ("mn", "mi"))
    assert two.bounding_box()["y"] < x.bounding_box()["y"]
    size = "(sign) => parseFloat(getComputedStyle(sign).fontSize)"
    assert two.evaluate(size) < x.evaluate(size)
    assert complaints == []


# Sliders

FIGURE_ALT = {"mystnb": {"image": {"alt": "A grey square, the one in use"}}}
SLIDERS = """\
import numpy as np

from helpers.frames import Frame, Slider


def squares(name, ks):
    \"\"\"Frames of grey, each K darker than the one before.\"\"\"
    return [
        Frame(f"{name} = {k}", np.full((90, 120, 3), 250 - 40 * k, np.uint8), f"{k} of {name}.")
        for k in ks
    ]


for name, ks, chosen in (("K", (1, 2, 3, 4), "K = 2"), ("eps", (1, 2), "eps = 2")):
    display(
        Slider(name.lower(), squares(name, ks), chosen=chosen, alt="a grey square", label=name)
    )"""


@pytest.fixture(scope="module")
def with_sliders(tmp_path_factory):
    """Return the address of a page with two sliders, opened from the disk."""
    cell = new_code_cell(SLIDERS, metadata=FIGURE_ALT)
    project = make_project(tmp_path_factory.mktemp("sliders") / "project", cell)
    html = build_site(project, Edition(name="default", base=project), audience="student")
    return (html / "notebooks" / "mini.html").as_uri()


def seen(page, number):
    """What one of the sliders shows: its frames, its caption and what it says of its value."""
    figure = page.locator("figure.frames").nth(number)
    frames = [frame for frame in figure.locator("img").all() if frame.is_visible()]
    return (
        [frame.get_attribute("alt") for frame in frames],
        figure.locator(".frames-said").inner_text(),
        figure.locator("input").get_attribute("aria-valuetext"),
    )


def test_arrow_keys_change_a_slider_and_no_other(with_sliders, visit):
    page, complaints = visit(with_sliders, 390)
    second = (["eps = 2: a grey square"], "eps = 2, in use. 2 of eps.", "eps = 2, in use")
    assert seen(page, 0)[:2] == (["K = 2: a grey square"], "K = 2, in use. 2 of K.")
    page.get_by_label("K", exact=True).focus()
    for key, k in [("ArrowRight", 3), ("End", 4), ("ArrowRight", 4), ("Home", 1)]:
        page.keyboard.press(key)
        assert seen(page, 0) == ([f"K = {k}: a grey square"], f"K = {k}. {k} of K.", f"K = {k}")
        assert seen(page, 1)[:2] == second[:2]
    page.keyboard.press("ArrowRight")
    assert seen(page, 0)[1] == "K = 2, in use. 2 of K."
    page.get_by_label("eps", exact=True).focus()
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowRight")
    assert seen(page, 1) == second
    assert complaints == []


def test_a_frame_is_there_when_the_slider_comes_to_it(with_sliders, visit):
    page, complaints = visit(with_sliders, 1280)
    page.get_by_label("K", exact=True).focus()
    page.keyboard.press("End")
    page.wait_for_function(
        "() => [...document.querySelectorAll('.frames img:not([hidden])')]"
        ".every((image) => image.complete && image.naturalWidth === 120)"
    )
    assert complaints == []


def test_a_slider_is_large_enough_and_shows_its_focus(with_sliders, visit):
    page, _ = visit(with_sliders, 390)
    control = page.get_by_label("K", exact=True)
    assert control.bounding_box()["height"] >= 24
    before = control.evaluate("(slider) => getComputedStyle(slider).outlineStyle")
    page.locator("summary").first.focus()
    page.keyboard.press("Shift+Tab")
    assert control.evaluate("(slider) => slider === document.activeElement")
    outline = control.evaluate("(slider) => getComputedStyle(slider).outline")
    assert before == "none"
    assert "solid 3px" in outline


def test_without_scripts_the_chosen_frame_is_there_and_all_that_is_said(with_sliders, browser):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(with_sliders)
    figure = page.locator("figure.frames").first
    shown = [frame for frame in figure.locator("img").all() if frame.is_visible()]
    assert [frame.get_attribute("alt") for frame in shown] == ["K = 2: a grey square"]
    assert figure.locator(".frames-said").inner_text() == "K = 2, in use. 2 of K."
    assert not figure.locator("input").is_visible()
    figure.locator("summary").click()
    said = [item.inner_text() for item in figure.locator("li").all()]
    assert said == ["K = 1. 1 of K.", "K = 2, in use. 2 of K.", "K = 3. 3 of K.", "K = 4. 4 of K."]
    context.close()
