"""Templates of blocks and pipelines: Refold's own, and those in a project's `custom_templates` folder.

    custom_templates/blocks/<name>/metadata.yaml       type, language, description, configuration; may be left out
    custom_templates/blocks/<name>/<any name>.py       the block's file
    custom_templates/pipelines/<name>/metadata.yaml    a pipeline's
    custom_templates/pipelines/<name>/transformers/..  block files, as they lie in a project

A project's template goes before one of ours of the same name. Templates may come from anywhere, so their YAML is read
as a pipeline's is, and none of their files may lie, or be written, outside.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from refold.errors import BadInputError
from refold.model.block import BlockType, JsonValue, Language
from refold.model.block_file import language_of
from refold.model.inside import require_inside, require_template_name
from refold.model.place import Place
from refold.model.project import METADATA, Project
from refold.model.skeleton_files import shipped_templates
from refold.model.suggestion import suggestion
from refold.model.yaml_file import YamlFile

CUSTOM_TEMPLATES = "custom_templates"
_SHIPPED = ".tmpl"
_Word = TypeVar("_Word", BlockType, Language)
_BIGGEST = 10 * 2**20
"""Bytes that a template's file may have."""


@dataclass(frozen=True, slots=True)
class BlockTemplate:
    """What a block can be made of."""

    name: str
    type: BlockType | None
    """None where the template does not say it."""
    language: Language
    description: str
    content: str = field(repr=False)
    configuration: Mapping[str, JsonValue] = field(default_factory=dict)
    """What the block's entry begins with."""
    reduces: bool = False
    """Whether the edges from its upstreams reduce."""

    def configuration_behind(self, upstream: Sequence[str]) -> dict[str, JsonValue]:
        """The configuration of a block made of it, behind these upstreams."""
        reducing: dict[str, JsonValue] = {"reduce_output_upstream": [*upstream]} if self.reduces and upstream else {}
        return {**self.configuration, **reducing}


@dataclass(frozen=True, slots=True)
class PipelineTemplate:
    """What a pipeline can be made of."""

    name: str
    description: str
    metadata: YamlFile
    files: Mapping[str, str] = field(repr=False)
    """Texts of block files, by their paths in a project."""


def template_names(kind: str, project: Project | None) -> list[str]:
    """Names of all templates of `blocks` or `pipelines`, sorted."""
    return sorted({folder.name for root in _roots(kind, project) for folder in _folders(root)})


def block_template_named(name: str, project: Project | None) -> BlockTemplate:
    """The template of a block. Raises BadInputError when there is none of this name, or it cannot be read."""
    folder = _find("blocks", name, project)
    place = _metadata(folder)
    said = {} if place is None else place.mapping()
    file = _one_file(folder)
    language = place.get("language") if place is not None else None
    kind = None if place is None else place.get("type") or place.get("block_type")
    configuration = None if place is None else place.get("configuration")
    reduces = None if place is None else place.get("reduces")
    return BlockTemplate(
        name=name,
        type=None if kind is None else _member(kind, BlockType),
        language=language_of(file.name.removesuffix(_SHIPPED)) if language is None else _member(language, Language),
        description=str(said.get("description") or ""),
        content=_text(folder, file),
        configuration={} if configuration is None else configuration.mapping(),
        reduces=reduces is not None and reduces.boolean(),
    )


def pipeline_template_named(name: str, project: Project | None) -> PipelineTemplate:
    """The template of a pipeline. Raises BadInputError when there is none of this name, or it cannot be read."""
    folder = _find("pipelines", name, project)
    place = _metadata(folder)
    if place is None:
        raise BadInputError(f"the template has no {METADATA}", where=str(folder), fix="A pipeline template needs one.")
    files: dict[str, str] = {}
    types = {each.folder for each in BlockType}
    for file in sorted(folder.rglob("*")):
        relative = file.relative_to(folder)
        if file.is_dir() or len(relative.parts) < 2 or "__pycache__" in relative.parts:
            continue
        if relative.parts[0] not in types:
            raise BadInputError(
                f"the template has a file in `{relative.parts[0]}`, which is no folder of block files", where=str(file)
            )
        files[relative.as_posix().removesuffix(_SHIPPED)] = _text(folder, file)
    return PipelineTemplate(name, str(place.mapping().get("description") or ""), place.file, files)


def _roots(kind: str, project: Project | None) -> Iterator[Path]:
    if project is not None:
        yield project.path / CUSTOM_TEMPLATES / kind
    yield shipped_templates(kind)


def _folders(root: Path) -> list[Path]:
    return [each for each in root.iterdir() if each.is_dir() and each.name[0] not in "._"] if root.is_dir() else []


def _find(kind: str, name: str, project: Project | None) -> Path:
    require_template_name(name)
    for root in _roots(kind, project):
        if (root / name).is_dir():
            if project is not None and CUSTOM_TEMPLATES in root.parts:
                require_inside(project.path, root / name)
            return root / name
    known = template_names(kind, project)
    raise BadInputError(
        f"there is no template `{name}` of a {kind.removesuffix('s')}",
        fix=f"{suggestion(name, known, 'templates')} `refold templates` lists them.",
    )


def _metadata(folder: Path) -> Place | None:
    file = folder / METADATA
    if not file.exists():
        return None
    require_inside(folder, file)
    _check_size(file)
    return Place.root(YamlFile.load(file, BadInputError))


def _one_file(folder: Path) -> Path:
    files = [
        each
        for each in sorted(folder.iterdir())
        if each.is_file() and each.name != METADATA and each.name[0] not in "._"
    ]
    if len(files) != 1:
        found = ", ".join(each.name for each in files) or "none"
        raise BadInputError(
            f"a block template has one file beside its {METADATA}; this one has {found}", where=str(folder)
        )
    return files[0]


def _text(folder: Path, file: Path) -> str:
    require_inside(folder, file)
    _check_size(file)
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadInputError(f"the template's file cannot be read: {error}", where=str(file)) from error


def _check_size(file: Path) -> None:
    if not file.is_file() or file.stat().st_size > _BIGGEST:
        raise BadInputError(f"no plain file of at most {_BIGGEST:,} bytes", where=str(file))


def _member(place: Place, kind: type[_Word]) -> _Word:
    word = place.text()
    try:
        return kind(word)
    except ValueError:
        raise place.error(
            f"unknown {kind.__name__} `{word}`", suggestion(word, [each.value for each in kind], "words")
        ) from None
