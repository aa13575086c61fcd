"""The output store in memory: for tests, and for runs that leave nothing behind.

It encodes what it is given as the store on disk does, so that a child never shares an object with its siblings and
what cannot be stored fails here too.
"""

from __future__ import annotations

from collections.abc import Sequence

from refold.errors import NotFoundError, StoreError
from refold.outputs.codecs import decode
from refold.outputs.large import Data
from refold.outputs.latest import VisibleFiles, items_files, output_files
from refold.outputs.record_builder import RecordBuilder
from refold.outputs.stored_chunk import StoredChunk
from refold.ports.output_store import ChunkRef


class MemoryOutputStore:
    """The outputs of one pipeline run, in this process: the port `OutputStore`."""

    def __init__(self) -> None:
        self._chunks: dict[ChunkRef, bytes] = {}
        self._ends: dict[str, int] = {}
        self._latest: dict[str, dict[str, tuple[int, bytes]]] = {}

    def builder(self, writer: str) -> RecordBuilder:
        """A builder over this writer's own segments; `writer` is unique among the run's builders."""

        def append(parts: Sequence[Data]) -> ChunkRef:
            data = b"".join(parts)
            ref = ChunkRef(writer, self._ends.get(writer, 0), len(data))
            self._ends[writer] = ref.offset + ref.length
            self._chunks[ref] = data
            return ref

        return RecordBuilder(append)

    def read(self, ref: ChunkRef) -> StoredChunk:
        """Opens a chunk. Raises StoreError if it is not there."""
        data = self._chunks.get(ref)
        if data is None:
            raise StoreError(f"there is no chunk at {ref.segment}, {ref.offset}, {ref.length}")
        return StoredChunk(data, f"{ref.segment}, bytes {ref.offset} to {ref.offset + ref.length}")

    def publish_latest(self, block: str, ref: ChunkRef, position: int) -> None:
        """Makes this output the block's latest."""
        self._latest[block] = _joined(output_files(self.read(ref), position))

    def publish_latest_items(self, block: str, refs: Sequence[ChunkRef]) -> None:
        """The same for all items of these chunks: `output_0` holds the items, `output_1` their metadata if any."""
        self._latest[block] = _joined(items_files([self.read(ref) for ref in refs]))

    def read_latest(self, block: str, name: str = "output_0") -> object:
        """The block's latest output of this name. Raises NotFoundError when there is none."""
        files = self._latest.get(block, {})
        if name not in files:
            raise NotFoundError(f"block `{block}` has no `{name}`; there is {', '.join(files) or 'no output at all'}")
        return decode(*files[name])

    def drop_cached(self) -> None:
        """Keeps everything: nothing is here twice."""

    def close(self) -> None:
        """Keeps everything: what was published stays readable for as long as the store is."""


def _joined(files: VisibleFiles) -> dict[str, tuple[int, bytes]]:
    return {name: (codec, b"".join(parts)) for name, (codec, parts) in files.items()}
