"""What a SQL block's configuration says (features 1.4), read and checked.

Values may be template expressions, such as `{{ env_var('SCHEMA') }}`: when a pipeline is planned these are taken as
they are; when the block runs they have been filled in.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from refold.errors import PipelineError
from refold.io.databases.providers import find_provider
from refold.io.databases.write_policy import WritePolicy
from refold.model.block import BlockType, JsonValue
from refold.model.suggestion import suggestion

_Kind = TypeVar("_Kind", bool, int, str)


@dataclass(frozen=True, slots=True)
class SqlSettings:
    """How a block's query is run, and what becomes of its rows."""

    provider: str | None = None
    """The database's word (`data_provider`); None: the embedded DuckDB, which needs no settings."""
    profile: str = "default"
    """Of io_config.yaml (`data_provider_profile`)."""
    database: str | None = None
    schema: str | None = None
    table: str | None = None
    """`data_provider_table`; None: a name of the block's own."""
    policy: WritePolicy | None = None
    """`export_write_policy`; None: it does not say."""
    keys: tuple[str, ...] = ()
    """`unique_constraints`: the columns by which `merge` knows a row again."""
    raw: bool = False
    """Whether the file has statements to be run as they are (`use_raw_sql`), rather than one query."""
    preprocessed: bool = True
    """Whether template expressions are filled in (`disable_query_preprocessing: true` says no)."""
    limit: int | None = None
    """How many rows of the result are kept (`limit_in_pipeline_run`)."""
    table_names: Mapping[str, str] = field(default_factory=dict)
    """Names for upstream blocks' rows (`upstream_block_configuration.<uuid>.table_name`)."""
    writes: bool = False
    """Whether the result is written to a table: that of an exporter, and of any block whose configuration names a table
    or, beside a provider, a write policy."""

    @classmethod
    def read(cls, configuration: Mapping[str, JsonValue], block_type: BlockType, where: str) -> SqlSettings:
        """The settings. Raises PipelineError for a value that cannot be, naming the key."""
        entry = _Entry(configuration, where)
        provider, table = entry.text("data_provider"), entry.text("data_provider_table")
        policy, raw = entry.policy(), entry.flag("use_raw_sql")
        if provider is not None and "{{" not in provider:
            find_provider(provider, where=f"{where}.data_provider")
        writes = not raw and (
            block_type is BlockType.DATA_EXPORTER or table is not None or (policy is not None and provider is not None)
        )
        keys = entry.names("unique_constraints")
        if policy is WritePolicy.MERGE and not keys and writes:
            raise PipelineError(
                "`export_write_policy: merge` needs the columns by which a row is known again",
                where=where,
                fix="Name them: `unique_constraints: [id]`.",
            )
        return cls(
            provider=provider,
            profile=entry.text("data_provider_profile") or "default",
            database=entry.text("data_provider_database"),
            schema=entry.text("data_provider_schema"),
            table=table,
            policy=policy,
            keys=keys,
            raw=raw,
            preprocessed=not entry.flag("disable_query_preprocessing"),
            limit=entry.count("limit_in_pipeline_run"),
            table_names=entry.table_names(),
            writes=writes,
        )


@dataclass(frozen=True, slots=True)
class _Entry:
    """A block's `configuration`."""

    configuration: Mapping[str, JsonValue]
    where: str

    def _get(self, key: str, kind: type[_Kind], expected: str) -> _Kind | None:
        value = self.configuration.get(key)
        if value is None or value == "":
            return None
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            raise PipelineError(f"is {value!r}; expected is {expected}", where=f"{self.where}.{key}")
        return value

    def _is_expression(self, key: str) -> bool:
        """Whether it is not known yet: it is filled in when the block runs."""
        value = self.configuration.get(key)
        return isinstance(value, str) and "{{" in value

    def text(self, key: str) -> str | None:
        return self._get(key, str, "text")

    def flag(self, key: str) -> bool:
        return not self._is_expression(key) and bool(self._get(key, bool, "true or false"))

    def count(self, key: str) -> int | None:
        found = None if self._is_expression(key) else self._get(key, int, "a whole number")
        if found is not None and found < 0:
            raise PipelineError(f"is {found}; expected is 0 or more", where=f"{self.where}.{key}")
        return found

    def policy(self) -> WritePolicy | None:
        word = self.text("export_write_policy")
        if word is None or "{{" in word:
            return None
        try:
            return WritePolicy(word)
        except ValueError:
            raise PipelineError(
                f"there is no write policy `{word}`",
                where=f"{self.where}.export_write_policy",
                fix=suggestion(word, [each.value for each in WritePolicy], "policies"),
            ) from None

    def names(self, key: str) -> tuple[str, ...]:
        value = self.configuration.get(key)
        if value is None:
            return ()
        if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
            raise PipelineError(f"is {value!r}; expected is a list of columns", where=f"{self.where}.{key}")
        return tuple(str(each) for each in value)

    def table_names(self) -> Mapping[str, str]:
        value = self.configuration.get("upstream_block_configuration") or {}
        where = f"{self.where}.upstream_block_configuration"
        if not isinstance(value, dict):
            raise PipelineError(f"is {value!r}; expected is a mapping of block uuids", where=where)
        found: dict[str, str] = {}
        for uuid, settings in value.items():
            name = settings.get("table_name") if isinstance(settings, dict) else None
            if name is None or name == "":
                continue
            if not isinstance(name, str):
                raise PipelineError(f"is {name!r}; expected is text", where=f"{where}.{uuid}.table_name")
            found[uuid] = name
        return found
