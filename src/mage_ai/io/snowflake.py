"""`from mage_ai.io.snowflake import Snowflake`."""

from refold.io.databases.named_databases import Snowflake

__all__ = ["Snowflake"]
