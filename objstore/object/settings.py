"""[app:object-server]: Swift's option names, and its defaults but where a doc says why not."""

from __future__ import annotations

from dataclasses import dataclass

from objstore.config.settings import Kind, Settings, boolean, decimal, number, setting, text
from objstore.runtime.devices import Reserve

_reserve = Kind(Reserve.parse, "bytes, or a percentage such as 1%")
_header_names = Kind(
    lambda value: tuple(dict.fromkeys(name.strip().lower() for name in value.split(",") if name.strip())),
    "header names separated by commas",
)
_yes_no_unset = Kind(
    lambda value: None if not value else boolean.parse(value), "yes, no, or nothing (serve everything)"
)


@dataclass(frozen=True)
class ObjectServerSettings(Settings):
    """How one object server keeps and serves objects. Times in seconds."""

    devices: str = setting("/srv/node", text, "Where the disks are mounted: one directory per device.")
    mount_check: bool = setting("yes", boolean, "Refuse a device that is not a mount point.")
    fallocate_reserve: Reserve = setting(
        "1%",
        _reserve,
        "Free space that uploads must leave: bytes, or percent of the disk. Deletes still work below it.",
    )
    container_update_timeout: float = setting(
        "0.5",
        decimal(0),
        "How long a PUT waits for its container row before the row is left to the updater (Swift: 1).",
    )
    conn_timeout: float = setting("0.5", decimal(0), "How long to wait for a connection to a container server.")
    allowed_headers: tuple[str, ...] = setting(
        "Content-Disposition, Content-Encoding, X-Delete-At, X-Object-Manifest, X-Static-Large-Object, "
        "Cache-Control, Content-Language, Expires, X-Robots-Tag",
        _header_names,
        "Headers that are kept with an object, beside its metadata.",
    )
    reclaim_age: float = setting(
        "604800", decimal(0), "How long a tombstone is kept. The same on every node, or deletes come undone."
    )
    replication_server: bool | None = setting(
        "", _yes_no_unset, "yes: serve only replication. no: serve all but replication. Empty: serve both."
    )
    replication_concurrency: int = setting(
        "4", number(1), "Conversations of in-band replication (SSYNC) that one worker serves at once."
    )
    replication_concurrency_per_device: int = setting(
        "1", number(1), "How many of them may write to one device at once, whatever worker they are with."
    )
    replication_lock_timeout: float = setting(
        "15", decimal(0), "How long such a conversation waits for its device and its partition."
    )
    replication_failure_threshold: int = setting(
        "100", number(1), "In-band replication: failures after which a conversation is ended early …", advanced=True
    )
    replication_failure_ratio: float = setting(
        "1.0", decimal(0), "… if there are at least so many of them for each success.", advanced=True
    )
    etag_validate_pct: float = setting(
        "100", decimal(0, 100), "Percent of whole reads whose MD5 is checked, for objects without a checksum of ours."
    )
    max_upload_time: float = setting("86400", decimal(1), "How long one upload may take.", advanced=True)
    mb_per_sync: int = setting("512", number(1), "Flush an upload to disk every so many MiB.", advanced=True)
    disable_fallocate: bool = setting("no", boolean, "Do not reserve space for an upload at its start.", advanced=True)
    network_chunk_size: int = setting(
        "1048576", number(4096, 1 << 24), "Bytes of an upload that go to disk in one write.", advanced=True
    )
    disk_chunk_size: int = setting(
        "262144", number(4096, 1 << 24), "Bytes read from disk at a time where a filter must see them.", advanced=True
    )
    keep_cache_size: int = setting(
        "5242880", number(0), "Larger objects may leave the page cache once they are read.", advanced=True
    )
    keep_cache_private: bool = setting(
        "yes", boolean, "Keep objects that were read with a token in the page cache too (Swift: no).", advanced=True
    )
    threads_per_disk: int = setting(
        "4",
        number(1, 64),
        "Native threads for one device's slow work, so that it stops nobody else; as many again for replication.",
        advanced=True,
    )
    expiring_objects_account_name: str = setting(
        "expiring_objects", text, "Account of the queue of objects to expire, without its dot.", advanced=True
    )
    expiring_objects_container_divisor: int = setting(
        "86400", number(1), "Seconds of expiry per container of that queue. The same everywhere.", advanced=True
    )
