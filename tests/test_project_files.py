"""What an open project says about itself: who may do what, how to cite it, what has changed."""

import json
import re
import tomllib

import pytest
import yaml
from course_project import ROOT
from jsonschema import Draft7Validator, FormatChecker, ValidationError

# That of the Citation File Format 1.2.0 (S. Druskat and others), CC BY 4.0, as it was published.
SCHEMA = json.loads((ROOT / "tests" / "citation_file_format_1.2.0.json").read_text())
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def validate(citation):
    Draft7Validator(SCHEMA, format_checker=FormatChecker()).validate(citation)


@pytest.fixture
def citation():
    # All as text, dates included, which is how the format means them.
    return yaml.load((ROOT / "CITATION.cff").read_text(), Loader=yaml.BaseLoader)  # noqa: S506


def test_the_citation_is_valid_by_the_schema_of_its_format(citation):
    validate(citation)


@pytest.mark.parametrize(
    "fault",
    [{"authors": []}, {"licence": "MIT"}, {"license": "BSD"}, {"date-released": "June 2026"}],
    ids=["nobody", "misspelt", "unknown licence", "no day"],
)
def test_the_schema_refuses_what_is_none(citation, fault):
    with pytest.raises(ValidationError):
        validate(citation | fault)


def test_everybody_gives_the_same_version_and_licence(citation):
    assert citation["version"] == PROJECT["version"]
    assert citation["license"] == PROJECT["license"]


def test_the_licences_are_there_and_are_those_that_are_named():
    assert PROJECT["license-files"] == ["LICENSE"]
    code, text = (ROOT / "LICENSE").read_text(), (ROOT / "LICENSE-text").read_text()
    assert code.startswith("BSD 3-Clause License\n\nCopyright (c) 2026, Practical Clustering")
    assert text.startswith("Creative Commons Attribution 4.0 International\n")
    assert [text.count(f"\nSection {number} ") for number in range(1, 10)] == [1] * 8 + [0]
    readme = (ROOT / "README.md").read_text()
    for name in ("LICENSE", "LICENSE-text", "CITATION.cff", "CONTRIBUTING.md", "CHANGELOG.md"):
        assert f"]({name})" in readme


def test_the_changes_are_told_by_versions_with_the_newest_first():
    "Keep a Changelog: versions as headings of second rank, kinds of changes as those of third"
    text = (ROOT / "CHANGELOG.md").read_text()
    versions = re.findall(r"^## \[(.+?)\](?: - (\d{4}-\d\d-\d\d))?$", text, flags=re.MULTILINE)
    assert len(versions) == len(re.findall(r"^## ", text, flags=re.MULTILINE))
    assert versions[0] == ("Unreleased", "")
    released = [tuple(map(int, number.split("."))) for number, _ in versions[1:]]
    assert released == sorted(released, reverse=True)
    assert all(day for _, day in versions[1:])
    kinds = {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
    assert set(re.findall(r"^### (.+)$", text, flags=re.MULTILINE)) <= kinds
