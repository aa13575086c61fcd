"""Labels of any text: each names one block run, is shown as one word of a line, and finds its run again."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from refold.api.reading import RunReader
from refold.api.wiring import ExecutorKind
from refold.model.keys import parse_block_run_uuid
from refold.testing.lab import Lab, load

LABELS = {
    "long": "x" * 10_000,
    "colon": "a:b",
    "slash": "a/b",
    "per cent": "100%",
    "escaped": "%3A",
    "newline": "new\nline",
    "carriage return": "new\rline",
    "line separator": "new\u2028line",
    "tab": "a\tb",
    "NUL": "nul\0",
    "colour": "\x1b[31mred",
    "accent": "été",
    "accent apart": "e\u0301te\u0301",
    "emoji": "🎉",
    "right to left": "\u202eabc",
    "lone surrogate": "\ud800",
    "leading blank": " a",
    "trailing blank": "a ",
    "blank": " ",
    "dot": ".",
    "two dots": "..",
    "option": "--json",
    "quotes": "'\"`",
    "backslash": "C:\\x",
    "another's index": "5",
}
CHILD = "@transformer\ndef child(number, **kwargs):\n    print('number', number)\n    return number * 10\n"


@pytest.fixture(scope="module", params=[ExecutorKind.INLINE, ExecutorKind.PROCESSES], ids=str)
def reader(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> RunReader:
    """A run with a child for each label."""
    lab = Lab(tmp_path_factory.mktemp("labels"))
    metadata = ascii([{"block_uuid": label} for label in LABELS.values()])
    lab.add("load", load(f"[list(range({len(LABELS)})), {metadata}]"), dynamic=True)
    lab.add("child", CHILD, ["load"])
    return lab.run(request.param)


@pytest.mark.parametrize("name", LABELS)
def test_a_label_is_shown_and_found_again(reader: RunReader, name: str) -> None:
    number = list(LABELS).index(name)
    view = [*reader.block_runs("child")][number]
    assert parse_block_run_uuid(view.block_run_uuid) == ("child", (LABELS[name],))
    assert len(view.block_run_uuid.splitlines()) == 1
    assert view.block_run_uuid.encode()
    assert reader.output(view.block_run_uuid) == number * 10
    assert [entry.element for entry in reader.trace(view.block_run_uuid)] == [number]
    assert [line.text for line in reader.logs(view.block_run_uuid)] == [f"number {number}"]


def test_the_command_line_finds_what_it_shows(tmp_path: Path) -> None:
    def refold(*arguments: str) -> str:
        command = [sys.executable, "-m", "refold.cli", *arguments, "--project", str(lab.project.path)]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout

    lab = Lab(tmp_path)
    labels = [LABELS[name] for name in ("long", "newline", "lone surrogate")]
    lab.add("load", load(f"[[0, 1, 2], {[{'block_uuid': label} for label in labels]!a}]"), dynamic=True)
    lab.add("child", CHILD, ["load"])
    lab.run()
    shown = [json.loads(line)["block_run_uuid"] for line in refold("block-runs", "latest", "--json").splitlines()]
    _, long, newline, surrogate = shown
    assert refold("output", "latest", long) == "0\n"
    assert refold("logs", "latest", newline).endswith("number 1\n")
    assert json.loads(refold("trace", "latest", surrogate, "--json"))["element"] == 2


@pytest.mark.parametrize("kind", [ExecutorKind.INLINE, ExecutorKind.PROCESSES], ids=str)
def test_a_failure_is_listed_under_any_label(tmp_path: Path, kind: ExecutorKind) -> None:
    lab = Lab(tmp_path)
    labels = [LABELS[name] for name in ("newline", "lone surrogate", "NUL")]
    lab.add("load", load(f"[[0, 1, 2], {[{'block_uuid': label} for label in labels]!a}]"), dynamic=True)
    lab.add("child", "@transformer\ndef child(number):\n    return 1 // 0\n", ["load"])
    (failure,) = lab.run(kind).failures()
    assert [*failure.block_runs] == ["child:new%0Aline", "child:%ED%A0%80", "child:nul%00"]
