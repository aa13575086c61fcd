from __future__ import annotations

import asyncio
import dataclasses
import pickle
import subprocess
import sys
import textwrap
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

import cloudpickle
import pytest

from refold.errors import BlockFileError
from refold.languages.python.block_file import BlockFile
from refold.languages.python.block_function import BlockFunction, CallbackStatus
from refold.languages.python.fold_function import load_fold_function
from refold.model.block import BlockType
from refold.model.keys import BlockUuid

Load = Callable[..., BlockFile]


@pytest.fixture(autouse=True)
def forget_modules() -> Iterator[None]:
    """Leaves no block's module behind."""
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        if name.startswith("refold_block_"):
            del sys.modules[name]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """Loads a block from its text."""

    def from_text(text: str, block_type: BlockType = BlockType.DATA_LOADER, **options: object) -> BlockFile:
        path = tmp_path / "users.py"
        path.write_text(textwrap.dedent(text), encoding="utf-8")
        return BlockFile.load(BlockUuid("load_users"), block_type, path, **options)  # type: ignore[arg-type]

    return from_text


def failure(load: Load, source: str, block_type: BlockType = BlockType.DATA_LOADER, **options: object) -> str:
    with pytest.raises(BlockFileError) as caught:
        load(source, block_type, **options)
    return str(caught.value)


def test_decorators_are_there_without_an_import(load: Load) -> None:
    file = load(
        """
        @data_loader
        def load(*args, **kwargs):
            return [1]
        """
    )
    assert file.main.name == "load"
    assert file.main.function() == [1]


def test_a_guarded_import_is_not_needed_and_does_no_harm(load: Load) -> None:
    file = load(
        """
        if 'data_loader' not in globals():
            raise AssertionError
        from mage_ai.data_preparation.decorators import data_loader as loader, test

        @loader
        def load(): ...

        @test
        def check(output): ...
        """
    )
    assert file.main.name == "load"
    assert [each.name for each in file.tests] == ["check"]


@pytest.mark.parametrize(
    ("block_type", "decorator"),
    [
        (BlockType.DATA_LOADER, "@data_loader"),
        (BlockType.TRANSFORMER, "@transformer()"),
        (BlockType.DATA_EXPORTER, "@data_exporter"),
        (BlockType.CUSTOM, "@custom"),
        (BlockType.SENSOR, "@sensor"),
        (BlockType.CALLBACK, "@callback('failure')"),
        (BlockType.CALLBACK, "@on_success"),
        (BlockType.CONDITIONAL, "@condition"),
        (BlockType.EXTENSION, "@extension('great_expectations')"),
    ],
)
def test_each_type_of_block_runs_the_function_with_its_decorator(
    load: Load, block_type: BlockType, decorator: str
) -> None:
    assert load(f"{decorator}\ndef act(*args): ...", block_type).main.name == "act"


def test_only_the_first_decorated_function_of_the_type_runs(load: Load) -> None:
    file = load(
        """
        @transformer
        def shape(data): ...
        @data_loader
        def first(): ...
        @data_loader()
        def second(): ...
        """
    )
    assert file.main.name == "first"


def test_tests_conditions_and_callbacks_keep_their_order(load: Load) -> None:
    file = load(
        """
        @data_loader
        def load(): ...
        @test
        def b(output): ...
        @test()
        def a(output): ...
        @condition
        def ready(): ...
        @callback
        def done(): ...
        @callback('failure')
        def broken(): ...
        @callback(status='cancelled')
        def stopped(): ...
        @on_failure
        def legacy(): ...
        @preprocesser
        def prepare(): ...
        """
    )
    assert [each.name for each in file.tests] == ["b", "a"]
    assert [each.name for each in file.conditions] == ["ready"]
    assert [(each.function.name, each.status) for each in file.callbacks] == [
        ("done", CallbackStatus.SUCCESS),
        ("broken", CallbackStatus.FAILURE),
        ("stopped", CallbackStatus.CANCELLED),
        ("legacy", CallbackStatus.FAILURE),
    ]
    assert [each.name for each in file.preprocessers] == ["prepare"]


