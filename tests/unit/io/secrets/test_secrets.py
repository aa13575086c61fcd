"""Secrets of the environment and of the project."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from mage_ai.data_preparation.shared import secrets as facade
from refold.errors import ProjectError
from refold.io.secrets.key import key_file
from refold.io.secrets.lookup import conceal_secrets_of, get_secret_value
from refold.io.secrets.masking import masked
from refold.io.secrets.store import SecretStore
from refold.languages.project_context import set_repo_path


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


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The current project, with a secret `api-key`."""
    monkeypatch.delenv("REFOLD_SECRETS_KEY", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    SecretStore(tmp_path).set("api-key", "of the store")
    set_repo_path(tmp_path)
    yield tmp_path
    set_repo_path(None)


def test_the_store_stands_between_variables_that_say_secret_and_those_that_do_not(project: Path) -> None:
    assert get_secret_value("api-key", environment={}) == "of the store"
    assert get_secret_value("api-key", environment={"api-key": "plain"}) == "of the store"
    assert get_secret_value("api-key", environment={"REFOLD_SECRET_API_KEY": "deployed"}) == "deployed"
    assert get_secret_value("other", environment={"other": "plain"}) == "plain"


def test_what_was_asked_for_is_concealed(project: Path) -> None:
    get_secret_value("api-key")
    get_secret_value("token", environment={"token": "hunter22"})
    assert masked("of the store, hunter22") == "***, ***"


def test_a_new_value_is_seen_at_once(project: Path) -> None:
    assert get_secret_value("api-key") == "of the store"
    SecretStore(project).set("api-key", "another one")
    assert get_secret_value("api-key") == "another one"
    assert masked("of the store, another one") == "***, ***"


def test_all_secrets_are_concealed_and_the_key_with_them(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key = key_file().read_text(encoding="ascii").strip()
    monkeypatch.setenv("REFOLD_SECRETS_KEY", key)
    monkeypatch.setenv("REFOLD_SECRET_TOKEN", "hunter22")
    assert conceal_secrets_of(project) == {"api-key": "of the store", "TOKEN": "hunter22"}
    assert masked(f"of the store, hunter22, {key}") == "***, ***, ***"


def test_a_store_that_cannot_be_read_hides_the_rest_and_stops_nobody(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REFOLD_SECRET_TOKEN", "hunter22")
    monkeypatch.setenv("REFOLD_SECRETS_KEY", "no key")
    assert conceal_secrets_of(project) == {"TOKEN": "hunter22"}
    assert masked("hunter22") == "***"
    with pytest.raises(ProjectError, match="no key of secrets"):
        get_secret_value("api-key")
