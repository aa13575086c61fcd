"""Fingerprints of items: eight bytes that tell an item's value and metadata from others (design 2.11).

They are stored with a run and compared by a retry of it, maybe years later: what is hashed never changes.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from operator import add

from refold.outputs.codecs import JSON, encode
from refold.outputs.large import Data
from refold.ports.output_store import Item

SIZE = 8
"""Bytes of a fingerprint."""
_SHORT = 512
"""Bytes below which a value's digest begins as that of others of its length, which is hashed once."""
_UNNAMED, _NAMED = bytes((JSON,)), bytes((JSON, JSON))
_begun: dict[bytes, list[blake2b]] = {}
"""By the codecs of value and metadata: for each length of a short value, the digest as far as that does not matter.
Made when it is first needed."""


def item_fingerprint(codec: int, value: Data, metadata: tuple[int, Data] | None = None) -> bytes:
    """The digest of an item's codecs and bytes, and of the place where its metadata begins."""
    codecs = bytes((codec,)) if metadata is None else bytes((codec, metadata[0]))
    digest = blake2b(codecs + b"%d:" % len(value), digest_size=SIZE)
    digest.update(value)
    if metadata is not None:
        digest.update(metadata[1])
    return digest.digest()


def fingerprint_of(item: Item) -> bytes:
    """An item's. Raises StoreError if it cannot be encoded."""
    value = encode(item.value)
    return item_fingerprint(*value, None if item.metadata is None else encode(item.metadata))


def plain_fingerprints(texts: Sequence[bytes], metadata: Sequence[bytes] | None = None) -> bytes:
    """Those of items whose values are this JSON, one after the other; and their metadata this, if all have some."""
    codecs = _UNNAMED if metadata is None else _NAMED
    begun = _begun.get(codecs)
    if begun is None:
        begun = [blake2b(codecs + b"%d:" % length, digest_size=SIZE) for length in range(_SHORT)]
        _begun[codecs] = begun
    hashed = texts if metadata is None else map(add, texts, metadata)
    digests = []
    for text, rest in zip(texts, hashed, strict=True):
        length = len(text)
        digest = begun[length].copy() if length < _SHORT else blake2b(codecs + b"%d:" % length, digest_size=SIZE)
        digest.update(rest)
        digests.append(digest.digest())
    return b"".join(digests)
