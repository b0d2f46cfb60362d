"""Laying out a new cluster in a directory: secrets, ini files, rings, device directories.

Everything is made in DIR/.init and renamed to DIR/etc as the last step: a crash leaves no cluster or a whole one, and
what is there is never overwritten.
"""

from __future__ import annotations

import base64
import errno
import os
import secrets
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from objstore.cluster import ini_text, new_rings
from objstore.cluster.directory import DEVICE, STORAGE_KINDS, ClusterDirectory
from objstore.cluster.ini_text import Admin
from objstore.cluster.new_rings import NewNode, RingPlan
from objstore.config.cluster import load_cluster
from objstore.config.errors import ConfigError, ConfigProblem, located
from objstore.config.inifile import DEFAULT, read_ini
from objstore.config.server import ServerSettings
from objstore.runtime.fs import Fs
from objstore.runtime.listen import is_free, listen, shown

STORAGE_IP = "127.0.0.1"
_PORT_STEP = 10
_PORT_LAST = 60000
_SECRET_BYTES = 24
_KEY_BYTES = 18


class InitError(Exception):
    """A directory cannot become a cluster; the text is one line for a human."""


@dataclass(frozen=True, slots=True)
class PolicyPlan:
    """A storage policy of the new cluster; its index is its position."""

    name: str
    replicas: float


@dataclass(frozen=True, slots=True)
class InitPlan:
    """What was asked for. port 0: any free one, which is then kept. base_port: where the nodes' ports are sought."""

    nodes: int = 4
    replicas: float = 3.0
    part_power: int = 10
    ip: str = "127.0.0.1"
    port: int = 8080
    proxy_workers: str = "2"
    base_port: int = 6200
    policies: tuple[PolicyPlan, ...] = ()

    @property
    def all_policies(self) -> tuple[PolicyPlan, ...]:
        return self.policies or (PolicyPlan("default", self.replicas),)


def initialise(directory: ClusterDirectory, plan: InitPlan, fs: Fs) -> Admin:
    """Make a cluster in a directory that has none; returns its first user. Raises InitError."""
    assert not directory.exists, "never overwrite a cluster"
    check_directory(directory.root, fs)
    check_plan(plan)
    admin = first_admin()
    draft = directory.root / ".init"
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(mode=0o700)
    try:
        nodes = list(_nodes(plan))
        write_shared(draft, plan, admin)
        check_written(draft)
        rsync_port = _rsync_port(plan, nodes)
        for node in nodes:
            _write_node(draft, node, rsync_port)
        write_rings(draft, plan, nodes)
        for node in nodes:
            fs.make_directories(str(directory.nodes / node.name / DEVICE))
        draft.chmod(0o755)
        fs.rename_durable(str(draft), str(directory.etc))
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return admin


def first_admin() -> Admin:
    """With a key that nobody has seen."""
    return Admin("admin", "admin", secrets.token_urlsafe(_KEY_BYTES))


def check_directory(root: Path, fs: Fs) -> None:
    """The directory exists afterwards, can be written and keeps extended attributes. Raises InitError."""
    try:
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        fd, path = fs.open_temporary(str(root), prefix=".check.")
    except OSError as error:
        raise InitError(f"{root}: not a directory that can be written ({error.strerror})") from None
    try:
        fs.set_attributes(fd, {"objstore.check": b"1"})
    except OSError as error:
        if error.errno not in (errno.EOPNOTSUPP, errno.ENOSYS, errno.EPERM, errno.EINVAL):
            raise
        raise InitError(
            f"{root}: this file system keeps no extended attributes of users; use one that does (ext4, xfs, "
            "or tmpfs from Linux 6.6)"
        ) from None
    finally:
        os.close(fd)
        fs.unlink(path)


def check_plan(plan: InitPlan) -> None:
    """Raises InitError for numbers that make no cluster."""
    if not 1 <= plan.nodes <= 1000:
        raise InitError(f"--nodes {plan.nodes}: expected 1 to 1000")
    for policy in plan.all_policies:
        if not 1 <= policy.replicas <= 100:
            raise InitError(f"replicas {policy.replicas:g} of policy {policy.name!r}: expected 1 to 100")
    if not 0 < plan.part_power <= 24:
        raise InitError(f"--part-power {plan.part_power}: expected 1 to 24")
    if plan.port and not is_free((plan.ip, plan.port)):
        raise InitError(
            f"--port {plan.port}: somebody else listens on {shown((plan.ip, plan.port))}, or it is no local address"
        )


