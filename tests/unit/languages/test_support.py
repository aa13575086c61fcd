"""Blocks of a language or a type that cannot run are refused before anything starts."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from refold.errors import PipelineError
from refold.languages.support import require_support
from refold.model.block import Block, BlockType, DynamicSettings, JsonValue, Language, Reduction
from refold.model.keys import BlockUuid


def block(block_type: BlockType, language: Language, configuration: dict[str, JsonValue] | None = None) -> Block:
    return Block(
        BlockUuid("clean"), "clean", block_type, language, Path("clean" + language.suffix),
        configuration=configuration or {},
    )  # fmt: skip


@pytest.mark.parametrize("language", [Language.PYTHON, Language.SQL, Language.R])
@pytest.mark.parametrize("block_type", [BlockType.DATA_LOADER, BlockType.TRANSFORMER, BlockType.DATA_EXPORTER])
def test_loaders_transformers_and_exporters_run_in_three_languages(block_type: BlockType, language: Language) -> None:
    require_support(block(block_type, language))


def test_another_language_is_refused_with_those_that_run() -> None:
    with pytest.raises(PipelineError, match=r"block `clean` is written in yaml; .*: python, sql, r"):
        require_support(block(BlockType.DATA_LOADER, Language.YAML))


def test_a_sensor_in_sql_is_refused_with_the_types_that_sql_has() -> None:
    with pytest.raises(PipelineError, match=r"sensor written in sql; .* custom, data_exporter, data_loader, transform"):
        require_support(block(BlockType.SENSOR, Language.SQL))


def test_the_settings_of_a_sql_block_are_checked_before_anything_starts() -> None:
    with pytest.raises(PipelineError, match=r"block `clean`, configuration.export_write_policy.*`apend`.*\n.*`append`"):
        require_support(block(BlockType.TRANSFORMER, Language.SQL, {"export_write_policy": "apend"}))


@pytest.mark.parametrize("language", [Language.SQL, Language.R])
def test_only_blocks_in_python_are_folded_by_a_function_of_their_own(language: Language) -> None:
    folded = DynamicSettings(reduction=Reduction("concatenation"))
    with pytest.raises(PipelineError, match=r"`reduce: concatenation`, which is none of concat, .* blocks in Python"):
        require_support(replace(block(BlockType.TRANSFORMER, language), dynamic=folded))
    require_support(replace(block(BlockType.TRANSFORMER, Language.PYTHON), dynamic=folded))
