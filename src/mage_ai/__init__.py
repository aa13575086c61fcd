"""Mage's import paths, as its documents have them, over Refold: re-exports only."""
