"""One call of a block: conditions first, then its function, then its tests; callbacks at the end.

What calls helper functions, of which some may be `async def`, is there twice: as a method that does it all, and as
steps for who has an event loop.
"""

from __future__ import annotations

import inspect
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from refold.errors import BlockError
from refold.executors.block_code import BlockCode
from refold.executors.capture import BlockRunName
from refold.executors.failures import failure_of
from refold.executors.interrupts import Overdue
from refold.languages.arguments import Argument, bind
from refold.languages.event_loops import Steps, stepped
from refold.languages.python.block_function import BlockFunction, Callback, CallbackStatus
from refold.outputs.codecs import encode
from refold.ports.output_store import Output

_LOG = logging.getLogger("refold.blocks")

Keywords = Callable[[], Mapping[str, object]]
"""Gives a run's keyword arguments; asked only where a function takes them."""


@dataclass(slots=True)
class Call:
    """The functions of a block, and what one of its runs calls them with."""

    position: int
    """The run's position in its batch."""
    started: float
    """Seconds since the epoch."""
    deadline: float | None
    """When (monotonic) it must be over; None: it may take its time."""
    code: BlockCode
    arguments: Sequence[Argument]
    keywords: Keywords
    name: BlockRunName
    mage_outputs: bool

    def time_left(self) -> float | None:
        """Seconds that it may still take."""
        return None if self.deadline is None else self.deadline - time.monotonic()

    def check_time(self) -> None:
        """Raises Overdue when no time is left: the function may have swallowed what told it so."""
        left = self.time_left()
        if left is not None and left < 0:
            raise Overdue

    def conditions_hold(self) -> bool:
        """Whether all conditions say True; they get the arguments of the block (design 2.7)."""
        return stepped(self.ask_conditions())

    def ask_conditions(self) -> Steps[bool]:
        """As `conditions_hold`, in steps."""
        for condition in self.code.conditions:
            positional, keywords = self._bound(condition)
            if not (yield from _finish(condition.function(*positional, **keywords))):
                return False
        return True

    def main(self) -> object:
        """What the block's function returns; a coroutine, where it is `async def`."""
        main = self.code.main
        positional, keywords = self._bound(main)
        return main.function(*positional, **keywords)

    def returned(self) -> object:
        """What the block's function returns; of an `async def` function its result, an async generator as it is."""
        return stepped(_finish(self.main()))

    def test(self, outputs: tuple[object, ...], extra: tuple[object, ...] = ()) -> None:
        """Runs the tests on the outputs, spread; `extra` for those that have parameters for more.

        Raises TestFailedError naming those that failed.
        """
        stepped(self.run_tests(outputs, extra))

    def run_tests(self, outputs: tuple[object, ...], extra: tuple[object, ...] = ()) -> Steps[None]:
        """As `test`, in steps."""
        failures: list[str] = []
        for test in self.code.tests:
            try:
                keywords = self.keywords() if test.signature.takes_keywords else {}
                given = (*outputs, *extra)[: max(len(outputs), test.signature.maximum)]
                positional, keywords = test.signature.call(given, keywords)
                yield from _finish(test.function(*positional, **keywords))
            except Exception as error:
                message = str(error) or type(error).__name__
                kind = "" if isinstance(error, AssertionError) else f"{type(error).__name__}: "
                failures.append(f"{test.name}: {kind}{message}")
        if self.code.tests:
            print(f"{len(self.code.tests) - len(failures)}/{len(self.code.tests)} tests passed.")
        if failures:
            raise TestFailedError("; ".join(failures))

    def succeed(self, output: Output) -> None:
        """Calls the callbacks of success. Raises StoreError before, if the output cannot be stored: it is none then."""
        stepped(self.tell_success(output))

    def tell_success(self, output: Output) -> Steps[None]:
        """As `succeed`, in steps."""
        if any(callback.status is CallbackStatus.SUCCESS for callback in self.code.callbacks):
            for value in output.values:
                encode(value)
        yield from self.tell(CallbackStatus.SUCCESS, output, None)

    def call_back(self, status: CallbackStatus, output: Output | None, error: BaseException | None) -> None:
        """Calls the callbacks that wait for this status. One that fails is logged: it does not change the run."""
        stepped(self.tell(status, output, error))

    def tell(self, status: CallbackStatus, output: Output | None, error: BaseException | None) -> Steps[None]:
        """As `call_back`, in steps."""
        for callback in self.code.callbacks:
            if callback.status is status:
                try:
                    yield from self._call_back(callback, output, error)
                except BaseException as raised:  # sys.exit too: the worker goes on
                    _LOG.error("callback %s failed: %s", callback.function.name, failure_of(raised).traceback)

    def _call_back(self, callback: Callback, output: Output | None, error: BaseException | None) -> Steps[None]:
        function = callback.function
        value = None if output is None else output.value
        keywords = {
            **self.keywords(),
            "__input": value,
            "__error": error,
            "parent_block_uuid": self.keywords().get("block_uuid"),
            "pipeline_run": self.keywords().get("pipeline_run_id"),
        }
        given = (value,) if function.signature.maximum else ()
        positional, taken = function.signature.call(given, keywords)
        yield from _finish(function.function(*positional, **taken))

    def _bound(self, function: BlockFunction) -> tuple[tuple[object, ...], Mapping[str, object]]:
        signature = function.signature
        keywords = {} if signature.simple else self.keywords()
        return bind(signature, self.arguments, keywords, self.mage_outputs)


class TestFailedError(BlockError):
    """Raised when `@test` functions do not hold for a block's output."""

    __test__ = False


def _finish(value: object) -> Steps[object]:
    """The value; of an `async def` function its result."""
    if inspect.iscoroutine(value):
        return (yield value)
    return value
