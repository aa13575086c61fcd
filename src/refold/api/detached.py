"""A process on its own: `python -m refold.api.detached PROJECT RUN` drives a run that is in the store.

It belongs to nobody: neither to the session and the terminal of who started it, nor to that process's tree, whose
memory is counted and whose end it outlives. It prints its process id and loads nothing before that: somebody waits.
"""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress
from importlib import import_module

_ENGINE = "refold.api.run_engine"


def main(project: str, run: str) -> None:
    """Prints the id of the process that drives the run, and ends; that process goes on."""
    pid = os.fork()
    if pid:
        os.write(1, str(pid).encode())
        os._exit(0)
    os.dup2(2, 1)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    # A worker's children would be ended before all others where memory runs out: an engine is none of those.
    with suppress(OSError), open("/proc/self/oom_score_adj", "w") as file:
        file.write("0")
    import_module(_ENGINE).drive(project, run)


if __name__ == "__main__":
    main(*sys.argv[1:])
