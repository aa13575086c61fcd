"""Items share a value when its JSON text is the same."""

from __future__ import annotations

from datetime import date

import pytest

from refold.model.limit_value import limit_value


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("a", '"a"'),
        (1, "1"),
        (1.0, "1.0"),
        (True, "true"),
        (None, "null"),
        ([1, "a"], '[1, "a"]'),
        ((1, "a"), '[1, "a"]'),
        ({"b": 1, "a": 2}, '{"a": 2, "b": 1}'),
        (date(2026, 1, 2), '"2026-01-02"'),
        ({1: 2, "a": 3}, "\"{1: 2, 'a': 3}\""),
    ],
)
def test_a_value_is_known_by_its_text(value: object, text: str) -> None:
    assert limit_value({"key": value, "other": 5}, "key") == text


def test_items_without_the_key_are_one_group() -> None:
    assert limit_value(None, "key") == limit_value({}, "key") == limit_value({"key": None}, "key") == "null"


def test_a_value_that_holds_itself_has_a_text_too() -> None:
    endless: list[object] = []
    endless.append(endless)
    assert limit_value({"key": endless}, "key") == '"[[...]]"'
