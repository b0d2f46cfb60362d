"""Who may ask what is the operators' business alone: this machine itself, or a reseller administrator.

A request is of this machine when it comes from a loopback address and names a loopback host. The second is asked
because whoever makes a browser on this machine ask (a page of a foreign site, a name that is bound anew to 127.0.0.1)
cannot choose that header. A request that a balancer or a TLS terminator on this machine has passed on is not of this
machine: those that say so in a header are known here; let others speak the PROXY protocol (require_proxy_protocol), or
leave these filters out. Source: threats ("debug/profile endpoints unauthenticated"; "X-Forwarded-For trusted").
"""

from __future__ import annotations

import ipaddress

from objstore.http.environ import RESELLER, Environ
from objstore.http.response import Response, page
from objstore.http.status import HTTPStatus

_PASSED_ON = ("HTTP_X_FORWARDED_FOR", "HTTP_FORWARDED", "HTTP_VIA", "HTTP_X_REAL_IP", "HTTP_X_CLUSTER_CLIENT_IP")


def refusal(environ: Environ) -> Response | None:
    """None where an operator asks; otherwise the refusal. Used behind the auth filter, which knows administrators."""
    if environ.get(RESELLER) or _is_of_this_machine(environ):
        return None
    why = "Only for operators: ask from the machine itself, or with the token of a reseller administrator."
    return page(HTTPStatus.FORBIDDEN, why)


def _is_of_this_machine(environ: Environ) -> bool:
    if any(name in environ for name in _PASSED_ON):
        return False
    return _is_loopback(environ.get("REMOTE_ADDR", "")) and _is_loopback(_host(environ.get("HTTP_HOST", "")))


def _host(value: str) -> str:
    """Without the port: '[::1]:8080' -> '::1'."""
    if value.startswith("["):
        return value[1:].partition("]")[0]
    return value.partition(":")[0]


def _is_loopback(address: str) -> bool:
    if address.lower() == "localhost":
        return True
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return False
    mapped = getattr(found, "ipv4_mapped", None)
    return (mapped or found).is_loopback
