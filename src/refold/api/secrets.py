"""Secrets, by name: they come from the environment, where whatever starts Refold can put them, and are never stored."""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Mapping

PREFIX = "REFOLD_SECRET_"


def get_secret_value(
    name: str, *, suppress_warning: bool = False, environment: Mapping[str, str] | None = None, **_scope: object
) -> str | None:
    """The secret of this name; None, with a warning, where there is none.

    It is looked for in the environment variables `REFOLD_SECRET_<name>`, the same in upper case with `_` for all but
    letters and digits, and `<name>`: `api-key` is `REFOLD_SECRET_api-key`, `REFOLD_SECRET_API_KEY` or `api-key`.
    Where Mage's callers say to what a secret belongs (`repo_name`, `entity`, `pipeline_uuid`), nothing changes: there
    is one environment. `environment` takes its place in tests.
    """
    variables = os.environ if environment is None else environment
    shouted = PREFIX + re.sub(r"[^A-Z0-9]", "_", name.upper())
    for variable in (PREFIX + name, shouted, name):
        if variable in variables:
            return variables[variable]
    if not suppress_warning:
        warnings.warn(
            f"there is no secret `{name}`: neither {shouted} nor {name} is set in the environment",
            UserWarning,
            stacklevel=2,
        )
    return None
