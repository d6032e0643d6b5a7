"""Words for the reader: errors with a remedy, sentences around numbers, and small texts read."""

import difflib
import re
import unicodedata
from collections.abc import Hashable, Iterable
from typing import Any

import yaml

MAX_YAML = 100_000  # characters; what people write by hand is a page, not a data set
MAX_DEPTH = 20  # of values within values

# Other signs mean nothing in Markdown, and without backslashes a person can read its source.
_MARKUP = re.escape('\\`*_{}[]()<>#+-.!|$&:~^=@"')
_UNSEEN = ("Cc", "Cs", "Zl", "Zp")  # controls, halves of characters, separators of lines


class InputError(ValueError):
    r"""
    Something given that cannot be used as it is; the message says what is wrong and what to do.

    Each line of the message is one problem. About a file it begins with the file's name, and line
    numbers are those of the file, its first line being 1.

    Examples
    --------
    >>> read_yaml("K: 4\nK: 5", "spring.yml")
    Traceback (most recent call last):
    helpers.text.InputError: spring.yml, line 2: 'K' is given twice.
    """


def nearest(name: object, known: Iterable[object]) -> str:
    """
    Remark on the known name most like this one, to put behind it; empty if none is like it.

    Examples
    --------
    >>> f"There is no segment 'champion'{nearest('champion', ['At Risk', 'Champions'])}."
    "There is no segment 'champion' (nearest: 'Champions')."
    """
    folded = {text.casefold(): text for text in sorted(map(str, known))}
    close = difflib.get_close_matches(str(name).casefold(), folded, n=1)
    return f" (nearest: {folded[close[0]]!r})" if close else ""


def listed(items: Iterable[object]) -> str:
    """
    Write a list as a sentence does; "none" if it is empty.

    Examples
    --------
    >>> listed([2, 3, 5])
    '2, 3 and 5'
    """
    texts = [str(item) for item in items]
    if not texts:
        return "none"
    *firsts, last = texts
    return f"{', '.join(firsts)} and {last}" if firsts else last


def counted(number: float, noun: str, plural: str | None = None) -> str:
    """
    Whole number with its noun; the plural has an s unless it is given.

    Examples
    --------
    >>> counted(1, "order"), counted(2000, "order"), counted(2, "address", "addresses")
    ('1 order', '2,000 orders', '2 addresses')
    """
    text = f"{number:,.0f}"
    return f"{text} {noun if text == '1' else plural or noun + 's'}"


def escaped(text: str) -> str:
    r"""
    Text for Markdown that shows it as it is: a bare dollar sign would begin a formula.

    Examples
    --------
    >>> print(escaped("# 3 < 4 {{ x }}"))
    \# 3 \< 4 \{\{ x \}\}
    """
    return re.sub(rf"[{_MARKUP}]", r"\\\g<0>", text)


def is_line(text: str) -> bool:
    """Whether a text has neither more than one line nor characters that only control."""
    return not any(unicodedata.category(character) in _UNSEEN for character in text)


def money(amount: float, currency: str, digits: int = 0) -> str:
    r"""
    Amount with its currency in front, for Markdown.

    A sign such as $ touches the amount; a code or word, such as EUR or kr., has a space after it.

    Examples
    --------
    >>> print(money(1234.5, "$", 2))
    \$1,234.50
    >>> money(190, "EUR")
    'EUR\xa0190'
    """
    space = "\N{NO-BREAK SPACE}" if re.search(r"[^\W\d_]\.?$", currency) else ""
    return f"{escaped(currency)}{space}{amount:,.{digits}f}"


class _Loader(yaml.SafeLoader):
    """YAML without surprises: dates stay text, 1e-3 is a number, no key twice, no aliases."""

    yaml_implicit_resolvers = {  # noqa: RUF012
        first: [rule for rule in rules if not rule[0].endswith(":timestamp")]
        for first, rules in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    depth = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            mark = self.peek_event().start_mark
            raise yaml.MarkedYAMLError(problem="aliases are not supported", problem_mark=mark)
        self.depth += 1
        if self.depth > MAX_DEPTH:
            mark = self.peek_event().start_mark
            problem = f"values lie within values more than {MAX_DEPTH} deep"
            raise yaml.MarkedYAMLError(problem=problem, problem_mark=mark)
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if str(key.value) in seen:
                problem = f"{key.value!r} is given twice"
                raise yaml.MarkedYAMLError(problem=problem, problem_mark=key.start_mark)
            seen.add(str(key.value))
        return super().construct_mapping(node, deep)


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?\d+(\.\d*)?[eE][-+]?\d+$"),
    list("-+0123456789"),
)


def read_yaml(text: str, name: str) -> Any:
    """
    Plain values of a YAML text, strictly: no key twice, no aliases, dates stay text.

    Parameters
    ----------
    text : str
    name : str
        Where the text came from, for the message.

    Raises
    ------
    InputError
        If the text is no such YAML, with the line.
    """
    if len(text) > MAX_YAML:
        raise InputError(f"{name}: {len(text):,} characters are too many; at most {MAX_YAML:,}.")
    try:
        loader = _Loader(text)
        try:
            return loader.get_single_data()
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        line = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
        found_by_yaml = isinstance(error, yaml.scanner.ScannerError | yaml.parser.ParserError)
        remedy = " Check the brackets, quotes and indentation there." if found_by_yaml else ""
        raise InputError(f"{name}{line}: {error.problem or error.context}.{remedy}") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{name}: not readable as YAML ({reason}).") from None
