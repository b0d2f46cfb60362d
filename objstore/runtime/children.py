"""Functions run at once, each in a process of its own, and what they return.

For commands that end when all have ended (`--once` of a daemon with several workers); what must stay up has a
Supervisor. Called before this process has a hub.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any

from objstore.runtime import process

_log = logging.getLogger("objstore.children")


def results_of(functions: Sequence[Callable[[], Any]]) -> list[Any]:
    """What each function returned, in the order given; None of one that raised or whose process died (it is logged).

    What is returned must be JSON. The kernel kills the children when this process ends.
    """
    children = [_start(function) for function in functions]
    return [_result(pid, fd) for pid, fd in children]


def _start(function: Callable[[], Any]) -> tuple[int, int]:
    """(pid, where its result can be read)"""
    read_fd, write_fd = os.pipe2(os.O_CLOEXEC)
    parent_pid = os.getpid()
    sys.stdout.flush()
    sys.stderr.flush()
    pid = process.fork()
    if pid == 0:
        os.close(read_fd)
        _run(function, parent_pid, write_fd)
    os.close(write_fd)
    return pid, read_fd


def _run(function: Callable[[], Any], parent_pid: int, write_fd: int) -> None:
    """Everything a child does; it never returns into the parent's code."""
    code = 1
    try:
        process.die_with_parent(parent_pid)
        result = json.dumps(function()).encode()
        with open(write_fd, "wb") as pipe:
            pipe.write(result)
        code = 0
    except BaseException:  # The process boundary: the parent hears that there is no result.
        _log.exception("died pid=%d", os.getpid())
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _result(pid: int, fd: int) -> Any:
    with open(fd, "rb") as pipe:
        text = pipe.read()
    _, status = os.waitpid(pid, 0)
    code = os.waitstatus_to_exitcode(status)
    if code:
        _log.error("pid=%d code=%d: it ended without a result", pid, code)
        return None
    return json.loads(text)
