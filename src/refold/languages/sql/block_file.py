"""A SQL block's file, loaded: a function that fills in its template, asks the database, and keeps the rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import cast

from refold.errors import BlockFileError
from refold.io.databases.arrow_tables import to_pandas
from refold.io.databases.providers import EMBEDDED, find_provider
from refold.io.databases.sql_text import dialect_of
from refold.io.databases.table_name import TableName
from refold.io.settings.config import ConfigFileLoader
from refold.languages.python.block_function import BlockFunction, Callback
from refold.languages.python.called import called_with_inputs
from refold.languages.sql.placing import PlacedStatement, place
from refold.languages.sql.query import Query, staged
from refold.languages.sql.query_thread import interruptibly
from refold.languages.sql.rendering import RenderedText, SqlTemplate
from refold.languages.sql.settings import SqlSettings
from refold.languages.sql.target import require_database, table_of
from refold.languages.sql.template_names import template_names, upstream_relations
from refold.model.block import JsonValue
from refold.ports.executor import BlockTask, RunContext

_REMEMBERED = 256
"""How many texts that a template has given are kept, taken apart: those of children are mostly the same."""


class SqlFile:
    """As `refold.languages.loaded_block.LoadedBlock`."""

    conditions: Sequence[BlockFunction] = ()
    tests: Sequence[BlockFunction] = ()
    callbacks: Sequence[Callback] = ()

    def __init__(self, task: BlockTask, context: RunContext) -> None:
        """Reads the template. Raises BlockFileError, with its line, where it is none."""
        self._task = task
        self._context = context
        self._path = str(task.source.path)
        self._configuration = task.configuration
        self._settings = self._read_settings(task.configuration)
        self._template = SqlTemplate(task.source.text, self._path) if self._settings.preprocessed else None
        self._plain = RenderedText(task.source.text)
        self._placed = lru_cache(maxsize=_REMEMBERED)(self._place)
        self._configs: dict[str, ConfigFileLoader] = {}
        self.main = called_with_inputs(task.block, len(task.inputs), self._run)

    def _run(self, *inputs: object, **keywords: object) -> object:
        settings = self._settings_of(keywords["configuration"])
        provider = EMBEDDED if settings.provider is None else find_provider(settings.provider, where=self._path)
        relations = upstream_relations(self._task.upstreams, inputs, settings.table_names)
        text, values = self._plain, cast("Sequence[object]", ())
        if self._template is not None:
            names = template_names(self._task.upstreams, inputs, relations, keywords, self._context.project)
            text, values = self._template.render(names)
        filled = [(placed, placed.fill(values)) for placed in self._placed(text, provider.word)]
        config = self._config(settings)
        query = Query(
            filled,
            staged(filled, tuple(relations.values())),
            settings,
            provider,
            config,
            self._table(settings, config, keywords),
            self._path,
        )
        rows = interruptibly(query.run)
        return None if rows is None else to_pandas(rows)

    def _settings_of(self, configuration: object) -> SqlSettings:
        """What the configuration says, whose expressions have been filled in for this run."""
        if configuration != self._configuration:
            self._configuration = cast("Mapping[str, JsonValue]", configuration)
            self._settings = self._read_settings(self._configuration)
        return self._settings

    def _read_settings(self, configuration: Mapping[str, JsonValue]) -> SqlSettings:
        where = f"block `{self._task.block}`, configuration"
        return SqlSettings.read(configuration, self._task.type, where=where)

    def _config(self, settings: SqlSettings) -> ConfigFileLoader | None:
        """The profile of io_config.yaml; read once, as this process needs it."""
        if settings.provider is None:
            return None
        if settings.profile not in self._configs:
            path = self._context.project / "io_config.yaml"
            self._configs[settings.profile] = ConfigFileLoader(path, settings.profile)
        return self._configs[settings.profile]

    def _table(
        self, settings: SqlSettings, config: ConfigFileLoader | None, keywords: Mapping[str, object]
    ) -> TableName | None:
        if not settings.writes:
            return None
        require_database(settings, config, self._task.block)
        key = cast("tuple[int, ...]", keywords.get("dynamic_block_key", ()))
        return table_of(settings, self._context.pipeline_uuid, self._task.block, keywords.get("env"), key)

    def _place(self, text: RenderedText, provider: str) -> list[PlacedStatement]:
        """The statements of the text. Raises BlockFileError where there is none, or more than one may be."""
        placed = place(text, dialect_of(provider), self._path)
        if not placed:
            raise BlockFileError("there is no statement in the block's file", where=self._path, fix="Write a query.")
        if len(placed) > 1 and not self._settings.raw:
            raise BlockFileError(
                f"there are {len(placed)} statements in the block's file, and a block is one query",
                where=placed[1].where,
                fix="Set `use_raw_sql: true` in the block's configuration to run statements one after the other.",
            )
        return placed
