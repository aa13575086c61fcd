"""Disks that are full or read-only, files where folders should be, files that change under a run, and odd names.

Small disks are mounted for the tests that want them; where that is not allowed they are skipped, and say so.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from refold.api.reading import RunReader
from refold.api.wiring import ExecutorKind
from refold.errors import StoreError
from refold.model.pipeline import Pipeline
from refold.testing.lab import PASS, Lab, load, statuses, values

KINDS = pytest.mark.parametrize("kind", [ExecutorKind.INLINE, ExecutorKind.PROCESSES], ids=str)
EXECUTOR = pytest.mark.parametrize("executor", ["inline", "processes"])
CHILDREN = 60
LARGE = "@transformer\ndef large(number):\n    return str(number) * 20_000\n"
LENGTHS = "@data_exporter\ndef lengths(texts):\n    return sum(map(len, texts))\n"
ALL_LENGTHS = sum(len(str(number)) * 20_000 for number in range(CHILDREN))

Mount = Callable[..., None]
"""Calls `mount` with these arguments; what was mounted is gone after the test."""


def refold(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "refold.cli", *arguments]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False, timeout=60)


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(tmp_path)


@pytest.fixture
def mount(request: pytest.FixtureRequest) -> Iterator[Mount]:
    mounted: list[Path] = []

    def call(*options: str, on: Path) -> None:
        on.mkdir(parents=True, exist_ok=True)
        done = subprocess.run(["mount", *options, str(on)], capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"NOT TESTED, for nothing can be mounted here: {request.node.name}: {done.stderr.strip()}")
        if on not in mounted:
            mounted.append(on)

    yield call
    for path in reversed(mounted):
        subprocess.run(["umount", "--lazy", str(path)], check=True)


def small_disk(mount: Mount, size: str, on: Path) -> None:
    mount("-t", "tmpfs", "-o", f"size={size}", "tmpfs", on=on)


def enlarged(mount: Mount, on: Path) -> None:
    mount("-o", "remount,size=64m", on=on)


def fan_out(lab: Lab, child: str = LARGE) -> None:
    lab.add("load", load(f"list(range({CHILDREN}))"), dynamic=True)
    lab.add("child", child, ["load"], reduce_output=True)
    lab.add("lengths", LENGTHS, ["child"])


def latest(lab: Lab) -> RunReader:
    return RunReader.open("latest", lab.project)


# Disks that are full.


@EXECUTOR
def test_outputs_that_find_no_room_fail_their_children_and_a_retry_makes_them(
    lab: Lab, mount: Mount, executor: str
) -> None:
    fan_out(lab)
    outputs = lab.project.data_folder / "lab"
    small_disk(mount, "1m", outputs)
    done = refold("run", ".", "lab", "--executor", executor, cwd=lab.project.path)
    assert done.returncode == 1
    assert "the disk is full" in done.stdout
    assert "refold retry" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr
    reader = latest(lab)
    assert set(statuses(reader, "child").values()) <= {"completed", "failed"}
    before = {view.block_run_uuid: view for view in reader.block_runs("child", "completed")}
    failure = next(iter(reader.store.failures(reader.record.id)))
    assert "Free space there, then retry the run" in failure.traceback
    enlarged(mount, outputs)
    assert refold("retry", "latest", cwd=lab.project.path).returncode == 0
    after = {view.block_run_uuid: view for view in latest(lab).block_runs("child", "completed")}
    assert len(after) == CHILDREN
    assert {uuid: after[uuid] for uuid in before} == before
    assert latest(lab).output("lengths") == ALL_LENGTHS


@EXECUTOR
def test_rows_that_find_no_room_end_the_run_with_the_way_on(lab: Lab, mount: Mount, executor: str) -> None:
    lab.add("load", load("list(range(20_000))"), dynamic=True)
    lab.add("child", PASS, ["load"], reduce_output=True)
    lab.add("total", "@data_exporter\ndef total(numbers):\n    return sum(numbers)\n", ["child"])
    small_disk(mount, "300k", lab.project.data_folder)
    small_disk(mount, "64m", lab.project.data_folder / "lab")
    done = refold("run", ".", "lab", "--executor", executor, cwd=lab.project.path)
    assert done.returncode == 1
    assert "disk is full" in done.stderr
    assert "Free some disk space" in done.stderr
    assert "go on: `refold retry" in done.stderr
    assert "Traceback" not in done.stderr
    enlarged(mount, lab.project.data_folder)
    assert latest(lab).status == "interrupted"
    assert refold("retry", "latest", cwd=lab.project.path).returncode == 0
    assert latest(lab).output("total") == sum(range(20_000))


def test_without_any_room_nothing_is_started(lab: Lab, mount: Mount, tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    lab.add("load", f"@data_loader\ndef load():\n    open({str(ran)!r}, 'w').close()\n    return 1\n")
    small_disk(mount, "4k", lab.project.data_folder)
    done = refold("run", ".", "lab", cwd=lab.project.path)
    assert (done.returncode, done.stdout) == (1, "")
    assert "disk is full" in done.stderr
    assert "Free some disk space" in done.stderr
    assert not ran.exists()


# Projects that cannot be written to.


def read_only(path: str) -> Callable[[Lab, Mount], str]:
    def make(lab: Lab, mount: Mount) -> str:
        folder = lab.project.path / path
        folder.mkdir(parents=True, exist_ok=True)
        mount("--bind", str(folder), on=folder)
        mount("-o", "remount,ro,bind", on=folder)
        return "Read-only file system"

    return make


def a_file_for_the_data(lab: Lab, _mount: Mount) -> str:
    lab.project.data_folder.write_text("a file\n", encoding="utf-8")
    return "File exists"


def a_file_for_the_outputs(lab: Lab, _mount: Mount) -> str:
    lab.project.data_folder.mkdir()
    (lab.project.data_folder / "lab").write_text("a file\n", encoding="utf-8")
    return "Not a directory"


def a_folder_for_the_runs(lab: Lab, _mount: Mount) -> str:
    (lab.project.data_folder / "refold.db").mkdir(parents=True)
    return "is a folder, and the runs are kept in a file"


def text_for_the_runs(lab: Lab, _mount: Mount) -> str:
    lab.project.data_folder.mkdir()
    (lab.project.data_folder / "refold.db").write_text("no database\n" * 1000, encoding="utf-8")
    return "not a database"


@pytest.mark.parametrize(
    "spoil",
    [
        read_only("."),
        read_only(".mage_data/lab"),
        a_file_for_the_data,
        a_file_for_the_outputs,
        a_folder_for_the_runs,
        text_for_the_runs,
    ],
    ids=["read-only project", "read-only outputs", "file .mage_data", "file lab", "folder refold.db", "text refold.db"],
)
def test_what_cannot_be_written_is_told_before_anything_starts(
    lab: Lab, mount: Mount, spoil: Callable[[Lab, Mount], str], tmp_path: Path
) -> None:
    ran = tmp_path / "ran"
    lab.add("load", f"@data_loader\ndef load():\n    open({str(ran)!r}, 'w').close()\n    return 1\n")
    said = spoil(lab, mount)
    with pytest.raises(StoreError, match=said) as raised:
        lab.run()
    assert str(lab.project.data_folder) in (raised.value.where or "")
    assert raised.value.fix
    assert not ran.exists()


def test_a_read_only_project_is_an_error_and_no_traceback(lab: Lab, mount: Mount) -> None:
    lab.add("load", load("1"))
    read_only(".")(lab, mount)
    done = refold("run", ".", "lab", cwd=lab.project.path)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("error: the folder of the runs cannot be made: Read-only file system")


# Files that change under a run.

CHANGES_ALL = """
import os
from pathlib import Path

