"""A value in a YAML file together with where it stands, so that reading it wrong names the file, line and key."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from refold.errors import BadInputError
from refold.model.block import JsonValue
from refold.model.keys import BlockUuid
from refold.model.yaml_file import YamlFile

_TRUE = frozenset({"true", "yes", "on", "y", "1"})
_FALSE = frozenset({"false", "no", "off", "n", "0"})


@dataclass(frozen=True, slots=True)
class Place:
    """A value, the file, and the path of keys and indices that leads to it."""

    file: YamlFile
    value: JsonValue
    path: tuple[str | int, ...] = ()
    name: str = ""
    """The path for people: `blocks.load_data.retry_config`."""

    @classmethod
    def root(cls, file: YamlFile) -> Place:
        """The whole file."""
        return cls(file, file.value)

    @property
    def where(self) -> str:
        """File, line and key."""
        line = self.file.line(self.path)
        text = str(self.file.path) if line is None else f"{self.file.path}:{line}"
        return f"{text} ({self.name})" if self.name else text

    def error(self, message: str, fix: str | None = None) -> BadInputError:
        """An error about this place, to be raised."""
        return self.file.error_type(message, where=self.where, fix=fix)

    def unexpected(self, expected: str, fix: str | None = None) -> BadInputError:
        """An error that says what should stand here, to be raised."""
        shown = repr(self.value)
        shown = shown if len(shown) <= 60 else shown[:57] + "..."
        return self.error(f"expected {expected}, found {shown}", fix)

    def has(self, key: str) -> bool:
        """Whether this mapping has the key, though it may be without a value."""
        return isinstance(self.value, dict) and key in self.value

    def get(self, key: str) -> Place | None:
        """The value of a key; None when it is missing or null. Raises when this is no mapping."""
        value = self.mapping().get(key)
        if value is None:
            return None
        return Place(self.file, value, (*self.path, key), f"{self.name}.{key}" if self.name else key)

    def named(self, label: str) -> Place:
        """The same place, its last part called otherwise."""
        parent = self.name.rpartition(".")[0] if self.path and isinstance(self.path[-1], str) else self.name
        if self.path and isinstance(self.path[-1], int):
            parent = self.name.rpartition("[")[0]
        return Place(self.file, self.value, self.path, f"{parent}.{label}" if parent else label)

    def mapping(self) -> dict[str, JsonValue]:
        """The value as a mapping; nothing, and the empty list that some tools write for it, are an empty one."""
        if self.value is None or self.value == []:
            return {}
        if not isinstance(self.value, dict):
            raise self.unexpected("keys and values")
        return self.value

    def items(self) -> Iterator[Place]:
        """The items of a list. Raises when it is no list."""
        if not isinstance(self.value, list):
            raise self.unexpected("a list")
        for index, value in enumerate(self.value):
            yield Place(self.file, value, (*self.path, index), f"{self.name}[{index}]")

    def text(self) -> str:
        """The value as text; a number or a word such as `on` is the text that was written."""
        if isinstance(self.value, str):
            return self.value
        if self.value is None or isinstance(self.value, list | dict):
            raise self.unexpected("text")
        return self.file.word(self.path) or str(self.value)

    def boolean(self) -> bool:
        """The value as true or false, in quotes or not."""
        if isinstance(self.value, bool):
            return self.value
        word = str(self.value).strip().lower()
        if word in _TRUE or word in _FALSE:
            return word in _TRUE
        raise self.unexpected("true or false")

    def number(self, expected: str, minimum: float, *, whole: bool = False) -> float:
        """The value as a number that is not below the minimum, in quotes or not; `expected` names it in errors."""
        value = self.value
        if isinstance(value, bool | list | dict) or value is None:
            raise self.unexpected(expected)
        try:
            number = float(value)
        except (ValueError, OverflowError):
            raise self.unexpected(expected) from None
        if not math.isfinite(number) or number < minimum or (whole and not number.is_integer()):
            raise self.unexpected(expected)
        return number

    def integer(self, minimum: int) -> int:
        """A whole number, `minimum` or more."""
        return int(self.number(f"a whole number, {minimum} or more", minimum, whole=True))

    def seconds(self) -> float:
        """Seconds, 0 or more."""
        return self.number("seconds, 0 or more", 0)

    def uuids(self) -> tuple[BlockUuid, ...]:
        """Block uuids: a list of them, or a single one; repeats included."""
        if isinstance(self.value, str):
            return (BlockUuid(self.value),)
        if not isinstance(self.value, list):
            raise self.unexpected("a list of block uuids")
        return tuple(BlockUuid(item.text()) for item in self.items())
