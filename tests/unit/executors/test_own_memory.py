"""What a worker's children take of its memory, and what is done about what stays."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass, field

import pytest

from refold.executors.footprint import Footprint, footprint_of, forget_peak, memory_of_tree, own_footprint
from refold.executors.own_memory import LARGE, NOTABLE, OwnMemory, give_back

MB = 2**20
ON_LINUX = pytest.mark.skipif(sys.platform != "linux", reason="other systems do not tell")


@dataclass
class Process:
    """A process as its memory goes, on a clock of its own."""

    own: int = 100 * MB
    files: int = 10 * MB
    peak: int = 0
    now: float = 50.0
    can_give_back: int = 0
    looks: int = 0
    memory: OwnMemory = field(init=False)

    def __post_init__(self) -> None:
        self.memory = OwnMemory(self.give_back, self.look, self.forget, lambda: self.now)

    def look(self) -> Footprint:
        self.looks += 1
        return Footprint(self.own, self.files, max(self.peak, self.own + self.files))

    def forget(self) -> None:
        self.peak = 0

    def give_back(self) -> None:
        self.own -= self.can_give_back

    def execute(self, seconds: float, most: int, keeps: int = 0) -> None:
        self.memory.begin()
        self.now += seconds
        self.peak = max(self.peak, self.own + self.files + most)
        self.own += keeps


def test_the_most_that_there_was_meanwhile_is_what_was_taken() -> None:
    process = Process()
    process.execute(1.0, most=300 * MB)
    assert process.memory.taken() == 300 * MB


def test_mapped_files_are_not_taken() -> None:
    process = Process()
    process.memory.begin()
    process.now += 1.0
    process.files += 500 * MB
    process.own += 20 * MB
    assert process.memory.taken() == 20 * MB


def test_what_one_took_is_not_laid_at_the_door_of_the_next() -> None:
    process = Process()
    process.execute(1.0, most=300 * MB)
    process.memory.settle()
    process.execute(1.0, most=5 * MB)
    assert process.memory.taken() == 5 * MB


def test_short_ones_are_not_looked_at() -> None:
    process = Process()
    before = process.looks
    for _ in range(20):
        process.execute(0.0001, most=5 * MB)
        assert process.memory.taken() == 0
        assert not process.memory.is_notable()
        assert process.memory.settle() is None
    assert process.looks == before


def test_a_large_one_is_notable() -> None:
    process = Process()
    process.execute(1.0, most=NOTABLE - 1)
    assert not process.memory.is_notable()
    process.execute(1.0, most=NOTABLE)
    assert process.memory.is_notable()


def test_memory_is_given_back_after_a_large_one_and_nothing_is_told_where_that_helps() -> None:
    process = Process(can_give_back=200 * MB)
    process.execute(1.0, most=200 * MB, keeps=200 * MB)
    assert process.memory.settle() is None
    assert process.own == 100 * MB


def test_what_stays_is_told_once() -> None:
    process = Process()
    process.execute(1.0, most=0, keeps=LARGE + 5)
    assert process.memory.settle() == LARGE + 5
    process.execute(1.0, most=0)
    assert process.memory.settle() is None
    process.execute(1.0, most=0, keeps=-LARGE - 5)
    assert process.memory.settle() == 0


@ON_LINUX
def test_a_process_knows_its_own_peak() -> None:
    forget_peak()
    before = own_footprint()
    block = bytearray(64 * MB)
    del block
    give_back()
    after = own_footprint()
    assert after.most - before.own - before.files > 60 * MB
    assert after.own - before.own < 30 * MB


@ON_LINUX
def test_what_a_process_has_started_counts_with_it() -> None:
    code = "import subprocess, sys; subprocess.run([sys.executable, '-c', sys.argv[1]])"
    inner = f"memory = bytearray({64 * MB}); print(flush=True); input()"
    with subprocess.Popen([sys.executable, "-c", code, inner], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as outer:
        assert outer.stdout is not None
        outer.stdout.readline()
        own = footprint_of(outer.pid)
        assert own is not None
        assert memory_of_tree(outer.pid) > own.own + 60 * MB
        outer.communicate(b"\n")
    assert memory_of_tree(outer.pid) == 0
