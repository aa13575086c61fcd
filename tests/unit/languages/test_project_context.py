from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from mage_ai.data_preparation import repo_manager
from mage_ai.settings.repo import get_repo_path
from refold.errors import ProjectError
from refold.languages.project_context import set_repo_path


@pytest.fixture(autouse=True)
def _no_project() -> Iterator[None]:
    set_repo_path(None)
    yield
    set_repo_path(None)


def test_the_project_of_the_running_blocks_is_the_one_that_was_set(tmp_path: Path) -> None:
    set_repo_path(tmp_path)
    assert get_repo_path() == str(tmp_path)


def test_blocks_that_import_it_from_where_it_once_was_are_told_the_same(tmp_path: Path) -> None:
    set_repo_path(tmp_path)
    assert repo_manager.get_repo_path() == str(tmp_path)


def test_a_relative_path_is_made_absolute_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    set_repo_path("shop")
    monkeypatch.chdir("/")
    assert get_repo_path() == str(tmp_path / "shop")


@pytest.mark.parametrize("beside", ["pipelines/orders/metadata.yaml", "io_config.yaml"])
def test_without_a_run_the_project_around_the_working_folder_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, beside: str
) -> None:
    for file in ("metadata.yaml", "pipelines/orders/metadata.yaml", beside):
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).touch()
    monkeypatch.chdir(tmp_path / "pipelines" / "orders")
    assert get_repo_path() == str(tmp_path)


def test_where_there_is_no_project_the_error_says_where_it_looked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ProjectError, match=f"{tmp_path}: no project here"):
        get_repo_path()
