"""Visible outputs: what people find in a block's folder."""

from __future__ import annotations

import json
import os
import pickle
import stat
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refold.errors import NotFoundError, StoreError
from refold.outputs import FileOutputStore, MemoryOutputStore, read_latest
from refold.ports.output_store import Item, Output


@pytest.fixture
def latest(tmp_path: Path) -> Path:
    return tmp_path / ".mage_data" / "my_pipeline"


@pytest.fixture
def store(tmp_path: Path, latest: Path) -> FileOutputStore:
    return FileOutputStore(tmp_path / "run", latest)


def publish(store: FileOutputStore, returned: object, block: str = "load_data", writer: str = "w") -> None:
    builder = store.builder(writer)
    position = builder.add_output(Output.of(returned))
    store.publish_latest(block, builder.publish(), position)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_frame_is_parquet_that_pandas_reads(store: FileOutputStore, latest: Path) -> None:
    frame = pd.DataFrame({"id": [1, 2], "name": ["a", "b"]})
    publish(store, frame)
    pd.testing.assert_frame_equal(pd.read_parquet(latest / "load_data" / "output_0.parquet"), frame)


def test_plain_values_are_json(store: FileOutputStore, latest: Path) -> None:
    publish(store, [{"id": 1}, {"id": 2}])
    assert json.loads((latest / "load_data/output_0.json").read_text()) == [{"id": 1}, {"id": 2}]
    publish(store, None)
    assert (latest / "load_data/output_0.json").read_text() == "null"


def test_a_list_with_other_elements_is_one_pickle(store: FileOutputStore, latest: Path) -> None:
    publish(store, [{1}, {2}])
    assert names(latest / "load_data") == ["output_0.pkl"]
    assert pickle.loads((latest / "load_data/output_0.pkl").read_bytes()) == [{1}, {2}]


def test_a_tuple_has_a_file_an_element(store: FileOutputStore, latest: Path) -> None:
    publish(store, (pd.DataFrame({"a": [1]}), {"b": 2}, {3}))
    assert names(latest / "load_data") == ["output_0.parquet", "output_1.json", "output_2.pkl"]


def test_files_of_an_earlier_output_are_removed_and_others_are_not(store: FileOutputStore, latest: Path) -> None:
    publish(store, (pd.DataFrame({"a": [1]}), 2, 3))
    for kept in ("notes.txt", "output_0.csv", "my_output_1.json"):
        (latest / "load_data" / kept).write_text("the user's")
    publish(store, {"a": 1})
    assert names(latest / "load_data") == ["my_output_1.json", "notes.txt", "output_0.csv", "output_0.json"]


def test_what_a_killed_process_left_is_removed(store: FileOutputStore, latest: Path) -> None:
    publish(store, 1)
    (latest / "load_data" / ".output_0.json.0123456789abcdef.tmp").write_text("half")
    publish(store, 2)
    assert names(latest / "load_data") == ["output_0.json"]


def test_visible_files_have_ordinary_permissions(store: FileOutputStore, latest: Path) -> None:
    umask = os.umask(0o022)
    try:
        publish(store, 1)
    finally:
        os.umask(umask)
    assert stat.S_IMODE((latest / "load_data/output_0.json").stat().st_mode) == 0o644


def test_a_nested_block_has_a_nested_folder(store: FileOutputStore, latest: Path) -> None:
    publish(store, "outer", block="team")
    publish(store, "inner", block="team/load")
    publish(store, "outer again", block="team")
    assert (latest / "team/load/output_0.json").read_text() == '"inner"'
    assert read_latest(latest, "team/load") == "inner"
    assert read_latest(latest, "team") == "outer again"


@pytest.mark.parametrize("block", ["", "/etc", "..", "a/../../b", "a//b", "./a", "a/", "a\0b"])
def test_a_block_whose_folder_would_lie_elsewhere_is_refused(store: FileOutputStore, latest: Path, block: str) -> None:
    with pytest.raises(StoreError, match="no safe place"):
        publish(store, 1, block=block)
    with pytest.raises(StoreError, match="no safe place"):
        read_latest(latest, block)
    assert not latest.exists()


def test_a_folder_that_cannot_be_written_is_an_error_with_its_path(store: FileOutputStore, latest: Path) -> None:
    latest.mkdir(parents=True)
    (latest / "load_data").write_text("in the way")
    with pytest.raises(StoreError, match=r"my_pipeline/load_data: the visible output .* could not be written"):
        publish(store, 1)


