"""Failures of block runs, as people read them."""

from __future__ import annotations

import os
import re
import traceback
from pathlib import Path

import refold
from refold.errors import (
    BadInputError,
    BlockError,
    BlockFileError,
    ChangedItemsError,
    ChildLimitError,
    ReduceError,
    RefoldError,
)
from refold.io.secrets.masking import masked
from refold.ports.executor import Failure

_OWN_CODE = str(Path(refold.__file__).parent) + os.sep
_LONGEST = 2000
"""Characters that one line of an error may take."""
_LONGEST_STORY = 40_000
"""Characters that a traceback may take: thousands of children may fail with the same one."""
_VARIABLE = re.compile(r"'[^']*'|\"[^\"]*\"|`[^`]*`|0x[0-9a-f]+|\d+(?:[.,]\d+)*")
_BLOCK_MODULE = re.compile(r"\brefold_block_\w+_[0-9a-f]{12}\.")
"""Block files are modules under names of ours: in front of a class of theirs it says nothing to its author."""
_FOR_GOOD = (ChangedItemsError, ChildLimitError)

CANCELLED_FOLD = Failure("the run was cancelled", "the run was cancelled", "")
"""Of a fold that was not done, or not to the end."""


def failure_of(error: BaseException) -> Failure:
    """Why a block run failed: one line, what it is grouped by, and the frames of the user's code."""
    try:
        return _failure_of(error)
    except Exception as trouble:  # the error's own methods raise, or there is no stack left to call them
        line = f"{type(error).__name__}, which cannot be shown: asked what it says it raised {type(trouble).__name__}"
        return Failure(line, line, line)


def _failure_of(error: BaseException) -> Failure:
    line = f"{type(error).__name__}: {_named(error.message)}" if isinstance(error, RefoldError) else first_line(error)
    line = masked(line)  # before anything is cut off, which could leave half a secret
    line = line if len(line) <= _LONGEST else f"{line[:_LONGEST]}..."
    kind, _, message = line.partition(":")
    group = f"{kind}:{_VARIABLE.sub('*', message)}" if message else kind
    elsewhere = isinstance(error, BlockFileError) or not isinstance(error, BlockError)
    if isinstance(error, RefoldError) and elsewhere and error.where is not None:
        line = f"{line} ({masked(error.where)})"  # not in the group: one full disk has many files
    if isinstance(error, (BlockFileError, BadInputError)) and error.fix is not None:
        line = f"{line}. {masked(error.fix)}"  # what a whole block needs is wanted where failures are listed
    memory = isinstance(error, MemoryError) or isinstance(error.__cause__, MemoryError)
    story = _shortened(masked(_named(_traceback(error))))
    return Failure(line, group, story, isinstance(error, _FOR_GOOD), memory)


def _named(text: str) -> str:
    """The text with classes of block files by their own names."""
    return _BLOCK_MODULE.sub("", text)


def _shortened(story: str) -> str:
    """The story without its middle, where it is too long: how it began and how it ended tell the most."""
    left_out = len(story) - _LONGEST_STORY
    if left_out <= 0:
        return story
    half = _LONGEST_STORY // 2
    return f"{story[:half]}\n... {left_out:,} characters left out ...\n{story[-half:]}"


def first_line(error: BaseException) -> str:
    """Type and message. A syntax error's code comes before it, indented; notes and more of a message come after it."""
    lines = _named("".join(traceback.format_exception_only(error))).splitlines()
    first = next((at for at, line in enumerate(lines) if line[:1].strip()), None)
    if first is None:
        return type(error).__name__
    line = lines[first].rstrip()
    if line.endswith(":"):  # its message begins with empty lines
        line = " ".join((line, *[more.strip() for more in lines[first + 1 :] if more.strip()][:1]))
    return line


def _traceback(error: BaseException) -> str:
    if isinstance(error, ReduceError) and error.__cause__ is not None and _frames_of_users(error.__cause__):
        return f"{_traceback(error.__cause__)}\n{error}"
    if isinstance(error, RefoldError):
        return str(error)
    shown = traceback.TracebackException.from_exception(error, compact=True)
    pending = [shown]
    while pending:
        exception = pending.pop()
        stack = exception.stack
        users = [frame for frame in stack if not frame.filename.startswith(_OWN_CODE)]
        if users:
            exception.stack = traceback.StackSummary.from_list(users)
        pending += [cause for cause in (exception.__cause__, exception.__context__) if cause is not None]
    return "".join(shown.format())


def _frames_of_users(error: BaseException) -> bool:
    return any(not frame.filename.startswith(_OWN_CODE) for frame in traceback.extract_tb(error.__traceback__))
