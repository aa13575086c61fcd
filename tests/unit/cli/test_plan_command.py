"""How `refold plan` reads assumptions and lays a plan out."""

from __future__ import annotations

import pytest

from refold.api.planning_view import PlannedBlockView, PlanView
from refold.api.snapshot import EdgeSnapshot
from refold.cli.plan_command import parse_assumptions, plan_lines
from refold.errors import BadInputError
from refold.model.block import BlockType, Join
from refold.model.keys import BlockUuid, PipelineUuid
from refold.scheduler.plan import EdgeKind

USERS, SUMS = BlockUuid("users"), BlockUuid("sums")


def test_items_are_assumed_of_several_blocks() -> None:
    assert parse_assumptions(["users=1,000", "a/b=2_000", "x=0"]) == {"users": 1000, "a/b": 2000, "x": 0}
    assert parse_assumptions([]) == {}


@pytest.mark.parametrize("text", ["users", "users=", "=3", "users=many", "users=-1", "users=1.5", ""])
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(BadInputError, match="--assume users=1000"):
        parse_assumptions([text])


def view(assumed: dict[BlockUuid, int], missing: list[BlockUuid]) -> PlanView:
    def block(
        uuid: str, count: str, number: int | None, *edges: EdgeSnapshot, notes: tuple[str, ...] = ()
    ) -> PlannedBlockView:
        return PlannedBlockView(
            uuid=BlockUuid(uuid),
            type=BlockType.CUSTOM,
            edges=edges,
            axes=(),
            join=Join.PRODUCT,
            count=count,
            assumed_count=f"{number:,}" if number is not None else count,
            number=number,
            dynamic=uuid == "users",
            notes=notes,
        )

    number = 1000 if USERS in assumed else None
    blocks = [
        block("users", "1", 1),
        block("sums", "|users|", number, EdgeSnapshot(USERS, EdgeKind.ITEMS, (0,))),
        block("save", "1", 1, EdgeSnapshot(SUMS, EdgeKind.FOLDED, strategy="sum"), notes=("gets one value",)),
    ]
    return PlanView(PipelineUuid("daily"), blocks, assumed, missing)


def test_a_plan_is_a_table_and_what_is_not_ordinary_below_it() -> None:
    assert list(plan_lines(view({}, [USERS]))) == [
        "block  type             runs     upstreams ([all in one list])",
        "users  custom, dynamic  1        -",
        "sums   custom           |users|  users",
        "save   custom           1        sum[sums]",
        "",
        "save: gets one value",
    ]


def test_assumed_numbers_are_a_column_and_a_total() -> None:
    lines = list(plan_lines(view({USERS: 1000}, [])))
    assert lines[0] == "block  type             runs     assumed  upstreams ([all in one list])"
    assert lines[2] == "sums   custom           |users|    1,000  users"
    assert lines[-1] == "in all: 1,002 block runs"


def test_what_the_total_does_not_know_is_asked_for() -> None:
    lines = list(plan_lines(view({BlockUuid("other"): 1}, [USERS])))
    assert lines[-1] == "in all: 2 block runs and those that depend on more (--assume users=N)"
