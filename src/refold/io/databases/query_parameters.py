"""Values for a query: `:name`, `%(name)s`, `?` and `%s` in its text become bound parameters, never text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from uuid import UUID

from refold.errors import DatabaseError
from refold.io.databases.sql_text import Dialect, Kind, Token, tokens
from refold.io.databases.statement import SqlValue, Statement

Parameters = Mapping[str, object] | Sequence[object]
"""By name, or in order."""

_TAKEN = (bool, int, float, Decimal, str, bytes, date, datetime, time, timedelta, UUID)


def bound(query: str, parameters: Parameters | None, dialect: Dialect) -> Statement:
    """The query with its values. A list is as many values as it has: `IN (:ids)`.

    Placeholders in literals, quoted names and comments are text. Raises DatabaseError for a placeholder without a
    value, a value without a placeholder, and a value that no database takes.
    """
    if not parameters:
        return Statement.of(query)
    return _Binding(tokens(query, dialect), parameters).statement()


class _Binding:
    """A query's pieces, gone through once."""

    def __init__(self, pieces: Sequence[Token], parameters: Parameters) -> None:
        self._pieces = pieces
        self._named = parameters if isinstance(parameters, Mapping) else None
        self._ordered = [] if isinstance(parameters, Mapping) else list(parameters)
        self._used: set[str] = set()
        self._taken = 0
        self._texts = [""]
        self._values: list[SqlValue] = []

    def statement(self) -> Statement:
        at = 0
        while at < len(self._pieces):
            at += self._placeholder(at) or self._text(self._pieces[at])
        self._check()
        return Statement(tuple(self._texts), tuple(self._values))

    def _text(self, piece: Token) -> int:
        self._texts[-1] += piece.text
        return 1

    def _signs(self, at: int, count: int) -> str:
        return "".join(each.text for each in self._pieces[at : at + count])

    def _placeholder(self, at: int) -> int:
        """Takes the placeholder that begins at this piece; of how many pieces it is made, 0 if there is none."""
        text = self._pieces[at].text
        if self._named is None:
            if text == "?" or (self._signs(at, 2) == "%s" and self._pieces[at].kind is Kind.SIGN):
                if self._taken == len(self._ordered):
                    raise DatabaseError(f"the query has more than {len(self._ordered)} placeholders for as many values")
                self._add(self._ordered[self._taken], f"value {self._taken + 1}")
                self._taken += 1
                return 1 if text == "?" else 2
            return 0
        following = self._pieces[at + 1] if at + 1 < len(self._pieces) else None
        if text == ":" and following is not None and following.kind is Kind.WORD and following.text in self._named:
            return self._take(following.text, 2)
        if self._signs(at, 2) == "%(" and self._signs(at + 3, 2) == ")s":
            return self._take(self._pieces[at + 2].text, 5)
        return 0

    def _take(self, name: str, count: int) -> int:
        assert self._named is not None
        if name not in self._named:
            given = ", ".join(f"`{each}`" for each in self._named)
            raise DatabaseError(f"the query asks for a value `{name}`, and those given are {given}")
        self._used.add(name)
        self._add(self._named[name], f"`{name}`")
        return count

    def _add(self, value: object, name: str) -> None:
        if isinstance(value, (list, tuple, set, frozenset)):
            items = list(value) or [None]  # an empty list is one that nothing is in
            for number, item in enumerate(items):
                if number:
                    self._texts[-1] += ", "
                self._add(item, name)
            return
        self._values.append(sql_value(value, name))
        self._texts.append("")

    def _check(self) -> None:
        unused = [] if self._named is None else [name for name in self._named if name not in self._used]
        if unused or self._taken < len(self._ordered):
            surplus = ", ".join(f"`:{name}`" for name in unused) or f"{len(self._ordered) - self._taken} of the values"
            raise DatabaseError(f"the query has no placeholder for {surplus}")


def sql_value(value: object, name: str) -> SqlValue:
    """The value as a database takes it; numbers of numpy and times of pandas as Python's. Raises DatabaseError."""
    if hasattr(value, "to_pydatetime") and type(value).__name__ != "NaTType":
        value = value.to_pydatetime()
    elif hasattr(value, "item") and not isinstance(value, _TAKEN):
        value = value.item()
    if type(value).__name__ in {"NaTType", "NAType"}:
        return None
    if value is None or isinstance(value, _TAKEN):
        return value
    raise DatabaseError(f"{name} is a {type(value).__name__}, which is no value that a database takes")
