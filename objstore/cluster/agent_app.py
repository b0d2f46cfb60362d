"""The WSGI application of an agent: who may call what, how large a body may be, and which answer an error becomes.

    GET  /healthcheck        anybody: "OK" while the process answers
    POST /v1/join            who shows a join token
    everything else          members, by signature (signature.py), looked at before a byte of body is read

Bodies are JSON or rings (ring_pack.py). An error is {"error": text} with a status; texts never have secrets in them.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from objstore.cluster.admission import TooManyGuesses
from objstore.cluster.agent import Agent
from objstore.cluster.device_changes import ChangeRefused
from objstore.cluster.holder import ForeignRing, VersionConflict
from objstore.cluster.holder_messages import refusal
from objstore.cluster.membership import NotHolder
from objstore.cluster.ring_pack import BYTES_MAX
from objstore.cluster.signature import NotSigned, UnknownKey, is_digest_of
from objstore.cluster.token_store import TokenRefused
from objstore.config.errors import ConfigError
from objstore.core.errors import BadRequest, BodyTooLarge, DomainError
from objstore.http.environ import RAW_TARGET, Environ, StartResponse
from objstore.http.errors import status_of
from objstore.http.request import Request
from objstore.http.response import JSON, TEXT, Response
from objstore.http.status import HTTPStatus

_SMALL = 4096
_MEMBERS = 1 << 20
_CHANGE = 16 << 20
_OCTETS = "application/octet-stream"
_log = logging.getLogger("objstore.agent")

InThread = Callable[[Callable[[], bytes]], bytes]
"""Runs a call that blocks and returns or raises what it does."""


@dataclass(frozen=True, slots=True)
class _Route:
    """call: of the agent. body_max: bytes. content_type: of the answer."""

    call: Callable[[Agent, bytes], bytes]
    body_max: int
    content_type: str = JSON


ROUTES = {
    ("POST", "/v1/nodes"): _Route(Agent.admit, 1 << 18),
    ("POST", "/v1/tokens"): _Route(Agent.new_token, _SMALL),
    ("POST", "/v1/plan"): _Route(Agent.plan, _CHANGE),
    ("POST", "/v1/apply"): _Route(Agent.apply, _CHANGE, _OCTETS),
    ("POST", "/v1/push"): _Route(Agent.push, _SMALL),
    ("POST", "/v1/steps"): _Route(Agent.pause, _SMALL),
    ("POST", "/v1/rotate"): _Route(Agent.rotate_key, _SMALL),
    ("PUT", "/v1/key"): _Route(Agent.adopt_key, _SMALL),
    ("POST", "/v1/here"): _Route(Agent.greet, _SMALL),
    ("POST", "/v1/round"): _Route(Agent.hear, _MEMBERS),
    ("POST", "/v1/handover"): _Route(Agent.hand_over, _SMALL),
    ("POST", "/v1/holder"): _Route(Agent.take_over, _SMALL),
    ("GET", "/v1/facts"): _Route(Agent.facts, 0),
    ("GET", "/v1/version"): _Route(Agent.version, 0),
    ("GET", "/v1/members"): _Route(Agent.members, 0),
    ("PUT", "/v1/members"): _Route(Agent.adopt_members, _MEMBERS),
    ("POST", "/v1/drives/look"): _Route(Agent.look, 1 << 18),
    ("POST", "/v1/drives/ready"): _Route(Agent.prepare, _SMALL),
    ("PUT", "/v1/token-key"): _Route(Agent.put_token_key, _SMALL),
    ("PUT", "/v1/users"): _Route(Agent.change_user, 1 << 15),
    ("GET", "/v1/rings"): _Route(Agent.rings, 0, _OCTETS),
    ("PUT", "/v1/rings"): _Route(Agent.install, BYTES_MAX),
    ("PUT", "/v1/rings/forced"): _Route(Agent.install_by_force, BYTES_MAX),
}
_HEALTH = ("GET", "/healthcheck")
_JOIN = ("POST", "/v1/join")


class AgentApp:
    def __init__(self, agent: Agent, in_thread: InThread) -> None:
        self._agent = agent
        self._in_thread = in_thread

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        request = Request(environ)
        try:
            response = self._respond(request, (request.method, environ[RAW_TARGET]))
        except Exception as error:  # The request boundary.
            response = _error(error, request)
        return response(environ, start_response)

    def _respond(self, request: Request, asked: tuple[str, str]) -> Response:
        if asked == _HEALTH:
            return Response(HTTPStatus.OK, {"content-type": TEXT}, b"OK")
        if asked == _JOIN:
            body, address = _body(request, _SMALL), str(request.environ.get("REMOTE_ADDR", ""))
            return Response(
                HTTPStatus.OK, {"content-type": JSON}, self._in_thread(lambda: self._agent.join(body, address))
            )
        _, digest = self._agent.verifier.sender(*asked, dict(request.headers()))
        route = ROUTES.get(asked)
        if route is None:
            return _said(HTTPStatus.NOT_FOUND, "this agent does not know that request: is it of an older release?")
        body = _body(request, route.body_max)
        if not is_digest_of(digest, body):
            raise NotSigned("the body is not the one that was signed")
        answer = self._in_thread(lambda: route.call(self._agent, body))
        return Response(HTTPStatus.OK, {"content-type": route.content_type}, answer)


def _body(request: Request, most: int) -> bytes:
    """Raises BodyTooLarge, before more than that was read."""
    length = request.content_length
    if length is not None and length > most:
        raise BodyTooLarge(most)
    body = request.body.read(most + 1)
    if len(body) > most:
        raise BodyTooLarge(most)
    return body


def _error(error: Exception, request: Request) -> Response:
    if isinstance(error, VersionConflict | ChangeRefused | ForeignRing):
        return Response(HTTPStatus.CONFLICT, {"content-type": JSON}, refusal(error))
    status = _STATUS.get(type(error))
    if status is not None or isinstance(error, BadRequest):
        return _said(status or HTTPStatus.BAD_REQUEST, str(error))
    if isinstance(error, OSError):
        _log.error("method=%s path=%r: %s", request.method, request.path, error)
        return _said(HTTPStatus.INSUFFICIENT_STORAGE, f"the agent's own files: {error.strerror or error}")
    if isinstance(error, ConfigError):
        return _said(HTTPStatus.SERVICE_UNAVAILABLE, f"this node's configuration: {error.problems[0]}")
    if isinstance(error, DomainError):
        return _said(status_of(error) or HTTPStatus.CONFLICT, str(error))
    _log.exception("method=%s path=%r: unexpected error", request.method, request.path)
    return _said(HTTPStatus.INTERNAL_SERVER_ERROR, "internal error; the agent's log says more")


_STATUS: dict[type[Exception], int] = {
    NotSigned: HTTPStatus.UNAUTHORIZED,
    UnknownKey: HTTPStatus.FORBIDDEN,
    TokenRefused: HTTPStatus.FORBIDDEN,
    TooManyGuesses: HTTPStatus.TOO_MANY_REQUESTS,
    NotHolder: HTTPStatus.CONFLICT,
}


def _said(status: int, text: str) -> Response:
    """One printable line of JSON."""
    line = "".join(character if character.isprintable() else " " for character in text)[:4000]
    return Response(status, {"content-type": JSON}, json.dumps({"error": line}).encode())
