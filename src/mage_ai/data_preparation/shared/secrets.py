"""`from mage_ai.data_preparation.shared.secrets import get_secret_value`."""

from refold.api.secrets import get_secret_value

__all__ = ["get_secret_value"]
