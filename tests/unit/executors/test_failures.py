"""What is told of a failed block run, and which failures are counted as one."""

from __future__ import annotations

from pathlib import Path

from refold.errors import StoreError
from refold.executors.failures import failure_of
from refold.languages.python.block_file import module_name
from refold.model.keys import BlockUuid


def own_error(path: Path, text: str) -> Exception:
    """An exception of a class that a block's file defines."""
    name = module_name(BlockUuid("clean users"), path, "")
    kind = type("BadRow", (Exception,), {"__module__": name})
    error = kind(text)
    assert isinstance(error, Exception)
    return error


def test_an_error_class_of_the_block_file_goes_by_its_own_name(tmp_path: Path) -> None:
    failure = failure_of(own_error(tmp_path / "clean.py", "row 3"))
    assert failure.error == "BadRow: row 3"
    assert failure.traceback.endswith("BadRow: row 3\n")


def test_a_full_disk_is_one_kind_of_failure_whichever_file_it_hit() -> None:
    first, second = (
        failure_of(StoreError(f"the disk is full: {size} bytes could not be written", where=path, fix="Free space."))
        for size, path in (("1,100,329", "/data/a1-0.seg"), ("100,059", "/data/b2-0.seg"))
    )
    assert first.error == "StoreError: the disk is full: 1,100,329 bytes could not be written (/data/a1-0.seg)"
    assert first.group == second.group


def test_an_error_takes_one_line_and_its_fix_stands_in_the_story() -> None:
    failure = failure_of(StoreError("a lock cannot be stored", fix="Return plain values."))
    assert failure.error == "StoreError: a lock cannot be stored"
    assert "Return plain values." in failure.traceback
