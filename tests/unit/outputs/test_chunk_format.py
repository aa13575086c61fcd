"""A chunk gives back each record by its position, and damaged bytes give an error, never a wrong value."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from refold.errors import StoreError
from refold.outputs.large import Data
from refold.outputs.record_builder import RecordBuilder
from refold.outputs.stored_chunk import StoredChunk
from refold.ports.output_store import ChunkRef, Item, Output

Record = Output | Item

values = st.recursive(
    st.none() | st.integers() | st.text(max_size=3) | st.binary(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.lists(inner, max_size=3).map(tuple),
    max_leaves=6,
)
metadata = st.none() | st.dictionaries(
    st.sampled_from(["block_uuid", "x"]), st.text(max_size=3) | st.binary(max_size=3)
)
records = st.lists(values.map(Output.of) | st.builds(Item, values, metadata), max_size=12)


class Paper:
    """A segment of one chunk."""

    def __init__(self) -> None:
        self.data = b""
        self.full = False

    def append(self, parts: Sequence[Data]) -> ChunkRef:
        if self.full:
            raise StoreError("full")
        self.data = b"".join(parts)
        return ChunkRef("paper", 0, len(self.data))


def written(records: Sequence[Record], frame: pd.DataFrame | None = None) -> bytes:
    paper = Paper()
    builder = RecordBuilder(paper.append)
    for record in records:
        if isinstance(record, Output):
            builder.add_output(record)
        else:
            builder.add_item(record)
    if frame is not None:
        builder.add_rows(frame, [{"block_uuid": "row"}])
    builder.publish()
    return paper.data


def read_all(data: bytes, kinds: Sequence[type[Record]]) -> list[object]:
    chunk = StoredChunk(data, "paper")
    assert len(chunk) == len(kinds)
    return [read(chunk, at, kind) for at, kind in enumerate(kinds)]


def read(chunk: StoredChunk, at: int, kind: type[Record]) -> tuple[object, object]:
    if kind is Output:
        return chunk.output(at).value, chunk.elements(at)
    return chunk.item(at), chunk.label(at)


def expected(record: Record) -> tuple[object, object]:
    if isinstance(record, Output):
        return record.value, len(record.values)
    label = (record.metadata or {}).get("block_uuid")
    return record, str(label) if label else None


@given(records, st.randoms())
def test_records_in_any_order_equal_what_was_added(records: list[Record], random: Random) -> None:
    chunk = StoredChunk(written(records), "paper")
    order = list(range(len(records)))
    random.shuffle(order)
    for at in order:
        assert repr(read(chunk, at, type(records[at]))) == repr(expected(records[at]))


SAMPLE: list[Record] = [
    Output.of({"id": 1}),
    Output.of([1, 2]),
    Output.of([(1,), b"x"]),
    Output.of(("a", None)),
    Item("value", {"block_uuid": "named"}),
    Item((1,), None),
]


@settings(max_examples=300)
@given(st.data())
def test_a_flipped_byte_is_an_error(data: st.DataObject) -> None:
    good = written(SAMPLE)
    at = data.draw(st.integers(0, len(good) - 1))
    flipped = bytearray(good)
    flipped[at] ^= data.draw(st.integers(1, 255))
    with pytest.raises(StoreError):
        read_all(bytes(flipped), [type(record) for record in SAMPLE])


@settings(max_examples=100)
@given(st.data())
def test_a_cut_chunk_is_an_error(data: st.DataObject) -> None:
    good = written(SAMPLE)
    with pytest.raises(StoreError):
        StoredChunk(good[: data.draw(st.integers(0, len(good) - 1))], "paper")


def test_damage_is_said_with_its_place() -> None:
    with pytest.raises(StoreError) as caught:
        StoredChunk(b"garbage" * 20, "run/segments/w-0.seg, bytes 0 to 140")
    assert str(caught.value).startswith("run/segments/w-0.seg, bytes 0 to 140: this chunk of outputs is damaged")


def test_counting_survives_a_damaged_body() -> None:
    good = bytearray(written([Output.of([1, 2, 3])]))
    good[-1] ^= 1
    chunk = StoredChunk(bytes(good), "paper")
    assert chunk.elements(0) == 3
    with pytest.raises(StoreError, match="checksum of its values"):
        chunk.output(0)


def test_a_plain_list_is_one_value_whatever_its_length() -> None:
    chunk = StoredChunk(written([Output.of([{"id": 1}, {"id": 2}])]), "paper")
    assert [bytes(data) for _, data in chunk.encoded(0)] == [b'[{"id":1},{"id":2}]']


def test_a_tuple_of_frames_is_a_parquet_value_each() -> None:
    frames = pd.DataFrame({"a": [1]}), pd.DataFrame({"b": ["x"]})
    chunk = StoredChunk(written([Output.of(frames)]), "paper")
    assert [bytes(data[:4]) for _, data in chunk.encoded(0)] == [b"PAR1", b"PAR1"]
    for value, frame in zip(chunk.output(0).values, frames, strict=True):
        pd.testing.assert_frame_equal(value, frame)  # type: ignore[arg-type]


def test_a_million_small_records_open_without_an_object_each() -> None:
    data = written([Output.of({"id": 1})] * 1000)
    overhead = len(data) - 1000 * len(b'{"id":1}')
    assert overhead < 1000 * 20


def test_a_builder_that_cannot_publish_holds_its_records_for_another_try() -> None:
    paper = Paper()
    builder = RecordBuilder(paper.append)
    builder.add_item(Item("kept", {"block_uuid": "a"}))
    prints = builder.fingerprints()
    paper.full = True
    with pytest.raises(StoreError):
        builder.publish()
    assert (len(builder), builder.named(), builder.fingerprints()) == (1, True, prints)
    paper.full = False
    builder.publish()
    assert StoredChunk(paper.data, "paper").item(0) == Item("kept", {"block_uuid": "a"})


def test_fingerprints_do_not_depend_on_when_they_are_asked_for() -> None:
    items = [Item(1, None), Item(2, {"block_uuid": "a"}), Item(3, None)]
    frame = pd.DataFrame({"n": [1, 2]})

    def build(ask: bool) -> bytes:
        builder = RecordBuilder(Paper().append)
        for item in items:
            builder.add_item(item)
            if ask:
                builder.fingerprints()
        builder.add_rows(frame, [{"block_uuid": "row"}])
        builder.add_item(Item(4, None))
        return builder.fingerprints()

    assert build(ask=True) == build(ask=False)
    assert len(build(ask=True)) == 8 * 6


def test_a_rows_fingerprint_depends_on_its_metadata() -> None:
    def prints(metadata: list[dict[str, object]] | None) -> bytes:
        builder = RecordBuilder(Paper().append)
        builder.add_rows(pd.DataFrame({"n": [1, 2]}), metadata)
        return builder.fingerprints()

    none, first = prints(None), prints([{"block_uuid": "a"}])
    assert first[:8] != none[:8]
    assert first[8:] == none[8:]


def digests_of(*records: Record) -> list[bytes]:
    builder = RecordBuilder(Paper().append)
    for record in records:
        if isinstance(record, Output):
            builder.add_output(record)
        else:
            builder.add_item(record)
    found = builder.digests()
    return [found[at : at + 8] for at in range(0, len(found), 8)]


@given(st.lists(values, max_size=6))
def test_digests_are_equal_where_outputs_are(returned: list[object]) -> None:
    found = digests_of(*map(Output.of, returned))
    assert found == [digests_of(Output.of(value))[0] for value in returned]
    for value, digest in zip(returned, found, strict=True):
        assert [digest == other for other in found] == [
            repr((Output.of(value).shape, value)) == repr((Output.of(other).shape, other)) for other in returned
        ]


def test_digests_are_of_outputs_alone_wherever_they_stand() -> None:
    between = digests_of(Output.of(1), Item(5, {"block_uuid": "a"}), Output.of(("a", b"b")), Item(6, None))
    assert between == digests_of(Output.of(1), Output.of(("a", b"b")))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ([1], (1,)),
        ([1], 1),
        (("1", 23), ("12", 3)),
        ((1, 23), (12, 3)),
        ((), []),
        ((), None),
        ([(1,)], ((1,),)),
        (b"x", "x"),
    ],
)
def test_digests_tell_shapes_codecs_and_bounds_apart(one: object, other: object) -> None:
    assert digests_of(Output.of(one)) != digests_of(Output.of(other))


def test_rows_beside_other_records_are_read_alone() -> None:
    data = written([Output.of("x"), Item("y", None)], pd.DataFrame({"n": [1, 2]}))
    chunk = StoredChunk(data, "paper")
    assert [chunk.label(at) for at in (1, 2, 3)] == [None, "row", None]
    assert chunk.item(3).value["n"] == 2  # type: ignore[index] # a Series
    assert chunk.sole_frame() is None


def test_metadata_that_is_no_dict_is_an_error() -> None:
    chunk = StoredChunk(written([Item(1, ["block_uuid"])]), "paper")  # type: ignore[arg-type]
    with pytest.raises(StoreError, match="metadata of item 0 is a list"):
        chunk.label(0)
