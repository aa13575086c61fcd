"""The law of unfolding, read aloud: what every block run of a scripted pipeline comes to.

This is the yardstick that the scheduler is held against (design, section 4). It recurs by keys over whole dictionaries,
knows nothing of time, order or ranges, and shares no code with the scheduler. Slowness is fine here; doubt is not.

The law leaves one thing to timing: when a generator fails midway, runs that descend from the items it gave stay if
they have finished, and become upstream_failed if they have not started. Such runs are *contingent*. So is every run
of a cancelled pipeline run. For them the evaluator asks a witness how it was, accepts the answer if it is one that the
law allows after what happened to the run's inputs, and goes on from there.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import product

from refold.model.keys import Key
from refold.scheduler.commands import End
from refold.scheduler.events import Outcome
from refold.scheduler.status import Status
from refold.testing.scripted import Script, Source, Value, contributed, item_of

COMPLETE = frozenset({Status.COMPLETED, Status.COMPLETED_FALSE})
BROKEN = frozenset({Status.FAILED, Status.UPSTREAM_FAILED, Status.CANCELLED})

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
    contingent: bool = False


@dataclass(slots=True)
class _Evaluator:
    script: Script
    witness: Observation
    keys_of: dict[int, list[Key]] = field(default_factory=dict)
    results: dict[tuple[int, Key], tuple[Expected, bool]] = field(default_factory=dict)
    """The second of each pair: whether the run is contingent."""

    def keys(self, block: int) -> list[Key]:
        """The keys of all the block's runs, in order: the product of what its edges iterate over (design 2.3)."""
        if block not in self.keys_of:
            parts: list[list[Key]] = []
            for edge in self.script.plan.blocks[block].edges:
                if edge.reduces:
                    parts.append([()])
                elif self.script.plan.blocks[edge.upstream].dynamic:
                    parts.append(list(self.item_keys(edge.upstream)))
                else:
                    parts.append(self.keys(edge.upstream))
            self.keys_of[block] = [sum(choice, ()) for choice in product(*parts)]
        return self.keys_of[block]

    def item_keys(self, block: int) -> Iterator[Key]:
        for key in self.keys(block):
            for index in range(self.run(block, key).items):
                yield (*key, index)

    def run(self, block: int, key: Key) -> Expected:
        return self.judge(block, key)[0]

    def judge(self, block: int, key: Key) -> tuple[Expected, bool]:
        if (block, key) not in self.results:
            inputs = [self.input(source) for source in self.script.sources(block, key)]
            law = self.by_law(block, key, inputs)
            contingent = any(given.contingent for given in inputs)
            self.results[block, key] = (self.as_it_was(block, key, law, contingent), contingent)
        return self.results[block, key]

    def input(self, source: Source) -> _Input:
        if source.edge.reduces:
            return self.reduced(source.edge.upstream)
        upstream = self.script.plan.blocks[source.edge.upstream]
        result, contingent = self.judge(upstream.number, source.key)
        if source.item is not None:
            value = item_of(result.value, source.item)
            if result.status in BROKEN and not upstream.batch_mode:
                return _Input(Status.COMPLETED, value, contingent=True)
        else:
            value = result.value
        if result.status in BROKEN:
            return _Input(Status.UPSTREAM_FAILED)
        if result.status is not Status.COMPLETED:
            return _Input(Status.CONDITION_FAILED, contingent=contingent)
        return _Input(Status.COMPLETED, value, contingent)

    def reduced(self, block: int) -> _Input:
        """One list over all the block's runs, or a failed input if one of them is missing (design 2.4 and 2.6)."""
        runs = [self.run(block, key) for key in sorted(self.keys(block))]
        if not self.closed(block) or any(run.status in BROKEN for run in runs):
            return _Input(Status.UPSTREAM_FAILED)
        completed = [run for run in runs if run.status in COMPLETE]
        return _Input(Status.COMPLETED, tuple(part for run in completed for part in contributed(run.value)))

    def closed(self, block: int) -> bool:
        """Whether every run that gives an axis of this block items has given them all."""
        return not any(
            self.run(axis, key).status in BROKEN
            for axis in set(self.script.plan.blocks[block].axes)
            for key in self.keys(axis)
        )

    def by_law(self, block: int, key: Key, inputs: list[_Input]) -> Expected:
        """What the run comes to if it is always in time."""
        statuses = {given.status for given in inputs}
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
        """Whether the block's runs are made from a product, by itself or further up."""
        edges = [edge for edge in self.script.plan.blocks[block].edges if edge.iterates]
        return len(edges) > 1 or any(self.lazy(edge.upstream) for edge in edges)


def evaluate(script: Script, observation: Observation | None = None) -> Evaluation:
    """What the law says of this script; of contingent runs what was observed, where the law allows it.

    Without an observation, contingent runs are taken to have finished before the generator failed.
    """
    observation = observation or Observation({}, End.COMPLETED)
    evaluator = _Evaluator(script, observation)
    blocks = script.plan.blocks
    runs = {
        block.uuid: {key: evaluator.run(block.number, key) for key in evaluator.keys(block.number)} for block in blocks
    }
    total_final = {str(block.uuid): evaluator.closed(block.number) for block in blocks}
    failed = any(run.status is Status.FAILED for results in runs.values() for run in results.values())
    end = End.CANCELLED if observation.cancelled else End.FAILED if failed else End.COMPLETED
    return Evaluation({str(uuid): results for uuid, results in runs.items()}, total_final, end)


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
