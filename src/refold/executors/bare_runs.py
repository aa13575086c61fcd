"""Runs that are nothing but a call of the block's function: there may be a million of them, so each costs little.

All that they have in common is done once, before them. Inputs are decoded many at a time, each an object of its own.
What a run returned is encoded at once, so that nobody who keeps it can change it, and noted where another thread finds
it while the next run may take long.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from functools import partial
from itertools import chain

from refold.executors.block_code import BlockCode
from refold.executors.capture import end_lines, streams
from refold.executors.cursor import PutCursor
from refold.executors.execution import Execution
from refold.executors.interrupts import PROCESS, Interrupts
from refold.executors.judging import refuse_generator
from refold.executors.records import UNREAD
from refold.executors.reporter import LARGEST, Reporter
from refold.executors.stretch import epoch
from refold.languages.arguments import Bound, bind
from refold.outputs.plain import encode_plain
from refold.ports.output_store import NO_LIST, Output
from refold.scheduler.events import Outcome

Fail = Callable[[Execution, int, BaseException, float], None]
"""Reports a run that raised this; it began then (seconds since the epoch)."""
_NO_KEYWORDS: dict[str, object] = {}


class BareRuns:
    """The runs of one batch."""

    def __init__(
        self, execution: Execution, code: BlockCode, reporter: Reporter, interrupts: Interrupts, fail: Fail
    ) -> None:
        self._execution = execution
        self._code = code
        self._reporter = reporter
        self._interrupts = interrupts
        self._fail = fail
        self._timeout = execution.task.timeout

    def run(self, put_cursor: PutCursor) -> range:
        """Executes them, until the pipeline run is cancelled; those that have not begun then."""
        execution, reporter, interrupts, clock = self._execution, self._reporter, self._interrupts, time.monotonic
        opened, inputs, number = execution.run, execution.inputs, execution.batch.id
        function, simple = self._code.main.function, self._code.main.signature.simple and self._timeout is None
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
                    returned = self._call(position, value, now)
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
                self._fail(execution, position, error, epoch() + now)
                text = None
            if text is None:
                value = returned = None  # large ones are gone before the next run
                now = clock()
                reporter.stretch(position + 1, now)
                continue
            now = clock()
            note_text(text)
            note_length(len(returned) if type(returned) is list else NO_LIST)
            note_end(now)
            size += len(text)
            if now >= stretch.due or size >= LARGEST:
                value = returned = None
                published = reporter.heed(now, large=size >= LARGEST)
                if published is not None:
                    now, size = published, 0
        return range(0)

    def _call(self, position: int, value: object, began: float) -> object:
        """What the function returns that is called with more than one input that was read already: with keywords, with
        inputs that are to be read, or for so many seconds at most. Its arguments are gone afterwards."""
        function, interrupts = self._code.main.function, self._interrupts
        if self._timeout is not None:
            deadline = self._execution.folds.deadline = began + self._timeout
            arguments, keywords = self._bound(position, value)
            return interrupts.limited(deadline - time.monotonic(), partial(function, *arguments, **keywords))
        arguments, keywords = self._bound(position, value)
        interrupts.in_user_code = True
        try:
            return function(*arguments, **keywords)
        finally:
            interrupts.leave()

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
        self._reporter.completed(position, Output.of(returned), Outcome.COMPLETED, epoch() + began, time.time())
