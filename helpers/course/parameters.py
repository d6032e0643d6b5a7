"""
What a chapter may be asked to do: the cell tagged ``parameters``, read without running it.

Each line of the cell is ``name: type = default  # help``. A ``str`` whose help begins with
"input file" is the path of a file that must exist; with "input file, or one of: china, flower", it
may be one of these names instead, which always mean the same: a file of such a name is ./china.
With "input file or folder" it may be a folder of files, too.
"""

import ast
import io
import json
import os
import re
import tokenize
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import nbformat
from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from helpers.files import visible_files
from helpers.text import InputError, is_line, listed, nearest, read_yaml

LONGEST = 10_000  # bytes of a value; more is data, and belongs in a file

# How the names of notebooks end that a student's site offers, and that are no chapters.
EXERCISES = "_exercises"

TYPES: dict[str, Any] = {
    "int": int,
    "float": Annotated[float, Field(allow_inf_nan=False)],
    "str": str,
    "bool": bool,
    "dict": dict,
    "list": list,
}


@dataclass(frozen=True)
class Parameter:
    """
    One line of a parameters cell.

    Attributes
    ----------
    name, annotation, help : str
        As written in the cell.
    default : object
        The value a chapter runs with when it is not told otherwise.
    accepts : TypeAdapter
        The annotation as a check.
    span : tuple of int
        First line, first byte, last line and end byte of the default within the cell.
    """

    name: str
    annotation: str
    default: Any
    help: str
    accepts: TypeAdapter[Any]
    span: tuple[int, int, int, int]

    @property
    def is_input_file(self) -> bool:
        """Whether the value is the path of a file to read."""
        return self.annotation == "str" and self.help.lower().startswith("input file")

    @property
    def takes_folder(self) -> bool:
        """Whether a folder of files will do for the input file."""
        return self.is_input_file and self.help.lower().startswith("input file or folder")

    @property
    def names(self) -> tuple[str, ...]:
        """What an input file may be besides the path of a file."""
        said = re.match("input file(?: or folder)?, or one of:(.*)", self.help, flags=re.IGNORECASE)
        if not (self.is_input_file and said):
            return ()
        return tuple(name.strip() for name in said[1].split(",") if name.strip())

    def is_path(self, value: Any) -> bool:
        """Whether a value is the path of something to read: neither empty nor a name."""
        return self.is_input_file and bool(value) and value not in self.names

    def from_text(self, text: str) -> Any:
        """Value of a text typed on the command line; a ``str`` keeps it as it is."""
        if self.annotation == "str":
            return self.checked(text)
        if self.annotation.startswith(("dict", "list")):
            return self.checked(read_yaml(text, self.name))
        try:
            return self.accepts.validate_strings(text)
        except ValidationError:
            raise InputError(self._refusal(text)) from None

    def checked(self, value: Any) -> Any:
        """Return a value of the declared type, or raise an InputError that says what was wanted."""
        try:
            # Text that came from bytes that are not text cannot be written into a notebook.
            size = len(json.dumps(value, ensure_ascii=False).encode())
            checked = self.accepts.validate_python(value)
        except (ValidationError, TypeError, UnicodeEncodeError):
            hint = ""
            if self.annotation == "str" and isinstance(value, bool | int | float):
                hint = " Put it in quotes."
            elif self.annotation in ("int", "float", "bool") and isinstance(value, str):
                hint = " Take away the quotes." if value.strip("0123456789.-") == "" else ""
            raise InputError(self._refusal(value) + hint) from None
        if size > LONGEST:
            raise InputError(f"{self.name} takes at most {LONGEST:,} bytes, not {size:,}.")
        if not all(map(is_line, _texts(value))):
            raise InputError(f"{self.name} takes text of one line, not {value!r}.")
        return checked

    def _refusal(self, value: Any) -> str:
        about = f" ({self.help})" if self.help else ""
        return f"{self.name} takes {self.annotation}, not {value!r}{about}."


def _texts(value: Any) -> Iterator[str]:
    """Yield every text within a plain value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for item in [*value, *value.values()] if isinstance(value, dict) else value:
            yield from _texts(item)


def chapters(project: Path) -> list[str]:
    """Names of the chapters: the notebooks of the project, without what students work in."""
    names = (path.stem for path in (project / "notebooks").glob("*.ipynb"))
    return sorted(name for name in names if not name.endswith(EXERCISES))


def chapter_path(project: Path, chapter: str) -> Path:
    """Notebook of a chapter."""
    known = chapters(project)
    if chapter not in known:
        msg = f"There is no chapter {chapter!r}{nearest(chapter, known)}. There are: "
        raise InputError(f"{msg}{listed(known)}.")
    return project / "notebooks" / f"{chapter}.ipynb"


def read_notebook(path: Path) -> nbformat.NotebookNode:
    """Notebook of a file, each of its cells with an id."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["nbformat"] != 4:
            raise ValueError("its format is not version 4; open and save it in JupyterLab")
        # Cell ids came with 4.5. One that is missing follows from the position, not from chance.
        content["nbformat_minor"] = 5
        for number, cell in enumerate(content["cells"], start=1):
            cell.setdefault("id", f"cell-{number:02d}")
        notebook = nbformat.v4.reads_json(json.dumps(content))
        nbformat.validate(notebook)
    except (OSError, ValueError, KeyError, TypeError, nbformat.ValidationError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"{path.name} is not a notebook that can be read: {reason}.") from None
    return notebook


