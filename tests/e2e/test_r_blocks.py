"""R blocks in pipelines: unfolding, folding, failing, being stopped, and ending with their workers."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import cast

import psutil
import pytest

from refold.api.reading import RunReader
from refold.api.wiring import ExecutorKind
from refold.errors import PipelineError
from refold.model.block import BlockType, JsonValue, Language
from refold.ports.run_store import RunStatus
from refold.testing.lab import Lab, load, statuses, values
from refold.testing.r_installed import require_rscript

KINDS = pytest.mark.parametrize("kind", [ExecutorKind.INLINE, ExecutorKind.PROCESSES], ids=str)
SUM_UP = "@custom\ndef total(values):\n    return {'got': values}\n"


class RLab(Lab):
    """A lab with blocks in R."""

    def add_r(
        self,
        uuid: str,
        code: str,
        upstream: Sequence[str] = (),
        block_type: BlockType = BlockType.TRANSFORMER,
        **configuration: JsonValue,
    ) -> None:
        """A block in R more."""
        self.pipeline = self.pipeline.add_block(
            uuid, block_type, language=Language.R, upstream=upstream, configuration=configuration, content=code
        )

    def lines(self, reader: RunReader, block_run: str) -> list[tuple[str, str]]:
        """Stream and text of what a block run wrote."""
        return [(line.stream, line.text) for line in reader.logs(block_run)]


@pytest.fixture
def lab(tmp_path: Path) -> RLab:
    require_rscript()
    return RLab(tmp_path)


@KINDS
def test_the_rows_of_an_r_loader_become_children_in_r_that_fold_into_one_frame(lab: RLab, kind: ExecutorKind) -> None:
    loader = "load_data <- function() data.frame(id = 1:3, name = c('ü', NA, ''), on = as.Date('2024-02-29') + 0:2)"
    lab.add_r("users", loader, block_type=BlockType.DATA_LOADER, dynamic=True)
    lab.add_r(
        "double",
        "transform <- function(df_1, ...) {\n"
        "  stopifnot(is.data.frame(df_1), nrow(df_1) == 1, inherits(df_1$on, 'Date'))\n"
        "  df_1$id <- df_1$id * 2L\n"
        "  df_1\n"
        "}",
        ["users"],
        reduce_output=True,
    )
    lab.add_r(
        "total",
        "transform <- function(df_1, ...) list(total = sum(df_1$id), empty = sum(df_1$name == '', na.rm = TRUE),\n"
        "  missing = sum(is.na(df_1$name)), key = global_vars$key, class = class(df_1))",
        ["double"],
    )
    lab.add_r("tell", "export_data <- function(df_1, ...) NULL", ["total"], BlockType.DATA_EXPORTER)
    lab.add("python", SUM_UP, ["double"])
    reader = lab.run(kind, key="value")
    assert reader.record.status is RunStatus.COMPLETED
    assert values(reader, "total") == {
        "": {"total": 12, "empty": 1, "missing": 1, "key": "value", "class": "data.frame"}
    }
    frames = values(reader, "python")[""]
    assert [frame["id"].tolist() for frame in frames] == [[2], [4], [6]]  # type: ignore[attr-defined]
    assert values(reader, "tell") == {"": None}


def test_items_with_names_come_from_a_list_of_items_and_one_of_metadata(lab: RLab) -> None:
    code = """load_data <- function(...) list(
      list(list(id = 1L), list(id = 2L)),
      list(list(block_uuid = "first", word = "x"), list(block_uuid = "second", word = "y"))
    )"""
    lab.add_r("users", code, block_type=BlockType.DATA_LOADER, dynamic=True)
    lab.add_r("child", "transform <- function(df_1, ...) paste(df_1$id, global_vars['word'])", ["users"])
    assert values(lab.run(), "child") == {"first": "1 x", "second": "2 y"}


@KINDS
def test_what_a_child_prints_is_in_its_own_log(lab: RLab, kind: ExecutorKind) -> None:
    lab.add("numbers", load("[1, 2]"), dynamic=True)
    code = "transform <- function(x) { print(x); message('told ', x); warning('careful ', x); x }"
    lab.add_r("child", code, ["numbers"])
    reader = lab.run(kind)
    for index, number in enumerate((1, 2)):
        assert sorted(lab.lines(reader, f"child:{index}")) == [
            ("stderr", f"Warning in transform(df_1) : careful {number}"),
            ("stderr", f"told {number}"),
            ("stdout", f"[1] {number}"),
        ]


@KINDS
def test_a_thousand_children_share_few_processes_of_r(lab: RLab, kind: ExecutorKind) -> None:
    lab.add("numbers", load("list(range(1000))"), dynamic=True)
    lab.add_r("child", "transform <- function(x) list(x, Sys.getpid())", ["numbers"], reduce_output=False)
    returned = cast("Iterable[tuple[int, int]]", values(lab.run(kind), "child").values())
    found = [(number, pid) for number, pid in returned]
    assert sorted(number for number, _ in found) == [*range(1000)]
    assert len({pid for _, pid in found}) <= 2


@KINDS
@pytest.mark.parametrize(
    ("end", "said"),
    [
        ("stop('no')", "no (in `transform(df_1)`, child.r:1)"),
        ("quit(status = 5)", "R ended with exit status 5"),
        ("tools::pskill(Sys.getpid(), 9)", "R was ended by SIGKILL"),
    ],
)
def test_a_child_that_fails_or_crashes_is_the_only_one(lab: RLab, kind: ExecutorKind, end: str, said: str) -> None:
    lab.add("numbers", load("list(range(6))"), dynamic=True)
    lab.add_r("child", f"transform <- function(x) if (x == 3) {end} else x", ["numbers"])
    reader = lab.run(kind)
    assert statuses(reader, "child") == {str(n): "failed" if n == 3 else "completed" for n in range(6)}
    (failure,) = reader.failures()
    assert said in failure.error


@KINDS
def test_a_child_that_takes_too_long_fails_alone_and_its_r_is_gone(lab: RLab, kind: ExecutorKind) -> None:
    lab.add("numbers", load("list(range(4))"), dynamic=True)
    code = "transform <- function(x) { cat(Sys.getpid(), '\\n'); if (x == 1) Sys.sleep(1000); x }"
    lab.add_r("child", code, ["numbers"])
    lab.pipeline = lab.pipeline.update_block("child", timeout=5)
    reader = lab.run(kind)
    assert statuses(reader, "child") == {str(n): "failed" if n == 1 else "completed" for n in range(4)}
    pids = {int(lab.lines(reader, f"child:{number}")[0][1]) for number in range(4)}
    assert all(gone(pid) for pid in pids)


def test_a_failed_child_is_tried_again_in_r(lab: RLab) -> None:
    lab.add("numbers", load("[7]"), dynamic=True)
    code = "transform <- function(x) if (file.exists('again')) x else { file.create('again'); quit() }"
    lab.add_r("child", code, ["numbers"])
    lab.pipeline = lab.pipeline.update_block("child", retry_config={"retries": 1, "delay": 0})
    assert values(lab.run(), "child") == {"0": 7}


def test_threads_run_children_in_several_processes_at_once(lab: RLab) -> None:
    """Each of two children waits for the other: one after the other they would wait for ever."""
    lab.add("numbers", load("[1, 2]"), dynamic=True)
    code = """transform <- function(x) {
      file.create(paste0("child", x)); while (!file.exists(paste0("child", 3 - x))) Sys.sleep(0.005)
      x
    }"""
    lab.add_r("child", code, ["numbers"], executor={"threads": 2})
    assert values(lab.run(), "child") == {"0": 1, "1": 2}


def test_a_file_without_its_function_is_refused_before_anything_runs(lab: RLab) -> None:
    lab.add_r("child", "load_data <- function() 1")
    with pytest.raises(PipelineError, match="does not define `transform`"):
        lab.run()


def gone(pid: int) -> bool:
    """Whether the process has ended; waits for it."""
    try:
        psutil.Process(pid).wait(30)
    except psutil.NoSuchProcess:
        return True
    except psutil.TimeoutExpired:
        return False
    return True


WAITING = """transform <- function(x) {
  writeLines(as.character(Sys.getpid()), paste0("pid.part", x)); file.rename(paste0("pid.part", x), paste0("pid", x))
  Sys.sleep(1000)
}"""


def begun(lab: RLab, process: subprocess.Popen[bytes], number: int) -> list[int]:
    """Process ids of R, when so many children run in it."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        files = [*lab.project.path.glob("pid[0-9]")]
        if len(files) == number:
            return [int(file.read_text()) for file in files]
        os.sched_yield()
    raise AssertionError(f"the run is at its end: {process.poll()}")


