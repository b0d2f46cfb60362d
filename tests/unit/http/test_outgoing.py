"""http/outgoing.py, http/dial.py and the client's side of http/tls.py, over real sockets."""

import os
import socket
import ssl
import subprocess
import sys
from contextlib import contextmanager

import pytest

from objstore.http.outgoing import (
    BadAnswer,
    Outgoing,
    ServiceBroken,
    ServiceError,
    ServiceSilent,
    ServiceUnreachable,
    Trust,
    proxy_address,
)
from objstore.http.tls import server_context
from objstore.runtime import green
from tests.support.certificates import make_authority
from tests.support.http import running_server, wait_until
from tests.support.http_script import scripted_server

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return make_authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="module")
def here(authority):
    """A server's context, good for localhost and 127.0.0.1."""
    return server_context(authority.issue("localhost", "127.0.0.1"), None)


@contextmanager
def client(**options):
    outgoing = Outgoing(**{"connect_timeout_s": 20, "timeout_s": 20} | options)
    try:
        yield outgoing
    finally:
        outgoing.close()


def echo(environ, start_response):
    body = environ["wsgi.input"].read()
    start_response(
        "200 OK",
        [
            ("Content-Length", str(len(body))),
            ("X-Asked", f"{environ['REQUEST_METHOD']} {environ['PATH_INFO']} {environ['HTTP_HOST']}"),
            ("X-Scheme", environ["wsgi.url_scheme"]),
            ("X-Port", environ["REMOTE_PORT"]),
        ],
    )
    return [body]


def url_of(server, scheme="http", host=None, path="/v3/x"):
    return f"{scheme}://{host or server.host}:{server.port}{path}"


@pytest.mark.parametrize("body", [b"", b"hello", os.urandom(700_000)], ids=len)
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_request_and_its_answer(scheme, body, here, authority):
    with (
        running_server(echo, tls=here if scheme == "https" else None) as server,
        client(trust=Trust(authority.ca_file)) as out,
    ):
        answer = out.request("POST", url_of(server, scheme), [("X-A", "b")], body)
    assert (answer.status, answer.body, answer.headers["x-scheme"]) == (200, body, scheme)
    assert answer.headers["x-asked"] == f"POST /v3/x {server.host}:{server.port}"


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_blocks_of_known_length_are_sent_and_an_answer_is_read_in_blocks(scheme, here, authority):
    blocks = [os.urandom(100_000) for _ in range(20)]
    with (
        running_server(echo, tls=here if scheme == "https" else None) as server,
        client(trust=Trust(authority.ca_file)) as out,
        out.open("PUT", url_of(server, scheme), (), iter(blocks), 2_000_000) as answer,
    ):
        assert (answer.status, answer.length) == (200, 2_000_000)
        assert b"".join(answer) == b"".join(blocks)


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_connections_are_used_again(scheme, here, authority):
    with (
        running_server(echo, tls=here if scheme == "https" else None) as server,
        client(trust=Trust(authority.ca_file)) as out,
    ):
        ports = {out.request("GET", url_of(server, scheme)).headers["x-port"] for _ in range(5)}
    assert len(ports) == 1


def test_a_name_is_looked_up_and_verified(here, authority):
    with running_server(echo, tls=here) as server, client(trust=Trust(authority.ca_file)) as out:
        assert out.request("GET", url_of(server, "https", "localhost")).status == 200


def test_a_name_is_sent_so_that_the_server_can_choose_its_certificate(here, authority):
    asked = []
    context = server_context(authority.issue("localhost"), None)
    context.sni_callback = lambda session, name, _: asked.append(name)
    with running_server(echo, tls=context) as server, client(trust=Trust(authority.ca_file)) as out:
        out.request("GET", url_of(server, "https", "localhost"))
    assert asked == ["localhost"]


def test_cve_2013_6396_a_server_that_nobody_vouches_for_is_not_asked(here):
    with running_server(echo, tls=here) as server, client() as out:
        with pytest.raises(ServiceUnreachable, match="its certificate is not trusted: self.signed|unable to get local"):
            out.request("GET", url_of(server, "https"))


def test_a_certificate_of_another_name_is_not_trusted(authority):
    context = server_context(authority.issue("elsewhere.example"), None)
    with running_server(echo, tls=context) as server, client(trust=Trust(authority.ca_file)) as out:
        with pytest.raises(ServiceUnreachable, match="not trusted: .*mismatch"):
            out.request("GET", url_of(server, "https"))
        with pytest.raises(ServiceUnreachable, match="not trusted: .*mismatch"):
            out.request("GET", url_of(server, "https", "localhost"))


