"""A pipeline run that this process takes part in."""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass, field, replace

from refold.errors import BlockFileError, RefoldError
from refold.executors.block_code import BlockCode
from refold.executors.capture import LogWriter
from refold.io.secrets.lookup import conceal_secrets_of
from refold.languages.configuration import filled_configuration, filled_variables
from refold.languages.python.block_function import BlockFunction
from refold.languages.python.fold_function import load_fold_function
from refold.model.block import STRATEGIES, JsonValue
from refold.model.keys import BlockUuid
from refold.ports.executor import BlockTask, Folding, RunContext, Source
from refold.ports.output_store import ChunkBuilder, OutputStore


@dataclass(slots=True)
class OpenRun:
    """What this process holds of a pipeline run."""

    context: RunContext
    tasks: dict[int, BlockTask]
    store: OutputStore
    log: LogWriter
    writer: str
    """Names this process among those that write the run's outputs."""
    cancelled: bool = False
    _builder: ChunkBuilder | None = None
    _builders: int = 0
    _code: dict[int, BlockCode | RefoldError] = field(default_factory=dict)
    _fold_functions: dict[tuple[BlockUuid, str], BlockFunction | RefoldError] = field(default_factory=dict)
    _variables: Mapping[str, JsonValue] | None = None
    _configurations: dict[int, Mapping[str, JsonValue]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Nothing that this process prints, logs or reports shows the project's secrets from now on."""
        conceal_secrets_of(self.context.project)

    def variables(self) -> Mapping[str, JsonValue]:
        """Those of the run, their expressions filled in. Raises PipelineError for one that cannot be."""
        if self._variables is None:
            self._variables = filled_variables(self.context)
        return self._variables

    def configuration(self, task: BlockTask) -> Mapping[str, JsonValue]:
        """The block's, its expressions filled in. Raises PipelineError for one that cannot be."""
        found = self._configurations.get(task.number)
        if found is None:
            found = filled_configuration(task.block, task.configuration, self.context, self.variables())
            self._configurations[task.number] = found
        return found

    def code(self, task: BlockTask) -> BlockCode | RefoldError:
        """The block's code, loaded once; or why it cannot be, which is so for all its runs."""
        found = self._code.get(task.number)
        if found is None:
            try:
                filled = replace(task, configuration=self.configuration(task))
                found = BlockCode(filled, replace(self.context, variables=self.variables()))
            except RefoldError as error:
                found = error
            except BaseException as error:  # KeyboardInterrupt and the like end the block's runs, never the worker
                found = BlockFileError(
                    f"raised {type(error).__name__} while it was loaded", where=str(task.source.path)
                )
            self._code[task.number] = found
        return found

    def fold_function(self, folding: Folding) -> BlockFunction | None:
        """The function of a block's file that its runs are folded with; None for the strategies of our own.

        Raises BlockFileError, each time again, where the file cannot be loaded or has no such function.
        """
        if folding.source is None or folding.strategy in STRATEGIES:
            return None
        key = folding.block, folding.strategy
        found = self._fold_functions.get(key)
        if found is None:
            found = self._fold_functions[key] = self._load_fold_function(folding.source, folding.strategy)
        if isinstance(found, RefoldError):
            raise found.with_traceback(None)
        return found

    def _load_fold_function(self, source: Source, name: str) -> BlockFunction | RefoldError:
        requirements, project = self.context.requirements, self.context.project
        try:
            return load_fold_function(
                source.block, source.path, source.text, name, requirements=requirements, project=project
            )
        except RefoldError as error:
            return error
        except BaseException as error:  # KeyboardInterrupt and the like end a fold, never the worker
            return BlockFileError(f"raised {type(error).__name__} while it was loaded", where=str(source.path))

    def builder(self) -> ChunkBuilder:
        """The builder of this process's chunks of the run."""
        if self._builder is None:
            self._builder = self.scratch_builder()
        return self._builder

    def new_builder(self) -> ChunkBuilder:
        """Another one, empty: what the old one held is lost."""
        self._builder = None
        return self.builder()

    def aside(self) -> OpenRun:
        """The same for who publishes beside it: with a builder of its own."""
        aside = copy(self)
        self._builders += 1
        aside.writer, aside._builder, aside._builders = f"{self.writer}-{self._builders}", None, 0
        return aside

    def scratch_builder(self) -> ChunkBuilder:
        """A builder of its own."""
        self._builders += 1
        return self.store.builder(f"{self.writer}-{self._builders}")

    def close(self) -> None:
        """Closes files, and lets go of the blocks' code."""
        for code in self._code.values():
            if isinstance(code, BlockCode):
                code.close()
        self.log.close()
        self.store.close()
