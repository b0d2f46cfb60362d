"""Routing: what a request is for, from its path alone, before anything is asked of anybody.

    /info                         discovery
    /v1/account[/container[/object]]
    anything else                 404, 412 or 400, as Swift's clients know it

Names are parsed once (http.environ.client_path_of) and measured here.
"""

from __future__ import annotations

from dataclasses import dataclass

from objstore.core.constraints import check_name
from objstore.core.errors import BadRequest, InvalidName
from objstore.core.headers import is_true
from objstore.core.limits import Limits
from objstore.core.names import ClientPath, is_reserved
from objstore.http.environ import Environ, client_path_of
from objstore.http.response import Response, page
from objstore.http.status import HTTPStatus

METHODS = "GET, PUT, OPTIONS, POST, HEAD, DELETE"
"""The Allow header of everything under an account."""
_RESERVED_FLAG = "HTTP_X_BACKEND_ALLOW_RESERVED_NAMES"


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a path leads nowhere."""

    response: Response


def route(environ: Environ, limits: Limits) -> ClientPath | Refusal:
    """The names of a request, at least an account; or why there are none."""
    try:
        path = client_path_of(environ)
    except InvalidName as error:
        return Refusal(page(HTTPStatus.PRECONDITION_FAILED, str(error)))
    if path is None:
        return Refusal(page(HTTPStatus.NOT_FOUND, "The resource could not be found."))
    if path.account is None:
        return Refusal(page(HTTPStatus.PRECONDITION_FAILED, "Bad URL"))
    if path.version not in limits.valid_api_versions:
        return Refusal(page(HTTPStatus.BAD_REQUEST, "Invalid API version"))
    if "\0" in environ["PATH_INFO"] and not _reserved_is_allowed(environ, path):
        return Refusal(page(HTTPStatus.PRECONDITION_FAILED, "Invalid UTF8 or contains NULL"))
    try:
        check_name(path.account, "Account", limits.max_account_name_length)
    except BadRequest as error:
        return Refusal(page(HTTPStatus.BAD_REQUEST, error.reason))
    return path


def _reserved_is_allowed(environ: Environ, path: ClientPath) -> bool:
    """Names of the system begin with NUL, container and object together, and only filters may say them."""
    if not is_true(environ.get(_RESERVED_FLAG)):
        return False
    names = [name for name in (path.account, path.container, path.obj) if name is not None]
    if any("\0" in name and not is_reserved(name) for name in names[:2]):
        return False
    return path.obj is None or is_reserved(path.obj) == is_reserved(path.container or "")
