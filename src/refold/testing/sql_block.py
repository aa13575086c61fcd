"""A SQL block without a pipeline around it: loaded and called as a worker does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, cast

from refold.languages.sql.block_file import SqlFile
from refold.model.block import BlockType, JsonValue, Language
from refold.model.keys import BlockUuid, PipelineUuid, RunId
from refold.ports.executor import BlockTask, InputKind, RunContext, Source

if TYPE_CHECKING:
    import pandas as pd


class SqlBlock:
    """A block `query` of the pipeline `lab`."""

    def __init__(
        self,
        project: Path,
        text: str,
        upstreams: Sequence[str] = (),
        block_type: BlockType = BlockType.DATA_LOADER,
        **configuration: JsonValue,
    ) -> None:
        """Loads it. Raises BlockFileError where the text is no template."""
        self.configuration: Mapping[str, JsonValue] = configuration
        task = BlockTask(
            RunId("run"),
            0,
            BlockUuid("query"),
            block_type,
            Language.SQL,
            Source(BlockUuid("query"), project / "query.sql", text),
            configuration,
            (InputKind.STATIC,) * len(upstreams),
            axes=0,
            dynamic=False,
            upstreams=tuple(BlockUuid(each) for each in upstreams),
        )
        context = RunContext(RunId("run"), PipelineUuid("lab"), project, project, project, {}, 0.0)
        self.file = SqlFile(task, context)

    def run(self, *inputs: object, **keywords: object) -> object:
        """What it returns for these inputs and keyword arguments."""
        given = {"env": "prod", "configuration": self.configuration, **keywords}
        return self.file.main.function(*inputs, **given)

    def rows(self, *inputs: object, **keywords: object) -> list[dict[str, object]]:
        """The rows that it returns, as dicts."""
        frame = cast("pd.DataFrame", self.run(*inputs, **keywords))
        return cast("list[dict[str, object]]", frame.to_dict("records"))
