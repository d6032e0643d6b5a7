import csv
import gzip
import re
import tracemalloc
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pandas.testing import assert_frame_equal

from helpers import inputs
from helpers import tables as csv_tables
from helpers.inputs import ORDERS, InputError, order_columns, read_orders

HEADER = "customer_id,order_id,order_date,revenue\n"
GOOD = HEADER + "007,A1,2024-01-31,4.5\n"
IN_PARTS = "customer_id,order_id,order_date,quantity,unit_price\n"

ONLINE_RETAIL = (
    Path(__file__).parents[1] / "../shared/data/online_retail/online_retail.csv.gz"
).resolve()
ONLINE_RETAIL_COLUMNS = {
    "customer_id": "CustomerID",
    "order_id": "InvoiceNo",
    "order_date": "InvoiceDate",
    "quantity": "Quantity",
    "unit_price": "UnitPrice",
}


@pytest.fixture
def save(tmp_path):
    """Write text or bytes to a file and return its path."""

    def save(content, name="orders.csv"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return save


def refusal(path, columns=None):
    """Message of the refusal; every line of it names the file."""
    with pytest.raises(InputError) as caught:
        read_orders(path, columns=columns)
    message = str(caught.value)
    assert all(line.startswith(f"{Path(path).name}: ") for line in message.split("\n"))
    return message


def dated(*dates):
    """Text of a file with one order on each date."""
    return HEADER + "".join(f"c{i},o{i},{date},1\n" for i, date in enumerate(dates))


# What is read


def test_every_line_comes_back_in_the_order_of_the_file(save):
    text = HEADER + "b,2,2024-01-02,5\n,1,2024-01-01,-3\nb,2,2024-01-02,5\n"
    expected = pd.DataFrame(
        {
            "customer_id": pd.Categorical(["b", None, "b"]),
            "order_id": pd.Categorical(["2", "1", "2"]),
            "order_date": pd.to_datetime(["2024-01-02", "2024-01-01", "2024-01-02"]).as_unit("us"),
            "revenue": [5.0, -3.0, 5.0],
        }
    )
    assert_frame_equal(read_orders(save(text)), expected, check_index_type=True)


def test_the_smallest_table_is_one_line(save):
    assert read_orders(save(GOOD)).shape == (1, 4)


def test_ids_stay_text_without_surrounding_blanks(save):
    "An integer column with a gap is where 17850 used to become 17850.0."
    text = HEADER + " 00123 ,1e5,2024-01-01,1\n,=1+1,2024-01-01,1\n17850,NA,2024-01-01,1\n"
    orders = read_orders(save(text))
    assert orders["customer_id"].dropna().tolist() == ["00123", "17850"]
    assert orders["customer_id"].isna().tolist() == [False, True, False]
    assert orders["order_id"].tolist() == ["1e5", "=1+1", "NA"]


@pytest.mark.parametrize(
    ("quantity", "unit_price", "expected"),
    [(3, 1.5, 4.5), (-3, 1.5, -4.5), (3, -1.5, -4.5), (-3, -1.5, -4.5), (0, 2, 0), (-2, 0, 0)],
    ids=["sale", "return", "refund", "two negatives", "no quantity", "no price"],
)
def test_revenue_is_positive_only_for_a_sale(save, quantity, unit_price, expected):
    path = save(f"{IN_PARTS}c,o,2024-01-01,{quantity},{unit_price}\nc,p,2024-01-01,1,1\n")
    revenue = read_orders(path)["revenue"].iloc[0]
    assert revenue == expected
    assert str(revenue) != "-0.0"


def test_columns_are_found_under_their_own_names_among_others(save):
    text = "When, Who ,Note,Order,Total\n2024-01-01,c,x,o,2\n"
    names = {"customer_id": "Who", "order_id": "Order", "order_date": "When", "revenue": "Total"}
    orders = read_orders(save(text), columns=names)
    assert list(orders) == ["customer_id", "order_id", "order_date", "revenue"]
    assert orders.iloc[0].tolist() == ["c", "o", pd.Timestamp("2024-01-01"), 2.0]


@pytest.mark.parametrize(
    ("header", "columns", "expected"),
    [
        ("customer_id,order_id,last_purchase_date,revenue,x", None, ("2024-01-01", 2)),
        ("customer_id,order_id,last_purchase_date,revenue,order_date", None, ("2024-02-02", 2)),
        ("customer_id,order_id,order_date,quantity,unit_price", {"revenue": "quantity"}, None),
        ("customer_id,order_id,order_date,revenue,p", {"quantity": "revenue"}, "unit_price"),
    ],
    ids=["the tutorial's date", "both dates", "the map's revenue", "half a map"],
)
def test_which_columns_are_read(save, header, columns, expected):
    path = save(f"{header}\nc,o,2024-01-01,2,2024-02-02\n")
    if expected == "unit_price":
        assert "no column 'unit_price'" in refusal(path, columns)
    else:
        date, revenue = expected or ("2024-01-01", 2)
        order = read_orders(path, columns=columns).iloc[0]
        assert (order["order_date"], order["revenue"]) == (pd.Timestamp(date), revenue)


@pytest.mark.parametrize("parts", [["quantity"], ["unit_price"], ["quantity", "unit_price"]])
def test_the_parts_of_revenue_win_only_when_the_map_names_them(save, parts):
    "2 x 3 = 6, while the revenue column says 100"
    header = "customer_id,order_id,order_date,revenue,quantity,unit_price\n"
    path = save(f"{header}c,o,2024-01-01,100,2,3\n")
    assert read_orders(path)["revenue"].item() == 100
    assert read_orders(path, columns={part: part for part in parts})["revenue"].item() == 6


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (GOOD.encode("utf-8-sig"), "orders.csv"),
        (GOOD.replace("\n", "\r\n"), "orders.csv"),
        (GOOD.replace("\n", "\n\n") + "\n", "orders.csv"),
        (GOOD.removesuffix("\n"), "orders.csv"),
        (gzip.compress(GOOD.encode("utf-8-sig")), "orders.csv.gz"),
    ],
    ids=["BOM", "CRLF", "blank lines", "no last newline", "gzip with BOM"],
)
def test_ways_to_write_the_same_file(save, content, name):
    assert_frame_equal(read_orders(str(save(content, name))), read_orders(save(GOOD, "good.csv")))


