"""The file of secrets: what it keeps, what it refuses, and that no error ever shows a value or the key."""

from __future__ import annotations

import base64
import json
import os
import stat
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from refold.errors import BadInputError, NotFoundError, ProjectError, RefoldError
from refold.io.secrets.key import key_file
from refold.io.secrets.store import LONGEST, SecretStore

VALUE = "s3cret-välue\nof two lines"
NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("REFOLD_SECRETS_KEY", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return tmp_path


@pytest.fixture
def store(tmp_path: Path) -> SecretStore:
    (tmp_path / "project").mkdir()
    return SecretStore(tmp_path / "project")


def new_key() -> str:
    return base64.urlsafe_b64encode(os.urandom(32)).decode()


def refusal(call: Callable[[], object], error: type[RefoldError] = ProjectError) -> str:
    """What is said, which must show neither the value nor the key."""
    with pytest.raises(error) as caught:
        call()
    said = f"{caught.value} {caught.value!r} {caught.value.__cause__}"
    assert "s3cret" not in said
    if key_file().exists() and key_file().read_text(encoding="ascii").strip():
        assert key_file().read_text(encoding="ascii").strip() not in said
    return str(caught.value)


def test_what_is_set_is_got(store: SecretStore) -> None:
    store.set("db_password", VALUE)
    store.set("api-key", "other")
    assert store.get("db_password") == VALUE
    assert store.values() == {"api-key": "other", "db_password": VALUE}
    assert store.get("none") is None


def test_a_secret_that_is_set_again_has_the_new_value_and_date(store: SecretStore) -> None:
    store.set("token", "first", NOON)
    store.set("token", "second", NOON.replace(hour=13))
    assert store.get("token") == "second"
    assert [(each.name, each.set_at) for each in store.list()] == [("token", "2026-03-04T13:00:00+00:00")]


def test_the_file_holds_no_value_and_is_its_owners_alone(store: SecretStore) -> None:
    store.set("token", VALUE)
    text = store.path.read_text(encoding="utf-8")
    assert "token" in text
    assert "s3cret" not in text
    assert base64.b64encode(VALUE.encode()).decode()[:12] not in text
    assert stat.S_IMODE(store.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(store.path.parent.stat().st_mode) == 0o700
    assert stat.S_IMODE(key_file().stat().st_mode) == 0o600


def test_what_lies_beside_it_stays_out_of_version_control(store: SecretStore) -> None:
    store.set("token", VALUE)
    project = store.path.parents[1]
    subprocess.run(["git", "init", "-q", str(project)], check=True)
    status = subprocess.run(
        ["git", "status", "--porcelain", "-uall"], cwd=project, capture_output=True, text=True, check=True
    )
    assert status.stdout == ""


def test_reading_and_listing_write_nothing(store: SecretStore) -> None:
    assert store.values() == {}
    assert store.list() == []
    assert not store.path.parent.exists()
    assert not key_file().exists()


def test_a_deleted_secret_is_gone_and_the_others_stay(store: SecretStore) -> None:
    store.set("a", "first")
    store.set("b", "second")
    store.delete("a")
    assert store.values() == {"b": "second"}
    with pytest.raises(NotFoundError, match="there is no secret `a`"):
        store.delete("a")


def test_deleting_needs_no_key_and_an_empty_file_takes_a_new_one(
    store: SecretStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.set("token", VALUE)
    key_file().unlink()
    store.delete("token")
    monkeypatch.setenv("REFOLD_SECRETS_KEY", new_key())
    store.set("token", "again")
    assert store.get("token") == "again"


def test_the_environments_key_wins(store: SecretStore, monkeypatch: pytest.MonkeyPatch) -> None:
    key = new_key()
    monkeypatch.setenv("REFOLD_SECRETS_KEY", key)
    store.set("token", VALUE)
    assert not key_file().exists()
    monkeypatch.delenv("REFOLD_SECRETS_KEY")
    assert "their key is not here" in refusal(lambda: store.get("token"))
    monkeypatch.setenv("REFOLD_SECRETS_KEY", key.replace("-", "+").replace("_", "/"))  # as other programs write base64
    assert store.get("token") == VALUE


def test_another_key_is_told_from_a_damaged_file(store: SecretStore, monkeypatch: pytest.MonkeyPatch) -> None:
    store.set("token", VALUE)
    monkeypatch.setenv("REFOLD_SECRETS_KEY", new_key())
    assert "encrypted with another key than that of REFOLD_SECRETS_KEY" in refusal(lambda: store.get("token"))
    assert "another key" in refusal(lambda: store.set("more", "s3cret too"))
    monkeypatch.delenv("REFOLD_SECRETS_KEY")
    assert store.values() == {"token": VALUE}


@pytest.mark.parametrize("key", ["short", "x" * 44, "é" * 32, base64.b64encode(b"0" * 31).decode()])
def test_what_is_no_key_is_refused(store: SecretStore, monkeypatch: pytest.MonkeyPatch, key: str) -> None:
    monkeypatch.setenv("REFOLD_SECRETS_KEY", key)
    said = refusal(lambda: store.set("token", VALUE))
    assert "REFOLD_SECRETS_KEY: what is there is no key" in said
    assert key not in said


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o620])
def test_a_key_that_others_may_read_is_refused(store: SecretStore, mode: int) -> None:
    store.set("token", VALUE)
    key_file().chmod(mode)
    said = refusal(lambda: store.get("token"))
    assert f"its mode is {mode:o}" in said
    assert f"chmod 600 {key_file()}" in said


def test_a_lost_key_is_not_replaced_while_there_are_secrets(store: SecretStore) -> None:
    store.set("token", VALUE)
    key_file().unlink()
    assert "their key is not here" in refusal(lambda: store.set("more", "s3cret too"))
    assert not key_file().exists()


def edited(store: SecretStore, change: Callable[[dict[str, dict[str, str]]], None]) -> None:
    document = json.loads(store.path.read_text(encoding="utf-8"))
    change(document["secrets"])
    store.path.write_text(json.dumps(document), encoding="utf-8")


def test_values_cannot_be_swapped_between_names(store: SecretStore) -> None:
    store.set("admin_password", VALUE)
    store.set("guest_password", "guest")

    def swap(secrets: dict[str, dict[str, str]]) -> None:
        secrets["guest_password"] = secrets["admin_password"]

    edited(store, swap)
    assert "`guest_password` cannot be decrypted" in refusal(lambda: store.get("guest_password"))
    assert store.get("admin_password") == VALUE


@pytest.mark.parametrize("sealed", ["", "AAAA", "?", "A" * 80])
def test_one_damaged_value_leaves_the_others(store: SecretStore, sealed: str) -> None:
    store.set("good", VALUE)
    store.set("bad", "s3cret too")
    edited(store, lambda secrets: secrets["bad"].update(value=sealed))
    assert "`bad` cannot be decrypted" in refusal(lambda: store.get("bad"))
    assert store.get("good") == VALUE


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "null",
        "{}",
        '{"version": 2, "key": "x", "secrets": {}}',
        '{"version": 1, "key": 1, "secrets": []}',
        '{"version": 1, "key": "x", "secrets": {"a": 5}}',
        pytest.param("[" * 100_000, id="deep"),
        "\xff",
    ],
)
def test_a_damaged_file_is_refused_and_left_as_it_is(store: SecretStore, text: str) -> None:
    store.path.parent.mkdir()
    store.path.write_bytes(text.encode("latin-1"))
    for call in (store.list, store.values, lambda: store.get("a"), lambda: store.set("a", "s3cret")):
        assert "damaged" in refusal(call)
    assert store.path.read_bytes() == text.encode("latin-1")


