"""What a statement is made of where values come into it: each kind of place takes a value in its own way.

Values become bound parameters or names in quotes; none becomes text of the statement.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from refold.errors import BlockError
from refold.io.databases.statement import SqlValue, Statement
from refold.languages.description import describe
from refold.languages.frames import series_library, table_library
from refold.languages.sql.filters import Identifier, JoinedText
from refold.languages.sql.relation import Relation, name_of
from refold.languages.sql.values import as_list, as_text, as_value, plain_text


class Name(NamedTuple):
    """A name to be quoted; several are joined by dots."""

    parts: tuple[str, ...]


class Bound(NamedTuple):
    """A value that travels as a parameter."""

    value: SqlValue


@dataclass(slots=True)
class Filled:
    """A statement with its values, but for the names' quotes: how they look only a connection knows."""

    parts: list[str | Name | Bound] = field(default_factory=list)
    relations: dict[str, Relation] = field(default_factory=dict)
    """What it reads by a name that is not there yet."""

    def read(self, relation: Relation) -> Name:
        """The name by which the statement reads these rows."""
        self.relations[name_of(relation)] = relation
        return Name((name_of(relation),))

    def bind(self, values: Sequence[object]) -> None:
        """Adds values, with commas between them."""
        for number, value in enumerate(values):
            if number:
                self.parts.append(", ")
            self.parts.append(Name((_name_text(value),)) if isinstance(value, Identifier) else Bound(as_value(value)))

    def statement(self, quoted: Callable[[str], str]) -> Statement:
        """For a connection that quotes names like that."""
        texts = [""]
        values: list[SqlValue] = []
        for part in self.parts:
            if isinstance(part, Bound):
                values.append(part.value)
                texts.append("")
            else:
                texts[-1] += part if isinstance(part, str) else ".".join(map(quoted, part.parts))
        return Statement(tuple(texts), tuple(values))


class Piece(Protocol):
    """A part of a statement."""

    def fill(self, filled: Filled, values: Sequence[object]) -> None:
        """Adds itself, with the values that it takes. Raises BlockError for one that cannot stand there."""


@dataclass(frozen=True, slots=True)
class Text:
    """Text of the file."""

    text: str

    def fill(self, filled: Filled, values: Sequence[object]) -> None:  # noqa: ARG002
        filled.parts.append(self.text)


@dataclass(frozen=True, slots=True)
class Value:
    """An expression where a value belongs."""

    hole: int
    listed: bool = False
    """Whether it is an element of a list in brackets, so that there may be several."""
    brackets: bool = False
    """Whether it is the whole list, after IN and without brackets."""

    def fill(self, filled: Filled, values: Sequence[object]) -> None:
        value = values[self.hole]
        if isinstance(value, Relation):
            filled.parts.append(filled.read(value))
            return
        elements = _elements(value)
        if self.brackets:
            filled.parts.append("(")
        if elements is None:
            filled.bind([value])
        elif len(elements) == 1 or (elements and self._takes(elements)):
            filled.bind(elements)
        elif not elements and self.brackets:
            filled.parts.append("NULL")
        else:
            raise BlockError(
                f"a list of {len(elements)} elements stands where one value belongs",
                fix="A list can stand in brackets, `IN ({{ ids }})`; as JSON text anywhere: `{{ ids | tojson }}`.",
            )
        if self.brackets:
            filled.parts.append(")")

    def _takes(self, elements: Sequence[object]) -> bool:
        return self.listed or self.brackets or all(isinstance(each, Identifier) for each in elements)


@dataclass(frozen=True, slots=True)
class WholeList:
    """An expression that is all that stands in the brackets of `IN (...)`."""

    hole: int

    def fill(self, filled: Filled, values: Sequence[object]) -> None:
        value = values[self.hole]
        if isinstance(value, Relation):
            filled.parts += ("SELECT * FROM ", filled.read(value))
            return
        elements = _elements(value)
        if elements is not None and not elements:
            filled.parts.append("NULL")  # no database takes empty brackets; `ListEnd` sees to what it means
        else:
            filled.bind([value] if elements is None else elements)