@pytest.mark.parametrize("executor", ["inline", "processes"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL], ids=["Ctrl-C", "kill -9"])
def test_r_ends_with_the_run_however_that_ends(lab: RLab, executor: str, number: signal.Signals) -> None:
    lab.add("numbers", load("[1, 2]"), dynamic=True)
    lab.add_r("child", WAITING, ["numbers"])
    command = [sys.executable, "-m", "refold.cli", "run", str(lab.project.path), "lab", "--executor", executor]
    many = 2 if executor == "processes" else 1
    more = ["--workers", "2"] if executor == "processes" else []
    process = subprocess.Popen([*command, *more], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        pids = begun(lab, process, many)
        process.send_signal(number)
        process.wait(60)
    finally:
        process.kill()
        process.wait()
    assert all(gone(pid) for pid in pids)


def test_r_ends_with_its_worker_and_the_child_alone_pays(lab: RLab) -> None:
    lab.add("numbers", load("[1, 2]"), dynamic=True)
    code = WAITING.replace(
        "Sys.sleep(1000)", 'if (x == 1) Sys.sleep(1000) else { while (!file.exists("on")) Sys.sleep(0.01); x }'
    )
    lab.add_r("child", code, ["numbers"])
    command = [sys.executable, "-m", "refold.cli", "run", str(lab.project.path), "lab", "--executor", "processes"]
    process = subprocess.Popen([*command, "--workers", "2"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        begun(lab, process, 2)
        waiting = int((lab.project.path / "pid1").read_text())
        psutil.Process(waiting).parent().kill()  # type: ignore[union-attr]
        assert gone(waiting)
        (lab.project.path / "on").touch()
        process.wait(60)
    finally:
        process.kill()
        process.wait()
    store_reader = lab.read(next(iter(open_runs(lab))))
    assert statuses(store_reader, "child") == {"0": "failed", "1": "completed"}


def open_runs(lab: RLab) -> list[str]:
    from refold.api.wiring import open_project_store

    return [str(each.id) for each in open_project_store(lab.project).list_runs()]
