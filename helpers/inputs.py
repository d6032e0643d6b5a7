"""
Validated reading: a file is either read in full or refused with a message that helps.

How a file is read and checked stands in `helpers.tables`; here stands what it must hold.
"""

from pathlib import Path

import pandas as pd
import pandera.pandas as pa

from helpers.tables import SHOWN, fault, first_lines, read_amounts, read_dates, read_ids, read_table
from helpers.text import InputError

__all__ = ["InputError", "read_flows", "read_orders"]

LARGEST = 1e12  # a quantity, price or revenue beyond this is a slip; sums stay exact to the penny
LARGEST_FLOW = 1e15  # bytes, packets or seconds of one flow beyond this are a slip


def _plausible(dates):
    """Whether each date lies between 1900 and the end of tomorrow."""
    tomorrow = pd.Timestamp.now().normalize() + pd.Timedelta(days=1)
    return (dates >= pd.Timestamp(1900, 1, 1)) & (dates < tomorrow + pd.Timedelta(days=1))


def _number(**options):
    """Return a column of finite numbers."""
    in_range = pa.Check.in_range(-LARGEST, LARGEST, error=f"a number within ±{LARGEST:,.0f}")
    return pa.Column(float, in_range, description="a number such as 1234.5", **options)


# Descriptions and errors complete the sentence "column ... needs ...".
ORDERS = pa.DataFrameSchema(
    {
        "customer_id": pa.Column(
            str,
            pa.Check(
                lambda ids: ids.notna().any(), ignore_na=False, error="at least one customer id"
            ),
            nullable=True,
        ),
        "order_id": pa.Column(str, description="an order id on every line"),
        "order_date": pa.Column(
            "datetime64[us]",
            pa.Check(_plausible, error="a date from 1900 to tomorrow"),
            description="a date, all written one way, best YYYY-MM-DD",
        ),
        "revenue": _number(
            required=False,
            metadata={"instead": "Columns for quantity and unit_price will do instead of revenue."},
        ),
        "quantity": _number(required=False),
        "unit_price": _number(required=False),
    }
)


def _amount(**options):
    """Return a column of numbers from 0 up, where none may be known."""
    in_range = pa.Check.in_range(
        0, LARGEST_FLOW, error=f"a number from 0 to {LARGEST_FLOW:,.0f}, or a blank"
    )
    return pa.Column(float, in_range, nullable=True, **options)


FLOWS = pa.DataFrameSchema(
    {
        "bytes_sent": _amount(),
        "bytes_received": _amount(),
        "duration": _amount(),
        "packets_sent": _amount(required=False),
        "packets_received": _amount(required=False),
        "ip_address": pa.Column(str, nullable=True, required=False),
        "timestamp": pa.Column(
            "datetime64[us]",
            pa.Check(_plausible, error="a date from 1900 to tomorrow"),
            description="a date with its time, all written one way, best YYYY-MM-DD HH:MM:SS",
            required=False,
        ),
        "label": pa.Column(str, nullable=True, required=False),
    }
)


def read_orders(path, *, columns=None):
    r"""
    Order lines from a CSV file, every one of them, checked.

    Parameters
    ----------
    path : str or Path
        A ``.csv`` or ``.csv.gz`` file with a header: UTF-8, commas, decimal points. A compressed
        file may expand to 1 GB or to 100 times its size, whichever is more.
    columns : dict, optional
        The file's own name for a standard name, e.g. ``{"customer_id": "CustomerID"}``. The
        standard names are "customer_id", "order_id", "order_date", and either "revenue" or
        both "quantity" and "unit_price". A name left out stands for itself; without
        "order_date", "last_purchase_date" is read.

    Returns
    -------
    DataFrame of shape (n_lines, 4)
        "customer_id" and "order_id" (categories of text, without surrounding blanks), "order_date"
        (datetime64, without a time zone) and "revenue" (float, in the file's currency), in the
        file's order. An empty customer is missing. Returns are kept: a line whose quantity or
        price is zero or less has a revenue of zero or less. Dates with a time zone become UTC.

    Raises
    ------
    InputError
        If the file is not such a table: missing, damaged or not text; columns missing or named
        twice; lines with too many or too few fields; cells that are not the numbers, dates or
        ids they should be. Dates must all have one format; those that could be read day first
        and month first are refused, and so are dates before 1900 or after tomorrow.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> text = "Client,order_id,order_date,quantity,unit_price\n007,A1,2024-01-31,3,1.5\n"
    >>> with TemporaryDirectory() as folder:
    ...     path = Path(folder, "orders.csv")
    ...     _ = path.write_text(text)
    ...     read_orders(path, columns={"customer_id": "Client"})
      customer_id order_id order_date  revenue
    0         007       A1 2024-01-31      4.5
    """
    path = Path(path)
    columns = dict(columns or {})
    if "revenue" in columns and columns.keys() & {"quantity", "unit_price"}:
        raise fault(
            path, ["columns= gives revenue and also quantity or unit_price. Leave one out."]
        )
    read = {"customer_id": read_ids, "order_id": read_ids, "order_date": read_dates}
    table, names = read_table(path, ORDERS, columns, _order_names, read)

    if "revenue" not in table:
        signed = table["quantity"] * table["unit_price"]
        # Two negatives must not make a sale; subtracting from 0 spares the reader a -0.0.
        sale = (table["quantity"] > 0) & (table["unit_price"] > 0)
        table = table.assign(revenue=signed.where(sale, 0 - signed.abs()))
    if not (table["revenue"] > 0).any():
        amounts = [name for name in names if name not in read]
        own = " times ".join(repr(names[name]) for name in amounts)
        problem = f"none of the {len(table):,} lines has a revenue above 0 in {own}."
        raise fault(path, [f"{problem} Check that this is the right column, and its sign."])
    table = table[["customer_id", "order_id", "order_date", "revenue"]].reset_index(drop=True)
    # Each id stored once: a tenth of the memory, and grouping by it takes no comparing of text.
    return table.astype({"customer_id": "category", "order_id": "category"})


