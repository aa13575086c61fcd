"""The names that a SQL template can use: its run's keyword arguments, its upstreams' rows, and functions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import cast

from refold.errors import BlockFileError
from refold.io.settings.template_functions import template_functions
from refold.languages.arguments import Signature
from refold.languages.frames import series_library, table_library
from refold.languages.sql.relation import Relation
from refold.model.keys import BlockUuid
from refold.model.suggestion import suggestion
from refold.ports.output_store import StoredElements

_Parse = Callable[..., object]


def upstream_relations(
    upstreams: Sequence[BlockUuid], inputs: Sequence[object], table_names: Mapping[str, str]
) -> Mapping[str, Relation]:
    """`df_1`, `df_2`, ...: the upstreams' rows, read by that name or by the one that the configuration gives."""
    return {
        f"df_{number}": Relation(table_names.get(uuid, f"df_{number}"), value, f"the output of block `{uuid}`")
        for number, (uuid, value) in enumerate(zip(upstreams, inputs, strict=True), start=1)
    }


def template_names(
    upstreams: Sequence[BlockUuid],
    inputs: Sequence[object],
    relations: Mapping[str, Relation],
    keywords: Mapping[str, object],
    project: Path,
) -> dict[str, object]:
    """All names; functions and upstreams' rows win over variables of the same name."""
    outputs = BlockOutputs(upstreams, inputs, tuple(relations.values()), keywords)
    return {**keywords, **template_functions(keywords, project), "block_output": outputs, **relations}


class BlockOutputs:
    """`block_output` of a template."""

    __slots__ = ("_inputs", "_keywords", "_relations", "_upstreams")

    def __init__(
        self,
        upstreams: Sequence[BlockUuid],
        inputs: Sequence[object],
        relations: Sequence[Relation],
        keywords: Mapping[str, object],
    ) -> None:
        self._upstreams = upstreams
        self._inputs = inputs
        self._relations = relations
        self._keywords = keywords

    def __call__(self, block_uuid: str | None = None, parse: _Parse | None = None) -> object:
        """What an upstream block gave: what `parse(data, vars)` makes of it. Without `parse` the value itself, a row as
        a dict, and a frame as rows that can be read by name. Without an uuid a list of all upstreams' values.

        Raises BlockFileError when there is no such upstream.
        """
        if block_uuid is None:
            return self._parsed(parse, [_plain(each) for each in self._inputs])
        if block_uuid not in self._upstreams:
            raise BlockFileError(
                f"`block_output` asks for `{block_uuid}`, which is no upstream block",
                fix=suggestion(str(block_uuid), self._upstreams, "upstream blocks"),
            )
        number = self._upstreams.index(BlockUuid(block_uuid))
        value = _plain(self._inputs[number])
        if parse is None and table_library(value) is not None:
            return self._relations[number]
        return self._parsed(parse, value)

    def _parsed(self, parse: _Parse | None, data: object) -> object:
        if parse is None:
            return data
        given = (data, dict(self._keywords))
        return parse(*given[: max(1, Signature(parse).maximum)])


def _plain(value: object) -> object:
    """A row of a frame as a dict, a lazy list as a list."""
    if isinstance(value, StoredElements):
        return list(cast("Sequence[object]", value))
    if series_library(value) is not None:
        to_dict = getattr(value, "to_dict", None)
        return value if to_dict is None else to_dict()
    return value
