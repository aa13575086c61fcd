"""A chunk gives back each record by its position, and damaged bytes give an error, never a wrong value."""

from __future__ import annotations

import struct
from array import array
from collections.abc import Sequence
from itertools import accumulate
from random import Random
from zlib import crc32

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from refold.errors import StoreError
from refold.outputs.chunk_format import ITEM, LIST, NAMED_ITEM, VALUE
from refold.outputs.codecs import JSON, encode
from refold.outputs.large import LARGE, Data
from refold.outputs.record_builder import RecordBuilder
from refold.outputs.stored_chunk import StoredChunk
from refold.ports.output_store import NO_LIST, ChunkRef, Item, Output, Shape

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


# Many records at once


def opened(records: Sequence[Record]) -> StoredChunk:
    return StoredChunk(written(records), "paper")


@given(st.lists(values.map(Output.of), min_size=1, max_size=12), st.data())
def test_outputs_read_at_once_are_those_that_are_read_one_by_one(outputs: list[Output], data: st.DataObject) -> None:
    chunk = opened(outputs)
    start = data.draw(st.integers(0, len(outputs)))
    stop = data.draw(st.integers(start, len(outputs)))
    alone = [chunk.output(at) for at in range(start, stop)]
    assert repr(chunk.contributions(start, stop)) == repr([value for output in alone for value in output.values])
    returned = chunk.plain_outputs(start, stop)
    if returned is not None:
        assert repr(returned) == repr([output.value for output in alone])
    else:
        assert any(codec != JSON or output.shape is Shape.TUPLE for output in alone for codec in codecs(output))


def codecs(output: Output) -> list[int]:
    """Those of its values; of an empty one that of nothing."""
    return [encode(value)[0] for value in output.values] or [JSON]


@given(st.lists(st.builds(Item, values, metadata), min_size=1, max_size=12), st.data())
def test_items_read_at_once_are_those_that_are_read_one_by_one(items: list[Item], data: st.DataObject) -> None:
    chunk = opened(items)
    start = data.draw(st.integers(0, len(items)))
    stop = data.draw(st.integers(start, len(items)))
    found = chunk.plain_items(start, stop)
    stored = [encode(part)[0] for item in items[start:stop] for part in item]
    assert (found is None) == any(codec != JSON for codec in stored)
    if found is not None:
        assert repr(found) == repr([item.value for item in items[start:stop]])


def test_items_beside_outputs_and_rows_are_not_read_at_once() -> None:
    chunk = StoredChunk(written([Item(1, None), Output.of(2)], pd.DataFrame({"n": [1, 2]})), "paper")
    assert chunk.plain_items(0, 1) == [1]
    assert chunk.plain_outputs(1, 2) == [2]
    assert [chunk.plain_items(0, 2), chunk.plain_items(2, 4), chunk.plain_outputs(0, 2)] == [None, None, None]
    with pytest.raises(StoreError, match="is an item"):
        chunk.contributions(0, 2)


def test_what_is_read_at_once_is_each_readers_own() -> None:
    chunk = opened([Output.of({"id": 1}), Output.of([{"id": 2}])])
    for _ in range(2):
        found = chunk.contributions(0, 2)
        assert found == [{"id": 1}, {"id": 2}]
        for each in found:
            each["id"] = 5  # type: ignore[index] # a dict


def stored_size(record: Record) -> int:
    """Bytes of a record's values."""
    parts: Sequence[object] = [part for part in record if part is not None]
    if isinstance(record, Output):
        whole = encode(record.value)
        if record.shape is not Shape.TUPLE and whole[0] == JSON:
            return len(whole[1])
        parts = record.values
    return sum(len(encode(part)[1]) for part in parts)


@given(records.filter(len), st.integers(0, 60), st.data())
def test_a_stretch_ends_before_its_records_come_to_more_bytes_or_after_the_first(
    records: list[Record], size: int, data: st.DataObject
) -> None:
    start = data.draw(st.integers(0, len(records) - 1))
    stop = data.draw(st.integers(start + 1, len(records)))
    sizes = [stored_size(record) for record in records]
    reached = opened(records).reach(start, stop, size)
    assert start < reached <= stop
    assert reached == start + 1 or sum(sizes[start:reached]) <= size
    assert reached == stop or sum(sizes[start : reached + 1]) > size


plain_values = values.filter(lambda value: encode(value)[0] == JSON)
plain_metadata = st.dictionaries(st.sampled_from(["block_uuid", "x"]), st.text(max_size=3))


