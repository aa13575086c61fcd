"""The table of databases."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from refold.errors import PipelineError, ProjectError
from refold.io.databases.providers import EMBEDDED, find_provider, providers
from refold.io.databases.warehouses import BIGQUERY, MSSQL, REDSHIFT, SNOWFLAKE, TRINO, Warehouse
from refold.io.settings.config import ConfigFileLoader
from refold.io.settings.profile_settings import ProfileSettings
from refold.testing.database_servers import profile_of

SETTINGS = {
    "MSSQL": {
        "MSSQL_HOST": "h",
        "MSSQL_USER": "u",
        "MSSQL_PASSWORD": "p/@:",
        "MSSQL_DATABASE": "d",
        "MSSQL_PORT": "1433",
    },
    "SNOWFLAKE": {"SNOWFLAKE_ACCOUNT": "a", "SNOWFLAKE_USER": "u", "SNOWFLAKE_DEFAULT_DB": "D", "SNOWFLAKE_ROLE": "r"},
}


@pytest.mark.parametrize(
    ("word", "name"),
    [
        ("postgres", "PostgreSQL"),
        ("postgresql", "PostgreSQL"),
        ("mysql", "MySQL"),
        ("mariadb", "MySQL"),
        ("sqlserver", "SQL Server"),
        ("mssql", "SQL Server"),
        ("Snowflake", "Snowflake"),
        ("duckdb", "DuckDB"),
    ],
)
def test_a_database_is_found_by_any_of_its_words(word: str, name: str) -> None:
    assert find_provider(word, "here").name == name


def test_an_unknown_word_is_told_with_a_near_one() -> None:
    with pytest.raises(PipelineError, match=r"(?s)here: there is no provider `postgers`.*postgres"):
        find_provider("postgers", "here")


def test_words_are_unique_and_the_embedded_one_is_duckdb() -> None:
    words = [word for each in providers() for word in (each.word, *each.other_words)]
    assert len(words) == len(set(words))
    assert EMBEDDED.word == "duckdb"


def test_which_are_tested_is_told() -> None:
    assert {each.word for each in providers() if each.tested} == {"postgres", "mysql", "duckdb", "sqlite"}


@pytest.mark.parametrize("word", ["bigquery", "clickhouse", "mssql", "redshift", "snowflake", "trino"])
def test_a_driver_that_is_not_installed_is_told_with_its_extra(
    word: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    with pytest.raises(ProjectError, match=rf"pip install 'refold\[{word}\]'"):
        find_provider(word, "here").connect(profile(tmp_path, {}))


def test_a_url_is_made_of_parts_whatever_a_password_holds(tmp_path: Path) -> None:
    url = MSSQL.url(ProfileSettings(profile(tmp_path, SETTINGS["MSSQL"]), "SQL Server"))
    assert (url.drivername, url.host, url.port, url.database, url.password) == ("mssql+pymssql", "h", 1433, "d", "p/@:")
    assert "p/@:" not in str(url)


def test_settings_of_warehouses_are_in_their_urls(tmp_path: Path) -> None:
    snowflake = SNOWFLAKE.url(ProfileSettings(profile(tmp_path, SETTINGS["SNOWFLAKE"]), "Snowflake"))
    assert (snowflake.host, snowflake.database, dict(snowflake.query)) == ("a", "D", {"role": "r"})
    trino = TRINO.url(
        ProfileSettings(
            profile(tmp_path, {"TRINO_HOST": "h", "TRINO_USER": "u", "TRINO_CATALOG": "c", "TRINO_SCHEMA": "s"}), ""
        )
    )
    assert (trino.port, trino.database) == (8080, "c/s")
    key = {"project_id": "shop", "private_key": "k"}
    bigquery = BIGQUERY.url(ProfileSettings(profile(tmp_path, {"GOOGLE_SERVICE_ACC_KEY": key}), "BigQuery"))
    assert bigquery.host == "shop"
    assert "credentials_base64" in bigquery.query


def test_redshift_logs_in_by_its_cluster_where_no_password_is_given(tmp_path: Path) -> None:
    settings = ProfileSettings(
        profile(tmp_path, {"REDSHIFT_CLUSTER_ID": "c", "REDSHIFT_DBNAME": "d", "REDSHIFT_DBUSER": "u"}), "Redshift"
    )
    assert REDSHIFT.arguments(settings) == {"iam": True, "cluster_identifier": "c", "db_user": "u"}
    assert REDSHIFT.url(settings).host is None


@pytest.mark.parametrize(
    ("warehouse", "key"), [(MSSQL, "MSSQL_HOST"), (SNOWFLAKE, "SNOWFLAKE_USER"), (REDSHIFT, "REDSHIFT_HOST")]
)
def test_a_missing_key_is_told_with_file_and_profile(warehouse: Warehouse, key: str, tmp_path: Path) -> None:
    with pytest.raises(ProjectError, match=rf"io_config.yaml: profile `default` has no `{key}`, which X needs"):
        warehouse.url(ProfileSettings(profile(tmp_path, {}), "X"))


def test_a_port_that_is_no_number_is_told(tmp_path: Path) -> None:
    settings = ProfileSettings(profile(tmp_path, {**SETTINGS["MSSQL"], "MSSQL_PORT": "many"}), "SQL Server")
    with pytest.raises(ProjectError, match="`MSSQL_PORT` is 'many'; expected is a whole number"):
        MSSQL.url(settings)


def profile(folder: Path, settings: Mapping[str, object]) -> ConfigFileLoader:
    return profile_of(folder, {"ANOTHER": "key", **settings})
