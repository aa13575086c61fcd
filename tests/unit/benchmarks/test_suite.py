"""The list of benchmarks, and what their processes say."""

from __future__ import annotations

import inspect

import pytest
from benchmarks import suite
from benchmarks.fanout import FanOut
from benchmarks.measurement import WHOLE
from benchmarks.peers.answer import Answer, answer, read_answer
from benchmarks.peers.comparison import Entry
from benchmarks.peers.systems import PEERS, ROOT
from benchmarks.whole_process import ProcessFailed, in_one_line


@pytest.mark.parametrize("benchmark", suite.BENCHMARKS, ids=lambda benchmark: benchmark.name)
def test_each_benchmark_can_be_asked_for_a_whole_and_a_quick_run(benchmark: suite.Benchmark) -> None:
    taken = inspect.signature(benchmark.measure)
    taken.bind(**benchmark.full)
    taken.bind(**benchmark.quick)


def test_a_name_that_is_no_benchmark_is_answered_with_those_that_are() -> None:
    with pytest.raises(SystemExit, match="scaling"):
        suite.named("skaling")


def test_each_peer_has_a_module() -> None:
    assert {peer.module for peer in PEERS if not (ROOT / "benchmarks/peers" / f"{peer.module}.py").is_file()} == set()


def test_a_peer_is_understood_among_all_that_its_system_prints(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["peer", "2"])
    print("starting ...")
    answer(lambda: [[{"id": 0}], [{"id": 100}]])
    print("stopped")
    told = read_answer(capsys.readouterr().out)
    assert told.children == 2
    assert told == Answer(2, told.seconds)


def test_a_peer_whose_results_are_wrong_gives_no_figure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["peer", "2"])
    with pytest.raises(AssertionError, match="1 results for 2 items"):
        answer(lambda: [[{"id": 0}]])
    with pytest.raises(AssertionError, match="not that of its item"):
        answer(lambda: [[{"id": 0}], [{"id": 7}]])


def test_a_peer_that_said_nothing_is_an_error() -> None:
    with pytest.raises(ValueError, match="no answer"):
        read_answer("starting ...\n")


def test_a_system_that_failed_once_is_not_asked_again_and_says_why() -> None:
    turns = []

    def fail() -> FanOut:
        turns.append(1)
        raise ProcessFailed("python -m peer: exit code 1\nNo module named ray")

    entry = Entry("Ray", 500, fail, "nothing is kept")
    entry.take_turn()
    entry.take_turn()
    (row,) = entry.measurements()
    assert turns == [1]
    assert (row.name, row.system, row.values, row.detail) == (WHOLE, "Ray", (), "given up: No module named ray")


def test_a_comparison_without_refold_is_none() -> None:
    def fail() -> FanOut:
        raise ProcessFailed("refold run: exit code 1")

    with pytest.raises(ProcessFailed):
        Entry("Refold", 500, fail, "all is kept", is_peer=False).take_turn()


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (ProcessFailed("python -m peer: exit code 1\nNo module named ray\n"), "No module named ray"),
        (ValueError("cannot import name 'a' from 'b' (/home/me/src/b.py)"), "cannot import name 'a' from 'b' (b.py)"),
        (ValueError("3/4 of and/or"), "3/4 of and/or"),
        (ValueError(), "ValueError"),
    ],
)
def test_an_error_is_kept_in_one_line_without_the_folders_of_the_machine(error: BaseException, told: str) -> None:
    assert in_one_line(error) == told
