"""How a pipeline run stands: what a terminal shows and what the run store keeps as its summary."""

from __future__ import annotations

from dataclasses import dataclass

from refold.model.block import JsonValue
from refold.model.keys import BlockUuid
from refold.scheduler.state import State
from refold.scheduler.status import Status


@dataclass(frozen=True, slots=True)
class BlockProgress:
    """How many runs of one block stand where."""

    uuid: BlockUuid
    total: int
    """Runs that exist now."""
    total_final: bool
    """Whether no more will come."""
    running: int
    """Handed to workers."""
    completed: int
    failed: int
    upstream_failed: int
    condition_failed: int
    cancelled: int

    @property
    def over(self) -> int:
        """Runs that have reached their last status."""
        return self.completed + self.failed + self.upstream_failed + self.condition_failed + self.cancelled

    def as_json(self) -> dict[str, JsonValue]:
        """The counts as `refold run --json` documents them."""
        return {
            "total": self.total,
            "total_final": self.total_final,
            "completed": self.completed,
            "failed": self.failed,
            "upstream_failed": self.upstream_failed,
            "condition_failed": self.condition_failed,
            "cancelled": self.cancelled,
        }


def progress_of(state: State) -> tuple[BlockProgress, ...]:
    """The progress of each block, in the plan's order."""
    found = []
    for planned in state.plan.blocks:
        counts = state.counts(planned.number)
        unmade = state.total(planned.number) - state.blocks[planned.number].space.size
        found.append(
            BlockProgress(
                uuid=planned.uuid,
                total=state.total(planned.number),
                total_final=state.total_final(planned.number),
                running=state.blocks[planned.number].running,
                completed=counts[Status.COMPLETED] + counts[Status.COMPLETED_FALSE],
                failed=counts[Status.FAILED],
                upstream_failed=counts[Status.UPSTREAM_FAILED],
                condition_failed=counts[Status.CONDITION_FAILED],
                # Combinations of a product that never became runs are cancelled by the count.
                cancelled=counts[Status.CANCELLED] + (unmade if state.finished else 0),
            )
        )
    return tuple(found)


def summary_of(state: State) -> dict[str, JsonValue]:
    """What the run store keeps: `{"blocks": {uuid: counts}}`."""
    return {"blocks": {block.uuid: block.as_json() for block in progress_of(state)}}
