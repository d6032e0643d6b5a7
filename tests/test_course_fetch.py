import contextlib
import csv
import dataclasses
import gzip
import hashlib
import io
import os
import struct
import subprocess
import sys
import threading
import time
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import duckdb
import openpyxl
import pandas as pd
import pytest
import sklearn.datasets._kddcup99 as kddcup99
from click.testing import CliRunner
from course_project import ROOT, make_project

from helpers.course import cli, data_sets, fetch
from helpers.course.cli import main
from helpers.inputs import read_flows
from helpers.order_lines import parquet_files

ONLINE_RETAIL = ROOT.parent / "shared/data/online_retail/online_retail.csv.gz"
COLUMNS = {
    "customer_id": "CustomerID",
    "order_id": "InvoiceNo",
    "order_date": "InvoiceDate",
    "quantity": "Quantity",
    "unit_price": "UnitPrice",
}

# Two invoices of one customer; then what is no sale: a return, and lines without a customer,
# without a price, and with a quantity below zero.
HEADER = "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country"
LINES = """\
536365,85123A,"HEART, WHITE ",6,2010-12-01 08:26:00,2.55,17850,United Kingdom
536365,71053,WHITE METAL LANTERN,2,2010-12-01 08:26:00,3.0,17850,United Kingdom
536366,22632,20713,4,2010-12-02 09:00:00,0.5,17850,United Kingdom
C536379,D,Discount,-1,2010-12-03 09:41:00,27.5,14527,France
536414,22139,,56,2010-12-13 11:52:00,1.25,,France
536415,22140,,1,2010-12-13 11:53:00,0.0,12583,France
536416,22141,damaged,-3,2010-12-13 11:54:00,1.0,12583,France
"""
TEXT = f"{HEADER}\n{LINES}"
FIGURES = {
    "lines": "7",
    "invoices": "6",
    "customers": "3",
    "first day": "2010-12-01",
    "last day": "2010-12-13",
    "lines of sales": "3",
    "invoices of sales": "2",
    "customers of sales": "1",
    "revenue": "23.30",  # 6 * 2.55 + 2 * 3.00 + 4 * 0.50
}


def workbook(text=TEXT, *, sheet="Online Retail"):
    """Bytes of a workbook that keeps numbers as numbers and dates as dates, as that of UCI does."""
    book = openpyxl.Workbook(write_only=True)
    page = book.create_sheet(sheet)
    for row in csv.reader(io.StringIO(text)):
        cells = [int(cell) if cell.lstrip("-").isdigit() else cell or None for cell in row]
        with contextlib.suppress(ValueError, TypeError, IndexError):
            cells[5] = float(cells[5])
            cells[4] = pd.Timestamp(cells[4]).to_pydatetime()
        page.append(cells)
    file = io.BytesIO()
    book.save(file)
    return file.getvalue()


def archive(**parts):
    """Bytes of a zip archive with these files."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, data in parts.items():
            packed.writestr(name, data)
    return file.getvalue()


BOOK = workbook()
ZIP = archive(**{"Online Retail.xlsx": BOOK})


class Handler(BaseHTTPRequestHandler):
    """Answers with what the test put under the path: a body, or a function that answers."""

    def do_GET(self):
        self.server.asked.append(self.path)
        answer = self.server.answers.get(self.path)
        if callable(answer):
            answer(self)
        elif answer is None:
            self.send_error(404)
        else:
            self.send(answer)

    def send(self, body, *, length=None):
        self.send_response(200)
        if length != "unknown":
            self.send_header("Content-Length", str(length or len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    """A server on the loopback; ``asked`` are the paths that it was asked for."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.answers, server.asked, server.ended = {}, [], threading.Event()
        server.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.ended.set()
        server.shutdown()
        thread.join()


@pytest.fixture
def project(tmp_path, monkeypatch, server):
    """A course whose Online Retail has five lines, at an address of the server."""
    folder = make_project(tmp_path / "project")
    monkeypatch.chdir(folder)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    # Temporary files go where the test can see whether they are left.
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    small = dataclasses.replace(
        data_sets.ONLINE_RETAIL, url=f"{server.url}/online+retail.zip", published=FIGURES
    )
    monkeypatch.setitem(data_sets.DATA_SETS, "online_retail", small)
    return folder


def course(*words):
    return CliRunner().invoke(main, ["fetch", *map(str, words)])


