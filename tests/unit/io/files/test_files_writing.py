"""A file is replaced at once or not at all, whatever happens to who writes it."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import textwrap
from pathlib import Path

import pandas as pd
import pytest

from refold.errors import FileStoreError
from refold.io.files.files import FileIO
from refold.io.files.replaced_file import replaced

OLD = pd.DataFrame({"id": [1, 2, 3]})
NAMES = ["a.csv", "a.csv.gz", "a.parquet", "a.xlsx"]
WRITE = """
    import resource, signal, sys
    import numpy as np
    import pandas as pd
    from refold.io.files.files import FileIO

    frame = pd.DataFrame(np.random.default_rng(0).random((5_000, 2)), columns=["a", "b"])
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
    {before}
    FileIO().export(frame, sys.argv[1])
    """


def _write(path: Path, before: str = "") -> subprocess.CompletedProcess[str]:
    """Has another process write a frame that is larger than the file may become."""
    code = textwrap.dedent(WRITE).format(before=before)
    return subprocess.run(
        [sys.executable, "-c", code, str(path)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )


@pytest.mark.parametrize("name", NAMES)
def test_a_process_killed_while_it_writes_leaves_the_old_file(name: str, tmp_path: Path) -> None:
    FileIO().export(OLD, tmp_path / "rows" / name)
    # The kernel kills at the write that passes the limit: in the middle of the file.
    process = _write(tmp_path / "rows" / name, "signal.signal(signal.SIGXFSZ, signal.SIG_DFL)")
    assert process.returncode == -signal.SIGXFSZ, process.stderr
    pd.testing.assert_frame_equal(FileIO().load(tmp_path / "rows" / name), OLD)
    left = [each.name for each in (tmp_path / "rows").iterdir() if each.name != name]
    assert len(left) == 1
    assert left[0].startswith(".refold-")
    pd.testing.assert_frame_equal(FileIO().load(tmp_path / "rows"), OLD)


@pytest.mark.parametrize("name", NAMES)
def test_where_there_is_no_room_the_old_file_stays_and_nothing_is_left(name: str, tmp_path: Path) -> None:
    FileIO().export(OLD, tmp_path / name)
    process = _write(tmp_path / name)
    assert process.returncode == 1
    assert "FileStoreError" in process.stderr
    assert "there is no room for it" in process.stderr
    assert str(tmp_path / name) in process.stderr
    assert [each.name for each in tmp_path.iterdir()] == [name]
    pd.testing.assert_frame_equal(FileIO().load(tmp_path / name), OLD)


def test_two_writers_leave_one_of_the_two_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    code = """
        import sys
        import pandas as pd
        from refold.io.files.files import FileIO
        frame = pd.DataFrame({"who": [int(sys.argv[2])] * 5000})
        for _ in range(15):
            FileIO().export(frame, sys.argv[1])
    """
    FileIO().export(pd.DataFrame({"who": [0] * 5000}), path)
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    writers = [
        subprocess.Popen([sys.executable, "-c", textwrap.dedent(code), str(path), str(number)], env=env)
        for number in (1, 2)
    ]
    while any(writer.poll() is None for writer in writers):
        found = FileIO().load(path)["who"]
        assert len(found) == 5000
        assert found.nunique() == 1
    assert [writer.returncode for writer in writers] == [0, 0]
    assert FileIO().load(path)["who"].unique()[0] in {1, 2}
    assert list(tmp_path.iterdir()) == [path]


def test_an_error_of_the_rows_leaves_the_old_file(tmp_path: Path) -> None:
    FileIO().export(OLD, tmp_path / "a.parquet")
    with pytest.raises(FileStoreError):
        FileIO().export(pd.DataFrame({"a": [1, "x"]}, dtype=object), tmp_path / "a.parquet")
    pd.testing.assert_frame_equal(FileIO().load(tmp_path / "a.parquet"), OLD)
    assert len(list(tmp_path.iterdir())) == 1


def test_an_interruption_leaves_the_old_file(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"old")

    def write_half() -> None:
        with replaced(str(tmp_path / "a")) as file:
            file.write(b"half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_half()
    assert (tmp_path / "a").read_bytes() == b"old"
    assert len(list(tmp_path.iterdir())) == 1


def test_the_mode_of_the_old_file_is_kept_and_a_new_one_follows_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        FileIO().export(OLD, tmp_path / "new.csv")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "new.csv").stat().st_mode) == 0o640
    (tmp_path / "new.csv").chmod(0o604)
    FileIO().export(OLD, tmp_path / "new.csv")
    assert stat.S_IMODE((tmp_path / "new.csv").stat().st_mode) == 0o604


def test_pipes_and_devices_are_not_replaced(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.csv")
    with pytest.raises(FileStoreError, match="device or pipe"):
        FileIO().export(OLD, tmp_path / "a.csv")
    assert stat.S_ISFIFO((tmp_path / "a.csv").stat().st_mode)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everything")
def test_a_file_that_may_not_be_written_is_not_replaced(tmp_path: Path) -> None:
    FileIO().export(OLD, tmp_path / "a.csv")
    (tmp_path / "a.csv").chmod(0o444)
    with pytest.raises(FileStoreError, match="may not be written"):
        FileIO().export(OLD, tmp_path / "a.csv")


def test_the_same_rows_make_the_same_file(tmp_path: Path) -> None:
    for name in ("a.csv.gz", "a.csv", "a.parquet"):
        FileIO().export(OLD, tmp_path / name)
        first = (tmp_path / name).read_bytes()
        FileIO().export(OLD, tmp_path / name)
        assert (tmp_path / name).read_bytes() == first
