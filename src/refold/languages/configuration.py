"""Expressions in a block's `configuration` and a pipeline's `variables`, filled in where the block runs.

`{{ env_var('SCHEMA') }}` is the environment of the process that runs the block; what is planned and stored is the
text as it stands in the file. A value that is one expression and nothing else may be a number or a list; any other is
text. Only the pipeline's file holds expressions: a variable that is given for a run is data.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from refold.errors import BadInputError, PipelineError, RefoldError
from refold.io.settings.expressions import Expressions, holds_expressions
from refold.io.settings.template_functions import template_functions
from refold.model.block import JsonValue
from refold.model.keys import BlockUuid
from refold.ports.executor import RunContext

if TYPE_CHECKING:
    from refold.model.yaml_file import YamlFile

_Steps = tuple[str | int, ...]
"""Keys and indices that lead to a value."""


def filled_configuration(
    block: BlockUuid,
    configuration: Mapping[str, JsonValue],
    context: RunContext,
    variables: Mapping[str, JsonValue],
) -> Mapping[str, JsonValue]:
    """The block's configuration with what its expressions give; itself where there are none.

    `variables` are those of the run, filled in. Raises PipelineError with file, line and key.
    """
    if not _any_expression(configuration):
        return configuration
    filling = _Filling(context, variables)
    where: _Steps = ("blocks", block, "configuration")
    return {key: filling.fill(value, (*where, key)) for key, value in configuration.items()}


def filled_variables(context: RunContext) -> Mapping[str, JsonValue]:
    """The variables of the run with what expressions of the pipeline's file give; themselves where there are none.

    One may name another, by `variables('x')`. Raises PipelineError with file, line and key.
    """
    if not any(_any_expression(context.variables[name]) for name in context.expressions):
        return context.variables
    return dict(_Variables(context))


class _Variables(Mapping[str, JsonValue]):
    """The variables of a run, each filled in when it is asked for."""

    def __init__(self, context: RunContext) -> None:
        self._context = context
        self._filled: dict[str, JsonValue] = {}
        self._under_way: list[str] = []
        self._filling = _Filling(context, self)

    def __getitem__(self, name: str) -> JsonValue:
        given = self._context.variables[name]
        if name not in self._context.expressions:
            return given
        if name in self._under_way:
            circle = " -> ".join(self._under_way[self._under_way.index(name) :])
            raise BadInputError(f"variables that need each other: {circle} -> {name}")
        if name not in self._filled:
            self._under_way.append(name)
            try:
                self._filled[name] = self._filling.fill(given, ("variables", name))
            finally:
                self._under_way.pop()
        return self._filled[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._context.variables)

    def __len__(self) -> int:
        return len(self._context.variables)


class _Filling:
    """Fills in values of a pipeline's file."""

    def __init__(self, context: RunContext, variables: Mapping[str, JsonValue]) -> None:
        self._context = context
        self._expressions = Expressions(template_functions(variables, context.project))

    def fill(self, value: JsonValue, steps: _Steps) -> JsonValue:
        """The value, and all within it. Raises PipelineError."""
        if isinstance(value, dict):
            return {key: self.fill(each, (*steps, key)) for key, each in value.items()}
        if isinstance(value, list):
            return [self.fill(each, (*steps, at)) for at, each in enumerate(value)]
        if not isinstance(value, str) or not holds_expressions(value):
            return value
        try:
            return _json(self._expressions.value(value))
        except PipelineError:
            raise  # of another variable
        except BadInputError as error:
            raise PipelineError(f"{_key(steps)}: {error.message}", where=self._place(steps), fix=error.fix) from error

    def _place(self, steps: _Steps) -> str:
        """File and line, as the file is now."""
        from refold.model.project import METADATA, PIPELINES  # slow to load: workers do without, unless one fails
        from refold.model.yaml_file import YamlFile

        path = self._context.project / PIPELINES / self._context.pipeline_uuid / METADATA
        with suppress(RefoldError):
            file = YamlFile.load(path)
            line = file.line(_in_file(file, steps))
            if line is not None:
                return f"{path}:{line}"
        return str(path)


def _any_expression(value: JsonValue | Mapping[str, JsonValue]) -> bool:
    if isinstance(value, str):
        return holds_expressions(value)
    if isinstance(value, Mapping):
        return any(map(_any_expression, value.values()))
    return isinstance(value, list) and any(map(_any_expression, value))


def _json(value: object) -> JsonValue:
    """A value as variables have them: expressions may give what functions have read from JSON, and no objects."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, list | tuple):
        return [_json(each) for each in value]
    if isinstance(value, dict):
        return {str(key): _json(each) for key, each in value.items()}
    raise BadInputError(f"the expression gives a {type(value).__name__}, which is no value of YAML")


def _key(steps: _Steps) -> str:
    """What a person calls it: `block load: configuration.table`."""
    words = [str(step) for step in steps]
    if words[0] == "blocks":
        return f"block `{words[1]}`, `{'.'.join(words[2:])}`"
    return f"`{'.'.join(words)}`"


def _in_file(file: YamlFile, steps: _Steps) -> Sequence[str | int]:
    """The steps with the block's place in the file's list."""
    if steps[0] != "blocks":
        return steps
    for section in ("blocks", "conditionals", "callbacks"):
        blocks = file.value.get(section)
        for at, block in enumerate(blocks if isinstance(blocks, list) else ()):
            if isinstance(block, dict) and block.get("uuid") == steps[1]:
                return (section, at, *steps[2:])
    return ()
