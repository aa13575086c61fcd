"""Every spelling of dynamic settings is understood."""

from __future__ import annotations

from pathlib import Path

import pytest

from refold.errors import ProjectError
from refold.model.block import DynamicSettings, Join, Reduction, Tolerance
from refold.model.child_limits import ChildLimits
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
        ("dynamic: {max_concurrent_child_block_runs: 0}", DynamicSettings()),
        ("dynamic: {batch_settings: {items: {maximum: 9}}, cache: {}}", DynamicSettings()),
        ("dynamic: {join: zip}", DynamicSettings(join=Join.ZIP)),
        ("dynamic: {join: Align}", DynamicSettings(join=Join.ALIGN)),
        ("dynamic: {join: product}", DynamicSettings()),
        ("dynamic: {reduce: sum}", DynamicSettings(reduction=Reduction("sum"))),
        ("dynamic: {reduce: longest}", DynamicSettings(reduction=Reduction("longest"))),
        ("dynamic: {reduce: {strategy: concat, levels: 1}}", DynamicSettings(reduction=Reduction("concat", 1))),
        ("dynamic: {reduce: {levels: '1'}}", DynamicSettings(reduction=Reduction(levels=1))),
        ("dynamic: {reduce: {levels: all}}", DynamicSettings()),
        ("dynamic: {reduce: {}}", DynamicSettings()),
        ("dynamic: {reduce:}", DynamicSettings()),
        (
            "dynamic: {reduce: {strategy: f, initial: {a: [1]}}}",
            DynamicSettings(reduction=Reduction("f", None, {"a": [1]}, True)),
        ),
        (
            "dynamic: {reduce: {strategy: f, initial: null}}",
            DynamicSettings(reduction=Reduction("f", None, None, True)),
        ),
        ("dynamic: {reduce_input: lazy}", DynamicSettings(lazy_input=True)),
        ("dynamic: {reduce_input: List}", DynamicSettings()),
        ("dynamic: {tolerate: 3}", DynamicSettings(tolerance=Tolerance(3))),
        ("dynamic: {tolerate: '3'}", DynamicSettings(tolerance=Tolerance(3))),
        ("dynamic: {tolerate: 0}", DynamicSettings(tolerance=Tolerance(0))),
        ("dynamic: {tolerate: 5%}", DynamicSettings(tolerance=Tolerance(percent=5))),
        ("dynamic: {tolerate: ' 2.5 %'}", DynamicSettings(tolerance=Tolerance(percent=2.5))),
        ("dynamic: {parent: true, max_child_block_runs: 9}", DynamicSettings(dynamic=True, max_child_block_runs=9)),
        ("dynamic: {max_child_block_runs: 0}", DynamicSettings()),
        ("dynamic: {on_max_child_block_runs_exceeded: limit}", DynamicSettings(cut_children=True)),
        ("dynamic: {on_max_child_block_runs_exceeded: fail}", DynamicSettings()),
    ],
)  # fmt: skip
def test_a_spelling_means(configuration: str, expected: DynamicSettings) -> None:
    place = Place.root(YamlFile.parse(Path("metadata.yaml"), configuration))
    assert read_dynamic(place) == expected


@pytest.mark.parametrize(
    ("configuration", "expected"),
    [
        ("dynamic: true", (5, True, 7)),
        ("", (5, True, 7)),
        ("dynamic: {parent: true}", (5, True, 7)),
        ("dynamic: {max_child_block_runs: 2}", (2, True, 7)),
        ("dynamic: {max_child_block_runs: 0}", (None, True, 7)),
        ("dynamic: {max_concurrent_child_block_runs: 0}", (5, True, None)),
        ("dynamic: {on_max_child_block_runs_exceeded: fail}", (5, False, 7)),
    ],
)
def test_limits_given_hold_where_the_block_says_nothing(configuration: str, expected: tuple[object, ...]) -> None:
    place = Place.root(YamlFile.parse(Path("metadata.yaml"), configuration))
    settings = read_dynamic(place, ChildLimits(children=5, cut=True, at_once=7))
    found = settings.max_child_block_runs, settings.cut_children, settings.max_concurrent_child_block_runs
    assert found == expected


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, ChildLimits()),
        ({"DYNAMIC_BLOCKS_MAX_CHILD_BLOCKS": ""}, ChildLimits()),
        ({"DYNAMIC_BLOCKS_MAX_CHILD_BLOCKS": "0"}, ChildLimits()),
        ({"DYNAMIC_BLOCKS_MAX_CHILD_BLOCKS": " 10 "}, ChildLimits(children=10)),
        ({"DYNAMIC_BLOCKS_MAX_CHILD_BLOCKS_BEHAVIOR": "LIMIT"}, ChildLimits(cut=True)),
        ({"DYNAMIC_BLOCKS_MAX_CHILD_BLOCKS_BEHAVIOR": "fail"}, ChildLimits()),
        ({"DYNAMIC_BLOCKS_MAX_CONCURRENT_CHILD_BLOCKS": "4"}, ChildLimits(at_once=4)),
    ],
)
def test_the_environment_may_set_limits(environment: dict[str, str], expected: ChildLimits) -> None:
    assert ChildLimits.of_environment(environment) == expected


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("DYNAMIC_BLOCKS_MAX_CHILD_BLOCKS", "many", "expected a whole number, 0 or more, found 'many'"),
        ("DYNAMIC_BLOCKS_MAX_CHILD_BLOCKS", "-1", "found '-1'"),
        ("DYNAMIC_BLOCKS_MAX_CHILD_BLOCKS_BEHAVIOR", "stop", "expected `fail` or `limit`, found 'stop'"),
        ("DYNAMIC_BLOCKS_MAX_CONCURRENT_CHILD_BLOCKS", "1.5", "found '1.5'"),
    ],
)
def test_a_wrong_limit_in_the_environment_names_the_variable(name: str, value: str, words: str) -> None:
    with pytest.raises(ProjectError) as caught:
        ChildLimits.of_environment({name: value})
    assert words in caught.value.message
    assert caught.value.where == f"environment variable {name}"
