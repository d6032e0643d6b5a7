"""The chapters in a browser, as `course build --lite` puts them there. Tests do without Pyodide."""

import hashlib
import json
import re
import subprocess
import sys
import zipfile
from importlib.metadata import distribution, requires
from importlib.util import find_spec
from urllib.parse import urlsplit

import nbformat
import pytest
from bs4 import BeautifulSoup
from click.testing import CliRunner
from course_project import ROOT, make_project
from nbformat.v4 import new_code_cell as code
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from helpers.course import lite
from helpers.course.cli import main
from helpers.course.edition import Edition, read_edition
from helpers.course.parameters import chapters, read_notebook, read_parameters, tags
from helpers.course.rendering import SiteError
from helpers.text import InputError

CDN = "cdn.jsdelivr.net"
LEFT_OUT = {"clustering_at_scale", "clustering_on_spark"}
OF_PYODIDE = {*lite.LIBRARIES.values()} | {"packaging", "typing-extensions", "wcwidth"}


def build(project, monkeypatch, *words):
    monkeypatch.chdir(project)
    return CliRunner().invoke(main, ["build", *words])


def with_digest(project, digest=None):
    """Let the data of a miniature project be the course's own."""
    data = project / "data" / "orders.csv"
    line = f"{digest or hashlib.sha256(data.read_bytes()).hexdigest()}  orders.csv"
    (project / "data" / "SHA256SUMS").write_text(f"{line}\n")
    return project


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    return with_digest(make_project(tmp_path_factory.mktemp("lite") / "project"))


@pytest.fixture(scope="module")
def site(project):
    with pytest.MonkeyPatch.context() as monkeypatch:
        result = build(project, monkeypatch, "--lite")
    assert result.exit_code == 0, result.output
    assert "http.server" in result.output
    return project / "_build" / "default" / "html"


def files(folder):
    found = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return {path.as_posix() for path in found}


def texts(folder):
    """Everything that the files of a folder say, those in wheels included."""
    for path in folder.rglob("*"):
        if path.suffix == ".whl":
            with zipfile.ZipFile(path) as wheel:
                yield from map(wheel.read, wheel.namelist())
        elif path.is_file():
            yield path.read_bytes()


def contents(project, tmp_path, *, audience="reader", edition=None):
    """Notebooks and data as a JupyterLite of a project would show them."""
    names = [name for name in chapters(project) if name not in LEFT_OUT]
    edition = edition or Edition(name="default", base=project)
    lite.write_contents(project, edition, audience, names, "Title", tmp_path / "lite")
    return tmp_path / "lite"


# What is in it


def test_it_holds_the_chapter_and_the_data_that_it_reads(site, project):
    assert files(site / "lite" / "files") == {"data/orders.csv", "notebooks/mini.ipynb"}
    shown = site / "lite" / "files" / "data" / "orders.csv"
    assert shown.read_bytes() == (project / "data" / "orders.csv").read_bytes()
    for folder, names in (("notebooks", ["mini.ipynb"]), ("data", ["orders.csv"])):
        listing = json.loads((site / "lite/api/contents" / folder / "all.json").read_text())
        assert [entry["name"] for entry in listing["content"]] == names


def test_the_notebook_begins_with_what_it_needs(site):
    notebook = read_notebook(site / "lite" / "files" / "notebooks" / "mini.ipynb")
    first, second = notebook.cells[:2]
    assert first.source.startswith("# Mini")
    assert f"`{CDN}`" in first.source
    assert "solutions" not in first.source
    assert second.source == "%pip install -q practical-clustering"
    assert notebook.metadata.kernelspec.name == "python"
    assert all(cell.get("outputs", []) == [] for cell in notebook.cells)


