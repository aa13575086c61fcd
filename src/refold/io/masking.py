"""Values that are never shown: whoever learns a secret conceals it, and whoever writes text for people masks it.

Kept for the whole process, since prints, tracebacks and errors do not say what they hold. A value is found as it is,
line by line, and as `repr`, JSON and URLs write it; not in pieces, turned round, or encoded in any other way. Values of
fewer than four characters and words that everybody uses are shown: masking them would hide much, and keep nothing
secret.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterable, Iterator, Mapping

MASK = "***"
"""What stands in the place of a value."""
SHORTEST = 4
"""Characters that a value has at least to be masked."""

_COMMON = re.compile(
    "admin|default|demo|dev|development|example|false|guest|localhost|mage|main|master|mysql|none|null|password|"
    "postgres|prod|production|public|refold|root|secret|staging|test|true|user|username",
    re.IGNORECASE,
)
"""Names of things and of places, whoever may have chosen one as a password."""
_SECRET_KEY = re.compile(r"PASSWORD|PASSWD|PASSPHRASE|SECRET|TOKEN|KEY|CREDENTIAL|CONNECTION_STRING", re.IGNORECASE)
_HARMLESS_KEY = re.compile(r"(?:PATH|FILE|_UR[IL]|_AUTHMETHOD|KEYSPACE)$", re.IGNORECASE)
"""Where a secret lies, rather than what it is."""
_URL_PASSWORD = re.compile(r"://[^\s/?#:@]*:([^\s@]+)@")
_PLAIN_FIELD = re.compile(
    "auth_provider_x509_cert_url|auth_uri|client_email|client_id|client_x509_cert_url|database|dbname|engine|host|"
    "hostname|port|project_id|region|schema|token_uri|type|universe_domain|user|username",
    re.IGNORECASE,
)
"""Of a secret that is a JSON object, what says where and who rather than how to get in."""


class _Concealed:
    """The values of this process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: set[str] = set()
        self._forms: set[str] = set()
        self.pattern: re.Pattern[str] | None = None
        """Finds any of them, the longest first; None while there is none."""

    def add(self, values: Iterable[str]) -> None:
        """These are not shown from now on."""
        new = {value for value in values if value not in self._known}
        if not new:
            return
        with self._lock:
            self._known |= new
            self._forms.update(form for value in new for form in _forms(value))
            if self._forms:
                longest_first = sorted(self._forms, key=lambda form: (-len(form), form))
                self.pattern = re.compile("|".join(map(re.escape, longest_first)))

    def forget(self) -> None:
        """There is none."""
        with self._lock:
            self._known, self._forms, self.pattern = set(), set(), None


_CONCEALED = _Concealed()
forget_concealed = _CONCEALED.forget
"""Shows everything again: what one process did for one project says nothing of the next."""


def conceal(*values: object) -> None:
    """These texts and numbers are masked from now on; of a text that is a JSON object its values, too.

    None, truth values and what is too short or too common are passed over.
    """
    _CONCEALED.add(text for value in values for text in _texts(value))


def conceal_settings(settings: Mapping[str, object]) -> None:
    """Of connection settings: what is under a key that names a secret, and passwords in URLs."""
    conceal(*_secret_settings(settings))


def masked(text: str) -> str:
    """The text with `***` for every value that is concealed; the text itself where there is none."""
    pattern = _CONCEALED.pattern
    if pattern is None or pattern.search(text) is None:
        return text
    # Values may overlap: no end of one may stay behind because the other was found first.
    parts: list[str] = []
    shown, start, stop = 0, -1, -1
    for begin, end in _places(pattern, text):
        if begin >= stop:
            if start >= 0:
                parts += [text[shown:start], MASK]
                shown = stop
            start = begin
        stop = max(stop, end)
    return "".join((*parts, text[shown:start], MASK, text[stop:]))


def _places(pattern: re.Pattern[str], text: str) -> Iterator[tuple[int, int]]:
    """Where values begin and end, those that begin within another included."""
    found = pattern.search(text)
    while found is not None:
        yield found.span()
        found = pattern.search(text, found.start() + 1)


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return
    text = str(value)
    yield text
    if text.lstrip().startswith("{"):
        try:
            read: object = json.loads(text)
        except (ValueError, RecursionError):
            return
        yield from _leaves(read)


def _leaves(value: object, key: str = "") -> Iterator[str]:
    if isinstance(value, dict):
        for name, each in value.items():
            yield from _leaves(each, str(name))
    elif isinstance(value, list):
        for each in value:
            yield from _leaves(each, key)
    elif isinstance(value, str) and not _PLAIN_FIELD.fullmatch(key):
        yield value


def _secret_settings(value: object, key: str = "") -> Iterator[object]:
    if isinstance(value, Mapping):
        for name, each in value.items():
            yield from _secret_settings(each, str(name))
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _secret_settings(each, key)
    elif _SECRET_KEY.search(key) and not _HARMLESS_KEY.search(key):
        yield value
    if isinstance(value, str):
        yield from _passwords_in(value)


def _passwords_in(text: str) -> Iterator[str]:
    from urllib.parse import unquote

    for password in _URL_PASSWORD.findall(text):
        yield from (password, unquote(password))


def _forms(value: str) -> Iterator[str]:
    """How the value may be written."""
    lines = [line.strip() for line in value.splitlines()]
    pieces = [line for line in lines if not line.startswith("-----")] if len(lines) > 1 else []
    for piece in dict.fromkeys((value, value.strip(), *pieces)):
        if len(piece) >= SHORTEST and not _COMMON.fullmatch(piece) and not set(piece) <= {"*"}:
            yield from (form for form in _spellings(piece) if len(form) >= SHORTEST)


def _spellings(text: str) -> Iterator[str]:
    from urllib.parse import quote, quote_plus

    yield text
    once = list(_escaped(text))
    yield from once
    for form in once:
        if form != text:
            yield from _escaped(form)  # a repr within JSON, JSON within a repr
    data = text.encode("utf-8", "surrogatepass")
    yield repr(data)[2:-1]
    for quoted in (quote(data, safe=""), quote(data), quote_plus(data)):
        yield quoted
        yield re.sub("%..", lambda match: match[0].lower(), quoted)


def _escaped(text: str) -> Iterator[str]:
    as_repr = repr(text + "'\"")[1:-4].replace("\\'", "'")  # with both quotes in it repr escapes single ones alone
    yield as_repr
    yield as_repr.replace("'", "\\'")
    yield ascii(text + "'\"")[1:-4].replace("\\'", "'")
    yield json.dumps(text, ensure_ascii=False)[1:-1]
    yield json.dumps(text)[1:-1]
