"""What the kernel says of this machine: memory, load, sockets, mounts. Linux's /proc (proc(5))."""

from __future__ import annotations

import os
from pathlib import Path

PROC = Path("/proc")


def memory(proc: Path = PROC) -> dict[str, str]:
    """/proc/meminfo: name → value with its unit, e.g. {"MemTotal": "8048 kB"}."""
    found = {}
    for line in (proc / "meminfo").read_text().splitlines():
        name, _, value = line.partition(":")
        found[name] = value.strip()
    return found


def load(proc: Path = PROC) -> dict[str, object]:
    """/proc/loadavg: {"1m", "5m", "15m": floats, "tasks": "running/all", "processes": the last process id}."""
    one, five, fifteen, tasks, last = (proc / "loadavg").read_text().split()[:5]
    return {"1m": float(one), "5m": float(five), "15m": float(fifteen), "tasks": tasks, "processes": int(last)}


def sockets(proc: Path = PROC) -> dict[str, int]:
    """/proc/net/sockstat and sockstat6: TCP sockets in use, orphaned and in TIME_WAIT, and bytes of their buffers."""
    found: dict[str, int] = {}
    for file in ("sockstat", "sockstat6"):
        try:
            lines = (proc / "net" / file).read_text().splitlines()
        except FileNotFoundError:  # No IPv6 in this kernel.
            continue
        for line in lines:
            kind, _, rest = line.partition(":")
            words = rest.split()
            values = dict(zip(words[::2], map(int, words[1::2]), strict=True))
            if kind == "TCP":
                found["tcp_in_use"] = values["inuse"]
                found["orphan"] = values["orphan"]
                found["time_wait"] = values["tw"]
                found["tcp_mem_allocated_bytes"] = values["mem"] * os.sysconf("SC_PAGE_SIZE")
            elif kind == "TCP6":
                found["tcp6_in_use"] = values["inuse"]
    return found


def uptime_s(proc: Path = PROC) -> float:
    return float((proc / "uptime").read_text().split()[0])


def mounts(proc: Path = PROC) -> list[tuple[str, str]]:
    """/proc/mounts: (what is mounted, where), in the order they were made."""
    found = []
    for line in (proc / "mounts").read_text(errors="surrogateescape").splitlines():
        device, where = line.split(" ", 2)[:2]
        found.append((_unescaped(device), _unescaped(where)))
    return found


def _unescaped(text: str) -> str:
    """The kernel writes blanks and backslashes of a path in octal."""
    for code, plain in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        text = text.replace(code, plain)
    return text
