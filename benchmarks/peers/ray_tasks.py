"""Ray: a bare task for each item, all results fetched at once. Nothing is durable."""

from __future__ import annotations

import os

import ray

from benchmarks.child import child
from benchmarks.peers.answer import answer, asked


def main() -> None:
    """Prints how it went."""
    items = asked()
    ray.init(
        num_cpus=2,
        include_dashboard=False,
        log_to_driver=False,
        _node_ip_address="127.0.0.1",
        _temp_dir=os.environ["PEER_FOLDER"],
    )
    task = ray.remote(child)
    ray.get([task.remote(item) for item in items[:2]])  # its workers are there
    answer(lambda: ray.get([task.remote(item) for item in items]))
    ray.shutdown()


if __name__ == "__main__":
    main()
