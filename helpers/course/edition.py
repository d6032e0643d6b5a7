"""
Editions: a YAML file in which an instructor says which chapters, with whose data and parameters.

Everything in it is optional, and nothing in it is ignored: an unknown word is refused together
with the nearest real one.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args, get_origin

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)
from pydantic.fields import FieldInfo

from helpers.course.launch import (
    branch_name,
    jupyterhub_address,
    repository_address,
    site_address,
)
from helpers.course.parameters import (
    chapter_path,
    read_notebook,
    read_parameters,
    read_values,
)
from helpers.text import InputError, is_line, listed, nearest, read_yaml

Audience = Literal["student", "instructor", "reader"]

LONGEST = 200  # characters of a title or an author


def _line(text: str) -> str:
    """Text of one line, without the spaces around it."""
    text = text.strip()
    # The theme puts a title into its pages as it is, where these would begin and end a tag.
    if not 1 <= len(text) <= LONGEST or not is_line(text) or "<" in text or ">" in text:
        raise ValueError(f"one line of text, at most {LONGEST} characters, without < and >")
    return text


class Edition(BaseModel):
    """What to build, and for whom: the settings that an edition's file may have, and its folder."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Annotated[str, Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", max_length=60)] = Field(
        description="names the folder of the site; lower-case letters, digits and hyphens"
    )
    title: Annotated[str, AfterValidator(_line)] | None = Field(
        default=None, description="in place of the one in _config.yml"
    )
    author: Annotated[str, AfterValidator(_line)] | None = Field(
        default=None, description="in place of the one in _config.yml"
    )
    audience: Audience = Field(
        default="reader", description="solutions are left out, shown open, or folded"
    )
    address: Annotated[str, AfterValidator(site_address)] = Field(
        default="",
        description="https address where the site will stand, for previews of links to its pages; "
        "empty: none",
    )
    repository: Annotated[str, AfterValidator(repository_address)] = Field(
        default="",
        description="https address on GitHub or GitLab, for buttons that open a chapter there "
        "in Binder and Colab; empty: none",
    )
    branch: Annotated[str, AfterValidator(branch_name)] = Field(
        default="main", description="of the repository, for the buttons"
    )
    jupyterhub: Annotated[str, AfterValidator(jupyterhub_address)] = Field(
        default="",
        description="https address of a JupyterHub with nbgitpuller, for one more button; "
        "empty: none",
    )
    chapters: dict[str, dict[str, Any]] = Field(
        default={},
        description="parameters by chapter, in the order of the site; without it, every chapter",
    )
    base: Annotated[Path, Field(exclude=True)] = Field(
        default=Path(), description="folder that paths are relative to"
    )

    @model_validator(mode="after")
    def _has_a_repository_for_the_buttons(self) -> Self:
        for name in ("branch", "jupyterhub"):
            default = type(self).model_fields[name].default
            if not self.repository and getattr(self, name) != default:
                raise ValueError(
                    f"{name} is for the buttons that open chapters of a repository; set repository "
                    f"as well, or leave {name} out."
                )
        return self

    def has_buttons(self, audience: Audience) -> bool:
        """Whether the pages for an audience have buttons that open a chapter elsewhere."""
        return bool(self.repository) and audience != "student"

    def remarks(self, audience: Audience) -> list[str]:
        """What an instructor should know about a site for an audience."""
        if not self.repository or self.has_buttons(audience):
            return []
        return [
            "Pages for students have no buttons that open a chapter elsewhere: the notebooks of "
            f"{self.repository} hold the solutions."
        ]


FIELDS = [field for field in Edition.model_fields if field != "base"]


def accepts(field: FieldInfo) -> str:
    """Words for the type of a setting: its choices if it has any, else as for a parameter."""
    choices = [choice for choice in get_args(field.annotation) if isinstance(choice, str)]
    return ", ".join(choices) or ("dict" if get_origin(field.annotation) is dict else "str")


