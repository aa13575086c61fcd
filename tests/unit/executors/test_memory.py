"""How much memory there is, read from files as a system has them."""

from __future__ import annotations

from pathlib import Path

import pytest

from refold.executors.memory import Memory, SystemMemory, in_words

GB = 2**30
MACHINE = f"MemTotal: {16 * 2**20} kB\nMemFree: 1 kB\nMemAvailable: {8 * 2**20} kB\nSwapFree: {2**20} kB\n"


def put(root: Path, files: dict[str, str]) -> SystemMemory:
    for name, text in files.items():
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return SystemMemory(root)


def second_kind(folder: str, limit: str, used: int, cached: int = 0, kills: int = 0) -> dict[str, str]:
    base = f"sys/fs/cgroup/{folder}"
    return {
        f"{base}/memory.max": f"{limit}\n",
        f"{base}/memory.current": f"{used}\n",
        f"{base}/memory.stat": f"anon 5\ninactive_file {cached}\nactive_file 7\n",
        f"{base}/memory.events": f"low 0\noom 3\noom_kill {kills}\n",
    }


def test_without_limits_it_is_what_the_machine_has(tmp_path: Path) -> None:
    memory = put(tmp_path, {"proc/meminfo": MACHINE})
    assert memory.look() == Memory(8 * GB, 16 * GB, GB)


def test_a_container_leaves_what_its_limit_leaves_cached_files_aside(tmp_path: Path) -> None:
    files = {"proc/meminfo": MACHINE, "proc/self/cgroup": "0::/\n", **second_kind(".", str(4 * GB), 3 * GB, GB)}
    assert put(tmp_path, files).look() == Memory(2 * GB, 4 * GB)


def test_the_group_above_counts_where_it_leaves_less(tmp_path: Path) -> None:
    files = {
        "proc/meminfo": MACHINE,
        "proc/self/cgroup": "0::/above/own\n",
        **second_kind("above/own", "max", 1),
        **second_kind("above", str(5 * GB), 4 * GB),
    }
    assert put(tmp_path, files).look() == Memory(GB, 5 * GB)


def test_a_path_that_only_the_host_has_stands_for_the_whole_tree(tmp_path: Path) -> None:
    files = {"proc/self/cgroup": "0::/kubepods/pod7\n", **second_kind(".", str(2 * GB), GB)}
    assert put(tmp_path, files).look() == Memory(GB, 2 * GB)


def test_groups_of_the_first_kind_count_as_well(tmp_path: Path) -> None:
    base = "sys/fs/cgroup/memory/docker/abc"
    files = {
        "proc/meminfo": MACHINE,
        "proc/self/cgroup": "9:cpu,cpuacct:/\n8:memory:/docker/abc\n0::/\n",
        f"{base}/memory.limit_in_bytes": f"{3 * GB}\n",
        f"{base}/memory.usage_in_bytes": f"{3 * GB}\n",
        f"{base}/memory.stat": f"inactive_file 0\ntotal_inactive_file {GB}\n",
        f"{base}/memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 4\n",
        "sys/fs/cgroup/memory/docker/memory.limit_in_bytes": "9223372036854771712\n",
        "sys/fs/cgroup/memory/docker/memory.usage_in_bytes": f"{9 * GB}\n",
    }
    memory = put(tmp_path, files)
    assert memory.look() == Memory(GB, 3 * GB)
    assert memory.kills() == 4


def test_kills_of_the_machine_and_of_the_group_count(tmp_path: Path) -> None:
    files = {
        "proc/vmstat": "nr_free_pages 7\noom_kill 2\n",
        "proc/self/cgroup": "0::/\n",
        **second_kind(".", "max", 1, kills=1),
    }
    memory = put(tmp_path, files)
    before = memory.kills()
    put(tmp_path, {"proc/vmstat": "nr_free_pages 7\noom_kill 3\n"})
    assert memory.kills() > before


def test_where_nothing_is_told_nothing_is_known(tmp_path: Path) -> None:
    memory = put(tmp_path, {})
    assert memory.look() is None
    assert memory.kills() == 0


def test_a_group_that_has_gone_does_not_count(tmp_path: Path) -> None:
    files = {"proc/self/cgroup": "0::/\n", **second_kind(".", str(2 * GB), GB)}
    memory = put(tmp_path, files)
    (tmp_path / "sys/fs/cgroup/memory.current").unlink()
    assert memory.look() is None


@pytest.mark.parametrize(
    ("size", "said"), [(0, "0 bytes"), (1500, "1.5 kB"), (640_000_000, "640 MB"), (7_940_000_000, "7.9 GB")]
)
def test_sizes_are_said_in_words(size: int, said: str) -> None:
    assert in_words(size) == said
