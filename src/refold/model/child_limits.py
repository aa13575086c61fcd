"""Limits on the children of dynamic blocks, and who has the word: the block, then its pipeline, its project, and last
the environment. 0 lifts a limit that somebody further out has set."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from refold.errors import ProjectError
from refold.model.place import Place

KEYS = ("max_child_block_runs", "on_max_child_block_runs_exceeded", "max_concurrent_child_block_runs")
"""The keys of `dynamic_blocks` in a project's and a pipeline's metadata; those of `configuration.dynamic` too."""
VARIABLES = (
    "DYNAMIC_BLOCKS_MAX_CHILD_BLOCKS",
    "DYNAMIC_BLOCKS_MAX_CHILD_BLOCKS_BEHAVIOR",
    "DYNAMIC_BLOCKS_MAX_CONCURRENT_CHILD_BLOCKS",
)
"""What the environment calls them."""
_BEHAVIOURS = {"fail": False, "limit": True}


@dataclass(frozen=True, slots=True)
class ChildLimits:
    """How many children there may be."""

    children: int | None = None
    """How many items one run of a dynamic block may give; None: any number."""
    cut: bool = False
    """Whether more of them are left out, rather than fail the run."""
    at_once: int | None = None
    """How many runs of one child block may be under way at once; None: any number."""

    @classmethod
    def of_environment(cls, environment: Mapping[str, str]) -> ChildLimits:
        """What the variables say. Raises ProjectError, naming the variable, for a wrong value."""
        given = [environment.get(name, "").strip() for name in VARIABLES]
        children, behaviour, at_once = given
        if behaviour and behaviour.lower() not in _BEHAVIOURS:
            raise _wrong(VARIABLES[1], behaviour, "`fail` or `limit`")
        return cls(
            children=_number(VARIABLES[0], children),
            cut=_BEHAVIOURS.get(behaviour.lower(), False),
            at_once=_number(VARIABLES[2], at_once),
        )

    def under(self, place: Place | None) -> ChildLimits:
        """The limits where this mapping may say otherwise, key by key. Raises the file's error for a wrong value."""
        if place is None:
            return self
        children, behaviour, at_once = (place.get(key) for key in KEYS)
        limits = self
        if children is not None:
            limits = replace(limits, children=children.integer(0) or None)
        if behaviour is not None:
            word = behaviour.text().strip().lower()
            if word not in _BEHAVIOURS:
                raise behaviour.unexpected("`fail` or `limit`")
            limits = replace(limits, cut=_BEHAVIOURS[word])
        if at_once is not None:
            limits = replace(limits, at_once=at_once.integer(0) or None)
        return limits


def _number(name: str, text: str) -> int | None:
    if text and not (text.isascii() and text.isdigit()):
        raise _wrong(name, text, "a whole number, 0 or more")
    return int(text or 0) or None


def _wrong(name: str, text: str, expected: str) -> ProjectError:
    return ProjectError(f"expected {expected}, found {text!r}", where=f"environment variable {name}")
