"""Tests that need R are skipped by name where there is none."""

from __future__ import annotations

import shutil

import pytest


def require_rscript() -> None:
    """Skips the test, with the reason, where `Rscript` is not installed."""
    if shutil.which("Rscript") is None:
        pytest.skip("R IS NOT TESTED: there is no `Rscript` on the PATH")
