"""`from mage_ai.io.postgres import Postgres`."""

from refold.io.databases.named_databases import Postgres

__all__ = ["Postgres"]
