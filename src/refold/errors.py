"""Every error that Refold raises on purpose, under one root.

A message says what was wrong, where (file, line, key, block run), what was expected and what to do. `where` and `fix`
are kept apart from the message so that a terminal, a page and JSON can each lay them out.
"""

from __future__ import annotations


class RefoldError(Exception):
    """Root of all errors that are meant to be read by people."""

    def __init__(self, message: str, *, where: str | None = None, fix: str | None = None) -> None:
        self.message = message
        self.where = where
        self.fix = fix
        super().__init__(message, where, fix)

    def __str__(self) -> str:
        text = self.message if self.where is None else f"{self.where}: {self.message}"
        return text if self.fix is None else f"{text}\n  {self.fix}"


class BadInputError(RefoldError):
    """Raised when what the user gave cannot be run; nothing was started and nothing written."""


class ProjectError(BadInputError):
    """Raised when a folder is not a project, or its files cannot be read as one."""


class PipelineError(BadInputError):
    """Raised when a pipeline's metadata is wrong: a cycle, an unknown upstream, a missing file, a bad key."""


class PlanError(BadInputError):
    """Raised when a pipeline is well-formed but its unfolding is not: what cannot be joined, ordered or reduced."""


class NotFoundError(BadInputError):
    """Raised when a run, a block run or an output that was asked for does not exist."""


class PipelineRunError(RefoldError):
    """Raised when a pipeline run that Python code asked for (`execute_sync`) has not completed."""


class PipelineRunTimeoutError(PipelineRunError):
    """Raised when a pipeline run that was waited for is not over in time (`poll_timeout`): it goes on."""


class BlockError(RefoldError):
    """Raised when a block run fails for a reason that Refold found: the failure of that block run alone."""


class OutputShapeError(BlockError):
    """Raised when a dynamic block returns what cannot be unfolded."""


class DuplicateLabelError(BlockError):
    """Raised when two items of one run carry the same label."""


class ArgumentsError(BlockError):
    """Raised when a block's function cannot take the arguments that its upstreams give."""


class BlockFileError(BlockError):
    """Raised when a block's file cannot be loaded: a syntax error, a missing import, no decorated function."""


class BlockTimeoutError(BlockError):
    """Raised inside a block run that ran longer than its `timeout`."""


class WorkerLostError(BlockError):
    """Raised for the block run on which a worker process died."""


class OutOfMemoryError(BlockError, MemoryError):
    """Raised for a block run whose worker was stopped because it took more memory than there is."""


class ChangedItemsError(BlockError):
    """Raised when a retried generator yields other items than those its children already ran on."""


class ReduceError(BlockError):
    """Raised when the outputs of a block's runs cannot be folded into one value as its `reduce` asks."""


class DependencyError(BlockError):
    """Raised when an item waits for what cannot be waited for: an unknown name, or itself by way of others."""


class ChildLimitError(BlockError):
    """Raised when a run of a dynamic block gives more items than `max_child_block_runs` admits."""


class DatabaseError(BlockError):
    """Raised when a database refuses a statement, or cannot be reached: its own words, and the statement's place."""


class FileStoreError(BlockError):
    """Raised when a file, or an object of an object store, cannot be read or written."""


class StoreError(RefoldError):
    """Raised when a store cannot be read or written: disk full, a damaged file, a database that is gone."""


class LeaseError(RefoldError):
    """Raised when a run is already driven by another engine, or this engine has lost it to one."""


class ProtocolError(RefoldError):
    """Raised when an event is illegal in the state it meets: a defect of Refold, with the run's story."""
