"""Arguments and options that several commands share, as types."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from refold.cli.parameters import Argument, Option

ProjectArgument = Annotated[Path, Argument(metavar="PROJECT", help="The project's folder, or one in it.")]
OptionalProject = Annotated[
    Path | None, Argument(metavar="PROJECT", help="The project's folder; default: the one you are in.")
]
PipelineArgument = Annotated[str, Argument(metavar="PIPELINE", help="The pipeline's uuid.")]
RunArgument = Annotated[str, Argument(metavar="RUN", help="A run's id, a unique beginning of it, or `latest`.")]
BlockRunArgument = Annotated[
    str, Argument(metavar="BLOCK_RUN", help="A block run's name, such as `add_token:for_user_1`.")
]
ProjectOption = Annotated[
    Path | None, Option("--project", metavar="PATH", help="The project's folder; default: the one you are in.")
]
JsonOption = Annotated[bool, Option("--json", help="Print JSON.")]
RuntimeVars = Annotated[
    str | None,
    Option("--runtime-vars", metavar="JSON", help="Variables, as a JSON object."),
]
TestOption = Annotated[bool, Option("--test", help="Show the results of the blocks' tests.")]
NoTestsOption = Annotated[bool, Option("--no-tests", help="Do not run the blocks' tests.")]
BlockOption = Annotated[
    str | None, Option("--block-uuid", metavar="BLOCK", help="Run this block alone, on what was last left to it.")
]
ChildOption = Annotated[
    str | None, Option("--child", metavar="LABEL", help="With --block-uuid: the item to run it for.")
]
WorkersOption = Annotated[
    int | None, Option("--workers", metavar="N", minimum=1, help="Most worker processes; default: one a core.")
]
