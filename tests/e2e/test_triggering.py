"""Pipelines that are started from Python: by blocks of others, by scripts, inside event loops.

Children wait for files, so that nothing depends on how long anything takes; what is left going is let go at the end.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from refold import trigger_pipeline, trigger_pipeline_async
from refold.api.reading import RunReader, list_runs
from refold.api.run_engine import drive
from refold.api.run_setup import prepare
from refold.api.running import RunOptions, run_pipeline
from refold.api.started_by import StartedBy
from refold.api.triggered_run import TriggeredRun
from refold.api.wiring import ExecutorKind, open_project_store
from refold.errors import BadInputError, PipelineError, PipelineRunError, PipelineRunTimeoutError, PlanError
from refold.model.block import JsonValue
from refold.model.keys import RunId
from refold.model.pipeline import Pipeline
from refold.ports.run_store import NewRun
from refold.testing.lab import PASS, Lab, load, statuses, values
from refold.testing.postgres_schema import fresh_schema

CHILD = """
import os, time
from pathlib import Path

@data_loader
def load(*args, **kwargs):
    folder = Path({folder!r})
    (folder / f"begun {{kwargs.get('n')}} {{os.urandom(4).hex()}}").touch()
    while kwargs.get("gate") and not any((folder / name).exists() for name in (kwargs["gate"], "all")):
        time.sleep(0.005)
    if kwargs.get("fails") and not (folder / "mended").exists():
        raise ValueError("the child fails")
    return kwargs.get("n")
"""
CALL = "from refold import trigger_pipeline, trigger_pipeline_async\n\n"
WAIT_FOR_IT = CALL + (
    "@transformer\ndef start(n, **kwargs):\n    run = trigger_pipeline('child', {'n': n}, check_status=True)\n"
    "    return {'id': run.id, 'status': run.status}\n"
)


class House:
    """A project with a pipeline `child`, and `lab`, whose blocks start it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.lab = Lab(folder)
        self.project = self.lab.project
        self.child = self.pipeline("child", CHILD.format(folder=str(folder)))

    def pipeline(self, uuid: str, code: str) -> Pipeline:
        made = Pipeline.create(uuid, self.project)
        return made.add_block(f"{uuid}_load", "data_loader", content=code)

    def start(self, check_status: bool = False, **variables: JsonValue) -> TriggeredRun:
        return trigger_pipeline("child", variables, check_status, repo_path=self.project.path)

    def children(self, pipeline: str = "child") -> list[RunReader]:
        """The runs of a pipeline, oldest first."""
        return list(list_runs(self.project, pipeline))[::-1]

    def child_of(self, run: str) -> TriggeredRun:
        with closing(open_project_store(self.project)) as store:
            return TriggeredRun.of(self.project, next(each for each in store.list_runs() if each.id == run))

    def ended(self, reader: RunReader) -> str:
        """How a run ended, once it has."""
        return self.over(reader.record.id).status

    def over(self, run: str) -> TriggeredRun:
        """A run that is over: waits until it is."""
        found, deadline = self.child_of(run), time.monotonic() + 60
        while found.status == "initial":  # of its engine nothing is known yet
            assert time.monotonic() < deadline
            time.sleep(0.01)
            found.refresh()
        return found.wait(60)

    def times_begun(self, n: object) -> int:
        return len(list(self.folder.glob(f"begun {n} *")))

    def run(self, executor: ExecutorKind = ExecutorKind.PROCESSES, workers: int = 1) -> RunReader:
        record = run_pipeline(self.lab.pipeline, RunOptions(executor=executor, workers=workers))
        return self.lab.read(record.id)

    def retries(self, number: int) -> None:
        metadata = self.project.path / "metadata.yaml"
        kept = metadata.read_text().partition("retry_config:")[0]
        metadata.write_text(f"{kept}retry_config: {{retries: {number}, delay: 0}}\n")
        self.lab.pipeline = Pipeline.get("lab", self.project.path)
        self.lab.project = self.lab.pipeline.project

    def close(self) -> None:
        """Lets everything go on that is still there, to its end."""
        (self.folder / "all").touch()
        for reader in list_runs(self.project):
            self.over(reader.record.id)


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    house = House(tmp_path)
    yield house
    house.close()


