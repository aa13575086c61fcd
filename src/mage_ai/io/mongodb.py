"""`from mage_ai.io.mongodb import MongoDB`."""

from refold.io.databases.mongodb import MongoDB

__all__ = ["MongoDB"]
