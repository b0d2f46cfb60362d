"""A network of nodes in namespaces of this machine: real links, which can be cut, one way or both, and healed.

    with Network(["n1", "n2", "n3"]) as network:
        network.call("n1", function, argument)          runs in n1's network
        with network.split(["n1"], ["n2", "n3"]): ...   neither side hears the other
        with network.deaf("n1", ["n2"]): ...            n1 does not hear n2, which hears n1

Each node has a namespace with one veth; all of them hang on a bridge in a namespace of its own, so that the machine's
own network is not touched. A link is cut by telling the sender a wrong hardware address of the receiver: what is sent
vanishes without a word, as with a broken switch, and no firewall is needed. Only root may do this: see why_not().
"""

from __future__ import annotations

import ctypes
import os
import random
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")
_CLONE_NEWNET = 0x40000000
_NOWHERE = "02:00:00:00:00:fe"
"""A hardware address that nobody has."""
_CALLS_AT_ONCE = 8
_libc = ctypes.CDLL(None, use_errno=True)


def why_not() -> str:
    """Why no network can be made here; "" where one can. For the reason of a skipped test."""
    if os.geteuid() != 0:
        return "only root may make network namespaces"
    if shutil.which("ip") is None:
        return "ip (iproute2) is not installed"
    name = f"ost-{os.getpid()}-try"
    try:
        _ip("netns", "add", name)
        try:
            _ip("-n", name, "link", "add", "name", "a", "type", "veth", "peer", "name", "b")
            _ip("-n", name, "link", "add", "name", "c", "type", "bridge")
        finally:
            _ip("netns", "del", name)
    except NetworkError as error:
        return f"no namespaces, veth or bridges here: {error}"
    return ""


class NetworkError(Exception):
    """ip refused something; says what."""


class Network:
    """names: of the nodes. Addresses are of a private network, 10.x.y.1 and on, the same in every run. is_ipv6: they
    are fd00:…::1 and on."""

    def __init__(self, names: Sequence[str], *, is_ipv6: bool = False) -> None:
        self.names = list(names)
        self._prefix, self._bits = ("fd00:213:77::", 64) if is_ipv6 else ("10.213.77.", 24)
        self._tag = f"ost-{os.getpid()}-{random.randrange(1 << 20):05x}"
        self._made: list[str] = []
        self._callers: dict[str, ThreadPoolExecutor] = {}

    def __enter__(self) -> Network:
        try:
            switch = self._namespace("switch")
            _ip("-n", switch, "link", "add", "name", "bridge", "type", "bridge")
            _ip("-n", switch, "link", "set", "bridge", "up")
            for name in self.names:
                self._plug_in(switch, name)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for caller in self._callers.values():
            caller.shutdown()
        for namespace in self._made:
            # What runs inside keeps it alive; whoever started that has ended it.
            with suppress(NetworkError):
                _ip("netns", "del", namespace)
        self._made.clear()

    def address(self, name: str) -> str:
        return f"{self._prefix}{self.names.index(name) + 1}"

    @property
    def _at_once(self) -> list[str]:
        """IPv6 looks for duplicates first, and does not use the address for a second; here nobody else is."""
        return ["nodad"] if ":" in self._prefix else []

    def within(self, name: str) -> list[str]:
        """Before a command: it runs in the node's network."""
        return ["ip", "netns", "exec", self._name_of(name)]

    def call(self, name: str, function: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T:
        """function(…), in a thread whose sockets are the node's."""
        if name not in self._callers:
            self._callers[name] = ThreadPoolExecutor(_CALLS_AT_ONCE, name, _enter, (self._name_of(name),))
        return self._callers[name].submit(function, *arguments, **named).result()

    # Cutting and healing

    def cut(self, sender: str, receiver: str) -> None:
        """Nothing that one sends arrives at the other any more."""
        self._neighbour(sender, "replace", self.address(receiver), "lladdr", _NOWHERE, "nud", "permanent")

    def mend(self, sender: str, receiver: str) -> None:
        self._neighbour(sender, "del", self.address(receiver))

    @contextmanager
    def split(self, *sides: Sequence[str]) -> Iterator[None]:
        """Nobody of one side hears anybody of another."""
        pairs = [(a, b) for side in sides for a in side for other in sides if other is not side for b in other]
        with self._all_cut(pairs):
            yield

    @contextmanager
    def deaf(self, node: str, to: Sequence[str]) -> Iterator[None]:
        """What these send to the node never arrives."""
        with self._all_cut([(sender, node) for sender in to]):
            yield

    @contextmanager
    def _all_cut(self, pairs: Sequence[tuple[str, str]]) -> Iterator[None]:
        for pair in pairs:
            self.cut(*pair)
        try:
            yield
        finally:
            for pair in pairs:
                self.mend(*pair)

    def _neighbour(self, name: str, action: str, *arguments: str) -> None:
        _ip("-n", self._name_of(name), "neigh", action, *arguments, "dev", "eth0")

    # Making

    def _name_of(self, name: str) -> str:
        return f"{self._tag}-{name}"

    def _namespace(self, name: str) -> str:
        namespace = self._name_of(name)
        _ip("netns", "add", namespace)
        self._made.append(namespace)
        _ip("-n", namespace, "link", "set", "lo", "up")
        return namespace

    def _plug_in(self, switch: str, name: str) -> None:
        namespace = self._namespace(name)
        _ip("-n", switch, "link", "add", "name", name, "type", "veth", "peer", "name", "eth0", "netns", namespace)
        _ip("-n", switch, "link", "set", name, "master", "bridge", "up")
        _ip("-n", namespace, "addr", "add", f"{self.address(name)}/{self._bits}", "dev", "eth0", *self._at_once)
        _ip("-n", namespace, "link", "set", "eth0", "up")


def _enter(namespace: str) -> None:
    """Of this thread alone. Sockets keep the network they were made in."""
    fd = os.open(f"/run/netns/{namespace}", os.O_RDONLY | os.O_CLOEXEC)
    try:
        if _libc.setns(fd, _CLONE_NEWNET) != 0:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code), namespace)
    finally:
        os.close(fd)


def _ip(*arguments: str) -> None:
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True, timeout=60)
    if done.returncode != 0:
        raise NetworkError(f"ip {' '.join(arguments)}: {done.stderr.strip()}")
