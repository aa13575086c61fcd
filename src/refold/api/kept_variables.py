"""A run's variables as the run store keeps them: where one holds a secret of the project, its name is kept.

A retry, and an engine that takes the run up, put the secret in again: the one of then, or the one that has replaced it.
In the variables themselves `***` stands for it. What is known to be secret and has no name, such as a password of
io_config.yaml, is `***` too, and such a run cannot be taken up again.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Self

from refold.errors import BadInputError
from refold.io.secrets.lookup import conceal_secrets_of, find_secret
from refold.io.secrets.masking import MASK, any_of, masked, spellings
from refold.model.block import JsonValue
from refold.ports.run_store import RunRecord

_OPTION = "secret_variables"
_Steps = tuple[str | int, ...]


@dataclass(frozen=True)
class KeptVariables:
    """What the store keeps of a run's variables."""

    project: Path
    variables: Mapping[str, JsonValue]
    """With `***` for every secret."""
    secrets: tuple[JsonValue, ...] = ()
    """`{"path": [...], "parts": [...], "number": false}` of each text with a secret in it. A part is text, or
    `{"secret": name, "as": spelling}`; null where the secret has no name."""

    @classmethod
    def of(cls, project: Path, variables: Mapping[str, JsonValue]) -> Self:
        """What is to be kept of these. Raises BadInputError for a name with a secret in it: names are shown."""
        search = _Search(conceal_secrets_of(project))
        for name in variables:
            if masked(name) != name:
                raise BadInputError(
                    f"the name of the variable `{masked(name)}` holds a secret",
                    fix="Give the secret as the variable's value: values are masked, names are shown.",
                )
        kept = {name: search.without(value, (name,)) for name, value in variables.items()}
        return cls(project, kept, tuple(search.found))

    @classmethod
    def in_record(cls, record: RunRecord) -> Self:
        """What is kept of a run's."""
        secrets = record.options.get(_OPTION)
        return cls(Path(record.project), record.variables, tuple(secrets) if isinstance(secrets, list) else ())

    def as_options(self) -> dict[str, JsonValue]:
        """What a run's options keep."""
        return {_OPTION: [*self.secrets]} if self.secrets else {}

    @property
    def told(self) -> JsonValue:
        """What tells these variables from others, and says nothing of secrets."""
        return [dict(self.variables), [*self.secrets]] if self.secrets else dict(self.variables)

    def given(self) -> Mapping[str, JsonValue]:
        """The variables that were given. Raises BadInputError for a secret that is not there any more, and ProjectError
        for one that cannot be decrypted."""
        given: JsonValue = dict(self.variables)
        for each in self.secrets:
            assert isinstance(each, dict)
            path, parts = each["path"], each["parts"]
            assert isinstance(path, list)
            where = f"variable `{path[0]}`"
            text = self._whole(parts, where)
            given = _with(given, path, _number(text) if each["number"] else text)
        assert isinstance(given, dict)
        return given

    def _whole(self, parts: JsonValue, where: str) -> str:
        if not isinstance(parts, list):
            raise BadInputError(
                "it held a password that is not kept, so that the run cannot be taken up again",
                where=where,
                fix="Run the pipeline anew; a secret that is set by `refold secrets set` can be put in again.",
            )
        return "".join(part if isinstance(part, str) else self._secret(part, where) for part in parts)

    def _secret(self, part: JsonValue, where: str) -> str:
        assert isinstance(part, dict)
        name, spelling = str(part["secret"]), str(part["as"])
        value = find_secret(name, self.project)
        if value is None:
            raise BadInputError(
                f"it held the secret `{name}`, which is not there any more",
                where=where,
                fix=f"Set it: `refold secrets set {name}`.",
            )
        # A new value may have no such form, of a second line say.
        return spellings(value).get(spelling, value)


class _Search:
    """Finds secrets in variables."""

    def __init__(self, secrets: Mapping[str, str]) -> None:
        self._secrets = secrets
        self.found: list[JsonValue] = []

    def without(self, value: JsonValue, steps: _Steps) -> JsonValue:
        """The value with `***` for every secret; where they are is noted."""
        if isinstance(value, dict):
            if any(masked(key) != key for key in value):
                return self._nameless(steps)
            return {key: self.without(each, (*steps, key)) for key, each in value.items()}
        if isinstance(value, list):
            return [self.without(each, (*steps, at)) for at, each in enumerate(value)]
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not number and not isinstance(value, str):
            return value
        text = json.dumps(value) if number else str(value)
        hidden = masked(text)
        if hidden == text:
            return value
        parts = list(self._parts(text))
        if any(isinstance(part, str) and masked(part) != part for part in parts):
            return self._nameless(steps)
        self.found.append({"path": [*steps], "parts": parts, "number": number})
        return "".join(part if isinstance(part, str) else MASK for part in parts)

    def _nameless(self, steps: _Steps) -> JsonValue:
        self.found.append({"path": [*steps], "parts": None, "number": False})
        return MASK

    def _parts(self, text: str) -> Iterator[JsonValue]:
        """Text and names of secrets by turns."""
        shown = 0
        for match in self._pattern.finditer(text):
            if match.start() > shown:
                yield text[shown : match.start()]
            name, spelling = self._forms[match[0]]
            yield {"secret": name, "as": spelling}
            shown = match.end()
        if shown < len(text):
            yield text[shown:]

    @cached_property
    def _forms(self) -> Mapping[str, tuple[str, str]]:
        """Secret and spelling of each form, the plain one first."""
        found: dict[str, tuple[str, str]] = {}
        for name, value in self._secrets.items():
            for spelling, form in spellings(value).items():
                found.setdefault(form, (name, spelling))
        return found

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        return re.compile(any_of(self._forms.keys()) or r"(?!)")


def _number(text: str) -> JsonValue:
    try:
        return float(text) if {*text} & {*".eE"} else int(text)
    except ValueError:  # the secret was a number then
        return text


def _with(value: JsonValue, path: list[JsonValue], leaf: JsonValue) -> JsonValue:
    """The value with a leaf in place of what is at this path; nothing of it is changed."""
    if not path:
        return leaf
    step, *rest = path
    if isinstance(value, dict):
        return {key: _with(each, rest, leaf) if key == step else each for key, each in value.items()}
    assert isinstance(value, list)
    return [_with(each, rest, leaf) if at == step else each for at, each in enumerate(value)]
