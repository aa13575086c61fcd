"""What `refold run` and `mage run` take: the one list of their arguments and options, checked.

A field is a parameter of the command, its type says how it is written. `command_of` makes the command from the list, so
that no option is listed anywhere else.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, fields
from enum import StrEnum
from typing import Annotated, TypeVar, get_type_hints

from refold.api.running import RunOptions
from refold.api.wiring import ExecutorKind
from refold.cli.options import (
    BlockOption,
    ChildOption,
    JsonOption,
    NoTestsOption,
    PipelineArgument,
    ProjectArgument,
    RuntimeVars,
    TestOption,
    WorkersOption,
)
from refold.cli.parameters import Option
from refold.cli.runtime_variables import parse_runtime_variables
from refold.errors import BadInputError
from refold.model.block import JsonValue

_Request = TypeVar("_Request", bound="RunRequest")


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
    Option("--executor", help="In this process, or in worker processes; default: what suits the pipeline."),
]


@dataclass(frozen=True)
class RunRequest:
    """A run as the command line asks for it."""

    project: ProjectArgument
    pipeline: PipelineArgument
    runtime_vars: RuntimeVars = None
    test: TestOption = False
    no_tests: NoTestsOption = False
    block_uuid: BlockOption = None
    child: ChildOption = None
    executor: ExecutorOption = None
    workers: WorkersOption = None
    as_json: JsonOption = False

    @property
    def more_variables(self) -> Mapping[str, JsonValue]:
        """Variables under those of `--runtime-vars`."""
        return {}

    @property
    def run_sensors(self) -> bool:
        """Whether sensors are asked."""
        return True

    def options(self) -> RunOptions:
        """How the pipeline is to be run. Raises BadInputError for what contradicts itself."""
        if self.test and self.no_tests:
            raise BadInputError("--test and --no-tests contradict each other", fix="Give one of them.")
        if self.block_uuid is None and self.child is not None:
            raise BadInputError("--child names an item of one block", fix="Name the block too: `--block-uuid BLOCK`.")
        return RunOptions(
            variables={**self.more_variables, **parse_runtime_variables(self.runtime_vars)},
            run_tests=not self.no_tests,
            run_sensors=self.run_sensors,
            executor=ExecutorKind.AUTO if self.executor is None else self.executor.kind,
            workers=self.workers,
        )


def command_of(request: type[_Request], run: Callable[[_Request], None]) -> Callable[..., None]:
    """A command with the request's fields as its parameters; it is called as `run` is, and has its docstring."""

    def command(**given: object) -> None:
        run(request(**given))  # type: ignore[arg-type]

    hints = get_type_hints(request, include_extras=True)
    parameters = [
        inspect.Parameter(
            field.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=inspect.Parameter.empty if field.default is MISSING else field.default,
            annotation=hints[field.name],
        )
        for field in fields(request)
    ]
    command.__name__ = run.__name__
    command.__doc__ = run.__doc__
    command.__annotations__ = {name: hints[name] for name in (field.name for field in fields(request))}
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    return command
