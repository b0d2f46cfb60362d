"""This process as the kernel sees it: its title, its limits, who it dies with, and how it tells systemd it is ready.

The only importer of setproctitle.
"""

from __future__ import annotations

import ctypes
import gc
import os
import pwd
import resource
import signal
import socket
import warnings

from setproctitle import setproctitle

_PR_SET_PDEATHSIG = 1
_PR_SET_DUMPABLE = 4
_libc = ctypes.CDLL(None, use_errno=True)


class CannotBecome(Exception):
    def __init__(self, user: str, reason: str) -> None:
        super().__init__(f"user {user!r}: cannot become it ({reason})")


def set_title(role: str, node: str, directory: str) -> None:
    """Make `ps` show this process as: objstore <role> <node> <DIR>."""
    setproctitle(f"objstore {role} {node} {directory}")


def die_with_parent(parent_pid: int) -> None:
    """Have the kernel kill this process when its parent ends, however it ends. Called by a child right after fork."""
    if _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    if os.getppid() != parent_pid:
        # It died between fork and prctl: no signal will come.
        os._exit(1)


def fork() -> int:
    """os.fork() without eventlet's warning at every fork: ours happen before a hub exists."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return os.fork()


def raise_descriptor_limit() -> int:
    """Allow as many open files as the hard limit does; returns that number."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def become(user: str) -> None:
    """Give up root for a user and its groups, for good. Raises CannotBecome; the environment follows."""
    try:
        entry = pwd.getpwnam(user)
        os.initgroups(user, entry.pw_gid)
        os.setgid(entry.pw_gid)
        os.setuid(entry.pw_uid)
    except (KeyError, PermissionError) as error:
        raise CannotBecome(user, str(error)) from None
    os.environ["HOME"] = entry.pw_dir
    # The kernel forgets it when the user changes: a core dump would otherwise not be possible any more.
    _libc.prctl(_PR_SET_DUMPABLE, 1)


def release_memory() -> None:
    """Give freed memory back to the kernel: the C library keeps it for itself, and a crowd leaves much of it."""
    gc.collect()
    trim = getattr(_libc, "malloc_trim", None)
    if trim is not None:
        trim(0)


def notify_systemd(state: str) -> None:
    """Send READY=1, RELOADING=1 or STOPPING=1 to the service manager; nothing happens when there is none.

    Source: sd_notify(3). A manager that cannot be reached is no reason to stop serving.
    """
    path = os.environ.get("NOTIFY_SOCKET", "")
    if not path:
        return
    address = "\0" + path[1:] if path.startswith("@") else path
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
            sock.sendto(state.encode(), address)
    except OSError:
        return


def watchdog_interval_s() -> float | None:
    """How often the service manager wants to hear WATCHDOG=1, in half; None when it does not. Source:
    sd_watchdog_enabled(3); WATCHDOG_PID is left aside, because it is our children that know whether they live."""
    text = os.environ.get("WATCHDOG_USEC", "")
    if not (text.isascii() and text.isdigit()) or not int(text) or not os.environ.get("NOTIFY_SOCKET"):
        return None
    return int(text) / 2_000_000