@pytest.mark.parametrize("name", ["", " ", "a b", "a/b", "../a", "-a", ".a", "a\n", "a" * 129, "a:b"])
def test_what_is_no_name_is_refused(store: SecretStore, name: str) -> None:
    assert "cannot be the name of a secret" in refusal(lambda: store.set(name, VALUE), BadInputError)


@pytest.mark.parametrize(
    ("value", "said"), [("", "is empty"), ("s3cret\udc80", "not text in UTF-8"), ("s3cret" * LONGEST, "is longer than")]
)
def test_what_is_no_value_is_refused(store: SecretStore, value: str, said: str) -> None:
    assert said in refusal(lambda: store.set("token", value), BadInputError)
    assert not store.exists()


def test_writers_at_once_lose_nothing(store: SecretStore) -> None:
    code = (
        "import sys; from pathlib import Path; from refold.io.secrets.store import SecretStore\n"
        "[SecretStore(Path(sys.argv[1])).set(f'{sys.argv[2]}_{n}', f'value {n}') for n in range(20)]\n"
    )
    writers = [
        subprocess.Popen([sys.executable, "-c", code, str(store.path.parents[1]), f"writer_{at}"]) for at in range(4)
    ]
    assert [writer.wait(timeout=60) for writer in writers] == [0] * 4
    expected = {f"writer_{at}_{number}": f"value {number}" for at in range(4) for number in range(20)}
    assert store.values() == expected
    assert sorted(path.name for path in store.path.parent.iterdir()) == [".gitignore", "secrets.json", "secrets.lock"]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
@given(
    names=st.lists(st.from_regex(r"\w[\w.-]{0,20}", fullmatch=True), min_size=1, max_size=4, unique=True),
    value=st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=200),
)
def test_any_text_under_any_name_comes_back(store: SecretStore, names: list[str], value: str) -> None:
    for name in names:
        store.set(name, f"{value}{name}")
    assert {name: store.get(name) for name in names} == {name: f"{value}{name}" for name in names}
