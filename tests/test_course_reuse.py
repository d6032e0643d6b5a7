import json
import re
import shutil

import nbformat
import pytest
from click.testing import CliRunner
from course_project import ROOT, chapter, make_project
from nbformat.v4 import new_code_cell, new_notebook

from helpers.course import reuse
from helpers.course.cli import main
from helpers.course.edition import Edition
from helpers.course.parallel import run_chapters
from helpers.course.parameters import chapters, read_notebook
from helpers.course.reuse import KEPT, find_run, imported_helpers, run_digest, tree_digest
from helpers.course.site import BUILD, build_site
from helpers.files import visible_files


@pytest.fixture
def project(tmp_path):
    return make_project(tmp_path / "p")


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    """Miniature project that was built once, and what was said of it."""
    project = make_project(tmp_path_factory.mktemp("reuse") / "p")
    return project, built(project)[1]


@pytest.fixture
def copied(original, tmp_path):
    """Copy of it, in another place; and its site."""
    project = tmp_path / "copy"
    shutil.copytree(original[0], project)
    return project, project / "_build" / "default" / "html"


def digest(project, values=None, **options):
    return run_digest(project, "mini", values or {}, base=project, **options)


def edit(project, change):
    """Change the notebook of the miniature project."""
    path = project / "notebooks" / "mini.ipynb"
    notebook = nbformat.read(path, as_version=4)
    change(notebook)
    nbformat.write(notebook, path)


# What a run follows from


def test_what_a_chapter_shows_but_does_not_follow_from_leaves_the_digest(project):
    before = digest(project)
    (project / "notebooks" / "another.ipynb").write_text("{}")
    (project / "data" / "other.csv").write_text("a\n")
    (project / "notebooks" / "playbook.yml").write_text("a: 1\n")
    (project / "book" / "welcome.md").write_text("# Another\n")

    def run_it(notebook):
        notebook.cells[1].outputs = [nbformat.v4.new_output("stream", text="hello")]
        notebook.cells[1].execution_count = 9

    edit(project, run_it)
    assert digest(project) == before


@pytest.mark.parametrize(
    "change",
    [
        lambda p: edit(p, lambda n: n.cells[0].update(source="# Another")),
        lambda p: edit(p, lambda n: n.cells[4].metadata.update(tags=["hide-input"])),
        lambda p: edit(p, lambda n: n.metadata.update(course={})),
        lambda p: (p / "data" / "orders.csv").write_text("a\nb\nd\n"),
    ],
    ids=["text", "tag", "metadata", "data"],
)
def test_whatever_a_chapter_follows_from_changes_the_digest(project, change):
    before = digest(project)
    change(project)
    assert digest(project) != before


def test_values_files_and_cells_left_out_change_the_digest(project, tmp_path):
    (tmp_path / "mine.csv").write_text("x\n")
    mine = digest(project, {"orders": str(tmp_path / "mine.csv")})
    (tmp_path / "mine.csv").write_text("y\n")
    yours = digest(project, {"orders": str(tmp_path / "mine.csv")})
    others = [digest(project), digest(project, {"n_segments": 5})]
    assert len({mine, yours, *others, digest(project, without={"solution"})}) == 5


def test_another_version_of_a_package_changes_the_digest(project, monkeypatch):
    before = digest(project)
    versions = reuse.installed_versions()
    assert versions["scikit-learn"] == __import__("sklearn").__version__
    monkeypatch.setattr(reuse, "installed_versions", lambda: versions | {"scikit-learn": "9.9"})
    assert digest(project) != before


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("import helpers.text", {"helpers", "helpers.text"}),
        ("from helpers import text as t", {"helpers", "helpers.text"}),
        ("from helpers.text import listed", {"helpers", "helpers.text"}),
        ("def f():\n    from helpers import text", {"helpers", "helpers.text"}),
        ("%matplotlib inline\nimport helpers.files", {"helpers", "helpers.files"}),
        ("import numpy", {"helpers"}),
    ],
)
def test_the_helpers_that_a_notebook_imports_are_found(source, expected):
    assert imported_helpers(new_notebook(cells=[new_code_cell(source)])) == expected


def test_the_helpers_of_helpers_are_found():
    cell = new_code_cell("from helpers.segmentation import CustomerSegmenter")
    assert {"helpers.weighted", "helpers.text"} < imported_helpers(new_notebook(cells=[cell]))


def test_a_cell_of_another_language_may_import_anything():
    notebook = new_notebook(cells=[new_code_cell("%%time\nimport helpers.files")])
    assert "helpers.course.site" in imported_helpers(notebook)


