"""The systemd units in etc/systemd, one per server and daemon and for the agent, and a target that is a storage node;
generated:

    python -m objstore.config.units etc/systemd

A unit may write to the disks and the recon cache and to nothing else (the agent: to its node's directory too), has no
capabilities, and sees no home directories or devices. Everything a unit needs is announced by sd_notify: READY,
RELOADING (SIGHUP), STOPPING, and WATCHDOG from the process whose loop must turn, which is a child of the main one
(NotifyAccess=all).
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from objstore.config.factories import DAEMON_GROUP, Factories, installed
from objstore.config.server import ROLE_PORTS

NODE_TARGET = "objstore-node.target"
_PROXY = "proxy-server"
_AGENT = "agent"
_DIRECTORY = "/var/lib/objstore"
"""Of `objstore join`."""
_SERVER_STOP_S = 60
_DAEMON_STOP_S = 10
_HEAD = "# Generated (python -m objstore.config.units etc/systemd): put changes into a drop-in (systemctl edit).\n"

_SERVICE = """\
[Unit]
Description=objstore {name}
Wants=network-online.target
After=network-online.target
{condition}{part_of}
[Service]
Type=notify
NotifyAccess=all
ExecStart=/opt/objstore/bin/objstore-{name} {argument}
ExecReload=/bin/kill -HUP $MAINPID
User=swift
Group=swift
Restart=on-failure
RestartSec=2
# A configuration that cannot be used does not get better by trying again.
RestartPreventExitStatus=78
# The loop that does the work says that it turns; a process that hangs is started anew.
WatchdogSec=60
# First the main process: it gives the others the time that they need. Only then everything may be killed.
KillMode=mixed
TimeoutStopSec={stop_s}
LimitNOFILE=1048576
{priority}
{room}
ProtectSystem=strict
ProtectHome=yes
PrivateTmp=yes
PrivateDevices=yes
ProtectClock=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectControlGroups=yes
CapabilityBoundingSet=
NoNewPrivileges=yes
RestrictSUIDSGID=yes
RestrictNamespaces=yes
RestrictRealtime=yes
LockPersonality=yes
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallErrorNumber=EPERM
# Not MemoryDenyWriteExecute: libffi makes its closures in memory that is both.
UMask=0027

[Install]
WantedBy={wanted_by}
"""

_BACKGROUND = """\
# Background work gives way to requests.
Nice=5
IOSchedulingClass=best-effort
IOSchedulingPriority=6
"""

_ROOM = """\
# Room to write: the disks, the recon cache, and nothing else. A log_file needs a ReadWritePaths= of its own.
ReadWritePaths=-/srv/node -{directory}/cache
CacheDirectory=swift"""

_ROOM_OF_AGENT = """\
# Room to write: the node's directory, which belongs to the user then, and the disks, for drives that are to join.
ReadWritePaths=-/srv/node
StateDirectory=objstore"""

_TARGET = """\
# systemctl start objstore-node.target    a storage node: its three servers, all its daemons, and where `objstore join`
#                                         made it a node of a cluster, its agent
[Unit]
Description=objstore storage node
{wants}

[Install]
WantedBy=multi-user.target
"""


def units(known: Factories | None = None) -> dict[str, str]:
    """File name to text, for every unit."""
    daemons = (known or installed()).names(DAEMON_GROUP)
    texts = {f"objstore-{role}.service": _server(role) for role in ROLE_PORTS}
    texts |= {f"objstore-{name}.service": _daemon(name) for name in daemons}
    texts[f"objstore-{_AGENT}.service"] = _agent()
    wanted = sorted(name for name in texts if name != f"objstore-{_PROXY}.service")
    texts[NODE_TARGET] = _HEAD + _TARGET.format(wants="\n".join(f"Wants={name}" for name in wanted))
    return texts


def _server(role: str) -> str:
    is_proxy = role == _PROXY
    return _HEAD + _SERVICE.format(
        name=role,
        argument=f"/etc/swift/{role}.conf",
        condition="",
        room=_ROOM.format(directory=_DIRECTORY),
        part_of="" if is_proxy else f"PartOf={NODE_TARGET}\n",
        stop_s=_SERVER_STOP_S,
        priority="",
        wanted_by="multi-user.target" if is_proxy else NODE_TARGET,
    )


def _daemon(name: str) -> str:
    return _HEAD + _SERVICE.format(
        name=name,
        argument=f"/etc/swift/{name.partition('-')[0]}-server.conf",
        condition="",
        room=_ROOM.format(directory=_DIRECTORY),
        part_of=f"PartOf={NODE_TARGET}\n",
        stop_s=_DAEMON_STOP_S,
        priority=_BACKGROUND,
        wanted_by=NODE_TARGET,
    )


def _agent() -> str:
    return _HEAD + _SERVICE.format(
        name=_AGENT,
        argument=_DIRECTORY,
        condition=f"ConditionPathExists={_DIRECTORY}/etc/cluster.json\n",
        room=_ROOM_OF_AGENT,
        part_of=f"PartOf={NODE_TARGET}\n",
        stop_s=_DAEMON_STOP_S,
        priority="",
        wanted_by=NODE_TARGET,
    )


def main(argv: Sequence[str]) -> int:
    """Write all units into a directory."""
    if len(argv) != 1:
        print("usage: python -m objstore.config.units DIRECTORY", file=sys.stderr)
        return 2
    directory = Path(argv[0])
    directory.mkdir(exist_ok=True)
    for name, text in units().items():
        (directory / name).write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
