"""Variables and latest outputs, for notebooks and other pipelines' blocks."""

from __future__ import annotations

import pytest

from mage_ai.data_preparation import variable_manager
from refold.api.pipeline import Pipeline
from refold.api.variables import get_global_variable, get_global_variables, get_variable, set_global_variable
from refold.errors import NotFoundError, PipelineError


def test_a_variable_is_the_latest_output_of_a_block(users: Pipeline) -> None:
    users.execute_sync()
    path = users.project.path
    assert get_variable("daily", "save", repo_path=path) == {"sum": 12}
    with pytest.raises(NotFoundError, match="block `double` has no `output_0`"):
        get_variable("daily", "double", repo_path=path)
    with pytest.raises(PipelineError, match="there is no pipeline `dayly`"):
        get_variable("dayly", "save", repo_path=path)


def test_a_variable_of_a_dynamic_block_is_its_items_and_their_metadata(users: Pipeline) -> None:
    users.execute_sync()
    path = users.project.path
    assert get_variable("daily", "load", repo_path=path) == [1, 2, 3]
    assert get_variable("daily", "load", "output_1", path) == [{"block_uuid": f"for_user_{n}"} for n in (1, 2, 3)]


def test_the_project_around_the_working_directory_is_meant_without_a_path(
    users: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    users.execute_sync()
    monkeypatch.chdir(users.project.path / "pipelines")
    monkeypatch.setattr("refold.languages.project_context._current", [])
    assert variable_manager.get_variable("daily", "save") == {"sum": 12}


def test_a_global_variable_is_set_in_the_file_whose_comments_stay(users: Pipeline) -> None:
    path = users.project.path
    file = users.folder / "metadata.yaml"
    file.write_text(file.read_text() + "variables:\n  # where to\n  city: Rome\n")
    assert set_global_variable("daily", "days", 3, path) == {"city": "Rome", "days": 3}
    assert "# where to" in file.read_text()
    assert get_global_variables("daily", path) == {"city": "Rome", "days": 3}
    assert get_global_variable("daily", "days", repo_path=path) == 3
    assert get_global_variable("daily", "nights", 0, path) == 0
