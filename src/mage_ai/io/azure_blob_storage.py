"""`from mage_ai.io.azure_blob_storage import AzureBlobStorage`."""

from refold.io.files.object_stores import AzureBlobStorage

__all__ = ["AzureBlobStorage"]
