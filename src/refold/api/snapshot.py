"""The plan of a run as the run store keeps it: a run stays readable when its pipeline has changed or is gone.

Of each block it keeps what its keys and inputs mean (`axes`, `edges`), and digests of its code, its configuration and
the run's variables, which tell whether a later run is of the same. Runs stored by version 0.1.0 named axes by their
blocks and reducing upstreams in a list of their own; they are read as what they meant.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b

from refold.errors import NotFoundError
from refold.model.block import LIST, Block, Join, JsonValue
from refold.model.keys import BlockUuid, Key
from refold.model.suggestion import suggestion
from refold.ports.executor import Source
from refold.ports.run_store import RunRecord
from refold.scheduler.plan import Edge, EdgeKind, Plan, PlannedBlock


@dataclass(frozen=True, slots=True)
class AxisSnapshot:
    """One axis of a block's runs: the items of a dynamic block; the fields are those of the plan's `Axis`."""

    block: BlockUuid
    parents: tuple[int, ...] = ()
    flat: bool = False
    zipped: tuple[AxisSnapshot, ...] = ()
    """The axes whose items are paired with these by index."""

    def producer(self, key: Key) -> Key:
        """Of a key on this axis and those before it: the key of the run that gave the item, or the outer key of a flat
        axis."""
        return tuple([key[place] for place in self.parents]) if self.parents else ()


@dataclass(frozen=True, slots=True)
class EdgeSnapshot:
    """Upstream -> block, seen from the block; the fields are those of the plan's `Edge`."""

    upstream: BlockUuid
    kind: EdgeKind
    columns: tuple[int, ...] = ()
    levels: int | None = None
    strategy: str = LIST
    """FOLDED: how the upstream's outputs become one value."""
    computed: bool = False

    @property
    def reduces(self) -> bool:
        """Whether several runs of the upstream reach one run of the block as one value."""
        return self.kind is EdgeKind.FOLDED and self.levels != 0

    def seen(self, key: Key) -> Key:
        """Of a run's key, the part that says what it sees of the upstream."""
        return tuple(key[place] for place in self.columns)


@dataclass(frozen=True, slots=True)
class BlockSnapshot:
    """A block as it was when the run began."""

    uuid: BlockUuid
    type: str
    edges: tuple[EdgeSnapshot, ...] = ()
    """In `upstream_blocks` order."""
    axes: tuple[AxisSnapshot, ...] = ()
    """What its runs iterate over, outermost first; repeats included."""
    dynamic: bool = False
    batch_mode: bool = False
    cache: bool = False
    conditions: tuple[BlockUuid, ...] = ()
    """The `@condition` blocks attached to it."""
    code: str | None = None
    """Digest of its code; None where the run does not record it."""
    configuration: str | None = None
    """Digest of its configuration."""
    variables: str | None = None
    """Digest of the variables that its runs see."""

    @property
    def upstreams(self) -> tuple[BlockUuid, ...]:
        """In order."""
        return tuple(edge.upstream for edge in self.edges)

    def unfolds_as(self, other: BlockSnapshot) -> bool:
        """Whether keys and outputs of its runs mean the same as the other's."""
        return self.axes == other.axes and self.dynamic == other.dynamic

    def stands_as(self, other: BlockSnapshot) -> bool:
        """Whether it has the other's place in the pipeline: what its runs did there, they would do here."""
        return self.unfolds_as(other) and self.type == other.type and self.edges == other.edges


