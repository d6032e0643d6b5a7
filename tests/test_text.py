import pytest

from helpers.text import InputError, counted, listed, money, nearest, read_yaml


@pytest.mark.parametrize(
    ("name", "remark"),
    [
        ("Champion", " (nearest: 'Champions')"),
        ("CHAMPIONS", " (nearest: 'Champions')"),
        ("at risk ", " (nearest: 'At Risk')"),
        ("Nobody", ""),
        (2024, " (nearest: '2025')"),
    ],
)
def test_the_nearest_name_is_told_as_it_is_written(name, remark):
    assert nearest(name, ["At Risk", "Champions", 2025]) == remark


def test_the_nearest_does_not_depend_on_the_order_and_any_iterable_will_do():
    known = ["orders_a.csv", "orders_b.csv"]
    told = {nearest("orders.csv", iter(names)) for names in (known, known[::-1], set(known))}
    assert len(told) == 1


def test_nothing_is_near_where_nothing_is_known():
    assert nearest("orders", []) == ""


@pytest.mark.parametrize(
    ("items", "text"),
    [([], "none"), (["a"], "a"), ("ab", "a and b"), ((k for k in (2, 3, 5)), "2, 3 and 5")],
)
def test_a_list_reads_as_in_a_sentence(items, text):
    assert listed(items) == text


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, "0 days"),
        (1, "1 day"),
        (1.0, "1 day"),
        (1.3, "1 day"),
        (0.7, "1 day"),
        (1.6, "2 days"),
        (1234, "1,234 days"),
    ],
)
def test_the_noun_agrees_with_the_number_that_is_written(number, text):
    assert counted(number, "day") == text


def test_a_plural_of_its_own():
    assert [counted(n, "entry", "entries") for n in (1, 2)] == ["1 entry", "2 entries"]


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ((1234.5, "€"), "€1,234"),
        ((1234.567, "CHF ", 2), "CHF 1,234.57"),
        ((5, "EUR"), "EUR\xa05"),
        ((5, "kr."), "kr\\.\xa05"),
        ((5, ""), "5"),
        ((5, "$"), r"\$5"),
        ((5, "A$"), r"A\$5"),
        ((5, "<img src=x>"), r"\<img src\=x\>5"),
        ((5, "{{ x }}`|"), r"\{\{ x \}\}\`\|5"),
    ],
)
def test_money_is_safe_in_markdown(arguments, text):
    assert money(*arguments) == text


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", None),
        ("a: 1", {"a": 1}),
        ("rate: 1e-3", {"rate": 0.001}),
        ("rates: [1E5, -2.e3]", {"rates": [1e5, -2e3]}),
        ("day: 2024-01-31", {"day": "2024-01-31"}),
        ("day: 2024-99-99", {"day": "2024-99-99"}),
        ("a: {b: é}", {"a": {"b": "é"}}),
    ],
)
def test_yaml_gives_plain_values(text, value):
    assert read_yaml(text, "page.yml") == value


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\na: 2", r"^page\.yml, line 2: 'a' is given twice\.$"),
        ("a:\n  b: 1\n  b: 2", r"^page\.yml, line 3: 'b' is given twice\.$"),
        ("1: a\n1: b", r"^page\.yml, line 2: '1' is given twice\.$"),
        ("a: &x [1]\nb: *x", r"^page\.yml, line 2: aliases are not supported\.$"),
        ("a: !!python/name:os.system", r"^page\.yml, line 1: could not determine a constructor"),
        ("a: 1\n--- \nb: 2", r"^page\.yml, line 2: but found another document\.$"),
        ("a: [", r"^page\.yml, line 1: .+\. Check the brackets, quotes and indentation there\.$"),
        ("a: \0", r"^page\.yml: not readable as YAML"),
        ("x" * 100_001, r"^page\.yml: 100,001 characters are too many; at most 100,000\.$"),
        ("[" * 5000, r"^page\.yml, line 1: values lie within values more than 20 deep\.$"),
    ],
    ids=["twice", "below", "number", "alias", "object", "two", "open", "NUL", "long", "deep"],
)
def test_yaml_that_surprises_is_refused_with_its_place(text, message):
    with pytest.raises(InputError, match=message):
        read_yaml(text, "page.yml")
