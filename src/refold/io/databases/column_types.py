"""The types of a new table's columns: from those of Arrow columns, through SQLAlchemy's; and what goes into them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa
    from sqlalchemy.engine import Dialect
    from sqlalchemy.types import TypeEngine

    ColumnType = TypeEngine[Any]
    """Any: what Python values it stands for does not matter, since rows are sent as the driver takes them."""

_SQLITE_DIGITS = 15
"""So many digits SQLite's numbers keep exactly; decimals with more are text there."""


def column_type(found: pa.DataType, dialect: Dialect) -> ColumnType:
    """The type for a new column, of what `refold.io.databases.plain_columns.for_database` gives."""
    import pyarrow as pa
    import sqlalchemy as sa

    is_a = pa.types
    if is_a.is_boolean(found):
        return sa.Boolean()
    if is_a.is_integer(found):
        return _whole(found)
    if is_a.is_floating(found):
        return sa.Double() if is_a.is_float64(found) else sa.Float(24).with_variant(sa.Double(), "sqlite")
    if is_a.is_decimal(found):
        return _decimal(found, dialect)
    if is_a.is_timestamp(found):
        return _timestamp(found)
    if is_a.is_date(found):
        return sa.Date()
    if is_a.is_time(found) or (is_a.is_duration(found) and _is_mysql(dialect)):
        return _time()
    if is_a.is_duration(found):
        return sa.BigInteger()
    if is_a.is_binary(found) or is_a.is_large_binary(found):
        return _long("LONGBLOB", sa.LargeBinary())
    return _long("LONGTEXT", sa.Text())


def _is_mysql(dialect: Dialect) -> bool:
    return dialect.name in {"mysql", "mariadb"}


def _whole(found: pa.DataType) -> ColumnType:
    import pyarrow as pa
    import sqlalchemy as sa

    if found.bit_width >= 64 or pa.types.is_uint32(found):
        return sa.BigInteger()
    if found.bit_width == 32 or pa.types.is_uint16(found):
        return sa.Integer()
    return sa.SmallInteger()


def _decimal(found: pa.DataType, dialect: Dialect) -> ColumnType:
    import sqlalchemy as sa

    if dialect.name == "sqlite" and found.precision > _SQLITE_DIGITS:
        return _declared(f"DECIMAL_TEXT({found.precision},{found.scale})")  # its affinity is text: every digit is kept
    return sa.DECIMAL(found.precision, max(found.scale, 0))


def _declared(words: str) -> ColumnType:
    """A type of these words, which SQLite takes any of."""
    from sqlalchemy.types import UserDefinedType

    class Declared(UserDefinedType[object]):
        cache_ok = False

        def get_col_spec(self, **_options: object) -> str:
            return words

    return Declared()


def _timestamp(found: pa.DataType) -> ColumnType:
    import sqlalchemy as sa
    from sqlalchemy.dialects import mysql

    zoned = found.tz is not None
    return (
        sa.DateTime(timezone=zoned)
        .with_variant(mysql.DATETIME(fsp=6), "mysql", "mariadb")
        .with_variant(_declared("TIMESTAMP WITH TIME ZONE") if zoned else sa.DateTime(), "sqlite")
    )


def _time() -> ColumnType:
    import sqlalchemy as sa
    from sqlalchemy.dialects import mysql

    return sa.Time().with_variant(mysql.TIME(fsp=6), "mysql", "mariadb")


def _long(name: str, other: ColumnType) -> ColumnType:
    from sqlalchemy.dialects import mysql

    longest: ColumnType = mysql.LONGTEXT() if name == "LONGTEXT" else mysql.LONGBLOB()
    return other.with_variant(longest, "mysql", "mariadb")


def storable(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """The column in the units that databases have: microseconds."""
    import pyarrow as pa
    import pyarrow.compute as pc

    is_a, found = pa.types, column.type
    if is_a.is_timestamp(found):
        return pc.cast(column, pa.timestamp("us", found.tz), safe=False)
    if is_a.is_time(found):
        return pc.cast(column, pa.time64("us"), safe=False)
    if is_a.is_duration(found):
        return pc.cast(column, pa.duration("us"), safe=False)
    if is_a.is_null(found):
        return column.cast(pa.string())
    return column


def python_rows(rows: pa.Table) -> Sequence[tuple[object, ...]]:
    """The rows as tuples that any driver takes."""
    import pyarrow as pa

    def values(column: pa.ChunkedArray) -> list[object]:
        if pa.types.is_duration(column.type):
            column = column.cast(pa.int64())
        found: list[object] = column.to_pylist()
        return found

    return list(zip(*(values(storable(each)) for each in rows.columns), strict=True))
