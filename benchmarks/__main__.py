"""All measurements, one after the other: `python -m benchmarks`."""

from __future__ import annotations

from benchmarks import fanout

if __name__ == "__main__":
    fanout.main()
