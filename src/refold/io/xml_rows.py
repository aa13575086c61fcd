"""Rows as XML, from documents that declare nothing.

An XML document can declare entities: names that unfold to text without bound, or to the contents of files. Rows need
none, so a document that declares one is refused before any parser has seen what it stands for.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, BinaryIO
from xml.parsers import expat

if TYPE_CHECKING:
    import pandas as pd


def read_xml(file: BinaryIO, limit: int | None, options: Mapping[str, object]) -> object:
    """The rows, an element each; without options the children of the root."""
    import pandas as pd

    del limit  # the rows that are too many are cut off afterwards
    document = file.read()
    encoding = options.get("encoding")
    refuse_declarations(document, None if encoding is None else str(encoding))
    read: Callable[..., object] = pd.read_xml
    # The document says its own encoding, unless the caller knows better; the standard library's parser needs no extra.
    return read(io.BytesIO(document), **{"encoding": None, "parser": "etree", **options})


def write_xml(frame: pd.DataFrame, file: BinaryIO, options: Mapping[str, object]) -> None:
    """Writes an element for each row. Raises ValueError for names and characters that XML cannot hold."""
    document = io.BytesIO()
    write: Callable[..., object] = frame.to_xml
    try:
        write(document, **{"index": False, "parser": "etree", **options})
        text = document.getvalue()
        # Not every way of writing looks at what it writes.
        expat.ParserCreate().Parse(text, True)
    except expat.ExpatError as error:
        raise ValueError(f"a column's name or a value holds what XML cannot: {error}") from error
    file.write(text)


def refuse_declarations(document: bytes, encoding: str | None = None) -> None:
    """Raises ValueError when the document declares entities, or points to declarations elsewhere."""
    parser = expat.ParserCreate(encoding)
    parser.StartDoctypeDeclHandler = _doctype
    parser.EntityDeclHandler = _entity
    parser.StartElementHandler = _root
    try:
        parser.Parse(document, True)
    except _BodyBegins:
        return
    except expat.ExpatError as error:
        raise ValueError(f"is not XML: {error}") from error


class _BodyBegins(Exception):  # noqa: N818 - not an error: declarations stand before the root element only
    pass


def _root(*_: object) -> None:
    raise _BodyBegins


def _doctype(_: str, system: str | None, public: str | None, __: bool) -> None:
    if system is not None or public is not None:
        raise ValueError("the document has a DOCTYPE that points to a file elsewhere, which is not followed; remove it")


def _entity(*declared: object) -> None:
    raise ValueError(f"the document declares the entity `{declared[0]}`; entities are not unfolded, remove them")
