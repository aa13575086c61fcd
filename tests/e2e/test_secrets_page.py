"""docs/secrets.md: its files and commands, in its order, do what it says."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from refold.io.settings.config import ConfigFileLoader
from refold.io.settings.expressions import make_environment
from refold.io.settings.template_functions import template_functions
from refold.model.project import Project

PAGE = Path(__file__).parents[2] / "docs" / "secrets.md"
_FENCED = re.compile(r"In (?:a block, )?`([^`]+)`:\n\n```\w+\n(.*?)```", re.DOTALL)
_CONSOLE = re.compile(r"```console\n(.*?)```", re.DOTALL)
_CHANGES = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00|\d\d:\d\d:\d\d\.\d{3}")
VALUE = "correct-horse1"


def commands() -> list[tuple[str, str]]:
    """Each command of the page and what it is shown to print."""
    shown = "".join(_CONSOLE.findall(PAGE.read_text(encoding="utf-8")))
    return [(each.partition("\n")[0], each.partition("\n")[2]) for each in shown.split("$ ")[1:]]


@pytest.fixture
def environment(tmp_path: Path) -> Mapping[str, str]:
    (tmp_path / "bin").mkdir()
    command = tmp_path / "bin" / "refold"
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m refold.cli "$@"\n', encoding="utf-8")
    command.chmod(0o755)
    kept = {name: value for name, value in os.environ.items() if name not in {"REFOLD_SECRETS_KEY", "SCHEMA"}}
    path = f"{tmp_path / 'bin'}:{os.environ['PATH']}"
    return {**kept, "PATH": path, "XDG_CONFIG_HOME": str(tmp_path / "config"), "API_KEY": "hunter22"}


def test_the_page_tells_the_truth(
    tmp_path: Path, environment: Mapping[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    project = Project.init(tmp_path / "project").path
    (project / "password.txt").write_text(f"{VALUE}\n", encoding="utf-8")
    files = dict(_FENCED.findall(PAGE.read_text(encoding="utf-8")))
    assert set(files) == {"data_loaders/load_users.py", "io_config.yaml", "pipelines/users/metadata.yaml"}
    for name, text in files.items():
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        (project / name).write_text(text, encoding="utf-8")
    for command, shown in commands():
        done = subprocess.run(
            command, shell=True, cwd=project, env=environment, capture_output=True, text=True, check=False, timeout=60
        )
        assert done.returncode == 0, done.stderr
        assert VALUE not in done.stdout + done.stderr
        if shown:
            said = _CHANGES.sub("", done.stdout)
            assert said.split() == _CHANGES.sub("", shown).split(), command
    monkeypatch.setenv("XDG_CONFIG_HOME", environment["XDG_CONFIG_HOME"])
    assert ConfigFileLoader(project / "io_config.yaml")["POSTGRES_PASSWORD"] == VALUE


def test_the_page_names_every_function_and_filter() -> None:
    text = PAGE.read_text(encoding="utf-8")
    functions = template_functions({}, None)
    named = set(re.findall(r"^\| `(\w+)\(", text, re.MULTILINE)) - {"trigger_pipeline"}
    assert named == set(functions)
    filters = set(make_environment(functions).filters) - {"d"}
    listed = text[text.index("the filters") : text.index("; no loops")]
    assert set(re.findall(r"`(\w+)`", listed)) == filters
