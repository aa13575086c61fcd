"""The law of unfolding, read aloud: what every block run of a scripted pipeline comes to.

This is the yardstick that the scheduler is held against (design, section 4). It recurs by keys over whole dictionaries,
knows nothing of time, order or ranges, and shares no code with the scheduler. Slowness is fine here; doubt is not.

The law leaves two things to timing:

- When a generator fails midway, runs that descend from the items it gave stay if they have finished, and become
  upstream_failed if they have not started. Such runs are *contingent*: those at its items, and whatever stands further
  down at a key that holds one of them, over folds and flat axes that keep it as an outer key, too. What folds the item
  away is not: such a fold never happens.
- When a pipeline run is cancelled, any run may stop short of what it would have come to. Runs that come to be all at
  once or one by one as somebody has use for them (combinations, the items of a flat axis, the surplus of a zip) may
  then not come to be at all.

For these the evaluator asks a witness how it was, accepts the answer if it is one that the law allows after what
happened to the run's inputs and to what it waited for, and goes on from there. Nothing else is asked: whether a fold
happens, which items a flat axis has, what is surplus and what is tolerated follow from the statuses of the runs alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from refold.model.keys import Key
from refold.scheduler.commands import End
from refold.scheduler.events import Outcome
from refold.scheduler.plan import EdgeKind
from refold.scheduler.status import Status
from refold.testing.positions import BROKEN, COMPLETE, Group, Positions
from refold.testing.scripted import Script, Source, Value, contributed, folded, item_of

_STATUSES = {
    Outcome.COMPLETED: Status.COMPLETED,
    Outcome.COMPLETED_FALSE: Status.COMPLETED_FALSE,
    Outcome.CONDITION_FAILED: Status.CONDITION_FAILED,
    Outcome.FAILED: Status.FAILED,
    Outcome.FAILED_FOR_GOOD: Status.FAILED,
}


@dataclass(frozen=True, slots=True)
class Seen:
    """What became of one block run when the pipeline was really driven."""

    status: Status
    value: Value = None
    """What it returned, if it completed; of a dynamic run the name that its items are made of."""
    items: int = 0
    """How many of its items arrived, over all attempts."""
    failures: int = 0
    """Attempts that failed, lost workers included."""


@dataclass(frozen=True, slots=True)
class Observation:
    """What became of a pipeline run when it was really driven."""

    runs: dict[str, dict[Key, Seen]]
    """By block uuid and key: every run whose last status was recorded."""
    end: End
    cancelled: bool = False
    """Whether somebody asked for it to be cancelled before it had ended."""


@dataclass(frozen=True, slots=True)
class Expected:
    """What the law says of one block run."""

    status: Status
    value: Value = None
    items: int = 0
    allowed: frozenset[Status] = frozenset()
    """All statuses that the law allows, given what happened to its inputs; `status` is one of them."""
    optional: bool = False
    """Whether it may also go unrecorded: products are lazy, and a cancel makes no more of their runs (design 2.3)."""

    @property
    def word(self) -> str:
        """The status as users see it."""
        return self.status.word


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What the law says of a pipeline run."""

    runs: dict[str, dict[Key, Expected]]
    """By block uuid and key: all the runs that exist in the end."""
    total_final: dict[str, bool]
    """Of each block, whether all its axes have closed, so that its number of runs is known for good."""
    end: End


@dataclass(frozen=True, slots=True)
class _Input:
    status: Status
    """COMPLETED, CONDITION_FAILED or UPSTREAM_FAILED: what this input does to the run."""
    value: Value = None


