"""`from mage_ai.io.sqlite import SQLite`."""

from refold.io.named_databases import SQLite

__all__ = ["SQLite"]
