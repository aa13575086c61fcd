"""The text of SQL, told apart into what it is made of: names, numbers, literals, quoted names, comments, signs.

Databases differ in where a literal ends and in what is a comment; a `Dialect` says how. The text may have holes, where
values are to stand. It need not be right SQL: a literal that nothing closes goes to the end of the text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from functools import cache
from typing import NamedTuple

HOLE = "\uffff"
"""Stands where a value is to stand: no character, says Unicode."""


class Kind(Enum):
    """What a piece of the text is."""

    SPACE = "space"
    COMMENT = "comment"
    WORD = "word"
    """A keyword, or a name without quotes."""
    NUMBER = "number"
    STRING = "string"
    """A literal, with its prefix and its quotes."""
    IDENTIFIER = "identifier"
    """A name in quotes."""
    HOLE = "hole"
    SIGN = "sign"


class Token(NamedTuple):
    """A piece of the text."""

    kind: Kind
    text: str
    start: int
    """Where in the text it begins."""

    @property
    def blank(self) -> bool:
        """Whether it means nothing to the database."""
        return self.kind is Kind.SPACE or self.kind is Kind.COMMENT

    @property
    def upper(self) -> str:
        """A keyword in capitals; nothing of what is no word."""
        return self.text.upper() if self.kind is Kind.WORD else ""


@dataclass(frozen=True)
class Dialect:
    """How a database reads the text."""

    word: str
    """The database's word, as `data_provider` has it."""
    backslashes: bool = False
    r"""Whether `\` in a literal makes something else of the next character."""
    escape_prefix: bool = False
    """Whether it does in literals with an `E` before them."""
    string_quotes: str = "'"
    """What literals stand in."""
    name_quotes: str = '"'
    """What names stand in; `[` closes with `]`."""
    dollar_quotes: bool = False
    """Whether `$tag$ ... $tag$` is a literal."""
    nested_comments: bool = False
    line_comments: tuple[str, ...] = ("--",)
    """What begins a comment to the end of the line; `-- ` only where a space follows."""
    types: Mapping[str, str] = field(default_factory=dict, hash=False)
    """Types that may stand before a literal (`DATE '2024-01-01'`), and what a value is cast to instead."""
    interval_casts: bool = False
    """Whether `CAST('3 days' AS INTERVAL)` is an interval."""
    lower_names: bool = False
    """Whether names without quotes are in small letters."""
    truth_tests: bool = False
    """Whether a condition may be followed by `IS TRUE`."""


_TYPES = {
    name: name
    for name in (
        *("DATE", "TIME", "TIME WITH TIME ZONE", "TIME WITHOUT TIME ZONE", "TIMETZ", "DATETIME"),
        *("TIMESTAMP", "TIMESTAMP WITH TIME ZONE", "TIMESTAMP WITHOUT TIME ZONE", "TIMESTAMPTZ"),
        *("UUID", "JSON", "JSONB", "NUMERIC", "DECIMAL", "INTEGER", "BIGINT", "DOUBLE PRECISION", "INET", "CIDR"),
    )
}
_ANSI = Dialect("", types=_TYPES)
_POSTGRES = Dialect(
    "postgres",
    escape_prefix=True,
    dollar_quotes=True,
    nested_comments=True,
    types=_TYPES,
    interval_casts=True,
    lower_names=True,
    truth_tests=True,
)
_MYSQL = Dialect(
    "mysql",
    backslashes=True,
    string_quotes="'\"",
    name_quotes="`",
    line_comments=("-- ", "#"),
    types={"DATE": "DATE", "TIME": "TIME", "TIMESTAMP": "DATETIME"},
    truth_tests=True,
)
_DIALECTS = {
    each.word: each
    for each in (
        _POSTGRES,
        replace(_POSTGRES, word="redshift"),
        replace(_POSTGRES, word="duckdb", lower_names=False, name_quotes='"`'),
        _MYSQL,
        replace(_ANSI, word="sqlite", name_quotes='"`[', types={}, truth_tests=True),
        replace(_ANSI, word="mssql", name_quotes='"[', nested_comments=True, types={}),
        replace(_ANSI, word="snowflake", backslashes=True, dollar_quotes=True, line_comments=("--", "//")),
        replace(_MYSQL, word="bigquery", line_comments=("--", "#"), types=_TYPES),
        replace(_MYSQL, word="databricks", line_comments=("--",), types=_TYPES),
        replace(_ANSI, word="clickhouse", backslashes=True, name_quotes='"`', line_comments=("--", "#")),
    )
}


def dialect_of(provider: str) -> Dialect:
    """How the database with this word reads SQL; as the standard has it, where nothing else is known of it."""
    return _DIALECTS.get(provider) or replace(_ANSI, word=provider)


def tokens(text: str, dialect: Dialect) -> list[Token]:
    """The text in pieces; put together they are the text."""
    pattern, ends = _pattern(dialect), _ENDS[dialect.nested_comments]
    found: list[Token] = []
    at = 0
    while at < len(text):
        match = pattern.match(text, at)
        assert match is not None  # its last alternative is any character
        kind = Kind(match.lastgroup)
        end = match.end()
        if match[0] == "/*":
            end = ends(text, end)
        found.append(Token(kind, text[at:end], at))
        at = end
    return found