def test_insecure_believes_anybody(authority):
    context = server_context(authority.issue("elsewhere.example"), None)
    with running_server(echo, tls=context) as server, client(trust=Trust(is_insecure=True)) as out:
        assert out.request("GET", url_of(server, "https")).status == 200


def test_a_client_shows_its_certificate_where_that_is_asked_for(here, authority):
    context = server_context(authority.issue("127.0.0.1"), None)
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(authority.ca_file)
    mine = authority.issue("a client")
    with running_server(echo, tls=context) as server:
        with client(trust=Trust(authority.ca_file, cert_file=mine)) as out:
            assert out.request("GET", url_of(server, "https")).status == 200
        with client(trust=Trust(authority.ca_file)) as out, pytest.raises(ServiceError):
            out.request("GET", url_of(server, "https"))


def test_plain_http_where_tls_was_expected_says_so(authority):
    with running_server(echo) as server, client(trust=Trust(authority.ca_file)) as out:
        with pytest.raises(ServiceUnreachable, match="no TLS session"):
            out.request("GET", url_of(server, "https"))


@pytest.mark.parametrize("name", ["ca_file", "cert_file"])
def test_files_that_cannot_be_used_are_named_at_once(name, tmp_path):
    with pytest.raises(ValueError, match="nothing.pem: cannot be used for TLS: No such file"):
        Outgoing(trust=Trust(**{name: str(tmp_path / "nothing.pem")}))


@pytest.mark.parametrize("url", ["not a url", "ftp://h/", "http://user:secret@h/"])
def test_what_is_no_url_is_an_error_that_keeps_secrets(url):
    with client() as out, pytest.raises(ServiceUnreachable) as refused:
        out.request("GET", url)
    assert "secret" not in str(refused.value)


def test_nobody_there_is_an_error_that_names_who_and_hides_the_query():
    with socket.socket() as bound, client() as out:
        bound.bind(("127.0.0.1", 0))
        where = f"http://127.0.0.1:{bound.getsockname()[1]}/a"
        with pytest.raises(ServiceUnreachable, match=f"GET {where}: .*refused") as failed:
            out.request("GET", f"{where}?signature=secret")
    assert "secret" not in str(failed.value)


@pytest.mark.parametrize("host", ["x" * 64, "a..b"])
def test_a_name_that_cannot_be_is_an_error(host):
    """These fail before anybody's DNS is asked."""
    with client() as out, pytest.raises(ServiceUnreachable, match=host):
        out.request("GET", f"http://{host}/")


@pytest.mark.parametrize(
    "said", [b"", b"HTTP/1.1 200 OK\r\nContent-Le", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc"]
)
def test_silence_is_an_error_after_the_deadline(said):
    def play(peer, index):
        peer.read_head()
        peer.send(said)
        peer.read()

    with scripted_server(play) as server, client(timeout_s=0.2) as out:
        with pytest.raises(ServiceSilent, match="within 0.2 s"):
            out.request("GET", url_of(server), deadline_s=60)


def test_an_answer_that_drips_is_cut_off_by_the_deadline_of_the_whole():
    def play(peer, index):
        peer.read_head()
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
        while True:
            peer.send(b"x")
            green.sleep(0.01)

    with scripted_server(play) as server, client() as out:
        with pytest.raises(ServiceError, match="within"):
            out.request("GET", url_of(server), deadline_s=0.3)


def test_a_server_that_never_shakes_hands_is_given_up(authority):
    with scripted_server(lambda peer, index: peer.read_to_end()) as server:
        with client(trust=Trust(authority.ca_file), connect_timeout_s=0.2) as out:
            with pytest.raises(ServiceUnreachable, match="within 0.2 s"):
                out.request("GET", url_of(server, "https"))


@pytest.mark.parametrize(
    ("said", "error"),
    [
        (b"", ServiceBroken),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc", ServiceBroken),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", ServiceBroken),
        (b"220 mail.example ESMTP\r\n\r\n", BadAnswer),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\nContent-Length: 8\r\n\r\nabc", BadAnswer),
        (b"HTTP/1.1 100 Continue\r\n\r\n" * 20, BadAnswer),
        (b"HTTP/1.1 200 OK\r\nX: " + b"y" * 300_000 + b"\r\n\r\n", BadAnswer),
    ],
    ids=["nothing", "cut", "cut chunks", "no http", "two lengths", "interims", "huge head"],
)
def test_a_broken_answer_is_an_error(said, error):
    def play(peer, index):
        peer.read_head()
        peer.send(said)

    with scripted_server(play) as server, client() as out, pytest.raises(error):
        out.request("GET", url_of(server))


