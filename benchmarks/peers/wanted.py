"""The packages of the extra `bench`, a line each: for installing one by one what cannot be installed together."""

from __future__ import annotations

from importlib.metadata import requires

_EXTRA = "bench"


def wanted() -> list[str]:
    """Each with its bounds, as pip takes them."""
    told = (each.partition(";") for each in requires("refold") or ())
    return [package.strip() for package, _, marker in told if f'"{_EXTRA}"' in marker.replace("'", '"')]


if __name__ == "__main__":
    print("\n".join(wanted()))
