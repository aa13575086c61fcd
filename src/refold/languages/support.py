"""Which blocks can run: of which language, of which type, with which settings."""

from __future__ import annotations

from collections.abc import Mapping

from refold.errors import PipelineError
from refold.languages.python.decorators import ROLE_OF_TYPE
from refold.languages.r.function_name import require_r
from refold.model.block import STRATEGIES, Block, BlockType, Language

_LOADING = frozenset({BlockType.DATA_LOADER, BlockType.TRANSFORMER, BlockType.DATA_EXPORTER})
_SUPPORTED: Mapping[Language, frozenset[BlockType]] = {
    Language.PYTHON: frozenset(ROLE_OF_TYPE),
    Language.SQL: _LOADING | {BlockType.CUSTOM},
    Language.R: _LOADING,
}
"""The types of blocks that each language can be written for (features 1.2)."""


def require_support(block: Block) -> None:
    """Raises PipelineError unless blocks of this language and type can run, with the settings that this one has."""
    types = _SUPPORTED.get(block.language, frozenset())
    if not types:
        raise PipelineError(
            f"block `{block.uuid}` is written in {block.language.value}; blocks of these languages can run: "
            + ", ".join(each.value for each in _SUPPORTED),
            fix="Rewrite the block in one of them, or take it out of the pipeline's metadata.yaml.",
        )
    if block.type not in types:
        raise PipelineError(
            f"block `{block.uuid}` is a {block.type.value} written in {block.language.value}; in that language these "
            f"types of blocks can run: {', '.join(sorted(each.value for each in types))}",
            fix="Rewrite the block in Python, or give it another type in the pipeline's metadata.yaml.",
        )
    if block.language is not Language.PYTHON:
        _require_strategy(block)
    if block.language is Language.SQL:
        from refold.languages.sql.settings import SqlSettings  # slow to load, and only SQL blocks need it

        SqlSettings.read(block.configuration, block.type, where=f"block `{block.uuid}`, configuration")
    if block.language is Language.R:
        require_r(block)


def _require_strategy(block: Block) -> None:
    """Outputs are folded by functions of Python files alone."""
    strategy = block.dynamic.reduction.strategy
    if strategy not in STRATEGIES:
        raise PipelineError(
            f"block `{block.uuid}` has `reduce: {strategy}`, which is none of {', '.join(sorted(STRATEGIES))}; "
            f"a function of its own is for blocks in Python, and this one is in {block.language.value}",
            fix="Take one of these, or `list`, and fold the outputs in the block downstream.",
        )
