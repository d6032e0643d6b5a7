import gzip
import hashlib
import json
import shutil

import duckdb
import nbformat
import pandas as pd
import pytest
from click.testing import CliRunner
from course_project import ROOT, copy_course, make_project
from nbformat.v4 import new_code_cell as code

from helpers.course import check
from helpers.course.cli import main
from helpers.course.needs import NEEDS
from helpers.course.parameters import read_notebook, read_parameters

ONLINE_RETAIL = ROOT.parent / "shared/data/online_retail/online_retail.csv.gz"
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    return copy_course(tmp_path_factory.mktemp("template"))


@pytest.fixture
def project(template, tmp_path, monkeypatch):
    folder = shutil.copytree(template, tmp_path / "project", symlinks=True)
    monkeypatch.chdir(folder)
    monkeypatch.setitem(NEEDS, "spark", lambda: None)
    orders = "Client,order_id,order_date,revenue\n007,A1,2024-01-31,4.5\n"
    (folder / "editions" / "mine.csv").write_text(orders)
    return folder


def course(*words):
    return CliRunner().invoke(main, words)


def faults(project, text, code=2):
    "What a check says about an edition of this text, each line without the name of the file."
    (project / "editions" / "mine.yml").write_text(text, encoding="utf-8")
    result = course("check", "mine")
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.output
    return [line.removeprefix("mine.yml: ") for line in result.output.splitlines()]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_somebody_knows_how_each_input_file_of_the_course_is_read(path):
    notebook = read_notebook(path)
    source = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "code")
    parameters = {parameter.name: parameter for parameter in read_parameters(notebook)}
    inputs = {name for name, parameter in parameters.items() if parameter.is_input_file}
    assert inputs == {name for chapter, name in check.LOOKS if chapter == path.stem}
    for name in inputs:
        look = check.LOOKS[path.stem, name]
        reader = getattr(look.read, "func", look.read)
        if reader is not check._read_json:
            assert f"{reader.__name__}(" in source
        assert look.mapped == (f"({name}, columns=columns)" in source or look is check.PARQUET)


def test_a_sound_edition_is_summed_up_in_one_line(project):
    text = """
        chapters:
          customer_segmentation:
            orders: mine.csv
            columns: {customer_id: Client}
          image_compression:
        """
    assert faults(project, text, code=0) == [
        "editions/mine.yml: 2 chapters, 2 parameters, 2 files: no fault"
    ]


def test_data_that_is_still_the_courses_own_is_remarked_beside_somebody_elses(project):
    flows = (project / "data" / "network_traffic.csv").read_bytes()
    digest = hashlib.sha256(flows).hexdigest()
    (project / "data" / "SHA256SUMS").write_text(f"{digest}  network_traffic.csv\n")
    text = "chapters: {customer_segmentation: {ORDERS}, network_anomalies: {alerts_per_day: 3}}"
    mine = text.replace("ORDERS", "orders: mine.csv, columns: {customer_id: Client}")
    remark, line = faults(project, mine, code=0)
    assert remark == (
        "network_anomalies: flows is still data of the course, so the page speaks of that, too."
    )
    assert line.endswith("no fault")
    [line] = faults(project, text.replace("ORDERS", "n_segments: 4"), code=0)
    assert line.endswith("no fault")


def test_buttons_that_students_will_not_get_are_remarked(project):
    text = (
        "repository: https://github.com/owner/name\nchapters: {image_compression: {dither: true}}\n"
    )
    assert len(faults(project, text, code=0)) == 1
    remark, _ = faults(project, text + "audience: student", code=0)
    assert remark.startswith("Pages for students have no buttons")


def test_without_chapters_all_are_looked_at(project):
    (project / "_toc.yml").write_text(
        "format: jb-book\nroot: book/welcome\nchapters:\n"
        "  - file: notebooks/customer_segmentation\n  - file: notebooks/network_anomalies\n"
    )
    remark, line = faults(project, "title: Ours", code=0)
    assert remark.endswith("gives no chapter a value, so it builds what the course itself shows.")
    assert line.endswith("2 chapters, 0 parameters, 4 files: no fault")
    (project / "notebooks" / "customer_playbook.yml").write_text("Champions: {action: 3}")
    (project / "notebooks" / "network_playbook.yml").unlink()
    _, first, second = faults(project, "title: Ours")
    assert first.startswith("customer_segmentation: playbook: customer_playbook.yml: ")
    assert second.startswith("network_anomalies: playbook: there is no file 'network_playbook.yml'")