def read_flows(path, *, columns=None):
    r"""
    Network flows from a CSV file, every one of them, checked.

    Parameters
    ----------
    path : str or Path
        A ``.csv`` or ``.csv.gz`` file with a header: UTF-8, commas, decimal points. A compressed
        file may expand to 1 GB or to 100 times its size, whichever is more.
    columns : dict, optional
        The file's own name for a standard name, e.g. ``{"bytes_sent": "src_bytes"}``. The standard
        names are "bytes_sent", "bytes_received" and "duration" (seconds), and, where the file has
        them, "packets_sent" with "packets_received", "ip_address" (of the source), "timestamp" and
        "label". A name left out stands for itself; an empty name leaves its column unread.

    Returns
    -------
    DataFrame of shape (n_flows, 3 to 8)
        The standard columns, in the order above and the file's order of rows: numbers as float,
        "timestamp" as datetime64 without a time zone (UTC if it had one), "ip_address" and "label"
        as categories of text. A cell that is blank, or "-", "NA", "NaN", "null" or the like, is
        missing.

    Raises
    ------
    InputError
        If the file is not such a table: see ``read_orders``. Numbers must be finite and not
        negative, and a direction without packets cannot have bytes.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> text = "src_bytes,bytes_received,duration,service\n120,4500,0.25,http\n60,-,0,dns\n"
    >>> with TemporaryDirectory() as folder:
    ...     path = Path(folder, "flows.csv")
    ...     _ = path.write_text(text)
    ...     read_flows(path, columns={"bytes_sent": "src_bytes"})
       bytes_sent  bytes_received  duration
    0       120.0          4500.0      0.25
    1        60.0             NaN      0.00
    """
    path = Path(path)
    read = {"ip_address": read_ids, "label": read_ids, "timestamp": read_dates}
    numbers = dict.fromkeys(FLOWS.columns.keys() - read.keys(), read_amounts)
    table, names = read_table(path, FLOWS, dict(columns or {}), _flow_names, numbers | read)
    for way in ("sent", "received"):
        packets, size = f"packets_{way}", f"bytes_{way}"
        bad = table.index[(table[packets] == 0) & (table[size] > 0)] if packets in table else []
        if len(bad):
            where = first_lines([f"line {line}" for line in bad[:SHOWN]], len(bad))
            problem = f"bytes in {names[size]!r} without a packet in {names[packets]!r}: {where}."
            remedy = f'Correct or remove them, or read no packets: columns={{"{packets}": ""}}.'
            raise fault(path, [f"{problem} {remedy}"])
    categories = {name: "category" for name in ("ip_address", "label") if name in table}
    return table.reset_index(drop=True).astype(categories)


def _flow_names(header, columns):
    """Return the file's own name of each column to read, by standard name."""
    names = {name: columns.get(name, name) for name in FLOWS.columns}
    packets = {"packets_sent", "packets_received"}
    absent = {
        name
        for name, column in FLOWS.columns.items()
        if not column.required and not columns.get(name) and (name in columns or name not in header)
    }
    if any(columns.get(name) for name in packets):
        absent -= packets
    elif absent & packets:  # one direction alone says little
        absent |= packets
    return {name: own for name, own in names.items() if name not in absent}


def _order_names(header, columns):
    """Return the file's own name of each column to read, by standard name."""
    names = {name: columns.get(name, name) for name in ORDERS.columns}
    if "order_date" not in {*columns, *header} and "last_purchase_date" in header:
        names["order_date"] = "last_purchase_date"  # as in the tutorial this course began with
    parts = {"quantity", "unit_price"}
    whole = "revenue" in columns or ("revenue" in header and not parts & columns.keys())
    if not whole and parts & {*columns, *header}:
        del names["revenue"]
    else:
        del names["quantity"], names["unit_price"]
    return names
