"""Dagster: dynamic outputs, mapped and collected; each step is recorded in an instance on disk.

`python -m benchmarks.peers.dagster_dynamic CHILDREN in-process` runs all steps in one process, the faster way;
`multiprocess` gives each step a process of its own, two at a time, as its jobs run by default.
"""

# Annotations are not put off in this file: Dagster reads them, and knows its context only by the type itself.

import sys
from collections.abc import Iterator
from typing import cast

import dagster

from benchmarks.child import Item, child, items
from benchmarks.peers.answer import answer, asked

Results = list[list[Item]]
transform = dagster.op(name="transform")(child)


@dagster.op(out=dagster.DynamicOut(), config_schema={"children": int})
def load(context: dagster.OpExecutionContext) -> Iterator[dagster.DynamicOutput]:
    """An output for each item."""
    for number, item in enumerate(items(context.op_config["children"])):
        yield dagster.DynamicOutput(item, mapping_key=str(number))


@dagster.op
def gather(results: Results) -> Results:
    """All of them."""
    return results


@dagster.job
def fan_out() -> None:
    """The benchmark's job."""
    gather(load().map(transform).collect())


def unfold(children: int, way: str, instance: dagster.DagsterInstance) -> Results:
    """One run of the job: what it gathered."""
    config = {
        "ops": {"load": {"config": {"children": children}}},
        "loggers": {"console": {"config": {"log_level": "ERROR"}}},
    }
    if way == "in-process":
        done = fan_out.execute_in_process(run_config=config, instance=instance)
        return cast(Results, done.output_for_node("gather"))
    processes = {"execution": {"config": {"multiprocess": {"max_concurrent": 2}}}}
    with dagster.execute_job(dagster.reconstructable(fan_out), instance, {**config, **processes}) as run:
        return cast(Results, run.output_for_node("gather"))


def main() -> None:
    """Prints how it went."""
    children, way = len(asked()), sys.argv[2]
    with dagster.DagsterInstance.get() as instance:
        answer(lambda: unfold(children, way, instance))


if __name__ == "__main__":
    main()
