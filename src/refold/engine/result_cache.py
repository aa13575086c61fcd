"""Results of earlier runs: a cached block's run is not executed where one with the same fingerprint completed before.

A fingerprint tells the code, the configuration, the variables that reach the function, and the content of all inputs
(`configuration.cache: true`). Contents are known by digests that workers send along, so no payload passes here. The
result becomes this run's own: its chunk is adopted, and stays when the earlier run is deleted.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Protocol

from refold.engine.batch_builder import BatchBuilder, sequence_of
from refold.engine.byte_columns import ByteColumn, Marks
from refold.engine.item_waits import waits_of
from refold.engine.run_keys import encoded_keys
from refold.model.keys import PipelineUuid, RunId
from refold.ports.output_store import ChunkRef
from refold.ports.run_store import BlockRunRow, ItemsRow, RunStore
from refold.scheduler.events import Event, ItemsArrived, Outcome, RunsFinished
from refold.scheduler.plan import Edge, EdgeKind
from refold.scheduler.ranges import Ranges, gather, numbers, stretches
from refold.scheduler.state import State
from refold.scheduler.status import Status

_SIZE = 8
_FINGERPRINT = 16
_UNKNOWN = bytes(_SIZE)


@dataclass(frozen=True, slots=True)
class CachedBlock:
    """What the runs of a cached block depend on beside their inputs."""

    digest: bytes
    """Tells its code, its configuration, and the variables where they reach the function."""
    metadata: bool
    """Whether the metadata of the items that a run stands at reaches the function."""


@dataclass(frozen=True, slots=True)
class CacheSetup:
    """Where a pipeline run finds results of earlier ones."""

    run: RunId
    """This run, which does not answer itself."""
    project: str
    pipeline: PipelineUuid
    blocks: Mapping[int, CachedBlock]
    """Those that are cached, by number."""
    adopt: Callable[[RunId, ChunkRef], ChunkRef]
    """Makes a chunk of another run this run's own. Raises FileNotFoundError when it is gone."""
    publish: Callable[[int, ChunkRef, int], None]
    """Makes an output of a block without axes its latest one."""
    anew: frozenset[int] = frozenset()
    """Blocks that a retry asked for by name: they are executed whatever was found earlier."""


class Ledger(Protocol):
    """Where what is taken over is written down."""

    def add_chunk(self, ref: ChunkRef) -> int:
        """A chunk is this run's now; its number."""

    def add_items(self, block: int, run: int, row: ItemsRow) -> None:
        """The next items of a dynamic run lie there."""


class Digests:
    """What tells the content of outputs, eight bytes each, of the blocks where somebody asks."""

    def __init__(self, blocks: int) -> None:
        self._outputs = [ByteColumn(_SIZE) for _ in range(blocks)]

    def put(self, block: int, runs: Ranges, outcomes: bytes, digests: bytes) -> None:
        """Of these runs, the completed ones have these digests, in order."""
        told = at = 0
        for start, stop in runs:
            codes = outcomes[told : told + stop - start]
            told += stop - start
            for code, low, high in stretches(codes, start):
                if code <= Outcome.COMPLETED_FALSE:
                    end = at + _SIZE * (high - low)
                    self._outputs[block].put(low, digests[at:end])
                    at = end

    def put_one(self, block: int, run: int, digest: bytes | None) -> None:
        """The digest of one run's output, as it was stored; None where none was."""
        if digest is not None:
            self._outputs[block].put(run, digest)

    def of(self, block: int, run: int) -> bytes | None:
        """The digest of a run's output; None where it is not known."""
        return self._outputs[block][run]


