"""`from mage_ai.io.config import ConfigFileLoader`."""

from refold.io.settings.config import ConfigFileLoader
from refold.io.settings.config_keys import ConfigKey

__all__ = ["ConfigFileLoader", "ConfigKey"]
