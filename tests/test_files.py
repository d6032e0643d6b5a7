import pytest

from helpers.files import replacing, write_text


def test_the_new_file_stands_in_the_place_of_the_old(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("old")
    with replacing(path) as temporary:
        temporary.write_text("new")
        assert path.read_text() == "old", "until the block ends"
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("fault", [ValueError, KeyboardInterrupt])
def test_half_a_file_replaces_nothing_and_leaves_nothing(tmp_path, fault):
    path = tmp_path / "table.csv"
    path.write_text("old")
    with pytest.raises(fault), replacing(path) as temporary:
        temporary.write_text("ha")
        raise fault
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_half_of_a_first_file_leaves_an_empty_directory(tmp_path):
    with pytest.raises(ZeroDivisionError), replacing(tmp_path / "table.csv") as temporary:
        temporary.write_text(str(1 / 0))
    assert not list(tmp_path.iterdir())


def test_the_temporary_file_is_a_neighbour_of_the_same_kind(tmp_path):
    "A rename is atomic within one directory; savefig takes the format from the suffix"
    with replacing(tmp_path / "figure.png") as temporary:
        assert temporary.parent == tmp_path
        assert temporary.suffix == ".png"
        assert temporary.name.startswith("."), "hidden from who lists results"


def test_missing_directories_are_made(tmp_path):
    path = write_text(tmp_path / "a" / "b" / "c.txt", "text")
    assert path.read_text() == "text"


def test_results_can_be_read_by_everybody(tmp_path):
    assert write_text(tmp_path / "c.txt", "text").stat().st_mode & 0o777 == 0o644


def test_text_is_written_as_utf_8_with_its_own_line_ends(tmp_path):
    path = write_text(str(tmp_path / "c.txt"), "é\r\n€\n")
    assert path.read_bytes() == b"\xc3\xa9\r\n\xe2\x82\xac\n"
