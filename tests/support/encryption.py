"""The encrypted objects of the recorded conversations, and an encrypting pipeline over any application."""

from __future__ import annotations

import base64
import json
from pathlib import Path

from objstore.core.limits import Limits
from objstore.middleware.encryption.filter import Encryption
from objstore.middleware.encryption.keymaster import Keymaster
from objstore.middleware.encryption.keyring import Keyring

RECORDED_SECRET = bytes(range(32))
"""Of the reference cluster (tests/vectors/wire/README.md)."""
_LINES = Path(__file__).parents[1] / "vectors" / "wire" / "footers.jsonl"


def encrypting(app, secrets=None, active_id=None, limits=None, encrypts=True):
    """keymaster and encryption around an application."""
    keyring = Keyring(secrets or {None: RECORDED_SECRET}, active_id)
    return Keymaster(Encryption(app, limits or Limits(), encrypts=encrypts), keyring)


def configure(cluster):
    """Have a cluster (tests/support/cluster.py) that has not started encrypt."""
    pipeline = cluster.setting("pipeline:main", "pipeline").split()
    at = pipeline.index("symlink") + 1
    names = ("keymaster", "encryption")
    cluster.configure("pipeline:main", "pipeline", " ".join([*pipeline[:at], *names, *pipeline[at:]]))
    for name in names:
        cluster.configure(f"filter:{name}", "use", f"egg:objstore#{name}")
    cluster.configure("filter:keymaster", "encryption_root_secret", base64.b64encode(RECORDED_SECRET).decode())


def recorded():
    """{id: line} of the operations with encryption."""
    lines = (json.loads(text) for text in _LINES.read_text().splitlines())
    return {line["id"]: line for line in lines if line["id"].startswith("footers.enc-")}


def body_of(message):
    body = message["body"]
    return base64.b64decode(body["base64"]) if isinstance(body, dict) else body.encode()


def headers_of(message):
    """The last value of each name."""
    return dict(message["headers"])


def footers_of(line):
    """(object, footers) of a recorded PUT."""
    documents = body_of(line["request"]).split(b"\r\n--" + boundary_of(line).encode())
    _, _, plain = documents[0].partition(b"\r\n\r\n")
    _, _, footers = documents[1].partition(b"\r\n\r\n")
    return plain, json.loads(footers)


def boundary_of(line):
    return headers_of(line["request"])["X-Backend-Obj-Multipart-Mime-Boundary"]