def test_an_answer_over_the_limit_is_refused():
    def app(environ, start_response):
        start_response("200 OK", [("Content-Length", "1001")])
        return [b"x" * 1001]

    with running_server(app) as server, client() as out:
        with pytest.raises(BadAnswer, match="over 1000 bytes"):
            out.request("GET", url_of(server), limit_bytes=1000)
        assert len(out.request("GET", url_of(server), limit_bytes=1001).body) == 1001


def test_an_unframed_body_cut_off_under_tls_is_no_whole_body(here, authority):
    """Without close_notify anybody on the way may have cut it."""

    def play(peer, index):
        secure = here.wrap_socket(peer.socket, server_side=True, do_handshake_on_connect=False)
        peer.socket = secure
        retry(secure.do_handshake, secure)
        retry(lambda: secure.recv(65536), secure)
        retry(lambda: secure.send(b"HTTP/1.0 200 OK\r\n\r\nhalf of it"), secure)
        socket.socket.close(secure)

    with scripted_server(play) as server, client(trust=Trust(authority.ca_file)) as out:
        with pytest.raises(ServiceBroken):
            out.request("GET", url_of(server, "https"))


def retry(call, secure):
    while True:
        try:
            return call()
        except ssl.SSLWantReadError:
            green.wait_readable(secure.fileno(), 20)


def test_a_redirect_is_an_answer_and_nobody_is_sent_there():
    def app(environ, start_response):
        start_response("302 Found", [("Location", "http://169.254.169.254/"), ("Content-Length", "0")])
        return []

    with running_server(app) as server, client() as out:
        answer = out.request("GET", url_of(server))
    assert (answer.status, answer.headers["location"]) == (302, "http://169.254.169.254/")


def test_an_answer_before_the_end_of_the_body_ends_the_upload():
    """The service says no after the first block; the rest is never made."""
    made = []

    def play(peer, index):
        peer.read_until(b"first")
        peer.send(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno")
        peer.read_to_end()

    def blocks(out_of):
        yield b"first"
        for number in range(10_000):
            made.append(number)
            green.sleep(0.001)
            yield b"x" * 1000

    with scripted_server(play) as server, client() as out:
        with out.open("PUT", url_of(server), (), blocks(server), 5 + 10_000_000) as answer:
            assert (answer.status, answer.read_all(10)) == (403, b"no")
    assert len(made) < 10_000


@pytest.mark.parametrize("blocks", [[b"abc"], [b"abcdef"]], ids=["too few", "too many"])
def test_blocks_of_another_length_are_never_a_whole_request(blocks):
    bodies = []

    def app(environ, start_response):
        bodies.append(environ["wsgi.input"].read())
        return echo(environ, start_response)

    with running_server(app) as server, client() as out:
        with pytest.raises(ValueError, match="5"):
            out.open("PUT", url_of(server), (), iter(blocks), 5)
    assert bodies == []


def test_what_the_blocks_raise_cuts_the_request_off():
    heard = []

    def play(peer, index):
        heard.append(peer.read_to_end())

    def blocks():
        yield b"abc"
        raise KeyError("the source broke")

    with scripted_server(play) as server, client() as out:
        with pytest.raises(KeyError, match="the source broke"):
            out.open("PUT", url_of(server), (), blocks(), 6)
        wait_until(lambda: heard)
    assert heard[0].endswith(b"abc")


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_an_idle_connection_that_died_is_replaced(method):
    """The server hangs up after each answer without saying so; a POST does not go over an idle connection at all."""

    def play(peer, index):
        peer.read_head()
        peer.send(OK)
        if index:
            peer.read_head()
            peer.send(OK)

    with scripted_server(play) as server, client() as out:
        for _ in range(3):
            assert out.request(method, url_of(server)).body == b"ok"
    assert server.connection_count >= 2


def test_a_body_that_is_not_read_to_its_end_costs_its_connection():
    with running_server(echo) as server, client() as out:
        with out.open("PUT", url_of(server), (), b"x" * 500_000) as answer:
            assert answer.read_some(10)
        assert out.request("GET", url_of(server)).status == 200


def test_a_head_has_a_length_and_no_body():
    def app(environ, start_response):
        start_response("200 OK", [("Content-Length", "1000")])
        return []

    with running_server(app) as server, client() as out:
        answer = out.request("HEAD", url_of(server))
    assert (answer.headers["content-length"], answer.body) == ("1000", b"")


def test_header_values_cannot_add_lines():
    with running_server(echo) as server, client() as out, pytest.raises(ValueError):
        out.request("GET", url_of(server), [("X-Subject-Token", "a\r\nX-Evil: 1")])


def forward_proxy(asked, answer=b"HTTP/1.1 200 Connection established\r\n\r\n"):
    """A scripted proxy: plays http requests itself, and joins what asks for a tunnel."""

    def play(peer, index):
        head = peer.read_head()
        asked.append(head.split(b"\r\n")[0].decode())
        if not head.startswith(b"CONNECT"):
            peer.send(OK)
            return
        peer.send(answer)
        if b" 200 " in answer:
            port = int(head.split(b" ")[1].rpartition(b":")[2])
            join(peer.socket, port)

    return play


def join(near, port):
    far = socket.create_connection(("127.0.0.1", port))
    far.setblocking(False)
    with far:
        while True:
            green.wait_any((near.fileno(), far.fileno()), (), 20)
            for source, target in ((near, far), (far, near)):
                try:
                    data = source.recv(65536)
                except BlockingIOError:
                    continue
                if not data:
                    return
                target.setblocking(True)
                target.sendall(data)
                target.setblocking(False)


def test_a_forward_proxy_is_asked_for_a_tunnel_for_https(here, authority):
    asked = []
    with (
        running_server(echo, tls=here) as server,
        scripted_server(forward_proxy(asked)) as proxy,
        client(trust=Trust(authority.ca_file), proxy=proxy_address(f"http://127.0.0.1:{proxy.port}")) as out,
    ):
        assert out.request("PUT", url_of(server, "https"), (), b"abc").body == b"abc"
    assert asked == [f"CONNECT 127.0.0.1:{server.port} HTTP/1.1"]


def test_a_forward_proxy_gets_plain_requests_with_the_whole_url():
    asked = []
    with scripted_server(forward_proxy(asked)) as proxy:
        with client(proxy=("127.0.0.1", proxy.port)) as out:
            assert out.request("GET", "http://far.example:81/a?b=c").body == b"ok"
    assert asked == ["GET http://far.example:81/a?b=c HTTP/1.1"]


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n", "refuses a tunnel to far.example:443: 403"),
        (b"HTTP/1.1 200 OK\r\n\r\nsurprise", "said something before"),
        (b"SSH-2.0-x\r\n\r\n", "not HTTP"),
        (b"", "closed before it answered"),
    ],
)
def test_a_forward_proxy_that_does_not_make_a_tunnel_is_named(said, why):
    def play(peer, index):
        peer.read_head()
        peer.send(said)

    with scripted_server(play) as proxy, client(proxy=("127.0.0.1", proxy.port)) as out:
        with pytest.raises(ServiceUnreachable, match=f"127.0.0.1:{proxy.port}: the forward proxy.* {why}"):
            out.request("GET", "https://far.example/")


