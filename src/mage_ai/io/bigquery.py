"""`from mage_ai.io.bigquery import BigQuery`."""

from refold.io.databases.named_databases import BigQuery

__all__ = ["BigQuery"]
