import pytest

from helpers.files import replacing, visible_files, write_text


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


def test_a_folder_holds_its_visible_files_at_every_depth_in_order_of_their_names(tmp_path):
    for name in ("b.parquet", "a-c.parquet", "a/b.parquet", ".hidden", ".crc/x", "y=1/.part.crc"):
        write_text(tmp_path / name, "x")
    (tmp_path / "empty").mkdir()
    files = [file.as_posix() for file in visible_files(tmp_path)]
    assert files == ["a-c.parquet", "a/b.parquet", "b.parquet"]


def test_a_link_to_a_folder_is_followed_but_not_in_circles(tmp_path):
    write_text(tmp_path / "disk" / "part.csv", "x")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "year").symlink_to(tmp_path / "disk")
    (tmp_path / "disk" / "again").symlink_to(tmp_path / "data")
    assert [str(file) for file in visible_files(tmp_path / "data")] == ["year/part.csv"]


def test_a_link_that_leads_nowhere_is_not_passed_over(tmp_path):
    (tmp_path / "part.csv").symlink_to(tmp_path / "gone.csv")
    assert [str(file) for file in visible_files(tmp_path)] == ["part.csv"]


def test_a_folder_that_cannot_be_listed_is_an_error(tmp_path):
    with pytest.raises(OSError, match="No such file"):
        visible_files(tmp_path / "gone")
