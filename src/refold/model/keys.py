"""Keys, labels and block run uuids: how one block run of many is named.

A *key* is the position of a block run, one index per axis, outermost first; a static block's key is `()`. A *label* is
the same position for people: the item's `block_uuid` where its metadata gives one, else its index. A *block run uuid*
is `block_uuid` alone, or `block_uuid:label[:label...]` (design, section 1).
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterable
from typing import NewType
from urllib.parse import unquote

BlockUuid = NewType("BlockUuid", str)
"""Names a block inside its pipeline; never contains `:`."""
PipelineUuid = NewType("PipelineUuid", str)
RunId = NewType("RunId", str)
"""Names a pipeline run inside its project; sorts by time of creation."""
BlockRunUuid = NewType("BlockRunUuid", str)
"""`block_uuid` or `block_uuid:label[:label...]`, labels percent-encoded."""

Key = tuple[int, ...]

_RESERVED = re.compile(r"[%:/\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def encode_key(key: Key) -> bytes:
    """Four big-endian bytes per axis, so that bytes sort as keys do."""
    return struct.pack(f">{len(key)}I", *key)


def decode_key(data: bytes) -> Key:
    """The key that `encode_key` encoded."""
    return struct.unpack(f">{len(data) // 4}I", data)


def escape_label(label: str) -> str:
    """The label with `%`, `:`, `/` and control characters percent-encoded (UTF-8)."""
    return _RESERVED.sub(lambda m: "".join(f"%{byte:02X}" for byte in m[0].encode("utf-8", "surrogatepass")), label)


def unescape_label(text: str) -> str:
    """The label that `escape_label` escaped."""
    return unquote(text, errors="surrogatepass")


def block_run_uuid(block: BlockUuid, labels: Iterable[str] = ()) -> BlockRunUuid:
    """The uuid of the block run at these labels, outermost first."""
    return BlockRunUuid(":".join([block, *map(escape_label, labels)]))


def parse_block_run_uuid(uuid: str) -> tuple[BlockUuid, tuple[str, ...]]:
    """The block and the labels that `block_run_uuid` put together."""
    block, *labels = uuid.split(":")
    return BlockUuid(block), tuple(unescape_label(label) for label in labels)
