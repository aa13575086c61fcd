"""Commands that write new blocks and pipelines: `block new`, `pipeline new`, and `templates`, which lists them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from refold.cli.options import ProjectOption
from refold.cli.parameters import Argument, Option
from refold.cli.project_folder import project_around, project_option, shown_path
from refold.cli.text_table import table_lines
from refold.errors import BadInputError
from refold.model.authoring import new_block, new_block_file, new_pipeline
from refold.model.block import BlockType, Language
from refold.model.inside import require_relative
from refold.model.pipeline import Pipeline
from refold.model.project import Project
from refold.model.templates import (
    BlockTemplate,
    block_template_named,
    pipeline_template_named,
    template_names,
)


def block(
    name: Annotated[str, Option("--name", help="The block's name; its uuid is the name in lower case.")] = "",
    block_type: Annotated[
        BlockType | None, Option("--type", metavar="TYPE", help="data_loader, transformer, data_exporter, sensor, ...")
    ] = None,
    language: Annotated[Language | None, Option("--language", help="Default: python, or the template's.")] = None,
    template: Annotated[
        str | None, Option("--template", metavar="NAME", help="What its file begins with; `refold templates` lists.")
    ] = None,
    pipeline: Annotated[
        str | None, Option("--pipeline", metavar="PIPELINE", help="Where it is added; default: only the file.")
    ] = None,
    upstream: Annotated[
        str | None, Option("--upstream", metavar="A,B", help="The blocks whose outputs it gets, in order.")
    ] = None,
    replicate: Annotated[
        str | None, Option("--replicate", metavar="BLOCK", help="The block of the pipeline whose file it runs.")
    ] = None,
    project: ProjectOption = None,
) -> None:
    """Make a block: its file, and its entry in a pipeline."""
    if not name:
        raise BadInputError("what is the block called?", where="--name", fix="Give it a name: `--name load_users`.")
    found = project_around(project)
    parents = [word.strip() for word in (upstream or "").split(",") if word.strip()]
    if replicate is not None:
        _replicate(found, pipeline, name, replicate, parents, {"--template": template, "--language": language})
        return
    given = None if template is None else block_template_named(template, found)
    kind = _type(block_type, given)
    tongue = _language(language, given)
    if pipeline is None:
        if parents:
            raise BadInputError(
                "a file alone has no upstreams", where="--upstream", fix="Say where it is added: `--pipeline P`."
            )
        print(f"made {shown_path(new_block_file(found, name, kind, tongue, given))}")
        return
    before = Pipeline.get(pipeline, found)
    after = new_block(before, name, kind, tongue, parents, given)
    _tell(before, after)


def _replicate(
    project: Project,
    pipeline: str | None,
    name: str,
    original: str,
    upstream: list[str],
    others: dict[str, str | Language | None],
) -> None:
    for flag, value in others.items():
        if value is not None:
            raise BadInputError(f"a replica has the original's file; {flag} has no meaning for it", where=flag)
    if pipeline is None:
        raise BadInputError("a replica is a block of a pipeline", where="--replicate", fix="Name it: `--pipeline P`.")
    require_relative(name, "a block")
    before = Pipeline.get(pipeline, project)
    kind = before.block(original).type
    _tell(before, before.add_block(name, kind, upstream=upstream, replicates=original))


def _tell(before: Pipeline, after: Pipeline) -> None:
    known = {each.uuid for each in (*before.blocks, *before.callbacks, *before.conditionals)}
    for each in (*after.blocks, *after.callbacks, *after.conditionals):
        if each.uuid not in known:
            print(f"added `{each.uuid}` to the pipeline `{after.uuid}`; its file is {shown_path(each.file)}")


def _type(given: BlockType | None, template: BlockTemplate | None) -> BlockType:
    offered = None if template is None else template.type
    if given is not None and offered is not None and given is not offered:
        raise BadInputError(f"the template is one of a {offered}, not of a {given}", where="--type")
    kind = given or offered
    if kind is None:
        raise BadInputError(
            "what kind of block is it?", where="--type", fix="Say it: `--type data_loader`, `--type transformer` ..."
        )
    return kind


def _language(given: Language | None, template: BlockTemplate | None) -> Language:
    if given is not None and template is not None and given is not template.language:
        raise BadInputError(f"the template is written in {template.language}, not in {given}", where="--language")
    return given or (Language.PYTHON if template is None else template.language)


def pipeline(
    name: Annotated[str, Argument(metavar="NAME", help="The pipeline's name; its uuid is the name in lower case.")],
    template: Annotated[
        str | None, Option("--template", metavar="NAME", help="What it is made of; `refold templates` lists.")
    ] = None,
    description: Annotated[str | None, Option("--description", help="What it is for.")] = None,
    tags: Annotated[str | None, Option("--tags", metavar="A,B", help="Words to find it by.")] = None,
    project: ProjectOption = None,
) -> None:
    """Make a pipeline."""
    found = project_around(project)
    given = None if template is None else pipeline_template_named(template, found)
    words = [word.strip() for word in (tags or "").split(",") if word.strip()]
    made = new_pipeline(found, name, given, description, words)
    print(f"made the pipeline `{made.uuid}` in {shown_path(made.folder)}")
    if made.blocks:
        print(f"  refold run {shown_path(found.path)} {made.uuid}")
    else:
        where = project_option(found)
        print(f"  refold block new --pipeline {made.uuid} --name load_data --type data_loader{where}")


def templates(project: ProjectOption = None) -> None:
    """List templates of blocks and pipelines."""
    found = _project_or_none(project)
    blocks = [block_template_named(name, found) for name in template_names("blocks", found)]
    rows = [(each.name, each.type or "any", each.language.value, each.description) for each in blocks]
    for line in table_lines(("block template", "type", "language", "what it is"), rows, frozenset()):
        print(line)
    print()
    pipelines = [pipeline_template_named(name, found) for name in template_names("pipelines", found)]
    for line in table_lines(
        ("pipeline template", "what it is"), [(each.name, each.description) for each in pipelines], frozenset()
    ):
        print(line)


def _project_or_none(named: Path | None) -> Project | None:
    """The project whose templates are listed too; outside of any there are Refold's own."""
    try:
        return project_around(named)
    except BadInputError:
        if named is not None:
            raise
        return None
