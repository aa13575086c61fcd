"""`refold secrets`: how values get in, and that they never come out."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from refold.io.secrets.store import SecretStore
from refold.model.project import Project

COMMAND = [sys.executable, "-m", "refold.cli", "secrets"]

Secrets = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("REFOLD_SECRETS_KEY", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return Project.init(tmp_path / "project").path


@pytest.fixture
def secrets(project: Path) -> Secrets:
    """Runs `refold secrets`, which shows no value whatever happens."""

    def run(*words: str, given: str | bytes = b"") -> subprocess.CompletedProcess[str]:
        data = given if isinstance(given, bytes) else given.encode()
        done = subprocess.run([*COMMAND, *words], input=data, capture_output=True, check=False, cwd=project, timeout=60)
        result = subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())
        assert "s3cret" not in result.stdout + result.stderr
        return result

    return run


def test_a_value_is_read_from_stdin_without_its_line_end(secrets: Secrets, project: Path) -> None:
    done = secrets("set", "token", "-", given="s3cret value\n")
    assert (done.returncode, done.stdout, done.stderr) == (0, "set the secret `token`\n", "")
    assert SecretStore(project).get("token") == "s3cret value"


def test_lines_within_a_value_stay(secrets: Secrets, project: Path) -> None:
    assert secrets("set", "key", "-", given="-----BEGIN\ns3cret\n-----END\n\n").returncode == 0
    assert SecretStore(project).get("key") == "-----BEGIN\ns3cret\n-----END\n"


def test_a_value_is_taken_from_a_variable(secrets: Secrets, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIVEN", "s3cret")
    assert secrets("set", "token", "--from-env", "GIVEN").returncode == 0
    assert SecretStore(project).get("token") == "s3cret"


def typed(project: Path, *lines: str) -> tuple[int, str]:
    """What the command says to somebody who types these lines at a terminal, and how it ends."""
    leader, follower = pty.openpty()
    with subprocess.Popen(
        [*COMMAND, "set", "token"],
        stdin=follower,
        stdout=follower,
        stderr=follower,
        cwd=project,
        start_new_session=True,
    ) as process:
        os.close(follower)
        said = b""
        for line in lines:
            while not said.endswith(b": "):
                said += os.read(leader, 1000)
            os.write(leader, f"{line}\n".encode())
            said += b"|"
        try:
            while more := os.read(leader, 1000):
                said += more
        except OSError:  # nobody holds the other end
            pass
        code = process.wait(timeout=60)
    os.close(leader)
    return code, said.decode()


def test_somebody_at_a_terminal_is_asked_and_nothing_is_echoed(project: Path) -> None:
    code, said = typed(project, "s3cret", "s3cret")
    assert code == 0
    assert "value of token: " in said
    assert "set the secret `token`" in said
    assert "s3cret" not in said
    assert SecretStore(project).get("token") == "s3cret"


def test_two_different_values_are_a_slip(project: Path) -> None:
    code, said = typed(project, "s3cret", "s3crte")
    assert code == 2
    assert "two different values; nothing was changed" in said
    assert SecretStore(project).get("token") is None


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("set", "token"), "there is no terminal to ask"),
        (("set", "token", "hunter22"), "a value is never an argument"),
        (("set", "token", "--from-env", "NOT_SET_AT_ALL"), "NOT_SET_AT_ALL is not set"),
        (("set", "token", "-", "--from-env", "HOME"), "contradict each other"),
        (("set", "a b", "-"), "cannot be the name of a secret"),
        (("set", "token", "-"), "is empty"),
        (("delete", "token"), "there is no secret `token`"),
        (("lst",), "there is no command `lst`\n  Did you mean `list`?"),
    ],
)
def test_what_cannot_be_done_is_said_and_nothing_is_changed(
    secrets: Secrets, project: Path, words: tuple[str, ...], said: str
) -> None:
    done = secrets(*words)
    assert done.returncode == 2
    assert said in done.stderr
    assert SecretStore(project).list() == []


def test_bytes_that_are_no_text_are_refused(secrets: Secrets) -> None:
    done = secrets("set", "token", "-", given=b"s3cret\xff")
    assert done.returncode == 2
    assert "is not text in UTF-8; nothing was changed" in done.stderr


def test_the_list_has_names_and_dates(secrets: Secrets, project: Path) -> None:
    assert secrets("list").stdout == "no secrets yet\n"
    secrets("set", "b_token", "-", given="s3cret")
    secrets("set", "a_token", "-", given="s3cret")
    header, first, second = secrets("list").stdout.splitlines()
    assert header.split() == ["name", "set"]
    dates = {each.name: each.set_at for each in SecretStore(project).list()}
    assert [first.split(), second.split()] == [["a_token", dates["a_token"]], ["b_token", dates["b_token"]]]
    lines = [json.loads(line) for line in secrets("list", "--json").stdout.splitlines()]
    assert lines == [{"name": name, "set_at": dates[name]} for name in ("a_token", "b_token")]


def test_a_deleted_secret_is_not_listed(secrets: Secrets) -> None:
    secrets("set", "token", "-", given="s3cret")
    assert secrets("delete", "token").stdout == "deleted the secret `token`\n"
    assert secrets("list").stdout == "no secrets yet\n"


def test_a_value_too_short_to_mask_is_warned_of(secrets: Secrets) -> None:
    done = secrets("set", "pin", "-", given="123")
    assert done.returncode == 0
    assert "warning: a value of fewer than 4 characters is not masked" in done.stderr