def test_the_wheels_are_listed_under_their_digests(site):
    folder = site / "lite" / "pypi"
    listed = json.loads((folder / "all.json").read_text())
    assert listed.keys() == {"practical-clustering", *lite.BROUGHT}
    for name, package in listed.items():
        ((version, (release,)),) = package["releases"].items()
        assert version == distribution(name).version
        assert release["filename"].endswith("-py3-none-any.whl")
        wheel = (folder / release["filename"]).read_bytes()
        assert release["digests"]["sha256"] == hashlib.sha256(wheel).hexdigest()
    settings = json.loads((site / "lite" / "jupyter-lite.json").read_text())
    settings = settings["jupyter-config-data"]["litePluginSettings"][f"{lite.EXTENSIONS[1]}:kernel"]
    # Whatever is asked for comes from here or with Pyodide: no third host.
    assert settings["disablePyPIFallback"]
    assert settings["pipliteUrls"][0].startswith("./pypi/all.json?sha256=")


def test_the_wheel_of_the_helpers_has_nothing_else_and_asks_for_no_more(site):
    (path,) = (site / "lite" / "pypi").glob("practical_clustering-*.whl")
    with zipfile.ZipFile(path) as wheel:
        assert wheel.testzip() is None
        names = wheel.namelist()
        (metadata,) = (name for name in names if name.endswith("METADATA"))
        asked = re.findall("^Requires-Dist: (.*)$", wheel.read(metadata).decode(), re.MULTILINE)
    # What the chapter imports: Markdown, pyplot, and YAML through helpers.text.
    assert asked == ["ipython", "matplotlib", "pyyaml"]
    modules = {f"helpers/{module.name}" for module in (ROOT / "helpers").glob("*.py")}
    assert {name for name in names if ".dist-info/" not in name} == {*modules, "myst_nb.py"}


def test_what_is_brought_needs_nothing_that_is_not_there():
    for name in lite.BROUGHT:
        assert "Root-Is-Purelib: true" in distribution(name).read_text("WHEEL")
        for line in requires(name) or []:
            asked = Requirement(line)
            if asked.marker is None or asked.marker.evaluate({"extra": ""}):
                assert canonicalize_name(asked.name) in {*lite.BROUGHT} | OF_PYODIDE


def test_the_kernel_finds_what_it_needs_without_a_third_host(site):
    folder = site / "lite" / "extensions" / lite.EXTENSIONS[1] / "static" / "pypi"
    there = {*lite.BROUGHT} | OF_PYODIDE | json.loads((folder / "all.json").read_text()).keys()
    asked = set()
    for path in folder.glob("*.whl"):
        with zipfile.ZipFile(path) as wheel:
            (metadata,) = (name for name in wheel.namelist() if name.endswith("METADATA"))
            asked |= {*re.findall("^Requires-Dist: (.*)$", wheel.read(metadata).decode(), re.M)}
    assert "comm" in asked
    assert {canonicalize_name(Requirement(line).name) for line in asked} <= there


IMPORT_ALL = """
import importlib, sys
ABSENT = {"sphinx", "papermill", "nbclient", "grimp", "psutil", "pyspark"}
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ABSENT:
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Refuse())
sys.path.insert(0, sys.argv[1])
for name in sys.argv[2:]:
    assert importlib.import_module(name).__file__.startswith(sys.argv[1]), name
import myst_nb
myst_nb.glue("key", "unseen", display=False)
myst_nb.glue("key", "seen")
"""


