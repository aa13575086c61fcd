"""`from mage_ai.io.base import ExportWritePolicy`."""

from refold.io.databases.data_source import DataSource
from refold.io.databases.write_policy import WritePolicy as ExportWritePolicy
from refold.io.files.file_formats import FileFormat

__all__ = ["DataSource", "ExportWritePolicy", "FileFormat"]
