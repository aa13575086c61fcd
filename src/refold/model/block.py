"""A block of a pipeline: what its metadata says, parsed and checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from refold.model.keys import BlockUuid

JsonValue = None | bool | int | float | str | list["JsonValue"] | dict[str, "JsonValue"]


class BlockType(StrEnum):
    """What a block is for; also the word in its metadata."""

    DATA_LOADER = "data_loader"
    TRANSFORMER = "transformer"
    DATA_EXPORTER = "data_exporter"
    CUSTOM = "custom"
    SENSOR = "sensor"
    CALLBACK = "callback"
    CONDITIONAL = "conditional"
    SCRATCHPAD = "scratchpad"
    MARKDOWN = "markdown"
    CHART = "chart"
    EXTENSION = "extension"
    DBT = "dbt"
    GLOBAL_DATA_PRODUCT = "global_data_product"

    @property
    def folder(self) -> str:
        """The project's folder of this type's files: the type and an `s`, except `custom`."""
        return self.value if self in {BlockType.CUSTOM, BlockType.DBT} else f"{self.value}s"

    @property
    def runs(self) -> bool:
        """Whether blocks of this type take part in pipeline runs."""
        return self not in {BlockType.SCRATCHPAD, BlockType.MARKDOWN, BlockType.CHART, BlockType.EXTENSION}


class Language(StrEnum):
    """The language of a block's file."""

    PYTHON = "python"
    SQL = "sql"
    R = "r"
    YAML = "yaml"
    MARKDOWN = "markdown"

    @property
    def suffix(self) -> str:
        """The suffix of the file, with its dot."""
        return {"python": ".py", "sql": ".sql", "r": ".r", "yaml": ".yaml", "markdown": ".md"}[self.value]


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """When a failed block run is tried again (`retry_config`)."""

    retries: int = 0
    """How many times it is tried again after the first failure."""
    delay: float = 5.0
    """Seconds before the first retry."""
    max_delay: float = 60.0
    """Seconds that no wait exceeds."""
    exponential_backoff: bool = True
    """Whether each wait is twice the one before."""

    def wait(self, failures: int) -> float:
        """Seconds to wait after the given number of failures, 1 or more."""
        wait = self.delay * 2.0 ** min(failures - 1, 64) if self.exponential_backoff else self.delay
        return max(0.0, min(wait, self.max_delay))


class Join(StrEnum):
    """How the axes of several upstreams meet (`configuration.dynamic.join`; design 2.3)."""

    PRODUCT = "product"
    """Every run of one with every run of the other; the first upstream slowest."""
    ALIGN = "align"
    """Axes that upstreams have in common are one axis; the rest multiplies."""
    ZIP = "zip"
    """Last axes are paired by index, outer axes aligned."""


LIST = "list"
CONCAT = "concat"
STRATEGIES = frozenset({LIST, CONCAT, "sum", "merge", "count", "min", "max"})
"""The strategies of a reduce that have a name of their own; any other name is a function of the block's file."""

READ_LAZILY = frozenset({LIST, CONCAT})
"""Strategies of which `reduce_input: lazy` makes something that is read piece by piece; others come to one value."""

PIECEWISE = frozenset({CONCAT, "merge"})
"""Strategies whose partial results stand side by side until somebody reads them; of others each replaces the last."""


@dataclass(frozen=True, slots=True)
class Reduction:
    """How the outputs of a block's runs become one value over a reducing edge (`dynamic.reduce`; design 2.4)."""

    strategy: str = LIST
    """One of `STRATEGIES`, or the name of a function `f(acc, value)` in the block's file."""
    levels: int | None = None
    """1: only the last axis ends, one value for each outer key; None: all axes end."""
    initial: JsonValue = None
    """What a function begins with, where `has_initial`; otherwise with the first value."""
    has_initial: bool = False


@dataclass(frozen=True, slots=True)
class Tolerance:
    """How many runs of a block may not complete without a reduce over it being given up (`dynamic.tolerate`)."""

    count: int = 0
    percent: float | None = None
    """In place of `count`: of the runs that no condition stopped, 0 to 100."""

    def admits(self, broken: int, runs: int) -> bool:
        """Whether so many of so many runs may be missing."""
        if self.percent is None:
            return broken <= self.count
        return broken * 100 <= self.percent * runs


