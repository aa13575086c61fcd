"""Secrets of the environment and of the project."""

from __future__ import annotations

import pytest

from mage_ai.data_preparation.shared import secrets as facade
from refold.io.secrets import get_secret_value


@pytest.mark.parametrize("variable", ["REFOLD_SECRET_api-key", "REFOLD_SECRET_API_KEY", "api-key"])
def test_a_secret_is_found_under_each_of_its_names(variable: str) -> None:
    assert get_secret_value("api-key", environment={variable: "s3cret"}) == "s3cret"


def test_a_name_that_says_secret_goes_before_one_that_does_not() -> None:
    environment = {"token": "plain", "REFOLD_SECRET_TOKEN": "secret"}
    assert get_secret_value("token", environment=environment) == "secret"


def test_a_secret_that_is_not_there_is_none_with_a_warning() -> None:
    with pytest.warns(UserWarning, match="neither REFOLD_SECRET_API_KEY nor api-key is set"):
        assert get_secret_value("api-key", environment={}) is None
    assert get_secret_value("api-key", suppress_warning=True, environment={}) is None


def test_mages_import_path_reads_the_process_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REFOLD_SECRET_TOKEN", "s3cret")
    assert facade.get_secret_value("token", repo_name="shop") == "s3cret"
