"""A block's Python file, loaded: its functions, and errors that say what a file lacks.

The file is executed once, as a module of its own under a name that depends on nothing but the block, the path and the
text. It stays in `sys.modules`, where dataclasses and type hints look for the module of a class; values of its classes
are pickled with their classes, since the process that reads them need not have loaded this file.
"""

from __future__ import annotations

import hashlib
import linecache
import re
import sys
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from weakref import WeakKeyDictionary

from refold.errors import BlockFileError, RefoldError
from refold.languages.python.block_function import BlockFunction, Callback
from refold.languages.python.decorators import DECORATORS, ROLE_OF_TYPE, Decorated, Role, collecting
from refold.languages.python.missing_module import missing_module_error
from refold.languages.python.source import compile_source, read_source
from refold.model.block import BlockType
from refold.model.keys import BlockUuid


class BlockFile:
    """A loaded file: the function that the block runs, and those beside it."""

    def __init__(
        self,
        block_uuid: BlockUuid,
        block_type: BlockType,
        path: Path,
        module: ModuleType,
        decorated: Sequence[Decorated],
    ) -> None:
        """Sorts what the executed file has decorated. Raises BlockFileError when nothing is for the block's type."""
        self.block_uuid = block_uuid
        self.path = path
        self.module = module
        self.tests = _functions(decorated, Role.TEST)
        """`@test` functions, in order."""
        self.conditions = _functions(decorated, Role.CONDITION)
        """`@condition` functions, in order."""
        self.preprocessers = _functions(decorated, Role.PREPROCESSER)
        """`@preprocesser` functions, in order."""
        self.callbacks = tuple(Callback.of(each, str(path)) for each in decorated if each.role is Role.CALLBACK)
        """`@callback` functions, in order, each with the status that it waits for."""
        self._decorated = decorated
        self.main = self._find_main(block_type)
        """The function that the block runs: the first with its type's decorator."""

    @classmethod
    def load(
        cls,
        block_uuid: BlockUuid,
        block_type: BlockType,
        path: Path,
        source: str | None = None,
        *,
        requirements: Sequence[Path] = (),
        project: Path | None = None,
    ) -> BlockFile:
        """Executes the file and finds the functions that a block of this type has.

        `source` is the text to execute instead of what the file holds now. `requirements` and `project` say where a
        missing module belongs and how it is installed. Raises BlockFileError, with file and line, when the file is not
        there, is not Python, raises, imports what is not installed, or decorates no function for the block's type.
        """
        text = read_source(path) if source is None else source
        with _executing(block_uuid, path, text, requirements, project) as (module, decorated):
            return cls(block_uuid, block_type, path, module, decorated)

    def _find_main(self, block_type: BlockType) -> BlockFunction:
        wanted = ROLE_OF_TYPE.get(block_type)
        if wanted is None:
            raise BlockFileError(f"blocks of type `{block_type.value}` have no Python function", where=str(self.path))
        for each in self._decorated:
            if each.role is wanted:
                return BlockFunction.of(each.function)
        raise self._nothing_to_run(block_type, wanted)

    def _nothing_to_run(self, block_type: BlockType, wanted: Role) -> BlockFileError:
        near = next((each for each in self._decorated if each.role in _MAIN_ROLES), None)
        if near is not None:
            types = [other.value for other, role in ROLE_OF_TYPE.items() if role is near.role]
            fix = (
                f"Write `@{wanted.value}` instead of `@{near.decorator}` above `{_name(near)}`, or give the block "
                f"`type: {types[0]}` in the pipeline's metadata.yaml."
            )
        else:
            fix = f"Write `@{wanted.value}` above the function that the block is to run."
        return BlockFileError(
            f"block `{self.block_uuid}` is a {block_type.value}, and its file has no function decorated with "
            f"`@{wanted.value}`; {listing(self._decorated, self.module)}",
            where=str(self.path),
            fix=fix,
        )


_MAIN_ROLES = frozenset(ROLE_OF_TYPE.values())
_decorated_in: WeakKeyDictionary[ModuleType, Sequence[Decorated]] = WeakKeyDictionary()
"""What the files that this process has loaded decorate."""


