"""A pipeline: read, made, changed and deleted.

Every change reads the file anew, makes the least edit, reads the result as a pipeline, and only then writes: a change
that would leave a pipeline that cannot be read fails, and nothing is written.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from datetime import datetime
from difflib import get_close_matches
from enum import Enum
from functools import cached_property
from pathlib import Path
from typing import Final, Self, TypeVar

from refold.errors import PipelineError
from refold.model.block import Block, BlockType, JsonValue, Language
from refold.model.block_file import clean_name
from refold.model.inside import require_inside
from refold.model.keys import BlockUuid, PipelineUuid
from refold.model.pipeline_metadata import PipelineMetadata, PipelineType, read_pipeline
from refold.model.project import METADATA, PIPELINES, Project
from refold.model.skeleton_files import block_template, created_at
from refold.model.suggestion import suggestion
from refold.model.yaml_file import YamlFile, write_atomically
from refold.model.yaml_text import document_text

Document = dict[str, JsonValue]
"""A pipeline's metadata as plain data, or a mapping in it."""

_LISTS = {BlockType.CALLBACK: "callbacks", BlockType.CONDITIONAL: "conditionals"}


_Member = TypeVar("_Member", bound=Enum)


class Keep(Enum):
    """What a change leaves alone is `KEEP`; None takes it away."""

    KEEP = "keep"


KEEP: Final = Keep.KEEP


