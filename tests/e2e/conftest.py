"""Projects laid out as Mage's documents lay them out, and the command `mage` to run them with."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from textwrap import dedent

import pytest


@pytest.fixture(scope="module")
def own_store() -> Iterator[None]:
    """Runs go to the project's own file, whatever the environment says."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("REFOLD_DATABASE_URL", raising=False)
        yield


@pytest.fixture(scope="module")
def write_project(own_store: None, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Writes `my_project` with `my_pipeline` of these blocks, YAML in short, and files by path; the project's path.

    Entries carry neither name nor language, as the documents write them, and the project has no metadata.yaml.
    """

    def write(blocks: str, files: Mapping[str, str]) -> Path:
        project = tmp_path_factory.mktemp("documents") / "my_project"
        head = "created_at: '2026-03-04 12:00:00.000000+00:00'\nname: my_pipeline\ntype: python\nuuid: my_pipeline\n"
        texts = {
            "io_config.yaml": "default: {}\n",
            "pipelines/my_pipeline/metadata.yaml": "blocks:\n" + dedent(blocks).lstrip("\n") + head,
            "pipelines/my_pipeline/__init__.py": "",
            **files,
        }
        for name, text in texts.items():
            (project / name).parent.mkdir(parents=True, exist_ok=True)
            (project / name).write_text(dedent(text).lstrip("\n"), encoding="utf-8")
        return project

    return write


@pytest.fixture(scope="module")
def mage(own_store: None) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs the command `mage` in a folder, to its end."""

    def call(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", "from refold.cli import mage; mage()", *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False, cwd=cwd, timeout=60)

    return call
