"""Finds out what belongs where an expression of a template stands: a value, a name, a part of a literal.

Rules, in the order in which they are tried:

    inside a comment                                                  nothing
    inside a literal '...'                                            all of the literal is one text, a parameter
    inside a quoted name "..."                                        part of the name
    touching a word: sales_{{ year }}                                 part of the name, which is then quoted
    beside a dot: {{ schema }}.orders                                 a name
    an element after FROM, JOIN, INTO, UPDATE, TABLE and the like     a table
    an element after BY; after AS, COLUMN, SCHEMA and the like        a name
    all that is in the brackets after IN                              a list, each element a parameter
    anywhere else                                                     a parameter
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from refold.errors import BlockError, BlockFileError
from refold.io.databases.sql_text import HOLE, Dialect, Kind, Token, content, statements, tokens
from refold.languages.sql.clauses import Clauses, Place
from refold.languages.sql.pieces import Filled, ListEnd, Literal, Piece, QuotedName, Text, Value, WholeList
from refold.languages.sql.rendering import RenderedText


@dataclass(frozen=True, slots=True)
class PlacedStatement:
    """A statement, and how each expression's value comes into it."""

    pieces: tuple[tuple[Piece, int], ...]
    """Each with the line of the file that it begins in."""
    path: str
    line: int
    """In which the statement begins."""
    names: frozenset[str]
    """Words and quoted names in it, in small letters: what it may read."""
    beginning: str
    """For messages: its first words, without values."""

    def fill(self, values: Sequence[object]) -> Filled:
        """With these values. Raises BlockError for one that cannot stand where it is to stand."""
        filled = Filled()
        for piece, line in self.pieces:
            try:
                piece.fill(filled, values)
            except BlockError as error:
                error.where = error.where or f"{self.path}:{line}"
                raise
        return filled

    @property
    def where(self) -> str:
        """The file and the line."""
        return f"{self.path}:{self.line}"


def place(rendered: RenderedText, dialect: Dialect, path: str) -> list[PlacedStatement]:
    """The statements of a text. Raises BlockFileError, with the line, where no value can stand."""
    pieces = tokens(rendered.text, dialect)
    holes: dict[int, tuple[int, ...]] = {}
    seen = 0
    for piece in pieces:
        count = piece.text.count(HOLE)
        if count:
            holes[piece.start] = rendered.holes[seen : seen + count]
            seen += count
    return [_Placing(statement, rendered, dialect, path, holes).placed() for statement in statements(pieces)]


