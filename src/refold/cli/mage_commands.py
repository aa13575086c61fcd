"""What `mage` has beside the commands of `refold`, or takes otherwise.

Flags that mean something here are honoured. The others are accepted, and a line on stderr says that they do nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from refold.cli import project_commands, run_command
from refold.cli.duration import parse_duration
from refold.cli.endings import BAD_INPUT, Exit, note
from refold.cli.options import ProjectArgument
from refold.cli.parameters import Argument, Option
from refold.cli.project_folder import project_at
from refold.cli.run_request import RunRequest, command_of
from refold.errors import BadInputError
from refold.model.block import JsonValue
from refold.model.project import Project

_IGNORED = "Accepted, and does nothing here."
_LOCAL = frozenset({"local_python", "python"})
"""Executor types that mean this machine."""

_ProjectType = Annotated[str | None, Option("--project-type", help=_IGNORED)]
_ClusterType = Annotated[str | None, Option("--cluster-type", help=_IGNORED)]
_ProjectUuid = Annotated[str | None, Option("--project-uuid", help=_IGNORED)]
_OlderThan = Annotated[
    str | None, Option("--older-than", metavar="AGE", help="12h, 7d, 2w; default: what metadata.yaml says.")
]
_PipelineUuid = Annotated[str | None, Option("--pipeline-uuid", help="Not supported.")]


def init(
    folder: Annotated[Path, Argument(metavar="PROJECT_PATH", help="The folder to make.")],
    project_type: _ProjectType = None,
    cluster_type: _ClusterType = None,
    project_uuid: _ProjectUuid = None,
) -> None:
    """Make a project, with a pipeline that runs."""
    project_commands.init(folder)
    _say_ignored(
        {"--project-type": project_type, "--cluster-type": cluster_type, "--project-uuid": project_uuid},
    )


@dataclass(frozen=True)
class MageRunRequest(RunRequest):
    """What `mage run` takes beyond what `refold run` does."""

    execution_partition: Annotated[
        str | None, Option("--execution-partition", help="Given to blocks as `execution_partition`.")
    ] = None
    skip_sensors: Annotated[bool, Option("--skip-sensors", help="Sensors count as saying yes.")] = False
    executor_type: Annotated[str | None, Option("--executor-type", help="`local_python`; others do nothing here.")] = (
        None
    )
    callback_url: Annotated[str | None, Option("--callback-url", help=_IGNORED)] = None
    block_run_id: Annotated[str | None, Option("--block-run-id", help=_IGNORED)] = None
    pipeline_run_id: Annotated[str | None, Option("--pipeline-run-id", help=_IGNORED)] = None
    template_runtime_configuration: Annotated[str | None, Option("--template-runtime-configuration", help=_IGNORED)] = (
        None
    )

    @property
    def more_variables(self) -> Mapping[str, JsonValue]:
        """Variables under those of `--runtime-vars`."""
        return {} if self.execution_partition is None else {"execution_partition": self.execution_partition}

    @property
    def run_sensors(self) -> bool:
        """Whether sensors are asked."""
        return not self.skip_sensors

    @property
    def ignored(self) -> dict[str, str | None]:
        """Flags that do nothing here."""
        return {
            "--executor-type": None if self.executor_type in _LOCAL else self.executor_type,
            "--callback-url": self.callback_url,
            "--block-run-id": self.block_run_id,
            "--pipeline-run-id": self.pipeline_run_id,
            "--template-runtime-configuration": self.template_runtime_configuration,
        }


def run(request: MageRunRequest) -> None:
    """Run a pipeline and show its progress."""
    _say_ignored(request.ignored)
    run_command.run(request)


run_as_asked = command_of(MageRunRequest, run)
"""`mage run`."""


def start() -> None:
    """Not here: there is no server to start."""
    note("error: there is no server to start; a run is a command")
    note("  mage run PROJECT PIPELINE    runs a pipeline")
    note("  mage runs PROJECT            lists its runs")
    raise Exit(BAD_INPUT)


def clean_cached_variables(
    project: ProjectArgument, pipeline_uuid: _PipelineUuid = None, older_than: _OlderThan = None
) -> None:
    """Delete old runs (`variables_retention_period`)."""
    found = _project_to_clean(project, pipeline_uuid)
    _delete(found, older_than, found.metadata.get("variables_retention_period"), "variables_retention_period")


def clean_old_logs(
    project: ProjectArgument, pipeline_uuid: _PipelineUuid = None, older_than: _OlderThan = None
) -> None:
    """Delete old runs (`logging_config.retention_period`)."""
    found = _project_to_clean(project, pipeline_uuid)
    logging = found.metadata.get("logging_config")
    period = logging.get("retention_period") if isinstance(logging, dict) else None
    _delete(found, older_than, period, "logging_config.retention_period")


def _project_to_clean(project: Path, pipeline_uuid: str | None) -> Project:
    if pipeline_uuid is not None:
        raise BadInputError(
            "runs of one pipeline alone cannot be cleaned; nothing was deleted", fix="Leave out --pipeline-uuid."
        )
    return project_at(project)


def _delete(project: Project, older_than: str | None, period: JsonValue, key: str) -> None:
    if older_than is None and not isinstance(period, str):
        raise BadInputError(
            f"how old is old? `{key}` is not set; nothing was deleted",
            where=str(project.path / "metadata.yaml"),
            fix=f"Set it, as in `{key}: 90d`, or give `--older-than 90d`.",
        )
    project_commands.delete_runs(project, None, parse_duration(older_than if older_than is not None else str(period)))


def _say_ignored(flags: dict[str, str | None]) -> None:
    for flag, value in flags.items():
        if value is not None:
            note(f"note: {flag} {value} is ignored: it does nothing here")