def find_edition(project: Path, name: str) -> Path:
    """File of an edition given by its path, or by its name in ``editions``."""
    path, named = Path(name), project / "editions" / f"{name}.yml"
    if path.is_file() or named.is_file():
        return path if path.is_file() else named
    known = sorted(file.stem for file in (project / "editions").glob("*.yml"))
    msg = f"There is no edition {name!r}{nearest(path.stem, known)}. Give a file, or a name: "
    raise InputError(f"{msg}{listed(known)}.")


def read_settings(path: Path) -> dict[str, Any]:
    """Settings of a YAML file by name; an empty file has none."""
    try:
        content = read_yaml(path.read_text(encoding="utf-8"), path.name)
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path.name} cannot be read: {error}.") from None
    content = {} if content is None else content
    if not isinstance(content, dict):
        raise InputError(f"{path.name}: write name: value lines.")
    return content


def name_of(path: Path) -> str:
    """Name of an edition whose file does not say another."""
    return path.stem.lower().replace("_", "-")


def read_edition(project: Path, path: Path) -> Edition:
    """
    Edition of a file, with the values of every chapter checked.

    Raises
    ------
    InputError
        With a line for each thing that is wrong.
    """
    content = read_settings(path)
    content.setdefault("name", name_of(path))
    if isinstance(content.get("chapters"), dict):
        # A chapter without parameters is written as its name and a colon.
        content["chapters"] = {
            chapter: {} if values is None else values
            for chapter, values in content["chapters"].items()
        }
    elif content.get("chapters", "") is None:
        del content["chapters"]

    problems = [
        f"There is no setting {key!r}{nearest(key, FIELDS)}. There are: {listed(FIELDS)}."
        for key in content
        if key not in FIELDS
    ]
    known = {key: value for key, value in content.items() if key in FIELDS}
    edition = None
    try:
        edition = Edition(**known, base=path.resolve().parent)
    except ValidationError as error:
        problems += list(model_problems(error))
    chapters = known.get("chapters", {})
    if isinstance(chapters, dict):
        for chapter, values in chapters.items():
            if isinstance(values, dict):
                problems += _chapter_problems(project, str(chapter), values, path.resolve().parent)
    if problems or edition is None:
        raise InputError("\n".join(f"{path.name}: {problem}" for problem in problems))
    return edition


def model_problems(error: ValidationError) -> Iterator[str]:
    """One sentence for each fault that pydantic found."""
    for fault in error.errors():
        where = ".".join(str(part) for part in fault["loc"])
        wanted = fault["msg"].removeprefix("Input should be ").removeprefix("Value error, ")
        if not where:
            yield wanted
            continue
        if fault["type"] == "string_type":
            wanted = "text, in quotes if it looks like something else"
        if where == "name":
            wanted = "lower-case letters, digits and single hyphens, such as spring-2026"
        yield f"{where} takes {wanted}, not {fault['input']!r}."


def _chapter_problems(project: Path, chapter: str, values: dict[str, Any], base: Path) -> list[str]:
    """Each fault in the values for one chapter."""
    try:
        parameters = read_parameters(read_notebook(chapter_path(project, chapter)), chapter)
    except InputError as error:
        return [str(error)]
    problems = []
    if "output_dir" in values:
        problems.append(f"{chapter}: output_dir is chosen by the build; leave it out.")
    try:
        read_values(parameters, values, base=base, notebooks=project / "notebooks")
    except InputError as error:
        problems += [f"{chapter}: {line}" for line in str(error).splitlines()]
    return problems


def chapter_values(project: Path, edition: Edition, chapter: str) -> dict[str, Any]:
    """Values of an edition for a chapter."""
    parameters = read_parameters(read_notebook(chapter_path(project, chapter)), chapter)
    given = edition.chapters.get(chapter, {})
    return read_values(parameters, given, base=edition.base, notebooks=project / "notebooks")
