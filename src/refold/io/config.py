"""io_config.yaml: where databases are and how to log in to them, by profile.

The file is a Jinja2 template, so that passwords can stay in the environment. What a template expression gives is put
in place only after the YAML around it has been read: a password may hold `#`, `:` or quotes without changing the file.
"""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from refold.errors import ProjectError, RefoldError
from refold.io.config_keys import flatten, other_spelling
from refold.languages.project_context import get_repo_path

if TYPE_CHECKING:
    from jinja2 import Environment

TemplateFunction = Callable[..., object]
"""A function that the file may call, such as `env_var`."""

_NOT_PROFILES = frozenset({"version"})


class ConfigFileLoader:
    """One profile of io_config.yaml: `config["POSTGRES_HOST"]`, None where the profile does not have the key."""

    def __init__(
        self,
        filepath: str | os.PathLike[str] | None = None,
        profile: str = "default",
        functions: Mapping[str, TemplateFunction] | None = None,
    ) -> None:
        """Reads the file, the current project's io_config.yaml where no path is given.

        `functions` are what its expressions may call besides `env_var`. Raises ProjectError when the file is not there,
        cannot be rendered or is not YAML, and when it has no such profile.
        """
        self.path = Path(filepath) if filepath is not None else Path(get_repo_path()) / "io_config.yaml"
        self.profile = profile
        self._values = flatten(
            _profile(_read(self.path, {"env_var": _env_var, **(functions or {})}), profile, self.path)
        )

    def __getitem__(self, key: str) -> object:
        """The value of the key, None where there is none."""
        return self.get(key)

    def get(self, key: str, default: object = None) -> object:
        """The value of the key, `default` where there is none."""
        if key in self._values:
            return self._values[key]
        other = other_spelling(key)
        return default if other is None else self._values.get(other, default)

    def __contains__(self, key: object) -> bool:
        """Whether the profile has the key, under this name."""
        return key in self._values

    def __iter__(self) -> Iterator[str]:
        """The keys, those of nested sections included."""
        return iter(self._values)


def _env_var(name: str, default: str | None = None) -> str | None:
    return os.environ.get(name, default)


def _profile(document: Mapping[str, object], profile: str, path: Path) -> Mapping[str, object]:
    profiles = [name for name in document if name not in _NOT_PROFILES]
    if profile not in profiles:
        listed = ", ".join(f"`{name}`" for name in profiles)
        raise ProjectError(
            f"has no profile `{profile}`; " + (f"its profiles: {listed}" if listed else "it has no profiles at all"),
            where=str(path),
            fix="Name one of its profiles, or add this one.",
        )
    found = document[profile]
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise ProjectError(f"profile `{profile}` is not a mapping of keys to values", where=str(path))
    return {str(key): value for key, value in found.items()}


def _read(path: Path, functions: Mapping[str, TemplateFunction]) -> Mapping[str, object]:
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ProjectError(
            "the file is not there",
            where=str(path),
            fix="Create it with a `default:` profile, or give the path of the one that is meant.",
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ProjectError(f"cannot be read: {error}", where=str(path)) from error
    expressions = _Expressions()
    document = expressions.fill(_load_yaml(_render(text, functions, expressions, path), path))
    if document is None:
        return {}
    if not isinstance(document, dict):
        raise ProjectError("is not a mapping of profiles", where=str(path))
    return {str(key): value for key, value in document.items()}


class _Expressions:
    """Stands in for what template expressions give until the YAML has been read.

    A stand-in is a whole number: where it stands alone and unquoted YAML reads a number, and the value is then read as
    YAML would read it (a port becomes an int, JSON a dict); quoted or within other text the value is text.
    """

    def __init__(self) -> None:
        self._start = secrets.randbits(128) | 1 << 128
        self._values: dict[int, str] = {}

    def stand_in(self, value: object) -> str:
        """The text to render in place of the value; nothing for None, as YAML has it."""
        if value is None:
            return ""
        number = self._start + len(self._values)
        self._values[number] = str(value)
        return str(number)

    def fill(self, node: object) -> object:
        """The document with the values in place."""
        if isinstance(node, dict):
            return {self.fill(key): self.fill(value) for key, value in node.items()}
        if isinstance(node, list):
            return [self.fill(value) for value in node]
        if isinstance(node, int) and node in self._values:
            return _plain(self._values[node])
        if isinstance(node, str) and self._values:
            return re.sub(r"\d{39,}", self._text, node)
        return node

    def _text(self, digits: re.Match[str]) -> str:
        # Expressions side by side render as one long number.
        width = len(str(self._start))
        text = digits[0]
        parts: list[str] = []
        while text:
            known = self._values.get(int(text[:width])) if len(text) >= width else None
            parts.append(text[0] if known is None else known)
            text = text[1 if known is None else width :]
        return "".join(parts)


def _plain(text: str) -> object:
    """What YAML reads an unquoted value as, where that is a number, a truth value or JSON; else the text as it is."""
    from ruamel.yaml.error import YAMLError

    try:
        value = _yaml(text)
    except YAMLError:
        return text
    if isinstance(value, (bool, int, float)) or value is None:
        return value
    return value if isinstance(value, (dict, list)) and text.lstrip()[:1] in {"{", "["} else text


def _render(text: str, functions: Mapping[str, TemplateFunction], expressions: _Expressions, path: Path) -> str:
    from jinja2 import TemplateSyntaxError

    environment = _environment(functions, expressions)
    try:
        return environment.from_string(text).render()
    except TemplateSyntaxError as error:
        raise ProjectError(f"template error: {error.message}", where=f"{path}:{error.lineno}") from error
    except RefoldError:
        raise
    except Exception as error:  # what the functions raise, and what the template makes of them
        known = ", ".join(f"`{name}`" for name in functions)
        raise ProjectError(f"template error: {error}", where=str(path), fix=f"Expressions may call {known}.") from error


def _environment(functions: Mapping[str, TemplateFunction], expressions: _Expressions) -> Environment:
    from jinja2 import StrictUndefined
    from jinja2.sandbox import SandboxedEnvironment

    def finalize(value: object) -> object:
        # An undefined name must still fail where it is rendered.
        return value if isinstance(value, StrictUndefined) else expressions.stand_in(value)

    environment = SandboxedEnvironment(undefined=StrictUndefined, finalize=finalize, autoescape=False)
    environment.globals.update(functions)
    return environment


def _load_yaml(text: str, path: Path) -> object:
    from ruamel.yaml.error import MarkedYAMLError, YAMLError

    try:
        return _yaml(text)
    except YAMLError as error:
        mark = error.problem_mark if isinstance(error, MarkedYAMLError) else None
        problem = error.problem if isinstance(error, MarkedYAMLError) else str(error)
        where = str(path) if mark is None else f"{path}:{mark.line + 1}"
        raise ProjectError(f"is not YAML that can be read: {problem}", where=where) from error


def _yaml(text: str) -> object:
    from ruamel.yaml import YAML

    loaded: object = YAML(typ="safe", pure=True).load(text)
    return loaded
