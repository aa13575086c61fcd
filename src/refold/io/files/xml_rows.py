"""Rows as XML, from documents that declare nothing.

An XML document can declare entities: names that unfold to text without bound, or to the contents of files. Rows need
none, so a document that declares one is refused before any parser has seen what it stands for.
"""

from __future__ import annotations

import codecs
import io
import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, BinaryIO
from xml.parsers import expat

if TYPE_CHECKING:
    import pandas as pd


_DECLARED = re.compile(rb"""\s*<\?xml\s[^>]*?encoding\s*=\s*["']([A-Za-z0-9._\-]+)["']""")
_BEGINNINGS: Mapping[bytes, str] = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
    b"<\0": "utf-16-le",
    b"\0<": "utf-16-be",
}
"""How a document begins that is in one of these encodings, whatever it declares."""


def read_xml(file: BinaryIO, limit: int | None, options: Mapping[str, object]) -> object:
    """The rows, an element each; without options the children of the root."""
    import pandas as pd

    del limit  # the rows that are too many are cut off afterwards
    encoding = options.get("encoding")
    # What is looked at and what is parsed are the same bytes in the same encoding, whatever the document claims.
    document = _utf8(file.read(), None if encoding is None else str(encoding))
    refuse_declarations(document)
    read: Callable[..., object] = pd.read_xml
    # The standard library's parser needs no extra.
    return read(io.BytesIO(document), **{"parser": "etree", **options, "encoding": "utf-8"})


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


def _utf8(document: bytes, encoding: str | None) -> bytes:
    if encoding is None:
        declared = _DECLARED.match(document)
        beginnings = (start for start in _BEGINNINGS if document.startswith(start))
        encoding = _BEGINNINGS.get(next(beginnings, b"")) or (declared[1].decode() if declared else "utf-8")
    return document.decode(encoding).encode("utf-8")


def refuse_declarations(document: bytes) -> None:
    """Raises ValueError when the document, in UTF-8, declares entities or points to declarations elsewhere."""
    parser = expat.ParserCreate("utf-8")
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
