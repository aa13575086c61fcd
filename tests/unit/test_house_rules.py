"""Rules of the house that no linter checks."""

from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_no_file_is_longer_than_700_lines() -> None:
    files = [path for folder in ("src", "tests", "benchmarks", "examples") for path in (ROOT / folder).rglob("*.py")]
    lengths = {str(path.relative_to(ROOT)): len(path.read_bytes().splitlines()) for path in files}
    assert lengths
    assert {name: length for name, length in lengths.items() if length > 700} == {}
