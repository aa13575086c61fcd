"""The table that a SQL block writes."""

from __future__ import annotations

import pytest

from refold.errors import BlockError
from refold.io.databases.table_name import TableName
from refold.io.databases.write_policy import WritePolicy
from refold.languages.sql.settings import SqlSettings
from refold.languages.sql.target import require_database, table_of


@pytest.mark.parametrize(
    ("env", "key", "name"),
    [
        ("prod", (), "shop_save_v1"),
        ("dev", (), "dev_shop_save_v1"),
        ("test", (3,), "test_shop_save_v1__dynamic_3"),
        ("staging", (3, 0), "shop_save_v1__dynamic_3_0"),
        (None, (), "shop_save_v1"),
    ],
)
def test_a_block_s_own_table_has_the_name_of_its_run(env: str | None, key: tuple[int, ...], name: str) -> None:
    assert table_of(SqlSettings(), "shop", "save", env, key) == TableName(name)


def test_children_of_long_names_have_tables_of_their_own_where_names_are_cut_off() -> None:
    names = {table_of(SqlSettings(), "p" * 80, block, "prod", (n,)).table for block in ("éa", "éb") for n in range(100)}
    assert len(names) == 200
    assert max(len(name.encode()) for name in names) <= 63
    assert all("__dynamic_" in name for name in names)


def test_a_named_table_is_in_the_schema_that_is_named() -> None:
    settings = SqlSettings(table="t", schema="s", database="d")
    assert table_of(settings, "shop", "save", "dev", (1,)) == TableName("t", "s", "d")


@pytest.mark.parametrize("policy", [WritePolicy.REPLACE, WritePolicy.FAIL])
def test_children_may_not_take_a_named_table_from_each_other(policy: WritePolicy) -> None:
    settings = SqlSettings(table="t", policy=policy)
    assert table_of(settings, "shop", "save", "prod", ()) == TableName("t")
    with pytest.raises(BlockError, match=f"would write the table `t` with the policy `{policy}`"):
        table_of(settings, "shop", "save", "prod", (0,))


def test_only_a_database_that_stays_is_written_to() -> None:
    require_database(SqlSettings(provider="postgres"), None, "save")
    with pytest.raises(BlockError, match="no database is named that would keep it"):
        require_database(SqlSettings(), None, "save")
