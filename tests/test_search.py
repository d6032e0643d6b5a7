"""The search of the site: what a reader types, and the page that should come first."""

import json
from urllib.parse import quote_plus

import pytest
from site_pages import of_the_book

from helpers.course.search import write_search_index

SEGMENTATION, ANOMALIES, IMAGES, SCALE, SPARK, DRIFT = (
    f"notebooks/{name}.html"
    for name in (
        "customer_segmentation",
        "network_anomalies",
        "image_compression",
        "clustering_at_scale",
        "clustering_on_spark",
        "stability_and_drift",
    )
)
CHOOSING, DATA, GLOSSARY, GUIDE, PRACTICE, TROUBLE, USING = (
    f"book/{name}.html"
    for name in (
        "choosing",
        "data",
        "glossary",
        "instructor_guide",
        "practice",
        "troubleshooting",
        "using",
    )
)

# Found by reading, before anything was searched; several where any serves a reader as well.
ANSWERS = [
    ("how many clusters", [SEGMENTATION, CHOOSING]),
    ("how many colours", [IMAGES]),
    ("elbow", [GLOSSARY]),
    ("silhouette", [GLOSSARY]),
    ("eps", [ANOMALIES]),
    ("dbscan noise", [ANOMALIES, GLOSSARY]),
    ("knee of the distance curve", [ANOMALIES, CHOOSING]),
    ("log transform rfm", [SEGMENTATION]),
    ("outliers", [SEGMENTATION]),
    ("champions segment", [SEGMENTATION]),
    ("budget allocation", [SEGMENTATION]),
    ("bootstrap jaccard", [SEGMENTATION, DRIFT]),
    ("psi threshold", [DRIFT]),
    ("population stability index", [GLOSSARY, DRIFT]),
    ("when should I refit the model?", [DRIFT]),
    ("false alarms", [ANOMALIES, GLOSSARY]),
    ("dithering", [IMAGES, GLOSSARY]),
    ("png vs jpeg size", [IMAGES]),
    ("psnr", [GLOSSARY]),
    ("minibatch", [SCALE, GLOSSARY]),
    ("spark kmeans", [SPARK]),
    ("lost executor", [SPARK]),
    ("duckdb group by", [SCALE]),
    ("what is a centroid?", [GLOSSARY]),
    ("k means", [GLOSSARY]),
    ("hierarchical clustering", [CHOOSING, GLOSSARY]),
    ("difference between k-means and DBSCAN", [CHOOSING]),
    ("mixed data", [PRACTICE]),
    ("correlated variables", [PRACTICE]),
    ("explain clusters to my manager", [PRACTICE]),
    ("privacy", [PRACTICE]),
    ("gdpr", [PRACTICE]),
    ("install java", [TROUBLE]),
    ("kernel died", [TROUBLE]),
    ("use my own csv columns", [GUIDE]),
    ("grade exercises", [GUIDE]),
    ("quiz", [USING]),
    ("iris dataset", [DATA]),
]


@pytest.fixture
def search(address, visit):
    """Type a query into the search; the addresses found, and the page that shows them."""

    def search(query):
        page, _ = visit(f"{address}search.html", 1280)
        field = page.locator(".bd-search-container").get_by_role("searchbox")
        field.fill(query)
        field.press("Enter")
        page.get_by_role("status").wait_for()
        return found(page), page

    return search


def asked(visit, root, query, width=1280, scheme="light"):
    """Go to a search by its address; the page, and what it complained of."""
    page, complaints = visit(f"{root}search.html", width, scheme)
    page.wait_for_load_state("networkidle")
    page.goto(f"{root}search.html?q={quote_plus(query)}")
    return page, complaints


def found(page):
    return [link.get_attribute("href") for link in page.locator("ul.search li > a").all()]


def first_page(addresses):
    return addresses[0].split("#")[0]


@of_the_book
@pytest.mark.parametrize(("query", "pages"), ANSWERS, ids=[query for query, _ in ANSWERS])
def test_the_right_page_comes_first(search, query, pages):
    assert first_page(search(query)[0]) in pages


