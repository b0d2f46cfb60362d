"""One line of the access log: the template of log_msg_template, its fields, and what may be shown of secrets.

Every field is percent-quoted, so that none can hold a blank or a line end and forge a line; an absent one is `-`.
`{field.anonymized}` is a salted hash of it; times also have .datetime, .iso8601, .asctime, .s, .ms, .us and .ns.
Source: features B5.13, B5.12.
"""

from __future__ import annotations

import hashlib
import os
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from string import Formatter
from urllib.parse import quote, unquote_plus

from objstore.core.errors import InvalidName
from objstore.core.names import ClientPath
from objstore.http.environ import SOURCE, TRANSACTION_ID, Environ, Outcome, client_path_of
from objstore.http.status import CLIENT_CLOSED_REQUEST

DEFAULT_TEMPLATE = (
    "{client_ip} {remote_addr} {end_time.datetime} {method} {path} {protocol} {status_int} {referer} {user_agent} "
    "{auth_token} {bytes_recvd} {bytes_sent} {client_etag} {transaction_id} {headers} {request_time} {source} "
    "{log_info} {start_time} {end_time} {policy_index}"
)
LOG_INFO = "objstore.log_info"
"""list of text: what filters want to say in the access log."""

_ABSENT = "-"
_SAFE = "/%:,;=?&+@!$'()*~[]"
_NEED_NO_QUOTES = re.compile(rf"[A-Za-z0-9_.\n{re.escape(_SAFE)}-]*\Z").match
"""Whether quoting would change nothing in any of several texts, joined by line ends."""
_POLICY_INDEX = "x-backend-storage-policy-index"
_PARAMETER = re.compile(r"(?<=[?&])([^=&]+)=([^&]*)")
_SECRET_PARAMETERS = frozenset(
    {"temp_url_sig", "signature", "x-amz-signature", "x-amz-security-token", "awsaccesskeyid", "swiftinfo_sig"}
)
_SECRET_HEADERS = frozenset(
    {"x-auth-token", "x-storage-token", "x-service-token", "x-container-sync-auth", "authorization", "cookie"}
)
_KEY_HEADERS = frozenset({"x-auth-key", "x-storage-pass", "x-container-sync-key", "x-amz-security-token"})
_KEYS_BEGIN = ("x-account-meta-temp-url-key", "x-container-meta-temp-url-key")
_URL_HEADERS = frozenset({"referer"})
"""A page that was reached by a signed link tells the whole of it to what it refers to."""
_SCALES = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}


