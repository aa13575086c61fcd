"""What is kept of a run's variables holds no secret, and gives the variables back."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from refold.api.kept_variables import KeptVariables
from refold.errors import BadInputError
from refold.io.secrets.masking import forget_concealed, spellings
from refold.model.block import JsonValue

SECRETS = {
    "PASSWORD": "pässw0rd/'x'",
    "TOKEN": "hunter22",
    "LONGER": "hunter22-and-more",
    "PIN": "4711",
    "KEY": "one\ntwo2",
}
FORMS = sorted({form for value in SECRETS.values() for form in spellings(value).values()})
TEXTS = st.lists(st.one_of(st.text(max_size=5), st.sampled_from(FORMS)), max_size=4).map("".join)
LEAVES = st.one_of(st.none(), st.booleans(), st.integers(), st.just(4711), st.floats(allow_nan=False), TEXTS)
VALUES: st.SearchStrategy[JsonValue] = st.recursive(
    LEAVES,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=3), inner, max_size=3)),
    max_leaves=8,
)


@contextmanager
def environment() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in SECRETS.items():
            patch.setenv(f"REFOLD_SECRET_{name}", value)
        yield
    forget_concealed()


@given(st.dictionaries(st.sampled_from("abc"), VALUES, max_size=3))
def test_what_is_kept_shows_no_secret_and_gives_all_back(variables: Mapping[str, JsonValue]) -> None:
    with environment():
        kept = KeptVariables.of(Path("/nowhere"), variables)
        stored = json.dumps([dict(kept.variables), kept.as_options(), kept.told], ensure_ascii=False)
        again = replace(kept, secrets=tuple(json.loads(json.dumps([*kept.secrets]))))
        for text in _texts(json.loads(stored)):
            assert not any(value in text for value in SECRETS.values())
        if all(isinstance(each, dict) and each["parts"] is not None for each in kept.secrets):
            assert again.given() == variables


def _texts(value: JsonValue) -> Iterator[str]:
    if isinstance(value, dict):
        for key, each in value.items():
            yield key
            yield from _texts(each)
    elif isinstance(value, list):
        for each in value:
            yield from _texts(each)
    elif value is not None:
        yield str(value)


def test_variables_without_secrets_are_kept_as_they_are() -> None:
    with environment():
        variables: dict[str, JsonValue] = {"env": "dev", "n": 5, "deep": [{"x": None}]}
        kept = KeptVariables.of(Path("/nowhere"), variables)
        assert (kept.variables, kept.as_options(), kept.told) == (variables, {}, variables)


def test_two_secrets_are_told_from_each_other() -> None:
    with environment():
        first, second = (
            KeptVariables.of(Path("/nowhere"), {"x": SECRETS[name]}).told for name in ("TOKEN", "PASSWORD")
        )
        assert first != second


def test_a_name_that_holds_a_secret_is_refused_without_showing_it() -> None:
    with environment(), pytest.raises(BadInputError, match=r"`my \*\*\*` holds a secret"):
        KeptVariables.of(Path("/nowhere"), {f"my {SECRETS['TOKEN']}": 1})
