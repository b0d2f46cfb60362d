"""A proxy that is told what to answer, in native threads: for tests of clients (objstore/client)."""

from __future__ import annotations

import ssl
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Answer:
    """cut: close the connection behind so many bytes of the body; None: send all of it."""

    status: int = 201
    body: bytes = b""
    headers: dict = field(default_factory=dict)
    cut: int | None = None


class ScriptedSwift:
    """Answers from `script`, the last one again and again; an entry may be a function of the request.

    requests: (method, target, token); bodies and sent (headers, names lower case) beside them. certificate: a PEM file
    with its key, for TLS."""

    def __init__(self, certificate=None):
        self._scheme = "https" if certificate else "http"
        self.script, self.auth_status, self.tokens = [Answer()], 200, 0
        self.requests, self.bodies, self.sent = [], [], []
        self._lock = threading.Lock()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self):
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                if self.path == "/auth/v1.0":
                    outer.tokens += 1
                    url = outer.url.replace("/auth/v1.0", "/v1/AUTH_x")
                    headers = {"X-Storage-Url": url, "X-Auth-Token": f"tk{outer.tokens}"}
                    return self.say(Answer(outer.auth_status, b"", headers))
                with outer._lock:
                    outer.requests.append((self.command, self.path, self.headers["X-Auth-Token"]))
                    outer.bodies.append(body)
                    outer.sent.append({name.lower(): value for name, value in self.headers.items()})
                    said = outer.script.pop(0) if len(outer.script) > 1 else outer.script[0]
                self.say(said(self) if callable(said) else said)

            def say(self, said):
                self.send_response(said.status)
                for name, value in {"Content-Length": str(len(said.body)), **said.headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                if self.command == "HEAD":
                    return
                self.wfile.write(said.body if said.cut is None else said.body[: said.cut])
                if said.cut is not None:
                    self.close_connection = True

            do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = answer

            def log_message(self, *_):
                pass

        class Server(ThreadingHTTPServer):
            def handle_error(self, request, client_address):
                """A client that hangs up is no reason for a traceback."""

        self.server = Server(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True)
        self.thread.start()

    @property
    def url(self):
        return f"{self._scheme}://127.0.0.1:{self.server.server_port}/auth/v1.0"

    def close(self):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()
