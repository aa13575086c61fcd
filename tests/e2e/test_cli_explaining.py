"""The commands that tell before and after a run what it does and why: plan, trace, why, debug, retry of block runs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

FILES = {
    "metadata.yaml": "project_type: standalone\n",
    "pipelines/daily/metadata.yaml": """
type: python
blocks:
- {uuid: users, type: data_loader, configuration: {dynamic: true}}
- {uuid: orders, type: transformer, upstream_blocks: [users], configuration: {dynamic: true}}
- uuid: price
  type: transformer
  upstream_blocks: [orders]
  configuration: {reduce_output: true, dynamic: {reduce: {strategy: sum, levels: 1}, tolerate: 1}}
- {uuid: told, type: data_exporter, upstream_blocks: [price]}
""",
    "data_loaders/users.py": """
@data_loader
def users():
    return [["ann", "bob"], [{"block_uuid": "ann"}, {"block_uuid": "bob"}]]
""",
    "transformers/orders.py": """
@transformer
def orders(user):
    for number in range(3):
        yield f"{user}{number}", {"block_uuid": f"o{number}"}
""",
    "transformers/price.py": """
@transformer
def price(order):
    amount = int(order[-1]) * 10
    print(f"pricing {order}")
    if order == "ann1":
        raise ValueError(f"{order} has no price")
    return amount
""",
    "data_exporters/told.py": """
@data_exporter
def told(total, **kwargs):
    return {kwargs["block_run_uuid"]: total}
""",
}


def refold(*arguments: str | Path, cwd: Path, stdin: str = "") -> subprocess.CompletedProcess[str]:
    """Runs the command to its end."""
    environment = {name: value for name, value in os.environ.items() if name != "REFOLD_DATABASE_URL"}
    return subprocess.run(
        [sys.executable, "-m", "refold.cli", *map(str, arguments)],
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
        cwd=cwd,
        timeout=60,
        env=environment,
    )


def make_project(folder: Path, files: Mapping[str, str] = FILES) -> Path:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of it has completed, with one failure that is tolerated."""
    project = make_project(tmp_path_factory.mktemp("shop"))
    done = refold("run", ".", "daily", "--executor", "inline", cwd=project)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "; 1 failure was tolerated" in done.stdout
    assert done.stdout.index("1 x ValueError: ann1 has no price") < done.stdout.index("block ")
    return project


def test_a_plan_counts_what_is_assumed(project: Path) -> None:
    done = refold("plan", ".", "daily", "--assume", "users=1000", "--assume", "orders=3", cwd=project)
    assert done.returncode == 0, done.stderr
    rows = [line.split("  ") for line in done.stdout.splitlines()]
    assert [cell.strip() for cell in rows[3] if cell] == [
        "price",
        "transformer",
        "|orders of users|",
        "3,000",
        "orders",
    ]
    assert done.stdout.splitlines()[-1] == "in all: 5,001 block runs"


def test_a_plan_is_one_object(project: Path) -> None:
    plan = json.loads(refold("plan", ".", "daily", "--assume", "users=4", "--json", cwd=project).stdout)
    assert (plan["assumed"], plan["total"], plan["missing"]) == ({"users": 4}, None, ["orders"])
    told = plan["blocks"][-1]
    assert list(told) == [
        "uuid",
        "type",
        "upstream_blocks",
        "reduced_upstream_blocks",
        "inputs",
        "axes",
        "join",
        "dynamic",
        "runs",
        "assumed_runs",
        "notes",
    ]
    assert (told["reduced_upstream_blocks"], told["axes"], told["runs"]) == (["price"], ["users"], "|users|")
    assert told["inputs"] == [{"upstream": "price", "kind": "folded", "levels": 1, "strategy": "sum"}]


def test_a_plan_of_an_unknown_block_is_bad_input(project: Path) -> None:
    done = refold("plan", ".", "daily", "--assume", "user=3", cwd=project)
    assert (done.returncode, done.stdout) == (2, "")
    assert "Did you mean `users`?" in done.stderr


def test_a_trace_of_a_fold_lists_what_was_folded_and_counts_the_rest(project: Path) -> None:
    done = refold("trace", "latest", "told:ann", cwd=project)
    assert [line.split() for line in done.stdout.splitlines()[1:]] == [
        ["price", "sum", "-", "price:ann:o0", "0"],
        ["price", "sum", "-", "price:ann:o2", "0"],
        ["price:", "1", "run", "that", "is", "failed", "left", "out"],
    ]


def test_a_trace_that_fails_prints_no_table(tmp_path: Path) -> None:
    project = make_project(tmp_path)
    assert refold("run", ".", "daily", "--executor", "inline", cwd=project).returncode == 0
    for segment in project.rglob("*.seg"):
        segment.write_bytes(b"\0" * segment.stat().st_size)
    done = refold("trace", "latest", "told:0", cwd=project)
    assert (done.returncode, done.stdout) == (1, "")
    assert "damaged" in done.stderr


