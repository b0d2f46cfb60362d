"""Single account, container and object servers over one set of devices, started by their own commands."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.replay.client import wait_for_port
from tests.support.ports import PortBlock

REPOSITORY = Path(__file__).parents[2]
SERVICES = ("account", "container", "object")
START_S = 60.0

SWIFT_CONF = """\
[swift-hash]
swift_hash_path_prefix = {prefix}
swift_hash_path_suffix = {suffix}

[storage-policy:0]
name = gold
default = yes

[storage-policy:1]
name = ec21

[storage-policy:2]
name = silver
"""

SERVER_CONF = """\
[DEFAULT]
bind_ip = 127.0.0.1
bind_port = {port}
workers = 1
swift_dir = {folder}
devices = {folder}/devices
mount_check = false

[pipeline:main]
pipeline = healthcheck {service}-server

[app:{service}-server]
use = egg:objstore#{service}

[filter:healthcheck]
use = egg:objstore#healthcheck
"""


@dataclass(frozen=True, slots=True)
class Servers:
    """One server of each kind, each with all the devices."""

    addresses: Mapping[str, tuple[str, int]]
    devices: Path

    @contextmanager
    def without_device(self, device: str) -> Iterator[None]:
        """Inside, the device is not there."""
        place, aside = self.devices / device, self.devices.parent / f"aside-{device}"
        place.rename(aside)
        try:
            yield
        finally:
            aside.rename(place)


@contextmanager
def running(folder: Path, *, prefix: str, suffix: str, devices: tuple[str, ...]) -> Iterator[Servers]:
    """Start the three servers; inside, they listen."""
    (folder / "swift.conf").write_text(SWIFT_CONF.format(prefix=prefix, suffix=suffix))
    for device in devices:
        (folder / "devices" / device).mkdir(parents=True)
    addresses, children, ports = {}, [], PortBlock()
    try:
        for port, service in enumerate(SERVICES, ports.first):
            conf = folder / f"{service}-server.conf"
            conf.write_text(SERVER_CONF.format(port=port, folder=folder, service=service))
            log = (folder / f"{service}.log").open("wb")
            children.append(
                subprocess.Popen(
                    [str(REPOSITORY / "bin" / f"objstore-{service}-server"), str(conf)],
                    stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                )
            )  # fmt: skip
            addresses[service] = ("127.0.0.1", port)
            log.close()
        for service, address in addresses.items():
            try:
                wait_for_port(address, START_S)
            except TimeoutError as error:
                raise AssertionError(f"{service}: {(folder / f'{service}.log').read_text()}") from error
        yield Servers(addresses, folder / "devices")
    finally:
        for child in children:
            child.send_signal(signal.SIGTERM)
        for child in children:
            child.wait(30)
        ports.release()
