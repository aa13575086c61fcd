"""What `import refold` gives, and what it costs."""

from __future__ import annotations

import subprocess
import sys

import pytest

import refold

HEAVY = ("pandas", "pyarrow", "polars", "sqlalchemy", "alembic", "numpy")


@pytest.mark.parametrize("name", refold.__all__)
def test_every_name_that_is_promised_is_there(name: str) -> None:
    assert getattr(refold, name) is not None
    assert name in dir(refold)


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    name = "Pipelines"
    with pytest.raises(AttributeError, match="has no attribute 'Pipelines'"):
        getattr(refold, name)


@pytest.mark.parametrize("code", ["import refold", "from refold import Pipeline, transformer, __version__"])
def test_importing_loads_nothing_heavy(code: str) -> None:
    check = f"{code}\nimport sys\nprint([name for name in {HEAVY!r} if name in sys.modules])"
    assert subprocess.check_output([sys.executable, "-c", check], text=True).strip() == "[]"
