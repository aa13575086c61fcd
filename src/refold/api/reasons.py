"""Why a block run is as it is, in one sentence: what `refold why` prints.

All of it is read from what is stored: the block run's row and those of its inputs, the snapshot of the plan with its
digests, the items, the failures, and what the last retry found before it began.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from refold.api.blame import Found, condition_behind, input_run, obstacle_to_axis, root_of_failure
from refold.api.cache_history import CacheHistory
from refold.api.labels import COMPLETED
from refold.api.reading import INTERRUPTED, RunReader
from refold.api.retry_record import RetryRecord
from refold.api.snapshot import BlockSnapshot
from refold.api.waiting import missing_inputs
from refold.model.keys import BlockRunUuid, BlockUuid, Key, RunId, decode_key, encode_key
from refold.ports.run_store import BlockRunRow
from refold.scheduler.plan import EdgeKind
from refold.scheduler.status import Status


class ReasonKind(StrEnum):
    """What kind of reason it is; also the word in JSON."""

    WAITS = "waits"
    """Something that it needs is not over."""
    READY = "ready"
    """All that it needs is there: it is running, or waits for a worker."""
    RAN = "ran"
    """It ran for the first time."""
    RERAN = "reran"
    """A retry ran it anew."""
    KEPT = "kept"
    """A retry kept it."""
    CACHED = "cached"
    """An earlier run's result answered it."""
    FAILED = "failed"
    SKIPPED = "skipped"
    """A condition was false."""
    UPSTREAM_FAILED = "upstream_failed"
    CANCELLED = "cancelled"
    NOT_RUN = "not_run"
    """The run ended before it was its turn."""


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a block run is as it is."""

    block_run_uuid: BlockRunUuid
    status: str | None
    """The word that users see; None while it is not over."""
    kind: ReasonKind
    sentence: str
    block_runs: Sequence[BlockRunUuid] = ()
    """Other block runs that the sentence is about; of many the first few."""
    count: int = 0
    """How many those are in all."""
    run_id: RunId | None = None
    """The earlier run that the sentence is about."""


@dataclass(frozen=True, slots=True)
class _Told:
    """What is said of it."""

    kind: ReasonKind
    text: str
    block_runs: Sequence[BlockRunUuid] = ()
    count: int = 0
    run_id: RunId | None = None


def explain(reader: RunReader, block_run_uuid: str) -> Reason:
    """Why this block run is as it is. Raises NotFoundError, with names that are near, for one that does not exist."""
    block, key = reader.resolve(block_run_uuid)
    row = reader.store.block_run(reader.record.id, block.uuid, encode_key(key))
    uuid = reader.labels.uuid(block.uuid, key)
    told = _not_over(reader, block, key) if row is None else _over(reader, Found(block, key, row), uuid)
    return Reason(
        block_run_uuid=uuid,
        status=None if row is None else Status(row.status).word,
        kind=told.kind,
        sentence=f"`{uuid}` {told.text}",
        block_runs=told.block_runs,
        count=max(told.count, len(told.block_runs)),
        run_id=told.run_id,
    )


def _not_over(reader: RunReader, block: BlockSnapshot, key: Key) -> _Told:
    status = reader.status
    if reader.block_alone is not None and reader.block_alone != block.uuid:
        return _Told(ReasonKind.NOT_RUN, f"was not run: the run ran `{reader.block_alone}` alone")
    missing = missing_inputs(reader, block, key)
    if missing.count:
        more = missing.count - len(missing.named)
        named = ", ".join(f"`{each}`" for each in missing.named) + (f" and {more:,} more" if more else "")
        those = "1 block run that is" if missing.count == 1 else f"{missing.count:,} block runs that are"
        text = f"{those} not over: {named}{'; more may come' if missing.more else ''}"
    elif missing.more:
        text = "an item that has not come"
    else:
        text = ""
    if reader.record.status.ended or status == INTERRUPTED:
        obstacle = obstacle_to_axis(reader, block, key)
        if obstacle is not None:
            name = reader.labels.uuid(obstacle.block.uuid, obstacle.key)
            text = f"does not exist: `{name}` did not complete, so that there is no axis over the items of all runs"
            return _Told(ReasonKind.NOT_RUN, text, [name])
        how = "was interrupted" if status == INTERRUPTED else f"ended ({status})"
        waited = f", while it waited for {text}" if text else ", though all that it needs was there"
        return _Told(ReasonKind.NOT_RUN, f"is not over: the run {how}{waited}", missing.named, missing.count)
    if text:
        return _Told(ReasonKind.WAITS, f"waits for {text}", missing.named, missing.count)
    return _Told(ReasonKind.READY, "has all that it needs: it is running, or waits for a free worker")


def _over(reader: RunReader, found: Found, uuid: BlockRunUuid) -> _Told:
    match found.status:
        case Status.FAILED:
            failure = reader.store.failure(reader.record.id, found.block.uuid, found.row.key)
            tries = f" after {found.row.attempts} attempts" if found.row.attempts > 1 else ""
            return _Told(ReasonKind.FAILED, f"failed{tries}: {'' if failure is None else failure.error}")
        case Status.UPSTREAM_FAILED:
            return _upstream_failed(reader, found)
        case Status.CONDITION_FAILED:
            return _skipped(reader, found)
        case Status.CANCELLED:
            when = "before it began" if found.row.started_at is None else "while it ran"
            return _Told(ReasonKind.CANCELLED, f"was cancelled with the run, {when}")
        case _:
            return _completed(reader, found, uuid)


def _upstream_failed(reader: RunReader, found: Found) -> _Told:
    root = root_of_failure(reader, found.block, found.key)
    if root is None:
        return _Told(ReasonKind.UPSTREAM_FAILED, "did not run: something that it needs did not complete")
    name = reader.labels.uuid(root.block.uuid, root.key)
    if root.status is Status.CANCELLED:
        return _Told(ReasonKind.UPSTREAM_FAILED, f"did not run: `{name}`, which it needs, was cancelled", [name])
    failure = reader.store.failure(reader.record.id, root.block.uuid, root.row.key)
    error = "" if failure is None else f": {failure.error}"
    return _Told(ReasonKind.UPSTREAM_FAILED, f"did not run: `{name}`, which it needs, failed{error}", [name])


def _skipped(reader: RunReader, found: Found) -> _Told:
    root = condition_behind(reader, found.block, found.key)
    if root is None or (root.block.uuid, root.key) == (found.block.uuid, found.key):
        return _Told(ReasonKind.SKIPPED, f"did not run: {_conditions(found.block, 'its own condition')} said False")
    name = reader.labels.uuid(root.block.uuid, root.key)
    if root.status is Status.COMPLETED_FALSE:
        return _Told(ReasonKind.SKIPPED, f"did not run: `{name}`, which it follows, returned False", [name])
    whose = _conditions(root.block, "the condition")
    return _Told(ReasonKind.SKIPPED, f"did not run: {whose} of `{name}`, which it follows, said False", [name])


def _conditions(block: BlockSnapshot, unnamed: str) -> str:
    """The condition blocks of a block; which of several it was is not stored."""
    if len(block.conditions) < 2:
        return f"the condition `{block.conditions[0]}`" if block.conditions else unnamed
    return f"one of the conditions {', '.join(f'`{uuid}`' for uuid in block.conditions)}"


def _completed(reader: RunReader, found: Found, uuid: BlockRunUuid) -> _Told:
    retry = RetryRecord.read(reader.folder)
    if retry is not None and not _is_new(reader, found.row):
        return _Told(ReasonKind.KEPT, "was kept by the retry: it had completed, and what it ran on is unchanged")
    history = CacheHistory(reader, found, uuid)
    if found.row.kept:
        earlier = history.answered_by()
        which = "of an earlier run" if earlier is None else f"of run {earlier}"
        text = f"was not executed: the result {which} answered it: code, configuration and inputs are the same"
        return _Told(ReasonKind.CACHED, text, run_id=earlier)
    executed = _reran(reader, found, uuid, retry) if retry is not None else _Told(ReasonKind.RAN, _FIRST)
    if not found.block.cache:
        return executed
    earlier, why = history.difference()
    return _Told(executed.kind, f"{executed.text}; it is cached, but {why}", executed.block_runs, 0, earlier)


_FIRST = "ran for the first time in this run: all that it needs was there"


def _is_new(reader: RunReader, row: BlockRunRow) -> bool:
    """Whether a row was written since the run was last started."""
    return row.completed_at is None or row.completed_at >= (reader.record.started_at or 0.0)


def _reran(reader: RunReader, found: Found, uuid: BlockRunUuid, retry: RetryRecord) -> _Told:
    asked = _asked_for(reader, found.block, uuid, retry)
    if asked is not None:
        return _Told(ReasonKind.RERAN, f"ran anew in the retry: {asked}")
    before, new, giver = retry.before(uuid), _new_inputs(reader, found), _new_giver(reader, found)
    if before is not None and before.status == "failed":
        error = f", {before.error}" if before.error else ""
        return _Told(ReasonKind.RERAN, f"ran anew in the retry: it had failed{error}")
    if before is not None and before.status in _BEFORE:
        now = new or ([giver] if giver is not None else [])
        text = f"ran in the retry: {_BEFORE[before.status]}"
        return _Told(ReasonKind.RERAN, text + (f"; `{now[0]}` completed now" if now else ""), now[:1])
    if new:
        asked_too = ", which was asked for (--block-run)," if new[0] in retry.request.block_runs else ""
        return _Told(ReasonKind.RERAN, f"ran anew in the retry: its input `{new[0]}`{asked_too} ran anew", new[:1])
    if giver is not None:
        text = f"ran in the retry: `{giver}` gave its item anew, and on that very item it had not completed before"
        if giver in retry.request.block_runs:
            text = f"ran anew in the retry: it descends from `{giver}`, which was asked for (--block-run)"
        return _Told(ReasonKind.RERAN, text, [giver])
    return _Told(ReasonKind.RERAN, "ran in the retry: it was not over when the run stopped")


_BEFORE = {
    "cancelled": "it had been cancelled",
    "upstream_failed": "something that it needs had not completed before",
    "condition_failed": "a condition had skipped it before",
}


def _asked_for(reader: RunReader, block: BlockSnapshot, uuid: BlockRunUuid, retry: RetryRecord) -> str | None:
    """What was asked of the retry that makes this block run anew."""
    request = retry.request
    if uuid in request.block_runs:
        return "it was asked for (--block-run)"
    behind = _with_ancestors(reader, block)
    if request.from_block in behind:
        whose = "it was" if request.from_block == block.uuid else f"it follows `{request.from_block}`, which was"
        return f"{whose} asked for (--from-block)"
    for changed in request.changed_blocks:
        if changed in behind:
            whose = "its place" if changed == block.uuid else f"it follows `{changed}`, whose place"
            return f"{whose} in the pipeline had changed"
    return None


def _with_ancestors(reader: RunReader, block: BlockSnapshot) -> frozenset[BlockUuid]:
    return frozenset({block.uuid}).union(*(_with_ancestors(reader, reader.plan[uuid]) for uuid in block.upstreams))


def _new_inputs(reader: RunReader, found: Found) -> list[BlockRunUuid]:
    """Inputs, items apart, that the retry executed; of a group the first that is found."""
    named: list[BlockRunUuid] = []
    for edge in found.block.edges:
        if edge.kind in {EdgeKind.ITEMS, EdgeKind.FLAT}:
            continue
        if edge.reduces:
            prefix = encode_key(edge.seen(found.key))
            rows = (
                row
                for row in reader.store.block_runs(reader.record.id, edge.upstream, COMPLETED)
                if row.key.startswith(prefix) and _is_new(reader, row)
            )
            row = next(rows, None)
        else:
            upstream = input_run(reader, edge, found.key)
            row = None
            if upstream is not None:
                row = reader.store.block_run(reader.record.id, edge.upstream, encode_key(upstream))
        if row is not None and _is_new(reader, row):
            named.append(reader.labels.uuid(edge.upstream, decode_key(row.key)))
    return named


def _new_giver(reader: RunReader, found: Found) -> BlockRunUuid | None:
    """The innermost run that gave an item which this run stands at, and that the retry executed."""
    for place, axis in reversed(list(enumerate(found.block.axes))):
        given = reader.labels.giver(axis, found.key[:place], found.key[place])
        row = None if given is None else reader.store.block_run(reader.record.id, axis.block, encode_key(given[0]))
        if row is not None and _is_new(reader, row):
            return reader.labels.uuid(axis.block, decode_key(row.key))
    return None
