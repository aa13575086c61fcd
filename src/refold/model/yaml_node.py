"""YAML text as nodes that know where they stand.

A YAML library gives values, or text dumped anew; errors that name a line and edits that leave the rest of a file
untouched need the exact place of every key, value and list item. So the library composes, and these nodes keep what
it knew: the value, the line, and the span of source text. Words are read as YAML 1.1 reads them (`yes` is true), since
the files come from systems that do. No tag makes an object: what is not JSON is an error.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import TYPE_CHECKING, cast

from ruamel.yaml import YAML
from ruamel.yaml.composer import Composer
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import AliasEvent
from ruamel.yaml.nodes import MappingNode, ScalarNode, SequenceNode
from ruamel.yaml.reader import ReaderError
from ruamel.yaml.scanner import Scanner

if TYPE_CHECKING:
    from ruamel.yaml.nodes import Node as ComposedNode

from refold.model.block import JsonValue

MAX_DEPTH = 64
"""How deep lists and mappings may nest."""
MAX_COPIES = 1_000_000
"""How many values the aliases of one file may stand for: a few lines of anchors can ask for billions."""
MAX_CHARACTERS = 2_000_000
"""How long a text may be: a pipeline of ten thousand blocks is shorter, and a million take the library many seconds."""
MAX_DIGITS = 1_000
"""How long a number may be: of longer ones not even Python makes text."""

_TAG = "tag:yaml.org,2002:"
_GAP = re.compile(r"(?>(?:\s+|#[^\n]*|[&!]\S*)*)")
_COLON = re.compile(r"\s*:")


class YamlSyntaxError(Exception):
    """Raised when a text is not YAML, or YAML that is not JSON's kind of data."""

    def __init__(self, message: str, line: int | None, fix: str | None = None) -> None:
        self.message = message
        self.line = line
        self.fix = fix
        super().__init__(message, line, fix)


class Kind(Enum):
    """How a node is written."""

    SCALAR = auto()
    """A word, a number or a quoted string, which may go over several lines; an empty one has no text at all."""
    LITERAL = auto()
    """A string after `|` or `>`."""
    FLOW = auto()
    """A list or mapping in brackets."""
    MAPPING = auto()
    """A mapping with a line a key."""
    SEQUENCE = auto()
    """A list with a dash an item."""
    ALIAS = auto()
    """A `*name`; its value is a copy of what the name stands for."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One key and value of a mapping, or one item of a list."""

    key: str | None
    """None for an item of a list."""
    start: int
    """Index where the key begins; for an item, its dash, or in brackets its own begin."""
    indicator: int
    """Index just behind the colon or the dash; behind the key where there is no colon."""
    value: Node


@dataclass(frozen=True, slots=True)
class Node:
    """A value and where it is written."""

    kind: Kind
    value: JsonValue
    start: int
    end: int
    """Index behind its last character; comments and blank lines that follow do not belong to it."""
    line: int
    """Line of its begin, from 1."""
    entries: tuple[Entry, ...] = field(default=(), repr=False)
    """In the order written; merged keys (`<<`) are in `value` alone."""
    word: str | None = None
    """A scalar's text as a person wrote it, without quotes."""


@dataclass(slots=True)
class _Reference:
    """Stands in the composed tree for an alias."""

    target: ComposedNode
    start: int
    end: int
    line: int


class _KeepsAliases(Composer):
    """Composes as its base does, but leaves aliases recognizable."""

    def __init__(self, loader: YAML | None = None) -> None:
        super().__init__(loader)
        self.warn_double_anchors = False

    def compose_node(self, parent: object, index: object) -> object:
        if not self.parser.check_event(AliasEvent):
            return super().compose_node(parent, index)
        event = self.parser.peek_event()
        target = super().compose_node(parent, index)
        start, end = event.start_mark, event.end_mark
        return _Reference(target, start.index, end.index, start.line + 1)


class _ShallowScanner(Scanner):
    """Scans as its base does, but not for minutes through brackets in brackets: its time grows with their square."""

    def fetch_flow_collection_start(self, TokenClass: object, to_push: str) -> None:  # noqa: N803 # as its base has it
        if self.flow_level > MAX_DEPTH:
            line = self.reader.get_mark().line + 1
            raise YamlSyntaxError(f"lists or mappings nest deeper than {MAX_DEPTH} levels", line)
        super().fetch_flow_collection_start(TokenClass, to_push)