def target(project):
    return project / "data" / "public" / "online_retail.csv.gz"


def written(project):
    """Files in data/public, of which there is none at first."""
    return [path.name for path in (project / "data").glob("public/**/*")]


def assert_refused(result, project, code, *messages):
    """One message for people, nothing written, nothing left."""
    assert result.exit_code == code, result.output
    for message in messages:
        assert message in result.stderr
    assert "Nothing was written" in result.stderr or "nothing was written" in result.stderr
    assert "Traceback" not in result.output
    assert isinstance(result.exception, SystemExit)
    assert written(project) == []
    assert list((project.parent / "temporary").iterdir()) == []


# The list


def test_without_a_name_the_data_sets_are_listed(project):
    result = course()
    assert result.exit_code == 0
    for part in (
        "online_retail\n  Every order line of a British gift shop",
        "downloads 23 MB, becomes data/public/online_retail.csv.gz",
        "https://doi.org/10.24432/C5BW33. Licence: CC BY 4.0",
        "kdd_cup_99\n",
        "https://doi.org/10.24432/C51C7N",
    ):
        assert part in result.output


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["online_retial"], "There is no data set 'online_retial' (nearest: 'online_retail')."),
        (["--from", "a.zip"], "--from takes a name as well: online_retail"),
        (["online_retail", "--from", "a.zip"], "no such file"),
        (["online_retail", "--from", "data"], "this is a folder"),
        (["online_retail", "--from", "ftp://a.org/b.zip"], "an address with http or https, not"),
        (["online_retail", "--from", "http://[a/b.zip"], "neither a file nor an address"),
        (["online_retail", "--from", "http://"], "http:// is no address to download from"),
    ],
)
def test_what_cannot_be_asked_for_is_refused(project, server, words, message):
    result = course(*words)
    assert result.exit_code == 2
    assert message in result.stderr
    assert "Traceback" not in result.output
    assert (written(project), server.asked) == ([], [])


# What a copy may be


def test_a_download_is_converted_checked_and_put_in_place(project, server):
    server.answers["/online+retail.zip"] = ZIP
    result = course("online_retail")
    assert result.exit_code == 0, result.output
    assert gzip.decompress(target(project).read_bytes()).decode() == TEXT
    assert sorted(written(project)) == ["online_retail.csv.gz", "online_retail.parquet"]
    assert result.output.startswith(f"Downloading {server.url}/online+retail.zip (23 MB)\n")
    assert "online_retail.csv.gz: as published, lines 7, invoices 6, " in result.output
    assert "\nCite: Chen, D. (2015)" in result.output
    assert result.stderr == ""  # no bar where no terminal is


EXCEL_DATES = TEXT.replace("2010-12-", "12/").replace(" 0", "/2010 0").replace(" 11", "/2010 11")


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("online+retail.zip", ZIP),
        ("Online Retail.xlsx", BOOK),
        ("lines.csv", TEXT.encode()),
        ("lines.csv.gz", gzip.compress(TEXT.encode())),
        ("bom and ends.csv", b"\xef\xbb\xbf" + TEXT.replace("\n", "\r\n").encode()),
        ("floats.csv", TEXT.replace("17850,", "17850.0,").encode()),
        ("dates.csv", EXCEL_DATES.encode()),
    ],
)
@pytest.mark.parametrize("way", ["path", "file", "http"])
def test_every_way_and_form_gives_the_same_bytes(project, server, tmp_path, name, data, way):
    path = tmp_path / name
    path.write_bytes(data)
    server.answers["/copy"] = data
    place = {"path": path, "file": path.as_uri(), "http": f"{server.url}/copy"}[way]
    result = course("online_retail", "--from", place)
    assert result.exit_code == 0, result.output
    assert gzip.decompress(target(project).read_bytes()).decode() == TEXT
    # Neither name nor time stands in the file, so the bytes follow from the content.
    assert target(project).read_bytes()[3:8] == bytes(5)


def test_times_of_a_sheet_are_rounded_to_the_second(project, tmp_path):
    "Excel keeps 08:26 as a fraction of a day, which comes back a little early."
    early = data_sets._cell_text(pd.Timestamp("2010-12-01 08:25:59.999997").to_pydatetime())
    assert early == "2010-12-01 08:26:00"


# Already there


