"""What is told of a failed block run, and which failures are counted as one."""

from __future__ import annotations

from pathlib import Path

from refold.errors import ProjectError, ReduceError, StoreError
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


def test_what_a_blocks_settings_lack_says_what_to_do_where_failures_are_listed() -> None:
    failure = failure_of(
        ProjectError("MySQL cannot be reached: its driver is missing", fix="Install it: pip install 'refold[mysql]'")
    )
    assert failure.error == (
        "ProjectError: MySQL cannot be reached: its driver is missing. Install it: pip install 'refold[mysql]'"
    )


def failing_fold(cause: Exception) -> ReduceError:
    """What a fold raised, from this."""
    error = ReduceError("`pick` over `rows` raised it", fix="Mend it.")
    error.__cause__ = cause
    return error


def test_a_fold_that_failed_in_the_users_code_shows_that_code() -> None:
    try:
        int("missing")
    except ValueError as error:
        failure = failure_of(failing_fold(error))
    assert 'int("missing")' in failure.traceback
    assert failure.traceback.endswith("`pick` over `rows` raised it\n  Mend it.")
    assert failure.error == "ReduceError: `pick` over `rows` raised it"


def test_a_fold_that_failed_in_our_own_code_shows_none_of_it() -> None:
    failure = failure_of(failing_fold(TypeError("never raised: without a frame")))
    assert failure.traceback == "`pick` over `rows` raised it\n  Mend it."
