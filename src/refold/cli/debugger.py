"""pdb for `refold debug`: where a block raised, as `pytest --pdb`, or from its first line on, as `python -m pdb`."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import CodeType
from typing import TypeVar

import refold
from refold.cli.endings import note

_T = TypeVar("_T")
_OWN_CODE = str(Path(refold.__file__).parent)


def run_from_first_line(work: Callable[[], _T], function: CodeType | None) -> _T:
    """What `work` returns; pdb stops at the first line of this function when that is called.

    Raises what it raises, BdbQuit when the user quits.
    """
    if function is None:
        note("note: the block's function has no line to stop at")
        return work()
    import pdb  # noqa: T100 - what the user asks for

    debugger = pdb.Pdb(nosigint=True)
    debugger.reset()
    debugger.set_break(function.co_filename, function.co_firstlineno, temporary=True, funcname=function.co_name)
    debugger.botframe = sys._getframe()
    debugger.set_continue()
    sys.settrace(debugger.trace_dispatch)
    try:
        return work()
    finally:
        sys.settrace(None)


def debug_crash(error: BaseException) -> None:
    """Opens pdb where this was raised; not where none of the block's code was running."""
    frames = []
    trace = error.__traceback__
    while trace is not None:
        frames.append(trace.tb_frame.f_code.co_filename)
        trace = trace.tb_next
    if all(file.startswith(_OWN_CODE) for file in frames):
        note("note: none of the block's code was running, so there is nothing to debug")
        return
    import pdb  # noqa: T100 - what the user asks for

    pdb.post_mortem(error.__traceback__)
