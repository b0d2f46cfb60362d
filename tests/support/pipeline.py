"""A WSGI app that records what reaches it, and a client that calls any app without a server."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from objstore.core.headers import environ_key
from objstore.http.environ import FINISH, Environ, Outcome, StartResponse, WSGIApp
from objstore.http.response import Response
from objstore.http.status import HTTPStatus
from objstore.http.subrequest import BytesInput, SubResponse, call

Answer = Callable[[Environ], Response]


class RecordingApp:
    """Answers every request with what `answer` makes of it, and keeps the environs in `seen` and bodies in `bodies`."""

    def __init__(self, answer: Answer | Response | None = None) -> None:
        self.seen: list[Environ] = []
        self.bodies: list[bytes] = []
        self.answer = answer or Response(HTTPStatus.OK, {"content-type": "text/plain"}, b"inside")

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        self.seen.append(environ)
        self.bodies.append(environ["wsgi.input"].read())
        answer = self.answer if isinstance(self.answer, Response) else self.answer(environ)
        return answer(environ, start_response)

    @property
    def last(self) -> Environ:
        return self.seen[-1]


def make_environ(
    method: str = "GET",
    path: str = "/v1/AUTH_test",
    query: str = "",
    headers: Any = (),
    body: bytes = b"",
    **extra: Any,
) -> Environ:
    """An environ as our server makes one. headers: mapping or pairs."""
    environ: Environ = {
        "REQUEST_METHOD": method,
        "PATH_INFO": path,
        "QUERY_STRING": query,
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "127.0.0.1",
        "REMOTE_PORT": "40000",
        "HTTP_HOST": "127.0.0.1:8080",
        "wsgi.url_scheme": "http",
        "wsgi.input": BytesInput(body),
        "objstore.raw_target": path + (f"?{query}" if query else ""),
        **extra,
    }
    if body:
        environ["CONTENT_LENGTH"] = str(len(body))
    for name, value in dict(headers).items():
        environ[environ_key(name)] = value
    return environ


class Reply:
    """An answer read to its end."""

    def __init__(self, response: SubResponse, environ: Environ) -> None:
        self.status = response.status
        self.headers = response.headers
        self.body = response.read(1 << 30)
        self.environ = environ


def send(app: WSGIApp, method: str = "GET", path: str = "/v1/AUTH_test", **options: Any) -> Reply:
    environ = make_environ(method, path, **options)
    return Reply(call(app, environ), environ)


def finish(environ: Environ, **facts: Any) -> None:
    """Do what the server does when an exchange is over."""
    outcome = Outcome(
        **{
            "status": 200,
            "bytes_received": 0,
            "bytes_sent": 0,
            "elapsed_s": 0.25,
            "first_byte_s": 0.125,
            "is_complete": True,
            **facts,
        }
    )
    for callback in environ.get(FINISH, ()):
        callback(outcome)
