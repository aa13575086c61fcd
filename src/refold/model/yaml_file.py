"""A YAML file that is read for people and edited with care.

Reading gives plain data; errors name the file and the line. Saving replaces the file as a whole, so that a reader
never meets half of it, and what is saved has been read again and compared before it touches the disk.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from refold.errors import BadInputError, PipelineError
from refold.model.block import JsonValue
from refold.model.yaml_edit import edited, same
from refold.model.yaml_node import Node, YamlSyntaxError, compose

_BOM = "\ufeff"


def write_atomically(path: Path, data: bytes) -> None:
    """Replaces a file's content at once, keeping its mode; of a link, the file that it points to. Raises OSError."""
    target = path.resolve()
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileNotFoundError):
            temporary.chmod(stat.S_IMODE(target.stat().st_mode))
        temporary.replace(target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


@dataclass(frozen=True, slots=True)
class YamlFile:
    """The text of a YAML file, and what it means: a mapping."""

    path: Path
    text: str = field(repr=False)
    root: Node | None = field(repr=False)
    """None when the file holds nothing but comments."""
    error_type: type[BadInputError] = PipelineError
    """What is raised about this file."""

    @classmethod
    def load(cls, path: Path, error_type: type[BadInputError] = PipelineError) -> YamlFile:
        """The file as it is on disk. Raises `error_type` when it is missing, unreadable, or no YAML mapping."""
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            raise error_type("the file does not exist", where=str(path)) from None
        except OSError as error:
            raise error_type(f"the file cannot be read: {error.strerror or error}", where=str(path)) from error
        try:
            text = data.decode("utf-8")
        except UnicodeDecodeError as error:
            line = data.count(b"\n", 0, error.start) + 1
            raise error_type("the file is not text in UTF-8", where=f"{path}:{line}", fix="Save it as UTF-8.") from None
        return cls.parse(path, text, error_type)

    @classmethod
    def parse(cls, path: Path, text: str, error_type: type[BadInputError] = PipelineError) -> YamlFile:
        """The file as it would be with this text. Raises `error_type`."""
        try:
            root = compose(text.removeprefix(_BOM))
        except YamlSyntaxError as error:
            where = str(path) if error.line is None else f"{path}:{error.line}"
            raise error_type(error.message, where=where, fix=error.fix) from None
        if root is not None and not isinstance(root.value, dict):
            raise error_type(
                "the file must hold keys and values", where=f"{path}:{root.line}", fix="Write `key: value` lines."
            )
        return cls(path, text, root, error_type)

    @property
    def value(self) -> dict[str, JsonValue]:
        """What the file means; an empty file is an empty mapping. Copy it before changing it."""
        value = None if self.root is None else self.root.value
        return value if isinstance(value, dict) else {}

    def line(self, path: Sequence[str | int]) -> int | None:
        """Line, from 1, of what stands at this path of keys and indices, or of the nearest that surrounds it."""
        nodes = self._nodes(path)
        return nodes[-1][0] if nodes else None

    def word(self, path: Sequence[str | int]) -> str | None:
        """The scalar at this path as a person wrote it, `007` say; None if there is none."""
        nodes = self._nodes(path)
        return nodes[-1][1].word if len(nodes) == len(path) + 1 else None

    def _nodes(self, path: Sequence[str | int]) -> list[tuple[int, Node]]:
        """Lines and nodes along the path, as far as it goes; a key's line is where the key stands."""
        if self.root is None:
            return []
        found = [(self.root.line, self.root)]
        offset = len(self.text) - len(self.text.removeprefix(_BOM))
        for step in path:
            entries = found[-1][1].entries
            if isinstance(step, int):
                entry = entries[step] if step < len(entries) else None
            else:
                entry = next((entry for entry in entries if entry.key == step), None)
            if entry is None:
                break
            found.append((self.text.count("\n", 0, entry.start + offset) + 1, entry.value))
        return found

    def with_value(self, value: dict[str, JsonValue]) -> YamlFile:
        """The file with the least edit that makes it mean this; nothing is saved yet.

        Raises `error_type` where an edit would change what other parts of the file mean: data shared by anchors.
        """
        if same(self.value, value):
            return self
        body = self.text.removeprefix(_BOM)
        bom = self.text[: len(self.text) - len(body)]
        trouble = self.error_type(
            "the file cannot be edited without touching what its anchors (`&name`, `*name`) share",
            where=str(self.path),
            fix="Edit it by hand, or write the shared parts out.",
        )
        try:
            changed = type(self).parse(self.path, bom + edited(body, self.root, value), self.error_type)
        except BadInputError:
            raise trouble from None
        if not same(changed.value, value):
            raise trouble
        return changed

    def save(self) -> None:
        """Writes the file. Raises `error_type` when it cannot be written; the old file is then as it was."""
        try:
            write_atomically(self.path, self.text.encode("utf-8"))
        except OSError as error:
            raise self.error_type(
                f"the file cannot be written: {error.strerror or error}", where=str(self.path)
            ) from error
