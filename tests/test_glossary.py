"""The glossary: terms defined in a sentence or two, and linked where a chapter first uses them."""

import re
from dataclasses import dataclass

import pytest
from myst_parser.mdit_to_docutils.base import default_slugify
from prose import ROOT, blocks, chapters, markdown

GLOSSARY = ROOT / "book" / "glossary.md"
HERE = "../book/glossary.md#"

# Who comes to these has read the chapter.
PRACTICE = ("Exercises", "Check yourself", "Further reading")


@dataclass(frozen=True)
class Entry:
    term: str
    text: str

    @property
    def anchor(self):
        return default_slugify(self.term)

    @property
    def definition(self):
        return re.sub(r"^Also: .*?\. ", "", self.text)

    @property
    def forms(self):
        """The term and its other names."""
        also = re.match(r"Also: (.*?)\. ", self.text)
        return [self.term, *(also[1].split(", ") if also else [])]


def entries():
    """Return the entries of the glossary in their order."""
    found, term, texts = [], None, []
    for block in blocks(GLOSSARY):
        if block.level == 2:
            term = block.text()
            texts = []
        elif term:
            texts.append(block.text(code="eps"))
            found = [entry for entry in found if entry.term != term]
            found.append(Entry(term, " ".join(texts)))
    return found


ENTRIES = {entry.anchor: entry for entry in entries()}
FORMS = sorted(
    ((form, anchor) for anchor, entry in ENTRIES.items() for form in entry.forms),
    key=lambda pair: -len(pair[0]),
)
# A longer term is no use of a shorter one inside it; a plural is a use.
TERM = re.compile(
    "|".join(rf"(?<![\w-]){re.escape(form)}(?:e?s)?(?![\w-])" for form, _ in FORMS), re.IGNORECASE
)


def anchor_of(text):
    """Anchor of the term that a text is a form of."""
    plain = text.lower()
    return next(
        anchor
        for form, anchor in FORMS
        if plain in (form.lower(), f"{form.lower()}s", f"{form.lower()}es")
    )


def uses(path):
    """Terms in what was typed of a chapter, but for its practice, each with the link around it."""
    for block in blocks(path, computed=False):
        if not block.level and block.section not in PRACTICE:
            yield from uses_in(block)


def uses_in(block):
    """Terms in a run of prose, each with the link around it."""
    text, spans, start = "", [], None
    for token in block.tokens:
        if token.type == "link_open":
            start = (len(text), str(token.attrs["href"]))
        elif token.type == "link_close":
            spans.append((start[0], len(text), start[1]))
        else:
            text += " " if token.type == "softbreak" else ""
            text += token.content if token.type == "text" else ""
            text += "\x00" if token.type in ("code_inline", "math_inline") else ""
    for match in TERM.finditer(text):
        around = [
            link for first, end, link in spans if first <= match.start() and match.end() <= end
        ]
        yield anchor_of(match[0]), around[0] if around else None


@pytest.fixture(params=chapters(), ids=lambda path: path.stem)
def chapter(request):
    return request.param


def test_the_terms_are_in_order_and_each_has_one_or_two_sentences():
    terms = [entry.term for entry in ENTRIES.values()]
    assert terms == sorted(terms, key=str.lower)
    assert len(terms) == len(entries()) > 40
    for entry in ENTRIES.values():
        assert 1 <= len(re.findall(r"[.](?:\s|$)", entry.definition)) <= 2, entry.term


def test_no_form_belongs_to_two_terms():
    forms = [form.lower() for form, _ in FORMS]
    assert len(set(forms)) == len(forms)


def test_every_term_is_linked_where_a_chapter_first_uses_it(chapter):
    "Links to other places stay what they are, and a term inside one is no use of it."
    first = {}
    for anchor, link in uses(chapter):
        if link is None or link.startswith(HERE):
            first.setdefault(anchor, link)
    assert {anchor: link for anchor, link in first.items() if link != HERE + anchor} == {}


def test_a_chapter_links_a_term_once(chapter):
    links = [link for _, link in uses(chapter) if link and link.startswith(HERE)]
    assert len(set(links)) == len(links)


def test_every_link_to_the_glossary_leads_to_the_term_that_it_shows(chapter):
    text = "\n".join(text for text, _ in markdown(chapter))
    links = re.findall(r"\[([^\]]*)\]\([^)]*glossary\.md#([^)]*)\)", text)
    assert len(links) >= 5
    assert [
        (shown, anchor) for shown, anchor in links if anchor_of(shown.replace("*", "")) != anchor
    ] == []


def test_every_term_is_used_in_a_chapter():
    "Some only in sentences that code makes, or in the practice."
    every = (block for path in chapters() for block in blocks(path))
    used = {anchor for block in every for anchor, _ in uses_in(block)}
    assert sorted(set(ENTRIES) - used) == []
