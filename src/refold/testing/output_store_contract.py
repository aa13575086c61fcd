"""What every output store promises: a suite that the tests of an adapter inherit.

An adapter's test class overrides the fixtures `store`, an empty store, and `latest`, which reads visible outputs as
`read_latest(block, name)` does.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from refold.errors import NotFoundError, StoreError
from refold.ports.output_store import Chunk, ChunkRef, Item, Output, OutputStore, Shape

ReadLatest = Callable[[str, str], object]


class OutputStoreContract:
    """Inherit, override the two fixtures, and the promises are tested."""

    @pytest.fixture
    def store(self) -> OutputStore:
        """An empty store."""
        raise NotImplementedError("the adapter's tests say how its store is made")

    @pytest.fixture
    def latest(self, store: OutputStore) -> ReadLatest:
        """Reads a visible output of the store: block, name -> value; NotFoundError without it."""
        raise NotImplementedError("the adapter's tests say how its visible outputs are read")

    @pytest.mark.parametrize(
        "returned",
        [
            None,
            True,
            7,
            1.5,
            "text",
            b"bytes",
            {"id": 5},
            {1: "int key"},
            [],
            [1, [2]],
            [(1,), 2],
            (),
            (1, "two"),
            ([],),
        ],
        ids=repr,
    )
    def test_what_a_block_returned_comes_back(self, store: OutputStore, returned: object) -> None:
        output = _publish_outputs(store, returned).output(0)
        assert output == Output.of(returned) or list(output.values) == list(Output.of(returned).values)
        assert output.shape is Output.of(returned).shape
        assert output.value == returned
        assert type(output.value) is type(returned)

    def test_records_keep_their_positions(self, store: OutputStore) -> None:
        builder = store.builder("w")
        positions = [builder.add_output(Output.of(value)) for value in ("a", ["b"], ("c", "d"), None)]
        assert positions == [0, 1, 2, 3]
        chunk = store.read(builder.publish())
        assert len(chunk) == 4
        assert [chunk.output(at).value for at in (3, 1, 0, 2)] == [None, ["b"], "a", ("c", "d")]

    def test_counting_elements_needs_no_value(self, store: OutputStore) -> None:
        chunk = _publish_outputs(store, 5, None, [], [1, 2, 3], [(1,), (2,)], ("a", "b"), ())
        assert [chunk.elements(at) for at in range(len(chunk))] == [1, 1, 0, 3, 2, 2, 0]

    def test_an_output_read_twice_is_two_objects(self, store: OutputStore) -> None:
        chunk = _publish_outputs(store, [{"id": 1}])
        first = chunk.output(0).value
        assert isinstance(first, list)
        first[0]["id"] = 2
        assert chunk.output(0).value == [{"id": 1}]

    def test_an_item_read_twice_is_two_objects(self, store: OutputStore) -> None:
        builder = store.builder("w")
        builder.add_item(Item({"id": 1}, {"block_uuid": "a", "tags": []}))
        chunk = store.read(builder.publish())
        value, metadata = chunk.item(0)
        assert isinstance(value, dict)
        assert isinstance(metadata, dict)
        value["id"] = 2
        metadata["tags"].append("changed")
        assert chunk.item(0) == ({"id": 1}, {"block_uuid": "a", "tags": []})

    def test_items_carry_their_metadata_and_labels(self, store: OutputStore) -> None:
        builder = store.builder("w")
        metadata: list[dict[str, object] | None]
        metadata = [None, {}, {"block_uuid": "for_user_1"}, {"block_uuid": 7}, {"block_uuid": ""}, {"other": 1}]
        for number, each in enumerate(metadata):
            assert builder.add_item(Item(number, each)) == number
        chunk = store.read(builder.publish())
        assert [chunk.item(at) for at in range(6)] == [Item(at, metadata[at]) for at in range(6)]
        assert [chunk.label(at) for at in range(6)] == [None, None, "for_user_1", "7", None, None]

    def test_a_builder_says_whether_items_are_named(self, store: OutputStore) -> None:
        builder = store.builder("w")
        builder.add_item(Item(1, None))
        assert not builder.named()
        builder.add_item(Item(1, {"block_uuid": "a"}))
        assert builder.named()

    def test_fingerprints_tell_items_apart_and_stay_the_same(self, store: OutputStore) -> None:
        items = [Item(1, None), Item(1.0, None), Item(True, None), Item("1", None), Item((1,), None), Item([1], None)]
        items += [Item(1, {}), Item(1, {"block_uuid": "a"}), Item(1, {"block_uuid": "b"}), Item(None, None)]
        taken = []
        for writer in ("v", "w"):
            builder = store.builder(writer)
            builder.add_output(Output.of("outputs have none"))
            for item in items:
                builder.add_item(item)
            taken.append(builder.fingerprints())
        assert taken[0] == taken[1]
        assert len(taken[0]) == 8 * len(items)
        assert len({taken[0][at : at + 8] for at in range(0, len(taken[0]), 8)}) == len(items)

    def test_a_published_builder_starts_anew(self, store: OutputStore) -> None:
        builder = store.builder("w")
        assert (len(builder), builder.size) == (0, 0)
        builder.add_item(Item("x" * 100, {"block_uuid": "a"}))
        assert len(builder) == 1
        assert builder.size > 100
        first = builder.publish()
        assert (len(builder), builder.size, builder.named(), builder.fingerprints()) == (0, 0, False, b"")
        builder.add_output(Output.of("second"))
        second = builder.publish()
        assert store.read(second).output(0).value == "second"
        assert store.read(first).label(0) == "a"

    def test_what_cannot_be_stored_is_an_error_and_leaves_the_builder_as_it_was(self, store: OutputStore) -> None:
        builder = store.builder("w")
        builder.add_output(Output.of("kept"))
        unstorable = (number for number in range(3))
        for returned in (unstorable, ["a", unstorable], ("a", unstorable)):
            with pytest.raises(StoreError, match="generator"):
                builder.add_output(Output.of(returned))
        with pytest.raises(StoreError, match="generator"):
            builder.add_item(Item(1, {"metadata": unstorable}))
        builder.add_output(Output.of("also kept"))
        chunk = store.read(builder.publish())
        assert [chunk.output(at).value for at in range(len(chunk))] == ["kept", "also kept"]

    def test_positions_past_the_end_are_refused(self, store: OutputStore) -> None:
        chunk = _publish_outputs(store, 1)
        for position in (1, -1):
            with pytest.raises(IndexError):
                chunk.output(position)

    def test_outputs_and_items_are_not_taken_for_each_other(self, store: OutputStore) -> None:
        builder = store.builder("w")
        builder.add_output(Output.of(1))
        builder.add_item(Item(2, None))
        chunk = store.read(builder.publish())
        with pytest.raises(StoreError, match="is an item"):
            chunk.output(1)
        with pytest.raises(StoreError, match="is an output"):
            chunk.item(0)

    def test_a_chunk_that_is_not_there_is_an_error(self, store: OutputStore) -> None:
        with pytest.raises(StoreError):
            store.read(ChunkRef("segments/nobody-0.seg", 0, 100))

    def test_writers_do_not_disturb_each_other(self, store: OutputStore) -> None:
        builders = [store.builder(f"writer-{number}") for number in range(3)]
        refs = []
        for turn in range(3):
            for number, builder in enumerate(builders):
                builder.add_output(Output.of([number, turn]))
                refs.append((builder.publish(), [number, turn]))
        assert [store.read(ref).output(0).value for ref, _ in refs] == [value for _, value in refs]

    def test_rows_of_a_pandas_frame_are_series(self, store: OutputStore) -> None:
        pd = pytest.importorskip("pandas")
        frame = pd.DataFrame({"id": [1, 2, 3], "name": ["a", "b", "c"]}, index=["x", "y", "z"])
        builder = store.builder("w")
        builder.add_item(Item("before", None))
        assert builder.add_rows(frame, [{"block_uuid": "first"}]) == 1
        assert builder.add_item(Item("after", None)) == 4
        assert len(builder.fingerprints()) == 8 * 5
        chunk = store.read(builder.publish())
        assert chunk.item(0).value == "before"
        assert chunk.item(4).value == "after"
        for number in range(3):
            pd.testing.assert_series_equal(chunk.item(1 + number).value, frame.iloc[number])
        assert [chunk.label(at) for at in range(5)] == [None, "first", None, None, None]

    def test_rows_of_a_polars_frame_are_dicts(self, store: OutputStore) -> None:
        pl = pytest.importorskip("polars")
        frame = pl.DataFrame({"id": [1, 2], "tags": [["a"], []]})
        builder = store.builder("w")
        builder.add_rows(frame, None)
        chunk = store.read(builder.publish())
        assert [chunk.item(at).value for at in range(2)] == [{"id": 1, "tags": ["a"]}, {"id": 2, "tags": []}]
        assert not builder.named()

    def test_a_row_that_is_changed_is_nobody_elses(self, store: OutputStore) -> None:
        pd = pytest.importorskip("pandas")
        builder = store.builder("w")
        builder.add_rows(pd.DataFrame({"n": [1.0, 2.0]}), None)
        builder.add_rows(pd.DataFrame({"tags": [["a"], ["b"]]}), None)
        chunk = store.read(builder.publish())
        number = chunk.item(0).value
        number["n"] = 99.0  # type: ignore[index] # a Series
        assert chunk.item(0).value["n"] == 1.0  # type: ignore[index]
        tags = chunk.item(2).value
        tags["tags"].append("changed")  # type: ignore[index]
        assert chunk.item(2).value["tags"] == ["a"]  # type: ignore[index]

    @pytest.mark.parametrize("returned", [None, 7, {"id": 1}, [1, 2], [], [(1,), {2}], {3}], ids=repr)
    def test_the_latest_output_is_visible(self, store: OutputStore, latest: ReadLatest, returned: object) -> None:
        builder = store.builder("w")
        builder.add_output(Output.of("another's"))
        position = builder.add_output(Output.of(returned))
        store.publish_latest("load_data", builder.publish(), position)
        assert latest("load_data", "output_0") == returned
        with pytest.raises(NotFoundError):
            latest("load_data", "output_1")

    def test_a_tuples_elements_are_outputs_of_their_own(self, store: OutputStore, latest: ReadLatest) -> None:
        builder = store.builder("w")
        wide, narrow = builder.add_output(Output.of(([1], {2}, None))), builder.add_output(Output.of((4,)))
        ref = builder.publish()
        store.publish_latest("split", ref, wide)
        assert [latest("split", f"output_{number}") for number in range(3)] == [[1], {2}, None]
        store.publish_latest("split", ref, narrow)
        assert latest("split", "output_0") == 4
        with pytest.raises(NotFoundError):
            latest("split", "output_1")

    def test_the_latest_items_are_one_list_and_their_metadata_another(
        self, store: OutputStore, latest: ReadLatest
    ) -> None:
        builder = store.builder("w")
        builder.add_item(Item({"id": 1}, {"block_uuid": "a"}))
        first = builder.publish()
        builder.add_item(Item({"id": 2}, None))
        store.publish_latest_items("users", [first, builder.publish()])
        assert latest("users", "output_0") == [{"id": 1}, {"id": 2}]
        assert latest("users", "output_1") == [{"block_uuid": "a"}]

    def test_items_of_any_kind_are_visible_as_a_list(self, store: OutputStore, latest: ReadLatest) -> None:
        builder = store.builder("w")
        for value in ({1}, (2,), "three"):
            builder.add_item(Item(value, None))
        store.publish_latest_items("mixed", [builder.publish()])
        assert latest("mixed", "output_0") == [{1}, (2,), "three"]
        store.publish_latest_items("mixed", [])
        assert latest("mixed", "output_0") == []
        with pytest.raises(NotFoundError):
            latest("mixed", "output_1")

    @pytest.mark.parametrize("rows", [3, 0])
    def test_the_latest_rows_are_the_frame(self, store: OutputStore, latest: ReadLatest, rows: int) -> None:
        pd = pytest.importorskip("pandas")
        frame = pd.DataFrame({"id": range(rows), "name": pd.Series(["x"] * rows, dtype="str")})
        builder = store.builder("w")
        builder.add_rows(frame, None)
        store.publish_latest_items("frame", [builder.publish()])
        pd.testing.assert_frame_equal(latest("frame", "output_0"), frame)

    def test_an_unknown_block_has_no_latest_output(self, latest: ReadLatest) -> None:
        with pytest.raises(NotFoundError):
            latest("nobody", "output_0")

    def test_chunks_stay_readable_after_closing(self, store: OutputStore) -> None:
        chunk = _publish_outputs(store, {"id": 1})
        store.close()
        assert chunk.output(0).value == {"id": 1}
        assert chunk.output(0).shape is Shape.VALUE


def _publish_outputs(store: OutputStore, *returned: object) -> Chunk:
    builder = store.builder("w")
    for value in returned:
        builder.add_output(Output.of(value))
    return store.read(builder.publish())