def statements(pieces: Sequence[Token]) -> Iterator[list[Token]]:
    """Each statement, without the `;` that ends it; where there are only spaces and comments there is none.

    What stands between BEGIN and END in a statement that creates a trigger, a function or a procedure belongs to it.
    """
    statement: list[Token] = []
    words: list[str] = []
    depth = 0
    for token in pieces:
        if token.text == ";" and depth == 0:
            if words:
                yield statement
            statement, words = [], []
            continue
        statement.append(token)
        if token.blank:
            continue
        words.append(token.upper)
        if words[0] == "CREATE" and not _ROUTINES.isdisjoint(words[:8]):
            depth = max(0, depth + _step(words))
    if words:
        yield statement


_ROUTINES = frozenset({"TRIGGER", "FUNCTION", "PROCEDURE", "EVENT"})
_CONTROL = frozenset({"IF", "LOOP", "WHILE", "REPEAT", "FOR"})


def _step(words: Sequence[str]) -> int:
    """How much deeper the last word leads into blocks of a routine."""
    last, before = words[-1], words[-2] if len(words) > 1 else ""
    if before == "END":
        # `END IF` closes what was not counted as opened; `END CASE` what was.
        return 1 if last in _CONTROL else 0
    if last in {"BEGIN", "CASE"}:
        return 1
    return -1 if last == "END" else 0


def content(token: Token, dialect: Dialect) -> str:
    """What a literal or a quoted name says, without its quotes. Raises ValueError for literals of bits and bytes, and
    of numbered characters."""
    text = token.text
    if text.startswith("$"):
        return _without_tag(text)
    prefix, quote = re.match(r"([\w&]*)(.)", text).groups()  # type: ignore[union-attr] # tokens has seen to it
    body = text[len(prefix) + 1 :].removesuffix(_CLOSING.get(quote, quote))
    if prefix.upper() in {"X", "B", "U&"}:
        raise ValueError(f"{prefix}{quote}...{quote}")
    escaped = token.kind is Kind.STRING and (dialect.backslashes or prefix.upper() == "E")
    closing = re.escape(_CLOSING.get(quote, quote))
    if not escaped:
        return re.sub(closing * 2, lambda found: found[0][0], body)
    return re.sub(
        rf"{closing}{closing}|\\(?:x[0-9a-fA-F]{{1,2}}|u[0-9a-fA-F]{{4}}|.)", _unescaped(dialect), body, flags=re.DOTALL
    )


_CLOSING = {"[": "]"}
_ESCAPES = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "0": "\0"}


def _unescaped(dialect: Dialect) -> Callable[[re.Match[str]], str]:
    def one(found: re.Match[str]) -> str:
        text = found[0]
        if text[0] != "\\":
            return text[0]
        if len(text) > 2:
            return chr(int(text.lstrip("\\xu"), base=16))
        if text[1] in "%_" and dialect.word == "mysql":
            return text  # LIKE is to see the backslash
        return _ESCAPES.get(text[1], text[1])

    return one


def _without_tag(text: str) -> str:
    tag = text[: text.index("$", 1) + 1]
    return text[len(tag) :].removesuffix(tag)


@cache
def _pattern(dialect: Dialect) -> re.Pattern[str]:
    backslashes = {"'": dialect.backslashes, '"': dialect.backslashes}
    comments = "|".join(
        r"--(?=\s|\Z)[^\n]*" if each == "-- " else re.escape(each) + r"[^\n]*" for each in dialect.line_comments
    )
    strings = [_quoted(quote, backslashes[quote]) for quote in dialect.string_quotes]
    prefixed = [rf"(?:[nNbBxX]|[uU]&)?{strings[0]}", *strings[1:]]
    if dialect.escape_prefix:
        prefixed.insert(0, "[eE]" + _quoted("'", True))
    if dialect.dollar_quotes:
        prefixed.append(r"\$(?P<tag>(?:[^\W\d]\w*)?)\$(?:.*?\$(?P=tag)\$|.*\Z)")
    alternatives = {
        Kind.SPACE: r"\s+",
        Kind.COMMENT: rf"{comments}|/\*",
        Kind.STRING: "|".join(prefixed),
        Kind.IDENTIFIER: "|".join(_quoted(quote, False) for quote in dialect.name_quotes),
        Kind.WORD: r"[^\W\d][\w$]*",
        Kind.NUMBER: r"\.?\d(?:[\w.]|(?<=[eE])[+-](?=\d))*",
        Kind.HOLE: HOLE,
        Kind.SIGN: "::|.",
    }
    # Of groups inside alternatives `lastgroup` names the outer one, which closes last.
    return re.compile("|".join(f"(?P<{kind.value}>{each})" for kind, each in alternatives.items()), re.DOTALL)


def _quoted(quote: str, backslashes: bool) -> str:
    """What stands between these quotes, which are doubled inside; to the end of the text where nothing closes it."""
    closing = re.escape(_CLOSING.get(quote, quote))
    if backslashes:
        return rf"{re.escape(quote)}[^{closing}\\]*(?:(?:\\.|{closing}{closing})[^{closing}\\]*)*(?:{closing}|\\?\Z)"
    return rf"{re.escape(quote)}[^{closing}]*(?:{closing}{closing}[^{closing}]*)*(?:{closing}|\Z)"


def _end(text: str, at: int) -> int:
    """Where the comment ends whose `/*` ends here."""
    end = text.find("*/", at)
    return len(text) if end < 0 else end + 2


def _nested_end(text: str, at: int) -> int:
    depth = 1
    for found in _COMMENT_SIGN.finditer(text, at):
        depth += 1 if found[0] == "/*" else -1
        if depth == 0:
            return found.end()
    return len(text)


_COMMENT_SIGN = re.compile(r"/\*|\*/")
_ENDS = {False: _end, True: _nested_end}