def loaded_module(
    block_uuid: BlockUuid, path: Path, source: str, requirements: Sequence[Path] = (), project: Path | None = None
) -> tuple[ModuleType, Sequence[Decorated]]:
    """The file as a module, and what it decorates; executed unless this process has it already.

    For what a file has beside the functions of its block's type. Raises BlockFileError as `BlockFile.load`.
    """
    module = sys.modules.get(module_name(block_uuid, path, source))
    if module is None or module not in _decorated_in:
        with _executing(block_uuid, path, source, requirements, project) as (module, _):
            pass
    return module, _decorated_in[module]


@contextmanager
def _executing(
    block_uuid: BlockUuid, path: Path, text: str, requirements: Sequence[Path], project: Path | None
) -> Iterator[tuple[ModuleType, Sequence[Decorated]]]:
    """The file's module, executed, and what it decorates. What is raised meanwhile or inside leaves no module."""
    code = compile_source(text, str(path))
    module = _module(block_uuid, path, text)
    replaced = sys.modules.get(module.__name__)
    sys.modules[module.__name__] = module
    # Tracebacks show the lines that were executed, whatever the file holds by then: no time stamp, no check.
    linecache.cache[str(path)] = (len(text), None, text.splitlines(keepends=True), str(path))
    try:
        with collecting(module.__dict__) as decorated:
            exec(code, module.__dict__)
        yield module, decorated
    except BaseException as error:
        _restore(module.__name__, replaced)
        if isinstance(error, RefoldError) or not isinstance(error, (Exception, SystemExit)):
            raise
        raise _load_error(error, path, requirements, project) from error
    _decorated_in[module] = decorated
    _pickle_by_value(module)


def module_name(block_uuid: BlockUuid, path: Path, source: str) -> str:
    """`refold_block_<uuid>_<digest>`: the same in every process, and another for every other file or text."""
    digest = hashlib.sha256(f"{path}\0{source}".encode("utf-8", "surrogatepass")).hexdigest()[:12]
    return f"refold_block_{re.sub(r'[^0-9A-Za-z_]', '_', block_uuid)}_{digest}"


def _module(block_uuid: BlockUuid, path: Path, source: str) -> ModuleType:
    module = ModuleType(module_name(block_uuid, path, source))
    module.__file__ = str(path)
    vars(module).update(DECORATORS)
    return module


def _restore(name: str, replaced: ModuleType | None) -> None:
    if replaced is None:
        sys.modules.pop(name, None)
    else:
        sys.modules[name] = replaced


def _pickle_by_value(module: ModuleType) -> None:
    import cloudpickle

    cloudpickle.register_pickle_by_value(module)


def _load_error(error: BaseException, path: Path, requirements: Sequence[Path], project: Path | None) -> BlockFileError:
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
    where = f"{path}:{lines[-1]}" if lines else str(path)
    if isinstance(error, ModuleNotFoundError) and error.name:
        return missing_module_error(error.name, where, requirements, project)
    said = f": {error}" if str(error) else ""
    return BlockFileError(f"raised {type(error).__name__} while it was loaded{said}", where=where)


def _functions(decorated: Sequence[Decorated], role: Role) -> tuple[BlockFunction, ...]:
    return tuple(BlockFunction.of(each.function) for each in decorated if each.role is role)


def listing(decorated: Sequence[Decorated], module: ModuleType) -> str:
    """What a file has, for a message: decorated functions, then the others that it defines."""
    found = [f"`{_name(each)}` (@{each.decorator})" for each in decorated]
    known = {id(each.function) for each in decorated}
    for name, value in vars(module).items():
        code = getattr(value, "__code__", None)
        if code is not None and code.co_filename == module.__file__ and id(value) not in known:
            found.append(f"`{name}` (not decorated)")
    return f"it has {', '.join(found)}" if found else "it has no functions at all"


def _name(decorated: Decorated) -> str:
    return getattr(decorated.function, "__name__", type(decorated.function).__name__)