def test_the_parquet_file_of_what_is_there_is_written_again_if_it_is_missing(project, server):
    server.answers["/online+retail.zip"] = ZIP
    course("online_retail")
    order_lines = target(project).with_name("online_retail.parquet")
    before = order_lines.read_bytes()
    order_lines.unlink()
    assert course("online_retail").exit_code == 0
    assert order_lines.read_bytes() == before
    assert server.asked == ["/online+retail.zip"]


def test_a_disk_that_is_full_before_the_parquet_file_leaves_nothing(project, server, monkeypatch):
    server.answers["/online+retail.zip"] = ZIP

    def full(*_, **__):
        raise duckdb.IOException("IO Error: No space left on device")

    monkeypatch.setattr(duckdb.DuckDBPyRelation, "write_parquet", full)
    assert_refused(course("online_retail"), project, 2, "No space left on device")


def test_what_is_there_and_right_is_not_downloaded_again(project, server):
    server.answers["/online+retail.zip"] = ZIP
    assert course("online_retail", "--quiet").output == ""
    before = target(project).stat()
    result = course("online_retail")
    assert result.exit_code == 0
    assert "is there already, with the published figures" in result.output
    assert server.asked == ["/online+retail.zip"]
    assert target(project).stat() == before


def test_what_is_there_and_wrong_is_replaced_once_the_right_one_is_here(project, server):
    target(project).parent.mkdir()
    wrong = gzip.compress(TEXT.replace("536366", "536365").encode())
    target(project).write_bytes(wrong)
    assert course("online_retail").exit_code == 1  # 404
    assert target(project).read_bytes() == wrong
    server.answers["/online+retail.zip"] = ZIP
    result = course("online_retail")
    assert result.exit_code == 0
    assert "will be replaced. online_retail.csv.gz: invoices: 5, where 6 were" in result.output
    assert gzip.decompress(target(project).read_bytes()).decode() == TEXT


# Servers that fail


