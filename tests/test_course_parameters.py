import nbformat
import pytest
from click.testing import CliRunner
from course_project import make_project
from nbformat.v4 import new_code_cell, new_notebook

from helpers.course.about import record_page
from helpers.course.cli import main
from helpers.course.edition import Edition, read_edition
from helpers.course.execute import run_chapter, workspace
from helpers.course.parameters import (
    Parameter,
    exports_folder,
    read_notebook,
    read_parameters,
    read_values,
    with_values,
)
from helpers.course.record import edition_record
from helpers.inputs import SAMPLE_IMAGES
from helpers.text import InputError

CELL = """\
orders: str = "orders.csv"  # Input file: one line an order
k: int = 4  # 0 lets the evidence choose

# Money.
currency: str = "£"  # written before amounts
share: float = 1e-3
columns: dict[str, str] = {
    "a": "b",
}  # our names
sizes: list[int] = [1, 2]  # tried in turn
loud: bool = False  # say # more"""


def notebook(source):
    cell = new_code_cell(source, metadata={"tags": ["parameters"]})
    return new_notebook(cells=[cell])


@pytest.fixture
def known():
    return read_parameters(notebook(CELL))


def values(known, tmp_path, *, read=Parameter.from_text, **given):
    (tmp_path / "orders.csv").write_text("x")
    return read_values(known, given, base=tmp_path, notebooks=tmp_path, read=read)


def test_names_types_defaults_and_help_are_those_of_the_cell(known):
    assert [(p.name, p.annotation, p.default, p.help) for p in known] == [
        ("orders", "str", "orders.csv", "Input file: one line an order"),
        ("k", "int", 4, "0 lets the evidence choose"),
        ("currency", "str", "£", "written before amounts"),
        ("share", "float", 0.001, ""),
        ("columns", "dict[str, str]", {"a": "b"}, "our names"),
        ("sizes", "list[int]", [1, 2], "tried in turn"),
        ("loud", "bool", False, "say # more"),
    ]


def test_a_notebook_without_the_cell_has_no_parameters():
    assert read_parameters(new_notebook()) == []


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("k = 4", "line 1: write name: type = default"),
        ("k: int", "line 1: write name: type = default"),
        ("k: int | None = 4", "k needs a plain value of its type"),
        ("k: int = 'four'", "k needs a plain value of its type"),
        ("k: int = int(4)", "k needs a plain value of its type"),
        ("k: int = ", "line 1: invalid syntax"),
        ("%matplotlib inline", "line 1: invalid syntax"),
    ],
)
def test_a_cell_with_anything_else_is_refused(line, message):
    with pytest.raises(InputError, match=message):
        read_parameters(notebook(line))


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("k", "8", 8),
        ("k", "-1", -1),
        ("share", "1", 1.0),
        ("share", "1e-3", 0.001),
        ("currency", "2011-12-10", "2011-12-10"),
        ("currency", "no", "no"),
        ("currency", "", ""),
        ("currency", "a=b", "a=b"),
        ("columns", "{a: '1', b: 2011-12-10}", {"a": "1", "b": "2011-12-10"}),
        ("sizes", "[3, 4]", [3, 4]),
        ("loud", "true", True),
    ],
)
def test_text_becomes_a_value_of_the_declared_type(known, tmp_path, name, text, value):
    read = values(known, tmp_path, **{name: text})[name]
    assert read == value
    assert type(read) is type(value)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("k", "four"),
        ("k", "true"),
        ("k", "4.5"),
        ("k", ""),
        ("share", "nan"),
        ("share", "half"),
        ("columns", "[1]"),
        ("columns", "{a: 1}"),
        ("columns", "{a: b, a: c}"),
        ("columns", "{"),
        ("sizes", "[one]"),
        ("loud", "maybe"),
        ("currency", "\udc80"),
    ],
)
def test_text_of_another_type_is_refused_by_name(known, tmp_path, name, text):
    with pytest.raises(InputError, match=name):
        values(known, tmp_path, **{name: text})


@pytest.mark.parametrize(
    ("name", "value"), [("k", True), ("k", 4.0), ("k", "4"), ("share", True), ("currency", 5)]
)
def test_a_value_of_another_type_is_refused(known, tmp_path, name, value):
    with pytest.raises(InputError, match=f"{name} takes"):
        values(known, tmp_path, read=Parameter.checked, **{name: value})


def test_a_whole_number_will_do_for_a_float(known, tmp_path):
    assert values(known, tmp_path, read=Parameter.checked, share=1) == {"share": 1.0}


