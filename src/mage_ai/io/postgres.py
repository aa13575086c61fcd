"""`from mage_ai.io.postgres import Postgres`."""

from refold.io.named_databases import Postgres

__all__ = ["Postgres"]
