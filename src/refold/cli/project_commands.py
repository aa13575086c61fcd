"""Commands that make, tidy and set up projects, and the one that stops a run: init, clean, install, cancel."""

from __future__ import annotations

import shlex
import time
from pathlib import Path
from typing import Annotated

from refold.api.cleaning import clean as clean_project
from refold.api.installing import install as install_requirements
from refold.api.installing import requirement_files
from refold.api.reading import RunReader
from refold.api.running import request_cancel
from refold.cli.duration import parse_duration, size_text
from refold.cli.endings import FAILED, Exit, note
from refold.cli.options import OptionalProject, ProjectArgument, ProjectOption, RunArgument
from refold.cli.parameters import Argument, Option
from refold.cli.project_folder import project_around, project_at, project_option, shown_path
from refold.errors import BadInputError
from refold.model.project import Project


def init(
    folder: Annotated[Path, Argument(metavar="DIR", help="The folder to make.")],
    name: Annotated[str | None, Option("--name", help="The project's name; default: the folder's.")] = None,
) -> None:
    """Make a project, with a pipeline that runs."""
    made = Project.init(folder, name)
    path = shlex.quote(shown_path(made.path))
    print(f"made the project `{made.name}` in {shown_path(made.path)}")
    for pipeline in made.pipelines():
        print(f"  refold run {path} {pipeline}")


def cancel(run: RunArgument, project: ProjectOption = None) -> None:
    """Stop a run."""
    reader = RunReader.open(run, project_around(project))
    try:
        record = reader.record
        if request_cancel(reader.store, record):
            print(f"run {record.id}: cancelled")
        else:
            print(f"run {record.id}: cancelling; what is under way is interrupted")
            print(f"  refold show {record.id}{project_option(reader.project)}    how it stands")
    finally:
        reader.close()


def clean(
    project: OptionalProject = None,
    keep: Annotated[
        int | None, Option("--keep", metavar="N", minimum=0, help="Keep the newest N runs of each pipeline.")
    ] = None,
    older_than: Annotated[
        str | None, Option("--older-than", metavar="AGE", help="Delete what ended longer ago: 12h, 7d, 2w.")
    ] = None,
) -> None:
    """Delete old runs; the latest outputs stay."""
    if keep is None and older_than is None:
        raise BadInputError(
            "what is old? Nothing was deleted", fix="Say so: `--keep 20`, or `--older-than 7d`, or both."
        )
    delete_runs(project_around(project), keep, None if older_than is None else parse_duration(older_than))


def delete_runs(project: Project, keep: int | None, older_than: float | None) -> None:
    """Deletes runs and says how many; `older_than` in seconds."""
    cleaned = clean_project(project, keep, older_than, time.time())
    print(f"deleted {cleaned.runs:,} run{'' if cleaned.runs == 1 else 's'}, {size_text(cleaned.bytes)}")


def install(project: ProjectArgument) -> None:
    """Install the packages that the project asks for."""
    found = project_at(project)
    if not requirement_files(found):
        print("nothing to install: no requirements.txt of the project or its pipelines asks for a package")
        return
    code = install_requirements(found)
    if code != 0:
        note(f"error: pip ended with exit code {code}; its message is above")
        raise Exit(FAILED)
