"""Blocks that try to let a secret out: it is neither on disk nor in what any command prints."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from refold import trigger_pipeline
from refold.api.reading import RunReader
from refold.api.replaying import open_replay
from refold.api.running import RunOptions, retry_run, run_pipeline
from refold.api.single_block import run_block
from refold.api.wiring import ExecutorKind, open_project_store
from refold.errors import BadInputError
from refold.io.secrets.masking import spellings
from refold.io.secrets.store import SecretStore
from refold.model.block import JsonValue
from refold.testing.lab import Lab, load, values

KINDS = pytest.mark.parametrize("kind", [ExecutorKind.INLINE, ExecutorKind.PROCESSES], ids=str)
SECRET = 's3cret/"pässword"\nand its second line'
"""With a quote, a slash, a letter beyond ASCII and a second line, so that every spelling differs."""
IMPORTS = """
import json, logging, sys, threading, warnings
from urllib.parse import quote
from mage_ai.data_preparation.shared.secrets import get_secret_value

"""
LEAKS = [
    "print('it is', secret)",
    "sys.stdout.write(secret[:4]); sys.stdout.write(secret[4:])",
    "print(secret, file=sys.stderr)",
    "sys.stdout.buffer.write(secret.encode())",
    "logging.getLogger('app').warning('token %s', secret)",
    "kwargs['logger'].info('token %r', [secret])",
    "print(json.dumps({'password': secret}), repr({'password': secret}), quote(secret), secret.encode())",
    "thread = threading.Thread(target=print, args=(secret,)); thread.start(); thread.join()",
    "logging.getLogger().handlers[0].stream.write(secret) if hasattr(logging.getLogger().handlers[0], 'stream') else 0",
    "raise ValueError(f'cannot log in with {secret}')",
    "raise KeyError(secret)",
    "raise ValueError('x' * (2000 - len('ValueError: ') - 5) + secret)",
    "raise ValueError('x' * 19_995 + secret + 'y' * 30_000)",
    "error = ValueError('bad'); error.add_note(secret); raise error",
    "raise ExceptionGroup('all', [ValueError(secret), OSError(secret)])",
    "raise type('Odd', (Exception,), {'__str__': lambda self: secret})()",
    "nested(secret)",
    "logged(secret)",
    "int(secret)",
    "{}[secret]",
    "exec(f'raise SystemExit({secret!r})')",
]
CHILD = f"""{IMPORTS}
def nested(secret):
    try:
        try:
            raise KeyError(secret)
        except KeyError as error:
            raise ConnectionError(f'postgres://me:{{quote(secret)}}' + chr(64) + 'db') from error
    except ConnectionError:
        raise RuntimeError('outer')

def logged(secret):
    try:
        raise KeyError(secret)
    except KeyError:
        logging.exception('could not')

@transformer
def child(number, **kwargs):
    secret = get_secret_value('db_password')
    match number:
{"".join(f"        case {at}:{chr(10)}            {line}{chr(10)}" for at, line in enumerate(LEAKS))}
    return number
