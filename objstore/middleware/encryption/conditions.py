"""Conditions about an ETag that servers cannot read: they compare MACs. Source: formats 8.6; vectors/wire/footers.

If-Match and If-None-Match list, beside each tag of the client's, its MAC under every key the object may have, and
X-Backend-Etag-Is-At names the header that holds the object's own; one that is not encrypted has no such header and is
compared by its ETag. If-Range takes a single tag: it is looked at here, once the answer has come.
"""

from __future__ import annotations

from collections.abc import Sequence

from objstore.core.conditional import entity_tags, parse_http_date
from objstore.core.errors import BadRequest
from objstore.http.environ import Environ
from objstore.middleware.encryption.encrypt import etag_mac
from objstore.middleware.encryption.headers import ETAG_MAC

_CONDITIONS = ("HTTP_IF_MATCH", "HTTP_IF_NONE_MATCH")
_IF_RANGE = "HTTP_IF_RANGE"
_ETAG_IS_AT = "HTTP_X_BACKEND_ETAG_IS_AT"
HEADER_BYTES_MAX = 8192
"""What a server takes in one header."""


def is_conditional(environ: Environ) -> bool:
    return "HTTP_IF_MATCH" in environ or "HTTP_IF_NONE_MATCH" in environ or _IF_RANGE in environ


def with_macs(environ: Environ, object_keys: Sequence[bytes]) -> Environ:
    """The environ with conditions that servers can check, and without If-Range of a tag. Raises BadRequest for more
    tags than fit into a header."""
    found = dict(environ)
    is_about_etag = False
    for key in _CONDITIONS:
        value = environ.get(key)
        if value is None:
            continue
        tags = entity_tags(value)
        listed: list[str] = []
        for tag in tags:
            if tag == "*" or tag.startswith("W/"):
                listed.append(tag)
                continue
            is_about_etag = True
            listed += (f'"{name}"' for name in (tag, *(etag_mac(object_key, tag) for object_key in object_keys)))
        found[key] = ", ".join(listed)
        if len(found[key]) > HEADER_BYTES_MAX:
            raise BadRequest(f"{len(tags)} entity tags in a condition are more than can be compared; name fewer")
    if is_about_etag:
        at = environ.get(_ETAG_IS_AT)
        found[_ETAG_IS_AT] = f"{at},{ETAG_MAC}" if at else ETAG_MAC
    if range_tag(environ) is not None:
        del found[_IF_RANGE]
    return found


def range_tag(environ: Environ) -> str | None:
    """The ETag that an object must have for Range to count, None when the client names none or a date."""
    value = environ.get(_IF_RANGE)
    if value is None or "HTTP_RANGE" not in environ:
        return None
    text = value.strip()
    if not text.startswith(('"', "W/")) and parse_http_date(text) is not None:
        return None
    tags = entity_tags(text)
    return tags[0] if len(tags) == 1 else text


def without_range(environ: Environ) -> Environ:
    """The question for the whole object."""
    return {key: value for key, value in environ.items() if key not in ("HTTP_RANGE", _IF_RANGE)}
