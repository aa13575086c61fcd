from __future__ import annotations

import textwrap

import pytest

from refold.errors import BlockFileError
from refold.languages.python.decorators import Role
from refold.languages.python.source_facts import SourceFacts, inspect_source
from refold.model.block import BlockType


def facts(source: str, block_type: BlockType = BlockType.DATA_LOADER) -> SourceFacts:
    return inspect_source(textwrap.dedent(source), block_type)


@pytest.mark.parametrize(
    ("definition", "kinds"),
    [
        ("def f(): return 1", (False, False, False)),
        ("def f(): yield 1", (False, True, False)),
        ("def f():\n    x = yield", (False, True, False)),
        ("def f():\n    if True:\n        yield from ()", (False, True, False)),
        ("def f():\n    def g(): yield 1\n    return list(g())", (False, False, False)),
        ("def f():\n    return (lambda: (yield))", (False, False, False)),
        ("def f():\n    return (x for x in ())", (False, False, False)),
        ("async def f(): return 1", (True, False, False)),
        ("async def f(): yield 1", (False, False, True)),
    ],
)
def test_async_functions_and_generators_are_told_apart(definition: str, kinds: tuple[bool, bool, bool]) -> None:
    found = inspect_source(f"@data_loader\n{definition}", BlockType.DATA_LOADER)
    assert found.function == "f"
    assert (found.is_async, found.is_generator, found.is_async_generator) == kinds


def test_the_first_function_with_the_types_decorator_is_described() -> None:
    found = facts(
        """
        @test
        async def check(output): ...
        @transformer
        def first(data) -> bool: ...
        @transformer
        def second(data, **kwargs): ...
        """,
        BlockType.TRANSFORMER,
    )
    assert found.function == "first"
    assert found.is_condition
    assert not found.takes_keywords
    assert found.roles == {Role.TEST, Role.TRANSFORMER}


@pytest.mark.parametrize("annotation", ["bool", "'bool'"])
def test_a_condition_is_seen_in_either_form_of_annotation(annotation: str) -> None:
    assert facts(f"@custom\ndef f() -> {annotation}: ...", BlockType.CUSTOM).is_condition
    assert not facts(f"@custom\ndef f() -> list[{annotation}]: ...", BlockType.CUSTOM).is_condition


@pytest.mark.parametrize(
    "decorated",
    [
        "@data_loader()\ndef f(**kwargs): ...",
        "import mage_ai.data_preparation.decorators as d\n@d.data_loader\ndef f(**kwargs): ...",
        "from mage_ai.data_preparation.decorators import data_loader as dl\n@dl\ndef f(**kwargs): ...",
        "if True:\n    @data_loader\n    def f(**kwargs): ...",
        "try:\n    pass\nfinally:\n    @data_loader\n    def f(**kwargs): ...",
        "match 1:\n    case _:\n        @data_loader\n        def f(**kwargs): ...",
    ],
)
def test_a_decorated_function_is_found_however_it_is_written(decorated: str) -> None:
    found = facts(decorated)
    assert found.function == "f"
    assert found.takes_keywords


def test_a_file_without_the_types_function_has_no_facts() -> None:
    found = facts("def data_loader_like(): yield 1\n@transformer\ndef f(data) -> bool: ...")
    assert found.function is None
    assert [found.is_generator, found.is_condition, found.takes_keywords] == [False, False, False]


def test_nothing_is_executed() -> None:
    assert facts("raise SystemExit\n@data_loader\ndef f(): ...").function == "f"


def test_imports_that_the_file_cannot_do_without_are_listed() -> None:
    found = facts(
        """
        import os.path, numpy as np
        from pandas.io import json
        from typing import TYPE_CHECKING
        from . import beside
        if TYPE_CHECKING:
            import only_for_checkers
        else:
            import otherwise
        try:
            import fast_json
        except ImportError:
            fast_json = None
        try:
            import needed
        finally:
            pass

        @data_loader
        def f():
            import inside
        """
    )
    assert found.imports == {"os", "numpy", "pandas", "typing", "otherwise", "needed", "inside"}


def test_a_syntax_error_names_file_and_line() -> None:
    with pytest.raises(BlockFileError, match=r"^loaders/users\.py:2: syntax error"):
        inspect_source("a = 1\nb = = 2", BlockType.DATA_LOADER, "loaders/users.py")


def test_functions_that_a_reduce_may_name_are_listed() -> None:
    found = facts(
        """
        import os
        from functools import reduce as fold, partial
        from mage_ai.decorators import data_loader, test as check

        def helper(): ...
        async def combine(acc, value): ...
        shortest = lambda acc, value: acc
        limit = 3

        if os.name:
            def guarded(acc, value): ...

        class Table:
            def method(self): ...

        @data_loader
        def load():
            def inner(): ...

        @check
        def checked(output): ...

        @partial
        def wrapped(acc, value): ...
        """
    )
    assert found.functions == {"fold", "partial", "helper", "combine", "shortest", "guarded", "wrapped"}
