"""Fingerprints of items: eight bytes that tell an item's value and metadata from others (design 2.11).

They are stored with a run and compared by a retry of it, maybe years later: what is hashed never changes.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b

from refold.outputs.codecs import JSON
from refold.outputs.large import Data

SIZE = 8
"""Bytes of a fingerprint."""
_SHORT = 512
"""Bytes below which a value's digest begins as that of others of its length, which is hashed once."""
_begun: list[blake2b] = []
"""For each length of short JSON, the digest as far as the value does not matter; made when it is first needed."""


def item_fingerprint(codec: int, value: Data, metadata: tuple[int, Data] | None = None) -> bytes:
    """The digest of an item's codecs and bytes, and of the place where its metadata begins."""
    codecs = bytes((codec,)) if metadata is None else bytes((codec, metadata[0]))
    digest = blake2b(codecs + b"%d:" % len(value), digest_size=SIZE)
    digest.update(value)
    if metadata is not None:
        digest.update(metadata[1])
    return digest.digest()


def plain_fingerprints(texts: Sequence[bytes]) -> bytes:
    """Those of items without metadata whose values are this JSON, one after the other."""
    if not _begun:
        _begun.extend(blake2b(b"%c%d:" % (JSON, length), digest_size=SIZE) for length in range(_SHORT))
    digests, begun = [], _begun
    for text in texts:
        length = len(text)
        if length >= _SHORT:
            digests.append(item_fingerprint(JSON, text))
            continue
        digest = begun[length].copy()
        digest.update(text)
        digests.append(digest.digest())
    return b"".join(digests)