class Pipeline(PipelineMetadata):
    """A pipeline of a project. Changes return a fresh one; this one stays what was read."""

    @classmethod
    def get(cls, uuid: str, repo_path: Project | Path | str | None = None) -> Self:
        """The pipeline of this uuid in the project at `repo_path`; None: the project around the working directory.

        The block files need not exist; `check_files` asks for them. Raises PipelineError, or ProjectError.
        """
        project = _project(repo_path)
        folder = project.pipeline_folder(uuid)
        return read_pipeline(cls, project, PipelineUuid(uuid), YamlFile.load(folder / METADATA))

    @classmethod
    def create(
        cls,
        name: str,
        repo_path: Project | Path | str | None = None,
        pipeline_type: PipelineType | str = PipelineType.PYTHON,
        description: str | None = None,
        tags: Sequence[str] = (),
        now: datetime | None = None,
    ) -> Self:
        """Makes a pipeline without blocks: its folder, `metadata.yaml`, `__init__.py` and `requirements.txt`.

        Its uuid is the name in lower case, `_` for all but letters and digits. `now` is the moment of its creation,
        None for the present one. Raises PipelineError when it exists, or cannot be called so.
        """
        project = _project(repo_path)
        uuid = PipelineUuid(clean_name(name))
        if not uuid.strip("_"):
            raise PipelineError(f"{name!r} cannot name a pipeline", fix="Use letters and digits.")
        folder = project.path / PIPELINES / uuid
        if folder.exists():
            raise PipelineError(f"the pipeline `{uuid}` exists", where=str(folder), fix="Choose another name.")
        document: Document = {"blocks": [], "created_at": created_at(now)}
        if description is not None:
            document["description"] = description
        document |= {"name": name, "tags": list(tags), "type": str(pipeline_type), "uuid": uuid}
        file = YamlFile.parse(folder / METADATA, document_text(document))
        pipeline = read_pipeline(cls, project, uuid, file)
        try:
            folder.mkdir(parents=True)
            (folder / "__init__.py").touch()
            (folder / "requirements.txt").write_text(
                "# Python packages that this pipeline needs beyond the project's, one a line.\n", encoding="utf-8"
            )
        except OSError as error:
            raise PipelineError(f"cannot be made: {error.strerror or error}", where=str(folder)) from error
        file.save()
        return pipeline

    @property
    def folder(self) -> Path:
        """The pipeline's folder."""
        return self.project.path / PIPELINES / self.uuid

    @cached_property
    def _by_uuid(self) -> dict[str, Block]:
        return {block.uuid: block for block in (*self.blocks, *self.callbacks, *self.conditionals)}

    @property
    def running_blocks(self) -> tuple[Block, ...]:
        """Blocks that take part in runs, upstreams before downstreams."""
        return tuple(self._by_uuid[uuid] for uuid in self.order)

    def block(self, uuid: str) -> Block:
        """The block, callback or conditional of this uuid. Raises PipelineError when there is none."""
        if uuid not in self._by_uuid:
            raise PipelineError(
                f"the pipeline `{self.uuid}` has no block `{uuid}`",
                where=str(self.folder / METADATA),
                fix=suggestion(uuid, self._by_uuid, "blocks"),
            )
        return self._by_uuid[uuid]

    def check_files(self) -> None:
        """Raises one PipelineError that names every block file that a run needs and does not find."""
        needed = (*self.running_blocks, *self.callbacks, *self.conditionals)
        missing = [
            block for block in needed if block.type is not BlockType.GLOBAL_DATA_PRODUCT and not block.file.is_file()
        ]
        if missing:
            lines = [f"  {block.file} (block `{block.uuid}`{_namesake(block.file)})" for block in missing]
            what = "a block file is missing" if len(missing) == 1 else f"{len(missing)} block files are missing"
            raise PipelineError(
                "\n".join([f"{what}:", *lines]),
                where=str(self.folder / METADATA),
                fix="Create them, or name the right ones in `configuration.file_source.path`.",
            )

    def add_block(
        self,
        name: str,
        block_type: BlockType | str,
        *,
        language: Language | str = Language.PYTHON,
        upstream: Sequence[str] = (),
        configuration: Mapping[str, JsonValue] | None = None,
        content: str | None = None,
        replicates: str | None = None,
    ) -> Self:
        """Adds a block behind these upstreams, and writes its file: the content given, else a template.

        For a callback or conditional, `upstream` are the blocks that it is attached to. A file that is already there
        is used as it is, and so is that of the block that it `replicates`, whose language it has too. Raises
        PipelineError for a name that is taken, an unknown type, upstream or original, a file outside the project, and
        for a content other than that of the file that is there; then nothing is written.
        """
        uuid = BlockUuid(clean_name(name, folders=True))
        kind, tongue = _member(BlockType, block_type), _member(Language, language)
        if uuid in self._by_uuid:
            raise PipelineError(
                f"the pipeline has a block `{uuid}` already", where=str(self.folder), fix="Choose another name."
            )
        if replicates is not None:
            tongue = self.block(replicates).language
        entry: Document = {"uuid": uuid, "name": name, "type": kind.value, "language": tongue.value}
        if replicates is not None:
            entry["replicated_block"] = replicates
        if configuration:
            entry["configuration"] = _plain(configuration, "configuration")
        entry["upstream_blocks"] = [str(parent) for parent in upstream]
        attached = kind in _LISTS

        def change(document: Document) -> None:
            if not attached:
                entry["downstream_blocks"] = []
                for parent in dict.fromkeys(upstream):
                    _link(document, parent, uuid)
            key = _LISTS.get(kind, "blocks")
            document[key] = [*_items(document, key), entry]

        file, pipeline = self._changed(change)
        target = pipeline.block(uuid).file
        require_inside(self.project.path, target)
        if replicates is not None:
            pass  # the file is the other block's
        elif target.is_file():
            if content is not None and target.read_text(encoding="utf-8") != content:
                raise PipelineError(
                    "the block's file is there, with another content",
                    where=str(target),
                    fix="Leave out the content to use it as it is, or choose another name.",
                )
        else:
            _write_block_file(target, block_template(kind, tongue) if content is None else content)
        file.save()
        return pipeline

    def remove_block(self, uuid: str) -> Self:
        """Takes a block out of the pipeline; its file stays, other pipelines may use it.

        Raises PipelineError when other blocks list it as an upstream, or replicate it.
        """
        block = self.block(uuid)
        children = [each.uuid for each in self.blocks if block.uuid in each.upstream_blocks]
        if children:
            raise PipelineError(
                f"`{uuid}` is an upstream of {', '.join(f'`{child}`' for child in children)}",
                where=str(self.folder / METADATA),
                fix="Give those other upstreams first.",
            )

        replicas = [str(each.get("uuid")) for each in self._entries() if each.get("replicated_block") == block.uuid]
        if replicas:
            raise PipelineError(
                f"`{uuid}` is replicated by {', '.join(f'`{replica}`' for replica in replicas)}",
                where=str(self.folder / METADATA),
                fix="Remove those first.",
            )

        def change(document: Document) -> None:
            for key in ("blocks", "callbacks", "conditionals"):
                entries = _items(document, key)
                for entry in entries:
                    field = "downstream_blocks" if key == "blocks" else "upstream_blocks"
                    _drop(entry, field, block.uuid)
                if entries:
                    document[key] = [entry for entry in entries if not _is(entry, block.uuid)]

        return self._saved(change)

    def update(
        self,
        *,
        name: str | Keep = KEEP,
        description: str | Keep | None = KEEP,
        tags: Sequence[str] | Keep = KEEP,
        variables: Mapping[str, JsonValue] | Keep = KEEP,
    ) -> Self:
        """Changes what is given. The uuid stays, though the name changes: runs and outputs are kept under it."""

        def change(document: Document) -> None:
            if name is not KEEP:
                document["name"] = name
            if description is not KEEP:
                _set(document, "description", description)
            if tags is not KEEP:
                document["tags"] = list(tags)
            if variables is not KEEP:
                document["variables"] = _plain(variables, "variables")

        return self._saved(change)

    def update_block(
        self,
        uuid: str,
        *,
        upstream_blocks: Sequence[str] | Keep = KEEP,
        configuration: Mapping[str, JsonValue] | Keep | None = KEEP,
        timeout: float | Keep | None = KEEP,
        retry_config: Mapping[str, JsonValue] | Keep | None = KEEP,
    ) -> Self:
        """Replaces what is given of one block; None takes it away. `timeout` is in seconds.

        `downstream_blocks` of old and new upstreams follow. Raises PipelineError when the result is no pipeline: an
        unknown upstream, a cycle, a wrong value.
        """
        block = self.block(uuid)

        def change(document: Document) -> None:
            entry = _entry(document, block.uuid)
            if upstream_blocks is not KEEP:
                if block.type not in _LISTS:
                    for parent in block.upstream_blocks:
                        if parent not in upstream_blocks:
                            _drop(_entry(document, parent), "downstream_blocks", block.uuid)
                    for wanted in dict.fromkeys(upstream_blocks):
                        _link(document, wanted, block.uuid)
                entry["upstream_blocks"] = [str(parent) for parent in upstream_blocks]
            if configuration is not KEEP:
                _set(entry, "configuration", configuration)
            if timeout is not KEEP:
                _set(entry, "timeout", timeout)
            if retry_config is not KEEP:
                _set(entry, "retry_config", retry_config)

        return self._saved(change)

    def delete(self) -> None:
        """Deletes the pipeline's folder; block files and outputs stay. Raises PipelineError when it cannot."""
        import shutil  # slow to load, and seldom needed

        try:
            if self.folder.is_symlink():
                self.folder.unlink()
            else:
                shutil.rmtree(self.folder)
        except OSError as error:
            raise PipelineError(f"cannot be deleted: {error.strerror or error}", where=str(self.folder)) from error

    def _entries(self) -> list[Document]:
        """The entries of all blocks, as written."""
        lists = (_items(dict(self.metadata), key) for key in ("blocks", "callbacks", "conditionals"))
        return [entry for items in lists for entry in items if isinstance(entry, dict)]

    def _changed(self, change: Callable[[Document], None]) -> tuple[YamlFile, Self]:
        """The file and the pipeline after a change, not yet saved."""
        before = YamlFile.load(self.folder / METADATA)
        document = deepcopy(before.value)
        change(document)
        file = before.with_value(document)
        return file, read_pipeline(type(self), self.project, self.uuid, file)

    def _saved(self, change: Callable[[Document], None]) -> Self:
        file, pipeline = self._changed(change)
        file.save()
        return pipeline