def compose(text: str) -> Node | None:
    """The text's one document; None when it holds nothing but comments. Raises YamlSyntaxError."""
    if len(text) > MAX_CHARACTERS:
        raise YamlSyntaxError(
            f"the file has {len(text):,} characters, and of YAML no more than {MAX_CHARACTERS:,} are read",
            None,
            "Keep data in files of their own, and split what has so many entries.",
        )
    yaml = YAML(typ="safe", pure=True)
    yaml.version = (1, 1)
    yaml.Composer = _KeepsAliases
    yaml.Scanner = _ShallowScanner
    try:
        root = yaml.compose(text)
        if isinstance(root, ScalarNode) and root.start_mark.index == root.end_mark.index:
            return None  # a bare `---`
        return None if root is None else _Builder(text).node(root, 0)
    except RecursionError:
        raise YamlSyntaxError(f"lists or mappings nest deeper than {MAX_DEPTH} levels", None) from None
    except ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise YamlSyntaxError(
            f"character #x{error.character:04x} cannot stand in YAML", line, "Is it a text file?"
        ) from None
    except MarkedYAMLError as error:
        raise _explained(text, error) from None
    except YAMLError as error:
        raise YamlSyntaxError(str(error), None) from None


def _explained(text: str, error: MarkedYAMLError) -> YamlSyntaxError:
    mark = error.problem_mark or error.context_mark
    line = None if mark is None else mark.line + 1
    problem = (error.problem or error.context or "not valid YAML").strip()
    lines = text.splitlines()
    source = lines[line - 1] if line is not None and line <= len(lines) else ""
    fix = None
    if "\t" in problem or "\\t" in problem or "\t" in source[: len(source) - len(source.lstrip())]:
        problem, fix = "a tab where YAML wants spaces", "Indent with spaces."
    elif "{{" in source:
        fix = 'Put the value in quotes: "{{ ... }}".'
    elif (
        line is not None and line > 1 and problem.startswith(("mapping values are not allowed", "expected <block end>"))
    ):
        fix = f"Look at the indentation and the quotes of lines {line - 1} and {line}."
    return YamlSyntaxError(f"bad YAML: {problem}", line, fix)


