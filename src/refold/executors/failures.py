"""Failures of block runs, as people read them."""

from __future__ import annotations

import os
import re
import traceback
from pathlib import Path

import refold
from refold.errors import BlockError, BlockFileError, ChangedItemsError, RefoldError
from refold.ports.executor import Failure

_OWN_CODE = str(Path(refold.__file__).parent) + os.sep
_LONGEST = 2000
"""Characters that one line of an error may take."""
_VARIABLE = re.compile(r"'[^']*'|\"[^\"]*\"|`[^`]*`|0x[0-9a-f]+|\d+(?:[.,]\d+)*")
_BLOCK_MODULE = re.compile(r"\brefold_block_\w+_[0-9a-f]{12}\.")
"""Block files are modules under names of ours: in front of a class of theirs it says nothing to its author."""
_FOR_GOOD = (ChangedItemsError,)


def failure_of(error: BaseException) -> Failure:
    """Why a block run failed: one line, what it is grouped by, and the frames of the user's code."""
    line = f"{type(error).__name__}: {error.message}" if isinstance(error, RefoldError) else _first_line(error)
    line = line if len(line) <= _LONGEST else f"{line[:_LONGEST]}..."
    kind, _, message = line.partition(":")
    group = f"{kind}:{_VARIABLE.sub('*', message)}" if message else kind
    if isinstance(error, BlockFileError) and error.fix is not None:
        line = f"{line}. {error.fix}"  # what a whole block needs is wanted where failures are listed
    if isinstance(error, RefoldError) and not isinstance(error, BlockError) and error.where is not None:
        line = f"{line} ({error.where})"  # not in the group: one full disk has many files
    return Failure(line, group, _traceback(error), isinstance(error, _FOR_GOOD))


def _first_line(error: BaseException) -> str:
    """Type and message. A syntax error's code comes before it, indented; notes and more of a message come after it."""
    lines = _BLOCK_MODULE.sub("", "".join(traceback.format_exception_only(error))).splitlines()
    return next((line.rstrip() for line in lines if line[:1].strip()), type(error).__name__)


def _traceback(error: BaseException) -> str:
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
    return _BLOCK_MODULE.sub("", "".join(shown.format()))