"""


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lab:
    monkeypatch.delenv("REFOLD_SECRETS_KEY", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    lab = Lab(tmp_path)
    SecretStore(lab.project.path).set("db_password", SECRET)
    return lab


def run_cli(lab: Lab, *words: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "refold.cli", *words],
        cwd=lab.project.path,
        capture_output=True,
        check=False,
        timeout=120,
    )
    return (done.stdout + done.stderr).decode()


def leaked(text: str) -> list[str]:
    """Spellings of the secret, or of a piece of it, that a text holds."""
    forms = {form for piece in ("s3cret", "second line") for form in (piece, piece.replace(" ", "%20"))}
    return [form for form in (*spellings(SECRET).values(), *forms) if form in text]


def nothing_leaked(lab: Lab, *said: str) -> None:
    for text in said:
        assert leaked(text) == []
    for path in (lab.project.path / ".mage_data").rglob("*"):
        if path.is_file():
            data = path.read_bytes()
            assert leaked(data.decode("utf-8", "replace")) == [], path
            assert leaked(data.decode("utf-16-le", "replace")) == [], path


@KINDS
def test_no_print_log_or_error_lets_a_secret_out(
    lab: Lab, kind: ExecutorKind, capfd: pytest.CaptureFixture[str]
) -> None:
    lab.add("load", load(f"list(range({len(LEAKS)}))"), dynamic=True)
    lab.add("child", CHILD, ["load"])
    reader = lab.run(kind)
    completed = {view.block_run_uuid for view in reader.block_runs("child", "completed")}
    failed = [f"child:{at}" for at in range(len(LEAKS)) if f"child:{at}" not in completed]
    assert len(completed) == 10
    assert len(failed) == len(LEAKS) - 10
    logs = [line.text for line in reader.logs()]
    assert sum("***" in line for line in logs) >= 10
    assert sum("***" in failure.error for failure in reader.failures()) >= 5
    run = reader.record.id
    said = [run_cli(lab, "logs", run), run_cli(lab, "show", run), run_cli(lab, "show", run, "--json")]
    said += [run_cli(lab, "block-runs", run), run_cli(lab, "why", run, failed[0]), run_cli(lab, "runs")]
    assert "cannot log in with ***" in "".join(said)
    captured = capfd.readouterr()
    nothing_leaked(lab, captured.out, captured.err, *said)


def test_the_command_that_runs_a_pipeline_shows_no_secret(lab: Lab) -> None:
    lab.add("child", CHILD.replace("def child(number, **kwargs)", "def child(number=9, **kwargs)"))
    shown = run_cli(lab, "run", ".", "lab")
    assert "cannot log in with ***" in shown
    as_json = run_cli(lab, "run", ".", "lab", "--json")
    alone = run_cli(lab, "run", ".", "lab", "--block-uuid", "child")
    debugged = run_cli(lab, "debug", "latest", "child")
    retried = run_cli(lab, "retry", "latest")
    nothing_leaked(lab, shown, as_json, alone, debugged, retried)


def test_a_block_that_is_debugged_prints_no_secret(lab: Lab) -> None:
    said = "print(secret); print([secret], file=sys.stderr); logging.warning(secret)"
    lab.add(
        "child",
        f"{IMPORTS}@transformer\ndef child(**kwargs):\n    secret = get_secret_value('db_password')\n    {said}\n",
    )
    lab.run(ExecutorKind.INLINE)
    debugged = run_cli(lab, "debug", "latest", "child")
    assert debugged.count("***") >= 3
    nothing_leaked(lab, debugged)


def test_what_happens_while_a_file_is_loaded_shows_no_secret(lab: Lab, capfd: pytest.CaptureFixture[str]) -> None:
    code = IMPORTS + "print(get_secret_value('db_password'))\nraise ValueError(get_secret_value('db_password'))\n"
    lab.add("child", code + "@transformer\ndef child():\n    pass\n")
    for kind in (ExecutorKind.INLINE, ExecutorKind.PROCESSES):
        reader = lab.run(kind)
        (failure,) = reader.failures()
        assert "raised ValueError while it was loaded: ***" in failure.error
    captured = capfd.readouterr()
    nothing_leaked(lab, captured.out, captured.err)


@KINDS
def test_a_secret_that_nobody_asked_for_is_masked_too(
    lab: Lab, kind: ExecutorKind, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REFOLD_SECRET_OTHER", "hunter22")
    lab.add("child", "@transformer\ndef child():\n    print('hunter' + '22', 's3cret/' + '\"pässword\"')\n")
    reader = lab.run(kind)
    assert [line.text for line in reader.logs("child")] == ["*** ***"]


@KINDS
def test_a_password_of_io_config_is_masked_in_a_connection_error(lab: Lab, kind: ExecutorKind) -> None:
    config = "default:\n  POSTGRES_PASSWORD: hunter22\n  URL: postgresql://me:0ther-pw@127.0.0.1:1/db\n"
    (lab.project.path / "io_config.yaml").write_text(config, encoding="utf-8")
    code = """
from mage_ai.io.config import ConfigFileLoader
@data_loader
def connect(*args):
    config = ConfigFileLoader()
    print(dict((key, config[key]) for key in config))
    raise ConnectionError(f"refused: postgresql://me:{config['POSTGRES_PASSWORD']}@db and {config['URL']}")
