"""Projects laid out as Mage's documents lay them out, and the command `mage` that the documents run them with."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from textwrap import dedent

_HEAD = "created_at: '2026-03-04 12:00:00.000000+00:00'\nname: my_pipeline\ntype: python\nuuid: my_pipeline\n"


def write_project(folder: Path, blocks: str, files: Mapping[str, str]) -> Path:
    """Writes `my_project` into the folder, with `my_pipeline` of these blocks and files by path; the project's path.

    `blocks` is the list in YAML, indented as may be; other lists, such as `callbacks`, may follow it. As in the
    documents, entries need neither name nor language, and the project has no metadata.yaml. A file given replaces one
    that would have been written.
    """
    project = folder / "my_project"
    texts = {
        "io_config.yaml": "default: {}\n",
        "pipelines/my_pipeline/metadata.yaml": "blocks:\n" + dedent(blocks).lstrip("\n") + _HEAD,
        "pipelines/my_pipeline/__init__.py": "",
        **files,
    }
    for name, text in texts.items():
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        (project / name).write_text(dedent(text).lstrip("\n"), encoding="utf-8")
    return project


def mage(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Runs the command `mage` in a folder to its end: exit code, stdout and stderr."""
    command = [sys.executable, "-c", "from refold.cli import mage; mage()", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=cwd, timeout=60)