def half(handler):
    handler.send(ZIP[: len(ZIP) // 2], length=len(ZIP))


def half_without_a_length(handler):
    handler.send(ZIP[: len(ZIP) // 2], length="unknown")


def stalled_at_once(handler):
    handler.server.ended.wait(10)


def stalled_half_way(handler):
    half(handler)
    handler.server.ended.wait(10)


def too_long(handler):
    with contextlib.suppress(OSError):
        handler.send(bytes(20_000_000), length="unknown")


def failing(handler):
    handler.send_error(503)


def moving(handler):
    handler.send_response(302)
    handler.send_header("Location", handler.path)
    handler.end_headers()


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (None, "the server answered 404 Not Found. Try again later, or give a copy"),
        (failing, "the server answered 503 Service Unavailable. Try again later"),
        (half, "the connection broke off before all of it was there. Try again later"),
        (stalled_at_once, "the server sent nothing for 0.3 seconds. Try again later, or give a"),
        (stalled_half_way, "the server sent nothing for 0.3 seconds. Try again later, or give a"),
        (too_long, "More than 1 MB came, which is no such data set. Check the address."),
        (moving, "the download failed (TooManyRedirects)"),
    ],
)
def test_a_download_that_fails_exits_1_and_says_what_to_do(
    project, server, monkeypatch, answer, message
):
    monkeypatch.setattr(fetch, "STALLED", 0.3)
    monkeypatch.setattr(fetch, "LARGEST_DOWNLOAD", 1_000_000)
    server.answers["/online+retail.zip"] = answer
    begun = time.monotonic()
    result = course("online_retail")
    assert time.monotonic() - begun < 8  # the server itself gives up after 10
    assert_refused(result, project, 1, message)
    assert len(result.stderr.splitlines()) == 2
    # The next time begins anew.
    server.answers["/online+retail.zip"] = ZIP
    assert course("online_retail").exit_code == 0


def test_without_a_network_there_is_a_message(project, server, monkeypatch):
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as nobody:
        port = nobody.server_port
    result = course("online_retail", "--from", f"http://127.0.0.1:{port}/a.zip")
    assert_refused(result, project, 1, f"http://127.0.0.1:{port}/a.zip: no connection could be")


def test_interrupting_leaves_nothing(project, server, monkeypatch):
    server.answers["/online+retail.zip"] = ZIP

    def interrupt(*_, **__):
        raise KeyboardInterrupt

    for module, step in ((data_sets, "_check_sizes"), (fetch, "read_table")):
        with monkeypatch.context() as patch:
            patch.setattr(module, step, interrupt)
            result = course("online_retail")
        assert (result.exit_code, written(project)) == (130, [])
        assert result.stderr == "Interrupted.\n"
        assert list((project.parent / "temporary").iterdir()) == []
    with monkeypatch.context() as patch:
        patch.setattr(pd.DataFrame, "to_csv", interrupt)
        assert (course("online_retail").exit_code, written(project)) == (130, [])
    assert course("online_retail").exit_code == 0


def test_ending_the_process_while_it_downloads_leaves_nothing(project, server, tmp_path):
    asked = threading.Event()

    def answer(handler):
        half(handler)
        asked.set()
        handler.server.ended.wait(10)

    server.answers["/copy"] = answer
    words = ["fetch", "online_retail", "--from", f"{server.url}/copy"]
    process = subprocess.Popen(
        [sys.executable, "-c", "from helpers.course.cli import main; main()", *words],
        env={**os.environ, "TMPDIR": str(tmp_path / "temporary")},
        stderr=subprocess.PIPE,
        text=True,
    )
    assert asked.wait(60)
    process.terminate()
    _, said = process.communicate(timeout=60)
    assert (process.returncode, said) == (130, "Interrupted.\n")
    assert (written(project), list((tmp_path / "temporary").iterdir())) == ([], [])


def test_a_full_disk_is_told(project, server, monkeypatch):
    server.answers["/online+retail.zip"] = ZIP

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pd.DataFrame, "to_csv", full)
    assert_refused(course("online_retail"), project, 2, "No space left on device")


# Files that are something else


def lying(data, *, claimed):
    """Return the archive with another size declared for its only part."""
    with zipfile.ZipFile(io.BytesIO(data)) as packed:
        size = packed.infolist()[0].file_size
    return data.replace(struct.pack("<I", size), struct.pack("<I", claimed))


OTHER_BOOK = workbook("a,b\n1,2\n", sheet="Sheet1")
BOMB = archive(**{"Online Retail.xlsx": bytes(2_000_000)})
INNER_BOMB = archive(**{"a.xlsx": archive(**{"[Content_Types].xml": bytes(2_000_000)})})


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "copy: there is no column InvoiceNo"),
        (b"<!DOCTYPE html>\n<p>Sorry, no such page", "copy: this is a web page, not data."),
        (ZIP[:-100], "copy: it is damaged or cut short, or no workbook (BadZipFile"),
        (ZIP[:1000] + b"12345678" + ZIP[1008:], "copy: it is damaged or cut short, or no workbook"),
        (BOOK[: len(BOOK) // 2], "copy: it is damaged or cut short"),
        (gzip.compress(TEXT.encode())[:-30], "copy.gz: the compressed file is damaged or cut"),
        (TEXT.encode()[:-40], "copy: the header has 8 fields, but line 8 has"),
        (OTHER_BOOK, "there is no column InvoiceNo, StockCode, Description, Quantity and Invoice"),
        (archive(**{"a.csv": TEXT}), "copy: it holds no one workbook, but a.csv."),
        (archive(**{"a.xlsx": BOOK, "b.xlsx": BOOK}), "no one workbook, but a.xlsx and b.xlsx."),
        (archive(**{"a.xlsx": TEXT}), "copy: it is damaged or cut short, or no workbook"),
        (workbook(TEXT.replace(",6,2010", ",6.5,2010")), "'Quantity' needs a whole number: line 2"),
        (TEXT.replace("2010-12-13", "2010-13-13").encode(), "'InvoiceDate' needs a date"),
        (TEXT.replace("0.5", "half").encode(), "'UnitPrice' needs a number such as 1234.5: line 4"),
        (TEXT.encode("utf-16"), "copy: this is UTF-16 text, not CSV"),
        (TEXT[: TEXT.rindex("536416")].encode(), "copy: lines: 6, where 7 were published.\ncopy: "),
        (TEXT.replace("2.55", "2.56").encode(), "copy: revenue: 23.36, where 23.30 were published"),
        (
            TEXT.replace("2010-12-13", "2010-12-14").encode(),
            "last day: 2010-12-14, where 2010-12-1",
        ),
        (lying(ZIP, claimed=100), "copy: it is damaged or cut short, or no workbook (BadZipFile"),
        (BOMB, "copy: it unpacks to more than 1 MB, like a decompression bomb."),
        (INNER_BOMB, "a.xlsx: it unpacks to more than 1 MB, like a decompression bomb."),
    ],
)
def test_what_is_not_the_data_set_exits_2_and_writes_nothing(
    project, server, monkeypatch, data, message
):
    monkeypatch.setattr(data_sets, "LARGEST_UNPACKED", 1_000_000)
    server.answers["/copy"] = data
    result = course("online_retail", "--from", f"{server.url}/copy")
    advice = "Give another copy with --from FILE_OR_URL: the zip archive of UCI, the workbook in it"
    assert_refused(result, project, 2, message, advice)
    assert "is not the data set online_retail, so nothing was written" in result.stderr