def test_what_the_chapters_import_comes_from_the_wheels_alone(site, tmp_path):
    for path in (site / "lite" / "pypi").glob("*.whl"):
        with zipfile.ZipFile(path) as wheel:
            wheel.extractall(tmp_path)
    modules = ["anomalies", "drift", "exercises", "export", "figures", "frames", "inputs"]
    modules = [f"helpers.{name}" for name in (*modules, "quantization", "segmentation")]
    names = [*modules, "pandera", "seaborn", "skops", "myst_nb"]
    done = subprocess.run(
        [sys.executable, "-I", "-c", IMPORT_ALL, str(tmp_path), *names],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "seen\n"


def test_the_course_has_every_file_that_its_chapters_read(tmp_path):
    folder = contents(ROOT, tmp_path) / lite.CONTENTS
    notebooks = sorted(folder.glob("notebooks/*.ipynb"))
    assert len(notebooks) == 4
    for path in notebooks:
        for parameter in read_parameters(read_notebook(path)):
            if parameter.is_path(parameter.default):
                assert (path.parent / parameter.default).is_file(), (path.name, parameter.name)
    # And no answer: these the chapters never see.
    assert not [name for name in files(folder) if "truth" in name]


def test_links_to_pages_and_to_absent_chapters_are_text_there(tmp_path):
    folder = contents(ROOT, tmp_path) / lite.CONTENTS / "notebooks"
    for path in folder.glob("*.ipynb"):
        prose = [c.source for c in read_notebook(path).cells if c.cell_type == "markdown"]
        links = re.findall(r"\]\((?!https?:|#)([^)\s]+)\)", "\n".join(prose))
        for link in links:
            assert (folder / link.partition("#")[0]).is_file(), (path.name, link)


# For whom


def test_students_get_no_solution_in_it(project, site, monkeypatch):
    result = build(project, monkeypatch, "--lite", "--audience", "student")
    assert result.exit_code == 0, result.output
    folder = site.with_name("html-student") / "lite"
    assert not [text for text in texts(folder) if b"marmalade" in text or b"sol-more" in text]
    notebook = read_notebook(folder / "files" / "notebooks" / "mini.ipynb")
    assert "without its solutions" in notebook.cells[0].source
    assert {"stub", "check"} <= {tag for cell in notebook.cells for tag in tags(cell)}


def test_no_solution_of_the_course_is_for_students(tmp_path):
    said = b"\n".join(texts(contents(ROOT, tmp_path, audience="student"))).decode(errors="replace")
    for name in chapters(ROOT):
        for cell in read_notebook(ROOT / "notebooks" / f"{name}.ipynb").cells:
            if "solution" in tags(cell):
                assert json.dumps(cell.source)[1:-1] not in said


def test_an_edition_gives_its_parameters_and_keeps_its_data(tmp_path):
    project = with_digest(make_project(tmp_path / "p"))
    orders = "a\nmy_only_customer\n"
    (project / "editions" / "mine.csv").write_text(orders)
    path = project / "editions" / "spring.yml"
    path.write_text("chapters: {mini: {orders: mine.csv, columns: {a: b}, n_segments: 6}}")
    folder = contents(project, tmp_path, edition=read_edition(project, path))
    assert orders.encode() not in set(texts(folder))
    assert files(folder / lite.CONTENTS) == {"notebooks/mini.ipynb"}
    notebook = read_notebook(folder / lite.CONTENTS / "notebooks" / "mini.ipynb")
    values = {each.name: each.default for each in read_parameters(notebook)}
    assert (values["orders"], values["n_segments"], values["currency"]) == ("mine.csv", 6, "£")
    assert values["columns"] == {"a": "b"}
    assert "reads `mine.csv`, which this site does not hand out" in notebook.cells[0].source


def test_the_courses_own_data_under_an_edition_is_put_where_the_chapter_looks(tmp_path):
    project = make_project(tmp_path / "p")
    (project / "data" / "more.csv").write_text("a\nb\n")
    with_digest(project, hashlib.sha256(b"a\nb\n").hexdigest())
    path = project / "editions" / "spring.yml"
    path.write_text("chapters: {mini: {orders: ../data/more.csv}}")
    folder = contents(project, tmp_path, edition=read_edition(project, path)) / lite.CONTENTS
    assert files(folder) == {"notebooks/mini.ipynb", "notebooks/more.csv"}
    notebook = read_notebook(folder / "notebooks" / "mini.ipynb")
    (orders,) = (each for each in read_parameters(notebook) if each.name == "orders")
    assert orders.default == "more.csv"
    assert "hand out" not in notebook.cells[0].source


def test_data_that_replaced_the_courses_own_is_not_handed_out(tmp_path):
    project = with_digest(make_project(tmp_path / "p"), "0" * 64)
    assert files(contents(project, tmp_path) / lite.CONTENTS) == {"notebooks/mini.ipynb"}


# Chapters that no browser can run


def test_of_the_course_two_chapters_are_left_out():
    reasons = lite.why_not_in_browser(ROOT, chapters(ROOT))
    assert reasons.keys() == LEFT_OUT
    assert "psutil and pyspark" in reasons["clustering_on_spark"]


def test_a_chapter_is_left_out_and_the_others_are_not(tmp_path):
    project = make_project(tmp_path / "p")
    notebook = read_notebook(project / "notebooks" / "mini.ipynb")
    notebook.cells.append(code("import psutil", id="asks-for-more"))
    nbformat.write(notebook, project / "notebooks" / "maxi.ipynb")
    assert lite.why_not_in_browser(project, ["maxi", "mini"]).keys() == {"maxi"}
    with pytest.raises(
        InputError, match=r"no chapter of this edition runs in a browser.*\n.*psutil"
    ):
        lite.why_not_in_browser(project, ["maxi"])


# On the pages


def run_links(site):
    page = BeautifulSoup((site / "notebooks" / "mini.html").read_text(), "html.parser")
    return page.select("article .run-in-browser")


def test_the_page_of_a_chapter_links_to_its_notebook_and_names_the_host(site):
    (line,) = run_links(site)
    assert line.find_previous_sibling().name == "h1"
    assert CDN in line.get_text()
    link = urlsplit(line.a["href"])
    assert (site / "notebooks" / link.path).resolve() == site / "lite" / "notebooks" / "index.html"
    assert (site / "lite" / "files" / link.query.removeprefix("path=")).is_file()


def test_a_browser_opens_the_chapter_and_asks_only_the_host_of_pyodide(browser, address):
    page = browser.new_page()
    foreign, failed = set(), []

    def ask(route):
        if route.request.url.startswith((address, "data:", "blob:")):
            route.continue_()
        else:
            foreign.add(urlsplit(route.request.url).hostname)
            route.abort()

    page.context.route("**/*", ask)
    page.on("response", lambda answer: failed.append(answer.url) if answer.status >= 400 else None)
    with page.expect_request(lambda request: CDN in request.url, timeout=60_000):
        page.goto(f"{address}notebooks/mini.html")
        assert foreign == set()
        page.click(".run-in-browser a")
    # jupyterlab-myst has made a box of the note.
    page.wait_for_selector(".jp-Notebook aside >> text=In the browser", timeout=60_000)
    assert page.inner_text(".jp-Notebook h1").startswith("Mini")
    page.context.close()
    assert foreign == {CDN}
    assert failed == []


# Around it


def test_an_unchanged_one_is_not_made_again(project, site, monkeypatch):
    before = (site / ".build.json").read_bytes()
    result = build(project, monkeypatch, "--lite")
    assert "Nothing has changed" in result.output
    assert (site / ".build.json").read_bytes() == before


@pytest.mark.parametrize("absent", ["jupyterlite_core", "wheel"])
def test_without_the_extra_the_message_says_what_to_install(tmp_path, monkeypatch, absent):
    project = make_project(tmp_path / "p")
    monkeypatch.setattr(
        "helpers.course.lite.find_spec", lambda name: None if name == absent else find_spec(name)
    )
    result = build(project, monkeypatch, "--lite")
    assert result.exit_code == 2
    assert result.output.splitlines()[-1].startswith(f"--lite needs {absent}, which is not")
    assert "pip install --editable '.[lite]'" in result.output
    assert not (project / "_build").exists()


def test_an_extension_that_is_absent_is_named(monkeypatch):
    monkeypatch.setattr(lite, "EXTENSIONS", ("jupyterlab-none", lite.EXTENSIONS[1]))
    with pytest.raises(InputError, match="needs jupyterlab-none, which"):
        lite.check_lite()


def test_what_a_program_complains_of_is_told(tmp_path):
    (tmp_path / "lite" / lite.UNPACKED / "empty").mkdir(parents=True)
    with pytest.raises(SiteError, match=r"wheel pack(.|\n)*No .dist-info directories found"):
        lite.build_lite(tmp_path / "lite", tmp_path / "out")


def test_without_the_option_there_is_neither_it_nor_a_link_to_it(project, site, monkeypatch):
    "Last, for it takes away what the others read."
    result = build(project, monkeypatch)
    assert "Nothing has changed" not in result.output
    assert "http.server" not in result.output
    assert not (site / "lite").exists()
    assert "run-in-browser" not in (site / "notebooks" / "mini.html").read_text()
