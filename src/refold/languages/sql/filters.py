"""What a template's filters do otherwise than Jinja's own: their values are to stand in SQL, not in HTML."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping

Filter = Callable[..., object]


class Identifier(str):
    """A name, of a column or a table: it is written in quotes, wherever it stands."""

    __slots__ = ()


class JoinedText(str):
    """Values joined to one text; where a list may stand between the separators, they are a list."""

    items: tuple[object, ...]
    separator: str

    @classmethod
    def of(cls, items: Iterable[object], separator: str) -> JoinedText:
        """The text, and what it was made of."""
        found = tuple(items)
        text = cls(separator.join(map(str, found)))
        text.items, text.separator = found, separator
        return text


def sql_filters(jinja_filters: Mapping[str, Filter]) -> dict[str, Filter]:
    """Jinja's filters, with ours in their place and beside them."""
    from jinja2 import Environment, pass_environment
    from jinja2.filters import make_attrgetter

    @pass_environment
    def join(
        environment: Environment, value: Iterable[object], d: object = "", attribute: str | int | None = None
    ) -> JoinedText:
        return JoinedText.of(
            value if attribute is None else map(make_attrgetter(environment, attribute), value), str(d)
        )

    return {**jinja_filters, "identifier": identifier, "join": join, "tojson": json_text}


def identifier(value: object) -> Identifier | list[Identifier]:
    """The name, or names, that this text is, or these texts are."""
    if isinstance(value, str):
        return Identifier(value)
    if isinstance(value, Iterable):
        return [Identifier(str(each)) for each in value]
    return Identifier(str(value))


def json_text(value: object, indent: int | None = None) -> str:
    """The value as JSON; dates, decimals and the like as text."""
    return json.dumps(value, default=str, indent=indent, ensure_ascii=False)
