"""What the figures were taken on: the machine and the versions, nothing that tells whose machine it is."""

from __future__ import annotations

import platform
import re
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import psutil

LIBRARIES = (
    "refold",
    "pandas",
    "pyarrow",
    "msgspec",
    "sqlalchemy",
    "ray",
    "distributed",
    "prefect",
    "dagster",
)


def describe() -> dict[str, object]:
    """Processor, cores, memory in GB, kernel, Python, and the versions of what takes part; None for what is absent."""
    return {
        "processor": _processor(Path("/proc/cpuinfo")),
        "cores": psutil.cpu_count() or 1,
        "memory_gb": round(psutil.virtual_memory().total / 2**30, 1),
        "kernel": f"{platform.system()} {_leading_numbers(platform.release())}",
        "python": platform.python_version(),
        "libraries": {name: _version(name) for name in LIBRARIES},
    }


def sentence(machine: Mapping[str, object]) -> str:
    """The same in one line, without the libraries."""
    return (
        f"{machine['processor']}, {machine['cores']} cores, {machine['memory_gb']} GB, "
        f"{machine['kernel']}, Python {machine['python']}"
    )


def _processor(listed: Path) -> str:
    if listed.exists():
        for line in listed.read_text().splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name":
                return value.strip()
    return platform.processor() or platform.machine()


def _leading_numbers(release: str) -> str:
    """What comes after them is whoever built it."""
    found = re.match(r"\d+(\.\d+)*", release)
    return found.group() if found else release


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