class ResultCache:
    """Answers runs of cached blocks from earlier pipeline runs."""

    def __init__(self, setup: CacheSetup | None, store: RunStore, state: State, builder: BatchBuilder) -> None:
        self._setup = setup
        self._store = store
        self._state = state
        self._builder = builder
        self.digests = Digests(len(state.blocks))
        self._fingerprints = [ByteColumn(_FINGERPRINT) for _ in state.blocks]
        self._kept = [Marks() for _ in state.blocks]
        self._chunks: dict[RunId, dict[int, ChunkRef]] = {}
        """Of earlier runs, where their chunks lie."""
        self._adoptions: dict[tuple[RunId, int], ChunkRef] = {}
        cached = () if setup is None else setup.blocks
        self._followed = {edge.upstream for number in cached for edge in state.plan.blocks[number].edges}
        if setup is not None:
            self._keep_fingerprints_of_items(setup)

    def _keep_fingerprints_of_items(self, setup: CacheSetup) -> None:
        for number, cached in setup.blocks.items():
            planned = self._state.plan.blocks[number]
            asked = {edge.upstream for edge in planned.edges} | {axis.block for axis in planned.axes if cached.metadata}
            for block in asked:
                if self._state.blocks[block].items is not None:
                    self._builder.keep_fingerprints(block)

    def answer(self, block: int, ranges: Ranges, ledger: Ledger) -> tuple[Ranges, list[Event]]:
        """Of runs that are handed out: those that must be executed, and the events that tell of the others."""
        setup = self._setup
        if setup is None or block not in setup.blocks or not ranges:
            return ranges, []
        runs = sequence_of(ranges)
        prints = dict(self._fingerprint(setup.blocks[block], block, ranges))
        uuid = self._state.plan.blocks[block].uuid
        asked = set(prints.values())
        found: Mapping[bytes, tuple[RunId, BlockRunRow]] = {}
        if asked and block not in setup.anew:
            found = self._store.cached(setup.project, setup.pipeline, uuid, asked, setup.run)
        events: list[Event] = []
        kept: list[int] = []
        outcomes = bytearray()
        for run in runs:
            fingerprint = prints.get(run)
            if fingerprint is None:
                continue
            self._fingerprints[block].put(run, fingerprint)
            if fingerprint not in found:
                continue
            items = self._take(block, run, *found[fingerprint], ledger)
            if items is None:
                continue
            events += items
            kept.append(run)
            false = found[fingerprint][1].status == Status.COMPLETED_FALSE
            outcomes.append(Outcome.COMPLETED_FALSE if false else Outcome.COMPLETED)
        if not kept:
            return ranges, []
        for run in kept:
            self._kept[block].add(run, run + 1)
        events.append(RunsFinished(block, gather(kept), bytes(outcomes)))
        return gather(sorted(set(runs).difference(kept))), events

    def note(self, block: int, run: int, row: BlockRunRow) -> None:
        """A retry keeps this run as it was stored."""
        self.digests.put_one(block, run, row.digest)
        if row.fingerprint is not None:
            self._fingerprints[block].put(run, row.fingerprint)
        if row.kept:
            self._kept[block].add(run, run + 1)

    def concerns(self, block: int) -> bool:
        """Whether rows of a block carry digests or fingerprints: it is cached, or what it gives is looked at."""
        return self._setup is not None and (block in self._setup.blocks or block in self._followed)

    def columns(self, block: int, runs: Sequence[int]) -> Iterator[tuple[bool, Sequence[int]]]:
        """The runs of a record, those that were answered from earlier results apart; True for them."""
        kept = self._kept[block]
        if not kept:
            yield False, runs
            return
        yield True, [run for run in runs if run in kept]
        yield False, [run for run in runs if run not in kept]

    def stored(self, block: int, runs: Sequence[int]) -> tuple[list[bytes | None], list[bytes | None]]:
        """What is stored with these runs: digests of their outputs, and fingerprints; None where they have none."""
        return (
            [self.digests.of(block, run) for run in runs],
            [self._fingerprints[block][run] for run in runs],
        )

    def _fingerprint(self, cached: CachedBlock, block: int, ranges: Ranges) -> Iterator[tuple[int, bytes]]:
        """Each run with its fingerprint, but for those of which some input's content is not known."""
        planned = self._state.plan.blocks[block]
        runs = sequence_of(ranges)
        columns = [self._contents(block, number, edge, ranges) for number, edge in enumerate(planned.edges)]
        if cached.metadata:
            columns += [
                self._items(space.producer.plan.number, space.stored(positions))
                for space, positions in self._state.axes(block, runs)
            ]
        for at, run in enumerate(runs):
            told = blake2b(cached.digest, digest_size=_FINGERPRINT)
            contents = [column[at if len(column) > 1 else 0] for column in columns]
            if all(content is not None for content in contents):
                for content in contents:
                    told.update(len(content or b"").to_bytes(8))
                    told.update(content or b"")
                yield run, told.digest()

    def _contents(self, block: int, number: int, edge: Edge, ranges: Ranges) -> Sequence[bytes | None]:
        """For each run, or once for all of them: what tells the content of this input."""
        positions = list(numbers(self._state.inputs(block, number, ranges))) if edge.iterates else [0]
        if edge.kind is EdgeKind.FOLDED:
            return [self._group(edge, group) for group in positions]
        if edge.kind is EdgeKind.FLAT:
            return self._items(edge.upstream, self._state.flat(edge.upstream, edge.levels).stored(positions))
        if edge.kind is EdgeKind.ITEMS:
            return self._items(edge.upstream, positions)
        return [self.digests.of(edge.upstream, run) for run in positions]

    def _group(self, edge: Edge, group: int) -> bytes | None:
        assert edge.fold is not None, "an edge that folds says which fold it is"
        whole = edge.levels != 0
        runs: Iterable[int] = self._state.fold(edge.upstream, edge.fold).completed(group) if whole else (group,)
        items = self._state.blocks[edge.upstream].items
        if items is not None:
            each = self._items(edge.upstream, array("I", [item for run in runs for item in items.items_of(run)]))
        else:
            each = [self.digests.of(edge.upstream, run) for run in runs]
        return None if None in each else b"".join(content or b"" for content in each)

    def _items(self, block: int, positions: Sequence[int]) -> list[bytes | None]:
        known = self._builder.fingerprints[block]
        assert known is not None, "somebody said that they would be asked for"
        return [bytes(known[_SIZE * at : _SIZE * at + _SIZE]) if at >= 0 else _UNKNOWN for at in positions]

    def _take(self, block: int, run: int, earlier: RunId, row: BlockRunRow, ledger: Ledger) -> list[Event] | None:
        """Makes an earlier result this run's; the events of its items. None where its files are gone."""
        assert self._setup is not None
        wanted = {row.chunk} if row.chunk is not None else set()
        dynamic = self._state.plan.blocks[block].dynamic
        items = list(self._store.items(earlier, row.block, row.key)) if dynamic else []
        wanted.update(each.chunk for each in items)
        try:
            chunks = {number: ledger.add_chunk(self._adopted(earlier, number)) for number in wanted}
        except FileNotFoundError:
            return None
        self.digests.put_one(block, run, row.digest)
        if row.chunk is not None and row.position is not None:
            self._builder.outputs[block].put(run, run + 1, chunks[row.chunk], row.position)
            if not self._state.plan.blocks[block].axes:
                self._setup.publish(block, self._builder.chunks[chunks[row.chunk]], row.position)
        events: list[Event] = []
        key = encoded_keys(self._state.axes(block, (run,)), 1)[0]
        for each in items:
            own = each._replace(key=key, chunk=chunks[each.chunk])
            ledger.add_items(block, run, own)
            waits = waits_of(own, self._state.plan)
            events.append(ItemsArrived(block, run, own.start, own.start + own.length, waits=waits))
        return events

    def _adopted(self, earlier: RunId, chunk: int) -> ChunkRef:
        """A chunk of another run, made this run's own. Raises FileNotFoundError when it is not there (any more)."""
        assert self._setup is not None
        found = self._adoptions.get((earlier, chunk))
        if found is None:
            refs = self._chunks.get(earlier, {})
            if chunk not in refs:  # that run may be under way, and have more than a moment ago
                rows = self._store.chunks(earlier)
                refs = self._chunks[earlier] = {
                    row.chunk: ChunkRef(row.segment, row.offset, row.length) for row in rows
                }
            if chunk not in refs:
                raise FileNotFoundError(f"chunk {chunk} of run {earlier}")
            found = self._adoptions[earlier, chunk] = self._setup.adopt(earlier, refs[chunk])
        return found
