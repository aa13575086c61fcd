"""`from mage_ai.io.mysql import MySQL`."""

from refold.io.databases.named_databases import MySQL

__all__ = ["MySQL"]