def _project(repo_path: Project | Path | str | None) -> Project:
    if isinstance(repo_path, Project):
        return repo_path
    return Project.find(Path.cwd()) if repo_path is None else Project.load(Path(repo_path))


def _member(kind: type[_Member], word: _Member | str) -> _Member:
    try:
        return kind(word)
    except ValueError:
        fix = suggestion(str(word), [str(each.value) for each in kind], "words")
        raise PipelineError(f"unknown {kind.__name__} `{word}`", fix=fix) from None


def _plain(value: object, name: str) -> JsonValue:
    """The value as YAML can keep it. Raises PipelineError for what is no plain data."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Mapping):
        return {str(key): _plain(element, f"{name}.{key}") for key, element in value.items()}
    if isinstance(value, Sequence):
        return [_plain(element, f"{name}[{index}]") for index, element in enumerate(value)]
    raise PipelineError(
        f"`{name}` is a {type(value).__name__}, which YAML cannot keep", fix="Use text, numbers, lists and mappings."
    )


def _set(document: Document, key: str, value: object) -> None:
    if value is None:
        document.pop(key, None)
    else:
        document[key] = _plain(value, key)


def _items(document: Document, key: str) -> list[JsonValue]:
    items = document.get(key)
    return items if isinstance(items, list) else []


def _is(entry: JsonValue, uuid: str) -> bool:
    return isinstance(entry, dict) and str(entry.get("uuid")) == uuid


def _entry(document: Document, uuid: str) -> Document:
    for key in ("blocks", "callbacks", "conditionals"):
        for entry in _items(document, key):
            if isinstance(entry, dict) and _is(entry, uuid):
                return entry
    known = [str(entry.get("uuid")) for entry in _items(document, "blocks") if isinstance(entry, dict)]
    raise PipelineError(f"there is no block `{uuid}`", fix=suggestion(uuid, known, "blocks"))


def _link(document: Document, parent: str, child: str) -> None:
    entry = _entry(document, parent)
    listed = _items(entry, "downstream_blocks")
    if child not in listed:
        entry["downstream_blocks"] = [*listed, child]


def _drop(entry: JsonValue, key: str, uuid: str) -> None:
    if isinstance(entry, dict) and uuid in _items(entry, key):
        entry[key] = [each for each in _items(entry, key) if each != uuid]


def _write_block_file(target: Path, content: str) -> None:
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(target, content.encode("utf-8"))
    except OSError as error:
        raise PipelineError(f"cannot be written: {error.strerror or error}", where=str(target)) from error


def _namesake(file: Path) -> str:
    """A file beside the missing one that may be meant."""
    names = [each.name for each in file.parent.glob("*") if each.is_file()]
    near = get_close_matches(file.name, names, n=1, cutoff=0.75)
    return f"; `{near[0]}` is there" if near else ""
