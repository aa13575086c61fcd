"""What `refold run` refuses before it starts anything."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path

import pytest

from refold.cli.app import REFOLD
from refold.cli.mage_commands import MageRunRequest
from refold.cli.run_command import run
from refold.cli.run_request import RunRequest, command_of
from refold.errors import BadInputError


@pytest.fixture
def request_(tmp_path: Path) -> RunRequest:
    (tmp_path / "pipelines" / "demo").mkdir(parents=True)
    (tmp_path / "pipelines" / "demo" / "metadata.yaml").write_text("blocks: []\n", encoding="utf-8")
    return RunRequest(tmp_path, "demo")


def refused(request_: RunRequest) -> str:
    with pytest.raises(BadInputError) as raised:
        run(request_)
    assert not (request_.project / ".mage_data").exists()
    return str(raised.value)


def test_an_item_needs_its_block(request_: RunRequest) -> None:
    assert "--block-uuid BLOCK" in refused(replace(request_, child="row_1"))


def test_tests_are_not_both_shown_and_left_out(request_: RunRequest) -> None:
    assert "contradict each other" in refused(replace(request_, test=True, no_tests=True))


def test_variables_are_an_object(request_: RunRequest) -> None:
    assert "got a list" in refused(replace(request_, runtime_vars="[1]"))


def test_an_unknown_block_is_refused(request_: RunRequest) -> None:
    assert "no block `claen`" in refused(replace(request_, block_uuid="claen"))


def given(request: type[RunRequest], *arguments: str) -> RunRequest:
    """What a command of this request is called with."""
    asked: list[RunRequest] = []

    def run(asking: RunRequest) -> None:
        """Run something."""
        asked.append(asking)

    command = command_of(request, run)
    command(**REFOLD.read("run", command, arguments))
    return asked[0]


def test_a_command_takes_what_the_request_lists() -> None:
    asked = given(RunRequest, "shop", "daily", "--block-uuid", "load", "--no-tests", "--workers", "3")
    assert asked == RunRequest(Path("shop"), "daily", block_uuid="load", no_tests=True, workers=3)


def test_mage_takes_all_of_it_and_its_own() -> None:
    arguments = ("shop", "daily", "--workers", "3", "--skip-sensors", "--execution-partition", "2026/01")
    asked = given(MageRunRequest, *arguments, "--callback-url", "http://x")
    assert isinstance(asked, MageRunRequest)
    assert (asked.workers, asked.run_sensors, dict(asked.more_variables)) == (
        3,
        False,
        {"execution_partition": "2026/01"},
    )
    assert asked.ignored["--callback-url"] == "http://x"
    assert {field.name for field in fields(RunRequest)} < {field.name for field in fields(MageRunRequest)}


def test_runtime_variables_go_over_those_of_flags() -> None:
    asked = MageRunRequest(
        Path("shop"), "daily", runtime_vars='{"execution_partition": "mine"}', execution_partition="flag"
    )  # fmt: skip
    assert asked.options().variables == {"execution_partition": "mine"}
