"""`from mage_ai.io.clickhouse import ClickHouse`."""

from refold.io.databases.named_databases import ClickHouse

__all__ = ["ClickHouse"]
