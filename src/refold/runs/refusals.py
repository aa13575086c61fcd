"""What run stores refuse, in the same words for each of them."""

from __future__ import annotations

from refold.errors import LeaseError, NotFoundError, StoreError
from refold.model.keys import BlockUuid, RunId
from refold.ports.run_store import Owner


def run_not_found(run: RunId) -> NotFoundError:
    """The error for a run that is not there."""
    return NotFoundError(f"there is no pipeline run {run}", fix="`refold runs` lists the runs there are.")


def run_exists(run: RunId) -> StoreError:
    """The error for a new run whose id is taken."""
    return StoreError(f"there is a pipeline run {run} already", fix="Give the new run another id.")


def driven_elsewhere(run: RunId, owner: str) -> LeaseError:
    """The error for a run whose lease another engine holds."""
    return LeaseError(
        f"pipeline run {run} is driven by {_described(owner)}",
        fix=f"Wait for it to end, or end it: refold cancel {run}",
    )


def lease_lost(run: RunId, owner: str | None) -> LeaseError:
    """The error for an engine that writes without the lease; `owner` is who holds it now."""
    if owner is None:
        return LeaseError(
            f"pipeline run {run} is no longer driven by this engine: its lease was given back",
            fix=f"Nothing was written. Start it again: refold retry {run}",
        )
    return LeaseError(
        f"pipeline run {run} is no longer driven by this engine, but by {_described(owner)}",
        fix="Nothing was written. The other engine goes on with the run.",
    )


def run_gone(run: RunId) -> LeaseError:
    """The error for an engine whose run was deleted."""
    return LeaseError(
        f"pipeline run {run} was deleted while this engine drove it", fix="Nothing was written. Start a new run."
    )


def block_not_planned(run: RunId, block: BlockUuid) -> StoreError:
    """The error for a row of a block that the run's plan does not have."""
    return StoreError(f"block {block} is not in the plan of pipeline run {run}, so nothing of it can be stored")


def _described(owner: str) -> str:
    parsed = Owner.parse(owner)
    return f"process {parsed.pid} on {parsed.host}"
