from __future__ import annotations

import json
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest

from mage_ai.io.config import ConfigFileLoader, ConfigKey
from refold.errors import ProjectError
from refold.io.secrets.masking import masked
from refold.io.secrets.store import SecretStore
from refold.languages.project_context import set_repo_path

Write = Callable[[str], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write_text(text: str) -> Path:
        path = tmp_path / "io_config.yaml"
        path.write_text(text, encoding="utf-8")
        return path

    return write_text


DOCUMENTED = """
version: 0.1.1
default:
  POSTGRES_HOST: localhost
  POSTGRES_PORT: 5432
  POSTGRES_USER: mage
  POSTGRES_PASSWORD: password
  POSTGRES_DB: analytics
staging:
  POSTGRES_HOST: staging.example.com
"""


def test_keys_of_the_default_profile_are_had_by_name(write: Write) -> None:
    config = ConfigFileLoader(write(DOCUMENTED), "default")
    assert config["POSTGRES_HOST"] == "localhost"
    assert config["POSTGRES_PORT"] == 5432
    assert config.get("POSTGRES_USER") == "mage"
    assert "POSTGRES_HOST" in config
    assert next(iter(config)) == "POSTGRES_HOST"


def test_an_absent_key_is_none(write: Write) -> None:
    config = ConfigFileLoader(write(DOCUMENTED))
    assert config["SNOWFLAKE_USER"] is None
    assert config.get("SNOWFLAKE_USER", "guest") == "guest"
    assert "SNOWFLAKE_USER" not in config


def test_another_profile_has_its_own_keys_only(write: Write) -> None:
    config = ConfigFileLoader(write(DOCUMENTED), profile="staging")
    assert config["POSTGRES_HOST"] == "staging.example.com"
    assert config["POSTGRES_USER"] is None


def test_both_spellings_of_the_postgres_database_are_understood(write: Write) -> None:
    assert ConfigFileLoader(write(DOCUMENTED))[ConfigKey.POSTGRES_DBNAME] == "analytics"
    assert ConfigFileLoader(write("default: {POSTGRES_DBNAME: sales}"))["POSTGRES_DB"] == "sales"


def test_nested_sections_give_flat_keys(write: Write) -> None:
    config = ConfigFileLoader(
        write(
            """
            default:
              AWS: {access_key_id: id, secret_access_key: secret, region: eu-west-1}
              PostgreSQL: {database: sales, host: db, port: 5433, user: me, password: pw, connect_timeout: 3}
              Redshift: {database: dw, cluster_identifier: c1, user: ru, password: rp}
              Snowflake: {username: su, warehouse: wh, database: sd, schema: ss, account: acc}
              Google: {service_account_key_filepath: /key.json}
              POSTGRES_HOST: flat wins
            """
        )
    )
    expected = {
        ConfigKey.AWS_ACCESS_KEY_ID: "id",
        ConfigKey.AWS_SECRET_ACCESS_KEY: "secret",
        ConfigKey.AWS_REGION: "eu-west-1",
        ConfigKey.POSTGRES_DBNAME: "sales",
        ConfigKey.POSTGRES_HOST: "flat wins",
        ConfigKey.POSTGRES_PORT: 5433,
        ConfigKey.POSTGRES_USER: "me",
        ConfigKey.POSTGRES_PASSWORD: "pw",
        ConfigKey.POSTGRES_CONNECT_TIMEOUT: 3,
        ConfigKey.REDSHIFT_DBNAME: "dw",
        ConfigKey.REDSHIFT_CLUSTER_ID: "c1",
        ConfigKey.REDSHIFT_TEMP_CRED_USER: "ru",
        ConfigKey.SNOWFLAKE_USER: "su",
        ConfigKey.SNOWFLAKE_DEFAULT_WH: "wh",
        ConfigKey.SNOWFLAKE_DEFAULT_DB: "sd",
        ConfigKey.GOOGLE_SERVICE_ACC_KEY_FILEPATH: "/key.json",
    }
    assert {key: config[key] for key in expected} == expected
    assert isinstance(config["AWS"], dict)


def test_passwords_can_stay_in_the_environment(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REFOLD_TEST_PW", "s3cret")
    text = "default: {PASSWORD: \"{{ env_var('REFOLD_TEST_PW') }}\", URL: 'db://{{ env_var(\"REFOLD_TEST_PW\") }}@x'}"
    config = ConfigFileLoader(write(text))
    assert config["PASSWORD"] == "s3cret"
    assert config["URL"] == "db://s3cret@x"


@pytest.mark.parametrize(
    "password", ["a #b", "a: b", "*a", "{a", 'it\'s "it"', "'", "- a", "two\nlines", "\ttab", "!x", ""]
)
@pytest.mark.parametrize("quote", ["", "'", '"'])
def test_a_password_may_hold_any_character(
    write: Write, monkeypatch: pytest.MonkeyPatch, password: str, quote: str
) -> None:
    monkeypatch.setenv("REFOLD_TEST_PW", password)
    value = (
        quote
        + "{{ env_var(REPLACED) }}".replace("REPLACED", "'REFOLD_TEST_PW'" if quote != "'" else '"REFOLD_TEST_PW"')
        + quote
    )
    config = ConfigFileLoader(write(f"default:\n  PASSWORD: {value}\n  HOST: h\n"))
    assert config["PASSWORD"] == (password if password or quote else None)  # nothing at all is null in YAML
    assert config["HOST"] == "h"


@pytest.mark.parametrize(
    ("given", "read"),
    [
        ("5432", 5432),
        ("true", True),
        ("1.5", 1.5),
        ("null", None),
        ("2024-01-01", "2024-01-01"),
        ('{"a": 1}', {"a": 1}),
    ],
)
def test_an_unquoted_expression_is_read_as_yaml_reads_values(
    write: Write, monkeypatch: pytest.MonkeyPatch, given: str, read: object
) -> None:
    monkeypatch.setenv("REFOLD_TEST_VALUE", given)
    assert ConfigFileLoader(write("default:\n  KEY: {{ env_var('REFOLD_TEST_VALUE') }}"))["KEY"] == read
    assert ConfigFileLoader(write("default:\n  KEY: \"{{ env_var('REFOLD_TEST_VALUE') }}\""))["KEY"] == given


def test_expressions_side_by_side_give_their_values(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REFOLD_TEST_A", "12")
    monkeypatch.setenv("REFOLD_TEST_B", "34")
    text = "default:\n  KEY: \"0{{ env_var('REFOLD_TEST_A') }}{{ env_var('REFOLD_TEST_B') }}9\""
    assert ConfigFileLoader(write(text))["KEY"] == "012349"


def test_a_variable_that_is_not_set_is_empty_or_its_default(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("REFOLD_TEST_UNSET", raising=False)
    text = "default:\n  A: {{ env_var('REFOLD_TEST_UNSET') }}\n  B: {{ env_var('REFOLD_TEST_UNSET', 'x') }}\n"
    config = ConfigFileLoader(write(text))
    assert config["A"] is None
    assert config["B"] == "x"


def test_a_template_may_decide(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REFOLD_TEST_ENV", "prod")
    text = "default:\n  HOST: {% if env_var('REFOLD_TEST_ENV') == 'prod' %}db{% else %}localhost{% endif %}\n"
    assert ConfigFileLoader(write(text))["HOST"] == "db"


def test_other_functions_can_be_given(write: Write) -> None:
    secrets = {"pw": "from the vault"}
    text = "default:\n  PASSWORD: \"{{ mage_secret_var('pw') }}\"\n"
    config = ConfigFileLoader(write(text), functions={"mage_secret_var": secrets.__getitem__})
    assert config["PASSWORD"] == "from the vault"


def failure(path: Path, profile: str = "default") -> str:
    with pytest.raises(ProjectError) as caught:
        ConfigFileLoader(path, profile)
    return str(caught.value)


def test_a_missing_profile_lists_those_that_there_are(write: Write) -> None:
    assert "has no profile `prod`; its profiles: `default`, `staging`" in failure(write(DOCUMENTED), "prod")
    assert "no profiles at all" in failure(write(""), "prod")
    assert "has no profile `version`" in failure(write(DOCUMENTED), "version")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    assert f"{tmp_path / 'none.yaml'}: the file is not there" in failure(tmp_path / "none.yaml")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("default:\n  A: [1\n", r"io_config.yaml:"),
        ("default:\n  A: 1\n  A: 2\n", "the key `A` is there twice"),
        ("- a\n", "must hold keys and values"),
        ("default: 5\n", "profile `default` is not a mapping"),
        (
            "default:\n  A: !!python/object/apply:os.system ['true']\n",
            "the tag `!!python/object/apply:os.system` is not allowed",
        ),
        ("default:\n  A: {{ nowhere('x') }}\n", "'nowhere' is undefined"),
        ("default:\n  A: {{ nowhere }}\n", "'nowhere' is undefined"),
        ("default:\n  A: {{ env_var() }}\n", "template error"),
        ("default:\n  A: {{ ''.__class__.__mro__ }}\n", "unsafe"),
        ("default:\n  A: {{ env_var('x' }}\n", "io_config.yaml:2: template error"),
    ],
)
def test_a_file_that_cannot_be_read_says_why(write: Write, text: str, message: str) -> None:
    assert message in failure(write(text))


def test_without_a_path_the_projects_file_is_read(write: Write) -> None:
    set_repo_path(write(DOCUMENTED).parent)
    try:
        assert ConfigFileLoader()["POSTGRES_USER"] == "mage"
    finally:
        set_repo_path(None)


def test_an_empty_profile_has_no_keys(write: Write) -> None:
    assert list(ConfigFileLoader(write("default:\n"))) == []


def test_a_service_account_key_may_be_json_in_the_environment(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    key = {"type": "service_account", "private_key": "-----BEGIN\nkey\n"}
    monkeypatch.setenv("REFOLD_TEST_KEY", json.dumps(key))
    config = ConfigFileLoader(write("default:\n  GOOGLE_SERVICE_ACC_KEY: {{ env_var('REFOLD_TEST_KEY') }}\n"))
    assert config[ConfigKey.GOOGLE_SERVICE_ACC_KEY] == key


def test_a_secret_of_the_project_can_be_the_password(
    write: Write, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    path = write("default:\n  POSTGRES_PASSWORD: \"{{ mage_secret_var('db') }}\"\n")
    (path.parent / "metadata.yaml").write_text("name: shop\n", encoding="utf-8")
    SecretStore(path.parent).set("db", "a #b: 'c'")
    assert ConfigFileLoader(path)["POSTGRES_PASSWORD"] == "a #b: 'c'"
    assert masked("it is a #b: 'c'") == "it is ***"


def test_what_is_missing_in_one_profile_is_nothing_to_another(write: Write) -> None:
    path = write("default:\n  HOST: db\nprod:\n  HOST: db\n  TOKEN: {{ mage_secret_var('none') }}\n")
    assert ConfigFileLoader(path)["HOST"] == "db"
    with pytest.raises(ProjectError) as caught:
        ConfigFileLoader(path, "prod")
    assert caught.value.where == f"{path}:5"
    assert "`TOKEN`: there is no secret `none`" in caught.value.message


def test_passwords_of_the_profile_that_is_read_are_concealed(write: Write) -> None:
    path = write("default:\n  POSTGRES_PASSWORD: hunter22\nprod:\n  POSTGRES_PASSWORD: 0ther-one\n")
    ConfigFileLoader(path)
    assert masked("hunter22 0ther-one") == "*** 0ther-one"


def test_numbers_with_zeros_in_front_stay_text_where_an_expression_gives_them(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    for given in ("007", "1_000", "12:30", "+", "1e999", "9" * 5000):
        monkeypatch.setenv("REFOLD_TEST_VALUE", given)
        config = ConfigFileLoader(write("default:\n  PASSWORD: {{ env_var('REFOLD_TEST_VALUE') }}"))
        assert config["PASSWORD"] == given


BOMB = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 10)}]\n" for before, name in pairwise("abcdefghij")
)
MERGES = "a: &a {x: 1}\n" + "".join(
    f"{name}: &{name} {{<<: [{', '.join([f'*{before}'] * 10)}]}}\n" for before, name in pairwise("abcdefghij")
)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (BOMB, "aliases that stand for more than"),
        (BOMB + "default: {A: *j}\n", "aliases that stand for more than"),
        ("default: &a {A: *a}\n", "an anchor that contains itself"),
        ("default: " + "[" * 100_000, "nest deeper than"),
        ("default: " + "{a: " * 100_000, "nest deeper than"),
        ("default:\n  A: !!python/name:os.system\n", "is not allowed"),
        ("default:\n  A: !!python/object/new:subprocess.Popen [[ls]]\n", "is not allowed"),
        ("default:\n  A: {% for a in [1] %}x{% endfor %}\n", "io_config.yaml:2: template error"),
        ("default:\n  A: {{ env_var.__globals__ }}\n", "template error"),
        ("default:\n  A: {{ 'a' * 1000000000 }}\n", "`*` cannot stand in an expression here"),
        ("default:\n  A: {{ ''.join(['a']) }}\n", "functions, and no methods"),
        ("default:\n  A: {{ range(1000000000) | length }}\n", "'range' is undefined"),
        ("default:\n  A: {{ " + "(" * 10_000 + "1" + ")" * 10_000 + " }}\n", "nest too deeply"),
    ],
    ids=range(13),
)
def test_a_hostile_file_is_refused(write: Write, text: str, message: str) -> None:
    assert message in failure(write(text))


def test_merged_keys_that_multiply_are_no_more_than_they_are(write: Write) -> None:
    assert ConfigFileLoader(write(MERGES + "default: *j\n"))["x"] == 1
