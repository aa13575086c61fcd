"""`configuration.executor`: how many runs of a block one worker has under way at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from refold.errors import PipelineError
from refold.model.block import ExecutorSettings
from refold.model.pipeline import Pipeline
from refold.model.project import Project
from refold.scheduler.planning import ASYNC_WIDTH, make_plan


def pipeline_with(folder: Path, executor: str, more: str = "") -> Pipeline:
    project = Project.init(folder / "project")
    pipeline = Pipeline.create("p", project)
    configuration = f"    configuration: {{executor: {executor}{more}}}\n" if executor else ""
    (pipeline.folder / "metadata.yaml").write_text(
        f"uuid: p\ntype: python\nblocks:\n  - uuid: child\n    type: transformer\n{configuration}"
    )
    return Pipeline.get("p", project)


@pytest.mark.parametrize(
    ("executor", "expected"),
    [
        ("", ExecutorSettings()),
        ("{}", ExecutorSettings()),
        ("{threads: 32}", ExecutorSettings(threads=32)),
        ("{threads: '8'}", ExecutorSettings(threads=8)),
        ("{concurrency: 200000}", ExecutorSettings(concurrency=200_000)),
        ("{threads: 1, concurrency: }", ExecutorSettings(threads=1)),
    ],
)
def test_a_spelling_means(tmp_path: Path, executor: str, expected: ExecutorSettings) -> None:
    pipeline = pipeline_with(tmp_path, executor)
    assert pipeline.block("child").executor == expected
    assert pipeline.warnings == ()


@pytest.mark.parametrize(
    ("executor", "where", "expected"),
    [
        ("{threads: 0}", "executor.threads", "a whole number, 1 or more"),
        ("{threads: many}", "executor.threads", "a whole number, 1 or more"),
        ("{concurrency: 2.5}", "executor.concurrency", "a whole number, 1 or more"),
        ("32", "executor", "keys and values"),
    ],
)
def test_what_cannot_be_meant_is_an_error(tmp_path: Path, executor: str, where: str, expected: str) -> None:
    with pytest.raises(PipelineError, match=rf"{where}\b(.|\n)*|{expected}") as caught:
        pipeline_with(tmp_path, executor).block("child")
    assert expected in str(caught.value)
    assert where in str(caught.value)


def test_a_key_that_nobody_reads_is_warned_of(tmp_path: Path) -> None:
    (warning,) = pipeline_with(tmp_path, "{thread: 4}").warnings
    assert "`configuration.executor.thread` is no setting" in warning
    assert "threads" in warning


@pytest.mark.parametrize(
    ("executor", "is_async", "width"),
    [
        ("", False, 1),
        ("", True, ASYNC_WIDTH),
        ("{threads: 32}", False, 32),
        ("{concurrency: 10}", True, 10),
        ("{threads: 32}, dynamic: true", False, 1),
        ("{}, dynamic: true", True, 1),
    ],
)
def test_a_plan_knows_how_many_runs_a_worker_has_under_way(
    tmp_path: Path, executor: str, is_async: bool, width: int
) -> None:
    """Of dynamic blocks, one: whose items come first is theirs to say."""
    blocks = pipeline_with(tmp_path, executor).running_blocks
    plan = make_plan(blocks, asynchronous=frozenset(block.uuid for block in blocks if is_async))
    assert [planned.width for planned in plan.blocks] == [width]
