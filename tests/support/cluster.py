"""A whole cluster of real processes in a directory, for cluster and functional tests, clients and benchmarks.

    def test_x(tmp_path):
        with Cluster(tmp_path, policies=("gold:3", "tin:2")) as cluster:
            cluster.kill_node("n2")
            status, headers, body = cluster.request("PUT", "/c")
            answer = cluster.ask("GET", "/healthcheck")

Everything that is set (users, settings) before start() is in force from the first request on. The cluster dies with the
test process, however that ends.
"""

from __future__ import annotations

import functools
import io
import os
import re
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote, urlsplit

from objstore.cli.main import main
from objstore.cluster.directory import STORAGE_KINDS, ClusterDirectory
from objstore.cluster.init import InitPlan
from objstore.config.inifile import read_ini
from objstore.runtime import control, process
from tests.replay.client import Answer, Outgoing, exchange, head_bytes
from tests.replay.placeholders import to_bytes
from tests.support.ports import PortBlock

T = TypeVar("T")
PATIENCE_S = 60.0
"""For what a machine does in a second, however busy it is."""
_POLL_S = 0.02
_DEFAULT = InitPlan()
_NODES_FROM = 10
"""The proxy's port is the first of the block, those of the nodes come from here on."""
_ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Process:
    """One that runs. role: supervisor, proxy, object, …; node: "" for those of no node."""

    pid: int
    role: str
    node: str
    ports: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Login:
    """token and account path (/v1/AUTH_x) of the administrator."""

    token: str
    path: str


def until(condition: Callable[[], T], what: str, patience_s: float = PATIENCE_S, poll_s: float = _POLL_S) -> T:
    """Poll until condition() is true and return it; AssertionError after patience_s."""
    deadline = time.monotonic() + patience_s
    while True:
        found = condition()
        if found:
            return found
        assert time.monotonic() < deadline, f"not within {patience_s:g} s: {what}"
        time.sleep(poll_s)


