"""The requirements files that a pipeline's and its project's authors left for whoever sets up the environment."""

from __future__ import annotations

from pathlib import Path

from refold.model.pipeline import Pipeline
from refold.model.project import Project

REQUIREMENTS = "requirements.txt"


def requirements_for(project: Project, pipeline: Pipeline | None = None) -> list[Path]:
    """The files that ask for something, the pipeline's first; a file of comments alone asks for nothing."""
    folders = [project.path] if pipeline is None else [pipeline.folder, project.path]
    files = [folder / REQUIREMENTS for folder in folders]
    return [file for file in files if file.is_file() and _asks(file)]


def _asks(file: Path) -> bool:
    lines = file.read_text(encoding="utf-8-sig", errors="replace").splitlines()
    return any(line.strip() and not line.lstrip().startswith("#") for line in lines)