@pytest.mark.parametrize(
    ("dates", "expected"),
    [
        (["2024-01-31", "2024-02-01"], "2024-02-01"),
        (["2024-01-31T10:00:05", "2024-02-01T10:00:05"], "2024-02-01 10:00:05"),
        (["2024-01-31 9:00", "2024-02-01 10:00"], "2024-02-01 10:00"),
        (["2024-01-31 09:00:00.5", "2024-02-01 10:00:00.25"], "2024-02-01 10:00:00.25"),
        (["2024/1/31", "2024/2/1"], "2024-02-01"),
        (["31/01/2024", "01/02/2024"], "2024-02-01"),
        (["01/31/2024", "02/01/2024"], "2024-02-01"),
        (["31.1.24", "1.2.24"], "2024-02-01"),
        (["1/31/2024 8:26", "2/1/2024 18:26"], "2024-02-01 18:26"),
        (["1/31/2024 8:26 AM", "2/1/2024 6:26 PM"], "2024-02-01 18:26"),
        (["1/2/2024"] * 30 + ["31/1/2024", "1/2/2024"], "2024-02-01"),
        (["01/01/2024", "02/02/2024"], "2024-02-02"),
        (["2024-01-31T00:00:00Z", "2024-02-01T01:30:00+02:00"], "2024-01-31 23:30"),
    ],
    ids=[
        "ISO",
        "ISO with T",
        "short hours",
        "fractions",
        "year first",
        "day first",
        "month first",
        "dots, two-digit years",
        "spreadsheet",
        "AM and PM",
        "day first, settled late",
        "the same both ways",
        "time zone becomes UTC",
    ],
)
def test_the_last_date_is_read(save, dates, expected):
    assert read_orders(save(dated(*dates)))["order_date"].iloc[-1] == pd.Timestamp(expected)


