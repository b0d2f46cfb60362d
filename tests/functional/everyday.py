"""The commands for users, run in this process against the endpoint under test, and a relay that cuts connections."""

from __future__ import annotations

import io
import json
import socket
import threading
from contextlib import contextmanager

from objstore.cli.main import main


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self):
        return True


class Commands:
    """objstore <words> as one user: (exit code, output, errors)."""

    def __init__(self, auth_url, user, key):
        self.environ = {"ST_AUTH": auth_url, "ST_USER": user, "ST_KEY": key}

    def __call__(self, *words, environ=None):
        out, err = io.StringIO(), io.StringIO()
        code = main([str(word) for word in words], stdout=out, stderr=err, environ=environ or self.environ)
        return code, out.getvalue(), err.getvalue()

    def ok(self, *words):
        """The output of a command that must not fail."""
        code, out, err = self(*words)
        assert code == 0, (words, code, out, err)
        return out

    def copied(self, *words):
        """What cp --json says of all."""
        return json.loads(self.ok("cp", "--json", *words).splitlines()[-1])


@contextmanager
def relay(address, *, after_bytes, direction, times=1, stalls=False):
    """A (host, port) that passes everything on to `address`; a connection over which more than after_bytes have come
    (direction "down") or gone ("up") is cut, `times` times in all; stalls: it falls silent instead. The list it gives
    counts the cuts."""
    ending = threading.Event()
    listener = socket.create_server(("127.0.0.1", 0))
    cuts, lock, threads, open_sockets = [], threading.Lock(), [], []

    def pump(source, target, is_watched, pair):
        passed = 0
        try:
            while data := source.recv(65536):
                passed += len(data)
                with lock:
                    is_cut = is_watched and passed > after_bytes and len(cuts) < times
                    if is_cut:
                        cuts.append(passed)
                if is_cut and stalls:
                    ending.wait()
                if is_cut:
                    break
                target.sendall(data)
        except OSError:
            pass
        for each in pair:
            try:
                each.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def serve():
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            server = socket.create_connection(address)
            open_sockets.extend((client, server))
            for source, target, way in ((client, server, "up"), (server, client, "down")):
                thread = threading.Thread(target=pump, args=(source, target, way == direction, (client, server)))
                threads.append(thread)
                thread.start()

    server_thread = threading.Thread(target=serve)
    server_thread.start()
    try:
        yield listener.getsockname(), cuts
    finally:
        ending.set()
        listener.shutdown(socket.SHUT_RDWR)
        server_thread.join()
        listener.close()
        for each in open_sockets:
            try:
                each.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        for thread in threads:
            thread.join()
        for each in open_sockets:
            each.close()
