"""Expressions in YAML values: a small part of Jinja2, in its sandbox.

They name where a value comes from; they do not compute. So there are the functions that the caller gives, filters that
make text of another form, choices (`a or b`, `a if b else c`, `{% if %}`) and nothing that could run long, make much of
little, or reach into Python's objects: no loops, no multiplication, no methods.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping
from functools import cache
from typing import TYPE_CHECKING, NoReturn, Protocol, cast

from refold.errors import BadInputError
from refold.io.settings.template_functions import TemplateFunction

if TYPE_CHECKING:
    from jinja2 import Environment
    from jinja2.nodes import Node, Template

_LONGEST = 100_000
"""Characters that `replace` makes at most."""
# fmt: off
_FILTERS = (
    "capitalize", "d", "default", "first", "float", "int", "last", "length", "lower", "replace", "string", "title",
    "tojson", "trim", "upper", "urlencode",
)
_NODES = (
    "Add", "And", "Call", "Compare", "Concat", "CondExpr", "Const", "Dict", "Filter", "Getattr", "Getitem", "If",
    "Keyword", "List", "Name", "Neg", "Not", "Operand", "Or", "Output", "Pair", "Sub", "Template", "TemplateData",
    "Test", "Tuple",
)
# fmt: on


def holds_expressions(text: str) -> bool:
    """Whether anything in the text is to be filled in."""
    return "{{" in text or "{%" in text


def make_environment(
    functions: Mapping[str, TemplateFunction], finalize: Callable[[object], object] | None = None
) -> Environment:
    """What expressions are read and filled in with.

    `finalize` is told each value, or the BadInputError of the function that should have given it, and says what stands
    for it; without it the error is raised. An expression can do without a value, by `| default('x')`.
    """
    from jinja2 import StrictUndefined
    from jinja2.sandbox import SandboxedEnvironment

    def checked(value: object) -> object:
        error = _error_in(value)
        if error is not None and finalize is None:
            raise error
        if error is None and isinstance(value, StrictUndefined):
            str(value)  # raises
        if error is None and callable(value):
            raise BadInputError("a function stands where its value is wanted", fix="Call it: `{{ env_var('NAME') }}`.")
        return value if finalize is None else finalize(error or value)

    environment = SandboxedEnvironment(
        undefined=StrictUndefined, finalize=checked, autoescape=False, keep_trailing_newline=True
    )
    environment.globals = {name: _patient(function) for name, function in functions.items()}
    environment.filters = {name: environment.filters[name] for name in _FILTERS} | {"replace": _replace}
    return environment


def _patient(function: TemplateFunction) -> TemplateFunction:
    """The function, whose failure matters only where what it gives is wanted."""

    def call(*arguments: object, **keywords: object) -> object:
        try:
            return function(*arguments, **keywords)
        except BadInputError as error:
            return _failed()(error)
        except Exception as error:  # a function may be anybody's
            return _failed()(BadInputError(f"template error: {type(error).__name__}: {error}"))

    return call


@cache
def _failed() -> Callable[[BadInputError], object]:
    from jinja2 import StrictUndefined

    class Failed(StrictUndefined):
        """What stands for a value that is not to be had: whatever is done with it raises why."""

        __slots__ = ("error",)

        def __init__(self, error: BadInputError) -> None:
            super().__init__(exc=lambda _message: error)  # type: ignore[arg-type] # it makes what is raised
            self.error = error

    return Failed


def _error_in(value: object) -> BadInputError | None:
    return cast("_Failed", value).error if type(value) is _failed() else None


class _Failed(Protocol):
    error: BadInputError


def fill_in(environment: Environment, text: str) -> str:
    """The text with what its expressions give. Raises BadInputError, with the line as `where` where it is known."""
    from jinja2 import TemplateError

    try:
        return environment.from_string(parse_template(environment, text)).render()
    except (TemplateError, ArithmeticError, LookupError, TypeError, ValueError, RecursionError) as error:
        names = ", ".join(f"`{name}`" for name in environment.globals)
        raise BadInputError(
            f"template error: {error}", where=_line(error), fix=f"Expressions may call {names}."
        ) from error


class Expressions:
    """Fills in values of YAML one by one."""

    def __init__(self, functions: Mapping[str, TemplateFunction]) -> None:
        self._given: list[object] = []
        self._environment = make_environment(functions, self._keep)

    def value(self, text: str) -> object:
        """What the text means: the value itself where it is one expression and nothing else, otherwise text.

        Raises BadInputError.
        """
        self._given.clear()
        filled = fill_in(self._environment, text)
        return self._given[-1] if _is_one_expression(self._environment.parse(text)) else filled

    def _keep(self, value: object) -> object:
        if isinstance(value, BadInputError):
            raise value
        self._given.append(value)
        return value


def _is_one_expression(parsed: Template) -> bool:
    from jinja2.nodes import Output, TemplateData

    body = parsed.body[0] if len(parsed.body) == 1 else None
    return isinstance(body, Output) and len(body.nodes) == 1 and not isinstance(body.nodes[0], TemplateData)


def _line(error: Exception) -> str | None:
    """The line of the template that it was raised on."""
    frames = [each for each in traceback.extract_tb(error.__traceback__) if each.filename == "<template>"]
    return str(frames[-1].lineno) if frames else None


def parse_template(environment: Environment, text: str) -> Template:
    """The text's syntax. Raises BadInputError, with the line as `where`, for what expressions cannot say."""
    from jinja2 import TemplateSyntaxError
    from jinja2.nodes import Call, Name, Node

    try:
        parsed = environment.parse(text)
        nodes = list(parsed.find_all(Node))
    except TemplateSyntaxError as error:
        raise BadInputError(f"template error: {error.message}", where=str(error.lineno)) from None
    except RecursionError:
        raise BadInputError("template error: expressions nest too deeply") from None
    for node in nodes:
        if not isinstance(node, _allowed_nodes()):
            _refuse(node, f"`{_word(node)}` cannot stand in an expression here")
        if isinstance(node, Call) and not isinstance(node.node, Name):
            _refuse(node, "an expression can call functions, and no methods")
    return parsed


def _refuse(node: Node, what: str) -> NoReturn:
    raise BadInputError(
        f"template error: {what}",
        where=str(node.lineno),
        fix=f"There are functions, `if`, and the filters {', '.join(_FILTERS)}.",
    )


def _word(node: Node) -> str:
    return {"Mul": "*", "Pow": "**", "Mod": "%", "Div": "/", "FloorDiv": "//"}.get(
        type(node).__name__, type(node).__name__.lower()
    )


@cache
def _allowed_nodes() -> tuple[type[Node], ...]:
    from jinja2 import nodes

    return tuple(getattr(nodes, name) for name in _NODES)


def _replace(text: object, old: str, new: str) -> str:
    given = str(text)
    if len(given) + given.count(str(old)) * len(str(new)) > _LONGEST:
        raise BadInputError(f"`replace` would make a text of more than {_LONGEST:,} characters")
    return given.replace(str(old), str(new))