def test_tomorrow_is_accepted_and_the_day_after_is_not(save):
    "Somewhere it is tomorrow already."
    today = pd.Timestamp.now().normalize()
    tomorrow, later = (f"{today + pd.Timedelta(days=days):%Y-%m-%d}" for days in (1, 2))
    assert len(read_orders(save(dated(tomorrow)))) == 1
    assert f"needs a date from 1900 to tomorrow: line 2 has '{later}'" in refusal(
        save(dated(later))
    )


# What is refused: the path, the bytes


def test_missing_file_names_the_nearest(save):
    path = save(GOOD)
    message = refusal(path.with_name("ordres.csv"))
    assert "no such file" in message
    assert "nearest: 'orders.csv'" in message


def test_missing_folder_is_named(tmp_path):
    assert f"no folder '{tmp_path / 'no'}'" in refusal(tmp_path / "no" / "orders.csv")


def test_folder_is_refused(tmp_path):
    assert "this is a folder" in refusal(tmp_path)


def test_unreadable_file_is_refused(save, monkeypatch):
    path = save(GOOD)

    def forbid(path):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(csv_tables, "_open", forbid)
    assert "Permission denied" in refusal(path)


ZIPPED = gzip.compress((GOOD + "008,A2,2024-01-31,4.5\n" * 9).encode())


@pytest.mark.parametrize(
    ("content", "name", "fragments"),
    [
        (b"", "orders.csv", ["file is empty"]),
        (b"\xef\xbb\xbf\n", "orders.csv", ["file is empty"]),
        (gzip.compress(b""), "orders.csv.gz", ["file is empty"]),
        (HEADER, "orders.csv", ["a header and nothing below it"]),
        (b"PK\x03\x04...", "orders.csv", ["Excel workbook or a zip", "Save it as 'CSV UTF-8'"]),
        (gzip.compress(b"PAR1..."), "orders.csv.gz", ["Parquet", "CSV UTF-8"]),
        (GOOD.encode("utf-16"), "orders.csv", ["UTF-16", "CSV UTF-8"]),
        (GOOD.encode("utf-16-le"), "orders.csv", ["line 1 has NUL bytes", "UTF-16"]),
        (GOOD + "a\0,b,2024-01-01,1\n", "orders.csv", ["line 3 has NUL bytes"]),
        (ZIPPED[:-12], "orders.csv.gz", ["damaged or cut short", "download it again"]),
        (ZIPPED[:15] + b"\xff" * 9 + ZIPPED[24:], "orders.csv.gz", ["damaged or cut short"]),
        (ZIPPED[:10] + b"\xff" * 99, "orders.csv.gz", ["damaged or cut short (Error -3"]),
        (GOOD, "orders.csv.gz", ["not compressed", "Rename it to orders.csv."]),
        (ZIPPED, "orders.csv", ["compressed with gzip", "Rename it to orders.csv.gz."]),
        (
            GOOD.encode() + "José".encode("cp1252"),
            "orders.csv",
            ["0xE9) on line 3", "Windows-1252"],
        ),
    ],
    ids=[
        "nothing",
        "a BOM and a blank line",
        "nothing, compressed",
        "only a header",
        "xlsx",
        "compressed parquet",
        "UTF-16",
        "UTF-16 without BOM",
        "NUL",
        "gzip cut short",
        "gzip damaged",
        "gzip not decodable",
        "not gzip",
        "gzip by another name",
        "not UTF-8 at the very end",
    ],
)
def test_what_is_not_text_is_refused(save, content, name, fragments):
    message = refusal(save(content, name))
    assert all(fragment in message for fragment in fragments), message


@pytest.mark.parametrize("block", [1, 2, 7, 1 << 20])
def test_encoding_fault_is_found_wherever_blocks_end(save, monkeypatch, block):
    "The header has 40 bytes, the good line 23 (its é has two) and 'Ren' 3: byte 66, from 0."
    monkeypatch.setattr(csv_tables, "BLOCK", block)
    path = save(
        f"{HEADER}Zoé,A1,2024-01-31,4.5\n".encode() + "René,A2,2024-01-31,1\n".encode("cp1252")
    )
    message = refusal(path)
    assert "not UTF-8 at byte 66 (0xE9) on line 3" in message
    assert "probably Windows-1252" in message
    assert "iconv -f WINDOWS-1252 -t UTF-8" in message