class PlanSnapshot:
    """The blocks of a run, upstreams before downstreams."""

    def __init__(self, blocks: Iterable[Mapping[str, JsonValue]], where: str) -> None:
        self._where = where
        self._blocks: dict[BlockUuid, BlockSnapshot] = {}
        for block in blocks:
            read = _read(block) if "edges" in block else _read_former(block, self._blocks)
            self._blocks[read.uuid] = read

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

    def visible_axes(self, edge: EdgeSnapshot) -> tuple[AxisSnapshot, ...]:
        """The axes of what a block sees over this edge, one for each of the edge's columns."""
        upstream = self._blocks[edge.upstream]
        outer = upstream.axes[:-1] if edge.levels == 1 else ()
        match edge.kind:
            case EdgeKind.RUNS:
                return upstream.axes
            case EdgeKind.ITEMS:
                return (*upstream.axes, AxisSnapshot(upstream.uuid, tuple(range(len(upstream.axes)))))
            case EdgeKind.FLAT:
                return (*outer, AxisSnapshot(upstream.uuid, tuple(range(len(outer))), flat=True))
            case EdgeKind.FOLDED:
                return upstream.axes if edge.levels == 0 else outer
            case EdgeKind.BROADCAST:
                return ()


def snapshot_of(
    plan: Plan, blocks: Sequence[Block], sources: Mapping[BlockUuid, Source], variables: JsonValue
) -> list[Mapping[str, JsonValue]]:
    """What the run store keeps of a plan and its blocks, which are in the plan's order.

    `sources` need not hold the code of every block: of one that does not run it is not recorded. `variables` tell those
    that the runs see from others, and hold no secrets.
    """
    seen = _digest(variables)
    return [
        {
            "uuid": block.uuid,
            "type": block.type.value,
            "upstream_blocks": [plan.blocks[edge.upstream].uuid for edge in planned.edges],
            "axes": [_axis_json(axis) for axis in _axes(plan, planned)],
            "edges": [_edge_json(plan, blocks, edge) for edge in planned.edges],
            "dynamic": planned.dynamic,
            "batch_mode": planned.batch_mode,
            "cache": block.cache,
            "conditionals": [*block.conditionals],
            "code": code_digest(block, sources),
            "configuration": _digest(dict(block.configuration)),
            "variables": seen,
        }
        for block, planned in zip(blocks, plan.blocks, strict=True)
    ]


def code_digest(block: Block, sources: Mapping[BlockUuid, Source]) -> str | None:
    """Tells the code of a block, its own and that of the conditions and callbacks attached to it, from any other."""
    uuids = (block.uuid, *block.conditionals, *block.callbacks)
    if any(uuid not in sources for uuid in uuids):
        return None
    return _digest([sources[uuid].text for uuid in uuids])


def _digest(value: JsonValue) -> str:
    text = json.dumps(value, sort_keys=True, default=str)
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()


def _axes(plan: Plan, block: PlannedBlock) -> Iterator[AxisSnapshot]:
    for place, axis in enumerate(block.axes):
        _, *others = _sides(plan, block, place)
        yield AxisSnapshot(plan.blocks[axis.block].uuid, axis.parents, axis.flat, tuple(others))


def _sides(plan: Plan, block: PlannedBlock, place: int) -> list[AxisSnapshot]:
    """The axes that are paired at a place of a block's key, the first upstream's first, each of them once.

    Where upstreams are aligned, a position is there if each of them has it: what one alone has paired gives no more.
    """
    each = [_seen_sides(plan, edge, place) for edge in block.edges if place in edge.columns]
    found = list(dict.fromkeys(side for sides in each for side in sides))
    if block.join is Join.ZIP and place == len(block.axes) - 1:
        return found
    return [side for side in found if side == found[0] or all(side in sides for sides in each)]


def _seen_sides(plan: Plan, edge: Edge, place: int) -> list[AxisSnapshot]:
    at, upstream = edge.columns.index(place), plan.blocks[edge.upstream]
    if edge.kind in {EdgeKind.ITEMS, EdgeKind.FLAT} and at == len(edge.columns) - 1:
        sides = [AxisSnapshot(upstream.uuid, tuple(range(at)), edge.kind is EdgeKind.FLAT)]
    else:
        sides = _sides(plan, upstream, at)
    return [replace(side, parents=tuple(edge.columns[parent] for parent in side.parents)) for side in sides]


def _axis_json(axis: AxisSnapshot) -> dict[str, JsonValue]:
    fields: dict[str, JsonValue] = {"block": axis.block, "parents": [*axis.parents], "flat": axis.flat}
    return {**fields, "zipped": [_axis_json(other) for other in axis.zipped]} if axis.zipped else fields


