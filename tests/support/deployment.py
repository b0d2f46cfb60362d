"""A cluster started the way a newcomer does it, by ./bin/objstore in a directory: for failure tests and benchmarks.

Nothing of objstore is imported: what a test knows of a process is what `objstore status --json` says.
"""

from __future__ import annotations

import configparser
import json
import os
import random
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.replay.client import Answer, Outgoing, exchange, head_bytes
from tests.replay.placeholders import to_bytes

REPOSITORY = Path(__file__).parents[2]
OBJSTORE = REPOSITORY / "bin" / "objstore"
START_S = 60.0
_NODE_PORTS = (10_000, 30_000, 100)
"""Below those that the kernel hands out to clients."""


class DeploymentError(Exception):
    """The cluster did not start, stop or answer; carries what it printed."""


@dataclass(frozen=True, slots=True)
class Process:
    """One line of `objstore status --json`. node: '' for the proxy and the supervisor; pid 0: held down."""

    pid: int
    role: str
    node: str
    ports: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Login:
    """token and account path (/v1/AUTH_x) of the first user the set-up made."""

    token: str
    path: str
    user: str
    key: str


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return int(sock.getsockname()[1])


class Deployment:
    """One cluster directory. Use as a context manager: enters with the cluster up, leaves with it down."""

    def __init__(
        self,
        directory: Path,
        *,
        options: Sequence[str] = (),
        edit: Callable[[Path], None] = lambda etc: None,
    ) -> None:
        """options: flags of `objstore init`, such as --nodes 3. edit(etc): changes files after init."""
        self.directory = directory
        self.port = free_port()
        self._options = tuple(options)
        self._edit = edit

    @property
    def address(self) -> tuple[str, int]:
        return ("127.0.0.1", self.port)

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Deployment:
        # Clusters that start at the same moment must not settle on the same free ports.
        first = str(random.randrange(*_NODE_PORTS))
        self.run("init", str(self.directory), "--port", str(self.port), "--node-port", first, *self._options)
        self._edit(self.directory / "etc")
        self.up()
        return self

    def __exit__(self, *exc: object) -> None:
        self.down()

    def up(self) -> None:
        self.run("up", str(self.directory), "--detach")

    def down(self) -> None:
        self.run("down", str(self.directory))

    def run(self, *arguments: str) -> str:
        """Run ./bin/objstore and return what it printed; DeploymentError unless it ends with 0."""
        done = subprocess.run(
            [str(OBJSTORE), *arguments], capture_output=True, text=True, timeout=START_S * 5, stdin=subprocess.DEVNULL
        )
        if done.returncode != 0:
            raise DeploymentError(f"objstore {' '.join(arguments)}: exit {done.returncode}\n{done.stdout}{done.stderr}")
        return done.stdout

    def status(self) -> Mapping[str, Any]:
        found: Mapping[str, Any] = json.loads(self.run("status", str(self.directory), "--json"))
        return found

    def processes(self) -> list[Process]:
        """Every process that runs, the supervisor first."""
        return [each for each in self._rows() if each.pid]

    def _rows(self) -> list[Process]:
        return [
            Process(
                pid=int(raw["pid"] or 0),
                role=raw["role"].removesuffix("-server"),
                node="" if raw["node"] == "-" else raw["node"],
                ports=tuple(raw["ports"]),
            )
            for raw in self.status()["processes"]
        ]

    def nodes(self) -> list[str]:
        """Names of the storage nodes in order, those included that are down."""
        return sorted({each.node for each in self._rows() if each.node})

    def pids(self, node: str) -> list[int]:
        return [each.pid for each in self.processes() if each.node == node]

    def kill_node(self, node: str) -> None:
        """End every process of a node with SIGKILL, and keep the node down until start_node."""
        self.control("stop-node", node=node, kill=True)
        wait_until(lambda: not self.pids(node), f"{node} is down")

    def start_node(self, node: str) -> None:
        self.control("start-node", node=node)
        wait_until(lambda: bool(self.pids(node)) and self._listens(node), f"{node} is up")

    def freeze_node(self, node: str) -> list[int]:
        """SIGSTOP every process of a node; returns their pids for thaw."""
        pids = self.pids(node)
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        return pids

    @staticmethod
    def thaw(pids: Sequence[int]) -> None:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)

    def _listens(self, node: str) -> bool:
        return all(_is_open(port) for each in self.processes() if each.node == node for port in each.ports)

    def control(self, do: str, **arguments: object) -> Mapping[str, Any]:
        """Ask the supervisor's control socket (objstore/runtime/control.py)."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
            sock.settimeout(START_S)
            # By a descriptor of the directory: the address of a UNIX socket holds 107 bytes, a path may be longer.
            fd = os.open(self.directory / "run", os.O_PATH)
            try:
                sock.connect(f"/proc/self/fd/{fd}/control.sock")
            finally:
                os.close(fd)
            sock.sendall(json.dumps({"do": do, **arguments}).encode() + b"\n")
            answer: Mapping[str, Any] = json.loads(sock.makefile().readline())
        if not answer.get("ok"):
            raise DeploymentError(f"{do} {arguments}: {answer}")
        return answer

    def credentials(self) -> tuple[str, str]:
        """user and key (account:user, key) of the user that init made (else of the first) in the proxy's ini."""
        parser = configparser.RawConfigParser(strict=False)
        parser.optionxform = str  # type: ignore[assignment, method-assign]
        parser.read(self.directory / "etc" / "proxy-server.conf", encoding="utf-8")
        users = {name: value for name, value in parser.items("filter:tempauth") if name.startswith("user_")}
        name = "user_admin_admin" if "user_admin_admin" in users else next(iter(users), "")
        if not name:
            raise DeploymentError("no user_<account>_<user> in etc/proxy-server.conf")
        account, user = name.removeprefix("user_").split("_", 1)
        return f"{account}:{user}", users[name].split()[0]

    def login(self) -> Login:
        user, key = self.credentials()
        answer = self.request("GET", "/auth/v1.0", {"X-Auth-User": user, "X-Auth-Key": key})
        if answer.status != 200:
            raise DeploymentError(f"no token for {user}: {answer.status} {answer.body[:200]!r}")
        path = "/" + answer.header("x-storage-url").split("/", 3)[3]
        return Login(answer.header("x-auth-token"), path, user, key)

    def request(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        *,
        timeout_s: float = 60.0,
    ) -> Answer:
        """One request on a connection of its own."""
        pairs = [(b"Host", to_bytes(f"127.0.0.1:{self.port}"))]
        pairs += [(to_bytes(name), to_bytes(value)) for name, value in (headers or {}).items()]
        if body or method in ("PUT", "POST"):
            pairs.append((b"Content-Length", b"%d" % len(body)))
        head = head_bytes(to_bytes(method), to_bytes(path), b"HTTP/1.1", pairs)
        return exchange(self.address, Outgoing(head, body, is_head=method == "HEAD"), timeout_s=timeout_s)


def _is_open(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1.0).close()
    except OSError:
        return False
    return True


def wait_until(condition: Callable[[], bool], what: str, *, deadline_s: float = 30.0, poll_s: float = 0.05) -> None:
    """Poll `condition` until it holds; AssertionError naming `what` after the deadline."""
    end = time.monotonic() + deadline_s
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(f"not within {deadline_s:.0f} s: {what}")
        time.sleep(poll_s)


def set_option(path: Path, section: str, key: str, value: str) -> None:
    """Write `key = value` as the first line of a section of an ini file, in place of any such key it has."""
    lines, inside, done = [], False, False
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("["):
            inside = line.strip() == f"[{section}]"
        elif inside and line.partition("=")[0].strip() == key:
            continue
        lines.append(line)
        if inside and line.startswith("["):
            lines.append(f"{key} = {value}")
            done = True
    if not done:
        lines += ["", f"[{section}]", f"{key} = {value}"]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
