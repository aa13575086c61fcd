"""Settings of all tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from refold.io.secrets.masking import forget_concealed

# How long an example takes says more about the machine than about the code.
settings.register_profile("refold", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("refold")


@pytest.fixture(autouse=True)
def _nothing_stays_concealed() -> Iterator[None]:
    """Secrets of one test are no secrets of the next."""
    yield
    forget_concealed()