class _Placing:
    """One statement."""

    def __init__(
        self,
        statement: Sequence[Token],
        rendered: RenderedText,
        dialect: Dialect,
        path: str,
        holes: Mapping[int, tuple[int, ...]],
    ) -> None:
        self._tokens = statement
        self._solid = [at for at, token in enumerate(statement) if not token.blank]
        """Where the pieces are that mean something."""
        self._rendered = rendered
        self._dialect = dialect
        self._path = path
        self._holes = holes
        self._clauses = Clauses()
        self._pieces: list[tuple[Piece, int]] = []
        self._line = 1
        """Of the piece that is being placed."""
        self._text: list[str] = []
        self._names: set[str] = set()
        self._lists: list[ListEnd | None] = []
        """For each open bracket, what follows it."""

    def placed(self) -> PlacedStatement:
        at = 0
        while at < len(self._tokens):
            at = self._take(at)
        self._flush()
        first = self._tokens[self._solid[0]]
        text = "".join(token.text for token in self._tokens[self._solid[0] :]).replace(HOLE, "?")
        words = " ".join(text[:400].split())
        return PlacedStatement(
            tuple(self._pieces),
            self._path,
            self._rendered.line(first.start),
            frozenset(self._names),
            words if len(words) <= 100 else f"{words[:97]}...",
        )

    def _take(self, at: int) -> int:
        """Places what is there; where the next piece is."""
        token = self._tokens[at]
        if token.kind is Kind.COMMENT:
            self._take_comment(token)
            return at + 1
        if token.kind is Kind.SPACE:
            self._text.append(token.text)
            return at + 1
        end = self._run_end(at)
        if end > at:
            self._take_run(at, end)
            return end
        if token.kind is Kind.WORD and (end := self._take_typed(at)):
            return end
        if HOLE in token.text:
            self._line = self._rendered.line(token.start)
            self._add(self._literal(token) if token.kind is Kind.STRING else self._quoted_name(token))
        else:
            self._text.append(token.text)
            self._note_name(token)
        self._pass_by(at)
        return at + 1

    def _take_comment(self, token: Token) -> None:
        if HOLE in token.text and self._dialect.word == "mysql" and token.text.startswith(_RUN_COMMENTS):
            raise BlockFileError(
                "an expression cannot stand in a comment that the database runs, `/*! ... */`",
                where=self._where(token),
                fix="Write it outside of the comment; where it is to depend on the server, in `{% if %}`.",
            )
        self._text.append(token.text.replace(HOLE, ""))

    def _run_end(self, at: int) -> int:
        """Where pieces end that touch and of which one is an expression; `at` where there is none."""
        end, found = at, False
        while end < len(self._tokens) and self._tokens[end].kind in _TOUCHING:
            found = found or self._tokens[end].kind is Kind.HOLE
            end += 1
        return end if found else at

    def _take_run(self, at: int, end: int) -> None:
        """Places an expression that stands alone, or what it makes together with the words that it touches."""
        run = self._tokens[at:end]
        self._line = self._rendered.line(run[0].start)
        self._refuse_dollars(at, end)
        before, after = self._beside(at, -1), self._beside(end - 1, 1)
        dotted = "." in (before, after)
        place = self._clauses.place
        if len(run) == 1:
            [hole] = self._holes[run[0].start]
            if dotted:
                self._add(QuotedName((hole,)))
            elif place is Place.VALUE:
                self._take_value(hole, at)
            else:
                self._add(QuotedName((hole,), table=place is Place.TABLE, ordinal=place is Place.COLUMN))
        elif place is Place.VALUE and not dotted and all(token.kind is not Kind.WORD for token in run):
            touched = "".join(token.text for token in run).replace(HOLE, "{{ ... }}")
            raise BlockFileError(
                f"expressions touch each other or a number, so that it is not clear what they are: `{touched}`",
                where=self._where(run[0]),
                fix="Join values inside one expression, `{{ a ~ b }}`, or put something between them.",
            )
        else:
            parts = tuple(self._holes[each.start][0] if each.kind is Kind.HOLE else self._folded(each) for each in run)
            self._add(QuotedName(parts))
        self._clauses.pass_by(run[-1]._replace(kind=Kind.HOLE))

    def _refuse_dollars(self, at: int, end: int) -> None:
        """Raises BlockFileError for `${{ x }}`: before the parameter `$1` it would open a literal, `$$`."""
        sides = (*self._tokens[max(at - 1, 0) : at], *self._tokens[end : end + 1])
        if self._dialect.dollar_quotes and any("$" in (side.text[0], side.text[-1]) for side in sides):
            raise BlockFileError(
                "an expression touches a `$`, which the database takes for the beginning of something else",
                where=self._where(self._tokens[at]),
                fix="Write the expression alone, `{{ x }}`; text with a `$` in quotes, `'${{ x }}'`.",
            )

    def _take_value(self, hole: int, at: int) -> None:
        before, after = self._beside(at, -1), self._beside(at, 1)
        if before == "IN":
            self._add(Value(hole, brackets=True))
            self._add(ListEnd(hole, self._beside(at, -2) == "NOT", self._dialect.truth_tests))
        elif before == "(" and after == ")" and self._beside(at, -2) == "IN":
            self._add(WholeList(hole))
            self._lists[-1] = ListEnd(hole, self._beside(at, -3) == "NOT", self._dialect.truth_tests)
        else:
            self._add(Value(hole, listed=before in {"(", "[", ","} and after in {")", "]", ","} and bool(self._lists)))

    def _take_typed(self, at: int) -> int:
        """Places a literal that has its type before it: `DATE '{{ ds }}'`; where the next piece is, 0 without one."""
        words: list[str] = []
        end = at
        for end in self._solid[self._number(at) : self._number(at) + 5]:
            if self._tokens[end].kind is not Kind.WORD:
                break
            words.append(self._tokens[end].upper)
        literal, kind = self._tokens[end], " ".join(words)
        if literal.kind is not Kind.STRING or HOLE not in literal.text or self._beside(at, -1) == ".":
            return 0
        self._line = self._rendered.line(literal.start)
        if kind in self._dialect.types:
            self._add(self._literal(literal, self._dialect.types[kind]))
        elif kind == "INTERVAL" and self._dialect.interval_casts:
            unit = self._solid[self._number(end) + 1 :][:1]
            suffix = self._tokens[unit[0]].upper if unit else ""
            measured = suffix.removesuffix("S") in _UNITS and self._beside(unit[0], 1) != "TO"
            self._add(self._literal(literal, kind, f" {suffix}" if measured else ""))
            end = unit[0] if measured else end
        else:
            return 0
        self._pass_by(end)
        return end + 1

    def _literal(self, token: Token, cast: str | None = None, suffix: str = "") -> Literal:
        try:
            text = content(token, self._dialect)
        except ValueError as error:
            raise BlockFileError(
                f"an expression cannot stand in this kind of literal: {error}",
                where=self._where(token),
                fix="Let the expression stand alone, and give it a value of that type.",
            ) from None
        return Literal(self._parts(token, text), cast, suffix)

    def _quoted_name(self, token: Token) -> QuotedName:
        return QuotedName(self._parts(token, content(token, self._dialect)))

    def _parts(self, token: Token, text: str) -> tuple[str | int, ...]:
        """The text around the expressions, and these."""
        holes = self._holes[token.start]
        pairs = zip(text.split(HOLE), (*holes, None), strict=True)
        return tuple(each for pair in pairs for each in pair if each is not None and each != "")

    def _folded(self, token: Token) -> str:
        """A piece of a name without quotes, as the database reads it."""
        return token.text.lower() if self._dialect.lower_names else token.text

    def _note_name(self, token: Token) -> None:
        if token.kind is Kind.WORD:
            self._names.add(token.text.lower())
        elif token.kind is Kind.IDENTIFIER:
            self._names.add(content(token, self._dialect).lower())

    def _pass_by(self, at: int) -> None:
        token = self._tokens[at]
        self._clauses.pass_by(token)
        if token.text in {"(", "["}:
            self._lists.append(None)
        elif token.text in {")", "]"} and self._lists:
            ending = self._lists.pop()
            if ending is not None:
                self._add(ending)

    def _number(self, at: int) -> int:
        return bisect_left(self._solid, at)

    def _beside(self, at: int, steps: int) -> str:
        """The word, in capitals, or the sign so many pieces before or after this one that mean something."""
        number = self._number(at) + steps
        if not 0 <= number < len(self._solid):
            return ""
        token = self._tokens[self._solid[number]]
        return token.upper or token.text

    def _add(self, piece: Piece) -> None:
        self._flush()
        self._pieces.append((piece, self._line))

    def _flush(self) -> None:
        if self._text:
            self._pieces.append((Text("".join(self._text)), self._line))
            self._text.clear()

    def _where(self, token: Token) -> str:
        return f"{self._path}:{self._rendered.line(token.start)}"


_TOUCHING = frozenset({Kind.HOLE, Kind.WORD, Kind.NUMBER})
_RUN_COMMENTS = ("/*!", "/*M!")
_UNITS = frozenset({"YEAR", "MONTH", "WEEK", "DAY", "HOUR", "MINUTE", "SECOND"})
