"""Many children under way at once: on one event loop, on threads, over workers; none of the tests looks at a clock.

Children meet at a server that answers none of them before all have come: they could not end if they did not overlap.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from refold.api.wiring import ExecutorKind
from refold.errors import PlanError
from refold.ports.run_store import RunStatus
from refold.testing.lab import PASS, Lab, load, statuses, values

KINDS = pytest.mark.parametrize("kind", [ExecutorKind.INLINE, ExecutorKind.PROCESSES], ids=str)
ASYNC = """
import asyncio

@transformer
async def call(number, *args):
    reader, writer = await asyncio.open_connection("127.0.0.1", {port})
    writer.write(f"{{number}}\\n".encode())
    answer = await reader.readline()
    writer.close()
    return answer.decode().strip()
"""
PLAIN = """
import socket

@transformer
def call(number, *args):
    with socket.create_connection(("127.0.0.1", {port})) as connection, connection.makefile("rw") as stream:
        print(number, file=stream, flush=True)
        return stream.readline().strip()
"""
WAIT = "import asyncio\nfrom pathlib import Path\n\nasync def until(path):\n    while not Path(path).exists():\n"
WAIT += "        await asyncio.sleep(0.01)\n\n"


class Meeting:
    """A server that answers with what it is told, once so many have told it something."""

    def __init__(self, parties: int) -> None:
        self._parties = parties
        self._come = 0
        self._all_here = asyncio.Event()
        self._loop = asyncio.new_event_loop()
        self._server = self._loop.run_until_complete(asyncio.start_server(self._serve, "127.0.0.1", 0, backlog=1000))
        self.port = self._server.sockets[0].getsockname()[1]
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line = await reader.readline()
        self._come += 1
        if self._come >= self._parties:
            self._all_here.set()
        await self._all_here.wait()
        writer.write(line)
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    def close(self) -> None:
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _close(self) -> None:
        self._server.close()
        await self._server.wait_closed()
        others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(tmp_path)


@pytest.fixture
def meeting(request: pytest.FixtureRequest) -> Iterator[Meeting]:
    meeting = Meeting(request.param)
    yield meeting
    meeting.close()


@KINDS
@pytest.mark.parametrize("meeting", [300], indirect=True)
def test_hundreds_of_async_children_wait_for_a_server_at_once(lab: Lab, kind: ExecutorKind, meeting: Meeting) -> None:
    lab.add("numbers", load("list(range(300))"), dynamic=True)
    lab.add("call", ASYNC.format(port=meeting.port), ["numbers"])
    assert values(lab.run(kind), "call") == {str(number): str(number) for number in range(300)}


@KINDS
@pytest.mark.parametrize("meeting", [40], indirect=True)
def test_plain_children_do_so_on_threads(lab: Lab, kind: ExecutorKind, meeting: Meeting) -> None:
    lab.add("numbers", load("list(range(40))"), dynamic=True)
    lab.add("call", PLAIN.format(port=meeting.port), ["numbers"], executor={"threads": 40})
    assert values(lab.run(kind), "call") == {str(number): str(number) for number in range(40)}


def test_children_that_wait_need_no_worker_of_their_own(lab: Lab, tmp_path: Path) -> None:
    """A generator goes on once the child of its last item has begun, and each child waits for the generator's end."""
    folder = str(tmp_path)
    lab.add(
        "numbers",
        "import time\nfrom pathlib import Path\n\n@data_loader\ndef give():\n    for number in range(12):\n"
        f"        yield number\n        while not Path({folder!r}, str(number)).exists():\n"
        f"            time.sleep(0.01)\n    Path({folder!r}, 'all').touch()\n",
        dynamic=True,
    )
    child = f"    Path({folder!r}, str(number)).touch()\n    await until({folder + '/all'!r})\n    return number\n"
    lab.add("wait", f"{WAIT}@transformer\nasync def wait(number):\n{child}", ["numbers"])
    assert values(lab.run(ExecutorKind.PROCESSES), "wait") == {str(number): number for number in range(12)}


def test_blocks_below_go_on_while_children_wait(lab: Lab, tmp_path: Path) -> None:
    """The first child is through all blocks before the others, which wait for just that, end."""
    path = str(tmp_path / "stored")
    lab.add("numbers", load("list(range(6))"), dynamic=True)
    fetch = f"    if number:\n        await until({path!r})\n    return number\n"
    lab.add("fetch", f"{WAIT}@transformer\nasync def fetch(number):\n{fetch}", ["numbers"])
    lab.add("parse", PASS, ["fetch"])
    store = f"    Path({path!r}).touch()\n    return number\n"
    lab.add("store", f"{WAIT}@data_exporter\nasync def store(number):\n{store}", ["parse"])
    assert values(lab.run(ExecutorKind.PROCESSES), "store") == {str(number): number for number in range(6)}


@KINDS
def test_children_on_threads_fail_and_stop_one_by_one(lab: Lab, kind: ExecutorKind) -> None:
    lab.add("numbers", load("list(range(8))"), dynamic=True)
    lab.add(
        "share",
        "@transformer\ndef share(number):\n    return 12 // number\n\n@condition\ndef odd(number, **kwargs):\n"
        "    return number != 3\n",
        ["numbers"],
        executor={"threads": 4},
    )
    lab.add("below", PASS, ["share"])
    reader = lab.run(kind)
    assert reader.record.status is RunStatus.FAILED
    assert values(reader, "below") == {str(number): 12 // number for number in (1, 2, 4, 5, 6, 7)}
    assert statuses(reader, "below")["0"] == "upstream_failed"
    assert statuses(reader, "below")["3"] == "condition_failed"


@pytest.mark.parametrize(
    ("kind", "settings", "dynamic", "says"),
    [
        ("async ", {"threads": 4}, False, r"configuration\.executor\.threads.*(.|\n)*`async def`"),
        ("", {"concurrency": 4}, False, r"configuration\.executor\.concurrency.*(.|\n)*not `async def`"),
        ("", {"threads": 4}, True, r"configuration\.executor\.threads.*(.|\n)*one run of a dynamic block"),
    ],
    ids=["threads of async", "concurrency of plain", "dynamic"],
)
def test_a_width_that_means_nothing_is_an_error_before_anything_runs(
    lab: Lab, kind: str, settings: dict[str, int], dynamic: bool, says: str
) -> None:
    lab.add("numbers", load("[1]"), dynamic=True)
    code = f"@transformer\n{kind}def f(number):\n    return [number]\n"
    lab.add("f", code, ["numbers"], executor=dict(settings), dynamic=dynamic)
    with pytest.raises(PlanError, match=says):
        lab.run()