@pytest.mark.parametrize(
    ("module", "users"),
    [
        ("quantization", {"image_compression"}),
        ("scale", {"clustering_at_scale", "clustering_on_spark"}),
        ("drift", {"stability_and_drift"}),
        ("course/monitor", set()),
        ("course/execute", set(chapters(ROOT))),
        ("text", set(chapters(ROOT))),
    ],
)
def test_a_change_of_one_helper_reruns_just_the_chapters_that_use_it(module, users, monkeypatch):
    changed = ROOT / "helpers" / f"{module}.py"

    def digests():
        return {name: run_digest(ROOT, name, {}, base=ROOT) for name in chapters(ROOT)}

    def tree(path):
        return "changed" if path == changed else tree_digest(path)

    before = digests()
    monkeypatch.setattr(reuse, "tree_digest", tree)
    after = digests()
    assert {name for name in before if before[name] != after[name]} == users


def test_a_file_that_only_the_code_of_a_chapter_names_changes_its_digest(project):
    edit(project, lambda n: n.cells.append(new_code_cell('open("../data/extra.csv").read()')))
    before = digest(project)
    (project / "data" / "extra.csv").write_text("1\n")
    first = digest(project)
    (project / "data" / "extra.csv").write_text("2\n")
    assert len({before, first, digest(project)}) == 3


# Builds


def built(project, **options):
    """Build; return the site, and what was said of the chapters."""
    said = []
    html = build_site(project, Edition(name="default", base=project), say=said.append, **options)
    return html, said


def test_a_first_build_runs_the_chapters(original):
    said = original[1]
    assert said[0].startswith("mini: done in")
    assert said[1:] == ["Rendering the pages."]


def test_an_unchanged_site_is_left_as_it_is(copied):
    project, html = copied
    made = (html / "notebooks" / "mini.html").stat().st_ino
    again, said = built(project)
    assert again == html
    assert said == ["mini: unchanged", "Nothing has changed since the last build."]
    assert (html / "notebooks" / "mini.html").stat().st_ino == made


def test_a_changed_page_is_rendered_without_running_the_chapters(copied):
    project, html = copied
    page = project / "book" / "welcome.md"
    page.write_text(page.read_text().replace("It says so here", "It says so there"))
    _, said = built(project)
    assert said == ["mini: unchanged", "Rendering the pages."]
    welcome = (html / "book" / "welcome.html").read_text()
    assert "It says so there" in welcome
    assert "3</span> orders" in welcome
    assert list(html.glob("_downloads/*/orders.csv"))


def test_the_same_sources_give_the_same_pages_to_the_byte(copied):
    """But for the one that tells how long this build took, and what is found by its words."""
    project, html = copied

    def contents():
        return {
            file: tree_digest(html / file)
            for file in visible_files(html)
            if "about_this_edition" not in file.name and file.name != "searchindex.js"
        }

    before = contents()
    _, said = built(project, fresh=True)
    assert said[0].startswith("mini: done in")
    assert said[1] == "Rendering the pages."
    assert contents() == before


def test_the_site_says_what_has_changed_since_the_last_build_and_how_long_it_took(copied):
    project, html = copied
    about = html / "book" / "about_this_edition.html"
    assert "This is the first build" in about.read_text()
    (project / "data" / "orders.csv").write_text("a\nb\n")
    built(project)
    text = re.sub(r"<[^>]*>", "", about.read_text())
    assert re.search(r"orders.*have changed.*2 rows → 1 row", text)
    assert re.search(r"Mini\s+\d+\.\d\s+in this build", text)
    (project / "book" / "welcome.md").write_text("# Welcome\n")
    built(project)
    text = re.sub(r"<[^>]*>", "", about.read_text())
    assert "Nothing has changed since the previous build." in text
    assert "in an earlier build, reused" in text


@pytest.mark.parametrize("damage", ["page", "record"])
def test_a_site_that_somebody_has_touched_is_made_again(copied, damage):
    project, html = copied
    if damage == "page":
        (html / "notebooks" / "mini.html").unlink()
    else:
        (html / BUILD).write_text("half a")
    _, said = built(project)
    assert said == ["mini: unchanged", "Rendering the pages."]
    assert (html / "notebooks" / "mini.html").is_file()
    json.loads((html / BUILD).read_text())


