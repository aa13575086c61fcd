"""Segments: chunks appended by one, read by many; a failed write leaves no trace."""

from __future__ import annotations

import errno
import os
import resource
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from refold.errors import StoreError
from refold.outputs.record_builder import RecordBuilder
from refold.outputs.segments import SegmentReader, SegmentWriter
from refold.outputs.stored_chunk import StoredChunk
from refold.ports.output_store import ChunkRef, Output


def publish(writer: SegmentWriter, value: object) -> ChunkRef:
    builder = RecordBuilder(writer.append)
    builder.add_output(Output.of(value))
    return builder.publish()


def value_of(chunk: StoredChunk) -> object:
    return chunk.output(0).value


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_nothing_is_made_until_something_is_published(tmp_path: Path) -> None:
    run = tmp_path / "run"
    writer = SegmentWriter(run, "w")
    assert not run.exists()
    assert publish(writer, 1).segment == "segments/w-0.seg"
    assert (run / "segments/w-0.seg").is_file()


def test_chunks_lie_one_after_another_in_few_files(tmp_path: Path) -> None:
    writer = SegmentWriter(tmp_path, "w")
    refs = [publish(writer, number) for number in range(100)]
    assert [ref.offset + ref.length for ref in refs[:-1]] == [ref.offset for ref in refs[1:]]
    assert [path.name for path in (tmp_path / "segments").iterdir()] == ["w-0.seg"]


def test_a_full_segment_is_followed_by_another(tmp_path: Path) -> None:
    writer = SegmentWriter(tmp_path, "w", rotate_at=150)
    refs = [publish(writer, number) for number in range(9)]
    assert [ref.segment for ref in refs] == [f"segments/w-{number // 3}.seg" for number in range(9)]
    reader = SegmentReader(tmp_path)
    assert [value_of(reader.read(ref)) for ref in refs] == list(range(9))


def test_an_earlier_processs_file_is_never_written_over(tmp_path: Path) -> None:
    old = publish(SegmentWriter(tmp_path, "w"), "old")
    new = publish(SegmentWriter(tmp_path, "w"), "new")
    assert (old.segment, new.segment) == ("segments/w-0.seg", "segments/w-1.seg")
    reader = SegmentReader(tmp_path)
    assert [value_of(reader.read(ref)) for ref in (old, new)] == ["old", "new"]


@pytest.mark.parametrize("name", ["", "../w", "a/b", "a b", "x" * 101])
def test_a_writers_name_is_a_file_name(tmp_path: Path, name: str) -> None:
    with pytest.raises(StoreError, match="cannot be named"):
        SegmentWriter(tmp_path, name)


def test_a_chunk_that_does_not_fit_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    writer = SegmentWriter(tmp_path, "w")
    first = publish(writer, "first")
    builder = RecordBuilder(writer.append)
    builder.add_output(Output.of("x" * 50_000))
    path = tmp_path / "segments/w-0.seg"
    with files_of_at_most(20_000), pytest.raises(StoreError, match="File too large"):
        builder.publish()
    assert path.stat().st_size == first.length
    again = builder.publish()
    assert again.offset == first.length
    reader = SegmentReader(tmp_path)
    assert value_of(reader.read(first)) == "first"
    assert value_of(reader.read(again)) == "x" * 50_000


def test_a_full_disk_is_named_with_the_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = SegmentWriter(tmp_path, "w")
    first = publish(writer, "first")

    def half(descriptor: int, views: Sequence[memoryview], offset: int) -> int:
        if offset == first.length:
            return os.pwrite(descriptor, views[0][:5], offset)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "pwritev", half)
        with pytest.raises(StoreError, match="the disk is full") as caught:
            publish(writer, "second")
    assert str(tmp_path / "segments/w-0.seg") in str(caught.value)
    assert (tmp_path / "segments/w-0.seg").stat().st_size == first.length


def test_short_writes_are_completed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def seven(descriptor: int, views: Sequence[memoryview], offset: int) -> int:
        return os.pwrite(descriptor, views[0][:7], offset)

    with monkeypatch.context() as patch:
        patch.setattr(os, "pwritev", seven)
        ref = publish(SegmentWriter(tmp_path, "w"), list(range(100)))
    assert value_of(SegmentReader(tmp_path).read(ref)) == list(range(100))


