"""Runs of an R block, in processes of R that have loaded its file: one, or one for each thread that runs the block."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence

from refold.errors import BlockError, BlockFileError, BlockTimeoutError
from refold.languages.r.answers import loaded, result
from refold.languages.r.function_name import function_name
from refold.languages.r.process import RProcess
from refold.languages.r.to_r import argument, variables
from refold.languages.r.xdr_writer import Pieces, character, listed
from refold.ports.executor import BlockTask, RunContext

_GRACE = 1.0
"""Seconds after its timeout when R is killed by the thread that waits for it, if nobody has interrupted that one."""


class Runs:
    """Calls the function in processes of R."""

    def __init__(self, task: BlockTask, context: RunContext) -> None:
        """Starts none yet."""
        self._task = task
        self._folder = context.project
        self._path = task.source.path
        self._name = function_name(task.type)
        self._lock = threading.Lock()
        self._idle: list[RProcess] = []
        """Processes that wait for a run."""
        self._busy: list[RProcess] = []
        self._takes: int | None = None
        """How many arguments the function takes; None: any number, or not known yet."""
        self._broken: BlockFileError | None = None
        """Why the file cannot be loaded, which is so for all runs."""

    def run(self, *inputs: object, **keywords: object) -> object:
        """What the function returns. Raises RError, REndedError, BlockFileError or another BlockError."""
        timeout = self._task.timeout
        deadline = None if timeout is None else time.monotonic() + timeout + _GRACE
        names = self._task.upstreams or [f"input {number}" for number in range(1, len(inputs) + 1)]
        given = [argument(value, f"what `{name}` gives") for name, value in zip(names, inputs, strict=True)]
        request = self._request(given, keywords)
        try:
            return result(self._ask(request, len(given), deadline), self._path)
        except TimeoutError:
            raise BlockTimeoutError(f"ran longer than its timeout of {timeout:g} seconds; R was killed") from None

    def _ask(self, request: Pieces, given: int, deadline: float | None) -> object:
        process = self._take(deadline)
        try:
            self._check_count(given)
            return process.ask(request, deadline)
        finally:
            self._give_back(process)

    def _request(self, given: Sequence[Pieces], keywords: Mapping[str, object]) -> Pieces:
        return listed([character(["run"]), character([self._name]), listed(given), variables(keywords)])

    def close(self) -> None:
        """Ends all processes."""
        with self._lock:
            idle, busy = [*self._idle], [*self._busy]
            self._idle.clear()
        for process in idle:
            process.close()
        for process in busy:
            process.kill()

    def _take(self, deadline: float | None) -> RProcess:
        """A process that has loaded the file. Raises BlockFileError when it cannot be loaded."""
        if self._broken is not None:
            raise self._broken.with_traceback(None)
        with self._lock:
            while self._idle:
                process = self._idle.pop()
                if process.usable:
                    self._busy.append(process)
                    return process
                process.close()
        process = RProcess(self._folder)
        self._busy.append(process)
        try:
            self._load(process, deadline)
        except BaseException:
            process.close()
            self._give_back(process)
            raise
        return process

    def _load(self, process: RProcess, deadline: float | None) -> None:
        source = self._task.source
        words = [character([word]) for word in ("load", str(source.path), source.text, self._name)]
        try:
            self._takes = loaded(process.ask(listed(words), deadline), self._path, self._name)
        except BlockFileError as error:
            self._broken = error
            raise

    def _give_back(self, process: RProcess) -> None:
        with self._lock:
            self._busy.remove(process)
            if process.usable:
                self._idle.append(process)

    def _check_count(self, given: int) -> None:
        if self._takes is not None and given > self._takes:
            raise BlockError(
                f"`{self._name}` takes {self._takes} argument{'' if self._takes == 1 else 's'}, and {given} would have "
                "been passed: one for each upstream block",
                where=str(self._path),
                fix="Give the function one parameter for each, or add `...`.",
            )