def refold(house: House, *words: str) -> subprocess.CompletedProcess[str]:
    """A command of its own group of processes, as a terminal has it."""
    return subprocess.run(
        [sys.executable, "-m", "refold.cli", *words],
        cwd=house.project.path,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        start_new_session=True,
    )


# From anywhere


def test_a_run_is_in_the_store_when_it_was_started(house: House, capsys: pytest.CaptureFixture[str]) -> None:
    run = house.start(n=1, gate="go")
    assert run.pipeline_uuid == "child"
    assert not run.ended
    shown = refold(house, "show", run.id)
    assert shown.returncode == 0
    assert "  started by Python code\n" in shown.stdout
    assert f"run {run.id} of `child` started" in capsys.readouterr().out
    (house.folder / "go").touch()
    assert run.wait(60).completed
    assert run.variables == {"n": 1, "gate": "go"}
    assert run.completed_at is not None


def test_who_waits_gets_the_run_when_it_is_over(house: House) -> None:
    run = house.start(check_status=True, n=[1, {"a": None}])
    assert run.completed
    [reader] = house.children()
    assert values(reader, "child_load") == {"": [1, {"a": None}]}


def test_a_run_that_fails_is_told_of_or_raised(house: House) -> None:
    run = house.start(check_status=True, fails=True)
    assert (run.status, run.completed, run.ended) == ("failed", False, True)
    with pytest.raises(PipelineRunError, match="child_load: ValueError: the child fails") as raised:
        trigger_pipeline("child", {"fails": True}, True, error_on_failure=True, repo_path=house.project.path)
    assert raised.value.where in {f"run {reader.record.id}" for reader in house.children()}


def test_what_cannot_be_run_raises_and_starts_nothing(house: House) -> None:
    folder = house.project.path
    with pytest.raises(PipelineError, match="chidl"):
        trigger_pipeline("chidl", repo_path=folder)
    with pytest.raises(BadInputError, match="the variable `day` cannot be passed"):
        trigger_pipeline("child", {"day": object()}, repo_path=folder)  # type: ignore[dict-item]
    with pytest.raises(BadInputError, match="is no name of a variable"):
        trigger_pipeline("child", {1: 2}, repo_path=folder)  # type: ignore[dict-item]
    with pytest.raises(BadInputError, match="`variables` is a list"):
        trigger_pipeline("child", [1], repo_path=folder)  # type: ignore[arg-type]
    for wrong in (0, -1, "1", True, float("nan")):
        with pytest.raises(BadInputError, match="poll_interval"):
            trigger_pipeline("child", poll_interval=wrong, repo_path=folder)  # type: ignore[arg-type]
        with pytest.raises(BadInputError, match="poll_timeout"):
            trigger_pipeline("child", poll_timeout=wrong, repo_path=folder)  # type: ignore[arg-type]
    house.pipeline("bad", load("1")).block("bad_load").file.unlink()
    with pytest.raises(PipelineError, match="bad_load"):
        trigger_pipeline("bad", repo_path=folder)
    unplanned = house.pipeline("unplanned", load("[1]")).add_block(
        "each",
        "transformer",
        upstream=["unplanned_load"],
        content=PASS,
        configuration={"dynamic": {"reduce": "sum_up"}},
    )
    with pytest.raises(PlanError, match="neither a strategy"):
        trigger_pipeline(unplanned.uuid, repo_path=folder)
    assert house.children() == []
    assert house.children("bad") == []


def test_who_has_no_patience_left_leaves_the_run_going(house: House) -> None:
    with pytest.raises(PipelineRunTimeoutError, match=r"is not over after 0\.2 seconds, and goes on"):
        trigger_pipeline("child", {"gate": "go"}, True, poll_timeout=0.2, repo_path=house.project.path)
    [reader] = house.children()
    (house.folder / "go").touch()
    assert house.ended(reader) == "completed"


def test_progress_is_told_while_somebody_waits(house: House, capsys: pytest.CaptureFixture[str]) -> None:
    for verbose in (True, False):
        with pytest.raises(PipelineRunTimeoutError):
            trigger_pipeline(
                "child", {"gate": "go"}, True, False, 0.1, 0.5, verbose=verbose, repo_path=house.project.path
            )
        lines = capsys.readouterr().out.splitlines()
        assert len(lines) >= 3 if verbose else not lines


