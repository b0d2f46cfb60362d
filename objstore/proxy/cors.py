"""CORS: which pages of other origins may use a container from a browser. Pure rules over headers.

    X-Container-Meta-Access-Control-Allow-Origin      origins separated by spaces, or *
    X-Container-Meta-Access-Control-Max-Age           seconds a browser may keep the answer to a preflight
    X-Container-Meta-Access-Control-Expose-Headers    more headers that scripts may read

The cluster's cors_allow_origin and cors_expose_headers count for every container. Credentials are never allowed: a
token in a header is all the identity there is. Source: feature A2.8; Swift API guide, "CORS"; Fetch standard, section
3.3.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from objstore.http.request import Request
from objstore.http.response import HTML, Response, page
from objstore.http.status import HTTPStatus

_ALWAYS_EXPOSED = (
    "cache-control", "content-language", "content-type", "expires", "last-modified", "pragma", "etag", "x-timestamp",
    "x-trans-id", "x-openstack-request-id",
)  # fmt: skip
ADDED = ("access-control-allow-origin", "access-control-expose-headers", "vary")
"""What decorate() may add or change."""
_META = ("x-container-meta-", "x-object-meta-")
_BY_FILTER = "COPY"
"""Served by a filter above, which adds it to the methods allowed."""
_OPTIONS_AT_MOST = 1000
_MAX_AGE_DIGITS = 10


@dataclass(frozen=True, slots=True)
class ClusterRules:
    """Of the proxy's settings. is_strict: other origins than those named get no Access-Control headers at all."""

    origins: tuple[str, ...] = ()
    exposed: tuple[str, ...] = ()
    is_strict: bool = True


@dataclass(frozen=True, slots=True)
class Rules:
    """What holds for one container (or for an account, which has no rules of its own)."""

    origins: frozenset[str]
    exposed: tuple[str, ...]
    max_age: str
    is_strict: bool

    @classmethod
    def of(cls, cluster: ClusterRules, metadata: Mapping[str, str]) -> Rules:
        """metadata: the container's, names lower case without prefix."""
        own = metadata.get("access-control-allow-origin", "").split()
        exposed = metadata.get("access-control-expose-headers", "").lower().replace(",", " ").split()
        max_age = metadata.get("access-control-max-age", "").strip()
        is_number = max_age.isascii() and max_age.isdigit() and len(max_age) <= _MAX_AGE_DIGITS
        return cls(
            frozenset([*cluster.origins, *own]),
            tuple(dict.fromkeys([*cluster.exposed, *exposed])),
            max_age if is_number else "",
            cluster.is_strict,
        )

    def allows(self, origin: str) -> bool:
        return "*" in self.origins or origin in self.origins

    def preflight(self, request: Request, methods: str) -> Response:
        """The answer to OPTIONS. methods: of the Allow header."""
        origin, method = request.header("origin"), request.header("access-control-request-method")
        if origin is None:
            return Response(HTTPStatus.OK, {"content-type": HTML, "allow": methods})
        if not self.allows(origin) or method not in (*methods.split(", "), _BY_FILTER):
            why = "Pages of this origin may not do that here."
            return page(HTTPStatus.UNAUTHORIZED, why, {"allow": methods})
        headers = {
            "allow": methods,
            "access-control-allow-origin": self._shown(origin),
            "access-control-allow-methods": methods,
        }
        if self.max_age:
            headers["access-control-max-age"] = self.max_age
        varies = [] if "*" in self.origins else ["Origin"]
        wanted = _header_names(request.header("access-control-request-headers", "") or "")
        if wanted:
            headers["access-control-allow-headers"] = ", ".join(wanted)
            varies.append("Access-Control-Request-Headers")
        if varies:
            headers["vary"] = ", ".join(varies)
        return Response(HTTPStatus.OK, headers)

    def decorate(self, origin: str, headers: dict[str, str]) -> None:
        """Add to the headers of an answer what the script of a page needs to read it."""
        if not self.allows(origin) and self.is_strict:
            return
        if not self.allows(origin) or "*" in self.origins:
            headers.setdefault("access-control-allow-origin", "*")
        else:
            headers.setdefault("access-control-allow-origin", origin)
            headers["vary"] = f"{headers['vary']}, Origin" if headers.get("vary") else "Origin"
        shown = [name for name in map(str.lower, headers) if name.startswith(_META)]
        exposed = dict.fromkeys([*_ALWAYS_EXPOSED, *shown, *self.exposed])
        headers.setdefault("access-control-expose-headers", ", ".join(exposed))

    def _shown(self, origin: str) -> str:
        return "*" if "*" in self.origins else origin


def open_to_all(origin: str, headers: dict[str, str]) -> None:
    """/info is for everybody."""
    headers["access-control-allow-origin"] = origin
    headers["access-control-expose-headers"] = "x-trans-id"


def _header_names(text: str) -> list[str]:
    """Names of a list that are tokens: what a browser sends goes back into a header."""
    names = [name.strip() for name in text[: _OPTIONS_AT_MOST * 10].split(",")][:_OPTIONS_AT_MOST]
    return [name for name in names if name and _is_token(name)]


def _is_token(name: str) -> bool:
    return all(character.isascii() and (character.isalnum() or character in "!#$%&'*+-.^_`|~") for character in name)
