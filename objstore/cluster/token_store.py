"""The tokens a holder has given out: DIR/etc/tokens.json (0600), digests only.

    {"tokens": [{"id": 8 hex, "digest": 64 hex, "expires": s, "used": s or 0, "wrong": 0}]}

A token is marked used, durably, before anything is sent for it: whoever finds it afterwards has nothing. After a few
wrong secrets it is dead. The command and the agent may write at once, so every change is made under a lock.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from objstore.cluster import token as tokens
from objstore.cluster.strict_json import BadFields, Fields
from objstore.cluster.token import Token
from objstore.core.errors import DomainError
from objstore.runtime.fs import Fs

FILE_NAME = "tokens.json"
LIFE_S = 3600
WRONG_MAX = 5
"""Guesses at one token's secret, of 2^128, before it is dead."""
_TOKENS_MAX = 100
_REMEMBERED_S = 86_400
"""An expired or used token is known for so long, to say why it is refused."""
_LOCK_S = 10.0
_NEVER = "0" * 64


class TokenRefused(DomainError):
    """The reason is for whoever presented it: it says more only to those who know the secret."""


class TokenStoreError(DomainError):
    """The file cannot be used, or holds too many."""


@dataclass(frozen=True, slots=True)
class _Kept:
    id: str
    digest: str
    expires: int
    used: int
    wrong: int


class TokenStore:
    """Of a holder. now_s: seconds since the epoch."""

    def __init__(self, etc: Path, fs: Fs) -> None:
        self._path = etc / FILE_NAME
        self._fs = fs

    def add(self, token: Token, now_s: int) -> None:
        """Raises TokenStoreError."""
        with self._changing(now_s) as kept:
            if sum(not each.used for each in kept) >= _TOKENS_MAX:
                raise TokenStoreError(f"{_TOKENS_MAX} join tokens are waiting to be used: wait until they expire")
            kept.append(_Kept(token.id, tokens.digest_of(token.secret), now_s + LIFE_S, 0, 0))

    def redeem(self, token_id: str, secret: str, now_s: int) -> None:
        """Use a token up: durable before this returns. Raises TokenRefused, TokenStoreError."""
        with self._changing(now_s) as kept:
            index = next((i for i, each in enumerate(kept) if each.id == token_id), None)
            found = kept[index] if index is not None else _Kept(token_id, _NEVER, 0, 0, 0)
            is_right = tokens.is_secret_of(found.digest, secret)
            if index is not None:
                kept[index] = (
                    replace(found, used=found.used or now_s) if is_right else replace(found, wrong=found.wrong + 1)
                )
        if not is_right or found.wrong >= WRONG_MAX:
            raise TokenRefused("this is no join token of this cluster, or it was tried wrongly too often")
        if found.used:
            raise TokenRefused(_another(f"this join token was used {_ago(now_s - found.used)}"))
        if found.expires <= now_s:
            raise TokenRefused(_another(f"this join token expired {_ago(now_s - found.expires)}"))

    def revoke(self, now_s: int) -> None:
        """No token that was given out buys anything any more. Raises TokenStoreError."""
        with self._changing(now_s) as kept:
            kept[:] = [replace(each, expires=min(each.expires, now_s)) for each in kept]

    @contextmanager
    def _changing(self, now_s: int) -> Iterator[list[_Kept]]:
        """The tokens, written back when they have changed."""
        with self._fs.lock(f"{self._path}.lock", _LOCK_S):
            before = self._read()
            kept = [each for each in before if now_s < each.expires + _REMEMBERED_S]
            yield kept
            if kept != before:
                text = json.dumps({"tokens": [asdict(each) for each in kept]}, indent=1)
                self._fs.replace_file(str(self._path), text.encode(), 0o600)

    def _read(self) -> list[_Kept]:
        data = self._fs.content(str(self._path))
        if data is None:
            return []
        try:
            entries = Fields.parse(data, str(self._path)).objects("tokens", 100 * _TOKENS_MAX)
            return [
                _Kept(
                    each.hexadecimal("id", 4),
                    each.hexadecimal("digest", 32),
                    each.number("expires"),
                    each.number("used"),
                    each.number("wrong"),
                )
                for each in entries
            ]
        except BadFields as error:
            raise TokenStoreError(f"{error}; remove the file: only tokens not yet used are lost") from None


def _another(why: str) -> str:
    return f"{why}; get another with: objstore node token DIR, on a node of the cluster"


def _ago(seconds: int) -> str:
    return f"{seconds} s ago" if seconds < 120 else f"{seconds // 60} min ago"
