"""recon: GET /recon/<what>[/<type>] of a storage server: how its machine, disks, rings and daemons are doing (B5.5).

The answers are JSON with Swift's keys, so that swift-recon and other tools read them. What daemons have done comes from
the recon cache (daemon/recon.py); everything else is looked up when it is asked for, in a native thread, because a sick
disk may stall a stat(). Anything unknown is 404. Source: formats 6.10.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from objstore import __version__
from objstore.config.boot import settings_for, swift_dir_of
from objstore.config.settings import Settings, boolean, reads, setting, text
from objstore.daemon import recon
from objstore.http.environ import Environ, StartResponse, WSGIApp
from objstore.http.response import Response
from objstore.http.status import HTTPStatus
from objstore.middleware.recon_disks import Disks
from objstore.runtime import machine
from objstore.runtime.clock import Clock, SystemClock
from objstore.runtime.green import ThreadPool

_THREADS = 4
"""More questions at once wait: a stalled disk must not use up the process."""
_DATABASE_REPLICATION = ("replication_time", "replication_stats", "replication_last")

Report = Callable[[], object]


@dataclass(frozen=True)
class ReconSettings(Settings):
    """Answers operators' tools on a storage server: GET /recon/…"""

    recon_cache_path: str = setting("/var/cache/swift", text, "Where daemons leave what they have done.")
    devices: str = setting("/srv/node", text, "Where the disks are mounted: one directory per device.")
    mount_check: bool = setting("yes", boolean, "A device that is not a mount point is reported as unmounted.")


class Reports:
    """Every report, by its path below /recon/. Each blocks for a moment and may raise OSError."""

    def __init__(self, settings: ReconSettings, swift_dir: Path, clock: Clock) -> None:
        self._cache = Path(settings.recon_cache_path)
        self._devices = Path(settings.devices)
        self._disks = Disks(self._devices, settings.mount_check)
        self._swift_dir = swift_dir
        self._clock = clock
        self.by_path: dict[str, Report] = {**self._of_the_machine(), **self._of_daemons()}

    def _of_the_machine(self) -> dict[str, Report]:
        return {
            "version": lambda: {"version": __version__},
            "time": lambda: self._clock.now().seconds,
            "mem": machine.memory,
            "load": machine.load,
            "sockstat": machine.sockets,
            "mounted": lambda: [{"device": device, "path": path} for device, path in machine.mounts()],
            "devices": lambda: {str(self._devices): self._disks.names()},
            "unmounted": self._disks.unmounted,
            "diskusage": self._disks.usage,
            "quarantined": self._disks.quarantined,
            "ringmd5": lambda: _digests(sorted(self._swift_dir.glob("*.ring.gz"))),
            "swiftconfmd5": lambda: _digests([self._swift_dir / "swift.conf"]),
        }

    def _of_daemons(self) -> dict[str, Report]:
        object_replication = (*_DATABASE_REPLICATION, "object_replication_time", "object_replication_last")
        found = {
            "async": self._cached("object", "async_pending", "async_pending_last"),
            "replication": self._cached("object", *object_replication),
            "replication/object": self._cached("object", *object_replication),
            "reconstruction/object": self._cached("object", "object_reconstruction_last", "object_reconstruction_time"),
            "updater/object": self._cached(
                "object", "object_updater_sweep", "object_updater_stats", "object_updater_last"
            ),
            "updater/container": self._cached("container", "container_updater_sweep"),
            "auditor/object": self._cached("object", "object_auditor_stats_ALL", "object_auditor_stats_ZBF"),
            "expirer/object": self._cached("object", "object_expiration_pass", "expired_last_pass"),
            "sharding": self._cached("container", "sharding_stats", "sharding_time", "sharding_last"),
            "relinker": self._cached("relinker", "devices", "workers"),
            "driveaudit": self._cached("drive", "drive_audit_errors"),
        }
        for kind in ("account", "container"):
            found[f"replication/{kind}"] = self._cached(kind, *_DATABASE_REPLICATION)
            found[f"auditor/{kind}"] = self._cached(
                kind,
                f"{kind}_audits_passed",
                f"{kind}_auditor_pass_completed",
                f"{kind}_audits_since",
                f"{kind}_audits_failed",
            )
        return found

    def _cached(self, kind: str, *keys: str) -> Report:
        return partial(self._from_cache, recon.recon_file(self._cache, kind), keys)

    @staticmethod
    def _from_cache(file: Path, keys: tuple[str, ...]) -> dict[str, object]:
        known = recon.read(file)
        return {key: known.get(key) for key in keys}


class Recon:
    def __init__(self, app: WSGIApp, reports: Reports, logger: logging.Logger) -> None:
        self._app = app
        self._reports = reports.by_path
        self._logger = logger
        self._threads: ThreadPool | None = None

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        path: str = environ["PATH_INFO"]
        if not path.startswith("/recon/") and path != "/recon":
            body: Iterable[bytes] = self._app(environ, start_response)
            return body
        return self._answer(path)(environ, start_response)

    def _answer(self, path: str) -> Response:
        report = self._reports.get(path.removeprefix("/recon").strip("/"))
        if report is None:
            return _text(HTTPStatus.NOT_FOUND, f"Invalid path: {path}")
        if self._threads is None:  # Not before: threads do not survive the fork.
            self._threads = ThreadPool(_THREADS)
        try:
            found = self._threads.run(report)
        except (OSError, ValueError) as error:
            self._logger.error("path=%r reason=%r: recon cannot tell", path, str(error))
            return _text(HTTPStatus.INTERNAL_SERVER_ERROR, "Internal server error.")
        return Response(HTTPStatus.OK, {"content-type": "application/json"}, json.dumps(found).encode())


def _text(status: int, message: str) -> Response:
    return Response(status, {"content-type": "text/plain"}, message.encode("latin-1", "replace"))


def _digests(files: Iterable[Path]) -> dict[str, str]:
    """MD5 of each file's bytes; one that is not there is left out."""
    found = {}
    for file in files:
        try:
            found[str(file)] = hashlib.md5(file.read_bytes(), usedforsecurity=False).hexdigest()
        except FileNotFoundError:
            continue
    return found


@reads(ReconSettings)
def filter_factory(global_conf: dict[str, str], **local_conf: str) -> Callable[[WSGIApp], Recon]:
    settings = settings_for(ReconSettings, global_conf, local_conf)
    reports = Reports(settings, swift_dir_of(global_conf), SystemClock())
    return lambda app: Recon(app, reports, logging.getLogger("recon"))
