"""The certificate of a node's agent: self-signed, known by its fingerprint, DIR/etc/agent.crt and agent.key (0600).

No authority signs anything here and no host name is compared: members pin each other's fingerprints, and a new node has
the holder's in its token. Certificates do not expire; a node is put out by removing it from the members.
"""

from __future__ import annotations

import datetime
import hashlib
import hmac
import ssl
from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from objstore.core.errors import DomainError

CERTIFICATE_FILE = "agent.crt"
KEY_FILE = "agent.key"
_FROM = datetime.datetime(2020, 1, 1)
_UNTIL = datetime.datetime(9999, 12, 31)


class CertificateError(DomainError):
    """A certificate file that cannot be used."""


@dataclass(frozen=True, slots=True)
class Certificate:
    """certificate, key: PEM. fingerprint: SHA-256 of the certificate in DER, hexadecimal."""

    certificate: bytes
    key: bytes = field(repr=False)
    fingerprint: str


def new() -> Certificate:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "objstore agent")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(_FROM)
        .not_valid_after(_UNTIL)
        .sign(key, hashes.SHA256())
    )
    return Certificate(
        certificate.public_bytes(serialization.Encoding.PEM),
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()),
        fingerprint_of(certificate.public_bytes(serialization.Encoding.DER)),
    )


def fingerprint_of(der: bytes) -> str:
    return hashlib.sha256(der).hexdigest()


def own_fingerprint(etc: Path) -> str:
    """Of the certificate in a directory. Raises CertificateError."""
    path = etc / CERTIFICATE_FILE
    try:
        return fingerprint_of(ssl.PEM_cert_to_DER_cert(path.read_text(encoding="ascii")))
    except OSError as error:
        raise CertificateError(f"{path}: cannot be read ({error.strerror})") from None
    except ValueError:
        raise CertificateError(f"{path}: expected a certificate in PEM") from None


def client_context() -> ssl.SSLContext:
    """For require_fingerprint(): nothing else says who the peer is."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def is_pinned(der: bytes | None, fingerprint: str) -> bool:
    """Whether a peer showed the certificate that is expected of it."""
    return der is not None and hmac.compare_digest(fingerprint_of(der), fingerprint)