def test_an_output_that_does_not_fit_leaves_the_one_before(
    store: FileOutputStore, latest: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(store, ("before", "and before"))
    opened: Any = Path.open

    def full(self: Path, mode: str = "r") -> Any:
        return opened(Path("/dev/full") if self.name.startswith(".output_1") else self, mode=mode)

    monkeypatch.setattr(Path, "open", full)
    with pytest.raises(StoreError, match="No space left"):
        publish(store, ("after", "and after", 3))
    assert names(latest / "load_data") == ["output_0.json", "output_1.json"]
    assert read_latest(latest, "load_data") == "before"


def test_a_list_of_frames_is_a_pickle_that_any_python_reads(store: FileOutputStore, latest: Path) -> None:
    """Written frame by frame, and items that are pickles as they lie; whoever opens the file has no Refold."""
    frames = [pd.DataFrame({"a": [1, 2]}), pl.DataFrame({"b": ["x"]}), {3}, {"plain": None}]
    publish(store, frames)
    builder = store.builder("items")
    for frame in frames:
        builder.add_item(Item(frame, None))
    store.publish_latest_items("load_items", [builder.publish()])
    code = "import pickle, sys; print(pickle.load(open(sys.argv[1], 'rb')))"
    for block in ("load_data", "load_items"):
        command = [sys.executable, "-I", "-c", code, str(latest / block / "output_0.pkl")]
        assert subprocess.run(command, check=True, capture_output=True, text=True).stdout == f"{frames}\n"


def test_two_runs_that_end_at_once_leave_the_output_of_one(tmp_path: Path, latest: Path) -> None:
    frame = pd.DataFrame({"a": [1]})
    returned = [(1, 2), frame, {"x"}, "text"]
    start = threading.Barrier(len(returned))

    def run(number: int) -> None:
        store = FileOutputStore(tmp_path / f"run-{number}", latest)
        start.wait()
        for turn in range(20):
            publish(store, returned[number], writer=f"w{turn}")

    threads = [threading.Thread(target=run, args=(number,)) for number in range(len(returned))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert names(latest / "load_data") in [
        ["output_0.json", "output_1.json"],
        ["output_0.parquet"],
        ["output_0.pkl"],
        ["output_0.json"],
    ]


def test_items_are_a_list_and_rows_their_frame(store: FileOutputStore, latest: Path) -> None:
    builder = store.builder("w")
    builder.add_item(Item({"id": 1}, None))
    builder.add_item(Item({"id": 2}, {"block_uuid": "second"}))
    store.publish_latest_items("users", [builder.publish()])
    assert json.loads((latest / "users/output_0.json").read_text()) == [{"id": 1}, {"id": 2}]
    assert json.loads((latest / "users/output_1.json").read_text()) == [None, {"block_uuid": "second"}]
    builder.add_rows(pd.DataFrame({"id": [1, 2]}), [{"block_uuid": "first"}])
    store.publish_latest_items("users", [builder.publish()])
    assert names(latest / "users") == ["output_0.parquet", "output_1.json"]
    assert read_latest(latest, "users", "output_1") == [{"block_uuid": "first"}]


def test_rows_of_two_frames_are_a_list_of_rows(store: FileOutputStore, latest: Path) -> None:
    builder = store.builder("w")
    builder.add_rows(pl.DataFrame({"id": [1]}), None)
    builder.add_rows(pl.DataFrame({"id": [2]}), None)
    store.publish_latest_items("users", [builder.publish()])
    assert read_latest(latest, "users") == [{"id": 1}, {"id": 2}]


@pytest.mark.parametrize("library", [pd, pl], ids=["pandas", "polars"])
def test_a_frame_is_read_by_the_library_that_made_it(store: FileOutputStore, latest: Path, library: Any) -> None:
    frame = library.DataFrame({"a": [1, 2]})
    publish(store, frame)
    back: Any = read_latest(latest, "load_data")
    assert type(back) is type(frame)
    assert frame.equals(back)


def test_a_missing_output_is_an_error_that_says_what_there_is(store: FileOutputStore, latest: Path) -> None:
    with pytest.raises(NotFoundError, match="no output at all"):
        read_latest(latest, "load_data")
    publish(store, (1, 2))
    with pytest.raises(NotFoundError, match="there is output_0, output_1"):
        read_latest(latest, "load_data", "output_2")


@pytest.mark.parametrize("suffix", ["json", "parquet", "pkl"])
def test_a_damaged_visible_file_is_an_error(latest: Path, suffix: str) -> None:
    (latest / "load_data").mkdir(parents=True)
    (latest / "load_data" / f"output_0.{suffix}").write_bytes(b"\x00\x01")
    with pytest.raises(StoreError):
        read_latest(latest, "load_data")


def test_without_a_latest_folder_nothing_is_made_visible(tmp_path: Path) -> None:
    store = FileOutputStore(tmp_path / "run", None)
    publish(store, 1)
    store.publish_latest_items("users", [])
    assert names(tmp_path) == ["run"]


@given(
    st.lists(
        st.lists(
            st.builds(
                Item,
                st.integers(0, 2) | st.sampled_from([None, "a", [1], {"b": 2}, (3,), "\ud800"]),
                st.none() | st.sampled_from([{}, {"block_uuid": "a"}, {"n": 1}, {"n": (1,)}]),
            ),
            min_size=1,
            max_size=4,
        ),
        max_size=3,
    )
)
def test_items_of_any_chunks_are_visible_as_one_list_and_their_metadata_as_far_as_it_goes(
    chunks: list[list[Item]],
) -> None:
    store, refs = MemoryOutputStore(), []
    builder = store.builder("w")
    for items in chunks:
        for item in items:
            builder.add_item(item)
        refs.append(builder.publish())
    store.publish_latest_items("load", refs)
    assert repr(store.read_latest("load")) == repr([item.value for items in chunks for item in items])
    metadata = [item.metadata for items in chunks for item in items]
    while metadata and metadata[-1] is None:
        metadata.pop()
    if metadata:
        assert store.read_latest("load", "output_1") == metadata
    else:
        with pytest.raises(NotFoundError):
            store.read_latest("load", "output_1")