def test_another_chapter_that_fails_does_not_cost_the_work_of_this_one(tmp_path, monkeypatch):
    project = make_project(tmp_path / "p")
    bad = chapter(new_code_cell("1 / 0"))
    bad.cells[1].source = bad.cells[1].source.replace("exports/mini", "exports/bad")
    nbformat.write(bad, project / "notebooks" / "bad.ipynb")
    (project / "editions" / "two.yml").write_text("chapters: {mini: , bad: }")
    monkeypatch.chdir(project)
    words = ["build", "two", "--jobs", "1"]
    assert CliRunner().invoke(main, words).exit_code == 1
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 1
    assert "mini: unchanged" in result.output
    assert "bad: failed" in result.output


def test_audiences_have_sites_of_their_own_and_do_not_share_runs(copied):
    project, html = copied
    student, said = built(project, audience="student")
    assert (html.name, student.name) == ("html", "html-student")
    assert said[0].startswith("mini: done in")
    assert "marmalade" in (html / "notebooks" / "mini.html").read_text()
    assert "marmalade" not in (student / "notebooks" / "mini.html").read_text()
    for audience in ("reader", "student"):
        assert built(project, audience=audience)[1][0] == "mini: unchanged"
    assert "html" not in " ".join(said)


def test_a_site_for_others_that_has_fallen_behind_is_named(copied):
    project, html = copied
    student = shutil.copytree(html, html.with_name("html-student"))
    (project / "book" / "welcome.md").write_text("# Welcome\n")
    assert "html-student" not in " ".join(built(project)[1])
    (project / "data" / "orders.csv").write_text("a\nb\n")
    said = built(project)[1]
    assert (
        said[-1] == "html-student beside it is older and says something else; build it again, too."
    )
    assert student.is_dir()


def test_only_the_latest_runs_are_kept(project, monkeypatch):
    def quick(project, chapter, values, *, folder, **options):
        (folder / "notebooks" / "made.txt").write_text(str(values))
        notebook = read_notebook(project / "notebooks" / f"{chapter}.ipynb")
        return reuse.Run(chapter, notebook, folder / "notebooks", 1.0)

    monkeypatch.setattr("helpers.course.parallel.run_chapter", quick)
    monkeypatch.setattr(
        "helpers.course.site.render", lambda source, out: shutil.copytree(source, out)
    )
    for n in range(KEPT + 2):
        edition = Edition(name="default", base=project, chapters={"mini": {"n_segments": n}})
        build_site(project, edition)
    kept = list((project / "_build" / "runs" / "mini").iterdir())
    assert len(kept) == KEPT
    latest = find_run(project, "mini", digest(project, {"n_segments": n}))
    assert (latest.folder / "made.txt").read_text() == f"{{'n_segments': {n}}}"
    assert find_run(project, "mini", digest(project, {"n_segments": 0})) is None


def test_the_chapters_that_take_longest_begin_first(project, monkeypatch):
    begun = []

    def quick(project, chapter, values, *, folder, **options):
        begun.append(chapter)
        return reuse.Run(chapter, new_notebook(), folder / "notebooks", 1.0)

    monkeypatch.setattr("helpers.course.parallel.run_chapter", quick)
    for name in ("short", "needy", "long"):
        notebook = new_notebook(metadata={"course": {"needs": "spark"}} if name == "needy" else {})
        nbformat.write(notebook, project / "notebooks" / f"{name}.ipynb")
    earlier = project / "_build" / "runs" / "long" / "0"
    earlier.mkdir(parents=True)
    (earlier / "run.json").write_text('{"seconds": 9}')
    values = {name: {} for name in ("short", "needy", "long")}
    runs = run_chapters(project, values, base=project, staging=project, jobs=1)
    assert begun == ["long", "needy", "short"]
    assert list(runs) == ["short", "needy", "long"]


@pytest.mark.parametrize(
    ("n_cores", "jobs", "expected"), [(6, 1, 0), (6, 2, 3), (6, 9, 3), (1, 2, 1)]
)
def test_chapters_that_run_side_by_side_share_the_cores(
    project, monkeypatch, n_cores, jobs, expected
):
    "There are two chapters; one at a time takes what it wants, and none goes without."
    given = []

    def quick(project, chapter, values, *, folder, n_threads, **options):
        given.append(n_threads)
        return reuse.Run(chapter, new_notebook(), folder / "notebooks", 1.0)

    monkeypatch.setattr("helpers.course.parallel.run_chapter", quick)
    monkeypatch.setattr("os.cpu_count", lambda: n_cores)
    for name in ("one", "two"):
        nbformat.write(new_notebook(), project / "notebooks" / f"{name}.ipynb")
    values = {"one": {}, "two": {}}
    run_chapters(project, values, base=project, staging=project, jobs=jobs)
    assert given == [expected, expected]
