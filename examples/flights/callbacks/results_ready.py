from pathlib import Path

from mage_ai.settings.repo import get_repo_path


@callback("success")
def say_where(*args, **kwargs) -> None:
    """Says where the tables are, once they are written."""
    print(f"The tables are in {Path(get_repo_path()) / 'results'}")
