"""Templates: what their expressions give is kept apart from the text, and what cannot be is refused with its line."""

from __future__ import annotations

import pytest

from refold.errors import BlockFileError
from refold.io.databases.sql_text import HOLE
from refold.languages.sql.rendering import SqlTemplate

NAMES = {"x": "it's", "xs": [1, 2, 3], "d": {"a": 1}, "call": lambda parse: parse({"a": 5}, {"b": 6})}


def rendered(template: str) -> tuple[str, list[object]]:
    text, values = SqlTemplate(template, "block.sql").render(NAMES)
    return text.text.replace(HOLE, "?"), [values[hole] for hole in text.holes]


@pytest.mark.parametrize(
    ("template", "text", "values"),
    [
        ("a {{ x }} b", "a ? b", ["it's"]),
        ("{% for v in xs %}{{ v }}, {% endfor %}", "?, ?, ?, ", [1, 2, 3]),
        ("{% if x %}yes{% else %}no{% endif %}", "yes", []),
        ("{% set y = x ~ '!' %}{{ y }}", "?", ["it's!"]),
        ("{% set s %}a {{ x }}{% endset %}{{ s }}, {{ s }}", "a ?, a ?", ["it's", "it's"]),
        ("{% macro m(v) %}f({{ v }}){% endmacro %}{{ m(1) }} {{ m(x) }}", "f(?) f(?)", [1, "it's"]),
        ("{% for v in xs %}{{ v }}{{ ', ' if not loop.last }}{% endfor %}", "?, ?, ?", [1, 2, 3]),
        ("{{ ' AND b' if x else '' }} {{ '' if x else 'c' }}", " AND b ", []),
        ("{{ 'a' if x else 'b' }}", "?", ["a"]),
        ("{{ x | safe }} {{ x | upper }} {{ d | tojson }}", "? ? ?", ["it's", "IT'S", '{"a": 1}']),
        ("{% raw %}{{ x }}{% endraw %} {# {{ nothing }} #}", "{{ x }} ", []),
        ("{{ call(parse=lambda data, vars: data['a'] + vars['b']) }}", "?", [11]),
        ("{{ call(parse=lambda d, v: {'k': {'l': (d, v)}}['k']['l'][0]['a']) }}", "?", [5]),
        ("{{ call(parse=lambda d, v: [w for w in (1, 2) if w > 1][0] if d else None) }}", "?", [2]),
        ("{{ call(parse=lambda d, v: 'a), }} lambda ' + str(d['a'])) | upper }}", "?", ["A), }} LAMBDA 5"]),
        ("{% set f = lambda v: v + 1 %}{{ f(1) }} {{ 'lambda' }}", "? ?", [2, "lambda"]),
    ],
)  # fmt: skip
def test_text_and_values_are_apart(template: str, text: str, values: list[object]) -> None:
    assert rendered(template) == (text, values)


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ("\n{{ y }}", "'y' is undefined; the names there are: call, d, x, xs"),
        ("\n{{ d.b }}", "no attribute 'b'"),
        ("\n{{ y | upper }}", "'y' is undefined"),
        ("\n{% for v in y %}{% endfor %}", "'y' is undefined"),
        ("\n{{ x | }}", "template error"),
        ("\n{% filter upper %}{{ x }}{% endfilter %}", "`{% filter %}` cannot be used"),
        ("\n{% set s | upper %}{{ x }}{% endset %}", "`{% set %}` with a filter"),
        ("\n{% call x() %}{% endcall %}", "`{% call %}` cannot be used"),
        ("\n{% include 'other.sql' %}", "`{% include %}` cannot be used"),
        ("\n{% autoescape true %}{{ x }}{% endautoescape %}", "`{% autoescape %}` cannot be used"),
        ("{% set s %}{{ x }}{% endset %}\n{{ s | upper }}", "part of the statement: it cannot be changed"),
        ("{% set s %}{{ x }}{% endset %}\n{{ s ~ x }}", "part of the statement: it cannot be changed"),
        ("\n{{ x.__class__ }}", "unsafe"),
        ("\n{{ call(parse=lambda a b: 1) }}", "a lambda that is not Python: `lambda a b: 1`"),
        ("\n\uffff", "U+FFFF"),
    ],
)
def test_what_is_wrong_has_a_line(template: str, said: str) -> None:
    with pytest.raises(BlockFileError) as raised:
        rendered(template)
    assert said in str(raised.value)
    assert (raised.value.where or "block.sql:2") == "block.sql:2"  # the line of a value is known where it is placed


def test_rows_of_an_upstream_block_that_there_is_not_say_how_many_there_are() -> None:
    with pytest.raises(BlockFileError, match="The block has 0 in `upstream_blocks`; `df_1` is the first one's rows"):
        rendered("SELECT * FROM {{ df_1 }}")


def test_a_name_that_is_near_is_proposed() -> None:
    with pytest.raises(BlockFileError, match="Did you mean `call`"):
        rendered("{{ cal }}")


def test_what_a_lambda_raises_is_its_own_and_says_where() -> None:
    with pytest.raises(KeyError) as raised:
        rendered("\n{{ call(parse=lambda d, v: d['nothing']) }}")
    assert raised.value.__notes__ == ["in the template, block.sql:2"]


def test_the_same_text_is_taken_apart_once() -> None:
    template = SqlTemplate("SELECT {{ x }}", "block.sql")
    assert template.render({"x": 1})[0] is template.render({"x": 2})[0]


def test_lines_are_those_of_the_file() -> None:
    text, _ = SqlTemplate("{% set a = 1 %}\nb\n{% for v in [1, 2] %}\nc\n{% endfor %}\nd", "block.sql").render({})
    lines = [text.line(text.text.rindex(each)) for each in "bcd"]
    assert lines == [2, 4, 6]


@pytest.mark.parametrize(
    "made", ["s.format(x)", "s.format_map({'a': x})", "s.replace('{', x)", "s ~ x", "s + x", "s.join([x, x])"]
)
def test_what_is_made_of_captured_text_is_a_value(made: str) -> None:
    captured = "; {a}" if "format_map" in made else "; {}"
    text, values = rendered("{% set s %}" + captured + "{% endset %}SELECT {{ " + made + " }}")
    assert text == "SELECT ?"
    assert [type(value) for value in values] == [str]


@pytest.mark.parametrize("name", ["sql_text", "_sql_text", "s.of"])
def test_no_expression_makes_text_of_the_statement(name: str) -> None:
    with pytest.raises(BlockFileError):
        rendered("{% set s %}a{% endset %}SELECT {{ " + name + "(x) }}")


def test_no_variable_takes_the_place_of_what_a_template_needs() -> None:
    text = "{{ call(parse=lambda d, v: d['a']) }}{{ ', ' if x else '' }}"
    hostile = {**NAMES, "_lambda_1": "x", "_sql_text": "x", "sql_text": "x", "\0values": []}
    found, values = SqlTemplate(text, "block.sql").render(hostile)
    assert (found.text, list(values)) == (f"{HOLE}, ", [5])
