"""Durations and sizes on the command line."""

import pytest

from refold.cli.duration import duration_text, parse_duration, size_text
from refold.errors import BadInputError


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90), ("15m", 900), ("12h", 43_200), ("7d", 604_800), ("2w", 1_209_600), ("1.5 H", 5400)],
)
def test_a_number_and_a_unit_are_a_duration(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "7", "d", "-1d", "7 days", "1d2h", "infd"])
def test_anything_else_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(BadInputError, match="is no duration") as raised:
        parse_duration(text)
    assert "`7d`" in str(raised.value)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.04, "0.0s"), (12.34, "12.3s"), (59.97, "1m 00s"), (125, "2m 05s"), (11_220, "3h 07m"), (187_300, "2d 04h")],
)
def test_durations_are_shown_in_the_two_largest_units(seconds: float, text: str) -> None:
    assert duration_text(seconds) == text


@pytest.mark.parametrize(
    ("size", "text"), [(0, "0 bytes"), (1, "1 byte"), (999, "999 bytes"), (1400, "1.4 kB"), (999_960, "1.0 MB")]
)
def test_sizes_are_shown_in_powers_of_a_thousand(size: int, text: str) -> None:
    assert size_text(size) == text
