"""What a block's source says about its function, read without running it.

A plan is made before any block's code may run, and needs to know of each block whether its function is async, a
generator or a condition, and which modules it will ask for.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from refold.languages.python.annotations import is_bool
from refold.languages.python.decorators import DECORATOR_ROLES, ROLE_OF_TYPE, Role
from refold.languages.python.source import parse_source
from refold.model.block import BlockType

_Definition = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, slots=True)
class SourceFacts:
    """What the source says; all False, and no name, where it decorates no function for the block's type."""

    function: str | None
    """Name of the function that the block runs: the first one with its type's decorator."""
    is_async: bool
    """Whether it is `async def` and returns once."""
    is_generator: bool
    """Whether it is a plain function that yields."""
    is_async_generator: bool
    """Whether it is `async def` and yields."""
    is_condition: bool
    """Whether it is annotated exactly `-> bool`."""
    takes_keywords: bool
    """Whether it takes `**kwargs`."""
    roles: frozenset[Role]
    """All that the file decorates functions for."""
    functions: frozenset[str]
    """Names under which the file has functions of its own that are for nothing else, as a reduce strategy may name:
    it defines them at its top level without one of our decorators, or imports them by name (what it imports may turn
    out to be no function when the file is loaded)."""
    imports: frozenset[str]
    """Top-level names of the modules that it cannot do without: neither relative ones, nor those that only type
    checkers see, nor those whose absence it handles."""


def inspect_source(source: str, block_type: BlockType, filename: str = "<block>") -> SourceFacts:
    """What the source of a block of this type says. Raises BlockFileError, with the line, when it is not Python."""
    tree = parse_source(source, filename)
    statements = list(_executed(tree.body))
    names = _decorator_names(statements)
    wanted = ROLE_OF_TYPE.get(block_type)
    roles: set[Role] = set()
    functions: set[str] = set()
    main: _Definition | None = None
    for statement in statements:
        if isinstance(statement, _Definition):
            own = {role for decorator in statement.decorator_list if (role := _role(decorator, names)) is not None}
            roles |= own
            if not own:
                functions.add(statement.name)
            if main is None and wanted in own:
                main = statement
    is_async = isinstance(main, ast.AsyncFunctionDef)
    yields = main is not None and _yields(main)
    return SourceFacts(
        function=None if main is None else main.name,
        is_async=is_async and not yields,
        is_generator=yields and not is_async,
        is_async_generator=yields and is_async,
        is_condition=main is not None and main.returns is not None and is_bool(ast.unparse(main.returns)),
        takes_keywords=main is not None and main.args.kwarg is not None,
        roles=frozenset(roles),
        functions=frozenset(functions.union(set(_other_functions(statements)) - names.keys())),
        imports=frozenset(_imports(tree.body)),
    )


def _executed(body: Sequence[ast.stmt]) -> Iterator[ast.stmt]:
    """The module's statements, those nested in `if`, `try`, `with` and loops included, in source order."""
    for statement in body:
        yield statement
        if not isinstance(statement, (_Definition, ast.ClassDef)):
            yield from _executed([each for part in _parts(statement) for each in part])


def _parts(statement: ast.stmt) -> Iterator[list[ast.stmt]]:
    yield getattr(statement, "body", [])
    for case in getattr(statement, "cases", []):
        yield case.body
    for handler in getattr(statement, "handlers", []):
        yield handler.body
    yield getattr(statement, "orelse", [])
    yield getattr(statement, "finalbody", [])


def _decorator_names(statements: Sequence[ast.stmt]) -> dict[str, Role]:
    """The names under which the file has decorators: their own, and what it imports them as."""
    names = dict(DECORATOR_ROLES)
    for statement in statements:
        if isinstance(statement, ast.ImportFrom) and (statement.module or "").endswith("decorators"):
            for alias in statement.names:
                if alias.name in DECORATOR_ROLES:
                    names[alias.asname or alias.name] = DECORATOR_ROLES[alias.name]
    return names


def _other_functions(statements: Sequence[ast.stmt]) -> Iterator[str]:
    """Names of what may be functions without a `def`: imported ones and lambdas."""
    for statement in statements:
        if isinstance(statement, ast.ImportFrom):
            yield from (alias.asname or alias.name for alias in statement.names)
        elif isinstance(statement, ast.Assign) and isinstance(statement.value, ast.Lambda):
            yield from (target.id for target in statement.targets if isinstance(target, ast.Name))


def _role(decorator: ast.expr, names: Mapping[str, Role]) -> Role | None:
    if isinstance(decorator, ast.Call):
        decorator = decorator.func
    if isinstance(decorator, ast.Name):
        return names.get(decorator.id)
    if isinstance(decorator, ast.Attribute):
        return DECORATOR_ROLES.get(decorator.attr)
    return None


def _yields(definition: _Definition) -> bool:
    """Whether the function's own body yields, not that of a function within it."""
    waiting: list[ast.AST] = list(definition.body)
    while waiting:
        node = waiting.pop()
        if isinstance(node, (ast.Yield, ast.YieldFrom)):
            return True
        if not isinstance(node, (_Definition, ast.Lambda, ast.ClassDef)):
            waiting.extend(ast.iter_child_nodes(node))
    return False


def _imports(body: Sequence[ast.stmt]) -> Iterator[str]:
    for statement in body:
        if isinstance(statement, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in statement.names)
        elif isinstance(statement, ast.ImportFrom):
            if statement.level == 0 and statement.module:
                yield statement.module.partition(".")[0]
        elif isinstance(statement, ast.If) and _last_name(statement.test) == "TYPE_CHECKING":
            yield from _imports(statement.orelse)
        elif isinstance(statement, (ast.Try, ast.TryStar)) and any(
            _handles_absence(handler) for handler in statement.handlers
        ):
            yield from _imports(statement.orelse + statement.finalbody)
        else:
            for part in _parts(statement):
                yield from _imports(part)


def _handles_absence(handler: ast.ExceptHandler) -> bool:
    if handler.type is None:
        return True
    kinds = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    return any(_last_name(kind) in {"ImportError", "ModuleNotFoundError", "Exception"} for kind in kinds)


def _last_name(node: ast.expr) -> str:
    return node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""