def test_why_is_one_sentence_or_one_object(project: Path) -> None:
    done = refold("why", "latest", "price:ann:o1", cwd=project)
    assert (done.returncode, done.stdout) == (0, "`price:ann:o1` failed: ValueError: ann1 has no price\n")
    reason = json.loads(refold("why", "latest", "told:bob", "--json", cwd=project).stdout)
    assert list(reason) == ["block_run_uuid", "status", "reason", "sentence", "block_runs", "count", "run_id"]
    assert (reason["status"], reason["reason"], reason["count"]) == ("completed", "ran", 0)
    unknown = refold("why", "latest", "price:ann:o7", cwd=project)
    assert (unknown.returncode, unknown.stdout) == (2, "")
    assert "`orders:ann` gave no item `o7`" in unknown.stderr


def test_debug_prints_what_the_block_prints_then_its_value(project: Path) -> None:
    before = refold("runs", "--json", cwd=project).stdout
    done = refold("debug", "latest", "price:bob:o2", cwd=project)
    assert (done.returncode, done.stdout, done.stderr) == (0, "pricing bob2\n20\n", "")
    assert refold("debug", "latest", "told:bob", cwd=project).stdout == "{'told:bob': 30}\n"
    assert refold("runs", "--json", cwd=project).stdout == before


def test_debug_of_a_failure_prints_its_traceback_and_exits_with_1(project: Path) -> None:
    done = refold("debug", "latest", "price:ann:o1", cwd=project)
    assert (done.returncode, done.stdout) == (1, "pricing ann1\n")
    lines = done.stderr.splitlines()
    assert lines[0] == "Traceback (most recent call last):"
    assert lines[-1] == "error: price:ann:o1 failed: ValueError: ann1 has no price"
    assert "refold/executors" not in done.stderr


def test_pdb_opens_where_a_failed_run_raises(project: Path) -> None:
    done = refold("debug", "latest", "price:ann:o1", "--pdb", cwd=project, stdin="p amount\nq\n")
    assert done.returncode == 1
    assert '-> raise ValueError(f"{order} has no price")' in done.stdout
    assert "(Pdb) 10\n" in done.stdout


def test_pdb_opens_at_the_first_line_of_a_run_that_did_not_fail(project: Path) -> None:
    done = refold("debug", "latest", "price:bob:o2", "--pdb", cwd=project, stdin="p order\nc\n")
    assert done.returncode == 0
    assert "-> amount = int(order[-1]) * 10\n(Pdb) 'bob2'\n" in done.stdout
    assert done.stdout.endswith("pricing bob2\n20\n")
    quit_at_once = refold("debug", "latest", "price:bob:o2", "--pdb", cwd=project, stdin="q\n")
    assert quit_at_once.returncode == 0
    assert "pricing" not in quit_at_once.stdout


def test_pdb_stops_in_a_generator_too(project: Path) -> None:
    done = refold("debug", "latest", "orders:bob", "--pdb", cwd=project, stdin="p user\nc\n")
    assert done.returncode == 0
    assert "-> for number in range(3):\n(Pdb) 'bob'\n" in done.stdout
    assert done.stdout.endswith("['bob0', 'bob1', 'bob2']\n")


def test_debug_runs_the_code_of_now_and_says_so(tmp_path: Path) -> None:
    project = make_project(tmp_path)
    assert refold("run", ".", "daily", "--executor", "inline", cwd=project).returncode == 0
    file = project / "transformers" / "price.py"
    file.write_text(file.read_text(encoding="utf-8").replace("raise ValueError", "print"), encoding="utf-8")
    done = refold("debug", "latest", "price:ann:o1", cwd=project)
    assert (done.returncode, done.stdout) == (0, "pricing ann1\nann1 has no price\n10\n")
    assert "the code of `price` differs from the run's" in done.stderr
    assert "price:ann:o1 failed in its run, and did not now" in done.stderr


def test_a_retry_of_one_block_run_runs_it_and_what_descends_from_it(tmp_path: Path) -> None:
    project = make_project(tmp_path)
    assert refold("run", ".", "daily", "--executor", "inline", cwd=project).returncode == 0
    done = refold("retry", "latest", "--block-run", "price:bob:o1", "--json", cwd=project)
    assert done.returncode == 0, done.stderr
    printed = refold("logs", "latest", "price", cwd=project).stdout
    assert printed.count("pricing bob1") == 2
    assert printed.count("pricing bob2") == 1
    sentence = refold("why", "latest", "told:bob", cwd=project).stdout
    assert "its input `price:bob:o1`, which was asked for (--block-run), ran anew" in sentence
    assert "was kept by the retry" in refold("why", "latest", "price:bob:o2", cwd=project).stdout


def test_a_retry_of_an_unknown_block_run_changes_nothing(project: Path) -> None:
    before = refold("show", "latest", "--json", cwd=project).stdout
    done = refold("retry", "latest", "--block-run", "price:bob:o9", cwd=project)
    assert (done.returncode, done.stdout) == (2, "")
    assert "`orders:bob` gave no item `o9`" in done.stderr
    assert "Known items: o0, o1, o2." in done.stderr
    assert refold("show", "latest", "--json", cwd=project).stdout == before
