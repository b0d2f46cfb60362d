"""What `objstore doctor` looks at besides disks: clock, limits, rsync, file modes, rings, ports."""

from __future__ import annotations

import hashlib
import resource
import shutil
import socket
import stat
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from objstore.cluster.servers import PROXY_NODE, ServerFile
from objstore.runtime.listen import is_free, shown

FILES_MIN = 16_384
"""Connections that one worker may hold (max_clients); a server raises its soft limit to the hard one by itself."""
CLOCK_WATCHED_S = 0.1
CLOCK_STEP_MAX_S = 0.5
EPOCH_MIN_S = 1_735_689_600
"""1 January 2025: a clock before it has lost its battery."""
CONNECT_S = 1.0


@dataclass(frozen=True, slots=True)
class Finding:
    """what: a word for scripts. text: what is wrong, where. fix: one line that mends it."""

    what: str
    text: str
    fix: str


def of_clock(
    wall: Callable[[], float] = time.time,
    monotonic: Callable[[], float] = time.monotonic,
    pause: Callable[[float], None] = time.sleep,
) -> Iterator[Finding]:
    """Against nothing remote: whether the clock can be right, and whether it steps while it is watched."""
    fix = "have it set by chrony or systemd-timesyncd"
    wall_s, monotonic_s = wall(), monotonic()
    if wall_s < EPOCH_MIN_S:
        yield Finding("clock", f"the clock says {time.strftime('%Y-%m-%d', time.gmtime(wall_s))}", fix)
    pause(CLOCK_WATCHED_S)
    step_s = (wall() - wall_s) - (monotonic() - monotonic_s)
    if abs(step_s) > CLOCK_STEP_MAX_S:
        yield Finding("clock", f"the clock stepped by {step_s:.1f} s while it was watched", fix)


def of_limits(limits: Callable[[int], tuple[int, int]] = resource.getrlimit) -> Iterator[Finding]:
    _, hard = limits(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < FILES_MIN:
        yield Finding(
            "limits",
            f"at most {hard} files may be open, expected {FILES_MIN} or more",
            f"LimitNOFILE={FILES_MIN * 4} in the unit, or ulimit -Hn {FILES_MIN * 4} before the start",
        )


def of_rsync(servers: Sequence[ServerFile], which: Callable[[str], str | None] = shutil.which) -> Iterator[Finding]:
    if any(server.node != PROXY_NODE for server in servers) and which("rsync") is None:
        yield Finding("rsync", "rsync is not installed: replication goes in-band", "apt install rsync, and restart")


def of_modes(files: Iterable[Path]) -> Iterator[Finding]:
    """Files with secrets in them: nobody but owner and group may read them, nobody but the owner write. A directory of
    such files is looked through."""
    for path in files:
        for file in sorted(path.glob("*.conf")) if path.is_dir() else [path]:
            try:
                mode = stat.S_IMODE(file.stat().st_mode)
            except OSError:
                continue  # Said by whoever reads it.
            if mode & 0o027:
                yield Finding("secrets", f"{file} has secrets and mode {mode:04o}", f"chmod {mode & 0o750:o} {file}")


def of_rings(servers: Sequence[ServerFile]) -> Iterator[Finding]:
    """Ring files of the directories that the servers here use are the same."""
    found: dict[str, dict[Path, str]] = {}
    directories = sorted({server.swift_dir.resolve() for server in servers})
    names = {path.name for directory in directories for path in directory.glob("*.ring.gz")}
    for name in sorted(names):
        found[name] = {directory: _digest(directory / name) for directory in directories}
    for name, digests in found.items():
        usual = Counter(digests.values()).most_common(1)[0][0]
        source = next(directory for directory, digest in digests.items() if digest == usual)
        for directory, digest in digests.items():
            if digest != usual:
                how = "differs from" if digest else "cannot be read, unlike"
                yield Finding(
                    "rings",
                    f"{directory / name} {how} {source / name}",
                    f"copy the right one over the other: cp {source / name} {directory / name}",
                )


def of_ports(servers: Sequence[ServerFile], is_running: bool | None) -> Iterator[Finding]:
    """Running: something answers at every address. Not running: every address is free. None: not known, only that the
    address is one of this machine's or answers."""
    for server in servers:
        is_answered = _answers(server.address)
        if is_running and not is_answered:
            yield Finding(
                "ports", f"{server.role}{_of(server)} does not answer at {shown(server.address)}", "objstore status DIR"
            )
        elif is_running is False and not is_free(server.address):
            yield Finding(
                "ports",
                f"{server.origin}: {shown(server.address)} is taken, or no address of this machine",
                f"see who it is: ss -ltnp 'sport = :{server.address[1]}'",
            )
        elif is_running is None and not is_answered and not is_free(server.address):
            yield Finding(
                "ports",
                f"{server.origin}: {shown(server.address)} cannot be listened on",
                "set bind_ip to an address of this machine: ip addr",
            )


def _of(server: ServerFile) -> str:
    return "" if server.node == PROXY_NODE else f" of {server.node}"


def _answers(address: tuple[str, int]) -> bool:
    host, port = address
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    try:
        socket.create_connection((host, port), CONNECT_S).close()
    except OSError:
        return False
    return True


def _digest(path: Path) -> str:
    try:
        return hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()
    except OSError:
        return ""
