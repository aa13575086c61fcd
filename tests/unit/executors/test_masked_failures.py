"""Failures are masked before anything of them is cut off, wherever the cut is."""

from __future__ import annotations

import pytest

from refold.errors import BlockError, BlockFileError, ProjectError
from refold.executors.failures import failure_of
from refold.io.secrets.masking import conceal

SECRET = "Zyx9-Qwv8-Uts7"
PIECES = ("Zyx9", "Qwv8", "Uts7")


@pytest.fixture(autouse=True)
def _concealed() -> None:
    conceal(SECRET)


@pytest.mark.parametrize("before", [*range(1960, 2010), *range(19_850, 20_010), *range(39_900, 40_010)])
def test_no_piece_of_a_secret_is_left_at_a_cut(before: int) -> None:
    failure = failure_of(ValueError("x" * before + SECRET + "y" * 50_000))
    for text in (failure.error, failure.group, failure.traceback):
        assert not any(piece in text for piece in PIECES)


@pytest.mark.parametrize("kind", [BlockError, BlockFileError, ProjectError])
def test_no_part_of_our_own_errors_shows_one(kind: type[BlockError]) -> None:
    failure = failure_of(kind(f"bad {SECRET}", where=f"postgres://me:{SECRET}@db", fix=f"Try {SECRET} again."))
    for text in (failure.error, failure.group, failure.traceback):
        assert SECRET not in text
    assert "bad ***" in failure.error


def test_secrets_do_not_tell_failures_apart() -> None:
    conceal("0ther-Secret")
    groups = {failure_of(ValueError(f"refused: {secret}")).group for secret in (SECRET, "0ther-Secret")}
    assert groups == {"ValueError: refused: ***"}
