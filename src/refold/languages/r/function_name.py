"""Which function of an R file a block runs, and whether a file may have it, seen without starting R."""

from __future__ import annotations

import re
from pathlib import Path

from refold.errors import BlockFileError, PipelineError
from refold.languages.r.rscript import find_rscript
from refold.model.block import Block, BlockType

_NAMES = {
    BlockType.DATA_LOADER: "load_data",
    BlockType.TRANSFORMER: "transform",
    BlockType.DATA_EXPORTER: "export_data",
}
_SKIPPED = re.compile(r"""#[^\n]*|"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'""", re.DOTALL)
_DEFINES_ELSEWHERE = re.compile(r"\b(?:source|sys\.source|assign|load|attach|eval|delayedAssign)\s*\(")


def function_name(block_type: BlockType) -> str:
    """`load_data`, `transform` or `export_data`."""
    return _NAMES[block_type]


def may_define(text: str, name: str) -> bool:
    """Whether an R file may define the function: it names it, or does what could define anything."""
    code = _SKIPPED.sub(" ", text)
    return re.search(rf"(?<![\w.]){name}(?![\w.])", code) is not None or _DEFINES_ELSEWHERE.search(code) is not None


def require_r(block: Block) -> None:
    """Raises PipelineError when R is not there, or the block's file certainly lacks its function."""
    try:
        find_rscript()
    except BlockFileError as error:
        raise PipelineError(error.message, where=f"block `{block.uuid}`", fix=error.fix) from None
    name = function_name(block.type)
    try:
        text = Path(block.file).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return  # it is said elsewhere that the file is not there
    if not may_define(text, name):
        raise PipelineError(
            f"the R file of block `{block.uuid}` does not define `{name}`, which a {block.type.value} runs",
            where=str(block.file),
            fix=f"Define it: `{name} <- function({'' if block.type is BlockType.DATA_LOADER else 'df_1, '}...) {{ }}`.",
        )
