"""One entry of a pipeline's `blocks`, `callbacks` or `conditionals`, read and checked."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from refold.model.block import Block, BlockType, DynamicSettings, ExecutorSettings, Language, RetryPolicy
from refold.model.block_file import locate
from refold.model.child_limits import ChildLimits
from refold.model.dynamic_entry import read_dynamic
from refold.model.inside import is_too_long
from refold.model.keys import BlockUuid
from refold.model.place import Place
from refold.model.suggestion import suggestion

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\\]")


@dataclass(frozen=True, slots=True)
class BlockDefaults:
    """What holds for a block where its entry says nothing."""

    project: Path
    """The project's folder."""
    retry: RetryPolicy
    """The pipeline's, over the project's."""
    limits: ChildLimits = field(default_factory=ChildLimits)
    """`dynamic_blocks` of the pipeline, over the project's."""


@dataclass(frozen=True, slots=True)
class BlockEntry:
    """An entry with what identifies it; the rest is read by `block`."""

    place: Place
    uuid: BlockUuid
    type: BlockType

    @classmethod
    def read(cls, place: Place, default: BlockType | None = None) -> BlockEntry:
        """The entry at this place; `default` is the type of entries of its list that name none."""
        uuid = _uuid(place)
        place = place.named(uuid)
        return cls(place, uuid, _type(place, default))

    @property
    def declares_upstreams(self) -> bool:
        """Whether the entry has the key `upstream_blocks`, empty or not."""
        return self.place.has("upstream_blocks")

    @property
    def upstreams(self) -> tuple[BlockUuid, ...]:
        """`upstream_blocks` as written, repeats included."""
        return self._uuids("upstream_blocks")

    @property
    def downstreams(self) -> tuple[BlockUuid, ...]:
        """`downstream_blocks` as written, repeats included."""
        return self._uuids("downstream_blocks")

    def _uuids(self, key: str) -> tuple[BlockUuid, ...]:
        place = self.place.get(key)
        return () if place is None or place.value == {} else place.uuids()

    @property
    def replicated(self) -> Place | None:
        """`replicated_block`: the block whose file this one runs as its own; None for the others."""
        found = self.place.get("replicated_block")
        return None if found is None or found.value == "" else found

    @property
    def _configuration(self) -> Place:
        return self.place.get("configuration") or replace(self.place, value={})

    def block(
        self,
        upstreams: Sequence[BlockUuid],
        defaults: BlockDefaults,
        conditionals: Sequence[BlockUuid] = (),
        callbacks: Sequence[BlockUuid] = (),
        original: BlockEntry | None = None,
    ) -> Block:
        """The block, with these upstreams and attachments, and the file and language of `original` where it replicates
        one. Raises PipelineError for a wrong value."""
        configuration = self._configuration
        settings = configuration.mapping()
        written = original or self
        language_told, source = _language(written.place), _source(written._configuration)
        file, language = locate(defaults.project, written.uuid, written.type, language_told, source)
        name = self.place.get("name")
        block = Block(
            uuid=self.uuid,
            name=self.uuid if name is None else name.text(),
            type=self.type,
            language=language,
            file=file,
            upstream_blocks=tuple(upstreams),
            configuration=settings,
            retry=defaults.retry,
            conditionals=tuple(conditionals),
            callbacks=tuple(callbacks),
        )
        return self._with_settings(block, configuration, defaults) if self.type.runs else block

    def _with_settings(self, block: Block, configuration: Place, defaults: BlockDefaults) -> Block:
        attached = self.type in {BlockType.CALLBACK, BlockType.CONDITIONAL}
        interval = configuration.get("poll_interval") if self.type is BlockType.SENSOR else None
        run_tests, conditional = configuration.get("run_tests"), configuration.get("conditional")
        cache = configuration.get("cache")
        return replace(
            block,
            dynamic=DynamicSettings() if attached else read_dynamic(configuration, defaults.limits),
            retry=read_retry(self.place.get("retry_config"), defaults.retry),
            timeout=_timeout(self.place, configuration),
            sensor_interval=block.sensor_interval if interval is None else interval.seconds(),
            run_tests=run_tests is None or run_tests.boolean(),
            conditional=conditional is None or conditional.boolean(),
            executor=_executor(configuration.get("executor")),
            cache=cache is not None and cache.boolean(),
        )


def _uuid(place: Place) -> BlockUuid:
    found = place.get("uuid")
    if found is None or not found.text().strip():
        raise place.error("a block without a `uuid`", "Give it one: `uuid: load_data`.")
    uuid = found.text()
    if ":" in uuid:
        raise found.error(
            f"the block uuid `{uuid}` contains `:`, which separates the parts of block run uuids",
            f"Call it `{uuid.replace(':', '_')}`.",
        )
    if _CONTROL.search(uuid) or any(part in {"", ".", ".."} for part in uuid.split("/")):
        raise found.error(
            f"the block uuid {uuid!r} cannot name a file in the project",
            "Use letters, digits and `_`; `folder/name` for a file in a subfolder.",
        )
    if is_too_long(uuid):
        raise found.error(f"the block uuid `{uuid[:40]}...` is too long to name a file", "Call it something shorter.")
    return BlockUuid(uuid)


def _type(place: Place, default: BlockType | None) -> BlockType:
    found = place.get("type")
    if found is None:
        if default is None:
            raise place.error("a block without a `type`", "Give it one: `type: transformer`.")
        return default
    word = found.text()
    try:
        return BlockType(word)
    except ValueError:
        fix = suggestion(word, [each.value for each in BlockType], "types")
        raise found.error(f"unknown block type `{word}`", fix) from None


def _language(place: Place) -> Language | None:
    found = place.get("language")
    if found is None or found.value == "":
        return None
    word = found.text()
    try:
        return Language(word.lower())
    except ValueError:
        fix = suggestion(word, [each.value for each in Language], "languages")
        raise found.error(f"unknown language `{word}`", fix) from None


def _source(configuration: Place) -> str | None:
    """The path that the configuration names, `file_source` first."""
    file_source = configuration.get("file_source")
    named = file_source.get("path") if file_source is not None else None
    named = named or configuration.get("file_path")
    if named is None:
        return None
    path = named.text()
    if "\0" in path or is_too_long(path):
        raise named.error(f"{path[:40]!r} cannot be the path of a file", "Name the block's file, from the project on.")
    return path


def _executor(place: Place | None) -> ExecutorSettings:
    if place is None:
        return ExecutorSettings()
    threads, concurrency = place.get("threads"), place.get("concurrency")
    return ExecutorSettings(
        threads=None if threads is None else threads.integer(1),
        concurrency=None if concurrency is None else concurrency.integer(1),
    )


def _timeout(place: Place, configuration: Place) -> float | None:
    """Seconds; 0 means no limit, as in released Mage."""
    found = place.get("timeout") or configuration.get("timeout")
    return None if found is None or found.value == "" else found.seconds() or None


def read_retry(place: Place | None, base: RetryPolicy) -> RetryPolicy:
    """The policy that `retry_config` gives over another, key by key. Raises the file's error for a wrong value."""
    if place is None:
        return base
    retries, delay = place.get("retries"), place.get("delay")
    max_delay, backoff = place.get("max_delay"), place.get("exponential_backoff")
    return RetryPolicy(
        retries=base.retries if retries is None else retries.integer(0),
        delay=base.delay if delay is None else delay.seconds(),
        max_delay=base.max_delay if max_delay is None else max_delay.seconds(),
        exponential_backoff=base.exponential_backoff if backoff is None else backoff.boolean(),
    )