def _edge_json(plan: Plan, blocks: Sequence[Block], edge: Edge) -> dict[str, JsonValue]:
    return {
        "kind": edge.kind.value,
        "columns": [*edge.columns],
        "levels": edge.levels,
        "strategy": blocks[edge.upstream].dynamic.reduction.strategy if edge.reduces else LIST,
        "computed": edge.fold is not None and plan.blocks[edge.upstream].folds[edge.fold].computed,
    }


def _read(block: Mapping[str, JsonValue]) -> BlockSnapshot:
    upstreams, edges = _uuids(block.get("upstream_blocks")), _objects(block.get("edges"))
    return BlockSnapshot(
        uuid=BlockUuid(str(block["uuid"])),
        type=str(block.get("type")),
        edges=tuple(_read_edge(upstream, edge) for upstream, edge in zip(upstreams, edges, strict=True)),
        axes=tuple(map(_read_axis, _objects(block.get("axes")))),
        dynamic=block.get("dynamic") is True,
        batch_mode=block.get("batch_mode") is True,
        cache=block.get("cache") is True,
        conditions=_uuids(block.get("conditionals")),
        code=_text(block.get("code")),
        configuration=_text(block.get("configuration")),
        variables=_text(block.get("variables")),
    )


def _read_axis(axis: Mapping[str, JsonValue]) -> AxisSnapshot:
    return AxisSnapshot(
        BlockUuid(str(axis["block"])),
        _places(axis.get("parents")),
        axis.get("flat") is True,
        tuple(map(_read_axis, _objects(axis.get("zipped")))),
    )


def _read_edge(upstream: BlockUuid, edge: Mapping[str, JsonValue]) -> EdgeSnapshot:
    levels = edge.get("levels")
    return EdgeSnapshot(
        upstream=upstream,
        kind=EdgeKind(edge["kind"]),
        columns=_places(edge.get("columns")),
        levels=levels if isinstance(levels, int) else None,
        strategy=str(edge.get("strategy", LIST)),
        computed=edge.get("computed") is True,
    )


def _read_former(block: Mapping[str, JsonValue], known: Mapping[BlockUuid, BlockSnapshot]) -> BlockSnapshot:
    """A block as version 0.1.0 stored it: axes were those of the upstreams one after the other, lists alone folded."""
    reduced = frozenset(_uuids(block.get("reduced_upstream_blocks")))
    edges: list[EdgeSnapshot] = []
    place = 0
    for upstream in _uuids(block.get("upstream_blocks")):
        before = known[upstream]
        if upstream in reduced:
            edges.append(EdgeSnapshot(upstream, EdgeKind.FOLDED))
            continue
        depth = len(before.axes) + before.dynamic
        kind = EdgeKind.ITEMS if before.dynamic else EdgeKind.RUNS if before.axes else EdgeKind.BROADCAST
        edges.append(EdgeSnapshot(upstream, kind, tuple(range(place, place + depth))))
        place += depth
    axes: list[AxisSnapshot] = []
    for place, uuid in enumerate(_uuids(block.get("axes"))):
        above = len(known[uuid].axes) if uuid in known else 0
        axes.append(AxisSnapshot(uuid, tuple(range(place - above, place))))
    return BlockSnapshot(
        uuid=BlockUuid(str(block["uuid"])),
        type=str(block.get("type")),
        edges=tuple(edges),
        axes=tuple(axes),
        dynamic=block.get("dynamic") is True,
    )


def _uuids(value: JsonValue) -> tuple[BlockUuid, ...]:
    return tuple(BlockUuid(str(uuid)) for uuid in value) if isinstance(value, list) else ()


def _objects(value: JsonValue) -> list[dict[str, JsonValue]]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def _places(value: JsonValue) -> tuple[int, ...]:
    return tuple(place for place in value if isinstance(place, int)) if isinstance(value, list) else ()


def _text(value: JsonValue) -> str | None:
    return value if isinstance(value, str) else None
