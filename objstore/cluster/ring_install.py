"""The rings of one node: what state they are in, and how new ones from the holder take their place.

Installing writes every file beside its place, then says in DIR/etc/rings.next.json what is coming, renames, and writes
rings.json last. Whatever moment a crash comes at, each ring file is an old one or a new one, whole; and because both
sets are known, none of them is taken for one that a person has put there. Running servers follow the files
(ring/reload.py).

A file that neither set knows was copied there by hand: it is reported, and replaced only when somebody asks for that.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from objstore.cluster.ring_manifest import (
    FILE_MODE,
    RING_SUFFIX,
    InvalidManifest,
    Manifest,
    RingSet,
    digest_of,
    is_ring_name,
    parsed_manifest,
    read_manifest,
)
from objstore.cluster.ring_manifest import FILE_NAME as MANIFEST
from objstore.cluster.strict_json import Fields
from objstore.core.errors import DomainError
from objstore.ring.fileformat import RingFileError, load
from objstore.runtime.fs import Fs

_NEXT = "rings.next.json"
_LOCK = "rings.install.lock"
_LOCK_S = 30.0
_RINGS_MAX = 200


class RingsRefused(DomainError):
    """Rings are not installed; what is here stays."""


class OlderRings(RingsRefused):
    """What came is not newer than what is here."""


class ForeignRings(RingsRefused):
    """Somebody has put other rings here by hand."""


@dataclass(frozen=True, slots=True)
class RingState:
    """version: of the rings that were installed last, 0 before. digests: ring file → SHA-256 of what lies there, "" for
    a file that is missing or no ring. foreign: those of a file that nobody installed."""

    version: int
    digests: Mapping[str, str]
    foreign: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Any: what JSON has."""
        return {"version": self.version, "digests": dict(self.digests), "foreign": list(self.foreign)}


def state_of(fields: Fields) -> RingState:
    """The inverse of to_json(), of what a peer said. Raises BadFields."""
    digests = fields.object("digests")
    found = {}
    for name in digests.names(_RINGS_MAX):
        if is_ring_name(name):
            found[name] = digests.text(name, 64)
    foreign = fields.plain().get("foreign")
    names = tuple(name for name in foreign if name in found) if isinstance(foreign, list) else ()
    return RingState(fields.number("version"), found, names)


class InstalledRings:
    """The ring files of a DIR/etc. Blocks on the disk; digests are remembered until a file changes."""

    def __init__(self, etc: Path, fs: Fs) -> None:
        self._etc = etc
        self._fs = fs
        self._digests: dict[str, tuple[tuple[int, ...], str]] = {}

    def state(self) -> RingState:
        """Raises OSError."""
        manifest, coming = self._manifests()
        present = {path.name for path in self._etc.glob(f"*{RING_SUFFIX}") if is_ring_name(path.name)}
        digests = {name: self._digest(name) for name in sorted(present | set(manifest.rings))}
        known = {name: {manifest.rings.get(name), coming.rings.get(name), ""} for name in digests}
        # Without any manifest nothing was ever installed: what is there is the operator's.
        foreign = [name for name, digest in digests.items() if digest not in known[name]]
        return RingState(manifest.version, digests, tuple(foreign))

    def ring_set(self) -> RingSet:
        """What was installed last. Raises RingsRefused when that is not what lies here, OSError."""
        with self._fs.lock(str(self._etc / _LOCK), _LOCK_S):
            manifest, _ = self._manifests()
            files = {name: (digest, (self._etc / name).read_bytes()) for name, digest in manifest.rings.items()}
        for name, (digest, data) in files.items():
            if digest_of(data) != digest:
                raise RingsRefused(f"{self._etc / name} is not the ring that was installed last")
        return RingSet(manifest.version, files)

    def install(self, rings: RingSet, *, is_forced: bool = False) -> bool:
        """Put checked rings (ring_pack.unpacked) in place; False when they were there already. is_forced: also instead
        of files that came by hand. Raises OlderRings, ForeignRings, OSError; then the files are what they were."""
        with self._fs.lock(str(self._etc / _LOCK), _LOCK_S):
            state = self.state()
            wanted = {name: digest for name, (digest, _) in rings.files.items()}
            is_whole = all(state.digests.get(name) == digest for name, digest in wanted.items())
            if rings.version < state.version:
                raise OlderRings(f"rings of version {rings.version} are older than those here, {state.version}")
            if rings.version == state.version and self._manifests()[0].rings != wanted:
                raise OlderRings(f"other rings of the same version, {rings.version}, are here already")
            foreign = [name for name in state.foreign if name in wanted and state.digests[name] != wanted[name]]
            if foreign and not is_forced:
                raise ForeignRings(
                    f"{', '.join(foreign)} was put here by hand and stays; to have it replaced: objstore ring push DIR"
                )
            if not (is_whole and rings.version == state.version):
                self._replace(rings)
                return True
            return False

    def _replace(self, rings: RingSet) -> None:
        etc, fs = str(self._etc), self._fs
        written: list[tuple[str, str]] = []
        try:
            # 1. Everything that may fail for lack of space, before the first name changes.
            for name, (_, data) in rings.files.items():
                written.append((self._beside(name, data), name))
            manifest = rings.manifest().to_bytes()
            fs.replace_file(f"{etc}/{_NEXT}", manifest, FILE_MODE)
            # 2. The names. A crash in between is mended by the next push, which finds nothing foreign.
            while written:
                temporary, name = written[0]
                fs.rename(temporary, f"{etc}/{name}")
                del written[0]
            fs.sync_directory(etc)
            # 3. What they are together.
            fs.replace_file(f"{etc}/{MANIFEST}", manifest, FILE_MODE)
            fs.unlink(f"{etc}/{_NEXT}")
        finally:
            for temporary, _ in written:
                fs.unlink(temporary)

    def _beside(self, name: str, data: bytes) -> str:
        fd, temporary = self._fs.open_temporary(str(self._etc), prefix=f".{name}.")
        try:
            os.fchmod(fd, FILE_MODE)
            self._fs.write(fd, data)
            self._fs.sync(fd)
        except BaseException:
            self._fs.unlink(temporary)
            raise
        finally:
            os.close(fd)
        return temporary

    def _manifests(self) -> tuple[Manifest, Manifest]:
        """(installed, coming). One that is damaged is none: the next push then finds foreign files, and says so."""
        try:
            installed = read_manifest(self._etc, self._fs) or Manifest()
        except InvalidManifest:
            installed = Manifest()
        try:
            data = self._fs.content(str(self._etc / _NEXT))
            coming = Manifest() if data is None else parsed_manifest(data, _NEXT)
        except InvalidManifest:
            coming = Manifest()
        return installed, coming

    def _digest(self, name: str) -> str:
        path = self._etc / name
        try:
            status = path.stat()
            signature = (status.st_mtime_ns, status.st_size, status.st_ino)
            known = self._digests.get(name)
            if known is None or known[0] != signature:
                load(path)
                known = signature, digest_of(path.read_bytes())
                self._digests[name] = known
            return known[1]
        except (OSError, RingFileError):
            return ""
