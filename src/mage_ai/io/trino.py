"""`from mage_ai.io.trino import Trino`."""

from refold.io.named_databases import Trino

__all__ = ["Trino"]