def test_a_new_edition_has_no_fault(project):
    assert course("new", "spring").exit_code == 0
    result = course("check", "editions/spring.yml")
    assert result.exit_code == 0
    remark, line = result.output.splitlines()
    assert remark.startswith("spring.yml gives no chapter a value")
    assert line.startswith("editions/spring.yml: ")
    assert line.endswith(": no fault")


def test_all_faults_are_told_in_one_go(project):
    (project / "editions" / "bad.csv").write_text(
        "customer_id,order_id,order_date,revenue\n7,A1,2024-01-31,4.5\n8,A2,2024-13-31,£3\n"
    )
    text = """
        titel: Ours
        audience: pupils
        chapters:
          customer_segmentation:
            orders: bad.csv
            n_segment: 3
            n_segments: 11
            currency: 5
            random_state: -1
          network_anomalies:
            flows: nowhere.csv
            columns: [bytes]
            eps: -1.0
            small_cluster: 0.5
          image_compression: {image: mine.csv}
          custom_segmentation:
        """
    told = faults(project, text)
    wanted = [
        "There is no setting 'titel' (nearest: 'title').",
        "audience takes 'student', 'instructor' or 'reader', not 'pupils'.",
        "customer_segmentation: There is no parameter 'n_segment' (nearest: 'n_segments').",
        "customer_segmentation: currency takes str, not 5",
        "network_anomalies: columns takes dict, not ['bytes']",
        "network_anomalies: flows: there is no file 'nowhere.csv'",
        "There is no chapter 'custom_segmentation' (nearest: 'customer_segmentation').",
        "customer_segmentation: n_segments is 11. Use 2 to 10, or 0",
        "customer_segmentation: random_state is -1. Use a whole number from 0 to",
        "customer_segmentation: orders: bad.csv: column 'order_date' needs a date, all written "
        "one way, best YYYY-MM-DD: line 3 has '2024-13-31'",
        "customer_segmentation: orders: bad.csv: column 'revenue' needs a number",
        "network_anomalies: eps is -1.0. Use 0 or more.",
        "network_anomalies: small_cluster is 0.5. Use a share from 0 to below 0.5.",
        "image_compression: image: mine.csv: not an image of a kind that can be read",
    ]
    assert len(told) == len(wanted), "\n".join(told)
    for line, start in zip(told, wanted, strict=True):
        assert line.startswith(start)


@pytest.mark.parametrize(
    ("chapter", "given", "message"),
    [
        ("customer_segmentation", "n_segments: 1", "n_segments is 1. Use 2 to 10"),
        ("clustering_at_scale", "n_clusters: 1", "n_clusters is 1. Use 2 to 10"),
        ("clustering_at_scale", "n_customers: 1", "n_customers is 1. Use a whole number from"),
        ("clustering_at_scale", "columns: {revenue: x}", "columns: the generated orders have"),
        ("clustering_on_spark", "random_state: -1", "random_state is -1. Use a whole number"),
        ("clustering_on_spark", "n_customers: 1", "n_customers is 1. Use a whole number from"),
        ("image_compression", "n_colors: [8, 257]", "n_colors is [8, 257]. Use 1 to 8 whole"),
        ("image_compression", "n_colors: [a, 4]", "n_colors is ['a', 4]. Use 1 to 8 whole"),
        ("network_anomalies", "min_samples: -1", "min_samples is -1. Use 2 or more, or 0"),
        ("network_anomalies", "alerts_per_day: -1", "alerts_per_day is -1. Use 0 or more."),
    ],
)
def test_limits_are_those_of_the_chapter(project, chapter, given, message):
    [line] = faults(project, f"chapters: {{{chapter}: {{{given}}}}}")
    assert line.startswith(f"{chapter}: {message}")


