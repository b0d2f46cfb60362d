"""The raw client against a scripted socket: framing, early answers, 100 Continue."""

import socket
import threading

import pytest

from tests.replay.client import Outgoing, chunked, exchange, head_bytes


class Script:
    """A server for one connection: for each (what to wait for, what to answer) in turn, then it closes."""

    def __init__(self, *turns):
        self.received = b""
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = self._listener.getsockname()
        self._turns = turns
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self):
        with self._listener, self._listener.accept()[0] as sock:
            sock.settimeout(10)
            for mark, data in self._turns:
                while mark not in self.received:
                    piece = sock.recv(65536)
                    if not piece:
                        return
                    self.received += piece
                sock.sendall(data)

    def join(self):
        self._thread.join(10)
        return self.received


def ask(*turns, **request):
    script = Script(*turns)
    answer = exchange(script.address, Outgoing(**{"head": b"GET / HTTP/1.1\r\n\r\n", **request}), timeout_s=10)
    return answer, script.join()


def test_reads_a_body_of_known_length():
    answer, _ = ask((b"\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX: \xc3\xa9\r\n\r\nhi"))
    assert (answer.status, answer.reason, answer.body, answer.header("x")) == (200, "OK", b"hi", "é")


def test_reads_chunks():
    answer, _ = ask(
        (b"\r\n\r\n", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n1;x\r\n!\r\n0\r\n\r\n")
    )
    assert (answer.body, answer.is_truncated) == (b"hi!", False)


def test_reads_until_close_when_no_length_is_given():
    answer, _ = ask((b"\r\n\r\n", b"HTTP/1.0 200 OK\r\n\r\nall of it"))
    assert answer.body == b"all of it"


@pytest.mark.parametrize("head", [b"Content-Length: 10\r\n\r\nshort", b"Transfer-Encoding: chunked\r\n\r\n9\r\nshort"])
def test_a_body_that_ends_early_is_truncated(head):
    answer, _ = ask((b"\r\n\r\n", b"HTTP/1.1 200 OK\r\n" + head))
    assert (answer.body, answer.is_truncated) == (b"short", True)


@pytest.mark.parametrize(
    ("is_head", "status"), [(True, b"200 OK"), (False, b"204 No Content"), (False, b"304 Not Modified")]
)
def test_some_answers_have_no_body_whatever_they_say(is_head, status):
    answer, _ = ask((b"\r\n\r\n", b"HTTP/1.1 " + status + b"\r\nContent-Length: 5\r\n\r\n"), is_head=is_head)
    assert (answer.body, answer.is_truncated) == (b"", False)


def test_the_body_waits_for_100_continue():
    answer, received = ask(
        (b"\r\n\r\n", b"HTTP/1.1 100 Continue\r\nX-Obj: yes\r\n\r\n"),
        (b"body", b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n"),
        body=b"body",
        waits=True,
    )
    assert (answer.interim, answer.status, received.endswith(b"body")) == ([100], 201, True)


def test_no_body_is_sent_after_a_refusal():
    answer, received = ask((b"\r\n\r\n", b"HTTP/1.1 412 No\r\nContent-Length: 0\r\n\r\n"), body=b"body", waits=True)
    assert (answer.interim, answer.status, received.endswith(b"body")) == ([], 412, False)


def test_a_close_without_answer_has_no_status():
    assert ask((b"\r\n\r\n", b""))[0].status is None


def test_what_is_not_http_is_a_problem():
    assert "status line" in ask((b"\r\n\r\n", b"220 mail.example ESMTP\r\n\r\n"))[0].problem


def test_requests_are_framed_as_told():
    head = head_bytes(b"PUT", b"/\xff", b"HTTP/1.0", [(b"A", b"1"), (b"A", b"2")])
    assert head == b"PUT /\xff HTTP/1.0\r\nA: 1\r\nA: 2\r\n\r\n"
    assert chunked(b"hello") == b"5\r\nhello\r\n0\r\n\r\n"
    assert chunked(b"") == b"0\r\n\r\n"
