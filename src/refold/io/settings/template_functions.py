"""What expressions in YAML files and SQL may call: `{{ env_var('X') }}`, `{{ mage_secret_var('Y') }}`.

One place for io_config.yaml, blocks' configurations, pipelines' variables and SQL, so that a name means the same in
each. What comes from a vault is concealed as soon as it is read.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from refold.errors import BadInputError
from refold.io.secrets.lookup import find_secret, where_it_could_be
from refold.io.secrets.masking import conceal
from refold.model.suggestion import suggestion

TemplateFunction = Callable[..., object]
"""A function that an expression may call."""

_UNSET = object()
_REGIONS = ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_REGION_NAME")
_VAULT = "AZURE_KEY_VAULT_URL"


def template_functions(variables: Mapping[str, object], project: Path | None) -> Mapping[str, TemplateFunction]:
    """The functions by name; each raises BadInputError for what is not there.

    `variables` are those of the run, whose values `variables('x')` gives; `project` is whose secrets
    `mage_secret_var('x')` gives, None where there is no project.
    """
    return {
        "env_var": env_var,
        "variables": partial(_variable, variables),
        "mage_secret_var": partial(_secret, project),
        "aws_secret_var": aws_secret,
        "azure_secret_var": azure_secret,
        "json_value": json_value,
    }


def env_var(name: str, default: object = _UNSET) -> object:
    """The environment variable; the default where it is not set. Raises BadInputError without a default."""
    found = os.environ.get(name)
    if found is not None:
        return found
    if default is _UNSET:
        raise BadInputError(
            f"the environment variable {name} is not set",
            fix=f"Set it, or give a default: `env_var('{name}', '...')`.",
        )
    return default


def json_value(text: object, key: str) -> object:
    """Of a JSON object in a text, the value of a key: a secret may hold several. Raises BadInputError.

    What the text holds is never shown.
    """
    value = text
    if isinstance(text, str):
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            value = None
    if not isinstance(value, dict):
        raise BadInputError(f"`json_value` was to find `{key}` in what is no JSON object")
    if key not in value:
        raise BadInputError(f"the JSON object has no key `{key}`")
    found: object = value[key]
    return found


def _variable(variables: Mapping[str, object], name: str, default: object = _UNSET) -> object:
    if name in variables:
        return variables[name]
    if default is _UNSET:
        raise BadInputError(f"there is no variable `{name}`", fix=suggestion(name, variables, "variables"))
    return default


def _secret(project: Path | None, name: str) -> str:
    found = find_secret(name, project)
    if found is None:
        raise BadInputError(
            f"there is no secret `{name}`: {where_it_could_be(name)}", fix=f"Set it: `refold secrets set {name}`."
        )
    return found


def aws_secret(name: str) -> str:
    """The text of a secret of AWS Secrets Manager, found as boto3 finds it: region and credentials of the environment.

    Raises BadInputError when boto3 is not installed, or the secret cannot be had.
    """
    try:
        import boto3
    except ImportError:
        raise _not_installed("aws_secret_var", "boto3") from None
    region = next((os.environ[each] for each in _REGIONS if os.environ.get(each)), None)
    try:
        answer = boto3.client("secretsmanager", region_name=region).get_secret_value(SecretId=name)
        found = answer.get("SecretString")
        found = answer["SecretBinary"].decode() if found is None else str(found)
    except Exception as error:  # boto3 makes its errors' classes at runtime
        raise _not_had("AWS Secrets Manager", name, error) from error
    conceal(found)
    return found


def azure_secret(name: str) -> str:
    """The value of a secret of the Azure Key Vault that the environment variable AZURE_KEY_VAULT_URL names.

    Raises BadInputError when Azure's packages are not installed, or the secret cannot be had.
    """
    try:
        from azure.identity import DefaultAzureCredential
        from azure.keyvault.secrets import SecretClient
    except ImportError:
        raise _not_installed("azure_secret_var", "azure-identity azure-keyvault-secrets") from None
    url = env_var(_VAULT)
    try:
        found = str(SecretClient(vault_url=url, credential=DefaultAzureCredential()).get_secret(name).value)
    except Exception as error:  # whatever its HTTP client raises
        raise _not_had("Azure Key Vault", name, error) from error
    conceal(found)
    return found


def _not_installed(function: str, packages: str) -> BadInputError:
    return BadInputError(f"`{function}` needs packages that are not installed", fix=f"pip install {packages}")


def _not_had(vault: str, name: str, error: Exception) -> BadInputError:
    return BadInputError(f"{vault} did not give the secret `{name}`: {type(error).__name__}: {error}")
