"""New blocks and pipelines from templates: all that is needed is written, or nothing is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from copy import deepcopy
from datetime import datetime
from pathlib import Path

from refold.errors import BadInputError, PipelineError
from refold.model.block import BlockType, JsonValue, Language
from refold.model.block_file import clean_name
from refold.model.inside import require_inside, require_relative
from refold.model.keys import PipelineUuid
from refold.model.pipeline import Pipeline
from refold.model.pipeline_metadata import read_pipeline
from refold.model.project import METADATA, PIPELINES, Project
from refold.model.skeleton_files import block_template, created_at
from refold.model.templates import BlockTemplate, PipelineTemplate
from refold.model.yaml_file import YamlFile


def new_block_file(
    project: Project, name: str, block_type: BlockType, language: Language, template: BlockTemplate | None
) -> Path:
    """Writes a block's file, for no pipeline yet. Raises BadInputError for a name that is taken or leads elsewhere."""
    require_relative(name, "a block")
    path = project.path / block_type.folder / f"{clean_name(name, folders=True)}{language.suffix}"
    content = block_template(block_type, language) if template is None else template.content
    _write_all(project, {path: content})
    return path


def new_block(
    pipeline: Pipeline,
    name: str,
    block_type: BlockType,
    language: Language,
    upstream: Sequence[str],
    template: BlockTemplate | None,
) -> Pipeline:
    """Adds a block with a file of its own. Raises BadInputError, and nothing is written, where its file is there."""
    require_relative(name, "a block")
    file = pipeline.project.path / block_type.folder / f"{clean_name(name, folders=True)}{language.suffix}"
    require_inside(pipeline.project.path, file)
    _refuse_existing(file)
    try:
        return pipeline.add_block(
            name,
            block_type,
            language=language,
            upstream=upstream,
            configuration=None if template is None else template.configuration_behind(upstream),
            content=None if template is None else template.content,
        )
    except BaseException:
        if not _lists(pipeline, clean_name(name, folders=True)):
            with suppress(OSError):
                file.unlink()
        raise


def _lists(pipeline: Pipeline, uuid: str) -> bool:
    """Whether the pipeline's file has the block by now, or cannot be read."""
    try:
        return any(block.uuid == uuid for block in Pipeline.get(pipeline.uuid, pipeline.project).blocks)
    except BadInputError:
        return True


def new_pipeline(
    project: Project,
    name: str,
    template: PipelineTemplate | None = None,
    description: str | None = None,
    tags: Sequence[str] = (),
    now: datetime | None = None,
) -> Pipeline:
    """Makes a pipeline, with the template's blocks and their files. Raises BadInputError; nothing is written then."""
    require_relative(name, "a pipeline")
    if "/" in name:
        raise BadInputError(f"{name!r} cannot name a pipeline", fix="Use letters, digits and `_`.")
    require_inside(project.path, project.path / PIPELINES)
    if template is None:
        return Pipeline.create(name, project, description=description, tags=tags, now=now)
    uuid = PipelineUuid(clean_name(name))
    folder = project.path / PIPELINES / uuid
    if not uuid.strip("_"):
        raise PipelineError(f"{name!r} cannot name a pipeline", fix="Use letters and digits.")
    if folder.exists() or folder.is_symlink():
        raise PipelineError(f"the pipeline `{uuid}` exists", where=str(folder), fix="Choose another name.")
    document = deepcopy(template.metadata.value)
    document |= {"name": name, "uuid": uuid, "created_at": created_at(now)}
    if description is not None:
        document["description"] = description
    if tags:
        document["tags"] = list[JsonValue](tags)
    metadata = template.metadata.with_value(document)
    file = YamlFile.parse(folder / METADATA, metadata.text)
    pipeline = read_pipeline(Pipeline, project, uuid, file)
    for block in (*pipeline.blocks, *pipeline.callbacks, *pipeline.conditionals):
        require_inside(project.path, block.file)
    texts = {project.path / path: text for path, text in template.files.items()}
    new = {path: text for path, text in texts.items() if not _has(path, text)}
    # The pipeline comes last: it is there when all that it needs is.
    packages = "# Python packages that this pipeline needs beyond the project's, one a line.\n"
    _write_all(
        project,
        {**new, folder / "__init__.py": "", folder / "requirements.txt": packages, folder / METADATA: file.text},
    )
    return pipeline


def _has(path: Path, text: str) -> bool:
    """Whether the file is there with this text: then it is used as it is."""
    try:
        return path.is_file() and path.read_text(encoding="utf-8") == text
    except (OSError, UnicodeDecodeError):
        return False


def _refuse_existing(path: Path) -> None:
    if path.exists() or path.is_symlink():
        raise BadInputError("the file exists, and is not overwritten", where=str(path), fix="Choose another name.")


def _write_all(project: Project, texts: Mapping[Path, str]) -> None:
    """Writes new files, all or none. Raises BadInputError."""
    for path in texts:
        require_inside(project.path, path)
        _refuse_existing(path)
    made: list[Path] = []
    try:
        for path, text in texts.items():
            _make_folders(path.parent, made)
            with path.open("x", encoding="utf-8", newline="") as file:
                made.append(path)
                file.write(text)
    except BaseException as error:
        _remove(reversed(made))
        if isinstance(error, OSError):
            raise BadInputError(
                f"cannot be written: {error.strerror or error}; nothing was", where=str(error.filename or path)
            ) from error
        raise


def _make_folders(folder: Path, made: list[Path]) -> None:
    if not folder.is_dir():
        _make_folders(folder.parent, made)
        folder.mkdir()
        made.append(folder)


def _remove(paths: Iterable[Path]) -> None:
    for path in paths:
        with suppress(OSError):
            if path.is_dir():
                path.rmdir()
            else:
                path.unlink()
