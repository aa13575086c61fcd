"""Settings of a connection that Python code gives, in the place of a profile of io_config.yaml."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from refold.io.secrets.masking import conceal_settings
from refold.io.settings.config import ConfigFileLoader
from refold.io.settings.config_keys import flatten, other_spelling


class GivenSettings(ConfigFileLoader):
    """As a profile: `GivenSettings("Postgres(...)", "postgres", {"dbname": "shop"})["POSTGRES_DBNAME"]` is `shop`."""

    def __init__(self, where: str, section: str, settings: Mapping[str, object]) -> None:
        """`where` is for errors; `section` is the nested section of io_config.yaml whose fields these are called as.

        Passwords among them are concealed, as those of a file are.
        """
        self.path = Path(where)
        self.profile = "given in Python"
        self._given = flatten({section: settings})
        conceal_settings(self._given)

    def get(self, key: str, default: object = None) -> object:
        """The value of the key, `default` where there is none."""
        if key in self._given:
            return self._given[key]
        return self._given.get(other_spelling(key) or key, default)

    def __getitem__(self, key: str) -> object:
        """The value of the key, None where there is none."""
        return self.get(key)

    def __contains__(self, key: object) -> bool:
        """Whether the key is given."""
        return key in self._given

    def __iter__(self) -> Iterator[str]:
        """The keys."""
        return iter(self._given)
