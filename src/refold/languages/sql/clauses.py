"""Follows a statement word by word: whether a name or a value belongs at the place that has been reached."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from refold.io.databases.sql_text import Token


class Place(Enum):
    """What belongs somewhere."""

    VALUE = "value"
    TABLE = "table"
    COLUMN = "column"
    """The name of a column, or its number."""
    NAME = "name"
    """Another name."""


_OPENING = {
    **dict.fromkeys(("FROM", "JOIN", "INTO", "UPDATE", "TABLE", "VIEW", "TRUNCATE", "DESCRIBE"), Place.TABLE),
    "BY": Place.COLUMN,
    **dict.fromkeys(("AS", "COLUMN", "SCHEMA", "DATABASE", "INDEX", "SEQUENCE", "WITH"), Place.NAME),
}
"""Words that a name follows."""
_LISTS = frozenset({"FROM", "JOIN", "BY", "TABLE", "VIEW", "TRUNCATE"})
"""Of these, those after which there may be several, with commas between them."""
_BETWEEN = frozenset({"ONLY", "LATERAL", "IF", "NOT", "EXISTS", "RECURSIVE", "OVERWRITE", "TABLE", "INTO"})
"""Words that may stand before the name."""
_ENDING = frozenset(
    {
        "EXCEPT", "FETCH", "FILTER", "FOR", "GROUPS", "HAVING", "INTERSECT", "LIMIT", "OFFSET", "ON", "QUALIFY",
        "RANGE", "RETURNING", "ROWS", "SELECT", "SET", "UNION", "USING", "VALUES", "WHERE", "WINDOW", "WITHIN"
    }
)  # fmt: skip
"""Words that end a list of names."""
_GROUPING = frozenset({"ROLLUP", "CUBE", "SETS", "BY"})
"""Words whose brackets hold names as well."""
_VALUE_AFTER_BY = frozenset({"INCREMENT", "IDENTIFIED"})


@dataclass(slots=True)
class _Level:
    """What is known within a pair of brackets."""

    of_function: bool = False
    """Whether a name stands before the brackets."""
    queries: bool = False
    """Whether there was a SELECT, a DELETE or a FROM that is a clause."""
    begun: bool = False
    expected: Place = Place.VALUE
    """What belongs at this place."""
    listed: Place = Place.VALUE
    """What belongs after the next comma."""


class Clauses:
    """Where in a statement one is, after the words and signs told so far."""

    def __init__(self) -> None:
        self._levels = [_Level(begun=True, queries=True)]
        self._last = ""

    @property
    def place(self) -> Place:
        """What belongs here."""
        return self._levels[-1].expected

    def pass_by(self, token: Token) -> None:
        """Goes on behind this piece, which is not blank."""
        level = self._levels[-1]
        word = token.upper
        if word:
            self._pass_word(level, word)
        elif token.text == "(":
            level.expected = Place.VALUE
            inner = _Level(of_function=self._last not in _BEFORE_QUERIES and self._last.isidentifier())
            if self._last in _GROUPING and level.listed is Place.COLUMN:
                inner.expected = inner.listed = Place.COLUMN
            self._levels.append(inner)
        elif token.text == ")":
            if len(self._levels) > 1:
                self._levels.pop()
            self._levels[-1].expected = Place.VALUE
        elif token.text == ",":
            level.expected = level.listed
        else:
            level.expected = Place.VALUE
        level.begun = True
        self._last = word or token.text

    def _pass_word(self, level: _Level, word: str) -> None:
        if word in {"SELECT", "DELETE"}:
            level.queries = True
        if word in _BETWEEN and level.expected is not Place.VALUE:
            return
        if word in _OPENING and not self._reads_value(level, word):
            level.expected = _OPENING[word]
            if word in _LISTS:
                level.listed = _OPENING[word]
            level.queries = level.queries or word == "FROM"
        else:
            level.expected = Place.VALUE
        if word in _ENDING:
            level.listed = Place.VALUE

    def _reads_value(self, level: _Level, word: str) -> bool:
        """Whether a value follows the word here after all: `extract(year FROM x)`, `a IS DISTINCT FROM b`."""
        if word == "FROM":
            return self._last == "DISTINCT" or (level.of_function and level.begun and not level.queries)
        if word == "BY":
            return self._last in _VALUE_AFTER_BY
        if word == "AS":
            return level.of_function and not level.queries  # CAST(x AS type)
        return word == "WITH" and level.begun and level.queries and self._last not in {"", "AS"}


_BEFORE_QUERIES = frozenset(
    {
        "ALL", "AND", "ANY", "AS", "BY", "ELSE", "EXCEPT", "EXISTS", "FROM", "HAVING", "IN", "INTERSECT", "INTO",
        "JOIN", "LATERAL", "NOT", "ON", "OR", "OVER", "SELECT", "SET", "SOME", "THEN", "UNION", "USING", "VALUES",
        "WHEN", "WHERE"
    }
)  # fmt: skip
"""Words before brackets that are no functions' names."""
