"""Dask distributed: a future for each item on a local cluster of two processes. Nothing is durable."""

from __future__ import annotations

import os

import dask
from distributed import Client, LocalCluster

from benchmarks.child import child
from benchmarks.peers.answer import answer, asked


def main() -> None:
    """Prints how it went."""
    items = asked()
    with (
        dask.config.set({"temporary-directory": os.environ["PEER_FOLDER"]}),
        LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None, host="127.0.0.1"
        ) as cluster,
        Client(cluster) as client,
    ):
        client.wait_for_workers(2)
        client.gather(client.map(child, items[:2], pure=False))
        answer(lambda: client.gather(client.map(child, items, pure=False)))


if __name__ == "__main__":
    main()
