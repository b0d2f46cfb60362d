"""What Keystone said about tokens, kept for a while: in this process, and sealed in memcached where there is one.

Nobody who reads memcached finds a token or a name there, and nobody who writes it makes himself somebody: keys are
HMACs of tokens, values are Fernet under a key that only proxies know. Bad tokens are remembered apart from good ones,
for a short time and in this process alone, so that no number of them pushes a good one out.
"""

from __future__ import annotations

import base64
import dataclasses
import hmac
import json
import time
from collections.abc import Callable
from typing import Any

from cryptography.fernet import Fernet, InvalidToken

from objstore.cache.memory import MemoryCache
from objstore.http.environ import CacheService
from objstore.http.identity import Identity
from objstore.middleware.tempauth_tokens import derived_key

_TOKENS = 8192
_BAD_TOKENS = 8192
_BAD_FOR_S = 30.0


class TokenCache:
    def __init__(
        self,
        secret: bytes,
        life_s: float,
        now: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """secret: what the sealing keys are made of, the same on all proxies. life_s: until Keystone is asked again,
        which is how long a revoked token goes on; 0: nothing is kept. now: for what all proxies and Keystone say the
        time of; monotonic: for what this process remembers, so that a clock set back prolongs nothing."""
        key = derived_key(b"keystone tokens\0" + secret)
        self._names = hmac.digest(key, b"names", "sha256")
        self._seal = Fernet(base64.urlsafe_b64encode(hmac.digest(key, b"values", "sha256")))
        self._life_s = life_s
        self._now = now
        self._good = MemoryCache(_TOKENS, monotonic)
        self._bad = MemoryCache(_BAD_TOKENS, monotonic)

    def name(self, token: str, *, allow_expired: bool) -> str:
        """Where a token's identity is kept. Expired ones that are allowed to a service are kept apart."""
        data = (b"e" if allow_expired else b"v") + token.encode("latin-1", "replace")
        return hmac.digest(self._names, data, "sha256").hex()

    def is_bad(self, name: str) -> bool:
        return self._bad.get(name) is not None

    def find(self, name: str, shared: CacheService | None) -> Identity | None:
        """shared: the cache of the request."""
        found: Identity | None = self._good.get(name)
        if found is not None or shared is None or not shared.is_shared:
            return found
        opened = self._opened(name, shared.get(_shared_name(name)))
        if opened is None:
            return None
        identity, until = opened
        self._keep_here(name, identity, min(self._life_s, until - self._now()))
        return identity

    def keep(self, name: str, identity: Identity | None, shared: CacheService | None, *, allow_expired: bool) -> None:
        """identity: None for a bad token."""
        if not self._life_s:
            return
        if identity is None:
            self._bad.set(name, True, min(_BAD_FOR_S, self._life_s))
            return
        now = self._now()
        seconds = self._life_s if allow_expired else min(self._life_s, identity.expires - now)
        if seconds <= 0:
            return
        self._keep_here(name, identity, seconds)
        if shared is not None and shared.is_shared:
            shared.set(_shared_name(name), self._sealed(name, identity, now + seconds), max(1.0, seconds))

    def _keep_here(self, name: str, identity: Identity, seconds: float) -> None:
        if seconds > 0:
            self._good.set(name, identity, seconds)

    def _sealed(self, name: str, identity: Identity, until: float) -> str:
        facts = {"name": name, "until": until, "identity": dataclasses.asdict(identity)}
        return self._seal.encrypt(json.dumps(facts).encode()).decode()

    def _opened(self, name: str, value: Any) -> tuple[Identity, float] | None:
        """None for what is absent, over, another token's, or not of our making."""
        if not isinstance(value, str):
            return None
        try:
            facts = json.loads(self._seal.decrypt(value.encode("ascii", "replace")))
            # A value that somebody has copied to another token's key is that other token's.
            if facts["name"] != name or facts["until"] <= self._now():
                return None
            fields = facts["identity"]
            return Identity(**{**fields, "roles": tuple(fields["roles"])}), facts["until"]
        except (InvalidToken, ValueError, KeyError, TypeError):
            return None


def _shared_name(name: str) -> str:
    return f"objstore/keystone/{name}"
