"""`from mage_ai.io.base import ExportWritePolicy`."""

from refold.io.data_source import DataSource
from refold.io.file_formats import FileFormat
from refold.io.write_policy import WritePolicy as ExportWritePolicy

__all__ = ["DataSource", "ExportWritePolicy", "FileFormat"]
