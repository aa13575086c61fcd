"""Values that are never shown: whoever learns a secret conceals it, and whoever writes text for people masks it.

Kept for the whole process, since prints, tracebacks and errors do not say what they hold. A value is found as it is,
line by line, and as `repr`, JSON and URLs write it; not in pieces, turned round, or encoded in any other way. Values of
fewer than four characters and words that everybody uses are shown: masking them would hide much, and keep nothing
secret.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Collection, Iterable, Iterator, Mapping

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
            self._forms.update(form for value in new for form in spellings(value).values())
            if self._forms:
                self.pattern = re.compile(any_of(self._forms))

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
        import json

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


def any_of(forms: Collection[str], alike: int = SHORTEST - 1) -> str:
    """A pattern that finds any of the forms, the longest where several begin; each has more than `alike` characters.

    Forms that begin alike are put together: most places of a text are then passed over at a glance.
    """
    if alike == 0 or len(forms) < 3:
        return "|".join(re.escape(form) for form in sorted(forms, key=lambda form: (-len(form), form)))
    begins: dict[str, list[str]] = {}
    for form in forms:
        begins.setdefault(form[0], []).append(form[1:])
    return "|".join(f"{re.escape(first)}(?:{any_of(rests, alike - 1)})" for first, rests in sorted(begins.items()))


def spellings(value: str) -> dict[str, str]:
    """How the value, and each line of it, may be written, by the spelling's name; empty for one that is not masked."""
    lines = [line.strip() for line in value.splitlines()]
    pieces = {"": value, "trimmed ": value.strip()}
    if len(lines) > 1:
        pieces |= {f"line {at} ": line for at, line in enumerate(lines) if not line.startswith("-----")}
    found: dict[str, str] = {}
    for name, piece in pieces.items():
        if len(piece) >= SHORTEST and not _COMMON.fullmatch(piece) and not set(piece) <= {"*"}:
            found |= {f"{name}{how}": form for how, form in _written(piece).items()}
    return {name: form for name, form in found.items() if len(form) >= SHORTEST}


def _written(text: str) -> dict[str, str]:
    from urllib.parse import quote, quote_plus

    found = {"plain": text}
    for how, form in _escaped(text).items():
        found[how] = form
        if form != text:  # a repr within JSON, JSON within a repr
            found |= {f"{how} in {outer}": each for outer, each in _escaped(form).items()}
    data = text.encode("utf-8", "surrogatepass")
    found |= _both("bytes", repr(data + b"'\"")[2:-4])
    quoted = {"path": quote(data), "url": quote(data, safe=""), "query": quote_plus(data)}
    lower = {f"{how} lower": re.sub("%..", lambda match: match[0].lower(), form) for how, form in quoted.items()}
    return found | quoted | lower


def _escaped(text: str) -> dict[str, str]:
    import json

    return {
        **_both("repr", repr(text + "'\"")[1:-4]),
        **_both("ascii", ascii(text + "'\"")[1:-4]),
        "json": json.dumps(text, ensure_ascii=False)[1:-1],
        "ascii json": json.dumps(text)[1:-1],
    }


def _both(how: str, escaped: str) -> dict[str, str]:
    """A spelling of Python's with single quotes escaped, as it is beside double ones, and with none escaped."""
    return {how: escaped.replace("\\'", "'"), f"quoted {how}": escaped}