@of_the_book
def test_the_search_works_from_a_disk(site, visit):
    "A page from there may fetch no other file, so what is searched comes as a script."
    page, complaints = asked(visit, f"{site.as_uri()}/", "push the PSNR")
    assert found(page)[0] == f"{GLOSSARY}#psnr"
    assert (
        page.locator("ul.search li").first.locator("p").inner_text().startswith("The mean squared")
    )
    assert complaints == []


@of_the_book
@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("colour palette", "color palette"),
        ("centre", "center"),
        ("outlier", "outliers"),
        ("k-means", "KMeans"),
        ("mini-batch", "mini batches"),
        ("data set", "dataset"),
        ("silhouette", "silhuette"),
        ("Calinski", "Caliński"),
    ],
)
def test_other_spellings_lead_to_the_same_place(search, one, other):
    assert search(one)[0][0] == search(other)[0][0]


@of_the_book
def test_a_word_without_a_heading_of_its_own_is_found_and_shown(search):
    "The page *How to use this book* promises it."
    addresses, page = search("marketplace vouchers")
    texts = page.locator("ul.search li p").all_inner_texts()
    assert len(addresses) == len(texts) > 0
    assert all("voucher" in text.lower() for text in texts)
    assert all(len(text) <= 250 for text in texts)
    marks = page.locator("ul.search mark").all_inner_texts()
    assert {mark.lower().rstrip("s") for mark in marks} == {"voucher"}


@of_the_book
@pytest.mark.parametrize("query", ["zzyzx", "<zzyzx>", "what is it"])
def test_what_finds_nothing_is_told_so(search, query):
    addresses, page = search(query)
    assert addresses == []
    assert page.get_by_role("status").inner_text().startswith(f"Nothing was found for “{query}”.")


@of_the_book
def test_the_search_is_opened_used_and_left_by_keyboard(address, visit):
    page, _ = visit(f"{address}{USING}", 1280)
    page.keyboard.press("Control+k")
    page.keyboard.type("dithering")
    page.keyboard.press("Enter")
    page.get_by_role("status").wait_for()
    first = page.locator("ul.search li > a").first
    page.locator(".bd-search-container").get_by_role("searchbox").focus()
    page.keyboard.press("Tab")
    assert first.evaluate("link => link === document.activeElement")
    page.keyboard.press("Enter")
    page.wait_for_url(f"{address}{IMAGES}#dithering")


@of_the_book
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_what_was_found_fits_a_phone(address, visit, scheme):
    page, complaints = asked(visit, address, "customer_id groupby", 390, scheme)
    assert len(found(page)) == 20
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    assert complaints == []


@of_the_book
def test_every_place_that_can_be_found_is_there(site):
    "And every page of the book can be found, by its title."
    sections = read_sections(site)
    assert len({section["url"] for section in sections}) == len(sections) > 300
    pages = {}
    for section in sections:
        name, _, anchor = section["url"].partition("#")
        text = pages.setdefault(name, (site / name).read_text(encoding="utf-8"))
        assert not anchor or f'id="{anchor}"' in text, section["url"]
    written = {path.relative_to(site).as_posix() for path in site.glob("[bn]*/*.html")}
    assert set(pages) == written


def read_sections(html):
    text = (html / "searchindex.js").read_text(encoding="utf-8")
    return json.loads(text.removeprefix("const sections = ").removesuffix(";\n"))


def test_a_section_holds_its_own_text_and_not_that_of_those_within(tmp_path):
    (tmp_path / "_static").mkdir()
    (tmp_path / "_static" / "scrap.html").write_text(
        "<article><section id='x'><h1>Scrap</h1></article>"
    )
    (tmp_path / "page.html").write_text("""
        <nav>Menu</nav>
        <article>
          <section id="top">
            <h1>Shapes<a class="headerlink" href="#top">#</a></h1>
            <p>Round <em>shape</em>s.<script>let code;</script></p>
            <section id="dots"><h2>Dots</h2><dl><dt>Small</dt><dd>Or not.</dd></dl></section>
            <p>And more.</p>
            <section id="empty"><p>Without a heading.</p></section>
          </section>
        </article>""")
    write_search_index(tmp_path)
    text = "Round shapes. And more. Without a heading."
    assert read_sections(tmp_path) == [
        {"url": "page.html", "page": "Shapes", "title": "Shapes", "text": text},
        {"url": "page.html#dots", "page": "Shapes", "title": "Dots", "text": "Small Or not."},
    ]
