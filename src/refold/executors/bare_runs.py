"""Runs that are nothing but a call of the block's function: there may be a million of them, so each costs little.

All that they have in common is done once, before them. Inputs are decoded many at a time, each an object of its own.
What a run returned is encoded at once, so that nobody who keeps it can change it, and noted where another thread finds
it while the next run may take long.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from itertools import chain

from refold.executors.block_code import BlockCode
from refold.executors.capture import end_lines, streams
from refold.executors.cursor import PutCursor
from refold.executors.execution import Execution
from refold.executors.interrupts import PROCESS, Interrupts
from refold.executors.judging import refuse_generator
from refold.executors.records import UNREAD
from refold.executors.reporter import LARGEST, Reporter
from refold.languages.arguments import Bound, bind
from refold.outputs.plain import encode_plain
from refold.ports.output_store import NO_LIST, Output
from refold.scheduler.events import Outcome

Fail = Callable[[Execution, int, BaseException, float], None]
"""Reports a run that raised this; it began then (seconds since the epoch)."""
_NO_KEYWORDS: dict[str, object] = {}


class BareRuns:
    """The runs of one batch."""

    def __init__(self, execution: Execution, code: BlockCode, reporter: Reporter, fail: Fail) -> None:
        self._execution = execution
        self._code = code
        self._reporter = reporter
        self._fail = fail

    def run(self, interrupts: Interrupts, put_cursor: PutCursor) -> range:
        """Executes them, until the pipeline run is cancelled; those that have not begun then."""
        execution, reporter, clock = self._execution, self._reporter, time.monotonic
        opened, inputs, number = execution.run, execution.inputs, execution.batch.id
        function, simple = self._code.main.function, self._code.main.signature.simple
        out, err, unfinished = streams()
        interrupts.enter(None)
        interrupts.leave()
        process, here = PROCESS, PROCESS[0]
        size, now = 0, clock()
        stretch = reporter.stretch(0, now)
        note_text, note_length, note_end = stretch.texts.append, stretch.lengths.append, stretch.ended.append
        for position, value in zip(execution.remaining, chain.from_iterable(inputs.ahead()), strict=False):
            if opened.cancelled:
                return range(position, position + 1 + len(execution.take_back()))
            put_cursor(number, position, now)
            inputs.current = position
            try:
                if value is UNREAD or not simple:
                    arguments, keywords = self._bound(position, value)
                    interrupts.in_user_code = True
                    returned = function(*arguments, **keywords)
                    arguments = ()  # large inputs are gone before the output is encoded, and the next ones are read
                else:
                    interrupts.in_user_code = True
                    returned = function(value)
                interrupts.in_user_code = False
                if process[0] is not here:
                    interrupts.leave()
                text = encode_plain(returned)
                if unfinished or sys.stdout is not out or sys.stderr is not err:
                    end_lines()
                if text is None:
                    self._complete(position, returned, now)
            except BaseException as error:  # sys.exit and the like end the child, never the worker
                interrupts.leave()
                self._fail(execution, position, error, _epoch(now))
                text = None
            if text is None:
                arguments, returned = (), None
                now = clock()
                reporter.stretch(position + 1, now)
                continue
            now = clock()
            note_text(text)
            note_length(len(returned) if type(returned) is list else NO_LIST)
            note_end(now)
            size += len(text)
            if now >= stretch.due or size >= LARGEST:
                now = reporter.heed(now, large=size >= LARGEST)
                size = 0
        return range(0)

    def _bound(self, position: int, value: object) -> Bound:
        """What the function is called with; `value` is its one input, if that was read already."""
        signature, inputs = self._code.main.signature, self._execution.inputs
        keywords = _NO_KEYWORDS if signature.simple else inputs.keywords(position)
        if value is not UNREAD:
            return signature.call((value,), keywords)
        return bind(signature, inputs.arguments(position), keywords, self._execution.run.context.mage_outputs)

    def _complete(self, position: int, returned: object, began: float) -> None:
        """Reports a run whose output is not plain JSON. Raises what makes it fail."""
        refuse_generator(returned)
        self._reporter.completed(position, Output.of(returned), Outcome.COMPLETED, _epoch(began), time.time())


def _epoch(monotonic: float) -> float:
    """The seconds since the epoch of a time of this process's clock."""
    return time.time() - (time.monotonic() - monotonic)