def _nodes(plan: InitPlan) -> Iterator[NewNode]:
    """Nodes with a base port each, whose ports are all free now."""
    port = plan.base_port
    for number in range(1, plan.nodes + 1):
        while not all(is_free((STORAGE_IP, port + offset)) for offset in range(len(STORAGE_KINDS))):
            port += _PORT_STEP
            if port > _PORT_LAST:
                raise InitError(f"no free ports for {plan.nodes} nodes on {STORAGE_IP} from {plan.base_port} on")
        yield NewNode(f"n{number}", number, STORAGE_IP, port, (DEVICE,))
        port += _PORT_STEP


def write_shared(etc: Path, plan: InitPlan, admin: Admin) -> None:
    """swift.conf and the proxy's file, with new secrets."""
    policy_names = [policy.name for policy in plan.all_policies]
    prefix, suffix = (secrets.token_hex(_SECRET_BYTES) for _ in range(2))
    write_new(etc / "swift.conf", ini_text.swift_conf(prefix, suffix, policy_names), 0o600)
    fernet_key = base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()
    port = plan.port or free_port(plan.ip)
    text = ini_text.proxy_conf(plan.ip, port, plan.proxy_workers, admin.tempauth(fernet_key))
    write_new(etc / "proxy-server.conf", text, 0o600)


def check_written(etc: Path) -> None:
    """What was asked for went into files unseen: names of policies and numbers of workers may be wrong."""
    try:
        load_cluster(etc)
        wrong = ServerSettings.from_pairs({"workers": read_ini(etc / "proxy-server.conf").pairs(DEFAULT)["workers"]})[1]
        problems = located(wrong, "", "--proxy-workers")
    except ConfigError as error:
        problems = list(error.problems)
    if problems:
        raise InitError("; ".join(f"{problem.section} {_what(problem)}" for problem in problems))


def _what(problem: ConfigProblem) -> str:
    value = f"{problem.value!r}: " if problem.value else ""
    return f"{value}expected {problem.expected}" + (f" ({problem.hint})" if problem.hint else "")


def _rsync_port(plan: InitPlan, nodes: list[NewNode]) -> int:
    """A free port for the rsync daemon that all nodes share: the first after theirs."""
    port = max([node.first_port for node in nodes], default=plan.base_port) + _PORT_STEP
    while not is_free((STORAGE_IP, port)):
        port += _PORT_STEP
        if port > _PORT_LAST:
            raise InitError(f"no free port for rsync on {STORAGE_IP} from {plan.base_port} on")
    return port


def _write_node(etc: Path, node: NewNode, rsync_port: int) -> None:
    (etc / node.name).mkdir()
    for kind in STORAGE_KINDS:
        text = ini_text.server_conf(kind, node.name, node.ip, node.port(kind), f"rsync://{node.ip}:{rsync_port}")
        write_new(etc / node.name / f"{kind}-server.conf", text, 0o644)


def write_rings(etc: Path, plan: InitPlan, nodes: Sequence[NewNode]) -> None:
    """Builders and rings of accounts, containers and every policy's objects."""
    new_rings.write(etc, "account", "account", RingPlan(plan.replicas, plan.part_power), nodes)
    new_rings.write(etc, "container", "container", RingPlan(plan.replicas, plan.part_power), nodes)
    for index, policy in enumerate(plan.all_policies):
        name = "object" if index == 0 else f"object-{index}"
        new_rings.write(etc, name, "object", RingPlan(policy.replicas, plan.part_power), nodes)


def write_new(path: Path, text: str, mode: int, encoding: str = "utf-8") -> None:
    """Created with its mode: there is no moment in which others could read a key."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(fd, "w", encoding=encoding) as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def free_port(ip: str) -> int:
    with listen((ip, 0)) as sock:
        port = sock.getsockname()[1]
    assert isinstance(port, int)
    return port
