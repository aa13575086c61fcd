"""The plan of a run as the run store keeps it: a run stays readable when its pipeline has changed or is gone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from refold.errors import NotFoundError
from refold.model.block import JsonValue
from refold.model.keys import BlockUuid
from refold.model.suggestion import suggestion
from refold.ports.run_store import RunRecord


@dataclass(frozen=True, slots=True)
class BlockSnapshot:
    """A block as it was when the run began."""

    uuid: BlockUuid
    upstreams: tuple[BlockUuid, ...]
    """In order."""
    axes: tuple[BlockUuid, ...]
    """The dynamic blocks whose items its runs iterate over, outermost first; repeats included."""
    dynamic: bool
    reduced: frozenset[BlockUuid]
    """Upstreams whose outputs reach it as one list."""

    def unfolds_as(self, other: BlockSnapshot) -> bool:
        """Whether keys and outputs of its runs mean the same as the other's."""
        return self.axes == other.axes and self.dynamic == other.dynamic


class PlanSnapshot:
    """The blocks of a run, upstreams before downstreams."""

    def __init__(self, blocks: Iterable[Mapping[str, JsonValue]], where: str) -> None:
        self._blocks = {block.uuid: block for block in map(_read, blocks)}
        self._where = where

    @classmethod
    def of(cls, record: RunRecord) -> PlanSnapshot:
        """The plan of a stored run."""
        return cls(record.blocks, f"run {record.id}")

    def __iter__(self) -> Iterator[BlockSnapshot]:
        return iter(self._blocks.values())

    def __contains__(self, uuid: str) -> bool:
        return uuid in self._blocks

    def __getitem__(self, uuid: str) -> BlockSnapshot:
        """The block. Raises NotFoundError with what is probably meant."""
        block = self._blocks.get(BlockUuid(uuid))
        if block is None:
            raise NotFoundError(
                f"there is no block `{uuid}`", where=self._where, fix=suggestion(uuid, self._blocks, "blocks")
            )
        return block

    def own_axes(self, dynamic: BlockUuid) -> int:
        """How many axes the runs of a dynamic block have: that many indices before an item's own name its producer."""
        return len(self._blocks[dynamic].axes)


def _read(block: Mapping[str, JsonValue]) -> BlockSnapshot:
    return BlockSnapshot(
        uuid=BlockUuid(str(block["uuid"])),
        upstreams=_uuids(block.get("upstream_blocks")),
        axes=_uuids(block.get("axes")),
        dynamic=block.get("dynamic") is True,
        reduced=frozenset(_uuids(block.get("reduced_upstream_blocks"))),
    )


def _uuids(value: JsonValue) -> tuple[BlockUuid, ...]:
    return tuple(BlockUuid(str(uuid)) for uuid in value) if isinstance(value, list) else ()
