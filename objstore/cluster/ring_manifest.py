"""DIR/etc/rings.json: which rings belong together, by version and digest; and a set of rings on its way to a node.

    {"version": 7, "rings": {"object.ring.gz": "<sha256>"}, "builders": {"object.builder": "<sha256>"},
     "has_more": true, "is_paused": true}

version counts the changes of all rings together: it only ever grows, and a node never takes an older set for a newer
one. The file is written last, so that rings it names are there. The rest only on the node that holds the builders:
their digests; has_more, while a change that was asked for has further steps; is_paused, while none of those follows by
itself.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from objstore.core.errors import DomainError
from objstore.runtime.fs import Fs

FILE_NAME = "rings.json"
FILE_MODE = 0o644
RING_SUFFIX = ".ring.gz"
BUILDER_SUFFIX = ".builder"
VERSION_MAX = (1 << 62) - 1
_MAX_BYTES = 1 << 20
_RING_NAME = re.compile(r"(account|container|object|object-[1-9][0-9]{0,8})\.ring\.gz")
_BUILDER_NAME = re.compile(r"(account|container|object|object-[1-9][0-9]{0,8})\.builder")
_DIGEST = re.compile(r"[0-9a-f]{64}")


class InvalidManifest(DomainError):
    """A manifest that cannot be used. One line: where, and what is wrong."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """rings, builders: file name → SHA-256 in hex. has_more, is_paused: see above."""

    version: int = 0
    rings: Mapping[str, str] = field(default_factory=dict)
    builders: Mapping[str, str] = field(default_factory=dict)
    has_more: bool = False
    is_paused: bool = False

    def to_bytes(self) -> bytes:
        value: dict[str, object] = {
            "version": self.version,
            "rings": dict(self.rings),
            "builders": dict(self.builders),
        }
        value |= {name: True for name in ("has_more", "is_paused") if getattr(self, name)}
        return json.dumps(value, indent=1, sort_keys=True).encode() + b"\n"


@dataclass(frozen=True, slots=True)
class RingSet:
    """The rings of one version, whole. files: file name → (SHA-256 in hex, bytes)."""

    version: int
    files: Mapping[str, tuple[str, bytes]]

    def manifest(self) -> Manifest:
        """As a node without builders keeps it."""
        return Manifest(self.version, {name: digest for name, (digest, _) in self.files.items()})


def parsed_manifest(data: bytes, where: str) -> Manifest:
    """Raises InvalidManifest, which begins with `where`."""
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        raise InvalidManifest(f"{where}: expected JSON") from None
    if not isinstance(value, dict):
        raise InvalidManifest(f"{where}: expected a JSON object")
    version = value.get("version")
    if type(version) is not int or not 0 <= version <= VERSION_MAX:
        raise InvalidManifest(f"{where}: version is {version!r:.60}: expected 0 or more")
    rings = _digests(value.get("rings"), _RING_NAME, f"{where}: rings")
    builders = _digests(value.get("builders", {}), _BUILDER_NAME, f"{where}: builders")
    return Manifest(version, rings, builders, value.get("has_more") is True, value.get("is_paused") is True)


def read_manifest(etc: Path, fs: Fs) -> Manifest | None:
    """None when there is none. Raises InvalidManifest, OSError."""
    path = etc / FILE_NAME
    data = fs.content(str(path))
    if data is None:
        return None
    if len(data) > _MAX_BYTES:
        raise InvalidManifest(f"{path}: is longer than {_MAX_BYTES} bytes")
    return parsed_manifest(data, str(path))


def is_ring_name(name: str) -> bool:
    """Whether a file of that name may be a ring: nothing else is taken from a peer."""
    return _RING_NAME.fullmatch(name) is not None


def digest_of(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _digests(value: object, names: re.Pattern[str], where: str) -> dict[str, str]:
    if not isinstance(value, dict):
        raise InvalidManifest(f"{where}: expected a JSON object")
    for name, digest in value.items():
        if names.fullmatch(name) is None:
            raise InvalidManifest(f"{where}: {name!r:.80} is no name of a file that may be there")
        if not isinstance(digest, str) or _DIGEST.fullmatch(digest) is None:
            raise InvalidManifest(f"{where}: {name} is {digest!r:.80}: expected a SHA-256 in hex")
    return value
