"""`from mage_ai.data_preparation.repo_manager import get_repo_path`: its place in older versions of Mage."""

from refold.languages.project_context import get_repo_path

__all__ = ["get_repo_path"]
