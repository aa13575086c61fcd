"""`from mage_ai.io.s3 import S3`."""

from refold.io.files.object_stores import S3

__all__ = ["S3"]
