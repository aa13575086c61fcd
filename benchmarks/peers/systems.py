"""Which other systems are measured, on how many children each, and what their processes are told."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True)
class Peer:
    """Another system, at the same work."""

    name: str
    module: str
    """Which of these modules runs it."""
    package: str
    """What must be installed."""
    sizes: tuple[int, ...]
    """How many children, few enough that it is done within half a minute."""
    kept: str
    """What is on disk afterwards."""
    way: tuple[str, ...] = ()
    """More arguments of its module."""

    @property
    def is_installed(self) -> bool:
        """Whether it can be measured here."""
        return importlib.util.find_spec(self.package) is not None


PEERS = (
    Peer("Ray, bare tasks", "ray_tasks", "ray", (500, 20_000), "nothing is kept"),
    Peer("Dask distributed, futures", "dask_futures", "distributed", (500, 10_000), "nothing is kept"),
    Peer("Prefect, task.map", "prefect_map", "prefect", (500,), "states of task runs are kept, results are not"),
    Peer(
        "Dagster, in process", "dagster_dynamic", "dagster", (50, 300), "events and outputs are kept", ("in-process",)
    ),
    Peer(
        "Dagster, a process a step",
        "dagster_dynamic",
        "dagster",
        (10,),
        "events and outputs are kept",
        ("multiprocess",),
    ),
)


def environment(folder: Path) -> Mapping[str, str]:
    """What a peer's process is told: that `folder` is its home, and that it is to talk to this machine alone."""
    dagster = folder / "dagster"
    dagster.mkdir(exist_ok=True)
    (dagster / "dagster.yaml").write_text("telemetry:\n  enabled: false\n")
    return {
        "HOME": str(folder),
        "PYTHONPATH": str(ROOT),
        "PEER_FOLDER": str(folder / "peer"),
        "NO_PROXY": "127.0.0.1,localhost",
        "no_proxy": "127.0.0.1,localhost",
        "DO_NOT_TRACK": "1",
        "RAY_USAGE_STATS_ENABLED": "0",
        "PREFECT_HOME": str(folder / "prefect"),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "90",
        "PREFECT_LOGGING_LEVEL": "WARNING",
        "DAGSTER_HOME": str(dagster),
        "DAGSTER_DISABLE_TELEMETRY": "1",
    }
