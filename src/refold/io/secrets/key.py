"""The key that secrets are encrypted with: that of the environment, else one that the user keeps for all projects.

`REFOLD_SECRETS_KEY` holds the key itself, for machines that have no home. The file is made when the first secret is
set, and is its owner's alone: one that others may read is refused, since it keeps nothing secret.
"""

from __future__ import annotations

import base64
import binascii
import os
import stat
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path

from refold.errors import ProjectError
from refold.io.secrets.masking import conceal

VARIABLE = "REFOLD_SECRETS_KEY"
_BYTES = 32
_WHAT_IT_IS = f"A key is {_BYTES} random bytes in base64, such as `openssl rand -base64 {_BYTES}` prints."


@dataclass(frozen=True, slots=True)
class SecretKey:
    """A key, and where it was found."""

    data: bytes = field(repr=False)
    where: str

    @property
    def id(self) -> str:
        """Tells it from other keys, and says nothing of it."""
        return blake2b(b"refold secrets", key=self.data, digest_size=8).hexdigest()


def find_key() -> SecretKey | None:
    """The key; None where there is none yet. Raises ProjectError, which never shows it, for one that cannot be used."""
    given = os.environ.get(VARIABLE)
    if given:
        return _read(given, VARIABLE)
    path = key_file()
    try:
        mode = path.stat().st_mode
        text = path.read_text(encoding="ascii")
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ProjectError(f"the key cannot be read: {error.strerror or error}", where=str(path)) from error
    except UnicodeDecodeError:
        text = ""
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise ProjectError(
            f"others may read or change the key of the secrets: its mode is {stat.S_IMODE(mode):o}",
            where=str(path),
            fix=f"Keep it to yourself: `chmod 600 {path}`. Whoever could read it knows the secrets: change them, too.",
        )
    return _read(text, str(path))


def make_key() -> SecretKey:
    """The key of the user, made if there is none. Raises ProjectError where its file cannot be written."""
    path = key_file()
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(base64.urlsafe_b64encode(os.urandom(_BYTES)) + b"\n")
                file.flush()
                os.fsync(file.fileno())
            with suppress(FileExistsError):  # somebody else was faster: that is the key
                os.link(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise ProjectError(
            f"no key can be kept here: {error.strerror or error}", where=str(path), fix=f"Give one in {VARIABLE}."
        ) from error
    made = find_key()
    assert made is not None
    return made


def key_file() -> Path:
    """Where the user's key is: `refold/secrets.key` in `$XDG_CONFIG_HOME` or `~/.config`. Raises ProjectError."""
    folder = os.environ.get("XDG_CONFIG_HOME", "")
    if os.path.isabs(folder):
        return Path(folder, "refold", "secrets.key")
    try:
        return Path.home() / ".config" / "refold" / "secrets.key"
    except RuntimeError:
        raise ProjectError(
            "there is no home folder to look for the key of the secrets in", fix=f"Give it in {VARIABLE}."
        ) from None


def _read(text: str, where: str) -> SecretKey:
    try:
        data = base64.b64decode(text.strip().replace("-", "+").replace("_", "/"), validate=True)
    except (binascii.Error, ValueError):
        data = b""
    if len(data) != _BYTES:
        raise ProjectError("what is there is no key of secrets", where=where, fix=_WHAT_IT_IS)
    conceal(text.strip())
    return SecretKey(data, where)
