"""The examples of docs/files.md run, in a project, as they stand."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from refold.io.files.file_formats import FileFormat, file_kind
from refold.io.files.object_stores import S3
from refold.testing.documented_project import mage, write_project

PAGE = (Path(__file__).parents[4] / "docs/files.md").read_text()
EXAMPLES = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
BLOCKS = [each for each in EXAMPLES if "not in globals()" in each]
SCRIPTS = [each for each in EXAMPLES if each not in BLOCKS]
PIPELINE = """
    - {uuid: load_users, type: data_loader, upstream_blocks: [], downstream_blocks: [export_users]}
    - {uuid: export_users, type: data_exporter, upstream_blocks: [load_users], downstream_blocks: []}
    """


def test_the_page_has_examples_of_both_kinds() -> None:
    assert len(BLOCKS) == 2
    assert len(SCRIPTS) == 3


@pytest.mark.parametrize("script", SCRIPTS)
def test_an_example_runs(script: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "io_config.yaml").write_text("default:\n")
    monkeypatch.setattr("refold.languages.project_context._current", [str(tmp_path)])
    # The only thing changed: the bucket is one in memory.
    monkeypatch.setattr(S3, "store", replace(S3.store, protocol="memory", module="", options=lambda _: {}))
    exec(compile(script, "docs/files.md", "exec"), {})


def test_the_blocks_run_as_a_pipeline_with_paths_of_the_project(tmp_path: Path) -> None:
    files = {"data_loaders/load_users.py": BLOCKS[0], "data_exporters/export_users.py": BLOCKS[1]}
    project = write_project(tmp_path, PIPELINE, {**files, "data/users.csv": "id,name\n1,Anna\n2,007\n"})
    done = mage("run", "my_project", "my_pipeline", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert pd.read_parquet(project / "reports/users.parquet").to_dict("list") == {"id": [1, 2], "name": ["Anna", "007"]}


def test_a_block_that_cannot_read_its_file_says_which_and_why(tmp_path: Path) -> None:
    files = {"data_loaders/load_users.py": BLOCKS[0], "data_exporters/export_users.py": BLOCKS[1]}
    write_project(tmp_path, PIPELINE, {**files, "data/users.csv": ""})
    done = mage("run", "my_project", "my_pipeline", cwd=tmp_path)
    assert done.returncode == 1
    assert "FileStoreError: the file is empty, so it is not csv" in done.stdout
    run = done.stdout.split()[1]
    told = mage("logs", run, "load_users", "--project", "my_project", cwd=tmp_path)
    assert "data/users.csv: the file is empty, so it is not csv" in told.stdout


@pytest.mark.parametrize("ending", re.findall(r"`\.(\w+)`", PAGE.split("## Formats")[1].split("behind the")[0]))
def test_the_endings_of_the_table_are_known(ending: str) -> None:
    if ending not in {"gz", "bz2", "xz", "zip", "zst"}:
        assert file_kind(f"a.{ending}", None, "here").format in FileFormat
