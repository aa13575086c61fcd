"""The R of this machine: where `Rscript` is, and what a process of it is started with."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from refold.errors import BlockFileError

DRIVER = Path(__file__).with_name("driver.R")


def find_rscript() -> str:
    """The program `Rscript`. Raises BlockFileError when there is none."""
    from shutil import which  # slow to load, and only R blocks need it

    found = which("Rscript")
    if found is None:
        raise BlockFileError(
            "R is not installed here: there is no `Rscript` on the PATH, and R blocks run in it",
            fix="Install R (https://www.r-project.org; on Debian and Ubuntu `apt-get install r-base-core`).",
        )
    return found


def environment() -> Mapping[str, str]:
    """The environment of R: this process's, times without a zone taken as they are written, text in UTF-8."""
    made = {**os.environ, "TZ": "UTC"}
    locale = next((made[name] for name in ("LC_ALL", "LC_CTYPE", "LANG") if made.get(name)), "C")
    if "utf" not in locale.lower():
        made |= {"LC_ALL": "C.UTF-8"}
    return made
