"""`from mage_ai.io.mssql import MSSQL`."""

from refold.io.databases.named_databases import MSSQL

__all__ = ["MSSQL"]
