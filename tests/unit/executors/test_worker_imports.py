"""Every pool loads a worker's modules once: what only some pipelines need would slow down the beginning of all."""

from __future__ import annotations

import subprocess
import sys

SLOW = (
    "ruamel",
    "pandas",
    "pyarrow",
    "duckdb",
    "refold.io.databases",
    "refold.languages.sql",
    "refold.model.yaml_file",
)


def test_a_worker_begins_without_what_only_some_pipelines_need() -> None:
    code = (
        f"import sys, refold.executors.fork_server_process\nprint([each for each in {SLOW!r} if each in sys.modules])"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"
