"""The first moments of a command, before anything is loaded that takes time.

Workers come from a fork server, which loads the same things as this process does, so it is started first: both load at
once. Whether workers will be wanted is a guess from the command line and the pipeline's file; a wrong one costs a
process that does nothing, or the time that it would have saved.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Sequence
from importlib import import_module
from itertools import pairwise
from typing import NoReturn

from refold.cli.endings import leave_at_ctrl_c, prepare_streams
from refold.executors import fork_server


def start_program(module: str, name: str) -> NoReturn:
    """Runs the program that this module has by this name, with the words of the command line; ends the process."""
    leave_at_ctrl_c()
    prepare_streams()
    gc.disable()  # what is loaded stays: there is nothing to collect
    if expects_workers(sys.argv[1:]):
        fork_server.start_early()
    try:
        code: int = getattr(import_module(module), name).run(sys.argv[1:])
    finally:
        fork_server.drop_early()
    sys.exit(code)


def expects_workers(words: Sequence[str]) -> bool:
    """Whether the command is likely to want worker processes."""
    command, *rest = words or [""]
    if command == "retry":
        return True
    if command != "run" or {"--help", "-h"} & {*rest} or any(word.startswith("--block-uuid") for word in rest):
        return False
    executor = next((word for word in ("inline", "processes") if _is_given(rest, "--executor", word)), None)
    if executor is not None:
        return executor == "processes"
    return any(_unfolds(project, pipeline) for project, pipeline in pairwise(rest))


def _is_given(words: Sequence[str], option: str, value: str) -> bool:
    return f"{option}={value}" in words or (option, value) in pairwise(words)


def _unfolds(project: str, pipeline: str) -> bool:
    """Whether these are a project and a pipeline of it with a dynamic block: one without has few runs, if any."""
    try:
        with open(f"{project}/pipelines/{pipeline}/metadata.yaml", "rb") as file:
            return b"dynamic" in file.read()
    except (OSError, ValueError):
        return False