BUFFER_ITEMS = 1000
"""How many unread items of a dynamic block may wait, where its settings do not say."""
BUFFER_BYTES = 64 * 2**20
"""How many bytes those may take."""


@dataclass(frozen=True, slots=True)
class LimitBy:
    """Of children whose items share a value, so many are under way at once (`dynamic.limit_by`)."""

    key: str
    """Of the items' metadata; those without it form one group of their own."""
    limit: int = 1


@dataclass(frozen=True, slots=True)
class DynamicSettings:
    """How a block unfolds and folds (`configuration.dynamic`, `reduce_output`; design, section 2)."""

    dynamic: bool = False
    """Whether each item of its output becomes a run of each downstream block."""
    batch_mode: bool = False
    """Whether its children wait until it has completed (`mode: batch`); default: they start as items arrive."""
    reduce_output: bool | tuple[BlockUuid, ...] = False
    """Whether every edge out of the block reduces, or the downstream blocks whose edges do."""
    reduce_output_upstream: tuple[BlockUuid, ...] = ()
    """Upstream blocks whose edges into this block reduce."""
    max_concurrent_child_block_runs: int | None = None
    """How many runs of this block may be under way at once."""
    children: tuple[BlockUuid, ...] | None = None
    """Downstream blocks for which the block is dynamic (`parent: [uuids]`); None: for all of them. The others get all
    items of one run as a list."""
    join: Join = Join.PRODUCT
    reduction: Reduction = field(default_factory=Reduction)
    tolerance: Tolerance | None = None
    """What a reduce over this block puts up with; None: nothing."""
    max_child_block_runs: int | None = None
    """How many items one run of the block may give; None: any number."""
    cut_children: bool = False
    """What happens beyond that: the rest is left out (`on_max_child_block_runs_exceeded: limit`), or the run fails."""
    buffer_items: int | None = None
    """How many unread items may wait before those who give more pause (`buffer`); None: `BUFFER_ITEMS`."""
    buffer_bytes: int | None = None
    """How many bytes those may take; None: `BUFFER_BYTES`."""
    rate: float | None = None
    """How many runs of each child block may begin in a second; of a block that is not dynamic, its own."""
    limit_by: LimitBy | None = None
    lazy_input: bool = False
    """Whether what reducing edges bring to the block is read piece by piece (`reduce_input: lazy`), not all at once."""


@dataclass(frozen=True, slots=True)
class ExecutorSettings:
    """How many runs of a block one worker has under way at once (`configuration.executor`); None: the default."""

    threads: int | None = None
    """Of a plain function, each on a thread of its own."""
    concurrency: int | None = None
    """Of an `async def` function."""


@dataclass(frozen=True, slots=True)
class Block:
    """A node of a pipeline."""

    uuid: BlockUuid
    name: str
    type: BlockType
    language: Language
    file: Path
    """Absolute path of the source file, whether or not it exists."""
    upstream_blocks: tuple[BlockUuid, ...] = ()
    """In order, each once."""
    configuration: Mapping[str, JsonValue] = field(default_factory=dict)
    """As written, unknown keys included."""
    dynamic: DynamicSettings = field(default_factory=DynamicSettings)
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    """Block over pipeline over project."""
    timeout: float | None = None
    """Seconds that one run may take."""
    sensor_interval: float = 60.0
    """Seconds between two askings of a sensor (`configuration.poll_interval`)."""
    run_tests: bool = True
    """Whether `@test` functions run with the block (`configuration.run_tests: false` opts out)."""
    conditional: bool = True
    """Whether a function annotated `-> bool` stops what follows when it returns False (`configuration.conditional`)."""
    executor: ExecutorSettings = field(default_factory=ExecutorSettings)
    cache: bool = False
    """Whether a run is answered by an earlier one with the same code, inputs and configuration
    (`configuration.cache`)."""
    conditionals: tuple[BlockUuid, ...] = ()
    """`@condition` blocks attached to this block."""
    callbacks: tuple[BlockUuid, ...] = ()
    """`@callback` blocks attached to this block."""
