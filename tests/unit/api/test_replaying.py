"""A block run is replayed on its stored inputs, and nothing that is stored changes."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from refold.api.pipeline import Pipeline
from refold.api.reading import RunReader, list_runs
from refold.api.replaying import Replay, open_replay
from refold.api.single_block import run_block
from refold.errors import BadInputError, NotFoundError, PipelineRunError
from refold.languages.project_context import set_repo_path
from refold.model.block import JsonValue
from refold.scheduler.events import Outcome

MakePipeline = Callable[[str, Mapping[str, str]], Pipeline]


@pytest.fixture(autouse=True)
def no_project() -> Iterator[None]:
    yield
    set_repo_path(None)


def run(pipeline: Pipeline, **variables: JsonValue) -> None:
    with suppress(PipelineRunError):
        pipeline.execute_sync(variables)


@contextmanager
def replaying(pipeline: Pipeline, uuid: str) -> Iterator[Replay]:
    reader = RunReader.open("latest", pipeline.project)
    try:
        replay = open_replay(reader, pipeline, uuid)
        with replay.surroundings():
            yield replay
    finally:
        reader.close()


def shown(pipeline: Pipeline, uuid: str) -> object:
    with replaying(pipeline, uuid) as replay:
        return replay.run().shown


@pytest.mark.parametrize(
    "uuid",
    ["users", "orders:cyn", "price:cyn:o2", "per_user:ann", "per_user:bob", "total", "flat:cyn.o1", "zipped:cyn"],
)
def test_it_returns_what_the_run_returned_whatever_its_inputs(market: Pipeline, uuid: str) -> None:
    run(market)
    reader = RunReader.open("latest", market.project)
    assert shown(market, uuid) == reader.output(uuid)
    reader.close()


def files(folder: Path) -> dict[str, tuple[int, int]]:
    found = (path for path in folder.rglob("*") if path.is_file())
    return {str(path): (path.stat().st_mtime_ns, path.stat().st_size) for path in found if "refold.db" not in path.name}


def test_nothing_that_is_stored_changes_and_there_is_no_new_run(users: Pipeline) -> None:
    run(users)
    [before] = [(reader.record, list(reader.block_runs())) for reader in list_runs(users.project)]
    stored = files(users.project.data_folder)
    for uuid in ("load", "double:for_user_2", "save"):
        shown(users, uuid)
    assert files(users.project.data_folder) == stored
    assert [(reader.record, list(reader.block_runs())) for reader in list_runs(users.project)] == [before]


def test_the_code_is_that_of_now_and_the_variables_are_the_runs(users: Pipeline) -> None:
    run(users, bad=2)
    with replaying(users, "double:for_user_2") as replay:
        assert (replay.same_code, str(replay.block_run_uuid)) == (True, "double:for_user_2")
        with pytest.raises(ValueError, match="user 2 is bad"):
            replay.run()
    file = users.block("double").file
    file.write_text(file.read_text().replace("raise ValueError", "return").replace("user {number} is bad", "mended"))
    with replaying(users, "double:for_user_2") as replay:
        assert (replay.same_code, replay.run().shown) == (False, "mended")


def test_prints_and_logs_go_to_the_terminal(make_pipeline: MakePipeline, capsys: pytest.CaptureFixture[str]) -> None:
    pipeline = make_pipeline(
        "- {uuid: load, type: data_loader}",
        {
            "data_loaders/load.py": """
                @data_loader
                def load(**kwargs):
                    print("printed")
                    kwargs["logger"].info("logged")
                    return 1
                """
        },
    )
    run(pipeline)
    capsys.readouterr()
    before = logging.getLogger().level, [*logging.getLogger().handlers]
    shown(pipeline, "load")
    out, err = capsys.readouterr()
    assert (out, err) == ("printed\n", "logged\n")
    assert (logging.getLogger().level, logging.getLogger().handlers) == before


def test_keywords_and_the_project_are_what_they_were(make_pipeline: MakePipeline) -> None:
    pipeline = make_pipeline(
        """
        - {uuid: load, type: data_loader, configuration: {dynamic: true}}
        - {uuid: work, type: transformer, upstream_blocks: [load]}
        """,
        {
            "data_loaders/load.py": """
                @data_loader
                def load():
                    return [[5], [{'block_uuid': 'five', 'unit': 'm'}]]
                """,
            "transformers/work.py": """
                from mage_ai.settings.repo import get_repo_path
                from own_tools_of_shop import name
                @transformer
                def work(item, **kwargs):
                    names = ("unit", "ds", "block_run_uuid", "dynamic_block_key", "pipeline_run_id")
                    return {"repo": get_repo_path(), "tool": name, **{each: kwargs[each] for each in names}}
                """,
            "own_tools_of_shop.py": "name = 'hammer'\n",
        },
    )
    run(pipeline)
    reader = RunReader.open("latest", pipeline.project)
    assert shown(pipeline, "work:five") == reader.output("work:five")
    reader.close()


@pytest.mark.parametrize(
    "body",
    [
        "    return [[1, 2], [{'block_uuid': 'a'}]]",
        "    yield 1, {'block_uuid': 'a'}\n    yield 2",
        "    import asyncio\n    await asyncio.sleep(0)\n    yield 1, {'block_uuid': 'a'}\n    yield 2",
    ],
    ids=["list", "generator", "async generator"],
)
def test_a_dynamic_block_shows_its_items_and_its_tests_see_them(
    make_pipeline: MakePipeline, body: str, capsys: pytest.CaptureFixture[str]
) -> None:
    start = "async def" if "await" in body else "def"
    pipeline = make_pipeline(
        "- {uuid: load, type: data_loader, configuration: {dynamic: true}}",
        {
            "data_loaders/load.py": f"@data_loader\n{start} load():\n{body}\n"
            "@test\ndef names(items, metadata):\n    assert (len(items), metadata[0]['block_uuid']) == (2, 'a')\n"
        },
    )
    run(pipeline)
    capsys.readouterr()
    assert shown(pipeline, "load") == [1, 2]
    assert capsys.readouterr().out == "1/1 tests passed.\n"


def test_async_blocks_sensors_conditions_and_tests_run_and_callbacks_do_not(
    make_pipeline: MakePipeline, tmp_path: Path
) -> None:
    called = tmp_path / "called"
    pipeline = make_pipeline(
        """
        - {uuid: load, type: data_loader}
        - {uuid: ready, type: sensor}
        - {uuid: never, type: custom, upstream_blocks: [load]}
        conditionals:
        - {uuid: no, type: conditional, upstream_blocks: [never]}
        """,
        {
            "data_loaders/load.py": f"""
                @data_loader
                async def load():
                    return 3
                @test
                def it_is_positive(number):
                    assert number > 0
                @callback
                def tell(*args):
                    with open({str(called)!r}, "a") as file:
                        file.write("x")
                """,
            "sensors/ready.py": "@sensor\ndef ready(**kwargs):\n    return False\n",
            "custom/never.py": "@custom\ndef never(number):\n    return number\n",
            "conditionals/no.py": "@condition\ndef no(number):\n    return number < 0\n",
        },
    )
    pipeline.execute_sync(run_sensors=False)
    assert shown(pipeline, "load") == 3
    assert called.read_text() == "x"
    with replaying(pipeline, "never") as replay:
        assert replay.run().outcome is Outcome.CONDITION_FAILED
    file = pipeline.block("load").file
    file.write_text(file.read_text().replace("number > 0", "number > 5"))
    with replaying(pipeline, "load") as replay, pytest.raises(Exception, match="it_is_positive"):
        replay.run()


def test_a_frame_of_items_is_shown_as_the_frame(make_pipeline: MakePipeline) -> None:
    frame = "from pandas import DataFrame\n@data_loader\ndef load():\n    return DataFrame({'a': [1, 2]})\n"
    pipeline = make_pipeline(
        "- {uuid: load, type: data_loader, configuration: {dynamic: true}}", {"data_loaders/load.py": frame}
    )
    run(pipeline)
    assert str(shown(pipeline, "load")).split() == ["a", "0", "1", "1", "2"]


@pytest.mark.parametrize(
    ("uuid", "message"),
    [
        ("save", r"`save` has nothing to run on: something that it needs failed\n.*refold why .* save"),
        ("double:for_user_9", "gave no item `for_user_9`"),
        ("dubble", "Did you mean `double`"),
    ],
)
def test_what_has_no_inputs_is_refused(users: Pipeline, uuid: str, message: str) -> None:
    run(users, bad=1)
    with pytest.raises(NotFoundError, match=message), replaying(users, uuid):
        pass


def test_a_surplus_of_a_zip_has_no_inputs(market: Pipeline) -> None:
    run(market)
    with pytest.raises(NotFoundError, match="`zipped:3` needs an item of `users`, which is not there"):
        shown(market, "zipped:3")


def test_a_block_with_another_place_by_now_and_a_run_of_one_block_are_refused(users: Pipeline) -> None:
    run(users)
    moved = users.update_block("save", upstream_blocks=["load", "double"])
    with pytest.raises(BadInputError, match="`save` has another place in the pipeline now"):
        shown(Pipeline.get(moved.uuid, moved.project), "save")
    run_block(users, "load")
    with pytest.raises(BadInputError, match="the run ran `load` alone"):
        shown(users, "load")


def test_no_timeout_ends_it_or_the_fold_of_its_inputs(make_pipeline: MakePipeline) -> None:
    pipeline = make_pipeline(
        """
        - {uuid: load, type: data_loader, configuration: {dynamic: true}}
        - uuid: work
          type: transformer
          upstream_blocks: [load]
          configuration: {reduce_output: true, dynamic: {reduce: add}}
        - {uuid: save, type: data_exporter, upstream_blocks: [work], timeout: 0.000001}
        """,
        {
            "data_loaders/load.py": "@data_loader\ndef load():\n    return [1, 2, 3]\n",
            "transformers/work.py": """
                @transformer
                def work(number):
                    return number
                def add(total, number):
                    return total + number
                """,
            "data_exporters/save.py": "@data_exporter\ndef save(total):\n    return total\n",
        },
    )
    run(pipeline)
    [reader] = list_runs(pipeline.project)
    assert [view.status for view in reader.block_runs("save")] == ["failed"]
    assert shown(pipeline, "save") == 6


def test_items_of_a_dynamic_run_that_failed_and_is_tolerated_are_no_input(make_pipeline: MakePipeline) -> None:
    pipeline = make_pipeline(
        """
        - {uuid: shops, type: data_loader, configuration: {dynamic: true}}
        - uuid: days
          type: transformer
          upstream_blocks: [shops]
          configuration: {dynamic: {parent: [sale], tolerate: 1}, reduce_output: [whole]}
        - {uuid: sale, type: transformer, upstream_blocks: [days]}
        - {uuid: whole, type: transformer, upstream_blocks: [days]}
        """,
        {
            "data_loaders/shops.py": "@data_loader\ndef shops():\n    return ['n', 's']\n",
            "transformers/days.py": """
                @transformer
                def days(shop):
                    yield shop + "1"
                    assert shop != "s"
                    yield shop + "2"
                """,
            "transformers/sale.py": "@transformer\ndef sale(day):\n    return day\n",
            "transformers/whole.py": "@transformer\ndef whole(days):\n    return ' '.join(days)\n",
        },
    )
    run(pipeline)
    assert shown(pipeline, "whole") == "n1 n2"
