"""Edits that change what they must in a YAML text, and nothing else.

An edit is given as the data that the text shall mean. What differs is found, and only its span of text is replaced:
comments, quotes, blank lines, order and keys that nobody here knows stay, byte by byte.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from refold.model.block import JsonValue
from refold.model.yaml_node import Entry, Kind, Node
from refold.model.yaml_text import Style, block_lines, entry_lines, flow_text, item_lines, stands_inline


class _Splice(NamedTuple):
    start: int
    end: int
    text: str


def same(one: JsonValue, other: JsonValue) -> bool:
    """Whether two values are the same data; unlike `==` it tells 1 from true, and takes NaN for NaN."""
    return _image(one) == _image(other)


def _image(value: JsonValue) -> str:
    return json.dumps(value, sort_keys=True)


def edited(text: str, root: Node | None, value: dict[str, JsonValue]) -> str:
    """The text, changed so that it means `value`.

    The caller reads the result again and compares: data shared through anchors can make it mean something else.
    """
    newline = "\r\n" if "\r\n" in text else "\n"
    if root is None:
        head = text if not text or text.endswith("\n") else text + newline
        return head + newline.join(block_lines(value, Style())) + newline
    edit = _Edit(text, newline, _style(text, root))
    edit.change_root(root, value)
    return edit.result()


def _style(text: str, root: Node) -> Style:
    indent: int | None = None
    flow = block = 0
    pending = [(root, 0)]
    while pending:
        node, column = pending.pop()
        if node.kind is Kind.SEQUENCE:
            if indent is None and node.entries:
                indent = _column(text, node.entries[0].start) - column
            block += 1
        elif node.kind is Kind.FLOW and isinstance(node.value, list) and node.value:
            flow += 1
        pending.extend((entry.value, _column(text, entry.start)) for entry in reversed(node.entries))
    words = sum(1 for _ in _word_lists(root))
    return Style(2 if indent else 0, flow > 0 and words == 0)


def _word_lists(root: Node) -> Iterator[Node]:
    """Lists of words, a dash an item."""
    pending = [root]
    while pending:
        node = pending.pop()
        if node.kind is Kind.SEQUENCE and not any(entry.value.entries for entry in node.entries):
            yield node
        pending.extend(entry.value for entry in node.entries)


def _column(text: str, position: int) -> int:
    return position - (text.rfind("\n", 0, position) + 1)


def _identity(value: JsonValue) -> str:
    if isinstance(value, dict) and "uuid" in value:
        return f"uuid {_image(value['uuid'])}"
    return _image(value)


def _alignment(old: Sequence[JsonValue], new: Sequence[JsonValue]) -> list[tuple[int | None, int | None]]:
    """Old and new items side by side; an item with a uuid is the same item though its other keys differ."""
    from difflib import SequenceMatcher  # slow to load, and runs never change a file

    before, after = [_identity(value) for value in old], [_identity(value) for value in new]
    pairs: list[tuple[int | None, int | None]] = []
    for verdict, i1, i2, j1, j2 in SequenceMatcher(None, before, after, autojunk=False).get_opcodes():
        if verdict == "equal":
            pairs.extend(zip(range(i1, i2), range(j1, j2), strict=True))
        else:
            pairs.extend((i, None) for i in range(i1, i2))
            pairs.extend((None, j) for j in range(j1, j2))
    return pairs


def _keeps(pairs: Sequence[tuple[int | None, int | None]]) -> bool:
    return any(i is not None and j is not None for i, j in pairs)


class _Edit:
    """Gathers the splices of one edit."""

    def __init__(self, text: str, newline: str, style: Style) -> None:
        self.text = text
        self.newline = newline
        self.style = style
        self.splices: list[_Splice] = []

    def result(self) -> str:
        parts: list[str] = []
        position = 0
        for splice in sorted(self.splices, key=lambda splice: splice[:2]):
            parts.append(self.text[position : splice.start])
            parts.append(splice.text)
            position = max(position, splice.end)
        parts.append(self.text[position:])
        return "".join(parts)

    def _splice(self, start: int, end: int, text: str) -> None:
        self.splices.append(_Splice(start, end, text))

    def _line_end(self, position: int) -> int:
        """Index of the line break at or after the position."""
        end = self.text.find("\n", position)
        if end < 0:
            return len(self.text)
        return end - 1 if end > position and self.text[end - 1] == "\r" else end

    def _lines(self, lines: Iterable[str], column: int) -> str:
        indent = " " * column
        return "".join(f"{self.newline}{indent}{line}" for line in lines)

    def change_root(self, root: Node, new: dict[str, JsonValue]) -> None:
        """Changes the mapping that is the whole document."""
        if root.kind is Kind.MAPPING and any(entry.key in new for entry in root.entries):
            self._change_mapping(root, new)
        elif root.kind is Kind.MAPPING:
            self._splice(root.start, root.end, self.newline.join(block_lines(new, self.style)))
        else:
            self._splice(root.start, root.end, self._flow(root, new))

    def _change_mapping(self, node: Node, new: Mapping[str, JsonValue]) -> None:
        """Changes a mapping with a line a key, of which at least one key stays."""
        column = _column(self.text, node.entries[0].start)
        last = node.entries[0]
        for entry, following in zip(node.entries, [*node.entries[1:], None], strict=True):
            if entry.key is None or entry.key == "<<":
                last = entry
            elif entry.key not in new:
                self._remove(entry, following)
            else:
                last = entry
                if not same(entry.value.value, new[entry.key]):
                    self._change(entry, column, new[entry.key])
        own = {entry.key for entry in node.entries}
        inherited = node.value if isinstance(node.value, dict) else {}
        for key, value in new.items():
            if key not in own and not (key in inherited and same(inherited[key], value)):
                self._insert_after(last, entry_lines(key, value, self.style), column)

    def _change_sequence(
        self, node: Node, new: Sequence[JsonValue], pairs: Sequence[tuple[int | None, int | None]]
    ) -> None:
        column = _column(self.text, node.entries[0].start)
        first_kept = next(node.entries[i] for i, j in pairs if i is not None and j is not None)
        last: Entry | None = None
        for i, j in pairs:
            if i is not None and j is not None:
                last = node.entries[i]
                if not same(last.value.value, new[j]):
                    self._change(last, column, new[j])
            elif i is not None:
                following = node.entries[i + 1] if i + 1 < len(node.entries) else None
                self._remove(node.entries[i], following)
            elif j is not None:
                lines = item_lines(new[j], self.style)
                if last is not None:
                    self._insert_after(last, lines, column)
                else:
                    text = self._lines(lines, column).lstrip() + self.newline + " " * column
                    self._splice(first_kept.start, first_kept.start, text)

    def _insert_after(self, entry: Entry, lines: Iterable[str], column: int) -> None:
        """Inserts lines where the line behind the entry begins: what is removed from its end ends there, too."""
        text = self._lines(lines, column)
        end = self.text.find("\n", entry.value.end)
        if end < 0:
            self._splice(len(self.text), len(self.text), text)
        else:
            self._splice(end + 1, end + 1, text[len(self.newline) :] + self.newline)

    def _remove(self, entry: Entry, following: Entry | None) -> None:
        """Removes an entry with its lines; one that shares its line with a dash gives its place to the next."""
        line_start = self.text.rfind("\n", 0, entry.start) + 1
        if self.text[line_start : entry.start].strip() and following is not None:
            self._splice(entry.start, following.start, "")
            return
        end = self.text.find("\n", entry.value.end)
        self._splice(line_start, len(self.text) if end < 0 else end + 1, "")

    def _change(self, entry: Entry, column: int, new: JsonValue) -> None:
        """Changes the value of a key, or of an item, at this column."""
        node = entry.value
        if node.kind is Kind.MAPPING and isinstance(new, dict):
            if any(old.key in new or old.key == "<<" for old in node.entries):
                self._change_mapping(node, new)
                return
        elif node.kind is Kind.SEQUENCE and isinstance(new, list):
            pairs = _alignment([old.value.value for old in node.entries], new)
            if _keeps(pairs):
                self._change_sequence(node, new, pairs)
                return
        elif node.kind is Kind.FLOW and type(node.value) is type(new) and node.value:
            self._splice(node.start, node.end, self._flow(node, new))
            return
        self._replace(entry, column, new)

    def _replace(self, entry: Entry, column: int, new: JsonValue) -> None:
        """Puts another value in the place of one of which nothing stays but the comment on its line."""
        node = entry.value
        inline_before = node.kind in {Kind.SCALAR, Kind.FLOW, Kind.ALIAS}
        head_end = self._line_end(entry.indicator)
        below = not inline_before and node.start > head_end
        if stands_inline(new, self.style) or entry.key is None:
            text = flow_text(new)
            if inline_before and node.start < node.end:
                self._splice(node.start, node.end, text)
            elif inline_before or below:
                self._splice(entry.indicator, entry.indicator, f" {text}")
                if below:
                    self._splice(head_end, node.end, "")
            else:
                self._splice(entry.indicator, node.end, f" {text}")
            return
        indent = column + (self.style.list_indent if isinstance(new, list) else 2)
        text = self._lines(block_lines(new, self.style), indent)
        if inline_before:
            self._splice(entry.indicator, node.end, "")
            position = self._line_end(node.end)
            self._splice(position, position, text)
        else:
            self._splice(head_end if below else entry.indicator, node.end, text)

    def _flow(self, node: Node, new: JsonValue) -> str:
        """A list or mapping in brackets with what stays of it as it was."""
        if not new or not node.entries or self.text[node.start] not in "[{":
            return flow_text(new)
        pieces: list[tuple[int | None, str]] = []
        if isinstance(new, dict):
            for index, entry in enumerate(node.entries):
                if entry.key is not None and entry.key in new:
                    pieces.append((index, self._flow_piece(entry, new[entry.key])))
                elif entry.key == "<<":
                    pieces.append((index, self.text[entry.start : entry.value.end]))
            own = {entry.key for entry in node.entries}
            pieces.extend((None, flow_text({key: new[key]})[1:-1]) for key in new if key not in own)
        elif isinstance(new, list):
            for i, j in _alignment([entry.value.value for entry in node.entries], new):
                if j is not None:
                    piece = flow_text(new[j]) if i is None else self._flow_piece(node.entries[i], new[j])
                    pieces.append((i, piece))
        return self._joined(node, pieces)

    def _flow_piece(self, entry: Entry, new: JsonValue) -> str:
        node = entry.value
        if same(node.value, new):
            return self.text[entry.start : max(node.end, entry.indicator)]
        nested = node.kind is Kind.FLOW and type(node.value) is type(new)
        text = self._flow(node, new) if nested else flow_text(new)
        if entry.key is None:
            return text
        head = self.text[entry.start : entry.indicator]
        return f"{head} {text}" if head.endswith(":") else f"{head}: {text}"

    def _joined(self, node: Node, pieces: Sequence[tuple[int | None, str]]) -> str:
        ends = [max(entry.value.end, entry.indicator) for entry in node.entries]
        starts = [entry.start for entry in node.entries]
        usual = ", "
        if len(starts) > 1 and "\n" in self.text[ends[0] : starts[1]]:
            usual = f",{self.newline}{' ' * _column(self.text, starts[1])}"
        text = self.text[node.start : starts[0]]
        before: int | None = None
        for number, (index, piece) in enumerate(pieces):
            if number:
                neighbours = before is not None and index == before + 1
                text += self.text[ends[index - 1] : starts[index]] if neighbours and index else usual
            text += piece
            before = index
        return text + self.text[ends[-1] : node.end]
