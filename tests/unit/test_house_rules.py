"""Rules of the house that no linter checks."""

from graphlib import TopologicalSorter
from pathlib import Path

import grimp

ROOT = Path(__file__).parents[2]


def test_no_file_is_longer_than_700_lines() -> None:
    files = [path for folder in ("src", "tests", "benchmarks", "examples") for path in (ROOT / folder).rglob("*.py")]
    lengths = {str(path.relative_to(ROOT)): len(path.read_bytes().splitlines()) for path in files}
    assert lengths
    assert {name: length for name, length in lengths.items() if length > 700} == {}


def test_no_modules_import_each_other_in_a_circle() -> None:
    graph = grimp.build_graph("refold", "mage_ai", cache_dir=None)
    imported = {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}
    assert len(imported) > 100
    TopologicalSorter(imported).prepare()  # raises CycleError, naming the circle
