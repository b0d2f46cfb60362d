"""What a listing request asks for: query parameters and Accept, as the values that core.listing knows.

The account and container servers share it. Parameters must be UTF-8 (400); a limit above the most is 412, a media type
that is not ours 406.
"""

from __future__ import annotations

from objstore.core.errors import BadRequest, DomainError
from objstore.core.headers import is_true
from objstore.core.listing import Selection, listing_type, page_limit
from objstore.http.request import Request

ALLOW_RESERVED = "x-backend-allow-reserved-names"


class NotAcceptable(DomainError):
    """None of the forms a listing has is acceptable to the client (406)."""


def media_type_of(request: Request) -> str:
    """Raises NotAcceptable, BadRequest."""
    media_type = listing_type(_parameter(request, "format"), request.header("accept"))
    if media_type is None:
        raise NotAcceptable("Listings are text/plain, application/json, application/xml or text/xml")
    return media_type


def selection_of(request: Request, most: int) -> Selection:
    """most: items of a page at most. Raises OverLimit, BadRequest."""
    query = request.query
    return Selection(
        limit=page_limit(_parameter(request, "limit"), most),
        marker=_parameter(request, "marker"),
        end_marker=_parameter(request, "end_marker"),
        prefix=_parameter(request, "prefix"),
        delimiter=_parameter(request, "delimiter"),
        path=_parameter(request, "path") if "path" in query else None,
        reverse=is_true(query.get("reverse")),
        allow_reserved=is_true(request.header(ALLOW_RESERVED)),
    )


def _parameter(request: Request, name: str) -> str:
    value = request.query.get(name, "")
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            raise BadRequest(f"{name}: not valid UTF-8") from None
    return value
