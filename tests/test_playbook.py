import pandas as pd
import pytest

from helpers.playbook import Play, plays_for, read_plays
from helpers.text import InputError


class Check(Play):
    """What to look at when a pattern shows."""

    meaning: str
    first_check: str


@pytest.fixture
def write(tmp_path):
    def write(text):
        path = tmp_path / "plays.yml"
        path.write_text(text)
        return path

    return write


def test_each_field_is_a_column_and_each_name_a_row_in_the_order_of_the_file(write):
    path = write("scan: {meaning: m, first_check: f}\nleak:\n  first_check: é\n  meaning: n")
    table = read_plays(path, Check, "pattern")
    assert table.index.tolist() == ["scan", "leak"]
    assert table.index.name == "pattern"
    assert table.to_dict("list") == {"meaning": ["m", "n"], "first_check": ["f", "é"]}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("scan: {meaning: m}", "plays.yml: scan > first_check: Field required"),
        ("scan: {meaning: m, first_check: f, action: a}", "scan > action: Extra inputs"),
        ("1: {meaning: m, first_check: f}", "Input should be a valid string"),
        ("a: {}\na: {}", "plays.yml, line 2: 'a' is given twice."),
        ("{}", "at least 1 item"),
    ],
)
def test_a_fault_is_told_with_its_place(write, text, message):
    with pytest.raises(InputError) as caught:
        read_plays(write(text), Check, "pattern")
    assert message in str(caught.value)


def test_the_message_says_what_an_entry_needs(write):
    with pytest.raises(InputError, match=r"Give each pattern meaning and first_check, and nothing"):
        read_plays(write("scan: later"), Check, "pattern")


def test_a_file_that_is_not_there_or_no_text_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"^absent\.yml: cannot be read as a playbook .*No such"):
        read_plays(tmp_path / "absent.yml", Check, "pattern")
    (tmp_path / "plays.yml").write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match=r"^plays\.yml: cannot be read as a playbook"):
        read_plays(tmp_path / "plays.yml", Check, "pattern")


def test_the_plays_wanted_come_in_the_order_wanted():
    plays = pd.DataFrame({"meaning": ["m", "n", "o"]}, index=["scan", "flood", "other"])
    assert plays_for(["flood", "scan"], plays)["meaning"].tolist() == ["n", "m"]


def test_what_the_playbook_lacks_is_told_with_the_nearest_it_has():
    plays = pd.DataFrame({"meaning": ["m"]}, index=["port scan"])
    with pytest.raises(InputError, match=r"no entry for 'Port Scans' \(nearest: 'port scan'\)\."):
        plays_for(["port scan", "Port Scans"], plays)