@pytest.mark.parametrize(
    ("chapter", "name", "wrong", "right"),
    [
        ("customer_segmentation", "snapshot", "31.12.2024", "2024-12-31"),
        ("clustering_at_scale", "snapshot", "2024-02-30", "2024-02-29"),
        ("clustering_at_scale", "memory_limit", "plenty", "500MB"),
        ("clustering_on_spark", "snapshot", "soon", "2024-12-31"),
        ("stability_and_drift", "reference_day", "December", "2024-12-31"),
    ],
)
def test_text_that_a_chapter_refuses_later_is_refused_already(project, chapter, name, wrong, right):
    start, end = f"chapters: {{{chapter}: {{{name}: '", "'}}"
    [line] = faults(project, start + wrong + end)
    assert line.startswith(f"{chapter}: {name}: ")
    assert repr(wrong) in line
    assert "Write it " in line
    for sound in (right, ""):
        faults(project, start + sound + end, code=0)


def test_what_is_refused_later_are_parameters_of_the_chapters():
    for chapter, name in check.VALUES:
        known = read_parameters(read_notebook(ROOT / "notebooks" / f"{chapter}.ipynb"))
        assert name in {parameter.name for parameter in known}


def test_a_limit_that_also_depends_on_the_data_is_left_to_the_run(project):
    given = "dither: true, n_colors: [2], random_state: 2147483647"
    faults(project, f"chapters: {{image_compression: {{{given}}}}}", code=0)


def test_guards_run_nothing_else_of_a_chapter(tmp_path, monkeypatch):
    folder = make_project(
        tmp_path / "project",
        code("%matplotlib inline\nlimit = 3\nn_rows = open('x').read()\nshare = n_rows"),
        code("for name in ('n_segments',):\n    if n_segments > limit:\n        open('y', 'w')\n"),
        code("if n_segments > limit:\n    open('y', 'w')\n    raise InputError('never asked')"),
        code("if share > 3:\n    raise InputError('share is not the parameter any more')"),
        code("if n_segments > limit:\n    raise InputError(f'n_segments is {n_segments}.')"),
        code("if currency in 'abc':\n    raise ValueError('not a refusal')"),
        code("if verbose / 0:\n    raise InputError('cannot be asked')"),
        code("for key in columns:\n    columns[key] = 'seen'"),
        code(
            "for key in columns:\n    if columns[key] == 'seen':\n        raise InputError('ran')"
        ),
        code("def = 3"),
        code("if n_segments > 2:\n    raise InputError('after what cannot be read')"),
    )
    monkeypatch.chdir(folder)
    remark, line = faults(folder, "chapters: {mini: {share: 9.0, columns: {a: b}}}")
    assert line == "mini: n_segments is 4."
    assert remark == "mini: orders: orders.csv is there; what it holds was not looked at."
    assert not (folder / "y").exists()


def test_a_solution_of_an_exercise_refuses_nothing(tmp_path, monkeypatch):
    cell = code("if n_segments > 3:\n    raise InputError('x')", metadata={"tags": ["solution"]})
    folder = make_project(tmp_path / "project", cell)
    monkeypatch.chdir(folder)
    faults(folder, "chapters: {mini: {}}", code=0)


