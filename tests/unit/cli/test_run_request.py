"""What `refold run` refuses before it starts anything."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from refold.cli.run_command import RunRequest, run_requested
from refold.errors import BadInputError


@pytest.fixture
def request_(tmp_path: Path) -> RunRequest:
    (tmp_path / "pipelines" / "demo").mkdir(parents=True)
    (tmp_path / "pipelines" / "demo" / "metadata.yaml").write_text("blocks: []\n", encoding="utf-8")
    return RunRequest(tmp_path, "demo")


def refused(request_: RunRequest) -> str:
    with pytest.raises(BadInputError) as raised:
        run_requested(request_)
    assert not (request_.project / ".mage_data").exists()
    return str(raised.value)


def test_an_item_needs_its_block(request_: RunRequest) -> None:
    assert "--block-uuid BLOCK" in refused(replace(request_, child="row_1"))


def test_tests_are_not_both_shown_and_left_out(request_: RunRequest) -> None:
    assert "contradict each other" in refused(replace(request_, show_tests=True, run_tests=False))


def test_variables_are_an_object(request_: RunRequest) -> None:
    assert "got a list" in refused(replace(request_, runtime_vars="[1]"))


def test_an_unknown_block_is_refused(request_: RunRequest) -> None:
    assert "no block `claen`" in refused(replace(request_, block="claen"))
