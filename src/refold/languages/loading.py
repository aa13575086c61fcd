"""Loads a block's file, whatever its language."""

from __future__ import annotations

from pathlib import Path

from refold.languages.loaded_block import LoadedBlock
from refold.languages.python.block_file import BlockFile
from refold.languages.r.block_file import RFile
from refold.model.block import BlockType, Language
from refold.ports.executor import BlockTask, RunContext, Source


def load_block(task: BlockTask, context: RunContext) -> LoadedBlock:
    """The block's own file. Raises BlockFileError when it cannot be loaded."""
    match task.language:
        case Language.SQL:
            from refold.languages.sql.block_file import SqlFile  # slow to load, and only SQL blocks need it

            return SqlFile(task, context)
        case Language.R:
            return RFile(task, context)
        case _:
            return load_python(task.source, task.type, context.project, context.requirements)


def let_go(file: LoadedBlock) -> None:
    """Nobody runs the block any more: what its language holds for it beside this process ends."""
    if isinstance(file, RFile):
        file.close()


def load_python(source: Source, block_type: BlockType, project: Path, requirements: tuple[Path, ...]) -> BlockFile:
    """A Python file: a block's own, or one attached to it. Raises BlockFileError when it cannot be loaded."""
    return BlockFile.load(
        source.block, block_type, source.path, source.text, requirements=requirements, project=project
    )
