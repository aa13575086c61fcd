"""`docs/triggering.md`: its examples, run as they stand there."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from refold.model.pipeline import Pipeline
from refold.testing.lab import Lab, values

PAGE = Path(__file__).parents[2] / "docs" / "triggering.md"
REPORT = "@data_loader\ndef load_region(*args, **kwargs):\n    return kwargs['region']\n"


def example(name: str) -> str:
    """The example that begins with this comment."""
    codes: list[str] = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    [found] = [code for code in codes if code.startswith(f"# {name}\n")]
    return found


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    lab = Lab(tmp_path)
    Pipeline.create("report", lab.project).add_block("load_region", "data_loader", content=REPORT)
    return lab


def test_every_example_is_run_here() -> None:
    names = re.findall(r"```python\n# (\S+)\n", PAGE.read_text())
    assert names == ["custom/start_report.py", "custom/start_both.py", "script", "sensors/report_is_there.py"]


def test_a_block_starts_a_report(lab: Lab) -> None:
    lab.add("start_report", example("custom/start_report.py"))
    reader = lab.run()
    assert reader.status == "completed"
    [started] = values(reader, "start_report").values()
    assert isinstance(started, dict)
    assert started["status"] == "completed"
    assert values(lab.read(started["run"]), "load_region") == {"": "north"}


def test_an_async_block_starts_two(lab: Lab) -> None:
    lab.add("start_both", example("custom/start_both.py"))
    assert values(lab.run(), "start_both") == {"": {"completed": [True, True]}}


def test_a_script_starts_a_report_and_asks_for_it(lab: Lab) -> None:
    done = subprocess.run(
        [sys.executable, "-c", example("script")],
        cwd=lab.project.path,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr


def test_a_sensor_asks_for_a_report(lab: Lab) -> None:
    lab.add("start_report", example("custom/start_report.py"))
    assert lab.run().status == "completed"
    asks = Pipeline.create("asks", lab.project)
    lab.pipeline = asks.add_block("report_is_there", "sensor", content=example("sensors/report_is_there.py"))
    lab.add("after", "@data_loader\ndef load(*args):\n    return 'there'\n", ["report_is_there"])
    assert values(lab.run(), "after") == {"": "there"}
