"""Large values: copied as seldom as can be, and no longer in memory than they are looked at."""

from __future__ import annotations

import re
import tracemalloc
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from refold.errors import StoreError
from refold.outputs import record_builder, segments
from refold.outputs.file_store import FileOutputStore
from refold.outputs.large import LARGE
from refold.outputs.record_builder import RecordBuilder
from refold.outputs.segments import MAX_CACHED_FRAMES, SegmentReader, SegmentWriter
from refold.ports.output_store import Chunk, ChunkRef, Item, Output

MANY = 24 * LARGE


def frame(number: int = 0) -> pd.DataFrame:
    return pd.DataFrame({"n": np.random.default_rng(number).random(MANY // 16), "m": np.arange(MANY // 16)})


VALUES: dict[str, Callable[[], object]] = {
    "bytes": lambda: np.random.default_rng(0).bytes(MANY),
    "frame": frame,
    "text": lambda: "x" * MANY,
}


@pytest.fixture
def store(tmp_path: Path) -> FileOutputStore:
    return FileOutputStore(tmp_path / "run")


def mapped(folder: Path) -> int:
    """How many bytes of the folder's files are in this process's memory."""
    found = 0
    for part in re.split(r"\n(?=[0-9a-f]+-[0-9a-f]+ )", Path("/proc/self/smaps").read_text()):
        size = re.search(r"^Rss: +(\d+) kB", part, re.MULTILINE)
        if str(folder) in part.partition("\n")[0] and size is not None:
            found += 1024 * int(size[1])
    return found


@pytest.mark.parametrize("kind", ["bytes", "text"])
def test_a_value_is_stored_with_one_copy_of_it(store: FileOutputStore, kind: str) -> None:
    """What is encoded is written from where it lies, and told by its digest there; encoders take half as much again."""
    builder, value = store.builder("w"), VALUES[kind]()
    builder.add_item(Item(b"small", None))
    tracemalloc.start()
    try:
        builder.add_item(Item(value, {"block_uuid": "a"}))
        builder.fingerprints()
        builder.publish()
        assert tracemalloc.get_traced_memory()[1] < 1.75 * MANY
        builder.add_output(Output.of(value))
        builder.digests()
        builder.publish()
        assert tracemalloc.get_traced_memory()[1] < 1.75 * MANY
        assert tracemalloc.get_traced_memory()[0] < LARGE, "what is published is gone"
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("kind", VALUES)
def test_what_was_read_takes_no_memory_but_the_value(tmp_path: Path, store: FileOutputStore, kind: str) -> None:
    builder = store.builder("w")
    builder.add_item(Item(VALUES[kind](), None))
    ref = builder.publish()
    chunk = store.read(ref)
    value = chunk.item(0).value
    assert str(value) == str(VALUES[kind]())
    assert ref.length > MANY / 4
    assert mapped(tmp_path) < LARGE
    again = chunk.item(0).value
    assert str(again) == str(value)
    assert mapped(tmp_path) < LARGE


def test_a_check_that_fails_is_still_made(tmp_path: Path, store: FileOutputStore) -> None:
    """The bytes are checked a part at a time: each part counts."""
    builder = store.builder("w")
    builder.add_output(Output.of(VALUES["bytes"]()))
    ref = builder.publish()
    path = tmp_path / "run" / ref.segment
    whole = path.read_bytes()
    for place in (MANY // 10, MANY // 2, MANY - 10):
        path.write_bytes(whole[:place] + bytes((whole[place] ^ 1,)) + whole[place + 1 :])
        with pytest.raises(StoreError, match="damaged"):
            FileOutputStore(tmp_path / "run").read(ref).output(0)


def test_publishing_the_latest_leaves_nothing_in_memory(tmp_path: Path) -> None:
    store = FileOutputStore(tmp_path / "run", tmp_path / "latest")
    builder = store.builder("w")
    builder.add_output(Output.of([frame(number) for number in range(3)]))
    store.publish_latest("block", builder.publish(), 0)
    assert mapped(tmp_path) < LARGE


def _records(builder: RecordBuilder) -> bytes:
    for value in (1, "text" * 9, b"bytes" * 9, [1, {2}], (b"a" * 99, None), pd.DataFrame({"a": [1]})):
        builder.add_output(Output.of(value))
        builder.add_item(Item(value, None))
        builder.add_item(Item(value, {"block_uuid": "a", "tags": ["t"] * 20}))
    return builder.digests() + builder.fingerprints()


def test_digests_do_not_depend_on_where_values_lie(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = _records(RecordBuilder(lambda parts: ChunkRef("", 0, 0)))
    for large in (1, 10, 60):
        monkeypatch.setattr(record_builder, "LARGE", large)
        assert _records(RecordBuilder(lambda parts: ChunkRef("", 0, 0))) == expected


def test_a_chunk_of_many_large_values_is_written_in_turns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The system takes about a thousand parts at once."""
    monkeypatch.setattr(record_builder, "LARGE", 10)
    builder = RecordBuilder(SegmentWriter(tmp_path, "w").append)
    values = [f"value number {number:010}" for number in range(3000)]
    for value in values:
        builder.add_output(Output.of(value))
    chunk = SegmentReader(tmp_path).read(builder.publish())
    assert [chunk.output(at).value for at in range(3000)] == values


def _frame_chunks(folder: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[SegmentReader, Sequence[ChunkRef]]:
    monkeypatch.setattr(segments, "MAP_FROM", 1)
    builder = RecordBuilder(SegmentWriter(folder, "w").append)
    refs = []
    for number in range(4):
        builder.add_rows(pd.DataFrame({"n": [number] * 10}), None)
        refs.append(builder.publish())
    return SegmentReader(folder, map_from=1), refs


def test_a_frame_whose_rows_are_children_stays_at_hand_few_of_them_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is decoded once for all its rows; a worker that goes from frame to frame does not pile them up."""
    reader, refs = _frame_chunks(tmp_path, monkeypatch)
    chunks: list[Chunk] = [reader.read(ref) for ref in refs]
    kept = [reader.read(ref) is chunk for ref, chunk in list(zip(refs, chunks, strict=True))[::-1]]
    assert kept[:MAX_CACHED_FRAMES] == [True] * MAX_CACHED_FRAMES
    assert not any(kept[MAX_CACHED_FRAMES:])
