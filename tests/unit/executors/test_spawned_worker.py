"""Workers that a fork server makes: what they have, and what is known of their ends."""

from __future__ import annotations

import os
import pickle
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from refold.errors import RefoldError
from refold.executors import fork_server
from refold.executors.messages import Said
from refold.executors.paces import Paces
from refold.executors.spawned_worker import SpawnedWorker, Spawner, await_news
from refold.executors.worker_process import WorkerProcess

WITHOUT_ROOM = """#!{python}
import errno, os, socket
from refold.executors.fork_server import ORDER_LENGTH, REFUSED, SOCKET, STATUS

orders = socket.socket(fileno=SOCKET)
head, descriptors, _, _ = socket.recv_fds(orders, ORDER_LENGTH.size, 4)
os.write(descriptors[2], STATUS.pack(REFUSED, errno.EAGAIN))
orders.recv(1)
"""
"""A fork server on a system that has no process for a worker."""
PATIENCE = 20.0


@pytest.fixture
def spawner() -> Iterator[Spawner]:
    spawner = Spawner()
    yield spawner
    spawner.close()
    fork_server.drop_early()


@pytest.fixture
def started(spawner: Spawner) -> Iterator[list[SpawnedWorker]]:
    """Workers that are ended when the test is over."""
    started: list[SpawnedWorker] = []
    yield started
    for worker in started:
        worker.kill()
        worker.reap(PATIENCE)
        worker.close()


@pytest.fixture
def start(spawner: Spawner, started: list[SpawnedWorker]) -> Start:
    return Start(spawner, started)


class Start:
    """Starts workers, and waits until they are ready."""

    def __init__(self, spawner: Spawner, started: list[SpawnedWorker]) -> None:
        self._spawner = spawner
        self._started = started

    def __call__(self) -> tuple[SpawnedWorker, psutil.Process]:
        worker = self._spawner.start(f"worker-{len(self._started)}")
        self._started.append(worker)
        while pickle.loads(worker.connection.recv_bytes()) is not Said.READY:
            pass
        assert worker.pid is not None
        return worker, psutil.Process(worker.pid)


def fork_servers() -> list[psutil.Process]:
    """Those of this process; tests that ran before may have left other children."""
    living = [each for each in psutil.Process().children() if each.status() != psutil.STATUS_ZOMBIE]
    return [each for each in living if "refold.executors.fork_server_process" in each.cmdline()]


@pytest.mark.skipif(sys.platform != "linux", reason="descriptors of other processes are seen on Linux alone")
def test_a_worker_has_its_own_connection_and_no_other(start: Start) -> None:
    processes = [process for _, process in (start(), start(), start())]
    sockets = [{link for link in _links(process) if link.startswith(("socket:", "pipe:"))} for process in processes]
    assert [len(each) for each in sockets] == [1, 1, 1]
    assert len(set.union(*sockets)) == 3


def _links(process: psutil.Process) -> list[str]:
    folder = Path(f"/proc/{process.pid}/fd")
    return [os.readlink(each) for each in folder.iterdir()]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV], ids=lambda each: each.name)
def test_the_signal_that_ended_a_worker_is_known(start: Start, number: signal.Signals) -> None:
    worker, process = start()
    process.send_signal(number)
    assert worker.wait(PATIENCE)
    assert worker.exit_code == -number


def test_a_worker_that_is_let_go_of_ends_by_itself(start: Start) -> None:
    worker, process = start()
    assert not worker.has_ended()
    worker.close()
    assert worker.wait(PATIENCE)
    assert worker.exit_code == 0
    assert not process.is_running()


def test_the_end_of_a_worker_is_news_though_its_connection_stays_open(start: Start) -> None:
    other, _ = start()
    worker, process = start()
    held = os.dup(worker.connection.fileno())
    process.kill()
    await_news([other, worker], PATIENCE)
    os.close(held)
    assert worker.wait(PATIENCE)
    assert not other.has_ended()


def test_a_worker_has_the_surroundings_of_the_moment_when_it_was_started(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, before = start()
    monkeypatch.setenv("COLOUR", "red")
    _, red = start()
    monkeypatch.chdir(tmp_path)
    _, elsewhere = start()
    assert "COLOUR" not in before.environ()
    assert red.environ()["COLOUR"] == "red"
    assert red.cwd() == before.cwd()
    assert elsewhere.cwd() == str(tmp_path)
    assert before.parent() != red.parent() != elsewhere.parent()


def test_a_fork_server_of_former_surroundings_ends_when_its_workers_have(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    start()
    monkeypatch.setenv("NUMBER", "1")
    ended, _ = start()
    ended.close()
    assert ended.wait(PATIENCE)
    monkeypatch.setenv("NUMBER", "2")
    start()
    assert len(fork_servers()) == 2


def test_workers_of_the_same_surroundings_come_from_one_fork_server(start: Start) -> None:
    (_, first), (_, second) = start(), start()
    assert first.parent() == second.parent()


def test_workers_whose_fork_server_died_end_and_the_next_has_another(start: Start) -> None:
    worker, process = start()
    server = process.parent()
    assert server is not None
    server.kill()
    assert worker.wait(PATIENCE)
    assert worker.exit_code is None
    psutil.wait_procs([process], PATIENCE)
    assert not process.is_running()
    _, next_process = start()
    assert next_process.parent() != server


def test_nothing_is_left_of_a_spawner_that_is_closed(start: Start, spawner: Spawner) -> None:
    worker, process = start()
    server = process.parent()
    worker.close()
    worker.reap(PATIENCE)
    spawner.close()
    assert server is not None
    assert not server.is_running()


def test_a_fork_server_that_was_started_early_is_taken_where_it_fits(start: Start) -> None:
    fork_server.start_early()
    fork_server.start_early()
    early = fork_servers()
    assert len(early) == 2
    assert start()[1].parent() in early
    fork_server.drop_early()
    assert len(fork_servers()) == 1


def test_a_fork_server_of_other_surroundings_is_not_taken(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    fork_server.start_early()
    monkeypatch.setenv("COLOUR", "red")
    assert start()[1].environ()["COLOUR"] == "red"
    assert len(fork_servers()) == 1


def test_a_system_that_has_no_process_for_a_worker_is_named(
    spawner: Spawner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    python = tmp_path / "python"
    python.write_text(WITHOUT_ROOM.format(python=sys.executable), encoding="utf-8")
    python.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(python))
    worker = WorkerProcess(spawner, "worker", "code", Paces())
    assert worker.process.wait(PATIENCE)
    error = worker.start_error()
    worker.close()
    assert isinstance(error, RefoldError)
    assert "could not start: Resource temporarily unavailable" in error.message
    assert "--workers" in (error.fix or "")


def test_descriptors_are_given_back(start: Start, spawner: Spawner) -> None:
    def end() -> None:
        worker, _ = start()
        worker.close()
        worker.reap(PATIENCE)

    end()
    before = psutil.Process().num_fds()
    end()
    end()
    assert psutil.Process().num_fds() == before
