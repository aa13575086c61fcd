"""`--runtime-vars`: one JSON object, or a message."""

import pytest

from refold.cli.runtime_variables import parse_runtime_variables
from refold.errors import BadInputError


def test_an_object_gives_variables() -> None:
    assert parse_runtime_variables('{"env": "prod", "days": [1, 2]}') == {"env": "prod", "days": [1, 2]}


def test_without_the_option_there_are_none() -> None:
    assert parse_runtime_variables(None) == {}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{env: prod}", "not JSON: .* at character 2"),
        ("", "it is empty"),
        ("[1]", "expected a JSON object, got a list"),
        ("null", "expected a JSON object, got null"),
        ("true", "got true"),
        ('{"a": NaN}', "NaN is no JSON number"),
        ('{"a": "\\ud800"}', "surrogates not allowed"),
        ('{"a":' * 100_000, "nested too deeply"),
    ],
)
def test_anything_else_is_refused_with_the_option_named(text: str, said: str) -> None:
    with pytest.raises(BadInputError, match=said) as raised:
        parse_runtime_variables(text)
    assert raised.value.where == "--runtime-vars"