def test_an_engine_that_is_gone_is_noticed(house: House) -> None:
    killer = "import os, signal\n@data_loader\ndef load():\n    os.kill(os.getpid(), signal.SIGKILL)\n"
    house.pipeline("doomed", killer)
    run = trigger_pipeline("doomed", check_status=True, repo_path=house.project.path)
    assert run.status == "interrupted"
    with pytest.raises(PipelineRunError, match="its engine is gone"):
        trigger_pipeline("doomed", check_status=True, error_on_failure=True, repo_path=house.project.path)


def test_an_engine_that_cannot_begin_says_why(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(house.folder))
    (house.folder / "sitecustomize.py").write_text(
        "import sys\nif 'refold.api.detached' in sys.orig_argv:\n    sys.modules['refold.api.run_engine'] = None\n"
    )
    with pytest.raises(PipelineRunError, match=r"ended before the run began\n(.|\n)*run_engine"):
        house.start(check_status=True)
    monkeypatch.delenv("PYTHONPATH")
    [child] = house.children()
    assert refold(house, "cancel", child.record.id).returncode == 0


def test_the_documents_import_paths_are_there() -> None:
    from mage_ai.orchestration.run_status_checker import check_status as theirs_asks
    from mage_ai.orchestration.triggers.api import trigger_pipeline as theirs
    from refold import check_status

    assert theirs is trigger_pipeline
    assert theirs_asks is check_status


# From blocks


@pytest.mark.parametrize("kind", [ExecutorKind.INLINE, ExecutorKind.PROCESSES], ids=str)
def test_a_block_starts_a_pipeline_and_waits_for_it(house: House, kind: ExecutorKind) -> None:
    house.lab.add("first", load("5"))
    house.lab.add("start", WAIT_FOR_IT, ["first"])
    reader = house.run(kind)
    [child] = house.children()
    assert values(reader, "start")[""] == {"id": child.record.id, "status": "completed"}
    assert values(child, "child_load") == {"": 5}
    shown = refold(house, "show", child.record.id).stdout
    assert f"started by `start` of run {reader.record.id} (`lab`)" in shown
    assert child.head()["started_by"] == {
        "run": reader.record.id,
        "pipeline": "lab",
        "block_run": "start",
        "project": str(house.project.path),
        "depth": 1,
        "trigger": None,
    }
    assert f"run {child.record.id} of `child` started" in {line.text for line in reader.logs()}


def test_a_run_that_nobody_waits_for_outlives_the_one_that_started_it(house: House) -> None:
    house.lab.add("start", CALL + "@data_loader\ndef f():\n    return trigger_pipeline('child', {'gate': 'go'}).id\n")
    reader = house.run()
    assert reader.status == "completed"
    run = house.child_of(str(values(reader, "start")[""]))
    assert run.status in {"initial", "running"}
    (house.folder / "go").touch()
    assert house.over(run.id).completed


def test_parents_that_wait_for_their_pipelines_are_more_than_the_workers(house: House) -> None:
    """No child ends before all have begun, so the parents must all be under way at once."""
    many = 6
    meet = CHILD.replace('kwargs.get("gate") and not any(', f"len(list(folder.glob('begun *'))) < {many} and not any(")
    house.child.block("child_load").file.write_text(
        meet.format(folder=str(house.folder)).replace('kwargs["gate"]', '"go"')
    )
    house.lab.add("items", load(f"list(range({many}))"), dynamic=True)
    house.lab.add("start", WAIT_FOR_IT, ["items"])
    reader = house.run(workers=2)
    assert set(statuses(reader, "start").values()) == {"completed"}
    assert len(house.children()) == many


