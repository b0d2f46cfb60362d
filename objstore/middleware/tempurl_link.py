"""The link of a temporary URL: its parameters, what was signed, and what its answer is called. Pure.

    METHOD\\nexpires\\npath                    the path percent-decoded, as /v1/account/container/object
    METHOD\\nexpires\\nprefix:path             with temp_url_prefix: the path ends with the prefix
    ip=range\\n…                              in front of either, with temp_url_ip_range

HEAD may show a link that was signed for GET, PUT or POST. Source: features A5.1, A5.2.
"""

from __future__ import annotations

import calendar
import ipaddress
import time
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import formatdate
from urllib.parse import quote, urlencode

from objstore.core.names import ClientPath, wsgi_of
from objstore.core.signatures import Signature

_SIGNATURE, _EXPIRES = "temp_url_sig", "temp_url_expires"
_DATES = ("%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d")
_ALSO_FOR_HEAD = ("HEAD", "GET", "PUT", "POST")
_SECONDS_AT_MOST = 1 << 40
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True, slots=True)
class Link:
    """expires: Unix seconds. prefix: of names in the container, '' for all of them; None for a link to one object.

    ip_range: as it was signed; network: what it means."""

    signature: Signature
    expires: int
    prefix: str | None = None
    ip_range: str | None = None
    network: Network | None = None
    filename: str | None = None
    is_inline: bool = False

    @classmethod
    def parse(cls, query: Mapping[str, str]) -> Link | None:
        """The link in a request's parameters; None where they are not those of a link."""
        signature = Signature.parse(query.get(_SIGNATURE, ""))
        expires = parse_expiry(query.get(_EXPIRES, ""))
        if signature is None or expires is None:
            return None
        ip_range, network = query.get("temp_url_ip_range"), None
        if ip_range is not None:
            try:
                network = ipaddress.ip_network(ip_range)
            except ValueError:
                return None
        return cls(
            signature,
            expires,
            query.get("temp_url_prefix"),
            ip_range,
            network,
            query.get("filename"),
            "inline" in query,
        )

    def admits(self, address: str) -> bool:
        """Whether a client of this address may use the link."""
        if self.network is None:
            return True
        try:
            found = ipaddress.ip_address(address)
        except ValueError:
            return False
        mapped = getattr(found, "ipv4_mapped", None)
        return (mapped or found) in self.network

    def covers(self, path: ClientPath) -> bool:
        """Whether the name is one that a link to a prefix is for."""
        return self.prefix is None or (path.obj or "").startswith(self.prefix)

    def messages(self, method: str, wsgi_path: str, path: ClientPath) -> list[bytes]:
        """Every message whose signature authorizes this request."""
        signed = wsgi_path
        if self.prefix is not None:
            signed = "prefix:" + wsgi_of(f"/{path.version}/{path.account}/{path.container}/{self.prefix}")
        methods = _ALSO_FOR_HEAD if method == "HEAD" else (method,)
        return [_message(each, self.expires, signed, self.ip_range) for each in methods]


def _message(method: str, expires: int, signed: str, ip_range: str | None) -> bytes:
    """signed: a WSGI string."""
    ip = f"ip={ip_range}\n" if ip_range is not None else ""
    return f"{ip}{method}\n{expires}\n{signed}".encode("latin-1", "replace")


def signed_query(
    method: str,
    path: str,
    expires: int,
    key: str,
    algorithm: str,
    *,
    prefix: str | None = None,
    ip_range: str | None = None,
) -> str:
    """What makes a URL a link. path: /v1/account/container/object, text, or the one that ends with the prefix."""
    signed = wsgi_of(path if prefix is None else f"prefix:{path}")
    signature = Signature.of(_message(method, expires, signed, ip_range), key.encode(), algorithm)
    pairs = {_SIGNATURE: signature.text, _EXPIRES: str(expires)}
    if prefix is not None:
        pairs["temp_url_prefix"] = prefix
    if ip_range is not None:
        pairs["temp_url_ip_range"] = ip_range
    return urlencode(pairs)


def holds_link(query: Mapping[str, str]) -> bool:
    """Whether somebody meant a temporary URL: then it counts, or the request is refused."""
    return _SIGNATURE in query or _EXPIRES in query


def parse_expiry(text: str) -> int | None:
    """Unix seconds of a number or of a date in UTC; None for anything else, and for 0."""
    if text.isascii() and text.isdigit() and len(text) <= 13:
        return int(text) if 0 < int(text) < _SECONDS_AT_MOST else None
    for form in _DATES:
        try:
            return calendar.timegm(time.strptime(text, form))
        except (ValueError, OverflowError):
            continue
    return None


def disposition(link: Link, name: str, headers: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Headers of a read by link: how a browser shows or saves it, and until when.

    What the link says wins, then what the object says; else it is saved under the last part of its name."""
    stored = next((value for key, value in headers if key.lower() == "content-disposition"), None)
    if link.is_inline:
        value = "inline" + (f"; {_file_name(link.filename)}" if link.filename else "")
    elif link.filename:
        value = f"attachment; {_file_name(link.filename)}"
    elif stored:
        value = stored
    else:
        value = f"attachment; {_file_name(name.rstrip('/').rpartition('/')[2])}"
    kept = [pair for pair in headers if pair[0].lower() not in ("content-disposition", "expires")]
    return [*kept, ("Content-Disposition", value), ("Expires", formatdate(link.expires, usegmt=True))]


def _file_name(name: str) -> str:
    """filename for old browsers and filename* for the others (RFC 6266): quoted, so that no name ends the header."""
    encoded = name.encode("utf-8", "surrogateescape")
    return f"filename=\"{quote(encoded, safe=' /')}\"; filename*=UTF-8''{quote(encoded)}"
