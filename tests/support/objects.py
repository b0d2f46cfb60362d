"""Builders for tests of the object engine: addresses, engines, and bytes on their way in."""

from __future__ import annotations

from pathlib import Path

from objstore.core.hashing import HashSecrets
from objstore.core.timestamp import Timestamp
from objstore.runtime.devices import Devices
from objstore.runtime.fs import Fs
from objstore.storage.disk import DiskEngine
from objstore.storage.engine import Engine
from objstore.storage.layout import ObjectAddress
from objstore.storage.writer import WriteSettings
from tests.support.clock import SimClock

SECRETS = HashSecrets(b"vector-prefix", b"vector-suffix")
LARGE_METADATA = {f"x_object_meta_{number}": "v" * 250 for number in range(40)}
"""More than the attributes of a file on ext4 hold."""
MD5_OF_HELLO = "5d41402abc4b2a76b9719d911017c592"


def ts(seconds: float, offset: int = 0) -> Timestamp:
    return Timestamp.from_seconds(seconds, offset)


def make_address(
    obj: str = "o", *, device: str = "sda", partition: str = "5", policy_index: int = 0, account: str = "AUTH_v"
) -> ObjectAddress:
    digest = SECRETS.hash_path(account, "c", obj)
    return ObjectAddress(device, partition, policy_index, f"/{account}/c/{obj}", digest)


def make_disk_engine(
    root: Path, clock: SimClock | None = None, fs: Fs | None = None, settings: WriteSettings | None = None
) -> DiskEngine:
    (root / "sda").mkdir(parents=True, exist_ok=True)
    return DiskEngine(Devices(root, mount_check=False), SECRETS, clock or SimClock(), fs=fs, settings=settings)


def put(
    engine: Engine,
    address: ObjectAddress,
    body: bytes = b"hello",
    at: float = 1_700_000_000.0,
    next_part_power: int | None = None,
    **headers: str,
) -> None:
    """headers: underscores stand for dashes."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    kept = {"content-type": "text/plain", "etag": MD5_OF_HELLO, **named}
    with engine.create(address, len(body)) as writer:
        writer.write(body)
        writer.commit(ts(at), kept, next_part_power=next_part_power)


def directory_of(root: Path, address: ObjectAddress) -> Path:
    top = "objects" if address.policy_index == 0 else f"objects-{address.policy_index}"
    return root / address.device / top / address.partition / address.suffix / address.hash_hex


def names_of(root: Path, address: ObjectAddress) -> list[str]:
    directory = directory_of(root, address)
    return sorted(path.name for path in directory.iterdir()) if directory.is_dir() else []