def test_decompression_bomb_is_refused_without_holding_it(save, monkeypatch):
    "50 MB from 50 kB; the limit is 4 MB, and a block is 1 MB."
    path = save(gzip.compress(b"x,y\n" * 12_500_000, compresslevel=1), "orders.csv.gz")
    assert path.stat().st_size * csv_tables.MAX_EXPANSION < 50e6
    monkeypatch.setattr(csv_tables, "MAX_EXPANDED", 4_000_000)
    monkeypatch.setattr(csv_tables, "MAX_EXPANSION", 1)
    tracemalloc.start()
    try:
        assert "expands to more than 4,000,000 bytes" in refusal(path)
        assert tracemalloc.get_traced_memory()[1] < 8e6
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("floor", "ratio"),
    [(1, 100), (10**9, 1)],
    ids=["dense, past the floor", "small, past the ratio"],
)
def test_a_file_is_a_bomb_only_past_both_limits(save, monkeypatch, floor, ratio):
    monkeypatch.setattr(csv_tables, "MAX_EXPANDED", floor)
    monkeypatch.setattr(csv_tables, "MAX_EXPANSION", ratio)
    path = save(gzip.compress((GOOD + "008,A2,2024-01-31,4.5\n" * 99).encode()), "orders.csv.gz")
    assert len(read_orders(path)) == 100


# What is refused: the header, the records


@pytest.mark.parametrize(
    ("columns", "fragments"),
    [
        ({"custmer_id": "x"}, ["'custmer_id' (nearest: 'customer_id')", "knows customer_id,"]),
        (
            {"revenue": "r", "quantity": "q"},
            ["gives revenue and also quantity or unit_price. Leave one out"],
        ),
        ({"customer_id": "Client"}, ["no column 'Client'", 'columns={"customer_id": "..."}']),
        ({"customer_id": "order_id"}, ["column 'order_id' is asked for twice"]),
    ],
    ids=["unknown name", "revenue twice", "not in the file", "one column for two names"],
)
def test_a_wrong_map_is_refused(save, columns, fragments):
    message = refusal(save(GOOD), columns)
    assert all(fragment in message for fragment in fragments), message


@pytest.mark.parametrize("column", ["customer_id", "order_id", "order_date", "revenue"])
def test_missing_column_is_named_with_the_nearest_and_the_cure(save, column):
    message = refusal(save(GOOD.replace(column, column.replace("_", "").upper() + "S")))
    assert f"no column '{column}' (nearest: '{column.replace('_', '').upper()}S')" in message
    assert "The file has: " in message
    assert f'columns={{"{column}": "..."}}' in message
    assert ("quantity and unit_price will do" in message) == (column == "revenue")


@pytest.mark.parametrize(
    ("header", "fragments"),
    [
        (
            "order_id,a,order_id,a,b",
            [
                "two columns are called 'a'",
                "two columns are called 'order_id'",
                "no column 'revenue'",
            ],
        ),
        ("customer_id;order_id;order_date;revenue", ["split by ';', not by commas"]),
        ("customer_id;order_id;order_date;revenue, net", ["split by ';', not by commas"]),
        ("customer_id\torder_id\torder_date\trevenue", [r"split by '\t'"]),
        (
            "customer_id,order_id,order_date;moment",
            ["no column 'order_date'", "no column 'revenue'"],
        ),
    ],
    ids=["names twice and missing", "semicolons", "semicolons and a comma", "tabs", "a semicolon"],
)
def test_a_wrong_header_is_refused(save, header, fragments):
    message = refusal(save(f"{header}\n1,2,3,4\n"))
    assert all(fragment in message for fragment in fragments), message


def test_names_with_semicolons_are_names_where_commas_separate(save):
    head, *rows = GOOD.splitlines()
    text = "\n".join([f"{head},a;b;c;d;e;f", *(f"{row},1" for row in rows)])
    assert len(read_orders(save(f"{text}\n"))) == len(read_orders(save(GOOD)))


