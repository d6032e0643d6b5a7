"""What several test files share: the course's own shop, whose segments are known, and its site."""

import contextlib
import shutil
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from playwright.sync_api import sync_playwright
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from helpers.course.cli import main
from helpers.fixtures import ecommerce_customers
from helpers.segmentation import rfm_table

ROOT = Path(__file__).parents[1]
ONLINE_RETAIL = (ROOT / "../shared/data/online_retail/online_retail.csv.gz").resolve()

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    """
    Small tables are clustered faster so, and sums do not depend on the number of cores.

    The environment is for the chapters, which run in processes of their own: where several tests
    run at once, their threads would wait for each other.
    """
    with threadpool_limits(1), pytest.MonkeyPatch.context() as monkeypatch:
        for library in ("OMP", "OPENBLAS"):
            monkeypatch.setenv(f"{library}_NUM_THREADS", "1")
        yield


@pytest.fixture(scope="session")
def shop():
    """Orders with true dates under the names of the helpers, and the segment of each customer."""
    lines, truth = ecommerce_customers()
    lines["order_date"] = pd.to_datetime(lines.pop("last_purchase_date"))
    return lines, truth


@pytest.fixture(scope="session")
def orders(shop):
    return shop[0]


@pytest.fixture(scope="session")
def truth(shop):
    return shop[1]


@pytest.fixture(scope="session")
def rfm(orders):
    return rfm_table(orders)


@pytest.fixture(scope="session")
def scaled(rfm):
    """RFM as k-means sees it."""
    return StandardScaler().fit_transform(np.log1p(rfm.to_numpy(dtype=float)))


@pytest.fixture(scope="session")
def online_retail():
    """Order lines of a real shop (UCI 352), read without our own reader."""
    if not ONLINE_RETAIL.exists():
        pytest.skip("the Online Retail data are not here")
    lines = pd.read_csv(
        ONLINE_RETAIL,
        usecols=["InvoiceNo", "Quantity", "InvoiceDate", "UnitPrice", "CustomerID"],
        dtype={"InvoiceNo": str, "CustomerID": str},
        parse_dates=["InvoiceDate"],
    )
    return pd.DataFrame(
        {
            "customer_id": lines["CustomerID"],
            "order_id": lines["InvoiceNo"],
            "order_date": lines["InvoiceDate"],
            "revenue": lines["Quantity"] * lines["UnitPrice"],
        }
    )


@pytest.fixture(scope="session")
def site(tmp_path_factory):
    """Return the folder of the real book's site, built from a copy of its sources."""
    project = tmp_path_factory.mktemp("book")
    for name in ("book", "data", "editions", "notebooks"):
        shutil.copytree(ROOT / name, project / name, ignore=shutil.ignore_patterns("exports"))
    for name in ("_config.yml", "_toc.yml"):
        shutil.copy(ROOT / name, project)
    with contextlib.chdir(project):
        result = CliRunner().invoke(main, ["build"])
    assert result.exit_code == 0, result.output
    return project / "_build" / "default" / "html"


@pytest.fixture(scope="module")
def browser():
    executable = next(filter(None, map(shutil.which, BROWSERS)), None)
    if executable is None:
        pytest.skip(f"none of {', '.join(BROWSERS)} is installed")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=FLAGS)
        yield browser
        browser.close()


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *args):
        """Say nothing."""


@pytest.fixture(scope="module")
def address(site):
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=site))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def visit(browser):
    """Open a page at a width; the page, and what its console and its requests complained of."""
    contexts = []

    def visit(url, width, scheme="light"):
        size = {"width": width, "height": 800}
        context = browser.new_context(viewport=size, color_scheme=scheme)
        contexts.append(context)
        page, complaints = context.new_page(), []

        def hear(line):
            if line.type in ("error", "warning"):
                complaints.append(f"{line.text} {line.location['url']}")

        page.on("pageerror", lambda error: complaints.append(f"error: {error}"))
        page.on("console", hear)
        own = url.split("/book/")[0].split("/notebooks/")[0]
        own = own.rsplit("/", 1)[0] if own.endswith(".html") else own

        def check(request):
            if not request.url.startswith((own, "data:", "blob:")):
                complaints.append(f"asked for {request.url}")

        page.on("request", check)

        def miss(request):
            # The page that only leads to another one is left before its icon has come.
            if not (url.endswith("/index.html") and request.url.endswith("/favicon.svg")):
                complaints.append(f"failed: {request.url}")

        page.on("requestfailed", miss)
        page.goto(url, wait_until="load")
        if url.endswith("/index.html"):
            page.wait_for_url("**/book/welcome.html")
        return page, complaints

    yield visit
    for context in contexts:
        context.close()