"""
    lab.add("connect", code)
    (failure,) = lab.run(kind).failures()
    assert failure.error == ("ConnectionError: refused: postgresql://me:***@db and postgresql://me:***@127.0.0.1:1/db")
    written = [path.read_bytes() for path in (lab.project.path / ".mage_data").rglob("*") if path.is_file()]
    assert not any(password in data for data in written for password in (b"hunter22", b"0ther-pw"))


def test_what_a_block_returns_is_data_and_stays_as_it_is(lab: Lab) -> None:
    code = IMPORTS + "@data_loader\ndef give(*args):\n    return {'got': get_secret_value('db_password')}\n"
    lab.add("give", code)
    assert values(lab.run(ExecutorKind.PROCESSES), "give") == {"": SECRET}


def test_a_run_without_the_key_goes_on_until_a_secret_is_asked_for(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(lab.project.path / "nowhere"))
    lab.add("plain", "@data_loader\ndef plain(*args):\n    return 5\n")
    lab.add("asks", IMPORTS + "@data_loader\ndef asks(*args):\n    return get_secret_value('db_password')\n")
    reader = lab.run(ExecutorKind.PROCESSES)
    assert values(reader, "plain") == {"": 5}
    (failure,) = reader.failures()
    assert "ProjectError: the secrets cannot be read: their key is not here" in failure.error


# Variables of a run.

SHOWS = "@data_loader\ndef show(*args, **kwargs):\n    return {'got': [kwargs.get('url'), kwargs.get('deep')]}\n"
URL = f"postgres://me:{SECRET}@db"
GIVEN: dict[str, JsonValue] = {"url": URL, "deep": {"list": [1, SECRET, f"{SECRET}{SECRET}"], "env": "dev"}}


def stored(lab: Lab) -> Iterator[str]:
    for table in ("run", "block_run"):
        yield from run_cli(lab, "show", "latest", "--json").splitlines()
        assert table


@KINDS
def test_a_variable_with_a_secret_reaches_the_block_and_not_the_disk(lab: Lab, kind: ExecutorKind) -> None:
    lab.add("plain", "@data_loader\ndef plain(*args):\n    return 5\n")
    code = "@data_exporter\ndef look(value, **kwargs):\n    import hashlib\n"
    code += "    text = repr([kwargs['url'], kwargs['deep']])\n    return hashlib.sha256(text.encode()).hexdigest()\n"
    lab.add("look", code, ["plain"])
    reader = lab.run(kind, **GIVEN)
    nothing_leaked(lab, *stored(lab))
    assert reader.record.variables == {
        "url": "postgres://me:***@db",
        "deep": {"list": [1, "***", "******"], "env": "dev"},
    }
    import hashlib

    assert values(reader, "look") == {"": hashlib.sha256(repr([URL, GIVEN["deep"]]).encode()).hexdigest()}


def test_a_retry_puts_the_secret_in_again_and_a_new_value_where_it_was_changed(lab: Lab) -> None:
    lab.add("show", SHOWS)
    reader = lab.run(url=URL, deep=12345678)
    assert values(lab.retry(reader, "show"), "show") == {"": [URL, 12345678]}
    SecretStore(lab.project.path).set("db_password", "changed-one")
    assert values(lab.retry(reader, "show"), "show") == {"": ["postgres://me:changed-one@db", 12345678]}
    SecretStore(lab.project.path).delete("db_password")
    with pytest.raises(BadInputError, match=r"variable `url`: it held the secret `db_password`, which is not there"):
        retry_run(lab.pipeline, reader.record, reader.store, "show")


def test_a_number_that_is_a_secret_comes_back_as_a_number(lab: Lab) -> None:
    SecretStore(lab.project.path).set("pin", "12345678")
    lab.add("show", SHOWS)
    reader = lab.run(url=12345678, deep="pin 12345678")
    assert reader.record.variables == {"url": "***", "deep": "pin ***"}
    assert values(lab.retry(reader, "show"), "show") == {"": [12345678, "pin 12345678"]}


def test_a_variable_that_spells_a_secret_otherwise_comes_back_so(lab: Lab) -> None:
    from urllib.parse import quote

    lab.add("show", SHOWS)
    url = f"postgres://me:{quote(SECRET, safe='')}@db"
    reader = lab.run(url=url, deep="and its second line")
    assert reader.record.variables == {"url": "postgres://me:***@db", "deep": "***"}
    assert values(lab.retry(reader, "show"), "show") == {"": [url, "and its second line"]}


def test_a_password_without_a_name_is_not_kept_and_the_run_cannot_be_taken_up(lab: Lab) -> None:
    from refold.io.secrets.masking import conceal

    conceal("hunter22")
    lab.add("show", SHOWS)
    reader = lab.run(url="me:hunter22")
    assert reader.record.variables == {"url": "***"}
    with pytest.raises(BadInputError, match="it held a password that is not kept"):
        retry_run(lab.pipeline, reader.record, reader.store, "show")


def test_who_writes_a_reference_by_hand_gets_no_secret(lab: Lab) -> None:
    lab.add("show", SHOWS)
    forged: JsonValue = {"secret": "db_password", "as": "plain"}
    template = "{{ mage_secret_var('db_password') }}"
    reader = lab.run(url=template, deep=forged)
    assert values(reader, "show") == {"": [template, forged]}
    assert values(lab.retry(reader, "show"), "show") == {"": [template, forged]}


def test_a_block_that_runs_alone_and_one_that_is_replayed_get_the_variable(lab: Lab) -> None:
    lab.add("show", SHOWS)
    alone = run_block(lab.pipeline, "show", None, {"url": URL})
    assert alone.value == {"got": [URL, None]}
    store = open_project_store(lab.project)
    record = next(each for each in store.list_runs() if each.id == alone.run_id)
    assert record.variables == {"url": "postgres://me:***@db"}
    reader = lab.run(url=URL)
    assert open_replay(reader, lab.pipeline, "show").run().shown == {"got": [URL, None]}


def test_a_run_that_another_starts_gets_the_secret_and_its_row_does_not(lab: Lab) -> None:
    lab.add("show", SHOWS)
    started = trigger_pipeline("lab", {"url": URL}, check_status=True, repo_path=lab.project.path)
    reader = lab.read(started.id)
    assert reader.record.variables == {"url": "postgres://me:***@db"}
    assert values(reader, "show") == {"": [URL, None]}


def test_a_project_without_secrets_never_loads_cryptography(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    lab.add("look", "@data_loader\ndef look(*args):\n    import sys\n    return 'cryptography' in sys.modules\n")
    record = run_pipeline(lab.pipeline, RunOptions(executor=ExecutorKind.PROCESSES))
    reader = RunReader(lab.project, record, open_project_store(lab.project))
    assert values(reader, "look") == {"": False}
    code = (
        "import sys; from refold.cli.app import REFOLD; REFOLD.run(sys.argv[1:]); print('cryptography' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "run", str(lab.project.path), "lab"], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "False"
