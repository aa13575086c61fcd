"""docs/sql-blocks.md: each query on the page is run, on DuckDB, with the upstream rows and variables that it names.

`python tests/e2e/test_sql_page.py --write` writes what they give now into the page.
"""

from __future__ import annotations

import json
import re
import sys
import tempfile
from pathlib import Path
from typing import cast

import pandas as pd
import pytest

from refold.testing.sql_block import SqlBlock

PAGE = Path(__file__).parents[2] / "docs" / "sql-blocks.md"
_TEXT = PAGE.read_text(encoding="utf-8")
_QUERY = re.compile(r"```sql\n(.*?)```\n```text\n(.*?)```", re.DOTALL)


def given(query: str, project: Path) -> str:
    """What the query gives, as the page shows it."""
    [described] = re.findall(r"```json\n(.*?)```", _TEXT, re.DOTALL)
    known = json.loads(described)
    block = SqlBlock(project, query, ["orders"])
    frame = cast("pd.DataFrame", block.run(pd.DataFrame(known["orders"]), **known["variables"]))
    return frame.to_string(index=False) + "\n"


@pytest.mark.parametrize(("query", "shown"), _QUERY.findall(_TEXT))
def test_a_query_gives_what_the_page_shows(query: str, shown: str, tmp_path: Path) -> None:
    assert given(query, tmp_path) == shown, "run `python tests/e2e/test_sql_page.py --write`"


def test_every_query_of_the_page_is_run() -> None:
    assert len(_QUERY.findall(_TEXT)) == _TEXT.count("```sql") == _TEXT.count("```text") > 5


if __name__ == "__main__" and "--write" in sys.argv:
    with tempfile.TemporaryDirectory() as folder:
        anew = _QUERY.sub(lambda found: f"```sql\n{found[1]}```\n```text\n{given(found[1], Path(folder))}```", _TEXT)
        PAGE.write_text(anew, encoding="utf-8")
