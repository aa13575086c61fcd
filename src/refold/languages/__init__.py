"""How a block's file is loaded and its function called, whatever its language.

The rules that hold for every language live here: what a dynamic block may return (`unfolding`), what a function is
called with (`arguments`, `keywords`). A folder beneath holds what one language adds.
"""

from __future__ import annotations

from refold.errors import PipelineError
from refold.model.block import Language
from refold.model.keys import BlockUuid

_SUPPORTED = (Language.PYTHON,)


def language_supported(language: Language) -> bool:
    """Whether blocks of this language can run."""
    return language in _SUPPORTED


def require_language(block: BlockUuid, language: Language) -> None:
    """Raises PipelineError, naming the languages that run, unless blocks of this language can run."""
    if language_supported(language):
        return
    running = ", ".join(supported.value for supported in _SUPPORTED)
    raise PipelineError(
        f"block `{block}` is written in {language.value}; blocks of these languages can run: {running}",
        fix="Rewrite the block in one of them, or take it out of the pipeline's metadata.yaml.",
    )
