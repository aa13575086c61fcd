"""`from mage_ai.orchestration.run_status_checker import check_status`."""

from refold.api.run_status import check_status

__all__ = ["check_status"]
