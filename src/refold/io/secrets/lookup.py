"""Secrets, by name: from the environment, where whatever starts Refold can put them, and from the project's own store.

`REFOLD_SECRET_<name>` goes before the store, so that a deployment can give its own; a variable that only happens to
have the secret's name comes after it. Whatever is read is concealed from then on: no print, log or error shows it.
"""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from refold.errors import ProjectError
from refold.io.secrets.key import VARIABLE
from refold.io.secrets.masking import conceal
from refold.io.secrets.store import SecretStore
from refold.languages.project_context import get_repo_path

PREFIX = "REFOLD_SECRET_"


def get_secret_value(
    name: str, *, suppress_warning: bool = False, environment: Mapping[str, str] | None = None, **_scope: object
) -> str | None:
    """The secret of this name, of the current project; None, with a warning, where there is none.

    It is looked for in the environment variables `REFOLD_SECRET_<name>` and the same in upper case with `_` for all but
    letters and digits, then among the secrets that the project keeps (`refold secrets set`), then in the environment
    variable `<name>`: `api-key` is `REFOLD_SECRET_api-key`, `REFOLD_SECRET_API_KEY`, the project's `api-key`, or
    `api-key`. Where Mage's callers say to what a secret belongs (`repo_name`, `entity`, `pipeline_uuid`), nothing
    changes. `environment` takes the environment's place in tests.

    Raises ProjectError where the project keeps the secret and it cannot be decrypted.
    """
    found = find_secret(name, _current_project(), os.environ if environment is None else environment)
    if found is None and not suppress_warning:
        warnings.warn(
            f"there is no secret `{name}`: {where_it_could_be(name)}",
            UserWarning,
            stacklevel=2,
        )
    return found


def find_secret(name: str, project: Path | None, environment: Mapping[str, str] | None = None) -> str | None:
    """The same of this project; None where there is none. Raises ProjectError."""
    variables = os.environ if environment is None else environment
    found = variables.get(PREFIX + name, variables.get(_shouted(name)))
    if found is None and project is not None:
        store = SecretStore(project)
        found = store.get(name) if store.exists() else None
    if found is None:
        found = variables.get(name)
    conceal(found)
    return found


def where_it_could_be(name: str) -> str:
    """Where a secret that is nowhere would have been found."""
    return f"the project keeps none, and neither {_shouted(name)} nor {name} is set in the environment"


def conceal_secrets_of(project: Path) -> dict[str, str]:
    """From now on this process shows none of the project's secrets; those, by name.

    They are what the project keeps, and what the environment has as `REFOLD_SECRET_<name>`. What cannot be read, for
    want of its key say, cannot be shown either: whoever asks for it is told why.
    """
    store = SecretStore(project)
    found = _readable(store) if store.exists() else {}
    found |= {name[len(PREFIX) :]: value for name, value in os.environ.items() if name.startswith(PREFIX) and value}
    conceal(*found.values(), os.environ.get(VARIABLE))
    return found


def _readable(store: SecretStore) -> dict[str, str]:
    """The values, those of a damaged file as far as they can be had."""
    try:
        return store.values()
    except ProjectError:
        pass
    found: dict[str, str] = {}
    with suppress(ProjectError):
        for name in [each.name for each in store.list()]:
            with suppress(ProjectError):
                found[name] = store.get(name) or ""
    return found


def _current_project() -> Path | None:
    try:
        return Path(get_repo_path())
    except ProjectError:
        return None


def _shouted(name: str) -> str:
    return PREFIX + re.sub(r"[^A-Z0-9]", "_", name.upper())
