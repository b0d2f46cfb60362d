"""How auth filters say no: 401 to strangers, 403 to those they know; and which of several filters judges a request.

Filters for different reseller prefixes may stand in one pipeline. Each claims the accounts under its own; what nobody
claims is refused, for a request without AUTHORIZE would be let in.
"""

from __future__ import annotations

from urllib.parse import quote

from objstore.http.environ import AUTHORIZE, AUTHORIZE_OVERRIDE, REMOTE_USER, Authorize, Environ
from objstore.http.request import Request
from objstore.http.response import Response, page
from objstore.http.status import HTTPStatus


def claim(environ: Environ, authorize: Authorize) -> None:
    """This filter judges the request, unless one before it does."""
    if environ.get(AUTHORIZE, refuse_unclaimed) is refuse_unclaimed:
        environ[AUTHORIZE] = authorize


def leave_unclaimed(environ: Environ) -> None:
    """The account is none of this filter's: nobody gets in, unless another filter judges."""
    environ.setdefault(AUTHORIZE, refuse_unclaimed)


def withdraw_override(environ: Environ) -> None:
    """What a filter before this one has let through is judged like everything else."""
    for key in (AUTHORIZE_OVERRIDE, AUTHORIZE, REMOTE_USER):
        environ.pop(key, None)


def refuse_unclaimed(request: Request) -> Response | None:
    """What judges requests for accounts that no auth filter is responsible for. Preflights are for everybody."""
    return None if request.method == "OPTIONS" else refusal(request.environ)


def refusal(environ: Environ) -> Response:
    """403 for somebody we know, else 401."""
    if environ.get(REMOTE_USER):
        return answer(environ, HTTPStatus.FORBIDDEN, "Access was denied to this resource.")
    return unauthorized(environ, environ["PATH_INFO"].split("/", 3)[2:3])


def unauthorized(environ: Environ, realm: list[str]) -> Response:
    # Quoted, or a crafted account would end the header's string and begin another (CVE-2014-3497).
    name = quote(realm[0], safe="", encoding="latin-1") if realm and realm[0] else "unknown"
    response = answer(environ, HTTPStatus.UNAUTHORIZED, "This server could not verify that you may access this.")
    response.headers["www-authenticate"] = f'Swift realm="{name}"'
    return response


def answer(environ: Environ, status: int, explanation: str) -> Response:
    response = page(status, explanation)
    if environ["REQUEST_METHOD"] == "HEAD":
        response.body = b""
    return response