def test_a_gzip_bomb_is_refused(project, tmp_path, monkeypatch):
    monkeypatch.setattr("helpers.tables.MAX_EXPANDED", 1_000_000)
    path = tmp_path / "lines.csv.gz"
    path.write_bytes(gzip.compress(TEXT.encode() + b"\n" * 5_000_000))
    result = course("online_retail", "--from", path)
    assert_refused(result, project, 2, "lines.csv.gz: expands to more than 1,000,000 bytes")


def test_a_sheet_with_a_cell_far_away_takes_no_memory_for_what_lies_between(project, tmp_path):
    far = archive(**dict(parts(BOOK)))
    path = tmp_path / "far.xlsx"
    path.write_bytes(far)
    result = course("online_retail", "--from", path)
    assert result.exit_code == 0, result.output
    assert gzip.decompress(target(project).read_bytes()).decode() == TEXT


def parts(book):
    """Yield the parts of a workbook, its sheet with a cell in the last row and column there is."""
    far = b'<row r="1048577"><c r="XFD1048577"><v>1</v></c></row></sheetData>'
    with zipfile.ZipFile(io.BytesIO(book)) as packed:
        for name in packed.namelist():
            yield name, packed.read(name).replace(b"</sheetData>", far)


# A bar for people


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize("quiet", [False, True])
def test_a_bar_is_shown_on_a_terminal_only(project, server, monkeypatch, quiet):
    server.answers["/online+retail.zip"] = ZIP
    seen = {}

    def look(data_set, folder, *, bar, **options):
        seen["bar"] = bar

    monkeypatch.setattr(cli, "fetch_data_set", look)
    course("online_retail")
    assert seen == {"bar": False}
    with contextlib.redirect_stderr(Terminal()):
        main(["fetch", "online_retail", *["--quiet"] * quiet], standalone_mode=False)
    assert seen == {"bar": not quiet}


def test_the_bar_tells_how_much_of_it_is_there(project, server, tmp_path):
    server.answers["/copy"] = ZIP
    with contextlib.redirect_stderr(Terminal()) as screen:
        fetch.fetch_data_set(
            data_sets.DATA_SETS["online_retail"],
            tmp_path,
            source=f"{server.url}/copy",
            say=lambda text: None,
            bar=True,
        )
    assert f"{len(ZIP) / 1000:.2f}k" in screen.getvalue()


# KDD Cup 99


def connection(label, size):
    names = data_sets.KDD_COLUMNS.split()[:-1]
    values = {"protocol_type": "tcp", "service": "http", "flag": "SF", "src_bytes": size}
    values["same_srv_rate"] = "0.25"
    return ",".join([*(str(values.get(name, 0)) for name in names), f"{label}."])


@pytest.fixture
def kdd(project, monkeypatch, tmp_path):
    """200 normal connections and 800 attacks, which scikit-learn takes for its own archive."""
    labels = ["normal", "smurf", "smurf", "neptune", "satan"] * 200
    lines = [connection(label, size) for size, label in enumerate(labels)]
    path = tmp_path / "kddcup.data_10_percent.gz"
    path.write_bytes(gzip.compress("".join(f"{line}\n" for line in lines).encode(), mtime=0))
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    own = kddcup99.ARCHIVE_10_PERCENT._replace(checksum=digest, url="http://nobody.invalid")
    monkeypatch.setattr(kddcup99, "ARCHIVE_10_PERCENT", own)
    monkeypatch.setattr(data_sets, "KDD_SHA256", digest)
    figures = {"connections": "3,577", "normal": "200", "attacks": "3,377"}
    small = dataclasses.replace(data_sets.KDD_CUP_99, published=figures)
    monkeypatch.setitem(data_sets.DATA_SETS, "kdd_cup_99", small)
    return path


