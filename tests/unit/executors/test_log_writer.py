"""The log of a run takes any text from anybody, and loses no more than what cannot be written."""

from __future__ import annotations

import os
import resource
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from refold.api.run_logs import RunLogs
from refold.executors.capture import LogLine, LogWriter


def line(text: str, at: float = 0.0) -> LogLine:
    return LogLine(at, "block", "stdout", text)


def texts(folder: Path) -> list[str]:
    return [line.text for line in RunLogs(folder).new_lines()]


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[LogWriter]:
    writer = LogWriter(tmp_path / "worker.jsonl")
    yield writer
    writer.close()


def test_a_line_after_a_pause_can_be_read_at_once_and_the_others_when_flushed(
    writer: LogWriter, tmp_path: Path
) -> None:
    writer.write(line("first"))
    assert texts(tmp_path) == ["first"]
    writer.write(line("second"))
    writer.flush()
    assert texts(tmp_path) == ["first", "second"]


def test_lone_surrogates_are_escaped(writer: LogWriter, tmp_path: Path) -> None:
    writer.write(line("\ud800 é"))
    writer.flush()
    assert texts(tmp_path) == ["\\ud800 é"]


def test_threads_share_a_writer(writer: LogWriter, tmp_path: Path) -> None:
    def write(number: int) -> None:
        for each in range(500):
            writer.write(line(f"{number} {each}"))

    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    writer.flush()
    assert sorted(texts(tmp_path)) == sorted(f"{number} {n}" for number in range(4) for n in range(500))


def test_a_forked_process_writes_its_own_lines_and_none_of_its_parents(writer: LogWriter, tmp_path: Path) -> None:
    writer.write(line("at once"))
    writer.write(line("waits"))
    with writer._lock:  # as if another thread were writing at this moment
        pid = os.fork()
        if pid == 0:
            writer.write(line("forked"))
            os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0
    writer.flush()
    assert sorted(texts(tmp_path)) == ["at once", "forked", "waits"]


def test_what_cannot_be_written_is_lost_and_what_follows_is_not(writer: LogWriter, tmp_path: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200, before[1]))
    try:
        for text in ("fits", "does not fit: " + "x" * 500):
            writer.write(line(text))
            writer.flush()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    writer.write(line("fits again"))
    writer.flush()
    assert texts(tmp_path) == ["fits", "fits again"]


def test_a_folder_that_cannot_be_made_fails_nobody(tmp_path: Path) -> None:
    (tmp_path / "logs").write_text("a file\n", encoding="utf-8")
    writer = LogWriter(tmp_path / "logs" / "worker.jsonl")
    writer.write(line("lost"))
    writer.close()
    assert (tmp_path / "logs").read_text(encoding="utf-8") == "a file\n"
