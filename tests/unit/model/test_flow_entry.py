"""Buffers, rates and limits by value are understood in all their spellings; what cannot be meant is an error."""

from __future__ import annotations

from pathlib import Path

import pytest

from refold.errors import PipelineError
from refold.model.block import LimitBy
from refold.model.dynamic_entry import read_dynamic
from refold.model.flow_entry import Flow
from refold.model.place import Place
from refold.model.yaml_file import YamlFile


def read(settings: str) -> Flow:
    """What a dynamic block's settings say."""
    text = f"dynamic: {{parent: true, {settings}}}"
    found = read_dynamic(Place.root(YamlFile.parse(Path("metadata.yaml"), text)))
    return Flow(found.buffer_items, found.buffer_bytes, found.rate, found.limit_by)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ("buffer:", Flow()),
        ("buffer: 20", Flow(20)),
        ("buffer: '20'", Flow(20)),
        ("buffer: {}", Flow()),
        ("buffer: {items: 5}", Flow(5)),
        ("buffer: {bytes: 1000}", Flow(None, 1000)),
        ("buffer: {items: 5, bytes: 64MB}", Flow(5, 64_000_000)),
        ("buffer: {bytes: 1.5 KiB}", Flow(None, 1536)),
        ("buffer: {bytes: 2 gib}", Flow(None, 2**31)),
        ("rate: 50/s", Flow(rate=50.0)),
        ("rate: 100 / m", Flow(rate=100 / 60)),
        ("rate: 5000/H", Flow(rate=5000 / 3600)),
        ("rate: 0.5", Flow(rate=0.5)),
        ("rate: '2.5/s'", Flow(rate=2.5)),
        ("limit_by: customer", Flow(limit_by=LimitBy("customer"))),
        ("limit_by: 7", Flow(limit_by=LimitBy("7"))),
        ("limit_by: {key: customer}", Flow(limit_by=LimitBy("customer"))),
        ("limit_by: {key: customer, limit: 3}", Flow(limit_by=LimitBy("customer", 3))),
    ],
)
def test_a_spelling_means(settings: str, expected: Flow) -> None:
    assert read(settings) == expected


@pytest.mark.parametrize(
    ("settings", "key", "words"),
    [
        ("buffer: 0", "buffer", "expected how many unread items may wait, 1 or more"),
        ("buffer: 1.5", "buffer", "expected how many unread items may wait"),
        ("buffer: many", "buffer", "found 'many'"),
        ("buffer: true", "buffer", "found True"),
        ("buffer: [3]", "buffer", "found [3]"),
        ("buffer: {items: 0}", "buffer.items", "expected a whole number, 1 or more, found 0"),
        ("buffer: {bytes: 0}", "buffer.bytes", "expected a size"),
        ("buffer: {bytes: 64 megs}", "buffer.bytes", "found '64 megs'"),
        ("buffer: {bytes: -5}", "buffer.bytes", "expected a size"),
        ("rate: 0", "rate", "expected how many runs may begin, more than 0"),
        ("rate: -3/s", "rate", "found '-3/s'"),
        ("rate: 3/d", "rate", "in a second such as 50/s, in a minute such as 100/m, in an hour 5000/h"),
        ("rate: 3/", "rate", "found '3/'"),
        ("rate: fast", "rate", "found 'fast'"),
        ("rate: .nan", "rate", "expected how many runs may begin"),
        ("rate: .inf", "rate", "expected how many runs may begin"),
        ("rate: 0.0001/h", "rate", "expected a rate of one run a day or more"),
        ("rate: [1]", "rate", "found [1]"),
        ("rate: false", "rate", "found False"),
        ("limit_by: {limit: 3}", "limit_by", "expected a key of the items' metadata"),
        ("limit_by: ''", "limit_by", "expected a key of the items' metadata"),
        ("limit_by: true", "limit_by", "found True"),
        ("limit_by: {key: a, limit: 0}", "limit_by.limit", "expected a whole number, 1 or more, found 0"),
        ("limit_by: [a]", "limit_by", "found ['a']"),
    ],
)
def test_what_cannot_be_meant_names_file_line_and_key(settings: str, key: str, words: str) -> None:
    with pytest.raises(PipelineError) as caught:
        read(settings)
    assert words in caught.value.message
    assert caught.value.where == f"metadata.yaml:1 (dynamic.{key})"


@pytest.mark.parametrize("settings", ["buffer: 3", "limit_by: customer"])
def test_what_is_about_items_needs_a_dynamic_block(settings: str) -> None:
    key = settings.partition(":")[0]
    place = Place.root(YamlFile.parse(Path("metadata.yaml"), f"dynamic: {{{settings}}}"))
    with pytest.raises(PipelineError) as caught:
        read_dynamic(place)
    assert caught.value.message == f"`{key}` is about the items of a dynamic block, and this block is not dynamic"
    assert caught.value.fix == "Write `parent: true` beside it, or set it on the dynamic block above."


def test_a_rate_may_be_that_of_the_block_itself() -> None:
    place = Place.root(YamlFile.parse(Path("metadata.yaml"), "dynamic: {rate: 5/s}"))
    assert (read_dynamic(place).dynamic, read_dynamic(place).rate) == (False, 5.0)
