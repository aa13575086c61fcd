"""`from mage_ai.io.google_cloud_storage import GoogleCloudStorage`."""

from refold.io.files.object_stores import GoogleCloudStorage

__all__ = ["GoogleCloudStorage"]
