"""Access: asking the auth filter, at the moment when the ACL that counts is known.

A filter leaves AUTHORIZE in the environ; a pipeline without one lets everybody in, as Swift's does. The call is made
once: whoever was let in early is not asked again.
"""

from __future__ import annotations

from objstore.core.acl import ContainerAcl, parse
from objstore.core.errors import InvalidName
from objstore.core.names import text_of
from objstore.http.environ import ACL, AUTHORIZE, AUTHORIZE_OVERRIDE, OWNER, Environ
from objstore.http.request import Request
from objstore.http.response import Response


def denial(request: Request, acl: str | None = None) -> Response | None:
    """None lets the request go on; a response refuses it. acl: the container's, for reading or for writing."""
    environ = request.environ
    authorize = environ.get(AUTHORIZE)
    if authorize is None or environ.get(AUTHORIZE_OVERRIDE):
        return None
    environ[ACL] = acl
    response: Response | None = authorize(request)
    return response


def is_owner(request: Request) -> bool:
    """Whether the privileged headers of the account are for this user. Without an auth filter they are for nobody."""
    return bool(request.environ.get(OWNER))


def container_acl(environ: Environ) -> ContainerAcl:
    """For auth filters: the list that applies. What is not UTF-8 stays as it is and matches nobody."""
    value = environ.get(ACL)
    try:
        return parse(value if value is None else text_of(value))
    except InvalidName:
        return parse(value)
