"""The one place that turns settings into adapters."""

from __future__ import annotations

import os
from enum import StrEnum
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from refold.errors import StoreError
from refold.model.keys import PipelineUuid, RunId
from refold.model.pool_settings import PoolSettings
from refold.model.project import Project
from refold.outputs import FileOutputStore
from refold.ports.executor import RunContext
from refold.ports.output_store import OutputStore
from refold.ports.run_store import RunStore
from refold.runs import open_run_store
from refold.scheduler.plan import Plan

if TYPE_CHECKING:
    from refold.executors.inline import InlineExecutor
    from refold.executors.processes import ProcessExecutor

DATABASE_VARIABLE = "REFOLD_DATABASE_URL"
"""Environment variable: where runs are stored instead of the project's own SQLite file."""
RUNS = ".runs"
"""Folder of a pipeline's runs, beneath its visible outputs; a block uuid cannot begin with a dot."""


class ExecutorKind(StrEnum):
    """Where block runs are executed."""

    AUTO = "auto"
    """In this process for a chain of static blocks, else in processes."""
    INLINE = "inline"
    PROCESSES = "processes"


def open_project_store(project: Project) -> RunStore:
    """The run store of a project. Raises StoreError when it cannot be opened."""
    url = os.environ.get(DATABASE_VARIABLE)
    return open_run_store(url or project.data_folder / "refold.db", durable=is_durable(project))


def has_store(project: Project) -> bool:
    """Whether there is a run store yet: reading makes none."""
    return bool(os.environ.get(DATABASE_VARIABLE)) or (project.data_folder / "refold.db").is_file()


def stored_as(project: Project) -> str | None:
    """What the project's runs are told apart by; None in its own file, whose runs stay its own when it is moved."""
    return str(project.path) if os.environ.get(DATABASE_VARIABLE) else None


def is_durable(project: Project) -> bool:
    """Whether the project asks that power loss lose nothing (`durability: power`)."""
    return project.metadata.get("durability") == "power"


def latest_folder(project: Project, pipeline: PipelineUuid) -> Path:
    """Where a pipeline's visible outputs lie."""
    return project.data_folder / pipeline


def run_folder(project: Project, pipeline: PipelineUuid, run: RunId) -> Path:
    """Where a pipeline run keeps its segments and logs."""
    return latest_folder(project, pipeline) / RUNS / run


def make_run_folder(context: RunContext) -> None:
    """Makes the folder of a pipeline run. Raises StoreError when nothing could be written there."""
    try:
        context.run_folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(
            f"nothing was started: the folder of the run's outputs cannot be made: {error.strerror or error}",
            where=str(context.run_folder),
            fix="Make the folder above it one that you may write to, or move away the file that is in its place.",
        ) from error


def open_outputs(context: RunContext) -> OutputStore:
    """The outputs of a pipeline run."""
    return FileOutputStore(context.run_folder, context.latest_folder, durable=context.durable)


def make_executor(kind: ExecutorKind, plan: Plan, pool: PoolSettings) -> InlineExecutor | ProcessExecutor:
    """The executor for a plan. A pool that is limited in its memory is one of processes: nobody else keeps to it.

    Only what the one that is chosen needs is loaded: either takes longer to load than a short pipeline takes to run.
    """
    chain = not any(block.dynamic or block.axes for block in plan.blocks) and len(plan.blocks) == 1 + max(
        (block.depth for block in plan.blocks), default=-1
    )
    small = (chain and pool.memory is None) or not plan.blocks
    if kind is ExecutorKind.INLINE or (kind is ExecutorKind.AUTO and small):
        inline: type[InlineExecutor] = import_module("refold.executors.inline").InlineExecutor
        return inline(open_outputs)
    processes: type[ProcessExecutor] = import_module("refold.executors.processes").ProcessExecutor
    return processes(settings=pool)
