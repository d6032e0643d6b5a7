"""Flows are read in full, or refused with a message that names line, column and remedy."""

import numpy as np
import pandas as pd
import pytest

from helpers.inputs import InputError, flow_columns, read_flows

HEADER = (
    "bytes_sent,bytes_received,duration,packets_sent,packets_received,ip_address,timestamp,label"
)
GOOD = f"{HEADER}\n120,4500,0.25,3,5,192.0.2.7,2024-03-04 09:15:02,web\n"


@pytest.fixture
def save(tmp_path):
    """Write a text to flows.csv; return its path."""

    def write(text):
        path = tmp_path / "flows.csv"
        path.write_text(text)
        return path

    return write


def refusal(path, columns=None):
    """Message of the refusal."""
    with pytest.raises(InputError) as caught:
        read_flows(path, columns=columns)
    return str(caught.value)


def test_every_column_comes_back_with_its_type(save):
    flows = read_flows(save(GOOD))
    assert list(flows) == HEADER.split(",")
    assert flows.iloc[0, :5].tolist() == [120, 4500, 0.25, 3, 5]
    assert flows["timestamp"].tolist() == [pd.Timestamp("2024-03-04 09:15:02")]
    assert flows["ip_address"].tolist() == ["192.0.2.7"]
    assert flows["label"].dtype == "category"
    assert flows["ip_address"].dtype == "category"


def test_three_mapped_columns_among_sixty_are_enough(save):
    header = ",".join(["src", "dst", "secs", *(f"x{number}" for number in range(57))])
    flows = read_flows(
        save(f"{header}\n{','.join(map(str, range(60)))}\n"),
        columns={"bytes_sent": "src", "bytes_received": "dst", "duration": "secs"},
    )
    assert flows.to_dict("list") == {"bytes_sent": [0], "bytes_received": [1], "duration": [2]}


@pytest.mark.parametrize("cell", ["", " ", "-", "NA", "nan", "NULL"])
def test_what_is_not_known_is_missing(save, cell):
    flows = read_flows(save(f"bytes_sent,bytes_received,duration\n1,2,{cell}\n3,4,5\n"))
    assert np.isnan(flows["duration"][0])
    assert flows["duration"][1] == 5


@pytest.mark.parametrize(
    "cell", ["-1", "inf", "-inf", "1e400", "1e16", "12 kB", "1,5", "0x10", "?"]
)
@pytest.mark.parametrize("column", ["bytes_received", "duration", "packets_sent"])
def test_what_is_no_amount_is_refused(save, cell, column):
    fields = dict(zip(HEADER.split(","), GOOD.splitlines()[1].split(","), strict=True))
    row = ",".join(f'"{value}"' for value in (fields | {column: cell}).values())
    message = refusal(save(f"{GOOD}{row}\n"))
    assert message.startswith(f"flows.csv: column '{column}' needs a number from 0 to")
    assert f"line 3 has '{cell}' (1 in all)" in message


def test_bytes_without_a_packet_are_refused_and_the_packets_can_be_left_out(save):
    rows = ["10,0,1,0,0", "0,0,1,0,0", "10,10,1,1,0"]
    path = save(
        "bytes_sent,bytes_received,duration,packets_sent,packets_received\n" + "\n".join(rows)
    )
    message = refusal(path)
    assert "bytes in 'bytes_sent' without a packet in 'packets_sent': line 2 (1 in all)" in message
    assert 'columns={"packets_sent": ""}' in message
    assert list(read_flows(path, columns={"packets_sent": ""})) == HEADER.split(",")[:3]
    with pytest.raises(InputError, match=r"packets_received.*line 2"):
        read_flows(
            save("bytes_sent,bytes_received,duration,packets_sent,packets_received\n1,5,1,1,0")
        )


def test_packets_in_one_direction_only_are_not_read_unless_asked_for(save):
    path = save("bytes_sent,bytes_received,duration,packets_sent\n1,2,3,4\n")
    assert list(read_flows(path)) == ["bytes_sent", "bytes_received", "duration"]
    assert "no column 'packets_received'" in refusal(path, columns={"packets_sent": "packets_sent"})


def test_an_empty_name_leaves_an_optional_column_unread(save):
    flows = read_flows(save(GOOD), columns={"label": "", "ip_address": ""})
    assert not {"label", "ip_address"} & set(flows)


@pytest.mark.parametrize("name", ["bytes_sent", "bytes_received", "duration"])
def test_a_missing_column_is_named_and_the_message_is_about_flows(save, name):
    message = refusal(save(GOOD.replace(name, "other", 1)))
    assert f"no column '{name}'" in message
    assert f'columns={{"{name}": "..."}}' in message
    assert "revenue" not in message


def test_an_optional_column_that_was_asked_for_must_exist(save):
    assert "no column 'src'." in refusal(save(GOOD), columns={"ip_address": "src"})


def test_an_unknown_standard_name_is_refused_with_the_nearest(save):
    assert "no 'byte_sent' (nearest: 'bytes_sent')" in refusal(save(GOOD), {"byte_sent": "x"})


def test_a_timestamp_without_a_date_is_refused(save):
    message = refusal(save(GOOD.replace("2024-03-04 09:15:02", "09:15:02")))
    assert "column 'timestamp' needs a date with its time" in message


def test_names_for_missing_addresses_and_labels(save):
    flows = read_flows(save(GOOD + "1,1,1,1,1,,2024-03-04 10:00:00,\n"))
    assert flows[["ip_address", "label"]].isna().sum().tolist() == [1, 1]


def test_the_columns_can_be_found_without_reading_the_file(save):
    path = save("src,bytes_received,duration,label\nnone,of,these,numbers\n")
    assert flow_columns(path, columns={"bytes_sent": "src", "label": ""}) == {
        "bytes_sent": "src",
        "bytes_received": "bytes_received",
        "duration": "duration",
    }
    with pytest.raises(InputError, match="no column 'bytes_sent'"):
        flow_columns(path)
