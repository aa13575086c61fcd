"""A query that asks for no more than so many rows, where that can be said around it without changing what it does."""

from __future__ import annotations

from refold.io.databases.sql_text import Dialect, tokens
from refold.io.databases.statement import Statement

_QUERIES = frozenset({"SELECT", "WITH", "VALUES", "TABLE"})
_DOES_MORE = frozenset({"INSERT", "UPDATE", "DELETE", "MERGE", "INTO"})
"""Words of statements that do not only read, or that nothing can be put around."""


def limited(statement: Statement, limit: int, dialect: Dialect) -> Statement | None:
    """The query within another one that takes its first rows; None for what is no such query.

    The database must keep the order of a query around which another one is put.
    """
    texts = (*statement.texts[:-1], unended(statement.texts[-1], dialect))
    pieces = [piece for text in texts for piece in tokens(text, dialect) if not piece.blank]
    words = {piece.upper for piece in pieces}
    if not pieces or pieces[0].upper not in _QUERIES or words & _DOES_MORE or any(each.text == ";" for each in pieces):
        return None
    first, *others = (*texts[:-1], f"{texts[-1]}\n) AS limited_ LIMIT {limit}")
    return Statement((f"SELECT * FROM (\n{first}", *others), statement.values)


def unended(text: str, dialect: Dialect) -> str:
    """The end of a statement without the `;` that ends it, and without comments behind it."""
    if ";" not in text:
        return text
    pieces = tokens(text, dialect)
    while pieces and (pieces[-1].blank or pieces[-1].text == ";"):
        pieces.pop()
    return "".join(piece.text for piece in pieces)