@dataclass(slots=True)
class Exchange:
    """What is known of a request when its line is written. headers: of the response, as the application gave them."""

    environ: Environ
    method: str
    target: str
    started_s: float
    outcome: Outcome
    headers: list[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Disclosure:
    """How much a line may show. token_characters: of a secret's beginning. anonymizer: hashlib name, upper case."""

    token_characters: int = 16
    anonymizer: str = "MD5"
    salt: str = ""
    headers: bool = False
    headers_only: tuple[str, ...] = ()

    def shortened(self, secret: str) -> str:
        if len(secret) <= self.token_characters:
            # A secret shorter than what may be shown would be shown whole.
            return "..." if secret else ""
        return secret[: self.token_characters] + "..."

    def anonymized(self, text: str) -> str:
        if text == _ABSENT:
            return text
        digest = hashlib.new(self.anonymizer.lower(), (self.salt + text).encode(), usedforsecurity=False).hexdigest()
        return f"{{{'S' if self.salt else ''}{self.anonymizer}}}{digest}"


Field = Callable[[Exchange, Disclosure], "str | None"]
"""What stands in a line; of a raw field before it is quoted."""


class LineTemplate:
    """A template compiled once. Raises ValueError for an unknown field or form of one."""

    def __init__(self, template: str, disclosure: Disclosure) -> None:
        form: list[str] = []
        keys: list[tuple[int, str]] = []
        fields: list[tuple[int, Field]] = []
        self._are_raw: list[bool] = []
        for literal, name, spec, conversion in Formatter().parse(template):
            form.append(literal.replace("%", "%%"))
            if name is not None:
                if spec or conversion:
                    raise ValueError(f"{{{name}}}: a field takes no format")
                form.append("%s")
                field, is_raw = _field(name)
                if name in _ENVIRON_FIELDS:
                    keys.append((len(self._are_raw), _ENVIRON_FIELDS[name]))
                else:
                    fields.append((len(self._are_raw), field))
                self._are_raw.append(is_raw)
        self._format = "".join(form)
        self._disclosure = disclosure
        # What only looks into the environ is looked up by one call for all; a permutation restores the order.
        self._keys = [key for _, key in keys]
        self._fields = [field for _, field in fields]
        places = [place for place, _ in (*keys, *fields)]
        self._order = [places.index(place) for place in range(len(places))]

    def line(self, exchange: Exchange) -> str:
        disclosure = self._disclosure
        found = [*map(exchange.environ.get, self._keys), *[field(exchange, disclosure) for field in self._fields]]
        texts = [found[place] or _ABSENT for place in self._order]
        # One look at all of them: most lines need no quotes anywhere.
        joined = "\n".join(texts)
        if _NEED_NO_QUOTES(joined) is None or joined.count("\n") >= len(texts):
            texts = [_quoted(text) if raw else text for text, raw in zip(texts, self._are_raw, strict=True)]
        return self._format % tuple(texts)


def _quoted(text: str) -> str:
    """A WSGI string that cannot break out of its place in a line."""
    return quote(text, safe=_SAFE, encoding="latin-1", errors="replace")


def without_secrets(target: str, disclosure: Disclosure) -> str:
    """A request target, or a whole URL, whose signatures and keys are cut short, however their names are quoted."""
    if "?" not in target:
        return target

    def cut(match: re.Match[str]) -> str:
        if unquote_plus(match[1]).lower() not in _SECRET_PARAMETERS:
            return match[0]
        return f"{match[1]}={disclosure.shortened(match[2])}"

    return _PARAMETER.sub(cut, target)


def _field(name: str) -> tuple[Field, bool]:
    """(the field, whether its text is raw: from outside, to be quoted)."""
    base, _, form = name.partition(".")
    if base in _TIMES:
        return _time_field(_TIMES[base], form, name), False
    plain = _RAW_FIELDS.get(base) or _OWN_FIELDS.get(base)
    if plain is None:
        known = sorted([*_RAW_FIELDS, *_OWN_FIELDS, *_TIMES])
        raise ValueError(f"{{{name}}} is not a field; known: {', '.join(known)}")
    if not form:
        return plain, base in _RAW_FIELDS
    if form == "anonymized":
        return lambda exchange, disclosure: disclosure.anonymized(
            _quoted(plain(exchange, disclosure) or _ABSENT)
        ), False
    raise ValueError(f"{{{name}}}: {base} has only the form .anonymized")


def _time_field(seconds_of: Callable[[Exchange], float], form: str, name: str) -> Field:
    if not form:
        return lambda exchange, _: f"{seconds_of(exchange):.9f}"
    if form in _SCALES:
        scale = _SCALES[form]
        return lambda exchange, _: str(int(seconds_of(exchange) * scale))
    patterns = {"datetime": "%d/%b/%Y/%H/%M/%S", "iso8601": "%Y-%m-%dT%H:%M:%S", "asctime": "%a %b %e %H:%M:%S %Y"}
    if form not in patterns:
        raise ValueError(f"{{{name}}}: a time has the forms {', '.join([*patterns, *_SCALES])}")
    return lambda exchange, _: _calendar(patterns[form], int(seconds_of(exchange)))


@lru_cache(maxsize=4)
def _calendar(pattern: str, seconds: int) -> str:
    """Made once a second, not once a request."""
    return quote(time.strftime(pattern, time.gmtime(seconds)), safe="/:-")


def _header(key: str) -> Field:
    return lambda exchange, _: exchange.environ.get(key)


def _client_ip(exchange: Exchange, _: Disclosure) -> str | None:
    """Who says to have asked, as a load balancer tells; for reading only, nothing is allowed because of it."""
    environ = exchange.environ
    told = environ.get("HTTP_X_CLUSTER_CLIENT_IP") or environ.get("HTTP_X_FORWARDED_FOR", "").partition(",")[0].strip()
    return told or environ.get("REMOTE_ADDR")


def _status(exchange: Exchange, _: Disclosure) -> str:
    outcome = exchange.outcome
    return str(outcome.status if outcome.is_complete else CLIENT_CLOSED_REQUEST)


def _auth_token(exchange: Exchange, disclosure: Disclosure) -> str:
    token = exchange.environ.get("HTTP_X_AUTH_TOKEN") or exchange.environ.get("HTTP_X_STORAGE_TOKEN") or ""
    return disclosure.shortened(token)


def _headers(exchange: Exchange, disclosure: Disclosure) -> str:
    if not disclosure.headers:
        return _ABSENT
    lines = []
    for key, value in exchange.environ.items():
        name = key.removeprefix("HTTP_").replace("_", "-").lower()
        if not key.startswith("HTTP_") or (disclosure.headers_only and name not in disclosure.headers_only):
            continue
        if name in _KEY_HEADERS or name.startswith(_KEYS_BEGIN):
            value = "..."
        elif name in _SECRET_HEADERS:
            value = disclosure.shortened(value)
        elif name in _URL_HEADERS:
            value = without_secrets(value, disclosure)
        lines.append(f"{name.title()}: {value}")
    return "\n".join(lines)


def _policy_index(exchange: Exchange, _: Disclosure) -> str | None:
    return policy_index_of(exchange)


def policy_index_of(exchange: Exchange) -> str | None:
    """The storage policy of an answer, else the one its request named; as text from outside."""
    for name, value in exchange.headers:
        if len(name) == len(_POLICY_INDEX) and name.lower() == _POLICY_INDEX:
            return value
    return exchange.environ.get("HTTP_X_BACKEND_STORAGE_POLICY_INDEX")


def _name(part: Callable[[ClientPath], str | None]) -> Field:
    def field(exchange: Exchange, _: Disclosure) -> str:
        try:
            path = client_path_of(exchange.environ)
        except InvalidName:
            return _ABSENT
        text = part(path) if path is not None else None
        return quote(text, safe=_SAFE, errors="surrogateescape") if text else _ABSENT

    return field


_TIMES: Mapping[str, Callable[[Exchange], float]] = {
    "start_time": lambda exchange: exchange.started_s,
    "end_time": lambda exchange: exchange.started_s + exchange.outcome.elapsed_s,
}

_ENVIRON_FIELDS: Mapping[str, str] = {
    "remote_addr": "REMOTE_ADDR",
    "protocol": "SERVER_PROTOCOL",
    "user_agent": "HTTP_USER_AGENT",
    "client_etag": "HTTP_ETAG",
    "transaction_id": TRANSACTION_ID,
    "source": SOURCE,
    "domain": "HTTP_HOST",
}
"""Raw fields that stand in the environ as they are, by their keys."""

_RAW_FIELDS: Mapping[str, Field] = {
    **{name: _header(key) for name, key in _ENVIRON_FIELDS.items()},
    "client_ip": _client_ip,
    "method": lambda exchange, _: exchange.method,
    "path": lambda exchange, disclosure: without_secrets(exchange.target, disclosure),
    "referer": lambda exchange, disclosure: without_secrets(exchange.environ.get("HTTP_REFERER", ""), disclosure),
    "auth_token": _auth_token,
    "headers": _headers,
    "log_info": lambda exchange, _: ",".join(exchange.environ.get(LOG_INFO, ())),
    "policy_index": _policy_index,
}

_OWN_FIELDS: Mapping[str, Field] = {
    "status_int": _status,
    "wire_status_int": lambda exchange, _: str(exchange.outcome.status),
    "bytes_recvd": lambda exchange, _: str(exchange.outcome.bytes_received or _ABSENT),
    "bytes_sent": lambda exchange, _: str(exchange.outcome.bytes_sent or _ABSENT),
    "request_time": lambda exchange, _: f"{exchange.outcome.elapsed_s:.4f}",
    "ttfb": lambda exchange, _: f"{exchange.outcome.first_byte_s:.4f}",
    "account": _name(lambda path: path.account),
    "container": _name(lambda path: path.container),
    "object": _name(lambda path: path.obj),
    "pid": lambda exchange, _: str(os.getpid()),
}
