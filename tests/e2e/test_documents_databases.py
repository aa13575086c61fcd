"""The page on databases says what is so."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd
import pytest

from refold.io.databases.named_databases import SQLite
from refold.io.databases.providers import providers

PAGE = (Path(__file__).parents[2] / "docs" / "databases.md").read_text(encoding="utf-8")


def test_its_settings_and_its_code_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    settings, code = (re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)[0] for language in ("yaml", "python"))
    (tmp_path / "pipelines").mkdir()
    (tmp_path / "data").mkdir()
    (tmp_path / "metadata.yaml").write_text("")
    (tmp_path / "io_config.yaml").write_text(settings)
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {"orders": pd.DataFrame({"id": [1, 2], "amount": [50, 150]})}
    exec(code, names)
    large = names["large"]
    assert isinstance(large, pd.DataFrame)
    assert large["id"].tolist() == [2]
    with SQLite(database="data/shop.db") as db:
        assert db.exists("orders")


def test_every_database_is_named_and_told_whether_it_is_tested() -> None:
    rows = [
        line for line in PAGE.splitlines() if (line.startswith("| ") and "refold[" in line) or "| nothing |" in line
    ]
    for provider in providers():
        (row,) = [line for line in rows if provider.name in line]
        assert ("**no**" in row) is not provider.tested
