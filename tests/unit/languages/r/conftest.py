"""What tests of R blocks share: a block's file, called as its runs call it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from refold.languages.r.block_file import RFile
from refold.model.block import BlockType, Language
from refold.model.keys import BlockUuid, PipelineUuid, RunId
from refold.ports.executor import BlockTask, InputKind, RunContext, Source
from refold.testing.r_installed import require_rscript

MakeFile = Callable[..., RFile]


@pytest.fixture(scope="session")
def make_file() -> MakeFile:
    """Loads an R file of a block with so many upstreams."""
    require_rscript()
    return _file


def _file(
    folder: Path,
    code: str,
    inputs: int = 1,
    block_type: BlockType = BlockType.TRANSFORMER,
    timeout: float | None = None,
) -> RFile:
    task = BlockTask(
        run=RunId("run"),
        number=0,
        block=BlockUuid("block"),
        type=block_type,
        language=Language.R,
        source=Source(BlockUuid("block"), folder / "block.r", code),
        configuration={},
        inputs=(InputKind.ITEM,) * inputs,
        axes=0,
        dynamic=False,
        upstreams=tuple(BlockUuid(f"upstream_{number}") for number in range(inputs)),
        timeout=timeout,
    )
    context = RunContext(
        run=RunId("run"),
        pipeline_uuid=PipelineUuid("pipeline"),
        project=folder,
        run_folder=folder,
        latest_folder=folder,
        variables={},
        started_at=0.0,
    )
    return RFile(task, context)
