"""Whose key signed a temporary URL or a form, and how far that reaches: the whole account, or one container.

What the signer let through is admitted where the signature is checked; what other filters ask on its behalf is held
to the same account or container.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from objstore.core.names import ClientPath
from objstore.core.signatures import Signature, signing_keys
from objstore.http.environ import AUTHORIZE, INFO, REMOTE_USER, SOURCE, Environ, client_path_of
from objstore.http.request import Request
from objstore.http.response import Response, page
from objstore.http.status import HTTPStatus


@dataclass(frozen=True, slots=True)
class Scope:
    """container None: all of the account."""

    account: str
    container: str | None = None

    def authorize(self, request: Request) -> Response | None:
        """What the proxy asks before it goes on: None, or the refusal.

        A listing is for filters alone, which show of it what the link is for: no client's own request gets one."""
        path = client_path_of(request.environ)
        if path is None or (path.obj is None and request.environ.get(SOURCE) is None):
            return unsigned("The signature is for objects.")
        if path.account == self.account and self.container in (None, path.container):
            return None
        return unsigned("The signature does not reach that far.")

    def govern(self, environ: Environ, user: str) -> None:
        """This scope decides about the request, and about what is asked on its behalf. user: for the access log."""
        environ[AUTHORIZE] = self.authorize
        environ[REMOTE_USER] = user


def signed_scope(environ: Environ, path: ClientPath, signature: Signature, messages: Sequence[bytes]) -> Scope | None:
    """The scope of the key that signed one of the messages; None when no key did. path: with a container."""
    assert path.account is not None and path.container is not None
    infos = environ[INFO]
    if signature.is_of(messages, signing_keys(infos.account(environ, path.account).meta)):
        return Scope(path.account)
    container = infos.container(environ, path.account, path.container)
    if container.exists and signature.is_of(messages, signing_keys(container.meta)):
        return Scope(path.account, path.container)
    return None


def unsigned(why: str) -> Response:
    return page(HTTPStatus.UNAUTHORIZED, why, {"www-authenticate": 'Swift realm="unknown"'})
