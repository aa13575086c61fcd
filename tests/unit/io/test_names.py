"""What `refold.io` offers by name."""

from __future__ import annotations

import subprocess
import sys

import pytest

import refold.io

NAMES = [name for name in dir(refold.io) if name[0].isupper()] + ["get_secret_value"]


@pytest.mark.parametrize("name", NAMES)
def test_what_is_offered_is_there_under_its_own_name(name: str) -> None:
    assert getattr(refold.io, name).__name__ == name


def test_another_name_is_not_there() -> None:
    with pytest.raises(AttributeError, match="Oracle"):
        refold.io.Oracle  # type: ignore[attr-defined] # noqa: B018


def test_nothing_heavy_is_loaded_before_it_is_used() -> None:
    code = (
        "import sys; from refold.io import ConfigFileLoader, FileIO, Postgres, S3; "
        "heavy = {'pandas', 'pyarrow', 'duckdb', 'sqlalchemy', 'fsspec', 'cryptography', 'jinja2'}; "
        "print(sorted(heavy & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
