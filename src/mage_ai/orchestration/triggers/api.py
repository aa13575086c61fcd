"""`from mage_ai.orchestration.triggers.api import trigger_pipeline`."""

from refold.api.triggering import trigger_pipeline

__all__ = ["trigger_pipeline"]