@data_loader
def load(*args, **kwargs):
    folder = Path(kwargs["repo_path"])
    for path in sorted(folder.rglob("*.py")):
        if path.parent.name in {"transformers", "callbacks"}:
            path.write_text("this is no Python(", encoding="utf-8")
        elif path.parent.name in {"conditionals", "data_exporters"}:
            path.unlink()
    return [1, 2]
"""


@KINDS
def test_a_run_keeps_the_code_of_all_block_files_that_it_began_with(lab: Lab, kind: ExecutorKind) -> None:
    lab.add("load", CHANGES_ALL, dynamic=True)
    lab.add("child", "@transformer\ndef child(number):\n    return number * 10\n", ["load"], reduce_output=True)
    lab.add("save", "@data_exporter\ndef save(numbers):\n    print('saved')\n    return sum(numbers)\n", ["child"])
    metadata = lab.pipeline.folder / "metadata.yaml"
    metadata.write_text(
        metadata.read_text(encoding="utf-8").replace("callbacks: []\n", "").replace("conditionals: []\n", "")
        + "\ncallbacks:\n- {uuid: told, type: callback, upstream_blocks: [save]}\n"
        "conditionals:\n- {uuid: asked, type: conditional, upstream_blocks: [save]}\n",
        encoding="utf-8",
    )
    for name, code in {
        "callbacks/told.py": "@callback('success')\ndef told(*args, **kwargs):\n    print('told')\n",
        "conditionals/asked.py": "@condition\ndef asked(*args, **kwargs):\n    print('asked')\n    return True\n",
    }.items():
        (lab.project.path / name).parent.mkdir(exist_ok=True)
        (lab.project.path / name).write_text(code, encoding="utf-8")
    lab.pipeline = Pipeline.get("lab", lab.project)
    reader = lab.run(kind)
    assert [*reader.failures()] == []
    assert reader.output("save") == 30
    assert [line.text for line in reader.logs("save")] == ["asked", "saved", "told"]
    assert not (lab.project.path / "conditionals" / "asked.py").exists()


def test_links_to_nowhere_in_the_project_are_no_modules(lab: Lab) -> None:
    """Editors leave such links beside a file that is being edited."""
    lab.add("load", load("[1]"), dynamic=True)
    (lab.project.path / "data_loaders" / ".#load.py").symlink_to("somebody@elsewhere:1")
    (lab.project.path / "missing.py").symlink_to("nowhere.py")
    assert lab.run(ExecutorKind.PROCESSES).status == "completed"


# Block files and names.


@pytest.mark.parametrize(
    "code",
    [
        b"\xef\xbb\xbf" + load("1").encode(),
        load("1").replace("\n", "\r\n").encode(),
        load("1").replace("\n", "\r").encode(),
        b"# -*- coding: latin-1 -*-\nname = '\xe9'\n" + load("1").encode(),
    ],
    ids=["byte order mark", "CRLF", "CR", "latin-1"],
)
def test_block_files_may_come_from_any_editor(lab: Lab, code: bytes) -> None:
    lab.add("load", load("0"))
    lab.pipeline.block("load").file.write_bytes(code)
    assert lab.run().output("load") == 1


@pytest.mark.parametrize(
    ("code", "said", "line"),
    [
        ("", "no function decorated with `@data_loader`", None),
        ("def load():\n    return 1\n", "no function decorated with `@data_loader`", None),
        ("@data_loader\ndef load(:\n    return 1\n", "syntax error", 2),
        ("@data_loader\ndef load():\n    return 1\n  oops\n", "syntax error", 4),
    ],
    ids=["empty", "undecorated", "syntax", "indentation"],
)
def test_a_block_file_that_is_no_block_is_told_with_its_place(lab: Lab, code: str, said: str, line: int | None) -> None:
    lab.add("load", load("0"))
    lab.edit("load", code)
    (failure,) = lab.run().failures()
    assert said in failure.error
    file = str(lab.pipeline.block("load").file)
    assert (f"({file}:{line})" if line else file) in failure.error


def test_names_may_have_blanks_and_any_letters(tmp_path: Path) -> None:
    lab = Lab(tmp_path / "mein projekt ü 🎉 'x'")
    double = "@transformer\ndef double(n):\n    print('für', n)\n    return n * 2\n"
    for name, code in {"data_loaders/lade zahlen.py": load("[1, 2]"), "transformers/verdopple 🎉.py": double}.items():
        (lab.project.path / name).write_text(code, encoding="utf-8")
    folder = lab.project.path / "pipelines" / "tägliche zahlen"
    folder.mkdir()
    (folder / "metadata.yaml").write_text(
        "blocks:\n- {uuid: lade zahlen, type: data_loader, configuration: {dynamic: true}}\n"
        "- {uuid: verdopple 🎉, type: transformer, upstream_blocks: [lade zahlen]}\n",
        encoding="utf-8",
    )
    done = refold("run", ".", "tägliche zahlen", "--executor", "processes", cwd=lab.project.path)
    assert done.returncode == 0, done.stderr
    assert values(latest(lab), "verdopple 🎉") == {"0": 2, "1": 4}
    printed = refold("logs", "latest", "verdopple 🎉:1", cwd=lab.project.path)
    assert printed.stdout.rstrip().endswith("für 2")
