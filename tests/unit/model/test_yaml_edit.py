"""Edits of YAML text change what they must, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from refold.errors import PipelineError
from refold.model.block import JsonValue
from refold.model.yaml_edit import same
from refold.model.yaml_file import YamlFile
from refold.model.yaml_text import Style, document_text, flow_text

FILE = Path("metadata.yaml")
RELAXED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
WORDS = [
    "a",
    "uuid",
    "yes",
    "no",
    "on",
    "null",
    "~",
    "1",
    "007",
    "1e3",
    "12:30:00",
    "2026-01-01",
    "it's",
    "a: b",
    "# x",
    "",
]

scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(WORDS) | st.text(max_size=8)
keys = st.sampled_from(["a", "b", "uuid", "x y", "on", "1", "é"]) | st.text(max_size=4).filter(lambda key: key != "<<")
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=4),
    max_leaves=12,
)
blocks = st.lists(
    st.fixed_dictionaries({"uuid": st.sampled_from("abcdef")}, optional={"up": values, "x": values}),
    max_size=5,
    unique_by=lambda block: str(block["uuid"]),
)
documents = st.dictionaries(keys, values | blocks, min_size=1, max_size=5)
styles = st.builds(Style, list_indent=st.sampled_from([0, 2]), flow_lists=st.booleans())


def parsed(text: str) -> YamlFile:
    return YamlFile.parse(FILE, text)


def with_value(text: str, value: dict[str, JsonValue]) -> str:
    return parsed(text).with_value(value).text


@RELAXED
@given(documents, styles)
def test_what_is_written_reads_the_same(document: dict[str, JsonValue], style: Style) -> None:
    assert same(parsed(document_text(document, style)).value, document)


@RELAXED
@given(documents)
def test_what_is_written_reads_the_same_to_readers_of_yaml_1_2(document: dict[str, JsonValue]) -> None:
    text = document_text(document)
    assert same(YAML(typ="safe", pure=True).load(text), document)


@RELAXED
@given(documents, documents, styles)
def test_any_document_can_be_edited_into_any_other(
    old: dict[str, JsonValue], new: dict[str, JsonValue], style: Style
) -> None:
    assert same(parsed(document_text(old, style)).with_value(new).value, new)


@RELAXED
@given(documents, documents)
def test_a_document_in_brackets_can_be_edited_into_any_other(
    old: dict[str, JsonValue], new: dict[str, JsonValue]
) -> None:
    assert same(parsed("# top\n" + flow_text(old) + "\n").with_value(new).value, new)


@RELAXED
@given(documents, styles, st.sampled_from(["\n", "\r\n"]))
def test_an_edit_that_changes_nothing_leaves_every_byte(
    document: dict[str, JsonValue], style: Style, newline: str
) -> None:
    text = document_text(document, style).replace("\n", newline)
    assert with_value(text, parsed(text).value) == text


def commented(document: dict[str, JsonValue], style: Style) -> list[str]:
    """The document's lines with a comment above each."""
    return [
        part
        for number, line in enumerate(document_text(document, style).splitlines())
        for part in (f"# {number}", line)
    ]


simple_blocks = st.lists(st.sampled_from("abcdef"), min_size=1, max_size=5, unique=True)


@RELAXED
@given(simple_blocks, st.data(), styles)
def test_comments_and_all_other_lines_survive_a_change_of_one_block(
    uuids: list[str], data: st.DataObject, style: Style
) -> None:
    entries: list[JsonValue] = [{"uuid": uuid, "color": None, "retries": 1, "tags": ["t"]} for uuid in uuids]
    lines = commented({"name": "p", "blocks": entries, "unknown": {"key": "kept"}}, style)
    text = "\n".join(lines) + "\n"
    document = parsed(text).value
    changed = data.draw(st.integers(0, len(uuids) - 1))
    new_entries = [{**entry, "retries": 2} if i == changed else entry for i, entry in enumerate(entries)]  # type: ignore[dict-item]
    new_entries.append({"uuid": "z", "upstream_blocks": ["a"]})
    after = with_value(text, {**document, "blocks": new_entries, "added": 1}).splitlines()
    missing = [line for line in lines if line not in after]
    assert [line.strip() for line in missing] in ([], ["retries: 1"])
    assert [line for line in after if line.startswith("#")] == [line for line in lines if line.startswith("#")]