def test_every_fault_is_told_at_once(known, tmp_path):
    with pytest.raises(InputError) as error:
        values(known, tmp_path, k="four", curency="$", orders="ordres.csv")
    assert str(error.value).splitlines() == [
        "k takes int, not 'four' (0 lets the evidence choose).",
        "There is no parameter 'curency' (nearest: 'currency'). There are: "
        "orders, k, currency, share, columns, sizes and loud.",
        f"orders: there is no file 'ordres.csv' in {tmp_path} (nearest: 'orders.csv').",
    ]


def test_a_folder_is_not_an_input_file(known, tmp_path):
    with pytest.raises(InputError, match=r"orders: '\.' is a folder"):
        values(known, tmp_path, orders=".")


def test_an_input_file_that_is_not_given_is_looked_for_beside_the_notebook(known, tmp_path):
    with pytest.raises(InputError) as error:
        read_values(known, {}, base=tmp_path / "other", notebooks=tmp_path)
    assert str(error.value) == f"orders: there is no file 'orders.csv' in {tmp_path}."


def test_the_folder_where_an_input_file_was_looked_for_is_named(known, tmp_path):
    (tmp_path / "data").mkdir()
    for text, folder in [
        ("data/x.csv", f"in {tmp_path}/data."),
        ("data/../data/x.csv", f"in {tmp_path}/data."),
        ("date/x.csv", f": there is no folder {tmp_path}/date."),
    ]:
        with pytest.raises(InputError) as error:
            values(known, tmp_path, orders=text)
        assert str(error.value).endswith(folder)
        assert f"{text!r}" in str(error.value)


def test_an_input_file_is_optional_where_its_default_is_empty(tmp_path):
    known = read_parameters(notebook('rates: str = ""  # input file of exchange rates'))
    assert read_values(known, {}, base=tmp_path, notebooks=tmp_path) == {}


# An input file, or a name

PICTURE = 'picture: str = "lake.jpg"  # {}nput file, or one of: lake.jpg, hills,  wood'


@pytest.fixture
def picture():
    return read_parameters(notebook(PICTURE.format("I")))


@pytest.mark.parametrize(
    ("line", "names"),
    [
        (PICTURE.format("i"), ("lake.jpg", "hills", "wood")),
        (PICTURE.format("I"), ("lake.jpg", "hills", "wood")),
        ('x: str = "x"  # input file: one of: a, b', ()),
        ('x: str = "x"  # the input file, or one of: a, b', ()),
        ('x: list[str] = ["x"]  # input file, or one of: a, b', ()),
        ('x: str = "x"  # input file, or one of:', ()),
        (
            f'image: str = "china.jpg"  # input file, or one of: {", ".join(SAMPLE_IMAGES)}',
            SAMPLE_IMAGES,
        ),
    ],
)
def test_the_help_of_an_input_file_may_list_names_that_will_do(line, names):
    [parameter] = read_parameters(notebook(line))
    assert parameter.names == names


@pytest.mark.parametrize("given", [{}, {"picture": "lake.jpg"}, {"picture": "wood"}])
def test_a_name_is_no_path_in_any_folder(picture, tmp_path, given):
    nowhere = tmp_path / "not" / "there"
    assert read_values(picture, given, base=nowhere, notebooks=nowhere) == given
    assert not picture[0].is_path(given.get("picture", "lake.jpg"))


def test_a_path_will_do_as_well_as_a_name(picture, tmp_path):
    for name in ("mine.png", "lake.jpg"):
        (tmp_path / name).write_text("x")
    for text in ("mine.png", "./lake.jpg", str(tmp_path / "lake.jpg")):
        given = {"picture": text}
        assert read_values(picture, given, base=tmp_path, notebooks=tmp_path) == given
        assert picture[0].is_path(text)


def test_neither_a_file_nor_a_name_is_told_with_the_nearest_of_both(picture, tmp_path):
    (tmp_path / "lace.jpg").write_text("x")
    for text, told in {
        "lak.jpg": " (nearest: 'lace.jpg'), and it is not one of {} (nearest: 'lake.jpg').",
        "Wood": ", and it is not one of {} (nearest: 'wood').",
        "qqqq": ", and it is not one of {}.",
    }.items():
        with pytest.raises(InputError) as error:
            read_values(picture, {"picture": text}, base=tmp_path, notebooks=tmp_path)
        wanted = told.format("lake.jpg, hills and wood")
        assert str(error.value) == f"picture: there is no file {text!r} in {tmp_path}{wanted}"


def test_a_name_does_not_stand_for_nothing(picture, tmp_path):
    with pytest.raises(InputError, match="'' is a folder"):
        read_values(picture, {"picture": ""}, base=tmp_path, notebooks=tmp_path)


