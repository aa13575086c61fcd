"""A worker process, from the moment when it has been made.

Three threads. The main one executes batches, so that signals can interrupt the user's code. One listens: it answers
what the engine says, and publishes results that have waited long enough while the main thread is deep in a call. One
does nothing but read: the engine, which may be about to say much, is never kept waiting by a worker that has much to
say itself. It ends the process at once when the engine is gone. A worker that could no longer hear, work or speak ends
too, whatever its blocks have done to it: the engine waits for none.
"""

from __future__ import annotations

import faulthandler
import gc
import os
import pickle
import signal
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from queue import Empty, SimpleQueue
from types import FrameType
from typing import cast

from refold.executors.batch_runner import BatchRunner
from refold.executors.caller import tell_waits
from refold.executors.channel import Channel
from refold.executors.cursor import IDLE, Cursor
from refold.executors.failures import CANCELLED_FOLD
from refold.executors.interrupts import Interrupts
from refold.executors.messages import (
    AloneMessage,
    CancelMessage,
    CloseRunMessage,
    EagerMessage,
    FromWorker,
    KeptMessage,
    OpenRunMessage,
    PullMessage,
    RecallMessage,
    Said,
    ToWorker,
    WaitMessage,
)
from refold.executors.own_memory import OwnMemory, give_back
from refold.executors.reporter import Reporter
from refold.model.keys import RunId
from refold.outputs import FileOutputStore
from refold.ports.executor import Batch, Finished, FoldBatch, Partial, Report, RunContext
from refold.ports.output_store import OutputStore
from refold.scheduler.events import Outcome
from refold.scheduler.ranges import ranges_of

_WORTH_LESS = "500"
"""Of 1000 that would make the system end it before all others."""


