"""`from mage_ai.data_preparation.repo_manager import get_repo_path`: where blocks written before Mage 0.9.70 find it."""

from refold.languages.project_context import get_repo_path

__all__ = ["get_repo_path"]