# An input file or folder

PARTS = 'parts: str = "made"  # {}nput file or folder, or one of: made'


@pytest.fixture
def parts():
    return read_parameters(notebook(PARTS.format("I")))


@pytest.mark.parametrize(
    ("line", "takes_folder", "names"),
    [
        (PARTS.format("i"), True, ("made",)),
        (PARTS.format("I"), True, ("made",)),
        ('x: str = "x"  # input file or folder of orders', True, ()),
        ('x: str = "x"  # input file: orders, in a folder', False, ()),
        ('x: str = "x"  # a folder', False, ()),
        ('x: list[str] = ["x"]  # input file or folder', False, ()),
    ],
)
def test_the_help_of_an_input_file_may_allow_a_folder(line, takes_folder, names):
    [parameter] = read_parameters(notebook(line))
    assert (parameter.takes_folder, parameter.names) == (takes_folder, names)


def test_a_folder_will_do_as_well_as_a_file_or_a_name(parts, tmp_path):
    (tmp_path / "mine" / "y=2").mkdir(parents=True)
    (tmp_path / "mine" / "y=2" / "a.parquet").write_text("x")
    for text in ("mine", "mine/", ".", "mine/y=2/a.parquet", "made", str(tmp_path / "mine")):
        given = {"parts": text}
        assert read_values(parts, given, base=tmp_path, notebooks=tmp_path) == given


def test_a_folder_that_will_not_do_is_refused_with_what_is_wrong(parts, tmp_path):
    for folder in ("empty/.hidden", "broken"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "empty" / ".hidden" / "a.parquet").write_text("x")
    (tmp_path / "broken" / "a.parquet").write_text("x")
    (tmp_path / "broken" / "b.parquet").symlink_to(tmp_path / "gone")
    nowhere = f"parts: there is no file or folder {{!r}} in {tmp_path}"
    for text, told in {
        "empty": "parts: 'empty' is a folder without any file; put the data there.",
        "broken": "parts: 'broken' holds 'b.parquet', which cannot be read (No such file or "
        "directory).",
        "emty": nowhere.format("emty") + " (nearest: 'empty'), and it is not one of made.",
        "mades": nowhere.format("mades") + ", and it is not one of made (nearest: 'made').",
        "no/where": "parts: there is no file or folder 'no/where': "
        f"there is no folder {tmp_path}/no.",
        "": "parts: '' is neither a file nor a folder; give the path of one.",
    }.items():
        with pytest.raises(InputError) as error:
            read_values(parts, {"parts": text}, base=tmp_path, notebooks=tmp_path)
        assert str(error.value) == told


def test_a_folder_that_cannot_be_listed_is_refused(parts, tmp_path, monkeypatch):
    (tmp_path / "mine").mkdir()

    def refuse(folder):
        raise PermissionError(13, "Permission denied", str(folder))

    monkeypatch.setattr("helpers.course.parameters.visible_files", refuse)
    with pytest.raises(InputError) as error:
        read_values(parts, {"parts": "mine"}, base=tmp_path, notebooks=tmp_path)
    assert str(error.value) == "parts: 'mine' cannot be read (Permission denied)."


@pytest.fixture(scope="module")
def gallery(tmp_path_factory):
    """A course with one chapter that shows which picture it was given."""
    project = make_project(tmp_path_factory.mktemp("gallery") / "project")
    cell = new_code_cell(PICTURE.format("i"), metadata={"tags": ["parameters"]})
    show = new_code_cell("import os\n\nprint([picture], os.path.exists(picture))")
    chapter = new_notebook(cells=[cell, show])
    nbformat.write(chapter, project / "notebooks" / "mini.ipynb")
    (project / "notebooks" / "hills").write_text("my own")
    return project


@pytest.mark.parametrize(
    ("text", "shown"),
    [("wood", "['wood'] False"), ("notebooks/hills", "['./hills'] True")],
)
def test_a_name_reaches_the_chapter_and_a_file_of_that_name_stays_a_file(gallery, text, shown):
    with workspace(gallery, gallery) as folder:
        done = run_chapter(gallery, "mini", {"picture": text}, base=gallery, folder=folder)
    assert done.notebook.cells[1].outputs[0].text.strip() == shown


def test_the_page_about_an_edition_digests_files_and_no_names(gallery):
    def page(given):
        values = {"mini": given}
        edition = Edition(name="x", chapters=values, base=gallery / "notebooks")
        return record_page(edition_record(gallery, edition, "reader", values, {}))

    for given, name in (({}, "lake.jpg"), ({"picture": "hills"}, "hills")):
        said = page(given)
        assert f'| `picture` | `"{name}"` |' in said
        assert f"`{name}`, given as `picture`, is no file: the chapter brings it" in said
        assert "SHA-256" not in said
    # The digest is that of `printf 'my own' | sha256sum`.
    said = page({"picture": "./hills"})
    assert "The file `hills`, given as `picture`, has the SHA-256 digest `5ce2803949e6`" in said
    assert "is no file" not in said


