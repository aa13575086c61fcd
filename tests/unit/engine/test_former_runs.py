"""What completed before a retry is found again, row by row and many at once."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from refold.engine.former_runs import FormerRuns
from refold.model.keys import BlockUuid, encode_key
from refold.ports.run_store import BlockRunRow
from refold.scheduler.status import Status

WORK = BlockUuid("work")
_TIMES = st.none() | st.floats(0, 2e9)


@st.composite
def stored(draw: st.DrawFn) -> list[BlockRunRow]:
    """Rows in key order: records that follow each other, others, and none; some of a cached block."""
    rows, chunk, position = [], 0, 0
    for index in sorted(draw(st.sets(st.integers(0, 30)))):
        chunk, position = draw(st.just((chunk, position + 1)) | st.tuples(st.integers(0, 2), st.integers(0, 5)))
        place = draw(st.just((chunk, position)) | st.just((None, None)))
        told = draw(st.just((None, None, False)) | st.just((b"d" * 8, b"f" * 16, True)))
        status = int(draw(st.sampled_from([Status.COMPLETED, Status.COMPLETED_FALSE])))
        rows.append(BlockRunRow(WORK, encode_key((1, index)), status, 2, draw(_TIMES), draw(_TIMES), *place, *told))
    return rows


def former(rows: list[BlockRunRow], portion: int) -> FormerRuns:
    runs = FormerRuns(WORK)
    for start in range(0, len(rows), portion):
        runs.add(rows[start : start + portion])
    return runs


@given(stored(), st.sampled_from([1, 3, 100]), st.data())
def test_rows_are_found_by_their_keys_in_any_order(rows: list[BlockRunRow], portion: int, data: st.DataObject) -> None:
    runs = former(rows, portion)
    by_key = {row.key: row for row in rows}
    assert len(runs) == len(rows)
    assert list(runs.keys()) == [row.key for row in rows]
    for index in data.draw(st.lists(st.integers(0, 31), max_size=20)):
        key = encode_key((1, index))
        assert runs.find(key) == by_key.get(key)
    assert runs.find(encode_key((1,))) is None


@given(stored(), st.integers(0, 31), st.integers(1, 12))
def test_keys_that_stand_together_are_found_at_once(rows: list[BlockRunRow], first: int, count: int) -> None:
    runs = former(rows, 100)
    keys = [encode_key((1, index)) for index in range(first, first + count)]
    by_key = {row.key: row for row in rows}
    at = runs.find_together(b"".join(keys))
    assert (at is not None) == all(key in by_key for key in keys)
    if at is None:
        return
    wanted = [by_key[key] for key in keys]
    assert runs.statuses(at, at + count) == bytes(row.status for row in wanted)
    places = [
        (None, None) if piece.chunk < 0 else (piece.chunk, piece.first + number - piece.start)
        for piece in runs.pieces(at, at + count)
        for number in range(piece.start, piece.stop)
    ]
    assert places == [(row.chunk, row.position) for row in wanted]


@given(stored(), st.sets(st.integers(0, 31)))
def test_what_stands_no_more_is_told(rows: list[BlockRunRow], now: set[int]) -> None:
    keys = [encode_key((1, index)) for index in sorted(now)]
    vanished = former(rows, 100).without(b"".join(keys), 8)
    assert sorted(vanished) == [row.key for row in rows if row.key not in keys]


def test_rows_left_over_from_other_axes_are_kept_apart() -> None:
    rows = [BlockRunRow(WORK, encode_key(key), 2, 1, 1.0, 2.0, 0, 0) for key in ((), (0,), (0, 0), (1,))]
    runs = former(rows[1:], 100)
    assert len(runs) == 2
    assert [runs.find(row.key) for row in rows] == [None, *rows[1:]]
    assert set(runs.keys()) == {row.key for row in rows[1:]}
    assert runs.without(encode_key((0,)) + encode_key((1,)), 4) == [encode_key((0, 0))]
    assert sorted(runs.without(encode_key((0, 0)), 8)) == [encode_key((0,)), encode_key((1,))]


def test_a_static_blocks_one_run_has_no_key() -> None:
    row = BlockRunRow(WORK, b"", 2, 1, 1.0, 2.0, 3, 4)
    runs = former([row], 1)
    assert runs.find(b"") == row
    assert runs.without(b"", 0) == []
    assert runs.without(encode_key((0,)), 4) == [b""]
