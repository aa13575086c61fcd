"""Waiting for a database: what interrupts the main thread reaches the connection, and the work is undone."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import cast

import pytest

from refold.io.databases.connection import Connection
from refold.languages.sql.query_thread import Interrupted, Work, interruptibly


class Stop(BaseException):
    """Raised in the main thread by a signal."""


class Slow:
    """A database whose query lasts until it is interrupted."""

    def __init__(self) -> None:
        self.interrupted = threading.Event()
        self.rolled_back = False

    def interrupt(self) -> None:
        self.interrupted.set()

    @contextmanager
    def session(self) -> Iterator[Connection]:
        try:
            yield cast("Connection", self)
        except BaseException:
            self.rolled_back = True
            raise


@pytest.fixture(autouse=True)
def _stopping() -> Iterator[None]:
    def stop(_number: int, _frame: FrameType | None) -> None:
        raise Stop

    before = signal.signal(signal.SIGUSR2, stop)
    yield
    signal.signal(signal.SIGUSR2, before)


def test_the_work_is_done_by_one_other_thread() -> None:
    names = {interruptibly(lambda _: threading.current_thread().name) for _ in range(3)}
    assert names == {"refold-query"}


def test_what_the_work_raises_is_raised() -> None:
    def fail(_: Work[None]) -> None:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        interruptibly(fail)


def test_a_signal_interrupts_the_query_and_its_transaction_is_rolled_back() -> None:
    database = Slow()

    def query(work: Work[str]) -> str:
        with database.session() as connection:
            work.reached(connection)
            os.kill(os.getpid(), signal.SIGUSR2)
            assert database.interrupted.wait(30)
            work.go_on()
        return "committed"

    with pytest.raises(Stop):
        interruptibly(query)
    assert database.rolled_back
    assert interruptibly(lambda _: "next") == "next"


def test_work_that_is_given_up_before_it_has_a_connection_gets_none() -> None:
    database, seen = Slow(), list[BaseException]()

    def query(work: Work[None]) -> None:
        os.kill(os.getpid(), signal.SIGUSR2)
        try:
            while True:
                work.go_on()
        except Interrupted as error:
            seen.append(error)
            raise

    with pytest.raises(Stop):
        interruptibly(query)
    assert len(seen) == 1
    assert not database.interrupted.is_set()


def test_another_thread_does_its_work_itself() -> None:
    found: list[str] = []
    thread = threading.Thread(
        target=lambda: found.append(interruptibly(lambda _: threading.current_thread().name)), name="mine"
    )
    thread.start()
    thread.join()
    assert found == ["mine"]


def test_a_forked_process_has_a_thread_of_its_own() -> None:
    interruptibly(lambda _: None)
    pid = os.fork()
    if pid == 0:
        os._exit(interruptibly(lambda _: 7))
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7
