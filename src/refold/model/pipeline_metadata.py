"""A pipeline's `metadata.yaml`, read whole and checked: blocks, their order, and what is attached to them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial
from typing import TypeVar

from refold.errors import PipelineError
from refold.model.block import Block, BlockType, JsonValue
from refold.model.block_entry import BlockDefaults, BlockEntry, read_retry
from refold.model.graph import topological_order
from refold.model.keys import BlockUuid, PipelineUuid
from refold.model.place import Place
from refold.model.pool_settings import PoolSettings, unread_settings
from refold.model.project import Project
from refold.model.suggestion import suggestion
from refold.model.unread_keys import unread_keys, unread_limits
from refold.model.yaml_file import YamlFile

_LISTS: Mapping[str, BlockType | None] = {
    "blocks": None,
    "callbacks": BlockType.CALLBACK,
    "conditionals": BlockType.CONDITIONAL,
}
"""The lists of blocks, and the type of entries that name none."""


class PipelineType(StrEnum):
    """What a pipeline is for; also the word in its metadata."""

    PYTHON = "python"
    STREAMING = "streaming"
    INTEGRATION = "integration"
    PYSPARK = "pyspark"
    DATABRICKS = "databricks"
    DBT = "dbt"
    EXECUTION_FRAMEWORK = "execution_framework"


@dataclass(frozen=True)
class PipelineMetadata:
    """A pipeline as its file says."""

    project: Project
    uuid: PipelineUuid
    """The name of its folder."""
    name: str
    type: PipelineType
    description: str | None = None
    tags: tuple[str, ...] = ()
    created_at: str | None = None
    """As written: `2026-03-04 12:00:00.000000+00:00`."""
    variables: Mapping[str, JsonValue] = field(default_factory=dict)
    """Global variables; runs may give others."""
    blocks: tuple[Block, ...] = ()
    """In file order, those that never run (scratchpads, charts) included; without callbacks and conditionals."""
    callbacks: tuple[Block, ...] = ()
    """`@callback` blocks; their `upstream_blocks` are the blocks that they are attached to."""
    conditionals: tuple[Block, ...] = ()
    """`@condition` blocks, likewise."""
    block_run_limit: int | None = None
    """How many block runs may be under way at once (`concurrency_config.block_run_limit`)."""
    pool: PoolSettings = field(default_factory=PoolSettings)
    """`executor_config`, over the project's: its worker processes."""
    order: tuple[BlockUuid, ...] = ()
    """Blocks that run, upstreams before downstreams."""
    warnings: tuple[str, ...] = ()
    """What is odd in the file but was understood, each with its place."""
    metadata: Mapping[str, JsonValue] = field(default_factory=dict, repr=False)
    """As written, unknown keys included."""


_Metadata = TypeVar("_Metadata", bound=PipelineMetadata)


def read_pipeline(kind: type[_Metadata], project: Project, uuid: PipelineUuid, file: YamlFile) -> _Metadata:
    """The pipeline that the file describes, as an object of this kind. Raises PipelineError for what is wrong."""
    root = Place.root(file)
    if not file.value:
        raise root.error("the file is empty", "It needs at least `type: python` and a list of `blocks`.")
    warnings: list[str] = []
    if not root.has("blocks"):
        warnings.append(f"{root.where}: there is no key `blocks`; the pipeline has none")
    unread = (*unread_limits(root), *unread_settings(root))
    warnings += (f"{root.where}: {message}" for message in unread)
    blocks = _Blocks(project, root, warnings).read()
    name, description, created_at = root.get("name"), root.get("description"), root.get("created_at")
    variables, limits = root.get("variables"), root.get("concurrency_config")
    limit = None if limits is None else limits.get("block_run_limit")
    own_uuid = root.get("uuid")
    if own_uuid is not None and own_uuid.text() != uuid:
        warnings.append(f"{own_uuid.where}: the folder is called `{uuid}`; that name counts")
    return kind(
        project=project,
        uuid=uuid,
        name=uuid if name is None else name.text(),
        type=_pipeline_type(root),
        description=None if description is None else description.text(),
        tags=_tags(root.get("tags")),
        created_at=None if created_at is None else created_at.text(),
        variables={} if variables is None else variables.mapping(),
        blocks=blocks.runnable,
        callbacks=blocks.callbacks,
        conditionals=blocks.conditionals,
        block_run_limit=None if limit is None else limit.integer(1),
        pool=project.pool.under(root.get("executor_config")),
        order=blocks.order,
        warnings=tuple(warnings),
        metadata=file.value,
    )


def _pipeline_type(root: Place) -> PipelineType:
    found = root.get("type")
    if found is None:
        return PipelineType.PYTHON
    word = found.text()
    try:
        return PipelineType(word)
    except ValueError:
        fix = suggestion(word, [each.value for each in PipelineType], "types")
        raise found.error(f"unknown pipeline type `{word}`", fix) from None


def _tags(place: Place | None) -> tuple[str, ...]:
    if place is None or place.value == {}:
        return ()
    return (place.text(),) if isinstance(place.value, str) else tuple(item.text() for item in place.items())


