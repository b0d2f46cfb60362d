"""Placeholders: `{name}` is expanded in what is sent and expected, `<name>` matches what is volatile in an answer.

Text may hold raw bytes (`{byte:ff}`): they travel through str as surrogate escapes, see to_bytes.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Callable, Mapping

_WANTED = re.compile(r"\{(account5|account2|account|service5|host|fresh\d+|token:\w+|now[+-]\d+|now|repeat:.:\d+"
                     r"|byte:[0-9a-f]{2}|var:\w+|hmac:\w+)\}", re.DOTALL)  # fmt: skip

_DAY = "(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)"
_MONTH = "(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)"
VOLATILE: Mapping[str, str] = {
    "date": rf"{_DAY}, \d\d {_MONTH} \d{{4}} \d\d:\d\d:\d\d GMT",
    "timestamp": r"\d{10}\.\d{5}",
    "isodate": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}",
    "unixtime": r"\d+",
    "seconds": r"\d+",
    # 32 hex digits as recorded, or the stateless form (Fernet text, zipped or not).
    "token": r"\w+?tk[0-9a-f]{32}|\w+?z?ftk[A-Za-z0-9_=-]+",
    "txid": r"tx[0-9a-f]{21}-[0-9a-f]{10}",
    "length": r"\d+",
    "text": r"[\s\S]*?",
    "etag of stored manifest": r"[0-9a-f]{32}",
    "etag of stored bytes": r"[0-9a-f]{32}",
}
_VOLATILE = re.compile("<(" + "|".join([*map(re.escape, VOLATILE), "boundary"]) + ")>")
_BOUNDARY = r"[0-9a-zA-Z'()+_,./:=?-]{32,70}"


class UnknownPlaceholder(Exception):
    """A case asks for a value that nobody has."""


class Values:
    """What `{name}` stands for during one case.

    named: plain values (account, host, …). token: a user's token by the user's name. fresh: an account name never used
    before, by number. now: Unix time at the start of the case.
    """

    def __init__(
        self, named: Mapping[str, str], token: Callable[[str], str], fresh: Callable[[int], str], now: int
    ) -> None:
        self._named = named
        self._token = token
        self._fresh = fresh
        self._now = now
        self.captured: dict[str, str] = {}
        self.signatures: dict[str, str] = {}

    def expand(self, text: str) -> str:
        """`text` with every `{placeholder}` replaced; UnknownPlaceholder for a variable that was not captured."""
        return _WANTED.sub(lambda found: self._value(found[1]), text)

    def sign(self, name: str, alg: str, key: str, message: str) -> None:
        """Make `{hmac:name}` the HMAC of `message`: hex, or with alg `sha256:base64` the prefixed URL-safe form."""
        algorithm, _, encoding = alg.partition(":")
        digest = hmac.new(to_bytes(self.expand(key)), to_bytes(self.expand(message)), getattr(hashlib, algorithm))
        if encoding == "base64":
            self.signatures[name] = f"{algorithm}:" + base64.urlsafe_b64encode(digest.digest()).decode()
        else:
            self.signatures[name] = digest.hexdigest()

    def _value(self, name: str) -> str:
        kind, _, argument = name.partition(":")
        if kind == "repeat":
            return argument[0] * int(argument[2:])
        if kind == "byte":
            return bytes.fromhex(argument).decode("utf-8", "surrogateescape")
        if kind == "token":
            return self._token(argument)
        if kind == "var":
            return _get(self.captured, argument)
        if kind == "hmac":
            return _get(self.signatures, argument)
        if kind.startswith("fresh"):
            return self._fresh(int(kind[5:]))
        if kind.startswith("now"):
            return str(self._now + int(kind[3:] or 0))
        return _get(self._named, name)


def _get(values: Mapping[str, str], name: str) -> str:
    try:
        return values[name]
    except KeyError:
        raise UnknownPlaceholder(name) from None


def to_bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def to_text(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")


def pattern(text: str) -> re.Pattern[str]:
    """A pattern for an expanded text: `<date>` and its like match their shape, every `<boundary>` the same text."""
    pieces, position, has_boundary = [], 0, False
    for found in _VOLATILE.finditer(text):
        pieces.append(re.escape(text[position : found.start()]))
        position = found.end()
        if found[1] != "boundary":
            pieces.append(f"(?:{VOLATILE[found[1]]})")
        elif has_boundary:
            pieces.append("(?P=boundary)")
        else:
            pieces.append(f"(?P<boundary>{_BOUNDARY})")
            has_boundary = True
    pieces.append(re.escape(text[position:]))
    return re.compile("".join(pieces), re.DOTALL)


def matches(expected: str, got: str) -> bool:
    return expected == got or pattern(expected).fullmatch(got) is not None
