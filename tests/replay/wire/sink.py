"""A server that writes down what our servers send to each other, and answers as the recorded peers did."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Heard:
    """A request as it came: header names in lower case, in order."""

    method: str
    path: str
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def header(self, name: str, default: str = "") -> str:
        return next((value for each, value in self.headers if each == name), default)


class Sink:
    """Listens on a port of its own while entered. `answer`: the status for a request; 201 unless told otherwise."""

    def __init__(self) -> None:
        self.heard: list[Heard] = []
        self.answer: Callable[[Heard], int] = lambda heard: 201
        self._changed = threading.Condition()
        sink = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_one_request(self) -> None:
                self.raw_requestline = self.rfile.readline(65537)
                if not self.raw_requestline or not self.parse_request():
                    self.close_connection = True
                    return
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                # Header values arrive as latin-1 text for their bytes.
                headers = tuple((n.lower(), _text(v)) for n, v in self.headers.items())
                heard = Heard(self.command, self.path, headers, body)
                with sink._changed:
                    sink.heard.append(heard)
                    status = sink.answer(heard)
                    sink._changed.notify_all()
                self.send_response_only(status)
                if status != 204:
                    self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *args: object) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Sink:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def take(self, count: int, *, timeout_s: float) -> list[Heard]:
        """What was heard since the last take, once it is `count` requests or `timeout_s` have passed."""
        with self._changed:
            self._changed.wait_for(lambda: len(self.heard) >= count, timeout=timeout_s)
            heard, self.heard = self.heard, []
        return heard


def _text(value: str) -> str:
    return value.encode("latin-1", "surrogateescape").decode("utf-8", "surrogateescape")