@pytest.mark.parametrize("waits", [True, False])
def test_ctrl_c_takes_down_what_is_waited_for_and_nothing_else(house: House, waits: bool) -> None:
    stop = "import os, signal, time\nfrom pathlib import Path\n"
    stop += f"def stop():\n    folder = Path({str(house.folder)!r})\n    while not list(folder.glob('begun *')):\n"
    stop += "        time.sleep(0.005)\n    os.killpg(os.getpgid(engine), signal.SIGINT)\n"
    body = "trigger_pipeline('child', {'gate': 'go'}, check_status=True)" if waits else "stop()\n    time.sleep(60)"
    early = (
        "import threading\n    threading.Thread(target=stop).start()"
        if waits
        else ("trigger_pipeline('child', {'gate': 'go'})")
    )
    code = f"{CALL}{stop}\nengine = os.getpid()\n@data_loader\ndef f():\n    {early}\n    {body}\n"
    house.lab.add("start", code)
    done = refold(house, "run", ".", "lab", "--executor", "inline")
    assert done.returncode == 1
    assert ": cancelled after" in done.stdout
    [child] = house.children()
    if not waits:
        assert house.child_of(child.record.id).status in {"initial", "running"}
        (house.folder / "go").touch()
    assert house.ended(child) == ("cancelled" if waits else "completed")


@pytest.mark.parametrize("threads", [None, 2], ids=["alone", "threads"])
def test_the_timeout_of_who_waits_cancels_what_is_waited_for(house: House, threads: int | None) -> None:
    code = CALL + "@transformer\ndef f(n):\n    trigger_pipeline('child', {'gate': 'go'}, check_status=True)\n"
    more: dict[str, JsonValue] = {} if threads is None else {"executor": {"threads": threads}}
    house.lab.add("items", load("[1]"), dynamic=True)
    house.lab.add("start", code, ["items"], timeout=2, **more)
    reader = house.run()
    assert [failure.error for failure in reader.failures()] == [
        "BlockTimeoutError: ran longer than its timeout of 2 seconds"
    ]
    [child] = house.children()
    assert house.ended(child) == "cancelled"


# Again


def test_what_a_former_attempt_has_started_is_not_started_again(house: House) -> None:
    flaky = CALL + (
        "@transformer\ndef f(n, **kwargs):\n"
        "    runs = [trigger_pipeline('child', {'n': n}, True).id for _ in range(2)]\n"
        "    if kwargs['retry']['attempts'] < 3:\n        raise ValueError('once more')\n    return {'ids': runs}\n"
    )
    house.retries(2)
    house.lab.add("items", load("[1, 2]"), dynamic=True)
    house.lab.add("start", flaky, ["items"])
    reader = house.run()
    assert set(statuses(reader, "start").values()) == {"completed"}
    ids = {run for each in values(reader, "start").values() for run in each["ids"]}  # type: ignore[index]
    assert len(ids) == 4
    assert {each.record.id for each in house.children()} == ids
    assert house.times_begun(1) == house.times_begun(2) == 2
    assert "was started by an earlier attempt" in "".join(line.text for line in reader.logs())


def test_what_came_to_nothing_is_started_anew_by_a_retry(house: House) -> None:
    code = CALL + "@data_loader\ndef f():\n"
    code += "    return trigger_pipeline('child', {'fails': True}, True, error_on_failure=True).id\n"
    house.lab.add("start", code)
    failed = house.run()
    assert failed.status == "failed"
    (house.folder / "mended").touch()
    again = house.lab.retry(failed)
    assert again.status == "completed"
    assert [house.ended(each) for each in house.children()] == ["failed", "completed"]
    assert values(again, "start")[""] == house.children()[1].record.id


def test_a_worker_that_dies_waiting_finds_its_run_again(house: House) -> None:
    die = "import os, signal, threading, time\nfrom pathlib import Path\n"
    die += f"folder = Path({str(house.folder)!r})\n"
    die += "def die():\n    while not list(folder.glob('begun *')):\n        time.sleep(0.005)\n"
    die += "    os.kill(os.getpid(), signal.SIGKILL)\n"
    code = CALL + die + "@data_loader\ndef f(**kwargs):\n    if kwargs['retry']['attempts'] == 1:\n"
    code += "        threading.Thread(target=die).start()\n    else:\n        (folder / 'go').touch()\n"
    code += "    return trigger_pipeline('child', {'gate': 'go', 'n': 7}, check_status=True).status\n"
    house.retries(1)
    house.lab.add("start", code)
    reader = house.run()
    assert values(reader, "start") == {"": "completed"}
    assert len(house.children()) == house.times_begun(7) == 1


