"""Rows that a statement reads by a name: what an upstream block gave, or what an expression gave."""

from __future__ import annotations

from typing import TYPE_CHECKING

from refold.errors import BlockError
from refold.io.databases.arrow_tables import to_arrow
from refold.languages.sql.values import as_list

if TYPE_CHECKING:
    import pyarrow as pa


class Relation:
    """`df_1` of a template: stands for the name under which the rows can be read.

    `df_1[0]` is the first of several outputs, `df_1["id"]` or `df_1.id` the values of a column, as a list.
    """

    __slots__ = ("_name", "_value", "_where")

    def __init__(self, name: str, value: object, where: str) -> None:
        self._name = name
        self._value = value
        self._where = where

    def __getitem__(self, key: int | str) -> object:
        if isinstance(key, str):
            rows = self._rows()
            if key not in rows.column_names:
                raise BlockError(f"{self._where} has no column `{key}`; it has {', '.join(rows.column_names)}")
            return rows.column(key).to_pylist()
        outputs = as_list(self._value)
        outputs = [self._value] if outputs is None else outputs
        if not -len(outputs) <= key < len(outputs):
            raise BlockError(
                f"`{self._name}[{key}]` is none of the outputs of {self._where}, which are counted from 0: "
                f"there are {len(outputs)}"
            )
        number = key % len(outputs)
        return Relation(f"{self._name}_{number}", outputs[number], f"output {number} of {self._where}")

    def _rows(self) -> pa.Table:
        if isinstance(self._value, list) and not self._value:
            # What a reduce of nothing gives: nothing is normal (design 2.5), though its columns cannot be known.
            import pyarrow as pa

            return pa.table({"value": pa.array([], pa.string())})
        try:
            return to_arrow(self._value, self._where)
        except BlockError as error:
            # Lists of failures leave out where a block's error is, and this one is another block's output.
            raise BlockError(f"{self._where}: {error.message}", fix=error.fix) from error


def name_of(relation: Relation) -> str:
    """Under which statements read the rows. No attribute: templates see columns there."""
    return relation._name


def rows_of(relation: Relation) -> pa.Table:
    """The rows. Raises BlockError for a value that has none."""
    return relation._rows()
