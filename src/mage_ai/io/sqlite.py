"""`from mage_ai.io.sqlite import SQLite`."""

from refold.io.databases.named_databases import SQLite

__all__ = ["SQLite"]