@dataclass(frozen=True, slots=True)
class _ReadBlocks:
    runnable: tuple[Block, ...]
    callbacks: tuple[Block, ...]
    conditionals: tuple[Block, ...]
    order: tuple[BlockUuid, ...]


class _Blocks:
    """Reads all blocks of one file."""

    def __init__(self, project: Project, root: Place, warnings: list[str]) -> None:
        self.warnings = warnings
        self.defaults = BlockDefaults(
            project=project.path,
            retry=read_retry(root.get("retry_config"), project.retry),
            limits=project.limits.under(root.get("dynamic_blocks")),
        )
        entries = list(_entries(root))
        self.by_uuid = _unique(entries)
        self.callbacks = [entry for entry in entries if entry.type is BlockType.CALLBACK]
        self.conditionals = [entry for entry in entries if entry.type is BlockType.CONDITIONAL]
        attached = {BlockType.CALLBACK, BlockType.CONDITIONAL}
        self.nodes = {entry.uuid: entry for entry in entries if entry.type not in attached}

    def read(self) -> _ReadBlocks:
        upstreams = self._upstreams()
        self._compare_downstreams(upstreams)
        callbacks, conditionals = self._attachments(self.callbacks), self._attachments(self.conditionals)
        blocks = tuple(
            entry.block(
                upstreams[uuid],
                self.defaults,
                conditionals.get(uuid, ()),
                callbacks.get(uuid, ()),
                self._original(entry),
            )
            for uuid, entry in self.nodes.items()
        )
        order = topological_order(blocks, lambda uuid: self.nodes[uuid].place.where)
        self._check_mentions(blocks)
        return _ReadBlocks(
            runnable=blocks,
            callbacks=self._attached_blocks(self.callbacks),
            conditionals=self._attached_blocks(self.conditionals),
            order=tuple(block.uuid for block in order if block.type.runs),
        )

    def _attached_blocks(self, entries: Sequence[BlockEntry]) -> tuple[Block, ...]:
        return tuple(entry.block(self._once(entry), self.defaults, original=self._original(entry)) for entry in entries)

    def _original(self, entry: BlockEntry) -> BlockEntry | None:
        """The block that wrote the file of this replica; a replica of a replica leads on to it. None for the others."""
        found, seen = entry, {entry.uuid}
        while (named := found.replicated) is not None:
            name = named.text()
            original = self.by_uuid.get(BlockUuid(name))
            if original is None:
                raise named.error(
                    f"`{found.uuid}` replicates `{name}`, which is no block of the pipeline",
                    suggestion(name, self.by_uuid, "blocks"),
                )
            if original.uuid in seen:
                raise named.error(
                    f"`{entry.uuid}` replicates itself, by way of `{found.uuid}`"
                    if found is not entry
                    else f"`{entry.uuid}` replicates itself",
                    "Name the block that has the file.",
                )
            if original.type is not entry.type:
                raise named.error(
                    f"`{found.uuid}` is a {found.type.value} and replicates `{name}`, a {original.type.value}",
                    f"Write `type: {original.type.value}`, or name another block.",
                )
            seen.add(original.uuid)
            found = original
        return None if found is entry else found

    def _once(self, entry: BlockEntry) -> tuple[BlockUuid, ...]:
        """The entry's upstreams, each once (design 2.2)."""
        times = Counter(entry.upstreams)
        for name, count in times.items():
            if count > 1:
                self._warn(entry, f"the upstream `{name}` is listed {count} times; it counts once")
        return tuple(times)

    def _upstreams(self) -> dict[BlockUuid, tuple[BlockUuid, ...]]:
        """Each block's upstreams; those of an entry without the key come from its parents' `downstream_blocks`."""
        silent: dict[BlockUuid, list[BlockUuid]] = {
            uuid: [] for uuid, entry in self.nodes.items() if not entry.declares_upstreams
        }
        if silent:
            for uuid, entry in self.nodes.items():
                for name in dict.fromkeys(entry.downstreams):
                    if name in silent:
                        silent[name].append(uuid)
        return {
            uuid: self._running(entry, silent[uuid] if uuid in silent else self._once(entry))
            for uuid, entry in self.nodes.items()
        }

    def _running(self, entry: BlockEntry, names: Sequence[BlockUuid]) -> tuple[BlockUuid, ...]:
        """Upstreams without those that never run, such as scratchpads. Raises PipelineError for unknown ones."""
        kept: list[BlockUuid] = []
        for name in names:
            upstream = self.nodes.get(name)
            if upstream is None:
                raise self._unknown(entry, name)
            if entry.type.runs and not upstream.type.runs:
                self._warn(entry, f"its upstream `{name}` is a {upstream.type}, which never runs; it is left out")
            else:
                kept.append(name)
        return tuple(kept)

    def _unknown(self, entry: BlockEntry, name: BlockUuid) -> PipelineError:
        place = entry.place.get("upstream_blocks") or entry.place
        where = place.where
        if isinstance(place.value, list):
            where = next((item.where for item in place.items() if item.text() == name), where)
        message = f"`{entry.uuid}` lists the upstream `{name}`, which is no block of the pipeline"
        if name in self.by_uuid:
            message = f"`{entry.uuid}` lists the upstream `{name}`, which is a {self.by_uuid[name].type}"
        return PipelineError(message, where=where, fix=suggestion(name, self.nodes, "blocks"))

    def _compare_downstreams(self, upstreams: Mapping[BlockUuid, Sequence[BlockUuid]]) -> None:
        """`downstream_blocks` repeats what `upstream_blocks` says; where they differ, the latter wins."""
        children: dict[BlockUuid, dict[BlockUuid, None]] = {uuid: {} for uuid in self.nodes}
        for uuid, names in upstreams.items():
            for name in names:
                children[name][uuid] = None
        for uuid, entry in self.nodes.items():
            if not entry.type.runs or not entry.place.has("downstream_blocks"):
                continue
            listed = dict.fromkeys(entry.downstreams)
            for name in listed:
                if name not in self.by_uuid:
                    self._warn(entry, f"its downstream `{name}` is no block of the pipeline; it is left out")
                elif name in self.nodes and name not in children[uuid] and self.nodes[name].type.runs:
                    self._warn(entry, f"its downstream `{name}` does not list it in `upstream_blocks`, which count")
            for name in children[uuid]:
                if name not in listed and self.nodes[name].type.runs:
                    self._warn(entry, f"`{name}` lists it in `upstream_blocks`, its `downstream_blocks` do not")

    def _attachments(self, entries: Sequence[BlockEntry]) -> dict[BlockUuid, list[BlockUuid]]:
        attached: dict[BlockUuid, list[BlockUuid]] = {}
        for entry in entries:
            for parent in dict.fromkeys(entry.upstreams):
                if parent not in self.nodes:
                    raise self._unknown(entry, parent)
                attached.setdefault(parent, []).append(entry.uuid)
        return attached

    def _check_mentions(self, blocks: Sequence[Block]) -> None:
        """Blocks that dynamic settings name must exist, and should be neighbours."""
        children: dict[BlockUuid, set[BlockUuid]] = {block.uuid: set() for block in blocks}
        for block in blocks:
            for name in block.upstream_blocks:
                children[name].add(block.uuid)
        named = {name for block in blocks for name in block.dynamic.reduce_output_upstream}
        for block in blocks:
            self._check_settings(self.nodes[block.uuid], block, named)
            settings = block.dynamic
            reduced = settings.reduce_output if isinstance(settings.reduce_output, tuple) else ()
            check = partial(self._check_mention, self.nodes[block.uuid])
            for name in (*reduced, *(settings.children or ())):
                check(name, children[block.uuid], "downstream")
            for name in settings.reduce_output_upstream:
                check(name, block.upstream_blocks, "upstream")

    def _check_settings(self, entry: BlockEntry, block: Block, named: Set[BlockUuid]) -> None:
        """Settings that are of no effect; `named` are the blocks over which a downstream block reduces."""
        if not entry.type.runs:
            return
        for message in unread_keys(entry.place):
            self._warn(entry, message)
        settings = block.configuration.get("dynamic")
        says_how = isinstance(settings, dict) and settings.get("reduce") is not None
        if says_how and not block.dynamic.reduce_output and block.uuid not in named:
            self._warn(
                entry,
                "`configuration.dynamic.reduce` says how to reduce, but nothing reduces over this block. Write "
                "`reduce_output: true`, or name it in a downstream block's `reduce_output_upstream`.",
            )

    def _check_mention(
        self, entry: BlockEntry, name: BlockUuid, neighbours: Sequence[BlockUuid] | set[BlockUuid], side: str
    ) -> None:
        if name not in self.nodes:
            place = entry.place.get("configuration") or entry.place
            raise place.error(
                f"the dynamic settings of `{entry.uuid}` name `{name}`, which is no block of the pipeline",
                suggestion(name, self.nodes, "blocks"),
            )
        if name not in neighbours:
            self._warn(entry, f"its dynamic settings name `{name}`, which is not {side} of it")

    def _warn(self, entry: BlockEntry, message: str) -> None:
        self.warnings.append(f"{entry.place.where}: {message}")


def _entries(root: Place) -> Iterator[BlockEntry]:
    for key, default in _LISTS.items():
        found = root.get(key)
        if found is None:
            continue
        for item in found.items():
            if not isinstance(item.value, dict):
                raise item.unexpected("a block: keys and values", "Write `- uuid: load_data`.")
            yield BlockEntry.read(item, default)


def _unique(entries: Sequence[BlockEntry]) -> dict[BlockUuid, BlockEntry]:
    by_uuid: dict[BlockUuid, BlockEntry] = {}
    for entry in entries:
        first = by_uuid.setdefault(entry.uuid, entry)
        if first is not entry:
            raise entry.place.error(
                f"the uuid `{entry.uuid}` is there twice, first at {first.place.where}",
                "Give one of the two another uuid.",
            )
    return by_uuid