def test_an_interrupted_write_is_written_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = SegmentWriter(tmp_path, "w")

    def interrupted(descriptor: int, views: Sequence[memoryview], offset: int) -> int:
        os.pwrite(descriptor, views[0], offset)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(os, "pwritev", interrupted)
        with pytest.raises(KeyboardInterrupt):
            publish(writer, "lost")
    ref = publish(writer, "kept")
    assert ref.offset == 0
    assert value_of(SegmentReader(tmp_path).read(ref)) == "kept"


def test_a_run_folder_that_is_a_file_is_an_error_with_its_path(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("in the way")
    with pytest.raises(StoreError, match=r"run/segments.*could not be written"):
        publish(SegmentWriter(tmp_path / "run", "w"), 1)


@pytest.mark.parametrize("map_from", [1, 2**30], ids=["mapped", "copied"])
def test_large_chunks_are_read_as_small_ones_are(tmp_path: Path, map_from: int) -> None:
    writer = SegmentWriter(tmp_path, "w")
    values = ["small", "x" * 3_000_000, b"y" * 10_000, 4]
    refs = [publish(writer, value) for value in values]
    reader = SegmentReader(tmp_path, map_from=map_from)
    chunks = [reader.read(ref) for ref in refs]
    reader.close()
    assert [value_of(chunk) for chunk in chunks] == values


@pytest.mark.parametrize("map_from", [1, 2**30], ids=["mapped", "copied"])
def test_a_cut_file_is_an_error(tmp_path: Path, map_from: int) -> None:
    ref = publish(SegmentWriter(tmp_path, "w"), "x" * 1000)
    os.truncate(tmp_path / ref.segment, 900)
    with pytest.raises(StoreError, match="shorter than its chunks"):
        SegmentReader(tmp_path, map_from=map_from).read(ref)


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="No such file"):
        SegmentReader(tmp_path).read(ChunkRef("segments/w-0.seg", 0, 64))


def test_a_reference_into_the_middle_is_an_error(tmp_path: Path) -> None:
    writer = SegmentWriter(tmp_path, "w")
    ref = publish(writer, "x" * 1000)
    publish(writer, "behind")
    for offset in (1, 8, 32):
        with pytest.raises(StoreError, match="damaged"):
            SegmentReader(tmp_path).read(ref._replace(offset=offset))


def test_more_segments_than_open_files_can_be_read(tmp_path: Path) -> None:
    refs = [publish(SegmentWriter(tmp_path, f"w{number}"), number) for number in range(20)]
    reader = SegmentReader(tmp_path, max_open_files=3)
    before = len(os.listdir("/proc/self/fd"))
    assert [value_of(reader.read(ref)) for ref in refs * 2] == list(range(20)) * 2
    assert len(os.listdir("/proc/self/fd")) <= before + 3


def test_a_reader_sees_each_chunk_while_the_writer_goes_on(tmp_path: Path) -> None:
    refs: list[ChunkRef] = []
    wrong: list[object] = []
    there, done = threading.Condition(), 400

    def read() -> None:
        reader = SegmentReader(tmp_path, map_from=300, max_open_files=2)
        for number in range(done):
            with there:
                while len(refs) <= number:
                    there.wait()
            value = value_of(reader.read(refs[number]))
            if value != [number] * number:
                wrong.append(value)

    readers = [threading.Thread(target=read) for _ in range(2)]
    for thread in readers:
        thread.start()
    writer = SegmentWriter(tmp_path, "w", rotate_at=50_000)
    for number in range(done):
        ref = publish(writer, [number] * number)
        with there:
            refs.append(ref)
            there.notify_all()
    for thread in readers:
        thread.join()
    assert wrong == []


def test_threads_share_a_reader(tmp_path: Path) -> None:
    refs = [publish(SegmentWriter(tmp_path, f"w{number}"), number) for number in range(12)]
    reader = SegmentReader(tmp_path, max_open_files=2)
    seen: list[list[object]] = []

    def read(order: Sequence[ChunkRef]) -> None:
        seen.append([value_of(reader.read(ref)) == refs.index(ref) for ref in order])

    threads = [threading.Thread(target=read, args=((refs[turn:] + refs[:turn]) * 20,)) for turn in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(seen) == 4
    assert all(all(each) for each in seen)