@pytest.mark.parametrize(
    ("text", "value", "expected"),
    [
        ("a: 1  # one\nb: 2\n", {"a": 5, "b": 2}, "a: 5  # one\nb: 2\n"),
        ("a: 'x'   # q\n", {"a": "y z"}, "a: y z   # q\n"),
        ("a: 1\nb: 2", {"a": 1, "b": 2, "c": "x"}, "a: 1\nb: 2\nc: x\n"),
        ("a:\nb: ~\nc: null\n", {"a": None, "b": None, "c": 1}, "a:\nb: ~\nc: 1\n"),
        ("a:  # none yet\nb: 2\n", {"a": 1, "b": 2}, "a: 1  # none yet\nb: 2\n"),
        ("a: 1\r\nb: 2\r\n", {"a": 1, "b": 2, "c": [1]}, "a: 1\r\nb: 2\r\nc:\r\n- 1\r\n"),
        ("u: [a,  b]  # two\n", {"u": ["a", "b", "c"]}, "u: [a,  b, c]  # two\n"),
        ("u: [a, b, c]\n", {"u": ["a", "c"]}, "u: [a, c]\n"),
        ("u: [a]\nv: 1\n", {"u": ["a"], "v": 1, "w": ["b"]}, "u: [a]\nv: 1\nw: [b]\n"),
        ("u: []  # none\nv: 1\n", {"u": ["a"], "v": 1}, "u:  # none\n- a\nv: 1\n"),
        ("u:  # parents\n- a  # first\n- b\nv: 1\n", {"u": ["b"], "v": 1}, "u:  # parents\n- b\nv: 1\n"),
        ("u:  # parents\n- a\nv: 1\n", {"u": [], "v": 1}, "u: []  # parents\nv: 1\n"),
        ("u:\n  - a # one\n  - b\n", {"u": ["a", "x", "b"]}, "u:\n  - a # one\n  - x\n  - b\n"),
        ("u:\n  - b\n", {"u": ["a", "b"]}, "u:\n  - a\n  - b\n"),
        ("m: {x: 1, y: [2]}\n", {"m": {"x": 1, "y": [2, 3], "z": None}}, "m: {x: 1, y: [2, 3], z: null}\n"),
        ("m: {x: 1, y: 2}\n", {"m": {"y": 2}}, "m: {y: 2}\n"),
        ("s: |\n  one\n  two\nt: 1\n", {"s": "x", "t": 1}, "s: x\nt: 1\n"),
        ("s: >\n  one\n\n# about t\nt: 1\n", {"s": "x", "t": 1}, "s: x\n\n# about t\nt: 1\n"),
        ("d: a long\n  text\nt: 1\n", {"d": "a long text", "t": 2}, "d: a long\n  text\nt: 2\n"),
        ("m:\n  x: 1\n  y: 2\nn: 1\n", {"m": {"y": 2}, "n": 1}, "m:\n  y: 2\nn: 1\n"),
        ("l:\n- uuid: a\n  x: 1\n", {"l": [{"x": 1}]}, "l:\n- x: 1\n"),
        ("# only a comment", {"a": 1}, "# only a comment\na: 1\n"),
        ("", {"a": [{"b": 1, "c": {}}]}, "a:\n- b: 1\n  c: {}\n"),
        ("\ufeffa: 1\nb: 2\n", {"a": 1, "b": 3}, "\ufeffa: 1\nb: 3\n"),
        ("b: &x {r: 1}\nc: *x\n", {"b": {"r": 1}, "c": 7}, "b: &x {r: 1}\nc: 7\n"),
        ("x: &x {r: 1}\nb:\n  <<: *x\n", {"x": {"r": 1}, "b": {"r": 9}}, "x: &x {r: 1}\nb:\n  <<: *x\n  r: 9\n"),
        ("---\na: 1\n...\n", {"a": 2}, "---\na: 2\n...\n"),
    ],
)  # fmt: skip
def test_only_the_span_that_differs_is_replaced(text: str, value: dict[str, JsonValue], expected: str) -> None:
    after = with_value(text, value)
    assert after.removesuffix("\n") == expected.removesuffix("\n")


def test_removing_a_block_leaves_the_comments_of_its_neighbours() -> None:
    text = "blocks:\n# of a\n- uuid: a\n  x: 1 # a's\n# of b\n- uuid: b\n\n# of c\n- uuid: c\nname: p # the name\n"
    after = with_value(text, {"blocks": [{"uuid": "a", "x": 1}, {"uuid": "c"}], "name": "p"})
    assert after == text.replace("- uuid: b\n", "")


def test_an_edit_of_what_an_anchor_shares_is_refused() -> None:
    text = "b: &x\n  r: 1\nc: *x\n"
    with pytest.raises(PipelineError, match="anchors") as caught:
        with_value(text, {"b": {"r": 2}, "c": {"r": 1}})
    assert "by hand" in str(caught.value)


def test_true_and_one_are_different_data() -> None:
    assert with_value("a: 1\n", {"a": True}) == "a: true\n"
