"""What is concealed appears in no text, however it is written; everything else stays as it is."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from refold.io.secrets.masking import conceal, conceal_settings, forget_concealed, masked, spellings

AWKWARD = """it's "s3cret" \\ päss\tword&more=1"""


def test_a_concealed_value_is_replaced_wherever_it_stands() -> None:
    conceal("s3cret")
    assert masked("s3cret: the s3cret is s3cret.") == "***: the *** is ***."


def test_a_text_without_secrets_is_the_same_text() -> None:
    text = "nothing to hide"
    assert masked(text) is text
    conceal("s3cret")
    assert masked(text) is text


@pytest.mark.parametrize(
    "write",
    [
        str,
        repr,
        ascii,
        json.dumps,
        lambda value: json.dumps(value, ensure_ascii=False),
        lambda value: quote(value, safe=""),
        quote,
        quote_plus,
        lambda value: re.sub("%..", lambda match: match[0].lower(), quote(value)),
        lambda value: repr(value.encode()),
        lambda value: repr({"password": value}),
        lambda value: json.dumps({"password": value}),
        lambda value: json.dumps(repr(value)),
        lambda value: repr(json.dumps({"password": value})),
        lambda value: repr(f"it is '{value}'"),
        lambda value: repr(f'it is "{value}" and that\'s it'),
    ],
)
@pytest.mark.parametrize("secret", [AWKWARD, "s3cret", "two\nlines of it", "back\\slash", "'quoted'"])
def test_a_value_is_found_in_every_common_spelling(write: Callable[[str], str], secret: str) -> None:
    conceal(secret)
    shown = masked(f"before {write(secret)} after")
    assert "***" in shown
    assert not any(form in shown for form in spellings(secret).values())
    assert shown.startswith("before ")
    assert shown.endswith(" after")


def test_lines_of_a_value_are_found_one_by_one() -> None:
    conceal("-----BEGIN KEY-----\nMIIEvQIBADANBg\n  kqhkiG9w0BAQEF\n-----END KEY-----\n")
    assert masked("line MIIEvQIBADANBg") == "line ***"
    assert masked("kqhkiG9w0BAQEF") == "***"
    assert masked("-----BEGIN KEY-----") == "-----BEGIN KEY-----"


@pytest.mark.parametrize("shown", ["", "abc", "true", "Postgres", "localhost", "   ", "****"])
def test_what_is_short_or_common_is_shown(shown: str) -> None:
    conceal(shown)
    assert masked(f"<{shown}>") == f"<{shown}>"


def test_numbers_are_concealed_and_truth_values_and_none_are_not() -> None:
    conceal(12345678, True, None)
    assert masked("12345678 True None") == "*** True None"


def test_the_longer_of_two_values_is_found_and_no_end_of_an_overlapping_one_stays() -> None:
    conceal("s3cret", "s3cret-and-more", "more-yet")
    assert masked("s3cret-and-more") == "***"
    assert masked("s3cret-and-more-yet!") == "***!"


def test_of_a_secret_that_is_json_its_values_are_concealed_too() -> None:
    conceal(json.dumps({"username": "analyst", "password": "hunter22", "hosts": ["db.internal"], "port": 5432}))
    assert masked("hunter22 at db.internal as analyst") == "*** at *** as analyst"


@pytest.mark.parametrize(
    ("settings", "shown"),
    [
        ({"POSTGRES_PASSWORD": "hunter22", "POSTGRES_USER": "hunter22x"}, "***x"),
        ({"MOTHERDUCK_TOKEN": "tok-123"}, "tok-123"),
        ({"AWS_SECRET_ACCESS_KEY": "hunter22"}, "***"),
        ({"GOOGLE_SERVICE_ACC_KEY_FILEPATH": "hunter22"}, "hunter22"),
        ({"GOOGLE_SERVICE_ACC_KEY": {"private_key": "hunter22", "token_uri": "https://x.y"}}, "***"),
        ({"MONGODB_CONNECTION_STRING": "mongodb://me:hunter22@db/x"}, "***"),
        ({"URL": "postgresql://me:hunter22@db:5432/x"}, "***"),
        ({"URL": "postgresql://me:hunter%32%32@db:5432/x"}, "***"),
        ({"PostgreSQL": {"password": "hunter22"}}, "***"),
    ],
)
def test_of_connection_settings_what_opens_doors_is_concealed(settings: dict[str, object], shown: str) -> None:
    conceal_settings(settings)
    text = {"***x": "hunter22x", "tok-123": "tok-123"}.get(shown, "hunter22")
    assert masked(text) == ("***" if shown == "tok-123" else shown)
    assert masked("https://x.y postgresql://me db:5432/x") == "https://x.y postgresql://me db:5432/x"


@given(
    st.lists(st.text(min_size=4, max_size=12), min_size=1, max_size=5),
    st.lists(st.one_of(st.integers(0, 4), st.text(max_size=6)), max_size=8),
)
def test_no_concealed_value_is_left_in_any_text(secrets: list[str], pieces: list[int | str]) -> None:
    forget_concealed()
    kept = [secret for secret in secrets if spellings(secret) and "*" not in secret]
    conceal(*kept)
    text = "".join(piece if isinstance(piece, str) else (kept or [""])[piece % (len(kept) or 1)] for piece in pieces)
    shown = masked(text)
    assert not any(form in shown for secret in kept for form in spellings(secret).values())
    if shown == text:
        assert not any(secret in text for secret in kept)


@given(st.text(min_size=4, max_size=20), st.text(max_size=20), st.text(max_size=20))
def test_what_surrounds_a_value_stays(secret: str, before: str, after: str) -> None:
    forget_concealed()
    if not spellings(secret) or "*" in secret + before + after:
        return
    conceal(secret)
    text = f"{before}\0\0{secret}\0\0{after}"
    if not any(form in before + "\0" + after for form in spellings(secret).values()) and "\0" not in secret:
        assert masked(text) == f"{before}\0\0***\0\0{after}"
