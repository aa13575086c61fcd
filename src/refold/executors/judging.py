"""What came of a call: an outcome, and an output where there is one."""

from __future__ import annotations

from types import AsyncGeneratorType, GeneratorType

from refold.errors import BlockError
from refold.executors.block_call import Call
from refold.languages.arguments import spread
from refold.languages.event_loops import Steps, stepped
from refold.model.block import BlockType
from refold.ports.executor import BlockTask
from refold.ports.output_store import Output
from refold.scheduler.events import Outcome

Judged = tuple[Outcome, Output | None]
"""The outcome, and the output of a run that has one."""

CONDITION_FAILED: Judged = (Outcome.CONDITION_FAILED, None)
_GENERATORS = (GeneratorType, AsyncGeneratorType)


def judged(task: BlockTask, call: Call) -> Judged:
    """All that is called for a run that is not dynamic, and what came of it. Raises as `judge`."""
    if call.code.conditions and not call.conditions_hold():
        return CONDITION_FAILED
    return judge(task, call, call.main())


def judge(task: BlockTask, call: Call, returned: object) -> Judged:
    """What a returned value means: the outcome, and the output unless the run is not over.

    Raises TestFailedError, and BlockError for a generator of a block that is not dynamic.
    """
    return stepped(judge_in_steps(task, call, returned))


def judge_in_steps(task: BlockTask, call: Call, returned: object) -> Steps[Judged]:
    """As `judge`, for who has an event loop."""
    if task.type is BlockType.SENSOR and not returned:
        return Outcome.NOT_YET, None
    refuse_generator(returned)
    output = Output.of(returned)
    if call.code.tests:
        yield from call.run_tests(spread(output, task.axes > 0))
    return (Outcome.COMPLETED_FALSE if call.code.stops and not returned else Outcome.COMPLETED), output


def refuse_generator(returned: object) -> None:
    """Raises BlockError for a generator of a block that is not dynamic."""
    if isinstance(returned, _GENERATORS):
        raise BlockError(
            "returned a generator, but the block is not dynamic",
            fix="Set `configuration: {dynamic: true}` to make a run of each item, or return a list.",
        )
