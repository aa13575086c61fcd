"""What the evaluator says of small scripts, in words that tests can be written in."""

from __future__ import annotations

from refold.model.keys import Key
from refold.testing.drafts import Draft, draft_plan
from refold.testing.naive import evaluate
from refold.testing.scripted import Act, Script, Value

Acts = dict[tuple[str, Key], Act]


def script_of(*drafts: Draft, acts: Acts | None = None, **by_block: Act) -> Script:
    """A script: `by_block` is what all of a block's runs do, `acts` what single ones do."""
    return Script(draft_plan(*drafts), fixed={(uuid, ()): act for uuid, act in by_block.items()} | (acts or {}))


def statuses(script: Script) -> dict[str, dict[str, str]]:
    """Block by block, the words of all runs, by their key in the documents' notation."""
    return {
        block: {":".join(map(str, key)): run.word for key, run in runs.items()}
        for block, runs in evaluate(script).runs.items()
    }


def values(script: Script, block: str) -> list[Value]:
    """What the block's runs return, in key order."""
    return [run.value for _, run in sorted(evaluate(script).runs[block].items())]