def test_the_archive_is_the_one_that_scikit_learn_asks_for():
    known = kddcup99.ARCHIVE_10_PERCENT
    assert (known.url, known.checksum) == (data_sets.KDD_URL, data_sets.KDD_SHA256)
    assert data_sets.KDD_PLACE.endswith(f"/{known.filename}")


def test_kdd_is_the_subset_with_few_attacks_for_the_chapter_to_read(project, server, kdd):
    server.answers["/files/1"] = kdd.read_bytes()
    result = course("kdd_cup_99", "--from", f"{server.url}/files/1")
    assert result.exit_code == 0, result.output
    assert "as published, connections 3,577, normal 200, attacks 3,377." in result.output
    path = project / "data" / "public" / "kdd_cup_99.csv.gz"
    flows = read_flows(path, columns={"bytes_sent": "src_bytes", "bytes_received": "dst_bytes"})
    assert set(flows["label"]) == {"normal", "smurf", "neptune", "satan"}
    normal = flows["label"] == "normal"
    assert flows.loc[normal, "bytes_sent"].tolist() == list(range(0, 1000, 5))
    assert flows.loc[~normal, "bytes_sent"].duplicated().any()  # drawn with replacement
    first = pd.read_csv(path).loc[0]
    assert (first["protocol_type"], first["same_srv_rate"]) == ("tcp", 0.25)
    assert list(first.index) == data_sets.KDD_COLUMNS.split()


def test_kdd_is_drawn_the_same_every_time_and_may_be_given_as_it_was_made(project, kdd, tmp_path):
    path = project / "data" / "public" / "kdd_cup_99.csv.gz"
    assert course("kdd_cup_99", "--from", kdd).exit_code == 0
    first = path.read_bytes()
    assert "is there already" in course("kdd_cup_99").output
    copy = path.rename(tmp_path / "copy.csv.gz")
    assert course("kdd_cup_99", "--from", kdd).exit_code == 0
    assert path.read_bytes() == first
    path.unlink()
    assert course("kdd_cup_99", "--from", copy).exit_code == 0
    assert path.read_bytes() == first


def test_a_server_that_takes_the_archive_for_a_compressed_page_does_no_harm(server, kdd):
    "Unpacked on the way, it would not have its checksum."

    def answer(handler):
        handler.send_response(200)
        if "gzip" in handler.headers["Accept-Encoding"]:
            handler.send_header("Content-Encoding", "gzip")
        handler.end_headers()
        handler.wfile.write(kdd.read_bytes())

    server.answers["/kdd.gz"] = answer
    assert course("kdd_cup_99", "--from", f"{server.url}/kdd.gz").exit_code == 0


def test_another_archive_than_that_of_kdd_is_refused(project, kdd):
    kdd.write_bytes(gzip.compress(gzip.decompress(kdd.read_bytes())[:-200]))
    result = course("kdd_cup_99", "--from", kdd)
    assert_refused(result, project, 2, "there is no column duration", "kddcup.data_10_percent.gz")


# The real one


def test_the_real_data_have_the_published_figures(project, monkeypatch):
    if not ONLINE_RETAIL.exists():
        pytest.skip("the Online Retail data are not here")
    monkeypatch.setitem(data_sets.DATA_SETS, "online_retail", data_sets.ONLINE_RETAIL)
    result = course("online_retail", "--from", ONLINE_RETAIL)
    assert result.exit_code == 0, result.output
    assert "lines 541,909" in result.output
    order_lines = target(project).with_name("online_retail.parquet")
    assert parquet_files(order_lines, COLUMNS, check_values=True) == [order_lines]
    rows = duckdb.read_parquet(str(order_lines)).df().dropna(subset="CustomerID")
    sales = rows[(rows["Quantity"] > 0) & (rows["UnitPrice"] > 0)]
    assert round((sales["Quantity"] * sales["UnitPrice"]).sum(), 2) == 8_911_407.90
    with gzip.open(ONLINE_RETAIL) as theirs, gzip.open(target(project)) as ours:
        assert ours.read() == theirs.read()