def is_alive(pid: int) -> bool:
    """Whether a process exists and is not just waiting to be reaped."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


def objstore(*arguments: object, environ: Mapping[str, str] | None = None) -> tuple[int, str, str]:
    """Run the umbrella command in this process: (exit code, standard output, standard error)."""
    stdout, stderr = io.StringIO(), io.StringIO()
    code = main([str(argument) for argument in arguments], stdout=stdout, stderr=stderr, environ=environ or {})
    return code, stdout.getvalue(), stderr.getvalue()


class Cluster:
    """nodes, replicas, part_power, proxy_workers, policies ("NAME[:REPLICAS]"): as for `objstore init`; options: more
    of its flags. within: a command that it is run by (ip netns exec …). Starting it is the `with` statement or start();
    init() alone makes the directory."""

    def __init__(
        self,
        directory: Path,
        *,
        nodes: int = 4,
        replicas: float = 3,
        part_power: int = 6,
        proxy_workers: int = 1,
        policies: Sequence[str] = (),
        options: Sequence[str] = (),
        within: Sequence[str] = (),
    ) -> None:
        self.directory = ClusterDirectory(directory.resolve())
        self._arguments: list[object] = ["--nodes", nodes, "--replicas", replicas, "--part-power", part_power]
        self._arguments += ["--proxy-workers", proxy_workers]
        for policy in policies:
            self._arguments += ["--policy", policy]
        self._arguments += options
        self.within = tuple(within)
        self._ports: PortBlock | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._tokens: dict[str, str] = {}

    # Life

    def __enter__(self) -> Cluster:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def init(self) -> Cluster:
        """Make the directory, once."""
        if not self.directory.exists:
            self._ports = PortBlock()
            ports = ["--port", self._ports.first, "--node-port", self._ports.first + _NODES_FROM]
            code, _, error = objstore("init", self.directory.root, *ports, *self._arguments)
            assert code == 0, error
        return self

    def start(self, *options: str) -> Cluster:
        """Make the directory when it is not there, start everything, and wait until it serves. options: more of up."""
        self.init()
        self.start_unready(*options)
        self.wait_ready()
        return self

    def start_unready(self, *options: str) -> subprocess.Popen[bytes]:
        """Start the supervisor and return at once: for tests of what goes wrong."""
        assert self._process is None or self._process.poll() is not None, "running already"
        with open(self.output_file, "wb") as output, warnings.catch_warnings():
            # eventlet warns at every fork of a process that has imported it, and preexec_fn means a fork.
            warnings.simplefilter("ignore", DeprecationWarning)
            self._process = subprocess.Popen(
                [*self.within, sys.executable, "-m", "objstore.cli.main", "up", str(self.directory.root), *options],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=_ROOT,
                preexec_fn=functools.partial(process.die_with_parent, os.getpid()),
            )
        return self._process

    def wait_ready(self) -> None:
        """Until every process that is not held down serves."""
        assert self._process is not None

        def is_ready() -> bool:
            assert self._process is not None
            assert self._process.poll() is None, f"the supervisor ended:\n{self.output()}{self.logs()}"
            status = self.status()
            return status is not None and status["state"] == "ready" and "ready: " in self.output()

        until(is_ready, "the cluster is ready")

    def stop(self) -> int:
        """Ask everything to stop and wait for it; returns the supervisor's exit code."""
        assert self._process is not None
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        return self._process.wait(PATIENCE_S)

    def crash(self) -> None:
        """Everything dies by SIGKILL at once; start() brings it back."""
        assert self._process is not None
        pids = self.pids()
        self._process.kill()
        self._process.wait()
        until(lambda: not any(map(is_alive, pids)), "every process is gone")

    def close(self) -> None:
        """Whatever happened: nothing runs afterwards."""
        if self._process is not None:
            if self._process.poll() is None:
                self._process.send_signal(signal.SIGTERM)
                try:
                    self._process.wait(10)
                except subprocess.TimeoutExpired:
                    self._process.kill()
            self._process.wait()
        if self._ports is not None:
            self._ports.release()

    @property
    def output_file(self) -> Path:
        return self.directory.root / "output"

    def output(self) -> str:
        """What the supervisor wrote to its terminal."""
        return self.output_file.read_text()

    def logs(self) -> str:
        """All log files, for messages of failed tests and for looking for secrets."""
        files = sorted(self.directory.log.glob("*")) if self.directory.log.is_dir() else []
        return "".join(f"--- {file.name}\n{file.read_text()}" for file in files)

    # Configuration, before start() (or followed by reload())

    def configure(self, section: str, key: str, value: object, *, kind: str = "proxy") -> None:
        """Set a key in a section of the proxy's file, or of every node's: kind is proxy, object, container, account."""
        if kind == "proxy":
            files = [self.init().directory.proxy_conf]
        else:
            files = [self.directory.server_conf(node, kind) for node in self.init().directory.node_names()]
        for file in files:
            file.write_text(_with_setting(file.read_text(), section, key, str(value)))

    def setting(self, section: str, key: str) -> str:
        """What a key of the proxy's file says."""
        return read_ini(self.init().directory.proxy_conf).entries(section)[key].value

    def configure_cluster(self, section: str, key: str, value: object) -> None:
        """Set a key in swift.conf."""
        file = self.init().directory.swift_conf
        file.write_text(_with_setting(file.read_text(), section, key, str(value)))

    def add_user(self, name: str, key: str, *groups: str) -> None:
        """A user ACCOUNT:USER; groups: as given, none when there are none. In force within a second when running."""
        arguments: list[object] = ["--no-groups"]
        for group in groups:
            arguments += ["--group", group]
        code, _, error = objstore("user", "add", self.init().directory.root, name, "--key", key, *arguments)
        assert code == 0, error

    def reload(self) -> None:
        """Have all processes replaced by ones with the present configuration, and wait for it."""
        old = set(self.pids())
        reply = control.ask(self.directory.run, {"do": "reload"})
        assert reply["ok"], reply
        until(lambda: not old & set(self.pids()) and not any(map(is_alive, old)), "the old processes are gone")

    # Processes

    def status(self) -> dict[str, Any] | None:
        """What `objstore status --json` prints; None when nothing runs."""
        try:
            return control.ask(self.directory.run, {"do": "status"})
        except (control.NotRunning, FileNotFoundError):
            return None

    def pids(self, node: str | None = None, role: str | None = None) -> list[int]:
        """Of a node ("-" is the proxy's), of a role ("object-server"), or of everything but the supervisor."""
        status = self.status()
        assert status is not None, self.output()
        return [
            row["pid"]
            for row in status["processes"]
            if row["pid"]
            and row["role"] != "supervisor"
            and node in (None, row["node"])
            and role in (None, row["role"])
        ]

    def processes(self) -> list[Process]:
        """Everything that runs, the supervisor too."""
        status = self.status()
        assert status is not None, self.output()
        return [
            Process(row["pid"], row["role"].removesuffix("-server"), row["node"].replace("-", ""), tuple(row["ports"]))
            for row in status["processes"]
            if row["pid"]
        ]

    @property
    def supervisor_pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def nodes(self) -> list[str]:
        return self.directory.node_names()

    def device_path(self, node: str, device: str = "d1") -> Path:
        return self.directory.nodes / node / device

    def kill_node(self, node: str) -> None:
        """All processes of a node die by SIGKILL, its ports refuse connections, and nothing starts it again."""
        reply = control.ask(self.directory.run, {"do": "stop-node", "node": node, "kill": True})
        assert reply["ok"], reply
        until(lambda: not any(map(is_alive, reply["pids"])), f"{node} is dead")

    def start_node(self, node: str) -> None:
        """Start a node that was killed, and wait until it serves."""
        until(lambda: control.ask(self.directory.run, {"do": "start-node", "node": node})["ok"], f"{node} starts")
        self.wait_ready()

    @contextmanager
    def killed(self, *nodes: str) -> Iterator[None]:
        """with cluster.killed("n1", "n2"): they are down inside the block."""
        for node in nodes:
            self.kill_node(node)
        try:
            yield
        finally:
            for node in nodes:
                self.start_node(node)

    def freeze(self, node: str, role: str | None = None) -> list[int]:
        """SIGSTOP: connections are still accepted by the kernel, nothing answers. Returns the pids, for thaw()."""
        pids = self.pids(node, role)
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        return pids

    def thaw(self, pids: Sequence[int]) -> None:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)

    @contextmanager
    def frozen(self, *nodes: str) -> Iterator[None]:
        """with cluster.frozen("n1"): its processes stand still inside the block."""
        pids = [pid for node in nodes for pid in self.freeze(node)]
        try:
            yield
        finally:
            self.thaw(pids)

    # Requests

    @property
    def address(self) -> tuple[str, int]:
        """Of the proxy."""
        text = self.directory.proxy_conf.read_text()
        ip, port = (re.search(rf"^\s*{key}\s*=\s*(\S+)", text, re.M) for key in ("bind_ip", "bind_port"))
        assert ip and port
        return ip[1], int(port[1])

    @property
    def endpoint(self) -> str:
        """http://127.0.0.1:PORT"""
        return "http://{}:{}".format(*self.address)

    @property
    def auth_url(self) -> str:
        return f"{self.endpoint}/auth/v1.0"

    def storage_url(self, account: str = "admin") -> str:
        return f"{self.endpoint}/v1/AUTH_{account}"

    def key(self, user: str = "admin:admin") -> str:
        code, output, error = objstore("user", "key", self.directory.root, user)
        assert code == 0, error
        return output.strip()

    def token(self, user: str = "admin:admin") -> str:
        """A token of a user, asked for once per user and test."""
        if user not in self._tokens:
            headers = {"X-Storage-User": user, "X-Storage-Pass": self.key(user)}
            status, found, body = self.raw_request("GET", "/auth/v1.0", headers=headers)
            assert status == 200, (status, body)
            self._tokens[user] = found["x-auth-token"]
        return self._tokens[user]

    def request(
        self,
        method: str,
        path: str = "",
        body: Any = None,
        headers: Mapping[str, str] | None = None,
        *,
        user: str = "admin:admin",
        account: str | None = None,
        query: str = "",
    ) -> tuple[int, dict[str, str], bytes]:
        """An authorized request below a user's own account (or `account`). path: '', '/container', '/container/object',
        unquoted. query: '' or '?…', as it stands in the request line. Returns status, lower-case headers, body."""
        prefix = f"/v1/AUTH_{account or user.partition(':')[0]}"
        return self.raw_request(
            method, prefix + quote(path) + query, body, {"X-Auth-Token": self.token(user), **(headers or {})}
        )

    def raw_request(
        self, method: str, target: str, body: Any = None, headers: Mapping[str, str] | None = None
    ) -> tuple[int, dict[str, str], bytes]:
        """A request with nothing added. target: as it stands in the request line. ConnectionError without an answer."""
        answer = self.ask(method, target, headers, body or b"")
        if answer.status is None or answer.is_truncated:
            raise ConnectionError(f"{method} {target}: no whole answer ({answer.problem})")
        return answer.status, {name.lower(): value for name, value in answer.headers}, answer.body

    def ask(
        self,
        method: str,
        target: str,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        *,
        timeout_s: float = PATIENCE_S,
    ) -> Answer:
        """One request on a connection of its own, and whatever came back, also where that is no whole answer."""
        address = self.address
        pairs = [(b"Host", b"%s:%d" % (address[0].encode(), address[1]))]
        pairs += [(to_bytes(name), to_bytes(value)) for name, value in (headers or {}).items()]
        if body or method in ("PUT", "POST"):
            pairs.append((b"Content-Length", b"%d" % len(body)))
        head = head_bytes(to_bytes(method), to_bytes(target), b"HTTP/1.1", pairs)
        return exchange(address, Outgoing(head, body, is_head=method == "HEAD"), timeout_s=timeout_s)

    def login(self, user: str = "admin:admin") -> Login:
        return Login(self.token(user), urlsplit(self.storage_url(user.partition(":")[0])).path)


