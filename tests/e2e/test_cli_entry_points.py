"""`refold --help`, `refold init`, and the command `mage` under the documents' names."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

MAGE = [sys.executable, "-c", "from refold.cli import mage; mage()"]
REFOLD = [sys.executable, "-m", "refold.cli"]
HEAVY = ("pandas", "pyarrow", "polars", "sqlalchemy", "alembic", "rich", "numpy")


def call(command: list[str], *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Runs a command to its end."""
    return subprocess.run([*command, *arguments], capture_output=True, text=True, check=False, cwd=cwd, timeout=60)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Holds `my_project`, made as the documents say."""
    folder = tmp_path_factory.mktemp("mage")
    done = call(MAGE, "init", "my_project", "--project-type", "standalone", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert "--project-type standalone is ignored" in done.stderr
    return folder


def test_help_loads_nothing_heavy(tmp_path: Path) -> None:
    script = (
        "import sys, refold.cli\n"
        "try:\n    refold.cli.main()\n"
        f"finally:\n    print(sorted(set(sys.modules) & set({HEAVY!r})), file=sys.stderr)"
    )
    done = call([sys.executable, "-c", script], "--help", cwd=tmp_path)
    assert done.returncode == 0
    assert "block-runs" in done.stdout
    assert done.stderr == "[]\n"


def test_the_version_is_told(tmp_path: Path) -> None:
    assert call(REFOLD, "--version", cwd=tmp_path).stdout.startswith("refold ")


def test_mage_runs_a_pipeline_as_the_documents_say(folder: Path) -> None:
    done = call(
        MAGE,
        *("run", "my_project", "example_pipeline", "--runtime-vars", '{"env": "prod"}', "--test"),
        *("--executor-type", "local_python", "--pipeline-run-id", "7", "--executor", "inline"),
        cwd=folder,
    )
    assert done.returncode == 0, done.stderr
    assert "tests: no block run had any" in done.stdout
    assert "example_measure_city     3          3       0" in done.stdout
    assert done.stderr == "note: --pipeline-run-id 7 is ignored: it does nothing here\n"


def test_mage_runs_one_block_with_its_variables(folder: Path) -> None:
    block = folder / "my_project" / "data_loaders" / "example_load_cities.py"
    block.write_text(
        "@data_loader\ndef load(*args, **kwargs):\n    return [kwargs['env'], kwargs['execution_partition']]\n",
        encoding="utf-8",
    )
    done = call(
        MAGE,
        *("run", "my_project", "example_pipeline", "--block-uuid", "example_load_cities", "--json"),
        *("--runtime-vars", '{"env": "prod"}', "--execution-partition", "2026/01"),
        cwd=folder,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["value"] == ["prod", "2026/01"]


def test_there_is_no_server_to_start(tmp_path: Path) -> None:
    done = call(MAGE, "start", "my_project", "--port", "6789", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert "there is no server" in done.stderr


def test_a_project_is_made_once(tmp_path: Path) -> None:
    made = call(REFOLD, "init", "shop", "--name", "The shop", cwd=tmp_path)
    assert made.stdout.splitlines() == ["made the project `The shop` in shop", "  refold run shop example_pipeline"]
    again = call(REFOLD, "init", "shop", cwd=tmp_path)
    assert again.returncode == 2
    assert "nothing was changed" in again.stderr


def test_a_plan_shows_how_often_blocks_run(folder: Path) -> None:
    done = call(REFOLD, "plan", "my_project", "example_pipeline", cwd=folder)
    assert [line.split()[-2:] for line in done.stdout.splitlines()[1:]] == [
        ["1", "-"],
        ["|example_load_cities|", "example_load_cities"],
        ["1", "[example_measure_city]"],
    ]
