"""URLs of services outside of the cluster: taken apart strictly, so that what is asked is what was meant."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from objstore.runtime.listen import shown

__all__ = ["ServiceUrl", "parse_url"]

_PORTS = {"http": 80, "https": 443}
_TARGET = re.compile(r"[\x21-\x7e]*")
_NAME = re.compile(r"[0-9A-Za-z._\-]+")
_IPV6 = re.compile(r"[0-9A-Fa-f:.]+")


@dataclass(frozen=True, slots=True)
class ServiceUrl:
    """scheme: http or https. host: a name or an IP address without brackets. target: path and query, percent-encoded,
    as they stand in a request line."""

    scheme: str
    host: str
    port: int
    target: str

    @property
    def authority(self) -> str:
        """The value of the Host header: with a port where it is not the scheme's default."""
        if self.port != _PORTS[self.scheme]:
            return shown((self.host, self.port))
        return f"[{self.host}]" if ":" in self.host else self.host

    @property
    def loggable(self) -> str:
        """Without the query, which may hold a signature."""
        return f"{self.scheme}://{self.authority}{self.target.partition('?')[0]}"

    def __str__(self) -> str:
        return f"{self.scheme}://{self.authority}{self.target}"


def parse_url(url: str) -> ServiceUrl:
    """Raises ValueError, which quotes nothing of the URL: who has one knows where it stands, and it may hold secrets.

    A user or password in it is refused (it would end up in logs), as is a fragment, which no server would ever see.
    """
    if _TARGET.fullmatch(url) is None:
        raise ValueError("a blank or a character that is not ASCII: percent-encode it")
    parts = urlsplit(url)
    if parts.scheme not in _PORTS:
        raise ValueError("expected http:// or https://")
    if parts.fragment or "#" in url:
        raise ValueError("a fragment (#...) means nothing to a server")
    if "@" in parts.netloc:
        raise ValueError("a user name or password may not stand in it")
    try:
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise ValueError("its port is not a number from 1 to 65535") from None
    if (_IPV6 if "[" in parts.netloc else _NAME).fullmatch(host) is None:
        raise ValueError("no host name or IP address in it")
    if port == 0 or parts.netloc.endswith(":"):
        raise ValueError("its port is not a number from 1 to 65535")
    query = f"?{parts.query}" if parts.query else ""
    return ServiceUrl(parts.scheme, host, port or _PORTS[parts.scheme], f"{parts.path or '/'}{query}")
