"""Arguments and options that several commands share, as types."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from refold.api.wiring import ExecutorKind

ProjectArgument = Annotated[Path, typer.Argument(metavar="PROJECT", help="The project's folder, or one in it.")]
OptionalProject = Annotated[
    Path | None, typer.Argument(metavar="PROJECT", help="The project's folder; default: the one you are in.")
]
PipelineArgument = Annotated[str, typer.Argument(metavar="PIPELINE", help="The pipeline's uuid.")]
RunArgument = Annotated[str, typer.Argument(metavar="RUN", help="A run's id, a unique beginning of it, or `latest`.")]
BlockRunArgument = Annotated[
    str, typer.Argument(metavar="BLOCK_RUN", help="A block run's name, such as `add_token:for_user_1`.")
]
ProjectOption = Annotated[
    Path | None, typer.Option("--project", metavar="PATH", help="The project's folder; default: the one you are in.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]
RuntimeVars = Annotated[
    str | None,
    typer.Option("--runtime-vars", metavar="JSON", help="Variables, as a JSON object."),
]
TestOption = Annotated[bool, typer.Option("--test", help="Show the results of the blocks' tests.")]
NoTestsOption = Annotated[bool, typer.Option("--no-tests", help="Do not run the blocks' tests.")]
BlockOption = Annotated[
    str | None, typer.Option("--block-uuid", metavar="BLOCK", help="Run this block alone, on what was last left to it.")
]
ChildOption = Annotated[
    str | None, typer.Option("--child", metavar="LABEL", help="With --block-uuid: the item to run it for.")
]
WorkersOption = Annotated[
    int | None, typer.Option("--workers", metavar="N", min=1, help="Most worker processes; default: one a core.")
]


class ExecutorChoice(StrEnum):
    """What `--executor` takes; without it Refold chooses."""

    INLINE = "inline"
    PROCESSES = "processes"

    @property
    def kind(self) -> ExecutorKind:
        """The kind of executor it names."""
        return ExecutorKind(self.value)


ExecutorOption = Annotated[
    ExecutorChoice | None,
    typer.Option("--executor", help="In this process, or in worker processes; default: what suits the pipeline."),
]