def test_nameless_columns_may_repeat(save):
    "Spreadsheets leave commas behind."
    assert len(read_orders(save(GOOD.replace("\n", ",,\n")))) == 1


def test_ragged_lines_are_counted_and_the_first_are_named(save):
    "Every 5,000th of 100,000 lines: 20 of them. The header puts row 5,000 on line 5,001."
    rows = ["c,o,2024-01-01,1"] * 100_000
    rows[4999::5000] = ["c,o,2024-01-01,1,2", "c,o"] * 10
    message = refusal(save(HEADER + "\n".join(rows)))
    assert "header has 4 fields, but line 5001 has 5, line 10001 has 2" in message
    assert "(20 in all)" in message
    assert message.count("line ") == csv_tables.SHOWN
    assert 'Put quotes around a comma inside a field: "a, b"' in message


@pytest.mark.parametrize(
    "rest",
    [
        '"c,o,2024-01-01,1\nd,o,2024-01-01,1\n',
        '"c,o,2024-01-01,1\n"d",o,2024-01-01,1\n',
        '"c" d,o,,\n',
    ],
    ids=["to the end", "to the next quote", "text after a quote"],
)
def test_unclosed_quote_is_found_where_it_opens(save, rest):
    message = refusal(save(f'{HEADER}"two\nlines",o,2024-01-01,1\n{rest}'))
    assert "record that begins on line 4 is not CSV" in message
    assert "Close every quote" in message


# What is refused: the cells


@pytest.mark.parametrize(
    ("cell", "need", "hint"),
    [
        ("abc", "a number such as 1234.5", ""),
        ("", "a number such as 1234.5", "Fill the blank cells in"),
        ("nan", "a number such as 1234.5", ""),
        ("0x1A", "a number such as 1234.5", ""),
        ("12,50", "a number such as 1234.5", "decimals with a point"),
        ("1,234.50", "a number such as 1234.5", "thousands without a comma"),
        ("$12", "a number such as 1234.5", "Remove the currency sign"),
        ("12 €", "a number such as 1234.5", "Remove the currency sign"),
        ("inf", "a number within ±1,000,000,000,000", ""),
        ("-1e400", "a number within ±1,000,000,000,000", ""),
    ],
)
@pytest.mark.parametrize("column", ["revenue", "quantity", "unit_price"])
def test_what_is_no_number_is_refused(save, column, cell, need, hint):
    text = f'o,c,2024-01-01,1,1\no,c,2024-01-01,"{cell}",1\n'
    other = {"quantity": "unit_price", "unit_price": "quantity", "revenue": "x"}[column]
    message = refusal(save(f"order_id,customer_id,order_date,{column},{other}\n{text}"))
    assert f"column '{column}' needs {need}: line 3 has '{cell}' (1 in all)." in message
    assert hint in message


@pytest.mark.parametrize(
    ("dates", "bad", "fragment"),
    [
        (["2024-02-29", "2023-02-29"], ["line 3 has '2023-02-29' (1 in all)"], "YYYY-MM-DD"),
        (["2024-01-01", "now"], ["line 3 has 'now' (1 in all)"], ""),
        (["2024-01-01", "soon"], ["line 3 has 'soon' (1 in all)"], ""),
        (["2024-01-01", ""], ["line 3 has '' (1 in all)"], "Fill the blank"),
        (["", ""], ["line 2 has '', line 3 has '' (2 in all)"], "Fill the blank"),
        (["2024-01-01", "45293"], ["line 3 has '45293' (1 in all)"], ""),
        (["2024-01-01", "2024-01-01 10:00"], ["line 3 has '2024-01-01 10:00'"], "one way"),
        (["31/01/2024", "13/01/2024", "01/14/2024"], ["line 4 has '01/14/2024' (1"], "mixed"),
        (["01/02/2024", "03/04/2024"], ["line 2 has '01/02/2024'", "(2 in all)"], "ambiguous"),
        (["01.02.2024", "03.03.2024"], ["line 2 has '01.02.2024' (1 in all)"], "ambiguous"),
        (["2024-01-01", "10000-01-01"], ["line 3 has '10000-01-01'"], ""),
        (["2024-01-01", "0000-01-01"], ["line 3 has '0000-01-01'"], "from 1900 to tomorrow"),
        (["2024-01-01", "1899-12-31"], ["line 3 has '1899-12-31'"], "from 1900 to tomorrow"),
        (["2024-01-01 10:00", "2024-01-01 10:00Z"], ["line 3 has '2024-01-01 10:00Z'"], "one way"),
        (["abc"] * 19 + ["2024-01-01"] * 9, ["line 2 has 'abc'", "(19 in all)"], ""),
    ],
    ids=[
        "impossible",
        "now",
        "words",
        "blank",
        "all blank",
        "serial number",
        "mixed precision",
        "mixed order",
        "ambiguous",
        "ambiguous in one",
        "too late",
        "year nought",
        "too early",
        "mixed zones",
        "the first ones bad",
    ],
)
def test_dates_are_refused(save, dates, bad, fragment):
    message = refusal(save(dated(*dates)))
    assert "column 'order_date' needs a date" in message
    assert all(one in message for one in [*bad, fragment]), message


