"""The statuses of a block run, as the one-byte codes of the columns, and the table of legal changes.

INITIAL            known, not yet handed out; it may be waiting for inputs, ready, or waiting for a timer
QUEUED             handed to an executor; it may be running
COMPLETED          done; its output is stored
COMPLETED_FALSE    done and completed for people, but its `-> bool` function said False: what follows over
                   non-reducing edges is condition_failed (design 2.7)
FAILED             raised, timed out, or lost its worker, and no retry was left
CANCELLED          the pipeline run was cancelled before it ended
UPSTREAM_FAILED    an input did not complete
CONDITION_FAILED   a condition was false, its own or an input's
"""

from __future__ import annotations

from enum import IntEnum


class Status(IntEnum):
    """One byte of a block's status column; also what the run store keeps."""

    INITIAL = 0
    QUEUED = 1
    COMPLETED = 2
    COMPLETED_FALSE = 3
    FAILED = 4
    CANCELLED = 5
    UPSTREAM_FAILED = 6
    CONDITION_FAILED = 7

    @property
    def word(self) -> str:
        """The status as users see it (design, section 1)."""
        return "completed" if self is Status.COMPLETED_FALSE else self.name.lower()


TERMINAL = frozenset(status for status in Status if status >= Status.COMPLETED)

LEGAL: dict[Status, frozenset[Status]] = {
    Status.INITIAL: frozenset(
        {Status.QUEUED, Status.UPSTREAM_FAILED, Status.CONDITION_FAILED, Status.CANCELLED, Status.FAILED}
    ),
    Status.QUEUED: frozenset(
        {
            Status.INITIAL,  # a retry, a sensor that said "not yet", or a batch's unstarted tail taken back
            Status.COMPLETED,
            Status.COMPLETED_FALSE,
            Status.FAILED,
            Status.CANCELLED,
            Status.CONDITION_FAILED,
        }
    ),
    **{status: frozenset() for status in TERMINAL},
}
