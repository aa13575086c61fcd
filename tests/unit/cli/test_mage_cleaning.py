"""`mage clean-cached-variables` and `clean-old-logs`: how old is old stands in the project's metadata."""

from __future__ import annotations

from pathlib import Path

import pytest

from refold.cli.mage_commands import clean_cached_variables, clean_old_logs
from refold.errors import BadInputError


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "pipelines").mkdir()
    return tmp_path


def test_without_a_period_nothing_is_deleted(project: Path) -> None:
    with pytest.raises(BadInputError, match="`variables_retention_period` is not set; nothing was deleted"):
        clean_cached_variables(project)


def test_the_projects_period_is_taken(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (project / "metadata.yaml").write_text("logging_config: {retention_period: 15d}\n", encoding="utf-8")
    clean_old_logs(project)
    assert capsys.readouterr().out == "deleted 0 runs, 0 bytes\n"


def test_one_pipeline_alone_is_refused_rather_than_all_deleted(project: Path) -> None:
    with pytest.raises(BadInputError, match="nothing was deleted"):
        clean_old_logs(project, pipeline_uuid="demo", older_than="1d")