@dataclass(frozen=True, slots=True)
class ListEnd:
    """What follows the brackets of a `WholeList`, or a list without brackets: nothing is in an empty list."""

    hole: int
    negated: bool
    truth_tests: bool

    def fill(self, filled: Filled, values: Sequence[object]) -> None:
        if _elements(values[self.hole]) == []:
            if not self.truth_tests:
                raise BlockError("an empty list stands after IN", fix="Leave the condition out: `{% if ids %}`.")
            filled.parts.append(" IS NOT FALSE" if self.negated else " IS TRUE")


@dataclass(frozen=True, slots=True)
class Literal:
    """A literal with expressions in it: all of it is one text, and a parameter."""

    parts: tuple[str | int, ...]
    cast: str | None = None
    """The type that stood before it."""
    suffix: str = ""
    """Added to the text: the unit of an interval."""

    def fill(self, filled: Filled, values: Sequence[object]) -> None:
        found = [each if isinstance(each, str) else _text_of(values[each]) for each in self.parts]
        listed = self._listed(values)
        if listed is not None:
            filled.bind([as_text(each) for each in listed])
            return
        # As in SQL, what is joined with NULL is NULL.
        text = None if None in found else "".join(each for each in found if each is not None) + self.suffix
        if self.cast is None:
            filled.parts.append(Bound(text))
        else:
            filled.parts += ("CAST(", Bound(text), f" AS {self.cast})")

    def _listed(self, values: Sequence[object]) -> Sequence[object] | None:
        """The elements, where it is written as `'{{ names | join("', '") }}'`."""
        [alone] = self.parts if len(self.parts) == 1 else [""]
        value = values[alone] if isinstance(alone, int) else None
        if isinstance(value, JoinedText) and value.separator.replace(" ", "") == "','" and self.cast is None:
            return value.items or None
        return None


@dataclass(frozen=True, slots=True)
class QuotedName:
    """A name with expressions in it."""

    parts: tuple[str | int, ...]
    table: bool = False
    """Whether it is the whole name of a table: dots part it, rows can stand there."""
    ordinal: bool = False
    """Whether a number may stand there: the place of a column, `ORDER BY {{ 1 }}`."""

    def fill(self, filled: Filled, values: Sequence[object]) -> None:
        if len(self.parts) == 1 and isinstance(self.parts[0], int):
            self._fill_alone(filled, values[self.parts[0]], self.parts[0])
        else:
            filled.parts.append(
                Name(("".join(each if isinstance(each, str) else _name_text(values[each]) for each in self.parts),))
            )

    def _fill_alone(self, filled: Filled, value: object, hole: int) -> None:
        if isinstance(value, Relation):
            filled.parts.append(filled.read(value))
        elif self.ordinal and isinstance(value, int) and not isinstance(value, bool):
            filled.parts.append(str(int(value)))
        elif self.table and _is_rows(value):
            filled.parts.append(filled.read(Relation(f"rows_{hole + 1}", value, "the value of an expression")))
        elif not self.table and (names := as_list(value)) is not None:
            for number, each in enumerate(names):
                filled.parts += (*([", "] if number else []), Name((_name_text(each),)))
        else:
            text = _name_text(value)
            split = self.table and not isinstance(value, Identifier)
            filled.parts.append(Name(tuple(text.split(".")) if split else (text,)))


def _elements(value: object) -> Sequence[object] | None:
    if isinstance(value, JoinedText) and value.separator.strip() == ",":
        return value.items
    return as_list(value)


def _is_rows(value: object) -> bool:
    return isinstance(value, dict | list) or table_library(value) is not None or series_library(value) is not None


def _text_of(value: object) -> str | None:
    return name_of(value) if isinstance(value, Relation) else as_text(value)


def _name_text(value: object) -> str:
    if isinstance(value, Relation):
        return name_of(value)
    if isinstance(value, str):
        text = plain_text(value)
    elif isinstance(value, int) and not isinstance(value, bool):
        text = str(int(value))
    else:
        raise BlockError(
            f"the name of a table or a column is to stand there, and the value is {describe(value)}",
            fix="Give it as text.",
        )
    if not text:
        raise BlockError("the name of a table or a column is to stand there, and the value is an empty text")
    if "\0" in text:
        raise BlockError("the name of a table or a column is to stand there, and the value has a NUL, which ends names")
    return text
