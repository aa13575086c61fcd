"""io_config.yaml: where databases are and how to log in to them, by profile.

The file is a Jinja2 template, so that passwords can stay in the environment. What a template expression gives is put
in place only after the YAML around it has been read: a password may hold `#`, `:` or quotes without changing the file.
"""

from __future__ import annotations

import json
import math
import os
import re
import secrets
from collections.abc import Iterator, Mapping
from pathlib import Path

from refold.errors import BadInputError, ProjectError
from refold.io.secrets.masking import conceal_settings
from refold.io.settings.config_keys import flatten, other_spelling
from refold.io.settings.expressions import fill_in, holds_expressions, make_environment
from refold.io.settings.template_functions import TemplateFunction, template_functions
from refold.languages.project_context import get_repo_path
from refold.model.yaml_file import YamlFile

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

        `functions` are what its expressions may call besides those of `template_functions`. An environment variable
        that is not set is None: a profile may tell of databases that nobody asks for. Passwords that the profile holds
        are concealed: no print, log or error shows them from then on.

        Raises ProjectError when the file is not there, cannot be rendered or is not YAML, when it has no such profile,
        and for an expression of the profile whose function has nothing to give, such as a secret that is not there.
        """
        self.path = Path(filepath) if filepath is not None else Path(get_repo_path()) / "io_config.yaml"
        self.profile = profile
        known = {**template_functions({}, _project_of(self.path)), "env_var": _env_var, **(functions or {})}
        self._values = flatten(_read(self.path, profile, known))
        conceal_settings(self._values)

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


def _project_of(path: Path) -> Path:
    """Whose secrets the file may name: its own folder's, else those of the current project."""
    folder = path.absolute().parent
    if (folder / "metadata.yaml").is_file():
        return folder
    try:
        return Path(get_repo_path())
    except ProjectError:
        return folder


def _read(path: Path, profile: str, functions: Mapping[str, TemplateFunction]) -> dict[str, object]:
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
    rendered = _render(text, functions, expressions, path) if holds_expressions(text) else text
    file = YamlFile.parse(path, rendered, ProjectError)
    return _filled(expressions, file, _profile(file, profile))


def _profile(file: YamlFile, profile: str) -> dict[str, object]:
    profiles = [name for name in file.value if name not in _NOT_PROFILES]
    if profile not in profiles:
        listed = ", ".join(f"`{name}`" for name in profiles)
        raise ProjectError(
            f"has no profile `{profile}`; " + (f"its profiles: {listed}" if listed else "it has no profiles at all"),
            where=str(file.path),
            fix="Name one of its profiles, or add this one.",
        )
    found = file.value[profile]
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise ProjectError(f"profile `{profile}` is not a mapping of keys to values", where=str(file.path))
    return {profile: found}


def _filled(expressions: _Expressions, file: YamlFile, profile: Mapping[str, object]) -> dict[str, object]:
    """The profile's keys with what expressions give. Raises ProjectError, with key and line, where one has failed."""
    filled: dict[str, object] = {}
    for name, values in profile.items():
        assert isinstance(values, dict)
        for key, value in values.items():
            try:
                filled[str(expressions.fill(key))] = expressions.fill(value)
            except BadInputError as error:
                raise ProjectError(
                    f"`{key}`: {error.message}", where=f"{file.path}:{file.line([name, key])}", fix=error.fix
                ) from error
    return filled


class _Expressions:
    """Stands in for what template expressions give until the YAML has been read.

    A stand-in is a whole number: where it stands alone and unquoted YAML reads a number, and the value is then read as
    YAML would read it (a port becomes an int, JSON a dict); quoted or within other text the value is text. What has
    failed is told where it is filled in: another profile's secrets need not be there.
    """

    def __init__(self) -> None:
        self._start = secrets.randbits(128) | 1 << 128
        self._values: dict[int, str | BadInputError] = {}

    def stand_in(self, value: object) -> str:
        """The text to render in place of the value; nothing for None, as YAML has it."""
        if value is None:
            return ""
        number = self._start + len(self._values)
        self._values[number] = value if isinstance(value, BadInputError) else str(value)
        return str(number)

    def fill(self, node: object) -> object:
        """The document with the values in place. Raises BadInputError for what has failed."""
        if isinstance(node, dict):
            return {self.fill(key): self.fill(value) for key, value in node.items()}
        if isinstance(node, list):
            return [self.fill(value) for value in node]
        if isinstance(node, int) and node in self._values:
            return _plain(self._value(node))
        if isinstance(node, str) and self._values:
            return re.sub(r"\d{39,}", self._text, node)
        return node

    def _value(self, number: int) -> str:
        value = self._values[number]
        if isinstance(value, BadInputError):
            raise value
        return value

    def _text(self, digits: re.Match[str]) -> str:
        # Expressions side by side render as one long number.
        width = len(str(self._start))
        text = digits[0]
        parts: list[str] = []
        while text:
            known = len(text) >= width and int(text[:width]) in self._values
            parts.append(self._value(int(text[:width])) if known else text[0])
            text = text[width if known else 1 :]
        return "".join(parts)


_NUMBER = re.compile(r"[-+]?(?:0|[1-9][0-9]{0,300})(?P<fraction>\.[0-9]+)?(?P<exponent>[eE][-+]?[0-9]{1,3})?")
_WORDS: Mapping[str, bool | None] = {"true": True, "false": False, "null": None, "~": None, "": None}


def _plain(text: str) -> object:
    """What an unquoted value means where it is a number, a truth value or JSON; else the text as it is."""
    if text.lower() in _WORDS:
        return _WORDS[text.lower()]
    number = _NUMBER.fullmatch(text)
    if number is not None:
        value = float(text) if number["fraction"] or number["exponent"] else int(text)
        return value if math.isfinite(value) else text
    if text.lstrip()[:1] not in {"{", "["}:
        return text
    try:
        read: object = json.loads(text)
    except (ValueError, RecursionError):
        return text
    return read


def _render(text: str, functions: Mapping[str, TemplateFunction], expressions: _Expressions, path: Path) -> str:
    try:
        return fill_in(make_environment(functions, expressions.stand_in), text)
    except BadInputError as error:
        where = str(path) if error.where is None else f"{path}:{error.where}"
        raise ProjectError(error.message, where=where, fix=error.fix) from error