@dataclass(slots=True)
class _Evaluator:
    """Knows what every run comes to; `Positions` asks it, and it asks them where there are runs."""

    script: Script
    witness: Observation
    positions: Positions = field(init=False)
    results: dict[tuple[int, Key], Expected] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.positions = Positions(self.script.plan, self)

    def status(self, block: int, key: Key) -> Status:
        return self.run(block, key).status

    def items(self, block: int, key: Key) -> int:
        return self.run(block, key).items

    def run(self, block: int, key: Key) -> Expected:
        if (block, key) not in self.results:
            law = self.by_law(block, key)
            self.results[block, key] = self.as_it_was(block, key, law, self.positions.doomed(block, key))
        return self.results[block, key]

    def by_law(self, block: int, key: Key) -> Expected:
        """What the run comes to if it is always in time."""
        if self.positions.surplus(block, key):
            return Expected(Status.FAILED, allowed=frozenset({Status.FAILED}))
        if self.positions.barred(block, key):
            return Expected(Status.UPSTREAM_FAILED, allowed=frozenset({Status.UPSTREAM_FAILED}))
        inputs = [self.input(source) for source in self.script.sources(block, key)]
        statuses = {given.status for given in inputs} | {self.awaited(*run) for run in self.script.awaited(block, key)}
        for stops in (Status.UPSTREAM_FAILED, Status.CONDITION_FAILED):
            if stops in statuses:
                return Expected(stops, allowed=frozenset({stops}))
        planned = self.script.plan.blocks[block]
        result = self.script.act(block, key).result(planned.retry.retries)
        status = _STATUSES[result.outcome]
        # The name of a dynamic run's items holds for those that it gave before it failed, too.
        named = status in COMPLETE or result.items > 0
        value = self.script.output(block, key, [given.value for given in inputs]) if named else None
        return Expected(status, value, result.items if planned.dynamic else 0, frozenset({status}))

    def awaited(self, block: int, key: Key) -> Status:
        """What a run that is waited for does to the one that waits: nothing, if it is there and completes."""
        there = key in self.positions.keys(block) and self.status(block, key) in COMPLETE
        return Status.COMPLETED if there else Status.UPSTREAM_FAILED

    def input(self, source: Source) -> _Input:
        edge = source.edge
        group: Group = (edge.upstream, edge.levels, source.key)
        match edge.kind:
            case EdgeKind.ITEMS:
                assert source.item is not None
                return _Input(Status.COMPLETED, item_of(self.run(edge.upstream, source.key).value, source.item))
            case EdgeKind.FLAT:
                assert source.item is not None
                key, item = self.positions.flat_items(group)[source.item]
                return _Input(Status.COMPLETED, item_of(self.run(edge.upstream, key).value, item))
            case EdgeKind.FOLDED if edge.levels != 0:
                if not self.positions.happened(group):
                    return _Input(Status.UPSTREAM_FAILED)
                assert edge.fold is not None
                fold = self.script.plan.blocks[edge.upstream].folds[edge.fold]
                return _Input(Status.COMPLETED, folded(self.contributions(group), fold.computed))
            case _:
                return self.whole(group)

    def whole(self, group: Group) -> _Input:
        """One run, seen as it is: its output, or of a dynamic block all its items as a list."""
        result = self.run(group[0], group[2])
        if result.status in BROKEN:
            return _Input(Status.UPSTREAM_FAILED)
        if result.status is not Status.COMPLETED:
            return _Input(Status.CONDITION_FAILED)
        dynamic = self.script.plan.blocks[group[0]].dynamic
        return _Input(Status.COMPLETED, tuple(self.contributions(group)) if dynamic else result.value)

    def contributions(self, group: Group) -> Iterator[Value]:
        """What the completed runs of a group add to its fold, in key order (design 2.4)."""
        for key in self.positions.group(group):
            run = self.run(group[0], key)
            if run.status in COMPLETE:
                if self.script.plan.blocks[group[0]].dynamic:
                    yield from (item_of(run.value, item) for item in range(run.items))
                else:
                    yield from contributed(run.value)

    def as_it_was(self, block: int, key: Key, law: Expected, contingent: bool) -> Expected:
        """The law's answer, or where it allows others, the one that the witness saw."""
        if not contingent and not self.witness.cancelled:
            return law
        seen = self.witness.runs.get(self.script.plan.blocks[block].uuid, {}).get(key)
        allowed = set(law.allowed)
        if contingent:
            allowed.add(Status.UPSTREAM_FAILED)
        if self.witness.cancelled:
            allowed.add(Status.CANCELLED)
        if seen is not None and seen.failures:
            allowed.add(Status.FAILED)  # there was no point in trying it again
        if seen is None and self.witness.cancelled and self.lazy(block):
            return Expected(Status.CANCELLED, allowed=frozenset(allowed), optional=True)
        if seen is None or seen.status not in allowed or seen.status in COMPLETE:
            return Expected(law.status, law.value, law.items, frozenset(allowed))
        # Stopped short: of its items there are as many as came before.
        return Expected(seen.status, law.value, min(seen.items, law.items), frozenset(allowed))

    def lazy(self, block: int) -> bool:
        """Whether the block's runs are combinations or items of a flat axis, by themselves or further up."""
        edges = [edge for edge in self.script.plan.blocks[block].edges if edge.iterates]
        return len(edges) > 1 or any(edge.kind is EdgeKind.FLAT or self.lazy(edge.upstream) for edge in edges)


def evaluate(script: Script, observation: Observation | None = None) -> Evaluation:
    """What the law says of this script; of contingent runs what was observed, where the law allows it.

    Without an observation, contingent runs are taken to have finished before the generator failed.
    """
    observation = observation or Observation({}, End.COMPLETED)
    evaluator = _Evaluator(script, observation)
    positions = evaluator.positions
    runs = {
        str(block.uuid): {key: evaluator.run(block.number, key) for key in positions.keys(block.number)}
        for block in script.plan.blocks
    }
    total_final = {str(block.uuid): positions.closed(block.number) for block in script.plan.blocks}
    failed = any(
        run.status is Status.FAILED and not positions.excused(block.number)
        for block in script.plan.blocks
        for run in runs[block.uuid].values()
    )
    end = End.CANCELLED if observation.cancelled else End.FAILED if failed else End.COMPLETED
    return Evaluation(runs, total_final, end)


def agree(expected: Evaluation, observed: Observation) -> list[str]:
    """One line for each difference between what should be and what was; empty if there is none."""
    lines = []
    for block, runs in expected.runs.items():
        seen = observed.runs.get(block, {})
        lines += [f"{_name(block, key)}: a run that should not exist" for key in sorted(seen.keys() - runs.keys())]
        for key, run in sorted(runs.items()):
            lines += [f"{_name(block, key)}: {difference}" for difference in _differences(run, seen.get(key))]
    if expected.end is not observed.end:
        lines.append(f"the pipeline run ended {observed.end}, not {expected.end}")
    return lines


def _differences(run: Expected, seen: Seen | None) -> Iterator[str]:
    allowed = " or ".join(sorted(status.name.lower() for status in run.allowed))
    if seen is None:
        if not run.optional:
            yield f"never recorded; it should be {allowed}"
        return
    if seen.status is not run.status:
        yield f"{seen.status.name.lower()}; it should be {allowed}"
    elif run.status in COMPLETE and seen.value != run.value:
        yield f"returned {seen.value!r}; it should have returned {run.value!r}"
    elif seen.items != run.items:
        yield f"gave {seen.items} items; it should have given {run.items}"


def _name(block: str, key: Key) -> str:
    return ":".join([block, *map(str, key)])
