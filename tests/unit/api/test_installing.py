"""What a project's files ask for is installed in one go."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from refold.api.installing import install, requirement_files
from refold.api.pipeline import Pipeline


def test_the_projects_and_the_pipelines_files_are_installed_together(users: Pipeline) -> None:
    project = users.project
    files = [project.path / "requirements.txt", project.path / "pipelines" / "daily" / "requirements.txt"]
    for file in files:
        file.write_text("requests\n")
    commands: list[Sequence[str]] = []

    def execute(command: Sequence[str]) -> int:
        commands.append(command)
        return 3

    assert requirement_files(project) == files
    assert install(project, execute) == 3
    wanted = [argument for file in files for argument in ("-r", str(file))]
    assert commands == [[sys.executable, "-m", "pip", "install", *wanted]]


def test_nothing_is_installed_where_files_ask_for_nothing(users: Pipeline) -> None:
    (users.project.path / "requirements.txt").write_text("# none\n\n")
    assert install(users.project, lambda _command: 1) == 0


def test_a_pipeline_that_cannot_be_read_does_not_stand_in_the_way(users: Pipeline) -> None:
    folder = users.project.path / "pipelines" / "broken"
    folder.mkdir()
    (folder / "metadata.yaml").write_text("blocks: 3\n")
    own = users.folder / "requirements.txt"
    own.write_text("requests\n")
    assert requirement_files(users.project) == [own]
