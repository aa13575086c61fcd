"""The end of a process that is not a child of this one, as something to wait for without looking again and again."""

from __future__ import annotations

import os
import select
from typing import Self

from refold.engine.ownership import is_alive
from refold.ports.run_store import Owner

LOOK_SECONDS = 0.2
"""How often it is looked for where the system tells nobody that a process has ended."""
_LONGEST = 3600.0


class ProcessEnd:
    """A process on this host. To be closed."""

    def __init__(self, owner: Owner, descriptor: int | None) -> None:
        self._owner = owner
        self._descriptor = descriptor

    @classmethod
    def of(cls, owner: Owner) -> Self | None:
        """That of an engine on this host; None when it has ended."""
        descriptor: int | None = None
        try:
            descriptor = os.pidfd_open(owner.pid) if hasattr(os, "pidfd_open") else None
        except ProcessLookupError:
            return None
        except OSError:  # no descriptors left, or not allowed
            descriptor = None
        found = cls(owner, descriptor)
        if not is_alive(owner):  # asked now, as the number may have been another's before
            found.close()
            return None
        return found

    @property
    def owner(self) -> Owner:
        """The process."""
        return self._owner

    @property
    def descriptor(self) -> int | None:
        """Readable once it has ended; None where there is no such thing: it has to be looked for."""
        return self._descriptor

    def is_over(self) -> bool:
        """Whether it has ended."""
        return not is_alive(self._owner)

    def close(self) -> None:
        """Lets go of it."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def await_end(process: ProcessEnd | None, seconds: float, wake: int | None = None) -> None:
    """Waits until the process has ended, or `wake` is readable, or for so many seconds; or a while less."""
    poll = select.poll()
    for descriptor in (None if process is None else process.descriptor, wake):
        if descriptor is not None:
            poll.register(descriptor, select.POLLIN)
    poll.poll(1000 * patience(process, seconds))


def patience(process: ProcessEnd | None, seconds: float) -> float:
    """How many of so many seconds to wait before the process is looked at again."""
    blind = process is not None and process.descriptor is None
    return max(0.0, min(seconds, LOOK_SECONDS if blind else _LONGEST))
