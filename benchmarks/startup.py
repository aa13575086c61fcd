"""How long the shortest commands take, as whole processes: `python -m benchmarks.startup`.

A chain of three static blocks that import nothing and compute next to nothing, in the command's process and in a
worker; three children of a dynamic block. Beside them, one after the other in the same round: what Python takes for
nothing at all, and for `import pandas`. Bytecode is there, as it is where packages are installed.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.measurement import Measurement, print_all
from benchmarks.whole_process import watched
from refold.model.block import JsonValue
from refold.model.pipeline import Pipeline
from refold.model.project import Project

_LOAD = """
@data_loader
def load(*args, **kwargs):
    return {"numbers": [1, 2, 3]}
"""
_UNFOLD = """
@data_loader
def load(*args, **kwargs):
    return [1, 2, 3]
"""
_DOUBLE = """
@transformer
def double(data, *args, **kwargs):
    return data
"""
_EXPORT = """
@data_exporter
def export(data, *args, **kwargs):
    assert data
"""


def write_project(folder: Path) -> None:
    """A project with two pipelines of three blocks: `chain`, and `fan`, whose first block is dynamic."""
    project = Project.init(folder)
    _add(project, "chain", _LOAD, {}, {})
    _add(project, "fan", _UNFOLD, {"dynamic": True}, {"reduce_output": True})


def _add(
    project: Project, name: str, load: str, unfolding: dict[str, JsonValue], folding: dict[str, JsonValue]
) -> None:
    first, second, third = (f"{name}_{step}" for step in ("load", "double", "export"))
    pipeline = Pipeline.create(name, project)
    pipeline = pipeline.add_block(first, "data_loader", configuration=unfolding, content=load)
    pipeline = pipeline.add_block(second, "transformer", upstream=[first], configuration=folding, content=_DOUBLE)
    pipeline.add_block(third, "data_exporter", upstream=[second], content=_EXPORT)


def measure(runs: int = 7) -> list[Measurement]:
    """Seconds of each command, so many times, all of them in turn."""
    with tempfile.TemporaryDirectory(prefix="startup-") as folder:
        project = Path(folder) / "project"
        write_project(project)
        run = ("-m", "refold.cli", "run", str(project))
        commands: dict[str, Sequence[str]] = {
            "python -c pass": ("-c", "pass"),
            'python -c "import pandas"': ("-c", "import pandas"),
            "refold --help": ("-m", "refold.cli", "--help"),
            "refold run, a chain of three static blocks": (*run, "chain"),
            "the same in a worker process": (*run, "chain", "--executor", "processes"),
            "refold run, three children of a dynamic block": (*run, "fan", "--workers", "2"),
        }
        bytecode = {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": str(Path(folder) / "bytecode")}
        seconds: dict[str, list[float]] = {name: [] for name in commands}
        for turn in range(runs + 1):
            for name, arguments in commands.items():
                ended = watched([sys.executable, *arguments], environment=bytecode)
                if turn:  # the first one makes the bytecode
                    seconds[name].append(ended.seconds)
    return [Measurement(name, "s", tuple(values)) for name, values in seconds.items()]


def main() -> None:
    """Prints the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=7)
    print_all(measure(parser.parse_args().runs))


if __name__ == "__main__":
    main()
