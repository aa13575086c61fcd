"""What neither JSON nor Parquet keeps is pickled; what nothing keeps is named."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import cloudpickle
import pytest

from refold.errors import BlockTimeoutError, StoreError
from refold.outputs.codecs import decode, encode

READ_ELSEWHERE = """
import sys
from refold.outputs.codecs import decode
value = decode(int(sys.argv[1]), sys.stdin.buffer.read())
print(type(value).__name__, value.text if hasattr(value, "text") else value())
"""


def read_elsewhere(value: object) -> str:
    """What another process sees, which has loaded none of our modules."""
    codec, data = encode(value)
    ran = subprocess.run(
        [sys.executable, "-c", READ_ELSEWHERE, str(codec)], input=data, capture_output=True, check=True
    )
    return ran.stdout.decode().strip()


def block_module(source: str) -> ModuleType:
    module = ModuleType("refold_block_of_this_test")
    sys.modules[module.__name__] = module
    exec(source, module.__dict__)
    return module


@pytest.fixture
def module() -> Iterator[ModuleType]:
    module = block_module("class Record:\n    def __init__(self, text):\n        self.text = text\n")
    yield module
    del sys.modules[module.__name__]


def test_a_lambda_reaches_another_process() -> None:
    captured = "captured"
    assert read_elsewhere(lambda: captured) == "function captured"


def test_a_class_of_a_blocks_file_reaches_another_process(module: ModuleType) -> None:
    cloudpickle.register_pickle_by_value(module)
    try:
        assert read_elsewhere(module.Record("hello")) == "Record hello"
    finally:
        cloudpickle.unregister_pickle_by_value(module)


def test_a_class_that_is_no_longer_importable_reaches_another_process(module: ModuleType) -> None:
    kept = sys.modules.pop(module.__name__)
    try:
        assert read_elsewhere(module.Record("hello")) == "Record hello"
    finally:
        sys.modules[module.__name__] = kept


def test_a_class_of_the_main_script_reaches_another_process(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import sys\nfrom refold.outputs.codecs import encode\n"
        "class Record:\n    text = 'from main'\n"
        "codec, data = encode(Record())\nsys.stdout.buffer.write(bytes((codec,)) + data)\n"
    )
    written = subprocess.run([sys.executable, str(script)], capture_output=True, check=True).stdout
    ran = subprocess.run(
        [sys.executable, "-c", READ_ELSEWHERE, str(written[0])], input=written[1:], capture_output=True, check=True
    )
    assert ran.stdout.decode().strip() == "Record from main"


def generator() -> Iterator[int]:
    yield 1


class Holder:
    def __init__(self, inner: object) -> None:
        self.inner = inner


@pytest.mark.parametrize(
    ("make", "kind"),
    [
        (generator, "generator"),
        (threading.Lock, "lock"),
        (lambda: sqlite3.connect(":memory:"), "sqlite3.Connection"),
        (lambda: memoryview(b"abc"), "memoryview"),
        (partial(Path(__file__).open, encoding="utf-8"), "TextIOWrapper"),
        (partial(Path(__file__).open, "rb"), "BufferedReader"),
    ],
    ids=["generator", "lock", "connection", "memoryview", "text file", "binary file"],
)
@pytest.mark.parametrize(
    ("wrap", "path"),
    [
        (lambda x: x, ""),
        (lambda x: {"users": [1, x]}, " at ['users'][1] "),
        (lambda x: Holder((x,)), " at .inner[0] "),
        (lambda x: [lambda: 1, Holder(x)], " at [1].inner "),
    ],
    ids=["alone", "in a list in a dict", "in an object", "beside a lambda"],
)
def test_what_cannot_be_stored_is_named_with_its_path(
    make: Callable[[], Any], kind: str, wrap: Callable[[object], object], path: str
) -> None:
    unstorable = make()
    try:
        with pytest.raises(StoreError) as caught:
            encode(wrap(unstorable))
    finally:
        if hasattr(unstorable, "close"):
            unstorable.close()
    message = str(caught.value)
    assert f"{kind}" in message
    assert path in message
    assert "generators, open files, locks and connections" in message


def test_a_value_whose_class_is_gone_is_an_error_that_says_so(module: ModuleType) -> None:
    codec, data = encode(module.Record("hello"))
    del module.Record
    with pytest.raises(StoreError, match="AttributeError"):
        decode(codec, data)


class TimesOutOnce:
    def __init__(self) -> None:
        self.times = 0

    def __reduce__(self) -> tuple[object, ...]:
        self.times += 1
        if self.times == 1:
            raise BlockTimeoutError("took too long")
        return int, ()


def test_a_timeout_while_a_value_is_encoded_stays_a_timeout() -> None:
    with pytest.raises(BlockTimeoutError):
        encode([TimesOutOnce()])