def test_an_order_id_is_needed_on_every_line(save):
    message = refusal(save(GOOD + "b, ,2024-01-01,1\n"))
    assert "column 'order_id' needs an order id on every line: line 3 has ' ' (1 in all)" in message
    assert "Fill the blank" in message


def test_a_file_without_any_customer_is_refused(save):
    message = refusal(save(HEADER + ",A1,2024-01-01,1\n  ,A2,2024-01-01,1\n"))
    assert message == "orders.csv: column 'customer_id' needs at least one customer id."


def test_all_columns_are_reported_at_once_under_their_own_names(save):
    text = IN_PARTS.replace("quantity", "Qty") + "c,,soon,x,1\nc,o,2024-01-01,1,y\n"
    problems = refusal(save(text), {"quantity": "Qty"}).split("\n")
    assert [problem.split("'")[1] for problem in problems] == [
        "order_id",
        "order_date",
        "Qty",
        "unit_price",
    ]


def test_only_the_first_bad_lines_are_quoted_and_briefly(save):
    "Six bad lines, five shown; a cell of 999 letters does not fill the screen."
    message = refusal(save(HEADER + f"c,o,2024-01-01,{'x' * 999}\n" * 6))
    assert message.count("line ") == csv_tables.SHOWN
    assert "(6 in all)" in message
    assert len(message) < 400


def test_line_numbers_count_newlines_inside_quotes(save):
    "The first record takes lines 2 to 4, a blank line is line 5: the bad one is on line 6."
    message = refusal(save(HEADER + '"a\n\nb",o,2024-01-01,1\n\nc,o,2024-01-01,x\n'))
    assert "line 6 has 'x'" in message


def test_a_file_without_any_revenue_is_refused(save):
    "Whether all is 0 or the sign is the wrong way round, no customer has bought anything."
    message = refusal(save(HEADER + "a,o,2024-01-01,0\nb,p,2024-01-01,-1\n"))
    assert "none of the 2 lines has a revenue above 0 in 'revenue'" in message
    assert "sign" in message


# Properties

ids = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1).filter(
    lambda text: text == text.strip() != ""
)
order_lines = st.tuples(
    st.none() | ids,
    ids | st.sampled_from(["007", "a,b", 'say "hi"', "=1+1", "é\n;"]),
    st.datetimes(pd.Timestamp(1900, 1, 1), pd.Timestamp(2025, 1, 1)),
    st.floats(-inputs.LARGEST, inputs.LARGEST).map(lambda value: round(value, 4)),
)
order_tables = st.lists(order_lines, min_size=1, max_size=20).filter(
    lambda lines: any(line[0] for line in lines) and any(line[-1] > 0 for line in lines)
)


def write(path, lines):
    """Write records with the standard library, and return the text."""
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([HEADER.strip().split(","), *lines])
    with path.open(newline="", encoding="utf-8") as file:
        return file.read()


