"""New projects and new block files are written from the skeleton, a folder of templates beside this module."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from refold.model.block import BlockType, Language
from refold.model.yaml_text import scalar_text

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

CODE_FOLDERS = (
    "callbacks",
    "conditionals",
    "custom",
    "data_exporters",
    "data_loaders",
    "extensions",
    "scratchpads",
    "sensors",
    "transformers",
    "utils",
)
"""Folders of Python files; each is a package, which also keeps it in version control while it is empty."""
OTHER_FOLDERS = ("charts", "dbt", "interactions", "pipelines")

_IGNORED = ".mage_data/"


def created_at(now: datetime | None) -> str:
    """A moment, the present one for None, as pipelines' metadata has it: `2026-03-04 12:00:00.000000+00:00`."""
    moment = (now or datetime.now(UTC)).astimezone(UTC)
    return f"{moment:%Y-%m-%d %H:%M:%S.%f}+00:00"


def write_project(path: Path, name: str, now: datetime | None) -> None:
    """Makes a project's folders and files; those that exist stay as they are. Raises OSError."""
    for folder in (*CODE_FOLDERS, *OTHER_FOLDERS):
        (path / folder).mkdir(parents=True, exist_ok=True)
    for folder in CODE_FOLDERS:
        (path / folder / "__init__.py").touch()
    (path / "__init__.py").touch()
    words = {"NAME": scalar_text(name), "CREATED_AT": scalar_text(created_at(now))}
    _write_tree(_skeleton("project"), path, words)
    gitignore = path / ".gitignore"
    text = gitignore.read_text(encoding="utf-8") if gitignore.exists() else "__pycache__/\n"
    if _IGNORED not in text.split():
        gap = "" if not text or text.endswith("\n") else "\n"
        gitignore.write_text(f"{text}{gap}{_IGNORED}\n", encoding="utf-8")


def block_template(block_type: BlockType, language: Language) -> str:
    """What a new block's file says; empty where there is nothing to suggest."""
    template = _skeleton("blocks").joinpath(f"{block_type}{language.suffix}.tmpl")
    if not template.is_file():
        template = _skeleton("blocks").joinpath(f"any{language.suffix}.tmpl")
    return template.read_text(encoding="utf-8") if template.is_file() else ""


def shipped_templates(kind: str) -> Path:
    """The folder of the templates that Refold has itself, of `blocks` or `pipelines`."""
    return Path(__file__).parent / "skeleton" / f"{kind.removesuffix('s')}_templates"


def _skeleton(part: str) -> Traversable:
    from importlib.resources import files  # slow to load, and seldom needed

    return files("refold.model").joinpath("skeleton", part)


def _write_tree(source: Traversable, target: Path, words: Mapping[str, str]) -> None:
    target.mkdir(parents=True, exist_ok=True)
    for entry in source.iterdir():
        if entry.is_dir():
            _write_tree(entry, target / entry.name, words)
            continue
        file = target / entry.name.removesuffix(".tmpl")
        if entry.name.endswith(".tmpl") and not file.exists():
            text = entry.read_text(encoding="utf-8")
            for word, value in words.items():
                text = text.replace(f"@{word}@", value)
            file.write_text(text, encoding="utf-8")
