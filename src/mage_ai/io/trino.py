"""`from mage_ai.io.trino import Trino`."""

from refold.io.databases.named_databases import Trino

__all__ = ["Trino"]
