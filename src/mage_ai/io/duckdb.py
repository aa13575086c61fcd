"""`from mage_ai.io.duckdb import DuckDB`."""

from refold.io.databases.named_databases import DuckDB

__all__ = ["DuckDB"]