@pytest.mark.parametrize(
    ("chapter", "given", "content", "message"),
    [
        (
            "customer_segmentation",
            "orders: mine.csv, columns: {customer_id: Klient}",
            None,
            "orders: mine.csv: no column 'Klient' (nearest: 'Client').",
        ),
        (
            "customer_segmentation",
            "orders: mine.csv, columns: {customer: Client}",
            None,
            "orders: mine.csv: columns= has no 'customer' (nearest: 'customer_id').",
        ),
        (
            "customer_segmentation",
            "orders: mine.csv, columns: {customer_id: [Client]}",
            None,
            "orders: mine.csv: columns= gives 'customer_id' the name ['Client'], no text.",
        ),
        ("customer_segmentation", "orders: x", b"PK\x03\x04", "orders: x: this is an Excel workb"),
        ("customer_segmentation", "orders: x.gz", b"no gzip", "orders: x.gz: not compressed"),
        ("customer_segmentation", "playbook: x", b"A: 3", "playbook: x: A: Input should be"),
        ("network_anomalies", "flows: mine.csv", None, "flows: mine.csv: no column 'bytes_sent'"),
        ("network_anomalies", "playbook: x", b"A: 3", "playbook: x: A: Input should be"),
        ("image_compression", "image: x", b"", "image: x: the file is empty."),
        ("clustering_at_scale", "orders: mine.csv", None, "orders: editions/mine.csv: cannot be"),
        ("clustering_at_scale", "measurements: x", b"{}", "measurements: x: not a recorded measu"),
        ("clustering_on_spark", "orders: mine.csv", None, "orders: editions/mine.csv: cannot be"),
    ],
)
def test_each_file_is_read_as_its_chapter_reads_it(project, chapter, given, content, message):
    if content is not None:
        name = given.split()[-1]
        (project / "editions" / name).write_bytes(content)
    lines = faults(project, f"chapters: {{{chapter}: {{{given}}}}}")
    assert lines[0].startswith(f"{chapter}: {message}")


def test_a_file_is_not_judged_by_columns_that_are_refused_themselves(project):
    [line] = faults(project, "chapters: {customer_segmentation: {orders: mine.csv, columns: 3}}")
    assert line.startswith("customer_segmentation: columns takes dict, not 3")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("control_orders: mine.csv", "control_orders: mine.csv: no column 'customer_id'"),
        ("flows: mine.csv", "flows: mine.csv: no column 'bytes_sent'"),
        ("model: mine.csv", "model: mine.csv: "),
        ("simulations: mine.csv", "simulations: mine.csv: cannot be read as JSON"),
    ],
)
def test_the_files_beside_the_orders_do_not_follow_their_columns(project, given, message):
    if not (project / "notebooks" / "stability_and_drift.ipynb").is_file():
        pytest.skip("the chapter is not part of this course")
    text = "chapters: {stability_and_drift: {orders: mine.csv, columns: {customer_id: Client}, "
    [line, *_] = faults(project, text + given + "}}")
    assert line.startswith(f"stability_and_drift: {message}")


def test_parquet_of_other_columns_is_refused_and_of_these_is_not(project):
    query = (
        "COPY (SELECT 1 AS client, 2 AS order_id, DATE '2024-01-31' AS order_date, 3 AS revenue)"
    )
    (project / "editions" / "parts").mkdir()
    duckdb.sql(f"{query} TO 'editions/parts/a.parquet' (FORMAT parquet)")
    start = "chapters: {clustering_at_scale: {orders: parts"
    [line] = faults(project, start + "}}")
    assert line.startswith("clustering_at_scale: orders: parts/a.parquet: no column customer_id")
    [line] = faults(project, start + ", columns: {customer_id: client}}}", code=0)
    assert line.endswith("1 chapter, 2 parameters, 2 files: no fault")


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_of_a_large_file_only_the_header_is_looked_at(project, suffix, monkeypatch):
    rows = b"".join(b"%d,%d,no date,1.5\n" % (n, n) for n in range(1000))
    data = b"customer_id,order_id,order_date,amount\n" + rows
    path = project / "editions" / f"large.csv{suffix}"
    path.write_bytes(gzip.compress(data) if suffix else data)
    start = f"chapters: {{customer_segmentation: {{orders: {path.name}"
    mapped = start + ", columns: {revenue: amount}}}"
    assert "column 'order_date' needs a date" in faults(project, mapped)[0]
    monkeypatch.setattr(check, "LARGE", len(data) - 1)
    remark = f"customer_segmentation: orders: {path.name} holds 0 MB, so only its header was "
    first, last = faults(project, mapped, code=0)
    assert first.startswith(remark)
    assert last.endswith("no fault")
    first, second, *_ = faults(project, start + "}}")
    assert first.startswith(remark)
    assert second.startswith(f"customer_segmentation: orders: {path.name}: no column 'revenue'")