def test_the_page_about_an_edition_digests_a_folder(tmp_path):
    "The digest is that of `sha256sum a.csv b.csv | sha256sum`"
    project = make_project(tmp_path / "project")
    cell = new_code_cell(PARTS.format("i"), metadata={"tags": ["parameters"]})
    nbformat.write(new_notebook(cells=[cell]), project / "notebooks" / "mini.ipynb")
    (tmp_path / "my.csv").mkdir()
    for name in ("a", "b"):
        (tmp_path / "my.csv" / f"{name}.csv").write_text(name)
    values = {"mini": {"parts": "my.csv"}}
    edition = Edition(name="x", chapters=values, base=tmp_path)
    assert (
        "The folder `my.csv` of 2 files, given as `parts`, has the SHA-256 digest "
        "`fe2993ffa8e5`….\n" in record_page(edition_record(project, edition, "reader", values, {}))
    )


def test_an_edition_may_give_a_name(gallery):
    path = gallery / "editions" / "spring.yml"
    path.write_text("chapters: {mini: {picture: wood}}")
    assert read_edition(gallery, path).chapters == {"mini": {"picture": "wood"}}
    path.write_text("chapters: {mini: {picture: woods}}")
    with pytest.raises(InputError, match=r"(?s)mini: picture: .*\(nearest: 'wood'\)"):
        read_edition(gallery, path)


def test_the_command_refuses_what_is_neither_with_one_line(gallery, monkeypatch):
    monkeypatch.chdir(gallery)
    result = CliRunner().invoke(main, ["run", "mini", "-p", "picture=woods", "--out", "out"])
    assert result.exit_code == 2
    assert result.output == (
        f"picture: there is no file 'woods' in {gallery}, "
        "and it is not one of lake.jpg, hills and wood (nearest: 'wood').\n"
    )


def test_new_values_replace_defaults_and_nothing_else(known):
    new = {"currency": 'a "€"', "columns": {"x": "y"}, "k": 8, "sizes": [], "loud": False}
    assert with_values(CELL, known, new) == CELL.replace('"£"', '"a \\"€\\""').replace(
        '{\n    "a": "b",\n}', '{"x": "y"}'
    ).replace("= 4 ", "= 8 ").replace("[1, 2]", "[]")


def test_replaced_values_are_read_back_as_they_were_given(known):
    new = {"currency": "line\nbreak \\ ' \" £", "share": 0.1 + 0.2, "loud": True}
    again = read_parameters(notebook(with_values(CELL, known, new)))
    assert {p.name: p.default for p in again if p.name in new} == new


@pytest.mark.parametrize(
    ("line", "folder"),
    [
        ('output_dir: str = "exports/mini"', "exports/mini"),
        ('output_dir: str = "./exports/x/../mini/"', "exports/mini"),
        ("k: int = 4", None),
    ],
)
def test_the_folder_of_the_exports_is_a_parameter(line, folder):
    assert exports_folder(read_parameters(notebook(line)), "mini") == folder


@pytest.mark.parametrize(
    "default", ['str = "."', 'str = ""', 'str = "../out"', 'str = "/out"', "int = 4"]
)
def test_exports_outside_a_folder_of_their_own_are_refused(default):
    known = read_parameters(notebook(f"output_dir: {default}"))
    with pytest.raises(InputError, match=r"mini: output_dir .*such as 'exports/mini'"):
        exports_folder(known, "mini")


@pytest.mark.parametrize("content", ["", "{}", "[]", "not json", '{"nbformat": 3, "cells": []}'])
def test_a_file_that_is_not_a_notebook_is_refused(tmp_path, content):
    path = tmp_path / "mini.ipynb"
    path.write_text(content)
    with pytest.raises(InputError, match=r"mini\.ipynb is not a notebook"):
        read_notebook(path)


def test_cells_without_an_id_get_one_by_position(tmp_path):
    path = tmp_path / "old.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=[new_code_cell("1"), new_code_cell("2")]), path)
    path.write_text(path.read_text().replace('"id"', '"old"').replace('minor": 5', 'minor": 4'))
    text = "".join(line for line in path.read_text().splitlines() if '"old"' not in line)
    path.write_text(text)
    assert [cell.id for cell in read_notebook(path).cells] == ["cell-01", "cell-02"]