class _Builder:
    """Turns composed nodes into ours."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.copies = MAX_COPIES
        self.under_way: set[int] = set()
        self.values: dict[int, JsonValue] = {}

    def node(self, source: ComposedNode | _Reference, behind: int, depth: int = 0) -> Node:
        """The node; `behind` is the index behind the colon or dash before it, where an empty one stands."""
        if isinstance(source, _Reference):
            value = self._copy(self._target(source), source.line)
            return Node(Kind.ALIAS, value, source.start, source.end, source.line)
        if depth > MAX_DEPTH:
            raise YamlSyntaxError(f"lists or mappings nest deeper than {MAX_DEPTH} levels", source.start_mark.line + 1)
        self.under_way.add(id(source))
        if isinstance(source, MappingNode):
            node = self._mapping(source, depth)
        elif isinstance(source, SequenceNode):
            node = self._sequence(source, depth)
        else:
            node = self._scalar(cast("ScalarNode", source), behind)
        self.under_way.discard(id(source))
        if source.anchor is not None:
            self.values[id(source)] = node.value
        return node

    def _target(self, reference: _Reference) -> JsonValue:
        if id(reference.target) in self.under_way:
            raise YamlSyntaxError("an anchor that contains itself", reference.line, "Write the value out.")
        return self.values[id(reference.target)]

    def _copy(self, value: JsonValue, line: int) -> JsonValue:
        self.copies -= 1
        if self.copies < 0:
            raise YamlSyntaxError(f"aliases that stand for more than {MAX_COPIES:,} values", line, "Write them out.")
        if isinstance(value, dict):
            return {key: self._copy(element, line) for key, element in value.items()}
        if isinstance(value, list):
            return [self._copy(element, line) for element in value]
        return value

    def _scalar(self, source: ScalarNode, behind: int) -> Node:
        start, end, line = source.start_mark.index, source.end_mark.index, source.start_mark.line + 1
        value = scalar_value(str(source.tag), source.value, line)
        if start == end:
            line = self.text.count("\n", 0, behind) + 1
            return Node(Kind.SCALAR, value, behind, behind, line, word="")
        if source.style in {"|", ">"}:
            end = start + len(self.text[start:end].rstrip())
            return Node(Kind.LITERAL, value, start, end, line, word=source.value)
        return Node(Kind.SCALAR, value, start, end, line, word=source.value)

    def _mapping(self, source: MappingNode, depth: int) -> Node:
        flow = bool(source.flow_style)
        entries: list[Entry] = []
        own: dict[str, JsonValue] = {}
        merged: dict[str, JsonValue] = {}
        _expect_tag(source, "map")
        for key_node, value_node in source.value:
            if isinstance(key_node, _Reference):
                raise YamlSyntaxError("an alias as a key", key_node.line, "Write the key out.")
            start, end = key_node.start_mark.index, key_node.end_mark.index
            plain = isinstance(key_node, ScalarNode)
            key = key_node.value if plain else self.text[start:end]
            colon = _COLON.match(self.text, end)
            indicator = end if colon is None else colon.end()
            value = self.node(value_node, indicator, depth + 1)
            entries.append(Entry(key, start, indicator, value))
            if plain and key_node.tag == f"{_TAG}merge":
                self._merge(merged, value)
                continue
            if key in own:
                raise YamlSyntaxError(
                    f"the key `{key}` is there twice", key_node.start_mark.line + 1, "Keep one of them."
                )
            own[key] = value.value
        return self._collection(source, entries, {**merged, **own}, None if flow else Kind.MAPPING)

    def _merge(self, merged: dict[str, JsonValue], value: Node) -> None:
        sources = value.value if isinstance(value.value, list) else [value.value]
        for part in sources:
            if not isinstance(part, dict):
                raise YamlSyntaxError("`<<` merges mappings, and this is none", value.line)
            for key, element in part.items():
                merged.setdefault(key, element)

    def _sequence(self, source: SequenceNode, depth: int) -> Node:
        flow = bool(source.flow_style)
        entries: list[Entry] = []
        position = source.start_mark.index
        _expect_tag(source, "seq")
        for item in source.value:
            if flow:
                value = self.node(item, position, depth + 1)
                entries.append(Entry(None, value.start, value.start, value))
            else:
                gap = _GAP.match(self.text, position)
                dash = position if gap is None else gap.end()
                value = self.node(item, dash + 1, depth + 1)
                entries.append(Entry(None, dash, dash + 1, value))
            position = value.end
        values = [entry.value.value for entry in entries]
        return self._collection(source, entries, values, None if flow else Kind.SEQUENCE)

    def _collection(self, source: ComposedNode, entries: list[Entry], value: JsonValue, block: Kind | None) -> Node:
        start, line = source.start_mark.index, source.start_mark.line + 1
        end = source.end_mark.index if block is None or not entries else entries[-1].value.end
        return Node(block or Kind.FLOW, value, start, end, line, tuple(entries))


def _expect_tag(source: ComposedNode, word: str) -> None:
    if source.tag != _TAG + word:
        raise _foreign_tag(str(source.tag), source.start_mark.line + 1)


def _foreign_tag(tag: str, line: int) -> YamlSyntaxError:
    shown = f"!!{tag.removeprefix(_TAG)}" if tag.startswith(_TAG) else tag
    return YamlSyntaxError(f"the tag `{shown}` is not allowed", line, "Only plain data can stand here.")


def scalar_value(tag: str, word: str, line: int) -> JsonValue:
    """What a scalar of this tag means; a date stays the text that it is. Raises YamlSyntaxError."""
    kind = tag.removeprefix(_TAG)
    if kind in {"int", "float"} and len(word) > MAX_DIGITS:
        raise YamlSyntaxError(f"a number of {len(word):,} characters", line, "Put it in quotes: it is text, then.")
    try:
        match kind:
            case "str" | "timestamp" | "value" | "merge":
                return word
            case "null":
                return None
            case "bool" if word.lower() in {"y", "n"}:
                return word  # words to PyYAML, which wrote and read these files
            case "bool":
                return word.lower() in {"yes", "true", "on"}
            case "int":
                return _integer(word.replace("_", ""))
            case "float":
                return _float(word.replace("_", "").lower())
    except (ValueError, OverflowError):
        raise YamlSyntaxError(f"`{word}` is no {kind}", line) from None
    raise _foreign_tag(tag, line)


def _integer(digits: str) -> int:
    sign = -1 if digits.startswith("-") else 1
    digits = digits.lstrip("+-")
    if ":" in digits:
        return sign * int(_base_60(digits))
    if len(digits) > 1 and digits.startswith("0") and digits.isdigit():
        return sign * int(digits, 8)
    return sign * int(digits, 0)


def _float(digits: str) -> float:
    sign = -1.0 if digits.startswith("-") else 1.0
    digits = digits.lstrip("+-")
    if digits in {".inf", ".nan"}:
        return sign * float(digits[1:])
    return sign * (_base_60(digits) if ":" in digits else float(digits))


def _base_60(digits: str) -> float:
    total = 0.0
    for part in digits.split(":"):
        total = total * 60 + float(part)
    return total
