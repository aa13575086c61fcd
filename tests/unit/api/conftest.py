"""Small projects, written to a temporary folder and really run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from textwrap import dedent

import pytest

from refold.api.pipeline import Pipeline


@pytest.fixture(autouse=True)
def own_store(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs go to the project's own file, whatever the environment says."""
    monkeypatch.delenv("REFOLD_DATABASE_URL", raising=False)


@pytest.fixture
def make_pipeline(tmp_path: Path) -> Callable[[str, Mapping[str, str]], Pipeline]:
    """Writes the project `shop` with the pipeline `daily`: its list of blocks as YAML, and files by path."""

    def make(blocks: str, files: Mapping[str, str]) -> Pipeline:
        project = tmp_path / "shop"
        texts = {
            "metadata.yaml": "project_type: standalone\n",
            "pipelines/daily/metadata.yaml": "type: python\nblocks:\n" + dedent(blocks).lstrip("\n"),
            **files,
        }
        for name, text in texts.items():
            (project / name).parent.mkdir(parents=True, exist_ok=True)
            (project / name).write_text(dedent(text))
        return Pipeline.get("daily", project)

    return make


@pytest.fixture
def users(make_pipeline: Callable[[str, Mapping[str, str]], Pipeline]) -> Pipeline:
    """Three named users, one child each that fails for `bad: true` in the variables, and a reduced list."""
    return make_pipeline(
        """
        - {uuid: load, type: data_loader, configuration: {dynamic: true}}
        - {uuid: double, type: transformer, upstream_blocks: [load], configuration: {reduce_output: true}}
        - {uuid: save, type: data_exporter, upstream_blocks: [double]}
        """,
        {
            "data_loaders/load.py": """
                @data_loader
                def load():
                    return [[1, 2, 3], [{"block_uuid": f"for_user_{number}"} for number in (1, 2, 3)]]
                """,
            "transformers/double.py": """
                @transformer
                def double(number, **kwargs):
                    print(f"doubling {number}")
                    if number == kwargs.get("bad"):
                        raise ValueError(f"user {number} is bad")
                    return [number * 2]
                """,
            "data_exporters/save.py": """
                @data_exporter
                def save(numbers):
                    print(numbers)
                    return {"sum": sum(numbers)}
                """,
        },
    )


@pytest.fixture
def nested(make_pipeline: Callable[[str, Mapping[str, str]], Pipeline]) -> Pipeline:
    """A dynamic block below a dynamic block, a reduced list of two elements a run, and a product of two chains."""
    return make_pipeline(
        """
        - {uuid: shops, type: data_loader, configuration: {dynamic: true}}
        - {uuid: orders, type: transformer, upstream_blocks: [shops], configuration: {dynamic: true}}
        - {uuid: price, type: transformer, upstream_blocks: [orders], configuration: {reduce_output: true}}
        - {uuid: total, type: data_exporter, upstream_blocks: [price]}
        - {uuid: days, type: data_loader, configuration: {dynamic: true}}
        - {uuid: pairs, type: custom, upstream_blocks: [orders, total, days]}
        """,
        {
            "data_loaders/shops.py": """
                @data_loader
                def load():
                    yield "north", {"block_uuid": "north:1"}
                    yield "south", {"block_uuid": "south"}
                """,
            "transformers/orders.py": """
                @transformer
                def orders(shop):
                    return [f"{shop} {number}" for number in range(2)]
                """,
            "transformers/price.py": """
                @transformer
                def price(order):
                    return [order, len(order)]
                """,
            "data_exporters/total.py": """
                @data_exporter
                def total(prices):
                    return prices
                """,
            "data_loaders/days.py": """
                @data_loader
                def days():
                    return [["mon", "tue"], [{"block_uuid": "monday"}]]
                """,
            "custom/pairs.py": """
                @custom
                def pairs(order, prices, day, **kwargs):
                    return f"{order} {day} {kwargs['dynamic_block_key']} {len(prices)}"
                """,
        },
    )


@pytest.fixture
def market(make_pipeline: Callable[[str, Mapping[str, str]], Pipeline]) -> Pipeline:
    """Three users with 3, 0 and 3 orders: sums for each user, one axis over all orders, and four regions zipped.

    `bad` in the variables is an order whose price fails, as one more than 1 does; `cyn0` has no price.
    """
    return make_pipeline(
        """
        - {uuid: users, type: data_loader, configuration: {dynamic: true}}
        - uuid: orders
          type: transformer
          upstream_blocks: [users]
          configuration: {dynamic: true, reduce_output: [flat]}
        - uuid: price
          type: transformer
          upstream_blocks: [orders]
          configuration: {reduce_output: true, dynamic: {reduce: {strategy: sum, levels: 1}, tolerate: 1}}
        - uuid: per_user
          type: transformer
          upstream_blocks: [price, users]
          configuration: {reduce_output: true, dynamic: {join: align}}
        - {uuid: total, type: data_exporter, upstream_blocks: [per_user]}
        - {uuid: flat, type: transformer, upstream_blocks: [orders]}
        - {uuid: regions, type: data_loader, configuration: {dynamic: true}}
        - {uuid: zipped, type: custom, upstream_blocks: [users, regions], configuration: {dynamic: {join: zip}}}
        - {uuid: after_zip, type: custom, upstream_blocks: [zipped]}
        """,
        {
            "data_loaders/users.py": """
                @data_loader
                def users():
                    names = ["ann", "bob", "cyn"]
                    return [names, [{"block_uuid": name, "who": name} for name in names]]
                """,
            "transformers/orders.py": """
                @transformer
                def orders(user):
                    for number in range(0 if user == "bob" else 3):
                        yield f"{user}{number}", {"block_uuid": f"o{number}", "number": number}
                """,
            "transformers/price.py": """
                @transformer
                def price(order, **kwargs):
                    if order in kwargs.get("bad", ()):
                        raise ValueError(f"{order} has no price")
                    return None if order == "cyn0" else 10 * kwargs["number"]
                """,
            "transformers/per_user.py": """
                @transformer
                def per_user(total, user):
                    return {user: total}
                """,
            "data_exporters/total.py": """
                @data_exporter
                def total(sums):
                    return sums
                """,
            "transformers/flat.py": """
                @transformer
                def flat(order, **kwargs):
                    return f"{order} of {kwargs['who']} at {kwargs['dynamic_block_key']}"
                """,
            "data_loaders/regions.py": """
                @data_loader
                def regions():
                    return ["north", "south", "east", "west"]
                """,
            "custom/zipped.py": """
                @custom
                def zipped(user, region):
                    return f"{user} in the {region}"
                """,
            "custom/after_zip.py": """
                @custom
                def after_zip(text):
                    return text.upper()
                """,
        },
    )