def test_a_callback_status_that_there_is_not_is_refused(load: Load) -> None:
    message = failure(load, "@callback('failed')\ndef tell(): ...", BlockType.CALLBACK)
    assert "`tell` names the status 'failed'" in message
    assert "'success', 'failure', 'cancelled'" in message


def test_functions_that_an_imported_helper_decorates_do_not_count(
    load: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "refold_test_helper.py").write_text(
        "from mage_ai.data_preparation.decorators import data_loader\n"
        "@data_loader\n"
        "def elsewhere(): ...\n"
        "def twice(function):\n"
        "    return data_loader(function)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    file = load("import refold_test_helper\n@data_loader\ndef here(): ...")
    assert file.main.name == "here"
    assert load("from refold_test_helper import elsewhere\ndata_loader(elsewhere)").main.name == "elsewhere"
    assert load("import refold_test_helper as h\n@h.twice\ndef mine(): ...").main.name == "mine"
    monkeypatch.delitem(sys.modules, "refold_test_helper")


def test_a_function_wrapped_by_another_decorator_is_the_wrapped_one(load: Load) -> None:
    file = load(
        """
        import functools
        def loudly(function):
            @functools.wraps(function)
            def call(*args, **kwargs):
                return function(*args, **kwargs) + '!'
            return call

        @transformer
        @loudly
        def shape(data: dict) -> bool:
            return 'hi'
        """,
        BlockType.TRANSFORMER,
    )
    assert file.main.name == "shape"
    assert file.main.function({}) == "hi!"
    assert file.main.is_condition
    assert file.main.wants_dict


@pytest.mark.parametrize(
    ("definition", "kinds"),
    [
        ("def f(): return 1", (False, False, False)),
        ("def f(): yield 1", (False, True, False)),
        ("async def f(): return 1", (True, False, False)),
        ("async def f(): yield 1", (False, False, True)),
        ("class F:\n    async def __call__(self): return 1\nf = F()", (True, False, False)),
        ("import functools\nasync def g(a): return 1\nf = functools.partial(g, 1)", (True, False, False)),
    ],
)
def test_async_functions_and_generators_are_told_apart(
    load: Load, definition: str, kinds: tuple[bool, bool, bool]
) -> None:
    main = load(f"{definition}\ndata_loader(f)").main
    assert (main.is_async, main.is_generator, main.is_async_generator) == kinds


@pytest.mark.parametrize(
    ("source", "is_condition"),
    [
        ("@transformer\ndef f(data) -> bool: ...", True),
        ("@transformer\ndef f(data) -> 'bool': ...", True),
        ("from __future__ import annotations\n@transformer\ndef f(data: Unknown) -> bool: ...", True),
        ("@transformer\ndef f(data): ...", False),
        ("@transformer\ndef f(data) -> 'bool | None': ...", False),
        ("@transformer\ndef f(data) -> int: ...", False),
    ],
)
def test_a_condition_is_annotated_exactly_bool(load: Load, source: str, is_condition: bool) -> None:
    assert load(source, BlockType.TRANSFORMER).main.is_condition is is_condition


@pytest.mark.parametrize(
    ("annotation", "wants_dict"),
    [
        ("dict", True),
        ("dict[str, int]", True),
        ("typing.Dict", True),
        ("typing.Dict[str, int]", True),
        ("typing.Mapping", True),
        ("collections.abc.Mapping[str, int]", True),
        ("typing.Optional[dict]", True),
        ("dict | None", True),
        ("typing.Annotated[dict, 'row']", True),
        ("User", True),
        ("'User'", True),
        ("'dict'", True),
        ("'typing.Dict[str, Unknown]'", True),
        ("'Dict'", True),
        ("'''not Python'''", False),
        ("list", False),
        ("typing.List[dict]", False),
        ("dict | list", False),
        ("'Unknown'", False),
        ("typing.Any", False),
        ("object", False),
    ],
)
@pytest.mark.parametrize("future", ["", "from __future__ import annotations\n"])
def test_a_first_parameter_annotated_as_a_dict_is_seen(
    load: Load, annotation: str, wants_dict: bool, future: str
) -> None:
    source = (
        f"{future}import collections.abc, typing\nclass User(typing.TypedDict):\n    id: int\n"
        f"@transformer\ndef f(data: {annotation}, *args): ..."
    )
    assert load(source, BlockType.TRANSFORMER).main.wants_dict is wants_dict


def test_dataclasses_and_type_hints_find_the_module_of_their_class(load: Load) -> None:
    file = load(
        """
        from __future__ import annotations
        import dataclasses, typing

        @dataclasses.dataclass
        class User:
            id: int
            friend: typing.Optional[User] = None
            kind: typing.ClassVar[str] = 'user'

        @data_loader
        def load():
            return User(1), typing.get_type_hints(User)
        """
    )
    returned = file.main.function()
    assert isinstance(returned, tuple)
    user, hints = returned
    assert [each.name for each in dataclasses.fields(user)] == ["id", "friend"]
    assert hints["id"] is int


def test_values_of_a_blocks_classes_can_be_read_where_the_block_is_not_loaded(load: Load) -> None:
    file = load(
        """
        import dataclasses
        @dataclasses.dataclass
        class User:
            id: int
        @data_loader
        def load():
            return User(7)
        """
    )
    data = cloudpickle.dumps(file.main.function())
    code = f"import pickle; print(pickle.loads({data!r}).id)"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "7"
    assert pickle.loads(data) == file.main.function()


def test_a_traceback_shows_the_lines_that_were_executed(load: Load, tmp_path: Path) -> None:
    file = load("@data_loader\ndef load():\n    return 1 / 0  # as it was\n")
    (tmp_path / "users.py").write_text("nothing\nof\nthe kind\n")
    with pytest.raises(ZeroDivisionError) as caught:
        file.main.function()
    assert "return 1 / 0  # as it was" in "".join(traceback.format_exception(caught.value))


def test_a_run_can_keep_the_text_it_started_with(load: Load) -> None:
    file = load("not Python at all", source="@data_loader\ndef load(): return 'kept'")
    assert file.main.function() == "kept"


def test_a_file_knows_its_path_and_is_not_main(load: Load, tmp_path: Path) -> None:
    file = load("@data_loader\ndef load(): return __file__, __name__\nif __name__ == '__main__': raise AssertionError")
    returned = file.main.function()
    assert isinstance(returned, tuple)
    assert returned[0] == str(tmp_path / "users.py")
    assert returned[1].startswith("refold_block_load_users_")


def test_two_blocks_do_not_share_names(load: Load) -> None:
    first = load("n = 1\n@data_loader\ndef load(): return n")
    second = load("n = 2\n@data_loader\ndef load(): return n")
    assert (first.main.function(), second.main.function()) == (1, 2)


def fold_function(tmp_path: Path, text: str, name: str = "combine") -> BlockFunction:
    return load_fold_function(BlockUuid("load_users"), tmp_path / "users.py", textwrap.dedent(text), name)


@pytest.mark.parametrize(
    "definition",
    [
        "def combine(acc, value): return acc + value",
        "def combine(acc, value, scale=1): return acc + value",
        "def combine(*values): return sum(values)",
        "combine = lambda acc, value: acc + value",
        "from operator import add as combine",
        "if True:\n    def combine(acc, value): return acc + value",
    ],
)
def test_a_function_of_the_file_can_be_reduced_by(tmp_path: Path, definition: str) -> None:
    assert fold_function(tmp_path, definition).function(1, 2) == 3


def test_an_async_function_to_reduce_by_is_seen_as_one(tmp_path: Path) -> None:
    assert fold_function(tmp_path, "async def combine(acc, value): return acc").is_async


@pytest.mark.parametrize(
    ("definition", "words"),
    [
        ("def combin(acc, value): ...", "defines no function `combine` to reduce by; it has `combin` (not decorated)"),
        ("combine = 3", "defines no function `combine` to reduce by; it has no functions at all"),
        ("@transformer\ndef combine(acc, value): ...", "it is decorated with `@transformer`"),
        ("@test\ndef combine(acc, value): ...", "it is decorated with `@test`"),
        ("def combine(acc): ...", "`combine(acc)` is nothing to reduce by: it cannot be called with two positional"),
        ("def combine(a, b, c): ...", "it cannot be called with two positional arguments"),
        ("def combine(acc, value, *, scale): ...", "it cannot be called with two positional arguments"),
        ("def combine(acc, value): yield acc", "it yields"),
        ("async def combine(acc, value): yield acc", "it yields"),
        ("def combine(acc, value)", "syntax error"),
        ("raise ValueError('no')", "raised ValueError while it was loaded: no"),
    ],
)
def test_what_cannot_be_reduced_by_is_refused_with_the_file(tmp_path: Path, definition: str, words: str) -> None:
    with pytest.raises(BlockFileError) as caught:
        fold_function(tmp_path, definition)
    assert words in caught.value.message
    assert str(tmp_path / "users.py") in str(caught.value.where)


def test_a_decorator_is_not_mistaken_for_a_function_of_the_file(tmp_path: Path) -> None:
    with pytest.raises(BlockFileError, match="defines no function `custom`"):
        fold_function(tmp_path, "@custom\ndef run(): ...", "custom")


def test_a_file_that_is_loaded_is_not_executed_again_to_reduce(load: Load, tmp_path: Path) -> None:
    text = "seen = []\n@data_loader\ndef load(): seen.append(1)\ndef combine(acc, value): return seen"
    load(text).main.function()
    assert fold_function(tmp_path, text).function(0, 0) == [1]


def test_a_syntax_error_names_file_line_and_text(load: Load, tmp_path: Path) -> None:
    message = failure(load, "@data_loader\ndef load(:\n    ...\n")
    assert message == f"{tmp_path / 'users.py'}:2: syntax error: invalid syntax: def load(:"


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(BlockFileError, match=r"gone\.py: the block's file is not there"):
        BlockFile.load(BlockUuid("gone"), BlockType.DATA_LOADER, tmp_path / "gone.py")
    with pytest.raises(BlockFileError, match="cannot be read"):
        BlockFile.load(BlockUuid("folder"), BlockType.DATA_LOADER, tmp_path)


def test_a_file_that_is_not_utf8_names_line_and_byte(tmp_path: Path) -> None:
    path = tmp_path / "latin.py"
    path.write_bytes(b"@data_loader\ndef load(): return 'caf\xe9'\n")
    with pytest.raises(BlockFileError, match=r"latin\.py:2: .* not utf-8 text: byte 0xE9 at offset 36"):
        BlockFile.load(BlockUuid("latin"), BlockType.DATA_LOADER, path)


def test_a_declared_encoding_is_read(tmp_path: Path) -> None:
    path = tmp_path / "latin.py"
    path.write_bytes(b"# -*- coding: latin-1 -*-\n@data_loader\ndef load(): return 'caf\xe9'\n")
    assert BlockFile.load(BlockUuid("latin"), BlockType.DATA_LOADER, path).main.function() == "café"
    path.write_bytes(b"# -*- coding: klingon -*-\n")
    with pytest.raises(BlockFileError, match="unknown encoding: klingon"):
        BlockFile.load(BlockUuid("latin"), BlockType.DATA_LOADER, path)


def test_zero_bytes_are_not_python(load: Load) -> None:
    assert "null bytes" in failure(load, "a = 1\0")


def test_a_missing_module_is_named_with_the_file_that_lists_it(load: Load, tmp_path: Path) -> None:
    project, pipeline = tmp_path / "requirements.txt", tmp_path / "pipeline.txt"
    project.write_text("pandas>=2\n# a comment\n")
    pipeline.write_text("Refold_No.Such[extra] >= 1\n")
    source = "\nimport refold_no_such.inner\n@data_loader\ndef load(): ..."
    message = failure(load, source, requirements=[project, pipeline], project=tmp_path)
    assert f"{tmp_path / 'users.py'}:2: imports `refold_no_such`, which is not installed" in message
    assert f"{pipeline} lists it: run `refold install {tmp_path}`" in message


def test_a_missing_module_that_nobody_lists_says_where_it_belongs(load: Load, tmp_path: Path) -> None:
    source = "import refold_no_such\n@data_loader\ndef load(): ..."
    file = tmp_path / "requirements.txt"
    assert f"Add `refold_no_such` to {file} and run `refold install PROJECT`" in failure(
        load, source, requirements=[file]
    )
    assert "to the project's requirements.txt" in failure(load, source)


def test_a_missing_module_is_asked_for_by_the_name_that_one_installs(load: Load) -> None:
    message = failure(load, "raise ModuleNotFoundError('no cv2', name='cv2')")
    assert "imports `cv2`" in message
    assert "Add `opencv-python`" in message


def test_a_missing_part_of_an_installed_package_is_not_an_installation(load: Load) -> None:
    assert "the `json` that is installed has no such module" in failure(load, "import json.nowhere")


def test_a_missing_module_deep_in_a_library_points_at_the_blocks_own_line(
    load: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "refold_test_broken.py").write_text("\n\n\nimport refold_no_such\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert "users.py:3: imports `refold_no_such`" in failure(load, "\n\nimport refold_test_broken")


@pytest.mark.parametrize("raised", ["ValueError('no url')", "SystemExit('no url')"])
def test_what_the_file_raises_is_shown_with_its_line(load: Load, raised: str) -> None:
    name = raised.partition("(")[0]
    assert f"users.py:2: raised {name} while it was loaded: no url" in failure(load, f"\nraise {raised}")


def test_a_failed_load_leaves_no_module_behind(load: Load) -> None:
    before = set(sys.modules)
    failure(load, "raise ValueError")
    failure(load, "def load(): ...")
    assert not [name for name in set(sys.modules) - before if name.startswith("refold_block_")]


def test_a_near_miss_is_named_with_both_ways_out(load: Load) -> None:
    message = failure(load, "@transformer\ndef clean(data): ...\n@test\ndef check(o): ...\ndef help(): ...")
    assert "block `load_users` is a data_loader, and its file has no function decorated with `@data_loader`" in message
    assert "it has `clean` (@transformer), `check` (@test), `help` (not decorated)" in message
    assert "Write `@data_loader` instead of `@transformer` above `clean`" in message
    assert "`type: transformer`" in message


def test_a_custom_function_is_not_a_data_loader(load: Load) -> None:
    assert "Write `@data_loader` instead of `@custom`" in failure(load, "@custom\ndef load(): ...")


def test_a_file_without_functions_says_so(load: Load) -> None:
    message = failure(load, "")
    assert "it has no functions at all" in message
    assert "Write `@data_loader` above the function that the block is to run" in message


def test_blocks_that_are_not_run_by_python_have_no_function(load: Load) -> None:
    assert "blocks of type `markdown` have no Python function" in failure(load, "", BlockType.MARKDOWN)


def test_decorated_functions_stay_plain_functions_outside_a_load() -> None:
    from mage_ai.data_preparation.decorators import callback, data_loader, test

    @data_loader
    def load() -> int:
        return 1

    @callback("failure")
    async def tell() -> int:
        return 2

    def check() -> None: ...

    assert load() == 1
    assert asyncio.run(tell()) == 2
    assert test(check) is check
    assert test()(check) is check