@given(
    st.lists(plain_values, max_size=6),
    st.lists(plain_values, max_size=6),
    st.lists(st.tuples(plain_values, plain_metadata), max_size=6),
)
def test_what_is_added_encoded_is_stored_as_what_is_added_one_by_one(
    returned: list[object], unnamed: list[object], named: list[tuple[object, dict[str, str]]]
) -> None:
    one_by_one, at_once = Paper(), Paper()
    first, second = RecordBuilder(one_by_one.append), RecordBuilder(at_once.append)
    for value in returned:
        first.add_output(Output.of(value))
    for value in unnamed:
        first.add_item(Item(value, None))
    for value, metadata in named:
        first.add_item(Item(value, metadata))
    lengths = [len(value) if isinstance(value, list) else NO_LIST for value in returned]
    second.add_plain_outputs(texts_of(returned), lengths)
    second.add_plain_items(texts_of(unnamed))
    second.add_plain_items(texts_of([value for value, _ in named]), texts_of([metadata for _, metadata in named]))
    assert (first.named(), first.size, len(first)) == (second.named(), second.size, len(second))
    assert (first.fingerprints(), first.digests()) == (second.fingerprints(), second.digests())
    first.publish()
    second.publish()
    assert one_by_one.data == at_once.data


def texts_of(plain: Sequence[object]) -> list[bytes]:
    return [bytes(encode(value)[1]) for value in plain]


def test_large_values_lie_beside_small_ones() -> None:
    large = "x" * LARGE
    paper = Paper()
    builder = RecordBuilder(paper.append)
    builder.add_plain_outputs([b'"a"', b'"%b"' % large.encode(), b"[1]"], [NO_LIST, NO_LIST, 1])
    builder.add_item(Item(large, {"block_uuid": "b"}))
    builder.add_output(Output.of(("c", large)))
    alone = RecordBuilder(Paper().append)
    alone.add_output(Output.of(large))
    assert builder.digests()[8:16] == alone.digests()
    builder.publish()
    chunk = StoredChunk(paper.data, "paper")
    assert chunk.contributions(0, 3) == ["a", large, 1]
    assert chunk.item(3) == Item(large, {"block_uuid": "b"})
    assert chunk.output(4).value == ("c", large)
    assert [chunk.reach(at, 5, LARGE) for at in range(5)] == [1, 2, 3, 4, 5]


# What earlier versions stored

PRINTS = ["bf294e7de413db61", "0b8d24abaaa36baa", "111379003f348ff9", "942c308a7125cb30"]
DIGESTS = ["7bd9999774f9cac2", "710960630930bc4b", "4bb1bd67bc1a40cc", "638bf574fdd5be93"]


def of_version_one(texts: Sequence[bytes], kinds: bytes, firsts: Sequence[int], extents: Sequence[int]) -> bytes:
    """A chunk of JSON values as the first version of the format has it: no commas."""
    ends = array("Q", accumulate(map(len, texts)))
    columns = ends.tobytes() + array("I", firsts).tobytes() + array("I", extents).tobytes() + kinds + bytes(len(texts))
    body = b"".join(texts)
    counts = struct.pack("=IIIQ", crc32(body), len(kinds), len(texts), len(body))
    return b"RfCh" + struct.pack("=II", 1, crc32(columns, crc32(counts))) + counts + columns + body


def test_chunks_of_the_first_version_are_read() -> None:
    texts = [b'{"id":1}', b"[1,[2]]", b'"item"', b"7", b'{"block_uuid":"seven"}']
    kinds = bytes((VALUE, LIST, ITEM, NAMED_ITEM))
    chunk = StoredChunk(of_version_one(texts, kinds, [0, 1, 2, 3], [1, 2, 1, 1]), "paper")
    assert [chunk.output(at).value for at in (1, 0)] == [[1, [2]], {"id": 1}]
    assert [chunk.item(at) for at in (2, 3)] == [Item("item", None), Item(7, {"block_uuid": "seven"})]
    assert chunk.contributions(0, 2) == [{"id": 1}, 1, [2]]
    assert chunk.plain_items(2, 4) == ["item", 7]
    assert [bytes(data) for _, data in chunk.encoded(1)] == [b"[1,[2]]"]


def test_items_of_the_first_version_are_visible_as_ever() -> None:
    bare = StoredChunk(of_version_one([b"1", b"[2]"], bytes((ITEM, ITEM)), [0, 1], [1, 1]), "paper")
    named = StoredChunk(of_version_one([b"3", b"{}"], bytes((NAMED_ITEM,)), [0], [1]), "paper")
    assert bytes(bare.bare_items() or b"") == b"1,[2]"
    assert named.item_texts() == ([b"3"], [b"{}"])


def test_fingerprints_and_digests_are_those_that_earlier_versions_stored() -> None:
    """A retry compares them with what an older run left."""
    builder = RecordBuilder(Paper().append)
    for item in (Item({"id": 1}, None), Item("a", {"block_uuid": "b"}), Item((1,), None), Item("x" * 600, None)):
        builder.add_item(item)
    builder.add_plain_items([b'{"id":1}'])
    builder.add_plain_items([b'"a"'], [b'{"block_uuid":"b"}'])
    builder.add_plain_items([b'"%b"' % (b"x" * 600)])
    found = builder.fingerprints()
    prints = [found[at : at + 8].hex() for at in range(0, len(found), 8)]
    assert prints[:4] == PRINTS
    assert prints[4:] == [PRINTS[0], PRINTS[1], PRINTS[3]]
    assert [each.hex() for each in digests_of(*map(Output.of, [5, [1, "a"], (1, b"x"), [(1,)]]))] == DIGESTS
