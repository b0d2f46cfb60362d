"""backend_ratelimit: so many requests a second to a device, and of each method; what is beyond gets 529 at once.

Stands in the pipelines of storage servers. The proxy takes 529 for a node that is busy and asks another one, so a disk
that a storm of requests has found keeps serving some of them well instead of all of them badly. Each worker counts for
itself; a device that was quiet may be asked more for a moment, up to a buffer. The rates are read again from
backend-ratelimit.conf (section [backend_ratelimit], same keys, beside swift.conf) while the server runs; without the
file those of the filter's own section hold. Source: feature B4.16; formats 6.1.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from objstore.config.boot import settings_for, swift_dir_of
from objstore.config.errors import ConfigError, ConfigProblem, located
from objstore.config.inifile import read_ini
from objstore.config.settings import Settings, decimal, reads, setting, text
from objstore.http.environ import Environ, StartResponse, WSGIApp
from objstore.http.response import plain
from objstore.http.status import TOO_MANY_BACKEND_REQUESTS
from objstore.runtime.green import monotonic

FILE_NAME = "backend-ratelimit.conf"
SECTION = "backend_ratelimit"
_METHODS = ("DELETE", "GET", "HEAD", "POST", "PUT", "REPLICATE", "UPDATE")
_SUFFIX = "requests_per_device_per_second"
_CLOCKS_MAX = 4096
"""Devices times methods that are remembered: more than any machine has disks for."""
_log = logging.getLogger("objstore.backend-ratelimit")


@dataclass(frozen=True)
class BackendRatelimitSettings(Settings):
    """Requests beyond these rates, counted by each worker for itself, are answered with 529; 0 is no limit."""

    requests_per_device_per_second: float = setting("0", decimal(0), "Requests of all methods to a device.")
    delete_requests_per_device_per_second: float = setting("0", decimal(0), "DELETE requests to a device.")
    get_requests_per_device_per_second: float = setting("0", decimal(0), "GET requests to a device.")
    head_requests_per_device_per_second: float = setting("0", decimal(0), "HEAD requests to a device.")
    post_requests_per_device_per_second: float = setting("0", decimal(0), "POST requests to a device.")
    put_requests_per_device_per_second: float = setting("0", decimal(0), "PUT requests to a device.")
    replicate_requests_per_device_per_second: float = setting("0", decimal(0), "REPLICATE requests to a device.")
    update_requests_per_device_per_second: float = setting("0", decimal(0), "UPDATE requests to a device.")
    requests_per_device_rate_buffer: float = setting(
        "1", decimal(0), "What a quiet device may be asked at once, in seconds of its rate."
    )
    backend_ratelimit_conf_path: str = setting(
        "", text, f"A file with these rates that is read again when it changes; empty: {FILE_NAME} beside swift.conf."
    )
    config_file_reload_interval: float = setting("60", decimal(0), "Seconds between two looks at that file.")

    def rates(self) -> dict[str, float]:
        """Requests a second by method, '' for all methods together; only those that have a limit."""
        named = {method: getattr(self, f"{method.lower()}_{_SUFFIX}") for method in _METHODS}
        return {method: rate for method, rate in {"": getattr(self, _SUFFIX), **named}.items() if rate}


class Clocks:
    """Which request comes too early: for each device and method the time at which the next one is due. Pure."""

    def __init__(self, rates: dict[str, float], buffer_s: float) -> None:
        self._rates = rates
        self._buffer_s = buffer_s
        self._due_s: dict[tuple[str, str], float] = {}

    def admits(self, device: str, method: str, now_s: float) -> bool:
        """Counts the request where it is admitted."""
        keys = [(device, name) for name in ("", method) if name in self._rates]
        if any(self._due_s.get(key, now_s) > now_s for key in keys):
            return False
        for key in keys:
            earliest_s = now_s - self._buffer_s
            self._due_s[key] = max(self._due_s.get(key, earliest_s), earliest_s) + 1 / self._rates[key[1]]
        if len(self._due_s) > _CLOCKS_MAX:
            self._due_s = {key: due_s for key, due_s in self._due_s.items() if due_s > now_s}
        return True


class BackendRatelimit:
    """load: the settings of this moment. Raises ConfigError, OSError."""

    def __init__(
        self,
        app: WSGIApp,
        settings: BackendRatelimitSettings,
        file: Path,
        load: Callable[[], BackendRatelimitSettings],
        now: Callable[[], float] = monotonic,
    ) -> None:
        self._app = app
        self._file = file
        self._load = load
        self._now = now
        self._interval_s = settings.config_file_reload_interval
        self._looked_s = now()
        self._seen: tuple[int, ...] | None = None
        self._refused: dict[str, int] = {}
        self._take(settings)
        self._reload()

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        now_s = self._now()
        if now_s - self._looked_s >= self._interval_s:
            self._looked_s = now_s
            self._tell()
            self._reload()
        if self._limits:
            device = _device_of(environ["PATH_INFO"])
            if device and not self._clocks.admits(device, environ["REQUEST_METHOD"], now_s):
                if device in self._refused or len(self._refused) < _CLOCKS_MAX:
                    self._refused[device] = self._refused.get(device, 0) + 1
                return plain(TOO_MANY_BACKEND_REQUESTS)(environ, start_response)
        body: Iterable[bytes] = self._app(environ, start_response)
        return body

    def _take(self, settings: BackendRatelimitSettings) -> None:
        rates = settings.rates()
        self._limits = bool(rates)
        self._clocks = Clocks(rates, settings.requests_per_device_rate_buffer)

    def _reload(self) -> None:
        """Read the rates again; where that fails, those in force stay."""
        seen = self._signature()
        if seen == self._seen:
            return
        self._seen = seen
        try:
            settings = self._load()
        except (ConfigError, OSError) as error:
            _log.error("file=%s: the rates stay as they were: %s", self._file, error)
            return
        self._take(settings)
        _log.info("file=%s rates=%s: read", self._file, settings.rates())

    def _signature(self) -> tuple[int, ...] | None:
        try:
            status = os.stat(self._file)
        except OSError:
            return None
        return status.st_mtime_ns, status.st_size, status.st_ino

    def _tell(self) -> None:
        for device, count in self._refused.items():
            _log.warning("device=%r refused=%d within_s=%g: too many requests", device, count, self._interval_s)
        self._refused = {}


def _device_of(path: str) -> str:
    """'' for what names no device and partition, such as /healthcheck and /recon/load/."""
    parts = path.split("/", 3)
    return parts[1] if len(parts) > 2 and parts[2] and parts[1] != "recon" else ""


def load_rates(own: Mapping[str, str], file: Path) -> BackendRatelimitSettings:
    """own: the keys of the filter's section, over which those of the file go. Raises ConfigError."""
    pairs = dict(own)
    if file.is_file():
        ini = read_ini(file)
        if SECTION not in ini.sections:
            raise ConfigError([ConfigProblem(str(file), SECTION, "", "", f"a section [{SECTION}]")])
        pairs |= ini.own_pairs(SECTION)
    settings, problems = BackendRatelimitSettings.from_pairs(pairs)
    if problems:
        raise ConfigError(located(problems, str(file), SECTION))
    return settings


@reads(BackendRatelimitSettings)
def filter_factory(global_conf: dict[str, str], **local_conf: str) -> Callable[[WSGIApp], BackendRatelimit]:
    settings = settings_for(BackendRatelimitSettings, global_conf, local_conf)
    file = Path(settings.backend_ratelimit_conf_path or swift_dir_of(global_conf) / FILE_NAME)
    own = {key: value for key, value in {**global_conf, **local_conf}.items() if key in BackendRatelimitSettings.keys()}
    load_rates(own, file)  # A server does not start with a file that it cannot use.
    return lambda app: BackendRatelimit(app, settings, file, lambda: load_rates(own, file))