def test_a_large_file_without_a_header_is_not_looked_at(project, monkeypatch):
    monkeypatch.setattr(check, "LARGE", 1)
    shutil.copy(project / "editions" / "mine.csv", project / "editions" / "huge.png")
    first, last = faults(project, "chapters: {image_compression: {image: huge.png}}", code=0)
    assert first.endswith("huge.png holds 0 MB, so what it holds was not looked at.")
    assert last.endswith("1 chapter, 1 parameter, 0 files: no fault")


def test_a_file_that_two_chapters_read_alike_is_read_once(project, monkeypatch):
    read = []
    reader = check.Look(lambda path, columns: read.append((path.name, columns)), mapped=True)
    for chapter in ("customer_segmentation", "clustering_at_scale"):
        monkeypatch.setitem(check.LOOKS, (chapter, "orders"), reader)
    text = (
        "chapters: {customer_segmentation: {orders: mine.csv}, "
        "clustering_at_scale: {orders: mine.csv}, clustering_on_spark: {orders: mine.csv}}"
    )
    monkeypatch.delitem(check.LOOKS, ("clustering_on_spark", "orders"))
    faults(project, text, code=0)
    assert read == [("mine.csv", {})]
    faults(project, text.replace("scale: {", "scale: {columns: {revenue: x}, "), code=0)
    assert len(read) == 3


def test_a_chapter_that_cannot_run_here_cannot_follow_parameters(project, monkeypatch):
    monkeypatch.setitem(NEEDS, "spark", lambda: "Install it.")
    faults(project, "chapters: {clustering_on_spark: }", code=0)
    [line] = faults(project, "chapters: {clustering_on_spark: {n_clusters: 3}}")
    assert line == (
        "clustering_on_spark: it cannot run here, so its parameters cannot be followed. Install it."
    )


def test_needs_that_nobody_knows_and_a_notebook_that_is_none_are_told(project):
    path = project / "notebooks" / "image_compression.ipynb"
    notebook = nbformat.read(path, as_version=4)
    notebook.metadata["course"] = {"needs": "a miracle"}
    nbformat.write(notebook, path)
    [line] = faults(project, "chapters: {image_compression: {dither: true}}")
    assert "it needs 'a miracle'" in line
    path.write_text("{}")
    [line] = faults(project, "chapters: {image_compression: {dither: true}}")
    assert line.startswith("image_compression.ipynb is not a notebook")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("title: [", "mine.yml, line 1: "),
        ("- a", "write name: value lines"),
        ("chapters: [mini]", "chapters takes"),
        ("chapters: {image_compression: 3}", "chapters.image_compression takes"),
        ("chapters: {3: {}}", "There is no chapter '3'."),
    ],
)
def test_an_edition_that_is_none_is_refused(project, text, message):
    assert any(message in line for line in faults(project, text))


def test_the_edition_of_the_real_shop_is_sound_and_reads_its_file_once(project):
    if not ONLINE_RETAIL.exists():
        pytest.skip("the Online Retail data are not here")
    text = (ROOT / "editions" / "online_retail.yml").read_text()
    text = text.replace("../data/public/online_retail.csv.gz", json.dumps(str(ONLINE_RETAIL)))
    order_lines = project / "online_retail.parquet"
    texts = {"InvoiceNo": str, "StockCode": str, "CustomerID": str}
    table = pd.read_csv(ONLINE_RETAIL, dtype=texts, parse_dates=["InvoiceDate"])
    duckdb.from_df(table).write_parquet(str(order_lines))
    text = text.replace("../data/public/online_retail.parquet", json.dumps(str(order_lines)))
    [line] = faults(project, text, code=0)
    assert line.endswith("no fault")


@pytest.mark.parametrize("path", sorted((ROOT / "editions").glob("*.yml")), ids=lambda p: p.stem)
def test_the_editions_of_the_course_have_no_fault_but_for_data_to_be_fetched(path, monkeypatch):
    monkeypatch.setitem(NEEDS, "spark", lambda: None)
    found = check.check_edition(ROOT, path)
    absent = [fault for fault in found.faults if "data/public/" in fault]
    assert found.faults == absent
    assert path.stem == "online_retail" or not absent
    own = path.stem in ("online_retail", "classroom")
    assert any("gives no chapter a value" in remark for remark in found.remarks) != own
