"""Settings of all tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from refold.io.secrets.masking import forget_concealed
from refold.languages.project_context import set_repo_path

# How long an example takes says more about the machine than about the code.
settings.register_profile("refold", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("refold")


@pytest.fixture(autouse=True)
def _process_is_nobodys() -> Iterator[None]:
    """What one test's runs make of this process, its project and its secrets, is not the next one's."""
    yield
    forget_concealed()
    set_repo_path(None)
