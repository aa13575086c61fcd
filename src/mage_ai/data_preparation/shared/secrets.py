"""`from mage_ai.data_preparation.shared.secrets import get_secret_value`."""

from refold.io.secrets.lookup import get_secret_value

__all__ = ["get_secret_value"]
