"""Where a block's source file is: as its configuration says, else at the conventional place of its type."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath, PureWindowsPath

from refold.model.block import BlockType, Language
from refold.model.keys import BlockUuid

_SUFFIXES: dict[Language, tuple[str, ...]] = {
    Language.PYTHON: (".py",),
    Language.SQL: (".sql",),
    Language.R: (".r", ".R"),
    Language.YAML: (".yaml", ".yml"),
    Language.MARKDOWN: (".md",),
}
_BY_SUFFIX = {suffix: language for language, suffixes in _SUFFIXES.items() for suffix in suffixes}
_DEFAULT = {BlockType.DBT: Language.SQL, BlockType.MARKDOWN: Language.MARKDOWN}


def language_of(file_name: str) -> Language:
    """The language that a file's suffix tells; Python without one that is known."""
    return _BY_SUFFIX.get(PurePosixPath(file_name).suffix, Language.PYTHON)


def clean_name(name: str, *, folders: bool = False) -> str:
    """A name as a uuid: lower case, `_` for all but letters, digits and, with `folders`, `/`."""
    parts = name.strip().lower().split("/") if folders else [name.strip().lower()]
    return "/".join(re.sub(r"\W", "_", part.strip()) for part in parts)


def locate(
    project: Path, uuid: BlockUuid, block_type: BlockType, language: Language | None, source: str | None
) -> tuple[Path, Language]:
    """The absolute path of a block's file, whether or not it exists, and its language.

    `source` is what the configuration names: a path inside the project, or one of another machine, of which the part
    from the type's folder on is tried. Without a language in the metadata, the file that is there tells it.
    """
    conventional = list(_conventional(project, uuid, block_type, language))
    candidates = [*_named(project, block_type, source), *conventional]
    found = next((path for path in candidates if path.is_file()), None)
    if found is None:
        found = conventional[0]
        if source and not _is_absolute(source):
            found = project / PurePosixPath(source.replace("\\", "/"))
    spoken = _BY_SUFFIX.get(found.suffix)
    return found, language or spoken or _DEFAULT.get(block_type, Language.PYTHON)


def _is_absolute(source: str) -> bool:
    return PurePosixPath(source).is_absolute() or PureWindowsPath(source).is_absolute()


def _named(project: Path, block_type: BlockType, source: str | None) -> Iterator[Path]:
    if not source:
        return
    path = PurePosixPath(source) if "/" in source else PurePosixPath(PureWindowsPath(source).as_posix())
    yield project / path
    if not path.is_absolute() and block_type is BlockType.DBT:
        yield project / block_type.folder / path
    for index, part in enumerate(path.parts):
        if part == block_type.folder:
            yield project.joinpath(*path.parts[index:])


def _conventional(project: Path, uuid: BlockUuid, block_type: BlockType, language: Language | None) -> Iterator[Path]:
    """The places where the file may be without being named; the first is where it should be."""
    languages = list(Language) if language is None else [language]
    if language is None and block_type in _DEFAULT:
        languages.sort(key=lambda each: each is not _DEFAULT[block_type])
    folder = project / block_type.folder
    for each in languages:
        for suffix in _SUFFIXES[each]:
            for name in dict.fromkeys((uuid, clean_name(uuid, folders=True))):
                yield folder / f"{name}{suffix}"