def test_a_pipeline_that_starts_itself_without_end_is_refused(house: House) -> None:
    code = CALL + "@data_loader\ndef f(**kwargs):\n"
    code += "    trigger_pipeline('self', check_status=True, error_on_failure=True)\n"
    pipeline, run = house.pipeline("self", code), RunId("20260101-000000-0000000")
    prepared, before = prepare(pipeline), StartedBy(None, None, None, None, 15)
    options = {**RunOptions().as_json(), **before.as_options()}
    blocks = prepared.snapshot({})
    with closing(open_project_store(house.project)) as store:
        store.create(NewRun(run, str(house.project.path), pipeline.uuid, 1.0, {}, options, blocks))
    drive(str(house.project.path), run)
    first, second = house.children("self")
    assert [each.status for each in (first, second)] == ["failed", "failed"]
    assert second.started_by == StartedBy(run, "self", "self_load", str(house.project.path), 16)
    assert "16 runs have started one another before it" in second.failures()[0].error
    assert first.failures()[0].error.startswith("PipelineRunError: the pipeline `self` failed")


def test_an_engine_leaves_a_run_alone_that_is_over(house: House) -> None:
    run = house.start(check_status=True, n=4)
    drive(run.project, run.id)
    assert house.child_of(run.id).completed_at == run.completed_at
    assert house.times_begun(4) == 1


def test_runs_in_postgresql_are_started_and_waited_for(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    with fresh_schema() as url, monkeypatch.context() as patch:
        patch.setenv("REFOLD_DATABASE_URL", url)
        house.lab.add("first", load("5"))
        house.lab.add("start", WAIT_FOR_IT, ["first"])
        reader = house.run()
        assert reader.status == "completed"
        [child] = house.children()
        assert values(reader, "start")[""] == {"id": child.record.id, "status": "completed"}
        reader.close()
        child.close()


# Event loops


def test_who_awaits_a_run_keeps_nobody_from_going_on(house: House) -> None:
    async def both() -> tuple[TriggeredRun, TriggeredRun]:
        async def open_gate() -> TriggeredRun:
            run = await trigger_pipeline_async("child", {"n": 2}, True, repo_path=house.project.path)
            (house.folder / "go").touch()
            return run

        waits = trigger_pipeline_async("child", {"gate": "go"}, True, repo_path=house.project.path)
        return await asyncio.gather(waits, open_gate())

    assert all(run.completed for run in asyncio.run(both()))


def test_cancelling_who_awaits_cancels_the_run(house: House) -> None:
    async def give_up() -> None:
        async with asyncio.timeout(None) as limit:
            waits = asyncio.ensure_future(
                trigger_pipeline_async("child", {"gate": "go"}, True, repo_path=house.project.path)
            )
            while not house.times_begun(None):
                await asyncio.sleep(0.005)
            limit.reschedule(asyncio.get_running_loop().time())
            await waits

    with pytest.raises(TimeoutError):
        asyncio.run(give_up())
    [child] = house.children()
    assert house.ended(child) == "cancelled"


def test_a_notebook_may_call_it_though_a_loop_is_running(house: House) -> None:
    async def cell() -> TriggeredRun:
        return house.start(check_status=True, n=3)

    assert asyncio.run(cell()).completed


def test_async_blocks_await_their_pipelines(house: House) -> None:
    code = CALL + "@transformer\nasync def f(n):\n"
    code += "    return (await trigger_pipeline_async('child', {'n': n}, check_status=True)).status\n"
    house.lab.add("items", load("[1, 2, 3]"), dynamic=True)
    house.lab.add("start", code, ["items"])
    reader = house.run()
    assert values(reader, "start") == dict.fromkeys("012", "completed")
    by = {each.started_by.block_run for each in house.children() if each.started_by is not None}
    assert by == {"start:0", "start:1", "start:2"}


def test_an_async_block_that_would_block_its_loop_is_told_what_to_write(house: House) -> None:
    code = CALL + "@data_loader\nasync def f():\n    trigger_pipeline('child', check_status=True)\n"
    house.lab.add("start", code)
    reader = house.run()
    [failure] = reader.failures()
    assert "would keep the event loop from everything else while it waits" in failure.error
    assert house.children() == []