def tags(cell: nbformat.NotebookNode) -> list[str]:
    """Tags of a cell."""
    return list(cell.metadata.get("tags", []))


def parameters_cell(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode | None:
    """Return the cell tagged ``parameters``, or None."""
    return next((cell for cell in notebook.cells if "parameters" in tags(cell)), None)


def read_parameters(notebook: nbformat.NotebookNode, name: str = "notebook") -> list[Parameter]:
    """
    Parameters of a notebook, in the order of its cell.

    Raises
    ------
    InputError
        If the cell holds anything but ``name: type = default`` lines.
    """
    cell = parameters_cell(notebook)
    if cell is None:
        return []
    try:
        lines = ast.parse(cell.source).body
    except SyntaxError as error:
        raise InputError(f"{name}: parameters, line {error.lineno}: {error.msg}.") from None
    comments = _comments(cell.source)
    return [_parameter(line, comments, name) for line in lines]


def _comments(source: str) -> dict[int, str]:
    """Comment on each line that has one."""
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    return {
        token.start[0]: token.string.lstrip("#").strip()
        for token in tokens
        if token.type == tokenize.COMMENT
    }


def _parameter(line: ast.stmt, comments: Mapping[int, str], name: str) -> Parameter:
    """Parameter of one statement of the cell."""
    match line:
        case ast.AnnAssign(
            target=ast.Name(id=target), annotation=annotation, value=ast.expr() as value
        ):
            pass
        case _:
            msg = f"{name}: parameters, line {line.lineno}: write name: type = default  # help."
            raise InputError(msg)
    try:
        accepts = TypeAdapter(_type(annotation), config=ConfigDict(strict=True))
        default = accepts.validate_python(ast.literal_eval(value))
    except ValueError:
        types = ", ".join(TYPES)
        msg = f"{name}: parameters, line {line.lineno}: {target} needs a plain value of its type, "
        raise InputError(msg + f"which is one of {types}, dict[...] or list[...].") from None
    return Parameter(
        name=target,
        annotation=ast.unparse(annotation),
        default=default,
        help=comments.get(line.end_lineno or line.lineno, ""),
        accepts=accepts,
        span=_span(value),
    )


def _span(node: ast.expr) -> tuple[int, int, int, int]:
    """First line, first byte, last line and end byte of an expression, lines counted from 0."""
    last, end = node.end_lineno or node.lineno, node.end_col_offset or node.col_offset
    return node.lineno - 1, node.col_offset, last - 1, end


def _type(annotation: ast.expr) -> Any:
    """Type that a plain annotation stands for; a ValueError for any other."""
    match annotation:
        case ast.Name(id=name) if name in TYPES:
            return TYPES[name]
        case ast.Subscript(value=ast.Name(id="list"), slice=item):
            return list[_type(item)]  # type: ignore[misc]
        case ast.Subscript(value=ast.Name(id="dict"), slice=ast.Tuple(elts=[key, item])):
            return dict[_type(key), _type(item)]  # type: ignore[misc]
    raise ValueError(ast.unparse(annotation))


def with_values(source: str, parameters: list[Parameter], values: Mapping[str, Any]) -> str:
    """
    Source of a parameters cell with other defaults; annotations and comments stay.

    Examples
    --------
    >>> import nbformat
    >>> cell = nbformat.v4.new_code_cell("k: int = 4  # segments")
    >>> cell.metadata.tags = ["parameters"]
    >>> known = read_parameters(nbformat.v4.new_notebook(cells=[cell]))
    >>> with_values(cell.source, known, {"k": 8})
    'k: int = 8  # segments'
    """
    lines = [line.encode() for line in source.split("\n")]  # ast counts bytes
    for parameter in reversed(parameters):
        value = values.get(parameter.name, parameter.default)
        if value != parameter.default:
            first, start, last, end = parameter.span
            new = lines[first][:start] + literal(value).encode() + lines[last][end:]
            lines[first : last + 1] = [new]
    return b"\n".join(lines).decode()


def literal(value: Any) -> str:
    """Python source of a plain value, with double quotes; YAML reads it as the same value."""
    match value:
        case str():
            return json.dumps(value, ensure_ascii=False)
        case list():
            return f"[{', '.join(literal(item) for item in value)}]"
        case dict():
            items = (f"{literal(key)}: {literal(item)}" for key, item in value.items())
            return f"{{{', '.join(items)}}}"
    return repr(value)


def read_values(
    parameters: list[Parameter],
    given: Mapping[str, Any],
    *,
    base: Path,
    notebooks: Path,
    read: Callable[[Parameter, Any], Any] = Parameter.checked,
) -> dict[str, Any]:
    """
    Values for the parameters that were given, each checked.

    Parameters
    ----------
    parameters : list of Parameter
        What the chapter accepts.
    given : dict
        Values by name.
    base, notebooks : Path
        Folders that given paths and default paths are relative to.
    read : callable
        ``Parameter.from_text`` for values from the command line.

    Raises
    ------
    InputError
        With a line for each unknown name, wrong type and missing input file.
    """
    known = {parameter.name: parameter for parameter in parameters}
    values, problems = {}, []
    for name, value in given.items():
        if name not in known:
            msg = f"There is no parameter {name!r}{nearest(name, known)}. There are: "
            problems.append(f"{msg}{listed(known)}.")
            continue
        try:
            values[name] = read(known[name], value)
        except InputError as error:
            problems.append(str(error))
    for parameter in parameters:
        if parameter.is_input_file:
            folder = base if parameter.name in given else notebooks
            value = values.get(parameter.name, parameter.default)
            # An input file may be optional: then its default is empty, and so may the value be.
            if parameter.name not in given or parameter.name in values:
                optional = not value and not parameter.default
                if not optional and value not in parameter.names:
                    problems += _file_problem(parameter, value, folder)
    if problems:
        raise InputError("\n".join(problems))
    return values


def exports_folder(
    parameters: list[Parameter], chapter: str, values: Mapping[str, Any] | None = None
) -> str | None:
    """
    Folder that a chapter exports to, relative to the notebooks: its parameter ``output_dir``.

    Parameters
    ----------
    parameters : list of Parameter
        Those of the chapter.
    chapter : str
        Its name, for the message.
    values : dict, optional
        In place of defaults.

    Returns
    -------
    str or None
        Normalised; None for a chapter without exports.

    Raises
    ------
    InputError
        If it is not a folder inside that of the notebooks, where alone exports are looked for.
    """
    defaults = {parameter.name: parameter.default for parameter in parameters}
    if "output_dir" not in defaults:
        return None
    given = {**defaults, **(values or {})}["output_dir"]
    folder = os.path.normpath(given) if isinstance(given, str) else "."
    if folder == "." or Path(folder).is_absolute() or ".." in Path(folder).parts:
        msg = f"{chapter}: output_dir = {given!r} is not a folder inside notebooks for the exports "
        raise InputError(msg + f"of this chapter alone, such as 'exports/{chapter}'.")
    return Path(folder).as_posix()


def default_exports(project: Path, chapter: str) -> str:
    """Folder that a chapter exports to by default, relative to the notebooks, or nothing."""
    parameters = read_parameters(read_notebook(chapter_path(project, chapter)), chapter)
    return exports_folder(parameters, chapter) or ""


def input_path(text: str, folder: Path) -> Path:
    """Path of an input file given relative to a folder."""
    return folder / Path(text).expanduser()


def _file_problem(parameter: Parameter, text: str, folder: Path) -> list[str]:
    """At most one sentence on why a path is not a file, or folder, that can be read."""
    name, names = parameter.name, parameter.names
    wanted = "file or folder" if parameter.takes_folder else "file"
    path = input_path(text, folder)
    searched = os.path.normpath(path.parent.absolute())
    try:
        if path.is_file():
            with path.open("rb"):
                return []
        if path.is_dir():
            return _folder_problem(parameter, text, path)
        if not path.parent.is_dir():
            return [f"{name}: there is no {wanted} {text!r}: there is no folder {searched}."]
        present = [
            entry.name
            for entry in path.parent.iterdir()
            if entry.is_file() or (parameter.takes_folder and entry.is_dir())
        ]
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        return [f"{name}: {text!r} cannot be read ({reason})."]
    problem = f"{name}: there is no {wanted} {text!r} in {searched}{nearest(path.name, present)}"
    if names:
        problem += f", and it is not one of {listed(names)}{nearest(text, names)}"
    return [f"{problem}."]


def _folder_problem(parameter: Parameter, text: str, path: Path) -> list[str]:
    """At most one sentence on why a folder is not one of files that can be read."""
    name = parameter.name
    if not parameter.takes_folder:
        return [f"{name}: {text!r} is a folder; give one file in it."]
    if not text:
        return [f"{name}: {text!r} is neither a file nor a folder; give the path of one."]
    files = visible_files(path)
    for file in files:
        try:
            with (path / file).open("rb"):
                pass
        except OSError as error:
            place = f"{text!r} holds {file.as_posix()!r}, which cannot be read"
            return [f"{name}: {place} ({error.strerror})."]
    return [] if files else [f"{name}: {text!r} is a folder without any file; put the data there."]
