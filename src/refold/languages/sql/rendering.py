"""A SQL block's file as a template: what its expressions give is kept apart from the text around them.

An expression leaves a mark in the text, which nobody can foresee, and its value in a list: so whatever a value says, it
cannot change the statement. What the template itself puts together (a macro, `{% set x %}...{% endset %}`) is text of
the statement, with the marks of the values in it.
"""

from __future__ import annotations

import re
import secrets
import traceback
from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, cast, overload

from refold.errors import BlockFileError, RefoldError
from refold.io.databases.sql_text import HOLE
from refold.languages.sql.filters import sql_filters
from refold.languages.sql.lambdas import without_lambdas
from refold.model.suggestion import near

if TYPE_CHECKING:
    from jinja2 import Environment, nodes
    from jinja2.runtime import Context

_TEXT = "sql_text"
"""The attribute of the environment that makes a `SqlFragment`: no expression of a template can name it."""
_VALUES = "\0values"
"""Under which a template's context has the list of the values of a rendering."""
_UPSTREAM = re.compile(r"df_\d+")
"""Names of upstream blocks' rows."""


class SqlFragment(str):
    """Text that the template has put together: part of the statement, not a value.

    Only `fragment` makes one. Called, the class gives plain text: what methods make of a fragment, such as Jinja's
    `format`, has values in it and is a value.
    """

    __slots__ = ()

    def __new__(cls, text: str = "") -> str:  # type: ignore[misc] # a fragment is what this must not give
        return str(text)


def fragment(parts: Iterable[str]) -> SqlFragment:
    """The parts in one."""
    return str.__new__(SqlFragment, "".join(parts))


@dataclass(frozen=True, slots=True)
class RenderedText:
    """What a template gave, but for the values."""

    text: str
    """With a `HOLE` for each value."""
    holes: tuple[int, ...] = ()
    """Which value belongs into each hole."""
    places: tuple[tuple[int, int], ...] = ()
    """Where in the text, in rising order, a piece of the file begins, and in which of its lines."""

    def line(self, position: int) -> int:
        """The line of the file that wrote this position of the text, as near as it is known."""
        found = bisect_right(self.places, position, key=lambda place: place[0]) - 1
        start, line = self.places[found] if found >= 0 else (0, 1)
        return line + self.text.count("\n", start, position)


class SqlTemplate:
    """A template, parsed once and rendered for each run."""

    def __init__(self, text: str, path: str) -> None:
        """Parses it. Raises BlockFileError, with the line, where it is none."""
        from jinja2 import TemplateSyntaxError

        self._path = path
        self._secret = secrets.token_hex(16)
        self._marks = re.compile(rf"\x02{self._secret}(?:(\d+)|@(\d+))\x03")
        self._split = lru_cache(maxsize=256)(self._split_text)
        if HOLE in text:
            line = text[: text.index(HOLE)].count("\n") + 1
            raise BlockFileError("the file has U+FFFF, which is no character", where=f"{path}:{line}")
        prepared, lambdas = without_lambdas(text, path)
        environment = _environment(self._finalize)
        try:
            tree = environment.parse(prepared, filename=path)
            self._accept(tree)
            _keep_optional_text(tree)
            code = environment.compile(tree, filename=path)
        except TemplateSyntaxError as error:
            raise BlockFileError(f"template error: {error.message}", where=f"{path}:{error.lineno}") from error
        self._lambdas = lambdas
        self._template = environment.template_class.from_code(environment, code, environment.make_globals(None))

    def render(self, names: Mapping[str, object]) -> tuple[RenderedText, Sequence[object]]:
        """The text, and the values of its holes. As long as it is remembered, the same text is the same object.

        Raises BlockFileError, with the line, where something is made of a name that there is not, and what functions
        called in it raise. Where such a name stands alone, that is an error when its value is asked for: in a comment
        nobody does.
        """
        from jinja2 import UndefinedError
        from jinja2.exceptions import SecurityError

        values = _Values()
        try:
            text = self._template.render({**names, **self._lambdas, _VALUES: values})
        except RefoldError as error:
            error.where = error.where or self._where(error)
            raise
        except UndefinedError as error:
            raise _undefined(error, names, self._where(error)) from None
        except SecurityError as error:
            raise BlockFileError(f"template error: {error}", where=self._where(error)) from None
        except Exception as error:
            error.add_note(f"in the template, {self._where(error)}")
            raise
        return self._split(text), _Incomplete(values, names) if values.undefined else values

    def _finalize(self, context: Context, value: object) -> str:
        """What an expression leaves in the text."""
        from jinja2 import Undefined

        if isinstance(value, SqlFragment):
            return value
        if isinstance(value, Undefined):
            cast("_Values", context.parent[_VALUES]).undefined = True
        elif isinstance(value, str) and self._secret in value.lower():
            # It was made of the statement's text. Where lines begin may be left out of it, values may not.
            value = self._marks.sub(lambda mark: mark[0] if mark[2] is None else "", value)
            if self._secret in value.lower():
                raise BlockFileError(
                    "text of a macro or of `{% set %}` that holds values is part of the statement: it cannot be "
                    "changed, joined or filtered",
                    fix="Write it as it is, `{{ name }}`, and filter the values inside it.",
                )
        values = cast("list[object]", context.parent[_VALUES])
        values.append(value)
        return f"\x02{self._secret}{len(values) - 1}\x03"

    def _split_text(self, text: str) -> RenderedText:
        parts: list[str] = []
        holes: list[int] = []
        places: list[tuple[int, int]] = []
        at = length = 0
        for mark in self._marks.finditer(text):
            parts.append(text[at : mark.start()])
            length += mark.start() - at
            at = mark.end()
            if mark[2] is not None:
                places.append((length, int(mark[2])))
            else:
                holes.append(int(mark[1]))
                parts.append(HOLE)
                length += 1
        return RenderedText("".join((*parts, text[at:])), tuple(holes), tuple(places))

    def _accept(self, tree: nodes.Template) -> None:
        """Notes where lines begin. Raises BlockFileError for what would write values into the statement's text."""
        from jinja2 import nodes

        for refused, words in _refused().items():
            for node in tree.find_all(refused):
                if not isinstance(node, nodes.AssignBlock) or node.filter is not None:
                    raise BlockFileError(
                        f"{words} cannot be used in SQL",
                        where=f"{self._path}:{node.lineno}",
                        fix="Filter values where they stand, `{{ x | upper }}`; call a macro as `{{ name() }}`.",
                    )
        captured = {
            id(data)
            for capturing in tree.find_all((nodes.AssignBlock, nodes.Macro))
            for data in capturing.find_all(nodes.TemplateData)
        }
        for data in tree.find_all(nodes.TemplateData):
            if id(data) not in captured:
                data.data = f"\x02{self._secret}@{data.lineno}\x03{data.data}"

    def _where(self, error: BaseException) -> str:
        lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == self._path]
        return f"{self._path}:{lines[-1]}" if lines else self._path


