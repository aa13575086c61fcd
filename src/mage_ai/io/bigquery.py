"""`from mage_ai.io.bigquery import BigQuery`."""

from refold.io.named_databases import BigQuery

__all__ = ["BigQuery"]
