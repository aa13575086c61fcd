"""The order of blocks, and what is wrong with it."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from refold.errors import PipelineError
from refold.model.block import Block, BlockType, Language
from refold.model.graph import topological_order
from refold.model.keys import BlockUuid


def block(uuid: str, *upstreams: str) -> Block:
    names = tuple(map(BlockUuid, upstreams))
    return Block(BlockUuid(uuid), uuid, BlockType.CUSTOM, Language.PYTHON, Path(uuid), names)


def order(*blocks: Block) -> list[str]:
    return [each.uuid for each in topological_order(blocks)]


def test_upstreams_come_first_and_the_file_decides_the_rest() -> None:
    assert order(block("d", "b", "c"), block("c", "a"), block("b", "a"), block("a"), block("z")) == list("acbdz")


def test_an_upstream_listed_twice_counts_once() -> None:
    assert order(block("b", "a", "a"), block("a")) == ["a", "b"]


def test_a_cycle_is_shown_as_a_path() -> None:
    blocks = [block("x", "c"), block("a", "c"), block("b", "a"), block("c", "b"), block("free")]
    with pytest.raises(PipelineError, match="a -> b -> c -> a") as caught:
        topological_order(blocks, lambda uuid: f"line of {uuid}")
    assert caught.value.where == "line of a"
    assert caught.value.fix is not None
    assert "`c` of `a`" in caught.value.fix


def test_a_block_upstream_of_itself_is_a_cycle() -> None:
    with pytest.raises(PipelineError, match="a -> a"):
        order(block("a", "a"))


def test_an_unknown_upstream_is_named_with_the_nearest_known() -> None:
    with pytest.raises(PipelineError, match=r"`b` lists the upstream `load_dta`[\s\S]*Did you mean `load_data`"):
        order(block("load_data"), block("b", "load_dta"))


def test_a_uuid_that_is_there_twice_is_refused() -> None:
    with pytest.raises(PipelineError, match="two blocks are called `a`"):
        order(block("a"), block("a"))


def test_a_chain_of_ten_thousand_is_ordered_and_its_cycle_found() -> None:
    chain = [block(str(n), *([str(n - 1)] if n else [])) for n in range(10_000)]
    assert order(*reversed(chain)) == [str(n) for n in range(10_000)]
    with pytest.raises(PipelineError, match=r"0 -> 1 -> 2 .*9989 more.* -> 9999 -> 0"):
        order(block("0", "9999"), *chain[1:])


@settings(deadline=None)
@given(st.lists(st.sets(st.integers(0, 30)), max_size=15), st.randoms(use_true_random=False))
def test_every_block_comes_after_all_of_its_upstreams(links: list[set[int]], random: object) -> None:
    blocks = [
        block(str(n), *(str(upstream) for upstream in upstreams if upstream < n)) for n, upstreams in enumerate(links)
    ]
    random.shuffle(blocks)  # type: ignore[attr-defined]
    seen: set[str] = set()
    for each in topological_order(blocks):
        assert seen.issuperset(each.upstream_blocks)
        seen.add(each.uuid)
    assert len(seen) == len(blocks)
