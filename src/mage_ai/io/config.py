"""`from mage_ai.io.config import ConfigFileLoader`."""

from refold.io.config import ConfigFileLoader
from refold.io.config_keys import ConfigKey

__all__ = ["ConfigFileLoader", "ConfigKey"]
