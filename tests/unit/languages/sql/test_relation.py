"""Rows that a statement reads: what is told of an upstream's output that has none."""

from __future__ import annotations

import pytest

from refold.errors import BlockError
from refold.languages.sql.relation import Relation, rows_of


@pytest.mark.parametrize("output", [None, {}, [1, "a"]])
def test_what_cannot_be_rows_is_told_with_the_block_that_gave_it_in_the_message_itself(output: object) -> None:
    with pytest.raises(BlockError) as raised:
        rows_of(Relation("df_1", output, "the output of block `users`"))
    assert raised.value.message.startswith("the output of block `users`: ")
    assert raised.value.fix is not None


def test_a_column_that_is_not_there_is_told_with_those_that_are() -> None:
    with pytest.raises(BlockError, match="the output of block `users` has no column `nam`; it has id, name"):
        Relation("df_1", [{"id": 1, "name": "Ann"}], "the output of block `users`")["nam"]


def test_a_list_without_elements_has_no_rows() -> None:
    assert rows_of(Relation("df_1", [], "the output of block `users`")).num_rows == 0
