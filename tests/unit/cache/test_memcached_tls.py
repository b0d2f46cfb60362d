"""cache/connection.py over TLS: the server's certificate is checked (CVE-2013-6396)."""

import datetime
import ipaddress
import socket
import ssl
import threading
from contextlib import suppress

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from objstore.cache.memcached import MemcachedCache, MemcachedLimits


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """(file with key and certificate of 127.0.0.1, self-signed)"""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "memcached")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "server.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(private + made.public_bytes(serialization.Encoding.PEM))
    return path


@pytest.fixture
def server(certificate):
    """A server that answers every get with the number 7, in a native thread."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    listener = socket.create_server(("127.0.0.1", 0))

    def serve():
        with suppress(OSError):
            while True:
                raw, _ = listener.accept()
                with suppress(OSError), context.wrap_socket(raw, server_side=True) as sock:
                    while line := sock.recv(4096):
                        sock.sendall(b"VALUE %s 2 1\r\n7\r\nEND\r\n" % line.split()[1])

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield "127.0.0.1:{}".format(listener.getsockname()[1])  # noqa: UP032
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join(5)


def client(server, context):
    return MemcachedCache([server], MemcachedLimits(connect_timeout_s=5), tls=context)


def test_a_value_over_tls(server, certificate):
    cache = client(server, ssl.create_default_context(cafile=str(certificate)))
    assert [cache.get("a"), cache.get("b")] == [7, 7]
    cache.close()


def test_cve_2013_6396_a_server_we_do_not_trust_is_a_miss(server):
    cache = client(server, ssl.create_default_context())
    assert cache.get("a") is None
    cache.close()
