"""Every spelling of dynamic settings is understood."""

from __future__ import annotations

from pathlib import Path

import pytest

from refold.model.block import DynamicSettings
from refold.model.dynamic_entry import read_dynamic
from refold.model.keys import BlockUuid
from refold.model.place import Place
from refold.model.yaml_file import YamlFile

A, B = BlockUuid("a"), BlockUuid("b")


@pytest.mark.parametrize(
    ("configuration", "expected"),
    [
        ("", DynamicSettings()),
        ("dynamic: false", DynamicSettings()),
        ("dynamic:", DynamicSettings()),
        ("dynamic: []", DynamicSettings()),
        ("dynamic: {}", DynamicSettings()),
        ("dynamic: true", DynamicSettings(dynamic=True)),
        ("dynamic: 'true'", DynamicSettings(dynamic=True)),
        ("dynamic: yes", DynamicSettings(dynamic=True)),
        ("dynamic: {parent: true}", DynamicSettings(dynamic=True)),
        ("dynamic: {parent: false, mode: batch}", DynamicSettings(batch_mode=True)),
        ("dynamic: {parent: [a, b, a]}", DynamicSettings(dynamic=True, children=(A, B))),
        ("dynamic: {parent: []}", DynamicSettings()),
        ("dynamic: {mode: batch}", DynamicSettings(dynamic=True, batch_mode=True)),
        ("dynamic: {mode: stream}", DynamicSettings(dynamic=True)),
        ("dynamic: {parent: true, modes: [{type: default}]}", DynamicSettings(dynamic=True, batch_mode=True)),
        ("dynamic: {parent: true, modes: [{type: stream, poll_interval: 15}]}", DynamicSettings(dynamic=True)),
        ("dynamic: {parent: true, modes: [{type: default}, {type: stream}]}", DynamicSettings(dynamic=True)),
        ("dynamic: {parent: true, modes: []}", DynamicSettings(dynamic=True)),
        ("reduce_output: true", DynamicSettings(reduce_output=True)),
        ("reduce_output: [a]", DynamicSettings(reduce_output=(A,))),
        ("reduce_output: []", DynamicSettings()),
        ("dynamic: {reduce_output: true}", DynamicSettings(reduce_output=True)),
        ("dynamic: {reduce_output: [b]}\nreduce_output: [a]", DynamicSettings(reduce_output=(A, B))),
        ("dynamic: {reduce_output: [b]}\nreduce_output: true", DynamicSettings(reduce_output=True)),
        ("dynamic: {reduce_output: true}\nreduce_output: false", DynamicSettings(reduce_output=True)),
        ("dynamic: {reduce_output_upstream: [a]}", DynamicSettings(reduce_output_upstream=(A,))),
        (
            "dynamic: {max_concurrent_child_block_runs: '4'}",
            DynamicSettings(max_concurrent_child_block_runs=4),
        ),
        ("dynamic: {join: zip, tolerate: 3, reduce: {levels: 1}, buffer: 9, rate: 1/s, cache: {}}", DynamicSettings()),
    ],
)  # fmt: skip
def test_a_spelling_means(configuration: str, expected: DynamicSettings) -> None:
    place = Place.root(YamlFile.parse(Path("metadata.yaml"), configuration))
    assert read_dynamic(place) == expected


def test_the_limit_given_holds_where_the_block_says_nothing() -> None:
    place = Place.root(YamlFile.parse(Path("metadata.yaml"), "dynamic: true"))
    assert read_dynamic(place, 7).max_concurrent_child_block_runs == 7
