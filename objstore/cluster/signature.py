"""How agents know that a request comes from a member: HMAC-SHA256 with the cluster key, inside the pinned TLS channel.

    X-Objstore-Node: id of the sender        X-Objstore-Date: milliseconds since the epoch
    X-Objstore-Nonce: 32 hex                 X-Objstore-Digest: SHA-256 of the body, hex
    Authorization: OBJSTORE-HMAC-SHA256 + " " + hex of HMAC(cluster key, the lines below)

    "objstore-agent-1", receiver's certificate fingerprint, method, target as it stands in the request line,
    sender's id, date, nonce, digest of the body              each followed by LF

So a signature is good for one receiver, one method and target, one body, once: the date must be within a minute and a
half of the receiver's clock, and a nonce is remembered for longer than that. What was signed before the receiver
started is refused, because its nonces are not known any more. While the key is replaced by another (cluster_key.py)
both are accepted.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence

from objstore.core.errors import DomainError

WINDOW_MS = 90_000
_NONCES_MAX = 100_000
_SCHEME = "OBJSTORE-HMAC-SHA256"
_NODE = "x-objstore-node"
_DATE = "x-objstore-date"
_NONCE = "x-objstore-nonce"
_DIGEST = "x-objstore-digest"
_AUTHORIZATION = "authorization"
_FORMS = {
    _NODE: re.compile(r"[0-9a-f]{16}\Z"),
    _DATE: re.compile(r"[0-9]{13}\Z"),
    _NONCE: re.compile(r"[0-9a-f]{32}\Z"),
    _DIGEST: re.compile(r"[0-9a-f]{64}\Z"),
}


class NotSigned(DomainError):
    """A request is refused. The text never has a key, a signature or what was signed in it."""


class UnknownKey(NotSigned):
    """Signed with a key that is not the cluster's, or not any more; or what was signed is not what has come."""


def signed(
    key: bytes, receiver: str, sender: str, method: str, target: str, body: bytes, now_ms: int
) -> dict[str, str]:
    """The headers of a request. receiver: the fingerprint of its certificate; sender: a node's id."""
    headers = {
        _NODE: sender,
        _DATE: str(now_ms),
        _NONCE: secrets.token_hex(16),
        _DIGEST: hashlib.sha256(body).hexdigest(),
    }
    return headers | {_AUTHORIZATION: f"{_SCHEME} {_mac(key, receiver, method, target, headers)}"}


class Verifier:
    """Of one receiver; keys: what is accepted now; now_ms: its clock. Not for several threads at once."""

    def __init__(self, keys: Callable[[], Sequence[bytes]], receiver: str, now_ms: Callable[[], int]) -> None:
        self._keys = keys
        self._receiver = receiver
        self._now_ms = now_ms
        self._started_ms = now_ms()
        self._nonces: OrderedDict[str, int] = OrderedDict()

    def sender(self, method: str, target: str, headers: Mapping[str, str]) -> tuple[str, str]:
        """(node id, digest the body must have). headers: lower-case names. Raises NotSigned, UnknownKey.

        Called before the body is read: who cannot sign cannot make us read anything.
        """
        found = {name: headers.get(name, "") for name in _FORMS}
        if not all(form.match(found[name]) for name, form in _FORMS.items()):
            raise NotSigned("the request is not signed")
        scheme, _, mac = headers.get(_AUTHORIZATION, "").partition(" ")
        said = mac.encode("utf-8", "replace")
        # All of them in any case: how long it takes tells nothing.
        right = [
            hmac.compare_digest(said, _mac(key, self._receiver, method, target, found).encode()) for key in self._keys()
        ]
        if scheme != _SCHEME or not any(right):
            raise UnknownKey("the signature is not that of a member of this cluster")
        self._admit(int(found[_DATE]), found[_NONCE])
        return found[_NODE], found[_DIGEST]

    def _admit(self, date_ms: int, nonce: str) -> None:
        now_ms = self._now_ms()
        off_ms = date_ms - now_ms
        if abs(off_ms) > WINDOW_MS:
            raise NotSigned(
                f"the sender's clock is {abs(off_ms) / 1000:.0f} s {'ahead of' if off_ms > 0 else 'behind'} this "
                f"node's, at most {WINDOW_MS / 1000:.0f} s are let pass: have both set by chrony or systemd-timesyncd"
            )
        if date_ms < self._started_ms:
            raise NotSigned("the request was signed before this agent started: send it again")
        while self._nonces and next(iter(self._nonces.values())) < now_ms:
            self._nonces.popitem(last=False)
        if nonce in self._nonces:
            raise NotSigned("the request has been received before")
        if len(self._nonces) >= _NONCES_MAX:
            raise NotSigned("too many requests in a short time")
        self._nonces[nonce] = now_ms + 2 * WINDOW_MS


def is_digest_of(digest: str, body: bytes) -> bool:
    return hmac.compare_digest(digest, hashlib.sha256(body).hexdigest())


def _mac(key: bytes, receiver: str, method: str, target: str, headers: Mapping[str, str]) -> str:
    lines = ("objstore-agent-1", receiver, method, target, *(headers[name] for name in (_NODE, _DATE, _NONCE, _DIGEST)))
    text = "".join(f"{line}\n" for line in lines)
    return hmac.new(key, text.encode("utf-8", "surrogateescape"), hashlib.sha256).hexdigest()