class _Values(list[object]):
    """What the expressions gave."""

    undefined = False
    """Whether one of them gave nothing, since there is no such name."""


class _Incomplete(Sequence[object]):
    """Values of which some are not there. Raises BlockFileError for one of those."""

    def __init__(self, values: Sequence[object], names: Mapping[str, object]) -> None:
        self._values = values
        self._names = names

    def __len__(self) -> int:
        return len(self._values)

    @overload
    def __getitem__(self, index: int) -> object: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[object]: ...
    def __getitem__(self, index: int | slice) -> object:
        from jinja2 import TemplateError, Undefined

        value = self._values[index]
        if isinstance(value, Undefined):
            try:
                str(value)
            except TemplateError as error:
                raise _undefined(error, self._names) from None
        return value


def _undefined(error: Exception, names: Mapping[str, object], where: str | None = None) -> BlockFileError:
    message, fix = f"template error: {error}", None
    if name := re.fullmatch(r"'(\w+)' is undefined", str(error)):
        meant = near(name[1], names)
        message += f"; the names there are: {', '.join(sorted(names))}"
        fix = None if meant is None else f"Did you mean `{meant}`?"
        if _UPSTREAM.fullmatch(name[1]):
            count = sum(_UPSTREAM.fullmatch(each) is not None for each in names)
            fix = f"The block has {count} in `upstream_blocks`; `df_1` is the first one's rows."
    return BlockFileError(message, where=where, fix=fix)


def _keep_optional_text(tree: nodes.Template) -> None:
    """Has `{{ "," if not loop.last }}` be text of the statement: a text of the file, which is there or is nothing."""
    from jinja2 import nodes

    for output in tree.find_all(nodes.Output):
        for choice in output.nodes:
            if isinstance(choice, nodes.CondExpr):
                branches = [choice.expr1, choice.expr2 or nodes.Const("", lineno=choice.lineno)]
                texts = [each.value for each in branches if isinstance(each, nodes.Const) and type(each.value) is str]
                if len(texts) == 2 and "" in texts and HOLE not in "".join(texts):
                    choice.expr1, choice.expr2 = (_as_text(each) for each in branches)


def _as_text(constant: nodes.Expr) -> nodes.Expr:
    from jinja2 import nodes

    line = constant.lineno
    return nodes.Call(nodes.EnvironmentAttribute(_TEXT, lineno=line), [constant], [], None, None, lineno=line)


def _environment(finalize: Callable[[Context, object], str]) -> Environment:
    from jinja2 import StrictUndefined, pass_context
    from jinja2.sandbox import SandboxedEnvironment

    @pass_context  # so that constants too are only known when the template is rendered
    def marked(context: Context, value: object) -> str:
        return finalize(context, value)

    environment = SandboxedEnvironment(undefined=StrictUndefined, finalize=marked, keep_trailing_newline=True)
    environment.concat = fragment  # type: ignore[method-assign] # what generated code makes of captured text
    setattr(environment, _TEXT, fragment)
    environment.filters = sql_filters(environment.filters)
    return environment


def _refused() -> Mapping[type[nodes.Node], str]:
    """Jinja's statements that write without an expression's value being seen, and those that read other files."""
    from jinja2 import nodes

    return {
        nodes.FilterBlock: "`{% filter %}`",
        nodes.AssignBlock: "`{% set %}` with a filter",
        nodes.CallBlock: "`{% call %}`",
        nodes.ScopedEvalContextModifier: "`{% autoescape %}`",
        nodes.Extends: "`{% extends %}`",
        nodes.Include: "`{% include %}`",
        nodes.Import: "`{% import %}`",
        nodes.FromImport: "`{% from %}`",
    }
