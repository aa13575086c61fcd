from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from refold.languages.keywords import RESERVED, merge_keywords


def test_variables_win_over_built_ins() -> None:
    assert merge_keywords({"env": "prod", "ds": "today"}, {"env": "dev"}, [], {}) == {"env": "dev", "ds": "today"}


def test_metadata_wins_over_variables_and_the_inner_axis_over_the_outer() -> None:
    outer = {"block_uuid": "us", "region": "US", "size": 1}
    inner = {"block_uuid": "x", "size": 2}
    merged = merge_keywords({"env": "dev"}, {"region": "any", "size": 0}, [outer, None, inner], {})
    assert merged == {"env": "dev", "region": "US", "size": 2}


def test_reserved_names_are_never_overridden() -> None:
    wrong = dict.fromkeys(RESERVED, "wrong")
    given: dict[str, object] = {"block_uuid": "clean", "dynamic_block_index": 3}
    assert merge_keywords(wrong, wrong, [wrong], given) == given


def test_a_reserved_name_that_is_not_given_stays_absent() -> None:
    assert "dynamic_block_index" not in merge_keywords({}, {"dynamic_block_index": 1}, [], {"block_uuid": "clean"})


def test_metadata_keys_that_are_not_text_are_left_out() -> None:
    metadata = cast("Mapping[str, object]", {1: "one", "two": 2, ("a",): 3})
    assert merge_keywords({}, {}, [metadata], {}) == {"two": 2}


def test_what_was_given_is_left_as_it_was() -> None:
    builtins: dict[str, object] = {"env": "dev", "context": "mine"}
    merge_keywords(builtins, {"env": "prod"}, [{"a": 1}], {"block_uuid": "b"})
    assert builtins == {"env": "dev", "context": "mine"}
