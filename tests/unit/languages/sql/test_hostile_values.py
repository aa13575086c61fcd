"""Whatever a text says, it comes back as that text: it changes no statement, wherever in a template it stands."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from refold.testing.database_servers import fresh_mariadb, fresh_postgres, profile_of
from refold.testing.sql_block import SqlBlock

HOSTILE = (
    *("'", '"', "`", "\\", ";", "--", "/*", "*/", "$$", "$1", "?", "%s", "%", "%%", ":x", "#", "[", "]", "\n", "\r\n"),
    *("{{", "}}", "{%", "%}", "\t", "é", "😀", "\u2028", "\uffff", "\x02", "\x1a", "\x7f", " ", ".", ",", "(", ")"),
    *("NULL", " OR 1=1 ", "'; DROP TABLE df_1; --", "' UNION SELECT 1, '", "\\'", "\\\\", "x", "e'", "E'\\'", "1"),
)
TEXTS = st.lists(st.sampled_from(HOSTILE) | st.characters(exclude_categories=["Cs"]), max_size=12).map("".join)
VALUES = """-- {{ x }}
/* {{ x }} */ SELECT {{ x }} AS plain, '{{ x }}' AS literal, 'it''s {{ x }}{{ x }}"' AS within, {{ x ~ '!' }} AS joined,
  {{ d }} AS json, '{{ d }}' AS json_literal, {{ [x] | join(',') }} AS list_of_one,
  {% set captured %}{{ x }}{% endset %}{{ captured }} AS captured,
  {% macro m(v) %}{{ v }}{% endmacro %}{{ m(x) }} AS macro,
  CASE WHEN {{ x }} IN ({{ [x, 'other'] }}) THEN 1 ELSE 0 END AS listed,
  CASE WHEN 'other' NOT IN ('{{ [x, x] | join("','") }}') THEN 1 ELSE 0 END AS joined_list,
  {{ block_output('up', parse=lambda data, vars: data[0]['v'] + vars['x']) }} AS parsed
FROM {{ df_1 }} AS t -- {{ x }}
WHERE t.v = {{ x }} AND t.v = '{{ x }}' {% if x == variables('x') %}AND 1 = 1{% endif %}
"""
NAMES = """SELECT {{ x }}.{{ x }} AS {{ x }}, {{ x }}.w AS w_{{ n }}
FROM {{ df_1 }} AS {{ x }} WHERE {{ x }}.w = {{ n }} ORDER BY {{ x }}.{{ x }}, {{ x }}"""


def check_values(project: Path, provider: str, text: str) -> None:
    block = SqlBlock(project, VALUES, ["up"], data_provider=provider)
    [row] = block.rows([{"v": text, "w": 1}], x=text, d={"k": text})
    json = row.pop("json")
    assert json == row.pop("json_literal")
    assert row == {
        "plain": text,
        "literal": text,
        "within": f"it's {text}{text}\"",
        "joined": f"{text}!",
        "list_of_one": text,
        "captured": text,
        "macro": text,
        "listed": 1,
        "joined_list": int(text != "other"),
        "parsed": text + text,
    }


def check_names(project: Path, provider: str, text: str) -> None:
    block = SqlBlock(project, NAMES, ["up"], data_provider=provider)
    rows = block.rows([{text: "b", "w": 1}, {text: "a", "w": 1}, {text: "c", "w": 2}], x=text, n=1)
    assert rows == [{text: "a", "w_1": 1}, {text: "b", "w_1": 1}]


@pytest.fixture(scope="module", params=["duckdb", "sqlite", "postgres", "mysql"])
def provider(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def project(provider: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("hostile")
    with ExitStack() as stack:
        settings: Mapping[str, object] = {"DUCKDB_DATABASE": ":memory:", "SQLITE_DATABASE": f"{folder}/hostile.sqlite"}
        if provider == "postgres":
            settings = stack.enter_context(fresh_postgres())
        if provider == "mysql":
            settings = stack.enter_context(fresh_mariadb())
        profile_of(folder, settings)
        yield folder


LIMITED = settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])


@LIMITED
@given(text=TEXTS)
def test_a_value_comes_back_as_it_went_in(project: Path, provider: str, text: str) -> None:
    assume("\x00" not in text)  # no text of PostgreSQL has it
    check_values(project, provider, text)


@LIMITED
@given(text=TEXTS)
def test_a_name_is_that_name(project: Path, provider: str, text: str) -> None:
    assume(text and "\x00" not in text and text.lower() not in {"w", "w_1"})
    assume(len(text.encode()) <= 63)
    if provider == "mysql":  # whose names have none of the rest
        assume(max(text) < "\U00010000" and text.isprintable() and text.strip() == text)
    check_names(project, provider, text)
