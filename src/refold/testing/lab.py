"""Small pipelines, written in a few words and run by worker processes: what tests of the law share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from refold.api.reading import RunReader
from refold.api.running import RunOptions, retry_run, run_pipeline
from refold.api.wiring import ExecutorKind, open_project_store
from refold.model.block import JsonValue
from refold.model.pipeline import Pipeline
from refold.model.project import Project

PASS = "@transformer\ndef transform(value):\n    return value\n"
"""A block that returns what it gets."""
ALL = "@transformer\ndef transform(*values):\n    return {'got': list(values)}\n"
"""A block that returns all its arguments, in a dict so that they are one output."""


def load(items: str) -> str:
    """A loader that returns this expression."""
    return f"@data_loader\ndef load(*args):\n    return {items}\n"


class Lab:
    """One pipeline of one project, and its runs."""

    def __init__(self, folder: Path) -> None:
        self.project = Project.init(folder / "project")
        self.pipeline = Pipeline.create("lab", self.project)

    def add(self, uuid: str, code: str, upstream: Sequence[str] = (), **configuration: JsonValue) -> None:
        """A block more; its type is that of the code's decorator."""
        kind = code.partition("@")[2].partition("\n")[0].partition("(")[0]
        self.pipeline = self.pipeline.add_block(
            uuid, kind, upstream=list(upstream), configuration=configuration, content=code
        )

    def edit(self, uuid: str, code: str) -> None:
        """Another code for a block."""
        self.pipeline.block(uuid).file.write_text(code, encoding="utf-8")

    def run(self, kind: ExecutorKind = ExecutorKind.INLINE, **variables: JsonValue) -> RunReader:
        """Runs it; what can be read of the run."""
        record = run_pipeline(self.pipeline, RunOptions(variables=variables, executor=kind, workers=2))
        return self.read(record.id)

    def read(self, run: str) -> RunReader:
        """What can be read of a run by now."""
        store = open_project_store(self.project)
        record = next(each for each in store.list_runs() if each.id == run)
        return RunReader(self.project, record, store)

    def retry(self, reader: RunReader, from_block: str | None = None) -> RunReader:
        """Retries a run."""
        record = retry_run(self.pipeline, reader.record, reader.store, from_block)
        return self.read(record.id)


def values(reader: RunReader, block: str) -> Mapping[str, object]:
    """What each completed run of a block returned, by its labels; a dict `{"got": ...}` is opened."""
    found: dict[str, object] = {}
    for view in reader.block_runs(block, "completed"):
        value = reader.output(view.block_run_uuid)
        opened = value["got"] if isinstance(value, dict) and "got" in value else value
        found[view.block_run_uuid.partition(":")[2]] = opened
    return found


def statuses(reader: RunReader, block: str) -> Mapping[str, str]:
    """The status of each run of a block, by its labels."""
    return {view.block_run_uuid.partition(":")[2]: view.status for view in reader.block_runs(block)}
