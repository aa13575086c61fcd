"""`from mage_ai.io.snowflake import Snowflake`."""

from refold.io.named_databases import Snowflake

__all__ = ["Snowflake"]
