"""`from mage_ai.io.redshift import Redshift`."""

from refold.io.named_databases import Redshift

__all__ = ["Redshift"]
