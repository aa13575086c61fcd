"""What descends from a block run, worked out on keys alone."""

from __future__ import annotations

from itertools import product

import pytest

from refold.engine.descent import Descent
from refold.model.keys import BlockUuid, Key, encode_key
from refold.scheduler.plan import Axis, Edge, EdgeKind, Plan, PlannedBlock

USERS, ORDERS = 0, 1
EACH = Axis(USERS)
NESTED = (EACH, Axis(ORDERS, (0,)))


def block(number: int, uuid: str, *edges: Edge, axes: tuple[Axis, ...] = (), dynamic: bool = False) -> PlannedBlock:
    return PlannedBlock(number, BlockUuid(uuid), edges, axes, dynamic=dynamic)


PLAN = Plan(
    (
        block(0, "users", dynamic=True),
        block(1, "orders", Edge(USERS, EdgeKind.ITEMS, True, (0,)), axes=(EACH,), dynamic=True),
        block(2, "price", Edge(ORDERS, EdgeKind.ITEMS, True, (0, 1)), axes=NESTED),
        block(3, "sums", Edge(2, EdgeKind.FOLDED, True, (0,), levels=1), axes=(EACH,)),
        block(4, "total", Edge(3, EdgeKind.FOLDED)),
        block(5, "flat", Edge(ORDERS, EdgeKind.FLAT, True, (0,)), axes=(Axis(ORDERS, flat=True),)),
        block(6, "lists", Edge(ORDERS, EdgeKind.FOLDED, True, (0,), levels=0), axes=(EACH,)),
        block(
            7,
            "pairs",
            Edge(3, EdgeKind.RUNS, True, (0,)),
            Edge(2, EdgeKind.RUNS, True, (1, 2)),
            axes=(EACH, EACH, Axis(ORDERS, (1,))),
        ),
        block(8, "told", Edge(4, EdgeKind.BROADCAST), Edge(USERS, EdgeKind.ITEMS, True, (0,)), axes=(EACH,)),
    )
)
GIVEN = ((0,), 2), ((1,), 0), ((2,), 3)
"""Runs of `orders`, and how many items each gave."""
ORDER_KEYS: list[Key] = [(*key, index) for key, count in GIVEN for index in range(count)]
USER_KEYS: list[Key] = [(0,), (1,), (2,)]
KEYS: dict[str, list[Key]] = {
    "users": [()],
    "orders": USER_KEYS,
    "price": ORDER_KEYS,
    "sums": USER_KEYS,
    "total": [()],
    "flat": [(index,) for index in range(5)],
    "lists": USER_KEYS,
    "pairs": [(*user, *order) for user, order in product(USER_KEYS, ORDER_KEYS)],
    "told": USER_KEYS,
}


def descendants(*named: tuple[str, Key]) -> dict[str, list[Key]]:
    descent = Descent(PLAN, [(BlockUuid(uuid), key) for uuid, key in named], lambda _block: GIVEN)
    found = {
        uuid: [key for key in keys if descent.holds(BlockUuid(uuid), encode_key(key))] for uuid, keys in KEYS.items()
    }
    return {uuid: keys for uuid, keys in found.items() if keys}


def test_a_childs_descendants_are_its_group_and_what_follows_that() -> None:
    assert descendants(("price", (2, 1))) == {
        "price": [(2, 1)],
        "sums": [(2,)],
        "total": [()],
        "pairs": [key for key in KEYS["pairs"] if key[0] == 2 or key[1:] == (2, 1)],
        "told": USER_KEYS,
    }


def test_a_dynamic_childs_descendants_are_the_runs_at_its_items_also_on_a_flat_axis() -> None:
    assert descendants(("orders", (2,))) == {
        "orders": [(2,)],
        "price": [(2, 0), (2, 1), (2, 2)],
        "sums": [(2,)],
        "total": [()],
        "flat": [(2,), (3,), (4,)],
        "lists": [(2,)],
        "pairs": [key for key in KEYS["pairs"] if 2 in key[:2]],
        "told": USER_KEYS,
    }


def test_a_run_without_items_takes_nothing_of_a_flat_axis_along() -> None:
    assert "flat" not in descendants(("orders", (1,)))
    assert descendants(("orders", (0,)))["flat"] == [(0,), (1,)]


def test_everything_descends_from_a_static_block_that_all_follow() -> None:
    assert descendants(("users", ())) == KEYS


@pytest.mark.parametrize("uuid", ["flat", "pairs", "told"])
def test_a_last_block_stands_alone(uuid: str) -> None:
    key = KEYS[uuid][1]
    assert descendants((uuid, key)) == {uuid: [key]}


def test_descendants_of_several_are_those_of_each() -> None:
    together = descendants(("price", (0, 0)), ("price", (2, 1)))
    assert together["price"] == [(0, 0), (2, 1)]
    assert together["sums"] == [(0,), (2,)]


def test_nothing_descends_from_nothing() -> None:
    assert descendants() == {}
