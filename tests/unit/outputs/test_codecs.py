"""A value comes back exactly as it was, by the plainest codec that keeps it."""

from __future__ import annotations

import math
import subprocess
import sys
from enum import IntEnum
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from refold.errors import StoreError
from refold.outputs.codecs import JSON, PICKLE, SUFFIXES, decode, encode


class Colour(IntEnum):
    RED = 1


class Text(str):
    __slots__ = ()


plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)
anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.complex_numbers()
    | st.text(st.characters())
    | st.binary()
    | st.dates()
    | st.decimals()
    | st.just(Colour.RED)
    | st.text(max_size=3).map(Text),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.dictionaries(st.text(st.characters(), max_size=5) | st.integers() | st.booleans(), inner, max_size=4)
        | st.frozensets(st.integers())
    ),
    max_leaves=12,
)


def picture(value: object) -> object:
    """The value with every type spelled out, so that 1, True, 1.0 and nan are each equal to themselves alone."""
    if isinstance(value, dict):
        return type(value), [(picture(key), picture(inner)) for key, inner in value.items()]
    if isinstance(value, list | tuple):
        return type(value), [picture(inner) for inner in value]
    return type(value), (sorted(value) if isinstance(value, frozenset) else repr(value))


@given(plain)
def test_plain_values_are_json_and_come_back(value: object) -> None:
    codec, data = encode(value)
    # The only strings that JSON has no bytes for.
    assert codec == JSON or "\\ud" in repr(value)
    assert picture(decode(codec, data)) == picture(value)


@given(anything)
def test_any_value_comes_back_with_its_types(value: object) -> None:
    assert picture(decode(*encode(value))) == picture(value)


@pytest.mark.parametrize(
    "value",
    [
        (1,),
        [(1,)],
        {"a": {"b": (1,)}},
        math.nan,
        [math.inf],
        b"x",
        {1: 2},
        {True: 1},
        {None: 1},
        Text("a"),
        {Text("a"): 1},
        [Colour.RED],
        {1, 2},
        2**63,
        [-(2**63) - 1],
        "\ud800",
        {"\udfff": 1},
    ],
    ids=repr,
)
def test_what_json_would_change_is_pickled(value: object) -> None:
    codec, data = encode(value)
    assert codec == PICKLE
    assert picture(decode(codec, data)) == picture(value)


@pytest.mark.parametrize("value", [0.0, -0.0, 5e-324, 1.7976931348623157e308, 1e16, 2**63 - 1, -(2**63), "\u2028\0"])
def test_extremes_survive_json(value: object) -> None:
    codec, data = encode(value)
    assert codec == JSON
    assert picture(decode(codec, data)) == picture(value)


def test_suffixes_say_what_a_file_holds() -> None:
    assert SUFFIXES[encode({"a": 1})[0]] == "json"
    assert SUFFIXES[encode({1, 2})[0]] == "pkl"


def nested(depth: int) -> list[object]:
    value: list[object] = []
    for _ in range(depth):
        value = [value]
    return value


def depth_of(value: object) -> int:
    depth = 0
    while isinstance(value, list) and value:
        value, depth = value[0], depth + 1
    return depth


@pytest.mark.parametrize("depth", [50, 99, 100, 101, 300])
def test_nested_values_come_back(depth: int) -> None:
    assert depth_of(decode(*encode(nested(depth)))) == depth


def test_a_value_that_is_nested_without_end_is_an_error() -> None:
    with pytest.raises(StoreError, match="nested too deeply"):
        encode(nested(100_000))


@pytest.mark.parametrize("make", ["value = [value]", "value = {'k': value}", "value = Node(value)"])
def test_deep_nesting_is_an_error_where_the_recursion_limit_was_raised(make: str) -> None:
    code = f"""
import sys
sys.setrecursionlimit(10**6)
from refold.errors import StoreError
from refold.outputs.codecs import encode
class Node:
    def __init__(self, inner): self.inner = inner
value = None
for _ in range(200_000):
    {make}
try:
    encode(value)
except StoreError as error:
    print(error)
    sys.stdout.flush()
    import os
    os._exit(0)
"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "nested too deeply" in ran.stdout


def test_a_value_that_holds_itself_comes_back() -> None:
    value: list[object] = [1]
    value.append(value)
    back = decode(*encode(value))
    assert isinstance(back, list)
    assert back[1] is back


def test_damaged_bytes_are_an_error() -> None:
    for codec in (JSON, PICKLE, 99):
        with pytest.raises(StoreError):
            decode(codec, b"\x00\x01")


def test_json_is_never_unpickled(tmp_path: Path) -> None:
    witness = tmp_path / "executed"

    class Evil:
        def __reduce__(self) -> tuple[object, ...]:
            return Path.touch, (witness,)

    codec, data = encode(Evil())
    assert codec == PICKLE
    with pytest.raises(StoreError):
        decode(JSON, data)
    assert not witness.exists()


def test_plain_values_load_no_frame_library() -> None:
    code = """
import sys
from refold.outputs.codecs import encode, decode
decode(*encode([{"a": (1,)}]))
print(sorted({"pandas", "pyarrow", "polars", "numpy", "cloudpickle"} & set(sys.modules)))
"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"
