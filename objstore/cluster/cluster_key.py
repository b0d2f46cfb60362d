"""The cluster's key, which members sign with: DIR/etc/cluster.key (0600), and how it becomes another one.

    <64 hex>                                       256 bits, the key of a cluster that never had another
    <64 hex> LF generation 2 announced <64 hex>    signed with the first; the second will be the key
    <64 hex> LF generation 2 replaced <64 hex>     signed with the first; the second was the key, and is still good
    <64 hex> LF generation 2 settled               the second is forgotten

A key is replaced in that order, and a node takes a state over only after the last one was confirmed by all
(rotation.py): so whatever two nodes are in, each accepts what the other signs with. (generation, state) orders them.
"""

from __future__ import annotations

import json
import re
import secrets
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path

from objstore.core.errors import DomainError
from objstore.runtime.fs import Fs

KEY_FILE = "cluster.key"
KEY_BYTES = 32
TEXT_MAX = 256
"""Characters of the file."""
_MODE = 0o600
_FORM = re.compile(
    r"([0-9a-f]{64})(?:\ngeneration ([1-9][0-9]{0,8}) (?:(settled)|(announced|replaced) ([0-9a-f]{64})))?\Z"
)


class KeyFileError(DomainError):
    """The cluster key cannot be used. Never quotes it."""


class KeyRefused(DomainError):
    """Another key is not taken over."""


class Phase(IntEnum):
    ANNOUNCED = 1
    REPLACED = 2
    SETTLED = 3


KeyStamp = tuple[int, int]
"""(generation, phase): the later is the larger."""
OLDEST: KeyStamp = (0, Phase.SETTLED)


@dataclass(frozen=True, slots=True)
class ClusterKey:
    """signing: what to sign with. other: what is accepted besides, in any phase but SETTLED."""

    signing: bytes = field(repr=False)
    generation: int = 0
    phase: Phase = Phase.SETTLED
    other: bytes | None = field(default=None, repr=False)

    @property
    def stamp(self) -> KeyStamp:
        return self.generation, self.phase

    @property
    def accepted(self) -> tuple[bytes, ...]:
        return (self.signing,) if self.other is None else (self.signing, self.other)

    def announcing(self, key: bytes, generation: int) -> ClusterKey:
        """The beginning of the end of this one."""
        assert self.phase is Phase.SETTLED and generation > self.generation
        return ClusterKey(self.signing, generation, Phase.ANNOUNCED, key)

    def following(self) -> ClusterKey:
        """What comes when every member has confirmed this one."""
        if self.phase is Phase.ANNOUNCED:
            assert self.other is not None
            return ClusterKey(self.other, self.generation, Phase.REPLACED, self.signing)
        return ClusterKey(self.signing, self.generation)

    def text(self) -> str:
        """As it stands in the file, without the last LF."""
        if self.stamp == OLDEST:
            return self.signing.hex()
        other = f" {self.other.hex()}" if self.other is not None else ""
        return f"{self.signing.hex()}\ngeneration {self.generation} {self.phase.name.lower()}{other}"


def parse(text: str, where: str) -> ClusterKey:
    """The inverse of text(). Raises KeyFileError, which begins with `where`."""
    matched = _FORM.match(text.strip())
    if matched is None:
        raise KeyFileError(f"{where}: expected {2 * KEY_BYTES} hexadecimal digits; copy it from another node")
    signing, generation, _, phase, other = matched.groups()
    return ClusterKey(
        bytes.fromhex(signing),
        int(generation or 0),
        Phase[phase.upper()] if phase else Phase.SETTLED,
        bytes.fromhex(other) if other else None,
    )


def key_body(key: ClusterKey, term: int) -> bytes:
    """What the holder of a term sends."""
    return json.dumps({"term": term, "key": key.text()}).encode()


def new_key() -> bytes:
    return secrets.token_bytes(KEY_BYTES)


class KeyRing:
    """The key of a directory, for the threads of one process. Raises KeyFileError."""

    def __init__(self, etc: Path, fs: Fs) -> None:
        self._path = etc / KEY_FILE
        self._fs = fs
        self._lock = threading.Lock()
        try:
            self._current = parse(self._path.read_text(encoding="ascii"), str(self._path))
        except OSError as error:
            raise KeyFileError(f"{self._path}: cannot be read ({error.strerror})") from None
        except UnicodeDecodeError:
            raise KeyFileError(f"{self._path}: expected text; copy it from another node") from None

    @property
    def current(self) -> ClusterKey:
        return self._current

    def signing(self) -> bytes:
        return self._current.signing

    def accepted(self) -> Sequence[bytes]:
        return self._current.accepted

    def adopt(self, new: ClusterKey) -> bool:
        """Durable when this returns; False when it is known already. Raises KeyRefused, OSError."""
        with self._lock:
            if new.stamp <= self._current.stamp:
                return False
            if not set(new.accepted) & set(self._current.accepted):
                raise KeyRefused(
                    f"a key of generation {new.generation} is refused: it has nothing in common with the one here, of "
                    f"generation {self._current.generation}; copy {self._path} from another node"
                )
            self._fs.replace_file(str(self._path), f"{new.text()}\n".encode(), _MODE)
            self._current = new
            return True
