"""`from mage_ai.io.redshift import Redshift`."""

from refold.io.databases.named_databases import Redshift

__all__ = ["Redshift"]
