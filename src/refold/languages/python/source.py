"""The text of a Python block, read and compiled with errors that point at the line."""

from __future__ import annotations

import ast
from importlib.util import decode_source
from pathlib import Path
from types import CodeType

from refold.errors import BlockFileError


def read_source(path: Path) -> str:
    """The text of a block's file, in the encoding that it declares (UTF-8 without a word).

    Raises BlockFileError when it is not there, cannot be read or is not text in that encoding.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise BlockFileError(
            "the block's file is not there",
            where=str(path),
            fix="Create it, or take the block out of the pipeline's metadata.yaml.",
        ) from None
    except OSError as error:
        raise BlockFileError(f"the block's file cannot be read: {error.strerror}", where=str(path)) from error
    try:
        return decode_source(data)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise BlockFileError(
            f"the block's file is not {error.encoding} text: byte 0x{data[error.start]:02X} at offset {error.start}",
            where=f"{path}:{line}",
            fix="Save the file as UTF-8, or declare its encoding in the first line: `# -*- coding: latin-1 -*-`.",
        ) from error
    except SyntaxError as error:
        raise BlockFileError(
            f"the block's file cannot be read as text: {error.msg}",
            where=str(path),
            fix="Save the file as UTF-8, or declare its encoding in the first line: `# -*- coding: latin-1 -*-`.",
        ) from error


def parse_source(source: str, filename: str) -> ast.Module:
    """The syntax tree. Raises BlockFileError, with the line, when the text is not Python."""
    try:
        return ast.parse(source, filename)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise _syntax_error(error, filename) from error


def compile_source(source: str, filename: str) -> CodeType:
    """The code to execute. Raises BlockFileError, with the line, when the text is not Python."""
    try:
        return compile(source, filename, "exec", dont_inherit=True)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise _syntax_error(error, filename) from error


def _syntax_error(error: Exception, filename: str) -> BlockFileError:
    if not isinstance(error, SyntaxError):
        return BlockFileError(f"is not Python that can be read: {str(error) or type(error).__name__}", where=filename)
    line = (error.text or "").strip()
    return BlockFileError(
        f"syntax error: {error.msg}" + (f": {line}" if line else ""),
        where=filename if error.lineno is None else f"{filename}:{error.lineno}",
    )
