"""The secrets of a project: a file in which the values are encrypted, and names and dates are not.

Each value is sealed together with its name (AES-256-GCM), so that nobody who can write the file can put one secret in
the place of another. The file is replaced as a whole, by one writer at a time.
"""

from __future__ import annotations

import base64
import binascii
import fcntl
import json
import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from refold.errors import BadInputError, NotFoundError, ProjectError
from refold.io.secrets.key import VARIABLE, SecretKey, find_key, key_file, make_key
from refold.model.suggestion import suggestion

FOLDER = ".refold"
FILE = "secrets.json"
LONGEST = 64 * 1024
"""Bytes of UTF-8 that a value has at most."""

_NAME = re.compile(r"\w[\w.-]{0,127}")
_VERSION = 1
_NONCE = 12
_IGNORE = "# What is here belongs to this machine. To keep secrets.json in version control, delete this file.\n*\n"


@dataclass(frozen=True, slots=True)
class StoredSecret:
    """What can be known of a secret without the key."""

    name: str
    set_at: str
    """When it was set last: ISO 8601, in UTC."""
    sealed: bytes


@dataclass(frozen=True, slots=True)
class _Document:
    key: str | None
    """The id of the key; None while there are no secrets."""
    secrets: Mapping[str, StoredSecret]


class SecretStore:
    """The secrets of the project in this folder."""

    def __init__(self, project: Path) -> None:
        self.path = project / FOLDER / FILE
        """The file, whether or not it exists."""

    def exists(self) -> bool:
        """Whether there is a file of secrets."""
        return self.path.exists()

    def list(self) -> list[StoredSecret]:
        """All, by name. Raises ProjectError for a damaged file; needs no key."""
        return sorted(self._read().secrets.values(), key=lambda each: each.name)

    def get(self, name: str) -> str | None:
        """The value; None where there is no secret of this name. Raises ProjectError where it cannot be decrypted."""
        document = self._read()
        found = document.secrets.get(name)
        return None if found is None else self._open(found, self._key(document))

    def values(self) -> dict[str, str]:
        """All values by name. Raises ProjectError where one cannot be decrypted."""
        document = self._read()
        key = self._key(document) if document.secrets else None
        return {} if key is None else {each.name: self._open(each, key) for each in document.secrets.values()}

    def set(self, name: str, value: str, now: datetime | None = None) -> None:
        """Sets a secret. Raises BadInputError for what is no name or value, ProjectError as `get`."""
        if not _NAME.fullmatch(name):
            raise BadInputError(
                f"`{name}` cannot be the name of a secret",
                fix="Use letters, digits, `_`, `-` and `.`, at most 128 of them.",
            )
        data = _bytes(name, value)

        def change(document: _Document) -> _Document:
            key = self._key(document) if document.secrets else (find_key() or make_key())
            moment = (now or datetime.now(UTC)).astimezone(UTC).isoformat(timespec="seconds")
            sealed = _seal(key, name, data)
            return _Document(key.id, {**document.secrets, name: StoredSecret(name, moment, sealed)})

        self._change(change)

    def delete(self, name: str) -> None:
        """Deletes a secret; needs no key. Raises NotFoundError where there is none of this name."""

        def change(document: _Document) -> _Document:
            if name not in document.secrets:
                raise NotFoundError(
                    f"there is no secret `{name}`",
                    where=str(self.path),
                    fix=suggestion(name, document.secrets, "secrets"),
                )
            left = {each: secret for each, secret in document.secrets.items() if each != name}
            return _Document(document.key if left else None, left)

        self._change(change)

    def _key(self, document: _Document) -> SecretKey:
        """The key that the file was written with."""
        key = find_key()
        if key is None:
            raise ProjectError(
                "the secrets cannot be read: their key is not here",
                where=str(self.path),
                fix=f"Give it in {VARIABLE}, or put its file where it belongs: {key_file()}.",
            )
        if key.id != document.key:
            raise ProjectError(
                f"the secrets were encrypted with another key than that of {key.where}",
                where=str(self.path),
                fix=f"Give theirs in {VARIABLE}; where it is lost, delete the file and set the secrets anew.",
            )
        return key

    def _open(self, secret: StoredSecret, key: SecretKey) -> str:
        from cryptography.exceptions import InvalidTag
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        nonce, sealed = secret.sealed[:_NONCE], secret.sealed[_NONCE:]
        try:
            return AESGCM(key.data).decrypt(nonce, sealed, secret.name.encode()).decode()
        except (InvalidTag, ValueError):
            raise ProjectError(
                f"the secret `{secret.name}` cannot be decrypted: the file was changed by something else than Refold",
                where=str(self.path),
                fix=f"Set it anew: `refold secrets set {secret.name}`.",
            ) from None

    def _read(self) -> _Document:
        try:
            text = self.path.read_bytes()
        except FileNotFoundError:
            return _Document(None, {})
        except OSError as error:
            raise ProjectError(f"cannot be read: {error.strerror or error}", where=str(self.path)) from error
        try:
            return _parsed(json.loads(text))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            raise ProjectError(
                "the file of secrets is damaged",
                where=str(self.path),
                fix="Put a copy of it back, or delete it and set the secrets anew.",
            ) from None

    def _change(self, change: Callable[[_Document], _Document]) -> None:
        try:
            with self._locked():
                self._write(change(self._read()))
        except OSError as error:
            raise ProjectError(f"cannot be written: {error.strerror or error}", where=str(self.path)) from error

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Keeps other writers out, those of other processes too."""
        folder = self.path.parent
        folder.mkdir(mode=0o700, exist_ok=True)
        ignore = folder / ".gitignore"
        if not self.path.exists() and not ignore.exists():
            ignore.write_text(_IGNORE, encoding="utf-8")
        lock = os.open(folder / "secrets.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)

    def _write(self, document: _Document) -> None:
        secrets = {
            each.name: {"value": base64.b64encode(each.sealed).decode(), "set_at": each.set_at}
            for each in sorted(document.secrets.values(), key=lambda each: each.name)
        }
        text = json.dumps({"version": _VERSION, "key": document.key, "secrets": secrets}, indent=2, ensure_ascii=False)
        temporary = self.path.with_name(f".{FILE}.tmp")  # one writer at a time
        temporary.unlink(missing_ok=True)
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text + "\n")
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(self.path)


def _bytes(name: str, value: str) -> bytes:
    """The value in UTF-8. Errors say nothing of it."""
    try:
        data = value.encode()
    except UnicodeEncodeError:
        data = b""
        problem, fix = "is not text in UTF-8", "Encode it, in base64 say."
    else:
        problem = "is empty" if not data else f"is longer than {LONGEST:,} bytes"
        fix = "Give one." if not data else "Keep what is so long in a file, and the file's password here."
    if not data or len(data) > LONGEST:
        raise BadInputError(f"the value of `{name}` {problem}; nothing was changed", fix=fix)
    return data


def _seal(key: SecretKey, name: str, data: bytes) -> bytes:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    nonce = os.urandom(_NONCE)
    return nonce + AESGCM(key.data).encrypt(nonce, data, name.encode())


def _parsed(document: Mapping[str, object]) -> _Document:
    """What the file says. Raises ValueError, TypeError, KeyError or AttributeError for what it cannot say."""
    key, secrets = document["key"], document["secrets"]
    if document["version"] != _VERSION or not isinstance(secrets, dict) or not isinstance(key, str | None):
        raise ValueError
    found: dict[str, StoredSecret] = {}
    for name, entry in secrets.items():
        value, set_at = entry["value"], entry["set_at"]
        if not isinstance(value, str) or not isinstance(set_at, str):
            raise TypeError
        try:
            sealed = base64.b64decode(value, validate=True)
        except binascii.Error:
            sealed = b""  # of this secret alone: whoever asks for it is told
        found[name] = StoredSecret(name, set_at, sealed)
    return _Document(key, found)