def like_a_newcomers(directory: Path, *options: str) -> Cluster:
    """A cluster as `objstore up` makes it when nothing is said but these flags: for benchmarks and clients."""
    return Cluster(
        directory, part_power=_DEFAULT.part_power, proxy_workers=int(_DEFAULT.proxy_workers), options=options
    )


def _with_setting(text: str, section: str, key: str, value: str) -> str:
    """An ini file's text with one key set; the section is added when it is not there."""
    lines = text.split("\n")
    header = f"[{section}]"
    if header not in lines:
        return f"{text.rstrip()}\n\n{header}\n{key} = {value}\n"
    start = lines.index(header) + 1
    end = next((i for i in range(start, len(lines)) if lines[i].startswith("[")), len(lines))
    for i in range(start, end):
        if re.match(rf"{re.escape(key)}\s*[=:]", lines[i]):
            # An indented line continues a value.
            last = next(
                j for j in range(i + 1, len(lines) + 1) if j == len(lines) or not lines[j].startswith((" ", "\t"))
            )
            lines[i:last] = [f"{key} = {value}"]
            return "\n".join(lines)
    lines.insert(start, f"{key} = {value}")
    return "\n".join(lines)


__all__ = [
    "PATIENCE_S",
    "STORAGE_KINDS",
    "Cluster",
    "Login",
    "Process",
    "is_alive",
    "like_a_newcomers",
    "objstore",
    "until",
]
