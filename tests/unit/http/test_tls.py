"""http/tls.py and http/proxy_line.py: what may stand between a client and the first head."""

import datetime
import os
import socket
import ssl

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from objstore.http.head import HeadError
from objstore.http.proxy_line import client_address
from objstore.http.server import ServerLimits
from objstore.http.tls import server_context
from objstore.runtime import green
from tests.support.http import RawClient, running_server, wait_until
from tests.unit.http.test_server import FileBody


@pytest.fixture(scope="module")
def context(tmp_path_factory):
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    start = datetime.datetime(2020, 1, 1)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(start)
        .not_valid_after(datetime.datetime(2120, 1, 1))
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    path.write_bytes(
        certificate.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return server_context(str(path), None)


class TlsClient(RawClient):
    """A RawClient that speaks TLS by the standard library's own socket."""

    def __init__(self, host, port, first=b""):
        super().__init__(host, port)
        self.socket.send(first)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        self.socket = context.wrap_socket(self.socket, do_handshake_on_connect=False)
        self.retry(self.socket.do_handshake)

    def retry(self, call, *args):
        while True:
            try:
                return call(*args)
            except ssl.SSLWantReadError:
                green.wait_readable(self.socket.fileno(), 5)
            except ssl.SSLWantWriteError:
                green.wait_writable(self.socket.fileno(), 5)

    def send(self, data, timeout_s=5.0):
        view = memoryview(data)
        while view:
            view = view[self.retry(self.socket.send, view) :]

    def read(self, timeout_s=5.0):
        return self.retry(self.socket.recv, 65536)


def echo(environ, start_response):
    body = environ["wsgi.input"].read()
    start_response("200 OK", [("Content-Length", str(len(body))), ("X-Scheme", environ["wsgi.url_scheme"])])
    return [body]


def test_requests_and_large_bodies_go_both_ways_over_tls(context):
    body = os.urandom(500_000)
    with running_server(echo, tls=context) as running, TlsClient(running.host, running.port) as client:
        for _ in range(2):
            client.send(b"PUT /a HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
            answer = client.read_until(body[-20:])
            assert answer.endswith(b"\r\n\r\n" + body)
            assert b"X-Scheme: https" in answer


def test_a_proxy_line_stands_before_tls(context):
    line = b"PROXY TCP4 192.0.2.7 198.51.100.1 56324 443\r\n"
    with (
        running_server(who, tls=context, requires_proxy_line=True) as running,
        TlsClient(running.host, running.port, line) as client,
    ):
        client.send(GET)
        assert client.read_until(b" 56324").endswith(b"192.0.2.7 56324")


def test_a_large_answer_to_a_slow_reader_arrives_whole_over_tls(context):
    body = os.urandom(5_000_000)

    def app(environ, start_response):
        start_response("200 OK", [("Content-Length", str(len(body))), ("Connection", "close")])
        return [body]

    with running_server(app, tls=context) as running, TlsClient(running.host, running.port) as client:
        client.send(GET)
        green.sleep(0.05)
        assert client.read_to_end().endswith(body)


def test_a_file_goes_out_over_tls(context, tmp_path):
    content = os.urandom(1_000_000)
    (tmp_path / "file").write_bytes(content)
    with open(tmp_path / "file", "rb") as file:

        def app(environ, start_response):
            start_response("200 OK", [("Content-Length", "1000000"), ("Connection", "close")])
            return FileBody(file, 1_000_000)

        with running_server(app, tls=context) as running, TlsClient(running.host, running.port) as client:
            client.send(b"GET /a HTTP/1.1\r\nHost: h\r\n\r\n")
            assert client.read_to_end().endswith(content)


@pytest.mark.parametrize("data", [b"GET / HTTP/1.1\r\nHost: h\r\n\r\n", b"\x16\x03\x01" + os.urandom(500), b"\x16"])
def test_what_is_no_tls_is_closed_in_time(context, data):
    limits = ServerLimits(head_timeout_s=0.1, linger_s=0.1)
    with running_server(echo, limits, tls=context) as running:
        with running.connect() as client:
            client.send(data)
            assert b"200 OK" not in client.read_to_end()
        wait_until(lambda: running.server.connection_count == 0)


# The PROXY line

GET = b"GET /a HTTP/1.1\r\nHost: h\r\n\r\n"


def who(environ, start_response):
    body = f"{environ['REMOTE_ADDR']} {environ['REMOTE_PORT']}".encode()
    start_response("200 OK", [])
    return [body]


@pytest.mark.parametrize(
    "line, client",
    [
        (b"PROXY TCP4 192.0.2.7 198.51.100.1 56324 443\r\n", b"192.0.2.7 56324"),
        (b"PROXY TCP6 2001:db8::1 2001:db8::2 1 2\r\n", b"2001:db8::1 1"),
        (b"PROXY UNKNOWN\r\n", b"127.0.0.1"),
        (b"PROXY UNKNOWN ffff:f...f:ffff 65535 65535\r\n", b"127.0.0.1"),
    ],
)
@pytest.mark.parametrize("step", [1, 1000])
def test_a_proxy_line_names_the_client(line, client, step):
    with running_server(who, requires_proxy_line=True) as running, running.connect() as raw:
        data = line + GET + GET
        for start in range(0, len(data), step):
            raw.send(data[start : start + step])
            green.sleep(0)
        raw.finish()
        answer = raw.read_to_end()
    assert answer.count(b"\r\n\r\n" + client) == 2


@pytest.mark.parametrize("data", [GET, b"PROXY TCP4 x y 1 2\r\n" + GET, b"PROXY " + b"a" * 200, b"\r\n\r\n"])
def test_without_a_proxy_line_nothing_is_served(data):
    with running_server(who, requires_proxy_line=True) as running:
        answer = running.exchange(data)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert answer.count(b"HTTP/1.1") == 1


@pytest.mark.parametrize(
    "line",
    [
        b"PROXY TCP4 256.0.0.1 1.2.3.4 1 2\r\n",
        b"PROXY TCP4 ::1 ::1 1 2\r\n",
        b"PROXY TCP4 1.2.3.4 1.2.3.4 65536 2\r\n",
        b"PROXY TCP4 1.2.3.4 1.2.3.4 1\r\n",
        b"PROXY TCP4 1.2.3.4 1.2.3.4 1 2\n",
        b"PROXY UDP4 1.2.3.4 1.2.3.4 1 2\r\n",
    ],
)
def test_proxy_lines_that_are_none(line):
    with pytest.raises(HeadError):
        client_address(line)


def test_a_proxy_line_that_does_not_come_is_not_waited_for_long():
    with running_server(who, ServerLimits(head_timeout_s=0.05), requires_proxy_line=True) as running:
        with running.connect() as client:
            client.send(b"PROXY TC")
            assert client.read_to_end() == b""
        wait_until(lambda: running.server.connection_count == 0)


def test_sockets_are_ours_to_close():
    with running_server(who) as running:
        assert isinstance(running.host, str)
    with pytest.raises(OSError), socket.create_connection((running.host, running.port)):
        pass
