"""The command `refold` on real projects: runs, what is read of them, and how they end."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

ROWS = """
@data_loader
def load(*args, n=6, **kwargs):
    return [[{"row": row} for row in range(n)], [{"block_uuid": f"row_{row}"} for row in range(n)]]
"""
CLEAN = """
@transformer
def transform(row, *args, mended=False, **kwargs):
    print(f"cleaning row {row['row']}")
    if row["row"] in (2, 4) and not mended:
        raise ValueError(f"row {row['row']} is bad")
    return {"row": row["row"], "half": float("nan") if row["row"] == 0 else row["row"] / 2}

@test
def test_it_has_a_row(output, *args):
    assert "row" in output
"""
SAVE = """
@data_exporter
def export(row, *args, **kwargs):
    return row["row"]
"""


def refold(*arguments: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Runs the command to its end."""
    return subprocess.run(
        [sys.executable, "-m", "refold.cli", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        cwd=cwd,
        timeout=60,
    )


def make_project(folder: Path, blocks: Mapping[str, str]) -> Path:
    """A project with a pipeline `demo` of these blocks, one behind the other; the first is dynamic."""
    uuids = list(blocks)
    (folder / "pipelines" / "demo").mkdir(parents=True)
    (folder / "metadata.yaml").write_text("name: demo\n", encoding="utf-8")
    entries = []
    for at, (uuid, source) in enumerate(blocks.items()):
        kind = re.findall(r"@(data_loader|transformer|data_exporter)", source)[0]
        (folder / f"{kind}s").mkdir(exist_ok=True)
        (folder / f"{kind}s" / f"{uuid}.py").write_text(source, encoding="utf-8")
        entry = {"uuid": uuid, "name": uuid, "type": kind, "language": "python", "upstream_blocks": uuids[:at][-1:]}
        entries.append(entry if at else {**entry, "configuration": {"dynamic": True}})
    pipeline = {"name": "demo", "uuid": "demo", "type": "python", "blocks": entries}
    (folder / "pipelines" / "demo" / "metadata.yaml").write_text(json.dumps(pipeline), encoding="utf-8")
    return folder


@dataclass(frozen=True)
class Failed:
    """A run of which two rows failed."""

    project: Path
    done: subprocess.CompletedProcess[str]

    def ask(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """A command about the latest run, from outside the project."""
        return refold(*arguments, "--project", self.project)


@pytest.fixture(scope="module")
def failed(tmp_path_factory: pytest.TempPathFactory) -> Failed:
    project = make_project(tmp_path_factory.mktemp("failed"), {"rows": ROWS, "clean": CLEAN, "save": SAVE})
    return Failed(project, refold("run", project, "demo", "--executor", "inline", "--json"))


def test_a_failed_run_prints_one_object_and_exits_with_1(failed: Failed) -> None:
    report = json.loads(failed.done.stdout)
    assert failed.done.returncode == 1
    assert list(report) == ["run_id", "pipeline_uuid", "status", "seconds", "blocks", "failures"]
    assert (report["pipeline_uuid"], report["status"]) == ("demo", "failed")
    assert report["blocks"]["clean"] == {
        "total": 6,
        "total_final": True,
        "completed": 4,
        "failed": 2,
        "upstream_failed": 0,
        "condition_failed": 0,
        "cancelled": 0,
    }
    assert report["failures"] == [
        {"error": "ValueError: row 2 is bad", "count": 2, "block_runs": ["clean:row_2", "clean:row_4"]}
    ]


@pytest.mark.parametrize("alone", [(), ("--block-uuid", "rows")], ids=["pipeline", "one block"])
def test_a_block_file_that_is_no_text_is_bad_input_and_starts_nothing(tmp_path: Path, alone: tuple[str, ...]) -> None:
    project = make_project(tmp_path, {"rows": ROWS})
    (project / "data_loaders" / "rows.py").write_bytes(b"# caf\xe9\n" + ROWS.encode())
    done = refold("run", project, "demo", *alone)
    assert done.returncode == 2
    assert "rows.py" in done.stderr
    assert "Save the file as UTF-8" in done.stderr
    assert not (project / ".mage_data").exists()


@pytest.mark.parametrize("command", ["run", "plan"])
def test_what_is_odd_about_a_pipeline_is_told_on_stderr(tmp_path: Path, command: str) -> None:
    project = make_project(tmp_path, {"rows": ROWS, "save": SAVE})
    file = project / "pipelines" / "demo" / "metadata.yaml"
    pipeline = json.loads(file.read_text(encoding="utf-8"))
    pipeline["blocks"][1]["upstream_blocks"] = ["rows", "rows"]
    file.write_text(json.dumps(pipeline), encoding="utf-8")
    done = refold(command, project, "demo", "--json")
    assert done.returncode == 0
    assert re.search("warning: .*metadata.yaml.*`rows`", done.stderr)


def test_what_threads_and_subprocesses_of_blocks_print_is_not_in_the_json(tmp_path: Path) -> None:
    noisy = """
import subprocess, threading

@data_loader
def load(*args, **kwargs):
    thread = threading.Thread(target=print, args=("from a thread",))
    thread.start()
    thread.join()
    subprocess.run(["echo", "from a subprocess"], check=True)
    return [1]
"""
    project = make_project(tmp_path, {"noisy": noisy})
    done = refold("run", project, "demo", "--executor", "inline", "--json")
    assert json.loads(done.stdout)["status"] == "completed"
    assert "from a subprocess" in done.stderr
    alone = refold("run", project, "demo", "--block-uuid", "noisy", "--json")
    assert json.loads(alone.stdout)["value"] == [1]


def test_show_and_runs_print_the_object_of_the_run(failed: Failed) -> None:
    report = json.loads(failed.done.stdout)
    assert json.loads(failed.ask("show", report["run_id"], "--json").stdout) == report
    listed = [json.loads(line) for line in refold("runs", failed.project, "--json").stdout.splitlines()]
    assert report in listed


def test_block_runs_are_lines_in_key_order(failed: Failed) -> None:
    lines = [json.loads(line) for line in failed.ask("block-runs", "latest", "--json").stdout.splitlines()]
    assert list(lines[1]) == [
        "block_run_uuid",
        "block_uuid",
        "label",
        "key",
        "status",
        "attempts",
        "started_at",
        "completed_at",
        "error",
    ]
    assert [line["block_run_uuid"] for line in lines[:3]] == ["rows", "clean:row_0", "clean:row_1"]
    bad = lines[3]
    assert (bad["label"], bad["key"], bad["status"]) == ("row_2", [2], "failed")
    assert bad["error"] == "ValueError: row 2 is bad"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}\+00:00", bad["started_at"])


def test_block_runs_of_one_status_are_a_table(failed: Failed) -> None:
    done = failed.ask("block-runs", "latest", "--block", "clean", "--status", "failed")
    assert [line.split()[:3] for line in done.stdout.splitlines()[1:]] == [
        ["clean:row_2", "failed", "1"],
        ["clean:row_4", "failed", "1"],
    ]


def test_an_output_is_the_value_and_nan_is_null(failed: Failed) -> None:
    assert json.loads(failed.ask("output", "latest", "clean:row_0", "--json").stdout) == {"row": 0, "half": None}


def test_an_output_that_is_not_there_says_why(failed: Failed) -> None:
    done = failed.ask("output", "latest", "clean:row_2")
    assert (done.returncode, done.stdout) == (2, "")
    assert "row 2 is bad" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_trace_names_the_block_run_above(failed: Failed) -> None:
    assert json.loads(failed.ask("trace", "latest", "save:row_1", "--json").stdout) == {
        "upstream": "clean",
        "index": None,
        "block_run_uuid": "clean:row_1",
        "element": None,
        "strategy": None,
    }


def test_logs_of_a_failed_block_run_end_with_its_traceback(failed: Failed) -> None:
    lines = failed.ask("logs", "latest", "clean:row_2").stdout.splitlines()
    assert lines[0].endswith("  cleaning row 2")
    assert "Traceback" in lines[1]
    assert lines[-1] == "ValueError: row 2 is bad"


def test_an_unknown_run_exits_with_2(failed: Failed) -> None:
    unknown = failed.ask("show", "20200101-nothing")
    assert (unknown.returncode, unknown.stdout) == (2, "")
    assert "there is no run `20200101-nothing`" in unknown.stderr


def test_a_report_begins_with_failures_and_ends_with_what_to_do(failed: Failed) -> None:
    lines = refold("show", "latest", cwd=failed.project / "pipelines").stdout.splitlines()
    assert lines[:2] == ["2 x ValueError: row 2 is bad", "    clean:row_2, clean:row_4"]
    assert [line.split() for line in lines[3:5]] == [
        ["block", "runs", "completed", "failed", "upstream", "failed"],
        ["rows", "1", "1", "0", "0"],
    ]
    run = json.loads(failed.done.stdout)["run_id"]
    assert f"  refold retry {run}    runs what did not complete" in lines
    assert lines[-1].startswith("outputs: ")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["demo", "--runtime-vars", "{env: prod}"], "not JSON"),
        (["dmeo"], "Did you mean `demo`?"),
    ],
)
def test_wrong_input_exits_with_2_and_writes_nothing(arguments: list[str], said: str, tmp_path: Path) -> None:
    project = make_project(tmp_path / "p", {"rows": ROWS})
    done = refold("run", project, *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert not (project / ".mage_data").exists()


def test_a_retry_from_a_block_runs_it_anew(tmp_path: Path) -> None:
    project = make_project(tmp_path / "p", {"rows": ROWS, "clean": CLEAN})
    assert refold("run", project, "demo", "--executor", "inline").returncode == 1
    file = project / "transformers" / "clean.py"
    file.write_text(CLEAN.replace("mended=False", "mended=True"), encoding="utf-8")
    done = refold("retry", "latest", "--from-block", "clean", "--json", cwd=project)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["status"] == "completed"


def test_one_block_shows_its_prints_then_its_value(failed: Failed) -> None:
    done = refold("run", failed.project, "demo", "--block-uuid", "clean", "--child", "row_3")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["cleaning row 3", "1/1 tests passed.", "{'row': 3, 'half': 1.5}"]


def test_one_block_that_fails_exits_with_1_and_its_traceback(failed: Failed) -> None:
    done = refold("run", failed.project, "demo", "--block-uuid", "clean", "--child", "row_2", "--json")
    assert done.returncode == 1
    assert json.loads(done.stdout)["error"] == "ValueError: row 2 is bad"
    assert "Traceback" in done.stderr


def test_a_reader_that_goes_away_is_no_error(tmp_path: Path) -> None:
    project = make_project(tmp_path / "p", {"rows": ROWS, "save": SAVE})
    done = refold("run", project, "demo", "--executor", "inline", "--runtime-vars", '{"n": 1000}')
    assert done.returncode == 0, done.stderr
    buffered = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    for command, bytes_read in (("block-runs", 10), ("show", 0)):
        reader, writer = os.pipe()
        process = subprocess.Popen(
            [sys.executable, "-m", "refold.cli", command, "latest", "--json"],
            stdout=writer,
            stderr=subprocess.PIPE,
            text=True,
            cwd=project,
            env=buffered,
        )
        os.close(writer)
        os.read(reader, bytes_read)
        os.close(reader)
        _, complaint = process.communicate(timeout=60)
        assert (process.returncode, complaint) == (0, "")


def test_old_runs_are_deleted_when_somebody_says_what_is_old(tmp_path: Path) -> None:
    project = make_project(tmp_path / "p", {"rows": ROWS})
    assert refold("run", project, "demo", "--executor", "inline").returncode == 0
    refused = refold("clean", project)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert refold("clean", project, "--keep", "0").stdout.startswith("deleted 1 run, ")
