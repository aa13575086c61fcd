"""`from mage_ai.io.file import FileIO`."""

from refold.io.files.files import FileIO

__all__ = ["FileIO"]