class Worker:
    """Listens and executes until it is told to close."""

    def __init__(self, connection: Channel, cursor: Cursor, name: str, *, cautious: bool = False) -> None:
        """`cautious`: it says what came of a child before it goes on to the next."""
        self._connection = connection
        self._identity = _identity(connection)
        self._process = os.getpid()
        self._name = name
        self._send_lock = threading.Lock()
        self._heard: SimpleQueue[ToWorker | WaitMessage | None] = SimpleQueue()
        """What the engine said, not yet answered; None: results begin to wait. What the engine is to hear of waits:
        said from here, it cannot be torn by a signal."""
        self._waits: dict[int, int] = {}
        """By batch: how many waits for something outside are under way."""
        self._memory = OwnMemory(self._give_back)
        self._is_at_job = False
        """Whether the main thread executes something."""
        self._reporter = Reporter(self._report, on_waiting=partial(self._heard.put, None), memory=self._taken)
        self._interrupts = Interrupts()
        self._cursor = cursor
        self._cautious = cautious
        put_cursor = self._say_and_put if cautious else cursor.put
        aside = None if cautious else cursor.put_aside
        hooks = put_cursor, aside, partial(self._say, Said.WORN), self._rest
        self._runner = BatchRunner(name, open_output_store, self._reporter, self._interrupts, *hooks)
        self._jobs: deque[ToWorker] = deque()
        self._wake = threading.Condition()

    def work(self) -> None:
        """Executes what it is given; returns when told to close."""
        for number in (signal.SIGINT, signal.SIGHUP):
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, self._leave_to_engine)
        self._interrupts.install()
        threading.Thread(target=partial(vital, self._read, self.blame_nobody), name="reader", daemon=True).start()
        threading.Thread(target=partial(vital, self._listen, self.blame_nobody), name="listener", daemon=True).start()
        tell_waits(self._give_way)
        self._say(KeptMessage(0, self._memory.first))
        self._say(Said.READY)
        with self._runner.capture.installed():
            while (job := self._next_job()) is not Said.CLOSE:
                self._memory.begin()
                self._is_at_job = True
                self._do(job)
                if not self._jobs or self._memory.is_notable():
                    self._reporter.flush()
                self._is_at_job = False
                self._settle(was_long=job is Said.REST)

    def _taken(self) -> int:
        """Bytes that what is executed took at most; 0: not known, as while the main thread and others are at work."""
        return 0 if self._is_at_job and self._runner.is_busy_aside else self._memory.taken()

    def _settle(self, *, was_long: bool) -> None:
        """Something was executed: gives back the memory that it left."""
        kept = None if self._runner.is_busy_aside else self._memory.settle(was_long=was_long)
        if kept is not None:
            self._say(KeptMessage(kept, self._memory.first))

    def _rest(self) -> None:
        """What was under way beside the main thread is over: it is to give back the memory that this left."""
        with self._wake:
            self._jobs.append(Said.REST)
            self._wake.notify()

    def _give_way(self, batch: int, waits: bool) -> None:
        """What a batch waits for is outside: tells the engine where nothing else goes on in the main thread."""
        if threading.current_thread() is not threading.main_thread() and not self._runner.waits_for(batch):
            return
        before = self._waits.pop(batch, 0)
        now = before + (1 if waits else -1)
        if now > 0:
            self._waits[batch] = now
        if (before > 0) != (now > 0):
            self._heard.put(WaitMessage(batch, waits))

    def _give_back(self) -> None:
        self._runner.drop_cached()
        give_back()

    def _say_and_put(self, batch: int, position: int, since: float) -> None:
        """Notes which child is next when it is known what came of the last one: if this fails, that one is to blame."""
        self._reporter.flush()
        self._runner.flush_wide()
        self._cursor.put(batch, position, since)

    def blame_nobody(self) -> None:
        """It ends of what some child did to it; only a cautious worker knows that it was the one that it is on."""
        if not self._cautious:
            self._cursor.put(self._cursor.read().batch, IDLE, 0.0)

    def _leave_to_engine(self, number: int, _frame: FrameType | None) -> None:
        """Ctrl-C and the end of the terminal are for the engine to answer; processes that a block forks end of them."""
        if os.getpid() != self._process:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)

    def _redirect(self, context: RunContext) -> None:
        """What is written past Python's streams, by C libraries and subprocesses, goes to a file beside the logs."""
        folder = context.run_folder / "logs"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            file = os.open(folder / f"{self._name}.out", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        except OSError:
            return  # a log that cannot be written is no reason to fail block runs
        os.dup2(file, 1)
        os.dup2(file, 2)
        os.close(file)

    def _next_job(self) -> ToWorker:
        with self._wake:
            while not self._jobs:
                self._wake.wait()
            return self._jobs.popleft()

    def _do(self, job: ToWorker) -> None:
        match job:
            case Batch():
                self._runner.run(job)
            case AloneMessage():
                self._runner.run(job.batch, job.positions)
            case FoldBatch():
                self._runner.fold(job)
            case PullMessage():
                self._runner.resume(job.batch, job.position)
            case OpenRunMessage():
                self._redirect(job.context)
                self._runner.open_run(job.context, job.tasks)
            case CloseRunMessage():
                self._runner.close_run(job.run)
            case CancelMessage():
                self._runner.drop_paused(job.run)
            case Said.REST:
                return  # what follows everything that was executed is all there is to it
            case _:
                raise TypeError(f"no job is a {type(job).__qualname__}: a block has loaded the worker's modules anew")

    def _read(self) -> None:
        """The reading thread: never returns."""
        try:
            while True:
                self._heard.put(cast("ToWorker", pickle.loads(self._connection.recv_bytes())))
        except (EOFError, OSError):
            self._check_connection()
            os._exit(0)  # the engine is gone

    def _listen(self) -> None:
        """The listening thread: never returns."""
        while True:
            due = self._reporter.due()
            try:
                message = self._heard.get(timeout=None if due is None else max(0.0, due - time.monotonic()))
            except Empty:
                self._reporter.flush()
                continue
            if isinstance(message, WaitMessage):
                self._say(message)
            elif message is not None:
                self._hear(message)

    def _hear(self, message: ToWorker) -> None:
        match message:
            case RecallMessage():
                taken = self._runner.recall(message.batch)
                if taken:
                    outcomes = bytes((Outcome.UNSTARTED,)) * len(taken)
                    self._say([Finished(message.batch, ranges_of(taken), outcomes)])
                self._hand_back(lambda batch: batch.id == message.batch, Outcome.UNSTARTED)
                return
            case CancelMessage():
                self._hand_back(lambda batch: batch.run == message.run, Outcome.CANCELLED)
                self._give_up_folds(message.run)
                self._runner.cancel(message.run)
            case EagerMessage():
                self._reporter.eager = message.eager
                return
            case PullMessage():
                if not self._runner.pull(message.batch, message.position, message.items, message.size):
                    return
        with self._wake:
            self._jobs.append(message)
            self._wake.notify()

    def _hand_back(self, which: Callable[[Batch], bool], outcome: Outcome) -> None:
        """Reports batches that wait here as not begun."""
        with self._wake:
            waiting = [job for job in self._jobs if isinstance(job, Batch) and which(job)]
            for batch in waiting:
                self._jobs.remove(batch)
        for batch in waiting:
            self._say([Finished(batch.id, ((0, batch.length),), bytes((outcome,)) * batch.length)])

    def _give_up_folds(self, run: RunId) -> None:
        """Reports folds that wait here as not done."""
        with self._wake:
            waiting = [job for job in self._jobs if isinstance(job, FoldBatch) and job.run == run]
            for fold in waiting:
                self._jobs.remove(fold)
        if waiting:
            self._say([Partial(fold.id, failure=CANCELLED_FOLD) for fold in waiting])

    def _check_connection(self) -> None:
        """Raises ConnectionError when a block has closed the connection to the engine: its number may be another's."""
        if _identity(self._connection) != self._identity:
            raise ConnectionError("a block has closed the worker's connection to the engine")

    def _report(self, reports: list[Report]) -> None:
        self._say(reports)

    def _say(self, message: FromWorker) -> None:
        data = pickle.dumps(message, 5)
        with self._send_lock:
            if os.getpid() != self._process:
                os._exit(1)  # a block forked it, and it has nothing to say to the engine
            self._check_connection()
            try:
                self._connection.send_bytes(data)
            except OSError:
                os._exit(0)


def open_output_store(context: RunContext) -> OutputStore:
    """The outputs of a pipeline run, as files in its folder."""
    return FileOutputStore(context.run_folder, context.latest_folder, durable=context.durable)


def vital(work: Callable[[], None], before_end: Callable[[], None]) -> None:
    """Does work without which a worker is of no use. If it fails, the process ends, and says why in its output."""
    try:
        work()
    except BaseException:
        before_end()
        with suppress(OSError):
            os.write(2, traceback.format_exc().encode(errors="backslashreplace"))
        os._exit(1)


def _identity(connection: Channel) -> tuple[int, int] | None:
    """What the connection's descriptor stands for: another file may have taken the number of one that was closed."""
    try:
        state = os.fstat(connection.fileno())
    except OSError:
        return None
    return state.st_dev, state.st_ino


def start_worker(connection: int, cursor: int, name: str, *, cautious: bool) -> None:
    """Makes this process a worker; the first two are file descriptors. Returns when told to close."""
    faulthandler.enable()
    _offer_itself()
    # What is loaded by now stays: looking through it again and again would be much of the collector's work.
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)
    worker = Worker(Channel.over(connection), Cursor(cursor), name, cautious=cautious)
    vital(worker.work, worker.blame_nobody)


def _offer_itself() -> None:
    """Where the system has no memory left, it is to end a worker, which costs one child, and not the engine."""
    with suppress(OSError), open("/proc/self/oom_score_adj", "w") as file:
        file.write(_WORTH_LESS)
