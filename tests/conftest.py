"""What several test files share: the course's own shop, whose segments are known."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from helpers.fixtures import ecommerce_customers
from helpers.segmentation import rfm_table

ROOT = Path(__file__).parents[1]
ONLINE_RETAIL = (ROOT / "../shared/data/online_retail/online_retail.csv.gz").resolve()


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
