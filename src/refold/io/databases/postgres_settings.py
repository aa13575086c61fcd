"""Where a PostgreSQL server is and how to log in to it, as the address that its driver takes."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote, urlencode

from refold.io.settings.config import ConfigFileLoader

_CONNECT_TIMEOUT = 10
"""Seconds to wait for a server where POSTGRES_CONNECT_TIMEOUT does not say."""


def postgres_address(config: ConfigFileLoader | None) -> str:
    """The URI for the POSTGRES_ settings of a profile; it holds the password. What is not set is as libpq has it."""
    settings = {} if config is None else {key: config[f"POSTGRES_{key}"] for key in _KEYS}
    user, password = _text(settings, "USER"), _text(settings, "PASSWORD")
    login = f"{quote(user, safe='')}{':' + quote(password, safe='') if password else ''}@" if user else ""
    host, port = quote(_text(settings, "HOST"), safe=""), _text(settings, "PORT")
    options = {
        "application_name": "refold",
        "connect_timeout": _text(settings, "CONNECT_TIMEOUT") or str(_CONNECT_TIMEOUT),
    }
    if _text(settings, "SSLMODE"):
        options["sslmode"] = _text(settings, "SSLMODE")
    # Where values stand in a statement is told by reading its literals as the standard has them.
    options["options"] = "-cstandard_conforming_strings=on"
    if _text(settings, "SCHEMA"):
        options["options"] += f" -csearch_path={_option_value(_text(settings, 'SCHEMA'))}"
    database = quote(_text(settings, "DBNAME"), safe="")
    return f"postgresql://{login}{host}{':' + port if port else ''}/{database}?{urlencode(options, quote_via=quote)}"


_KEYS = ("HOST", "PORT", "USER", "PASSWORD", "DBNAME", "SCHEMA", "SSLMODE", "CONNECT_TIMEOUT")


def _text(settings: Mapping[str, object], key: str) -> str:
    value = settings.get(key)
    return "" if value is None else str(value)


def _option_value(schema: str) -> str:
    """The schema as an identifier, its spaces kept from the server's splitting of options."""
    quoted = '"' + schema.replace('"', '""') + '"'
    return quoted.replace("\\", "\\\\").replace(" ", "\\ ")
