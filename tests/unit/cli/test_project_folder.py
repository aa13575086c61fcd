"""Which project a command is about."""

from __future__ import annotations

from pathlib import Path

import pytest

from refold.cli.project_folder import project_around, project_at, project_option, shown_path
from refold.errors import ProjectError


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "my shop"
    (folder / "pipelines" / "demo").mkdir(parents=True)
    (folder / "metadata.yaml").write_text("name: shop\n", encoding="utf-8")
    return folder


def test_any_folder_in_a_project_names_it(project: Path) -> None:
    assert project_at(project / "pipelines" / "demo").path == project
    assert project_at(project).path == project


def test_a_mistyped_folder_is_not_taken_for_the_project_around_it(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project)
    with pytest.raises(ProjectError, match="there is no such folder"):
        project_at(Path("nowhere"))


def test_outside_a_project_the_option_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ProjectError) as raised:
        project_around(None)
    assert "--project PATH" in str(raised.value)


def test_hints_name_the_project_only_where_it_is_needed(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = project_at(project)
    monkeypatch.chdir(project / "pipelines")
    assert project_option(found) == ""
    monkeypatch.chdir(project.parent)
    assert project_option(found) == " --project 'my shop'"
    assert shown_path(project / "pipelines") == "my shop/pipelines"
