"""One block alone runs on what its upstreams have left."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest

from refold.api.cleaning import clean
from refold.api.pipeline import Pipeline
from refold.api.reading import RunReader, list_runs
from refold.api.running import retry_run
from refold.api.single_block import run_block
from refold.api.variables import get_variable
from refold.api.wiring import open_project_store
from refold.errors import BadInputError, PipelineError, PipelineRunError

MakePipeline = Callable[[str, Mapping[str, str]], Pipeline]


def test_blocks_run_one_after_the_other_each_on_the_first_item(users: Pipeline) -> None:
    loaded = run_block(users, "load")
    doubled = run_block(users, "double")
    saved = run_block(users, "save")
    assert (loaded.block_run_uuid, loaded.shown) == ("load", [1, 2, 3])
    assert (doubled.block_run_uuid, doubled.value, doubled.shown) == ("double:for_user_1", [2], 2)
    assert [line.text for line in doubled.printed] == ["doubling 1"]
    assert (saved.block_run_uuid, saved.shown) == ("save", {"sum": 2})
    assert [line.text for line in saved.printed] == ["[2]"]
    assert {each.status for each in (loaded, doubled, saved)} == {"completed"}


def test_a_child_is_chosen_by_its_label(users: Pipeline) -> None:
    run_block(users, "load")
    for child in ("for_user_3", "double:for_user_3"):
        result = run_block(users, "double", child)
        assert (result.block_run_uuid, result.shown) == ("double:for_user_3", 6)


def test_labels_of_every_axis_choose_a_deeper_child(nested: Pipeline) -> None:
    for block, child in (("shops", None), ("orders", "south"), ("days", None)):
        run_block(nested, block, child)
    assert run_block(nested, "price", "south:1").value == ["south 1", 7]
    assert run_block(nested, "total").value == ["south 1", 7]
    pair = run_block(nested, "pairs", "south:0:monday")
    assert (pair.block_run_uuid, pair.value) == ("pairs:south:0:monday", "south 0 mon (1, 0, 0) 2")
    assert run_block(nested, "pairs").block_run_uuid == "pairs:south:0:monday"


def test_the_newest_output_of_an_upstream_counts(users: Pipeline) -> None:
    users.execute_sync()
    assert run_block(users, "save").shown == {"sum": 12}
    run_block(users, "double", "for_user_2")
    assert run_block(users, "save").shown == {"sum": 4}
    with pytest.raises(PipelineRunError):
        users.execute_sync({"bad": 1})
    assert run_block(users, "save").shown == {"sum": 10}
    assert run_block(users, "double").block_run_uuid == "double:for_user_1"


def test_an_upstream_that_never_ran_is_named_with_the_command_that_runs_it(nested: Pipeline) -> None:
    with pytest.raises(BadInputError, match=r"needs the output of `shops`[\s\S]*--block-uuid shops$"):
        run_block(nested, "orders")
    run_block(nested, "shops")
    with pytest.raises(BadInputError, match=r"needs the output of `orders`[\s\S]*--block-uuid orders$"):
        run_block(nested, "price")
    run_block(nested, "orders", "south")
    with pytest.raises(BadInputError, match=r"`orders:north%3A1`[\s\S]*--block-uuid orders --child north%3A1$"):
        run_block(nested, "price", "north%3A1:0")
    assert len(list(list_runs(nested.project))) == 2


@pytest.mark.parametrize(
    ("block", "child", "message"),
    [
        ("double", "for_user_9", "gave no item `for_user_9`"),
        ("double", "0:1", "names no run of `double`"),
        ("load", "0", "has no items to choose from"),
    ],
)
def test_a_child_that_cannot_be_is_refused(users: Pipeline, block: str, child: str, message: str) -> None:
    run_block(users, "load")
    with pytest.raises(BadInputError, match=message):
        run_block(users, block, child)


def test_a_failing_block_is_a_result_and_a_stored_run(users: Pipeline) -> None:
    run_block(users, "load")
    result = run_block(users, "double", variables={"bad": 1})
    assert (result.status, result.value, result.shown) == ("failed", None, None)
    assert result.failure is not None
    assert result.failure.error == "ValueError: user 1 is bad"
    assert "double.py" in result.failure.traceback
    [reader] = list_runs(users.project, limit=1)
    head = reader.head()
    assert (head["run_id"], head["status"]) == (result.run_id, "failed")
    assert head["failures"] == [{"error": result.failure.error, "count": 1, "block_runs": ["double:for_user_1"]}]


def test_tests_run_with_the_block_unless_told_otherwise(make_pipeline: MakePipeline) -> None:
    pipeline = make_pipeline(
        "- {uuid: load, type: data_loader}",
        {
            "data_loaders/load.py": """
                @data_loader
                def load():
                    return 0
                @test
                def positive(number):
                    assert number > 0, "not positive"
                """
        },
    )
    assert run_block(pipeline, "load").status == "failed"
    assert run_block(pipeline, "load", run_tests=False).shown == 0


def test_a_dynamic_block_alone_gives_all_items_of_its_generator(nested: Pipeline) -> None:
    assert run_block(nested, "shops").shown == ["north", "south"]


def test_no_items_are_an_empty_list_over_a_reducing_edge_and_nothing_to_run_on(make_pipeline: MakePipeline) -> None:
    pipeline = make_pipeline(
        """
        - {uuid: load, type: data_loader, configuration: {dynamic: true}}
        - {uuid: work, type: transformer, upstream_blocks: [load], configuration: {reduce_output: true}}
        - {uuid: save, type: data_exporter, upstream_blocks: [work]}
        """,
        {
            "data_loaders/load.py": "@data_loader\ndef load():\n    return []\n",
            "transformers/work.py": "@transformer\ndef work(item):\n    return item\n",
            "data_exporters/save.py": "@data_exporter\ndef save(items):\n    return {'items': items}\n",
        },
    )
    pipeline.execute_sync()
    assert run_block(pipeline, "save").shown == {"items": []}
    with pytest.raises(BadInputError, match="`load` gave no items"):
        run_block(pipeline, "work")


def test_rows_of_a_frame_reach_a_child_that_runs_alone(make_pipeline: MakePipeline) -> None:
    pipeline = make_pipeline(
        """
        - {uuid: load, type: data_loader, configuration: {dynamic: true}}
        - {uuid: work, type: transformer, upstream_blocks: [load]}
        """,
        {
            "data_loaders/load.py": """
                from pandas import DataFrame
                @data_loader
                def load():
                    return [DataFrame({"a": [1, 2]}), [{"block_uuid": "one", "unit": "m"}, {"block_uuid": "two"}]]
                """,
            "transformers/work.py": """
                @transformer
                def work(row: dict, **kwargs):
                    return f"{row['a']} {kwargs.get('unit')}"
                """,
        },
    )
    run_block(pipeline, "load")
    assert run_block(pipeline, "work").shown == "1 m"
    assert run_block(pipeline, "work", "two").shown == "2 None"


def test_a_sensor_is_asked_once(make_pipeline: MakePipeline) -> None:
    pipeline = make_pipeline(
        "- {uuid: ready, type: sensor}",
        {"sensors/ready.py": "@sensor\ndef ready(**kwargs):\n    return kwargs.get('there', False)\n"},
    )
    waiting = run_block(pipeline, "ready")
    assert waiting.status == "failed"
    assert waiting.failure is not None
    assert "not yet" in waiting.failure.error
    assert run_block(pipeline, "ready", variables={"there": True}).shown is True


def test_a_false_condition_is_no_failure(make_pipeline: MakePipeline) -> None:
    pipeline = make_pipeline(
        """
        - {uuid: load, type: data_loader}
        conditionals:
        - {uuid: never, type: conditional, upstream_blocks: [load]}
        """,
        {
            "data_loaders/load.py": "@data_loader\ndef load():\n    return 1\n",
            "conditionals/never.py": "@condition\ndef never():\n    return False\n",
        },
    )
    result = run_block(pipeline, "load")
    assert (result.status, result.shown, result.failure) == ("condition_failed", None, None)
    with pytest.raises(BadInputError, match=r"`never` is a conditional and cannot run alone\n.*load"):
        run_block(pipeline, "never")


def test_only_its_own_file_need_be_there(users: Pipeline) -> None:
    (users.project.path / "data_exporters" / "save.py").unlink()
    assert run_block(users, "load").status == "completed"
    with pytest.raises(BadInputError, match="the file of block `save` is missing"):
        run_block(users, "save")


def test_an_unknown_block_is_refused(users: Pipeline) -> None:
    with pytest.raises(PipelineError, match="Did you mean `double`"):
        run_block(users, "dubble")


def test_the_visible_output_is_the_latest(users: Pipeline) -> None:
    run_block(users, "load")
    run_block(users, "double", "for_user_2")
    run_block(users, "save")
    assert get_variable("daily", "save", repo_path=users.project.path) == {"sum": 4}


def test_it_stays_readable_when_the_run_that_it_drew_on_is_deleted(users: Pipeline) -> None:
    run_block(users, "load")
    run_block(users, "double", "for_user_2")
    assert clean(users.project, keep=1, older_than=None, now=0.0).runs == 1
    [reader] = list_runs(users.project)
    assert [view.block_run_uuid for view in reader.block_runs()] == ["double:for_user_2"]
    assert reader.output("double:for_user_2") == [4]


def test_such_a_run_shows_no_other_block_and_cannot_be_retried(users: Pipeline) -> None:
    run_block(users, "load")
    result = run_block(users, "double")
    store = open_project_store(users.project)
    reader = RunReader(users.project, store.get(result.run_id), store)
    blocks = reader.head()["blocks"]
    assert isinstance(blocks, dict)
    assert list(blocks) == ["double"]
    with pytest.raises(BadInputError, match="the run ran `double` alone"):
        reader.output("load")
    with pytest.raises(BadInputError, match="cannot be retried"):
        retry_run(users, reader.record, store, None)
    reader.close()


def test_an_upstream_that_unfolds_in_another_way_by_now_is_not_drawn_on(make_pipeline: MakePipeline) -> None:
    blocks = "- {{uuid: load, type: data_loader{}}}\n- {{uuid: work, type: transformer, upstream_blocks: [load]}}\n"
    files = {
        "data_loaders/load.py": "@data_loader\ndef load():\n    return [1, 2]\n",
        "transformers/work.py": "@transformer\ndef work(value):\n    return value\n",
    }
    run_block(make_pipeline(blocks.format(""), files), "load")
    with pytest.raises(BadInputError, match="needs the output of `load`"):
        run_block(make_pipeline(blocks.format(", configuration: {dynamic: true}"), files), "work")


def test_upstreams_that_stand_at_different_items_are_not_put_together(make_pipeline: MakePipeline) -> None:
    pipeline = make_pipeline(
        """
        - {uuid: load, type: data_loader, configuration: {dynamic: true}}
        - {uuid: left, type: transformer, upstream_blocks: [load]}
        - {uuid: both, type: custom, upstream_blocks: [load, left]}
        """,
        {
            "data_loaders/load.py": """
                @data_loader
                def load(**kwargs):
                    return [[1], [{"block_uuid": kwargs.get("name", "old")}]]
                """,
            "transformers/left.py": "@transformer\ndef left(item):\n    return item\n",
            "custom/both.py": "@custom\ndef both(item, value):\n    return item + value\n",
        },
    )
    run_block(pipeline, "load")
    run_block(pipeline, "left")
    assert run_block(pipeline, "both").block_run_uuid == "both:old:old"
    run_block(pipeline, "load", variables={"name": "new"})
    with pytest.raises(BadInputError, match=r"different items of `load`: `new` and `old`\n.*refold run .* daily$"):
        run_block(pipeline, "both")


def run_all(pipeline: Pipeline, *wanted: str) -> None:
    for uuid in wanted:
        block, _, child = uuid.partition(":")
        run_block(pipeline, block, child or None)


def test_aligned_upstreams_stand_at_one_item_and_a_fold_is_that_of_its_group(market: Pipeline) -> None:
    with pytest.raises(PipelineRunError):
        market.execute_sync()
    result = run_block(market, "per_user", "ann")
    assert (result.block_run_uuid, result.shown) == ("per_user:ann", {"ann": 30})
    assert run_block(market, "per_user", "bob").shown == {"bob": 0}
    run_all(market, "price:cyn:o2")
    # The newest run that has any price decides which group is the first; then the users' run must have that item.
    result = run_block(market, "per_user")
    assert (result.block_run_uuid, result.shown) == ("per_user:cyn", {"cyn": 20})
    with pytest.raises(BadInputError, match="needs outputs of `price` under `dan`"):
        run_block(market, "per_user", "dan")


def test_aligned_upstreams_of_different_runs_meet_at_the_label(make_pipeline: MakePipeline) -> None:
    pipeline = make_pipeline(
        """
        - {uuid: load, type: data_loader, configuration: {dynamic: true}}
        - {uuid: left, type: transformer, upstream_blocks: [load]}
        - {uuid: both, type: custom, upstream_blocks: [left, load], configuration: {dynamic: {join: align}}}
        """,
        {
            "data_loaders/load.py": """
                @data_loader
                def load(**kwargs):
                    names = kwargs.get("names", ["a", "b"])
                    return [names, [{"block_uuid": name} for name in names]]
                """,
            "transformers/left.py": "@transformer\ndef left(item):\n    return item.upper()\n",
            "custom/both.py": """
                @custom
                def both(left, item, **kwargs):
                    return f"{left}{item}{kwargs['dynamic_block_index']}"
                """,
        },
    )
    run_all(pipeline, "load", "left:b")
    run_block(pipeline, "load", variables={"names": ["b", "c"]})  # `b` stands at another index now
    result = run_block(pipeline, "both")
    assert (result.block_run_uuid, result.shown) == ("both:b", "Bb1")


def test_items_below_an_aligned_one_are_named_also_where_they_come_of_another_run(make_pipeline: MakePipeline) -> None:
    pipeline = make_pipeline(
        """
        - {uuid: load, type: data_loader, configuration: {dynamic: true}}
        - {uuid: left, type: transformer, upstream_blocks: [load]}
        - {uuid: parts, type: transformer, upstream_blocks: [load], configuration: {dynamic: true}}
        - {uuid: both, type: custom, upstream_blocks: [left, parts], configuration: {dynamic: {join: align}}}
        """,
        {
            "data_loaders/load.py": """
                @data_loader
                def load(**kwargs):
                    names = kwargs.get("names", ["a", "b"])
                    return [names, [{"block_uuid": name} for name in names]]
                """,
            "transformers/left.py": "@transformer\ndef left(item):\n    return item.upper()\n",
            "transformers/parts.py": """
                @transformer
                def parts(item):
                    return [[item + "0", item + "1"], [{"block_uuid": "p0"}, {"block_uuid": "p1"}]]
                """,
            "custom/both.py": "@custom\ndef both(left, part):\n    return left + part\n",
        },
    )
    run_all(pipeline, "load", "left:b")
    run_block(pipeline, "load", variables={"names": ["b"]})  # at another index
    run_all(pipeline, "parts:b")
    result = run_block(pipeline, "both", "b:p1")
    assert (result.block_run_uuid, result.shown) == ("both:b:p1", "Bb1")


def test_zipped_upstreams_stand_at_one_index_named_by_the_first(market: Pipeline) -> None:
    run_all(market, "users", "regions")
    assert run_block(market, "zipped").shown == "ann in the north"
    result = run_block(market, "zipped", "cyn")
    assert (result.block_run_uuid, result.shown) == ("zipped:cyn", "cyn in the east")
    below = run_block(market, "after_zip", "cyn")
    assert (below.block_run_uuid, below.shown) == ("after_zip:cyn", "CYN IN THE EAST")


def test_a_position_that_one_side_of_a_zip_lacks_cannot_run(market: Pipeline) -> None:
    run_all(market, "users", "regions")
    with pytest.raises(BadInputError, match="`users` gave no item `3`"):
        run_block(market, "zipped", "3")
    file = market.block("regions").file
    file.write_text(file.read_text().replace(', "south", "east", "west"', ""))
    run_block(market, "regions")
    with pytest.raises(BadInputError, match="`regions` gave no item 2 in run"):
        run_block(market, "zipped", "cyn")


def test_an_item_of_a_flat_axis_has_the_names_and_metadata_of_all_that_it_stands_at(market: Pipeline) -> None:
    run_all(market, "users", "orders:ann", "orders:cyn")
    first = run_block(market, "flat")
    assert (first.block_run_uuid, first.shown) == ("flat:cyn.o0", "cyn0 of cyn at (0,)")
    with pytest.raises(PipelineRunError):
        market.execute_sync()
    result = run_block(market, "flat", "cyn.o1")
    assert (result.block_run_uuid, result.shown) == ("flat:cyn.o1", "cyn1 of cyn at (4,)")
    with pytest.raises(BadInputError, match=r"the runs of `orders` gave no item `cyn.o9`"):
        run_block(market, "flat", "cyn.o9")


def test_such_runs_stay_readable_when_those_that_they_drew_on_are_deleted(market: Pipeline) -> None:
    run_all(market, "users", "regions", "orders:cyn", "flat:cyn.o1", "zipped:cyn")
    clean(market.project, keep=2, older_than=None, now=0.0)
    names = {
        view.block_run_uuid: reader.output(view.block_run_uuid)
        for reader in list_runs(market.project)
        for view in reader.block_runs()
    }
    assert names == {"flat:cyn.o1": "cyn1 of cyn at (1,)", "zipped:cyn": "cyn in the east"}


def test_runs_of_single_blocks_hand_on_the_metadata_of_their_items(market: Pipeline) -> None:
    run_all(market, "users", "orders:cyn", "price:cyn:o2")
    clean(market.project, keep=2, older_than=None, now=0.0)  # the run of `users` is gone
    assert run_block(market, "flat", "cyn.o1").shown == "cyn1 of cyn at (1,)"


@pytest.mark.parametrize(
    ("strategy", "value"),
    [("sum", 6), ("count", 3), ("max", 3), ("merged", "-1-2-3"), ("{strategy: merged, initial: 'of'}", "of-1-2-3")],
)
def test_a_fold_is_computed_also_with_a_function_of_the_upstreams_file(
    make_pipeline: MakePipeline, strategy: str, value: object
) -> None:
    pipeline = make_pipeline(
        f"""
        - {{uuid: load, type: data_loader, configuration: {{dynamic: true}}}}
        - uuid: work
          type: transformer
          upstream_blocks: [load]
          configuration: {{reduce_output: true, dynamic: {{reduce: {strategy}}}}}
        - {{uuid: save, type: data_exporter, upstream_blocks: [work]}}
        """,
        {
            "data_loaders/load.py": "@data_loader\ndef load():\n    return [1, 2, 3]\n",
            "transformers/work.py": """
                @transformer
                def work(number):
                    return number
                def merged(text, number):
                    return f"{'-' + str(text) if isinstance(text, int) else text}-{number}"
                """,
            "data_exporters/save.py": "@data_exporter\ndef save(value):\n    return value\n",
        },
    )
    pipeline.execute_sync()
    (pipeline.project.path / "data_loaders" / "load.py").unlink()  # nobody calls it
    assert run_block(pipeline, "save").shown == value


def test_a_block_that_is_no_child_gets_the_items_of_one_run_as_a_list(make_pipeline: MakePipeline) -> None:
    pipeline = make_pipeline(
        """
        - {uuid: shops, type: data_loader, configuration: {dynamic: true}}
        - {uuid: days, type: transformer, upstream_blocks: [shops], configuration: {dynamic: {parent: [sale]}}}
        - {uuid: sale, type: transformer, upstream_blocks: [days]}
        - {uuid: whole, type: transformer, upstream_blocks: [days]}
        """,
        {
            "data_loaders/shops.py": "@data_loader\ndef shops():\n    return ['n', 's']\n",
            "transformers/days.py": "@transformer\ndef days(shop):\n    return [shop + '1', shop + '2']\n",
            "transformers/sale.py": "@transformer\ndef sale(day):\n    return day\n",
            "transformers/whole.py": "@transformer\ndef whole(days):\n    return ' '.join(days)\n",
        },
    )
    run_all(pipeline, "shops", "days:1")
    assert (run_block(pipeline, "sale").shown, run_block(pipeline, "whole").shown) == ("s1", "s1 s2")


def test_what_is_tolerated_elsewhere_does_not_stop_one_block(make_pipeline: MakePipeline) -> None:
    pipeline = make_pipeline(
        """
        - {uuid: shops, type: data_loader, configuration: {dynamic: true}}
        - uuid: days
          type: transformer
          upstream_blocks: [shops]
          configuration: {dynamic: {parent: true, tolerate: 1}, reduce_output: [flat]}
        - {uuid: each, type: transformer, upstream_blocks: [days]}
        - {uuid: flat, type: transformer, upstream_blocks: [days]}
        """,
        {
            "data_loaders/shops.py": "@data_loader\ndef shops():\n    return ['n', 's']\n",
            "transformers/days.py": "@transformer\ndef days(shop):\n    return [shop + '1', shop + '2']\n",
            "transformers/each.py": "@transformer\ndef each(day):\n    return day\n",
            "transformers/flat.py": "@transformer\ndef flat(day):\n    return day\n",
        },
    )
    pipeline.execute_sync()
    assert run_block(pipeline, "each").shown == "n1"
