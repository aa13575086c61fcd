"""What a database's connection needs from a profile of io_config.yaml, and says where it is missing."""

from __future__ import annotations

from dataclasses import dataclass

from refold.errors import ProjectError
from refold.io.settings.config import ConfigFileLoader


@dataclass(frozen=True, slots=True)
class ProfileSettings:
    """A profile, as one kind of database reads it."""

    config: ConfigFileLoader | None
    """None: there is none."""
    database: str
    """The kind of database, for messages."""

    def text(self, key: str) -> str | None:
        """The value as text; None where there is none, or it is empty."""
        value = None if self.config is None else self.config[key]
        return None if value is None or value == "" else str(value)

    def need(self, key: str) -> str:
        """The value as text. Raises ProjectError, naming file, profile and key, where there is none."""
        found = self.text(key)
        if found is not None:
            return found
        if self.config is None:
            raise ProjectError(
                f"{self.database} needs `{key}`, and no profile is given",
                fix="Name a profile of io_config.yaml that has it.",
            )
        raise ProjectError(
            f"profile `{self.config.profile}` has no `{key}`, which {self.database} needs",
            where=str(self.config.path),
            fix=f"Add `{key}: ...` to the profile.",
        )

    def number(self, key: str) -> int | None:
        """The value as a whole number, such as a port. Raises ProjectError for what is none."""
        found = self.text(key)
        if found is None:
            return None
        if not found.isdecimal():
            where = None if self.config is None else f"{self.config.path}, profile `{self.config.profile}`"
            raise ProjectError(f"`{key}` is {found!r}; expected is a whole number", where=where)
        return int(found)
