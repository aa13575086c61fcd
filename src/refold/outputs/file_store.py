"""The output store on disk: segments in the run's own folder, visible files in the pipeline's."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from refold.outputs.latest import items_files, output_files, write_latest
from refold.outputs.record_builder import RecordBuilder
from refold.outputs.segments import SegmentReader, SegmentWriter
from refold.outputs.stored_chunk import StoredChunk
from refold.ports.output_store import ChunkRef


class FileOutputStore:
    """The outputs of one pipeline run, in files: the port `OutputStore`. Any number of processes may open the same.

    `run_folder` is made when something is published. `latest_folder` is the pipeline's,
    `<project>/.mage_data/<pipeline>`; without it nothing is made visible. With `durable`, what is published
    survives a loss of power.
    """

    def __init__(self, run_folder: Path, latest_folder: Path | None = None, *, durable: bool = False) -> None:
        self._run_folder = run_folder
        self._latest_folder = latest_folder
        self._durable = durable
        self._reader = SegmentReader(run_folder)
        self._writers: list[SegmentWriter] = []

    def builder(self, writer: str) -> RecordBuilder:
        """A builder over this writer's own segment files; `writer` is unique among the run's processes and builders."""
        segments = SegmentWriter(self._run_folder, writer, durable=self._durable)
        self._writers.append(segments)
        return RecordBuilder(segments.append)

    def read(self, ref: ChunkRef) -> StoredChunk:
        """Opens a chunk. Raises StoreError if it is not there or damaged."""
        return self._reader.read(ref)

    def publish_latest(self, block: str, ref: ChunkRef, position: int) -> None:
        """Makes this output what the block's visible files hold. Raises StoreError when they cannot be written."""
        if self._latest_folder is not None:
            chunk = self.read(ref)
            write_latest(self._latest_folder, block, output_files(chunk, position))
            chunk.let_go()

    def publish_latest_items(self, block: str, refs: Sequence[ChunkRef]) -> None:
        """The same for all items of these chunks: `output_0` holds the items, `output_1` their metadata if any."""
        if self._latest_folder is not None:
            write_latest(self._latest_folder, block, items_files([self.read(ref) for ref in refs]))

    def drop_cached(self) -> None:
        """Lets go of chunks that were read and may be wanted again: memory is short."""
        self._reader.drop_cached()

    def close(self) -> None:
        """Closes files; chunks that were given out stay readable."""
        for writer in self._writers:
            writer.close()
        self._reader.close()