@settings(deadline=None)
@given(order_tables)
def test_what_is_written_is_read(lines):
    "Equal in value and in order, whatever the ids hold."
    written = [(c, o, f"{date:%Y-%m-%d %H:%M:%S.%f}", repr(value)) for c, o, date, value in lines]
    with TemporaryDirectory() as folder:
        write(Path(folder, "orders.csv"), written)
        orders = read_orders(Path(folder, "orders.csv"))
    expected = pd.DataFrame(lines, columns=list(orders)).astype(
        {"customer_id": "str", "order_id": "str", "order_date": "datetime64[us]"}
    )
    orders = orders.astype({"customer_id": "str", "order_id": "str"})
    assert_frame_equal(orders, expected)
    assert_frame_equal(ORDERS.validate(orders), orders)


@settings(deadline=None)
@given(order_tables, st.data())
def test_one_bad_cell_is_reported_on_its_line(lines, data):
    "The text before the cell says how many lines came before its record."
    good = [(c, o, f"{date:%Y-%m-%d}", repr(value)) for c, o, date, value in lines]
    row = data.draw(st.integers(0, len(good) - 1))
    column, bad = data.draw(
        st.sampled_from(
            [(1, ""), (2, ""), (2, "soon"), (2, "2001-02-29"), (3, ""), (3, "x"), (3, "inf")]
        )
    )
    cells = [list(line) for line in good]
    cells[row][column] = bad
    with TemporaryDirectory() as folder:
        path = Path(folder, "orders.csv")
        before = write(path, good[:row])
        write(path, cells)
        message = refusal(path)
    line = 1 + len(re.findall(r"\r\n|\r|\n", before))
    assert f"column '{HEADER.strip().split(',')[column]}'" in message
    assert f"line {line} has {bad!r} (1 in all)" in message


# Real data


@pytest.mark.skipif(not ONLINE_RETAIL.exists(), reason="Online Retail is not on this machine")
def test_online_retail_gives_its_published_figures():
    "541,909 lines, 135,080 without customer; the sales are those of the data set's own account."
    orders = read_orders(ONLINE_RETAIL, columns=ONLINE_RETAIL_COLUMNS)
    assert len(orders) == 541_909
    assert orders["customer_id"].isna().sum() == 135_080
    assert orders["order_id"].nunique() == 25_900
    sales = orders.dropna(subset="customer_id").query("revenue > 0")
    assert len(sales) == 397_884
    assert sales["order_id"].nunique() == 18_532
    assert sales["customer_id"].nunique() == 4_338
    # 397,884 additions of floats: well within a penny.
    assert np.isclose(sales["revenue"].sum(), 8_911_407.90, rtol=0, atol=0.01)


def test_the_columns_can_be_found_without_reading_the_file(save):
    path = save(GOOD.replace("customer_id", "Client") + "7,A2,no date,1\n" * 100_000 + "\0")
    columns = {"customer_id": "Client"}
    names = ["customer_id", "order_id", "order_date", "revenue"]
    found = order_columns(path, columns=columns)
    assert found == {name: columns.get(name, name) for name in names}
    with pytest.raises(InputError, match="NUL bytes"):
        read_orders(path, columns=columns)
    for bad in (None, {"revenue": "x"}, {"revenue": "order_id", "quantity": "x"}):
        with pytest.raises(InputError) as header:
            order_columns(path, columns=bad)
        path.write_text(GOOD.replace("customer_id", "Client"))
        assert str(header.value) == refusal(path, bad)


@pytest.mark.parametrize("content", [b"PK\x03\x04", b"\xff", b"\x1f\x8b"])
def test_what_does_not_begin_as_text_has_no_columns(save, content):
    with pytest.raises(InputError):
        order_columns(save(content))


def test_names_of_columns_that_are_no_text_are_refused(save):
    path = save(GOOD.replace("revenue", "2024"))
    assert read_orders(path, columns={"revenue": "2024"})["revenue"].tolist() == [4.5]
    text = "columns= gives 'revenue' the name 2024, no text. Put it in quotes, such as \"2024\"."
    assert text in refusal(path, {"revenue": 2024})
    assert "'order_id' the name {'a': 1}" in refusal(path, {"order_id": {"a": 1}, "revenue": {}})