@pytest.mark.parametrize("url", ["https://h:1", "http://h:1/path", "socks5://h:1", "h:1"])
def test_what_is_no_forward_proxy_is_refused(url):
    with pytest.raises(ValueError):
        proxy_address(url)


def test_a_process_whose_libraries_have_green_sockets_asks_over_tls(authority, tmp_path):
    """As proxies do: the standard library's ssl is another one there."""
    script = f"""
from objstore.http.outgoing import Outgoing, ServiceUnreachable, Trust
from objstore.http.tls import server_context
from tests.support.http import running_server
from objstore.runtime import green
green.patch_sockets()
def app(environ, start_response):
    start_response("200 OK", [("Content-Length", "2")])
    return [b"ok"]
with running_server(app, tls=server_context({authority.issue("127.0.0.1")!r}, None)) as server:
    url = f"https://127.0.0.1:{{server.port}}/"
    assert Outgoing(trust=Trust({authority.ca_file!r})).request("GET", url).body == b"ok"
    assert Outgoing(trust=Trust(is_insecure=True)).request("GET", url).body == b"ok"
    try:
        Outgoing().request("GET", url)
    except ServiceUnreachable as error:
        assert "not trusted" in str(error)
    else:
        raise SystemExit("believed anybody")
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


def test_a_slow_service_does_not_hold_up_another(here, authority):
    def play(peer, index):
        peer.read_head()
        peer.read_to_end()

    with scripted_server(play) as slow, running_server(echo) as fast, client() as out:
        waiting = green.spawn(lambda: pytest.raises(ServiceError, out.request, "GET", url_of(slow), deadline_s=60))
        wait_until(lambda: slow.connection_count)
        for _ in range(3):
            assert out.request("GET", url_of(fast)).status == 200
        assert not waiting.is_done
        waiting.kill()
