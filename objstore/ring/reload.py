"""A ring that follows its file: operators replace ring files under running servers.

One per ring and process. Nothing runs in the background: whoever asks for the ring pays for a stat, at most once per
interval. A file that cannot be used never replaces a ring that can. Source: formats 1.5.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path

from objstore.ring.fileformat import RingFileError, load
from objstore.ring.model import Ring
from objstore.runtime.clock import Clock, SystemClock

CHECK_INTERVAL_S = 15.0

_logger = logging.getLogger(__name__)


class ReloadingRing:
    """The ring of a file, read again when the file has changed."""

    def __init__(self, path: str | Path, interval_s: float = CHECK_INTERVAL_S, clock: Clock | None = None) -> None:
        self.path = Path(path)
        self._interval_s = interval_s
        self._clock = clock or SystemClock()
        self._ring: Ring | None = None
        self._checked_s = 0.0
        # What the file was when it was last read, well or not: a bad file is neither read nor reported again.
        self._signature: tuple[int, ...] | None = None

    @property
    def current(self) -> Ring:
        """The ring. Raises RingFileError only as long as there has never been a usable one (so ask once at start)."""
        now = self._clock.monotonic()
        if self._ring is None:
            self._signature = self._file_signature()
            self._ring = load(self.path)
            self._checked_s = now
        elif now - self._checked_s >= self._interval_s:
            self._checked_s = now
            self._refresh(self._ring)
        return self._ring

    def _refresh(self, old: Ring) -> None:
        # Taken before reading: a file replaced in between is seen as changed at the next check.
        signature = self._file_signature()
        if signature == self._signature:
            return
        self._signature = signature
        try:
            self._ring = load(self.path)
        except RingFileError as error:
            _logger.error("ring not reloaded, keeping the one in use: %s version=%s", error, old.version)
            return
        _logger.info("ring reloaded: path=%s version=%s was=%s", self.path, self._ring.version, old.version)

    def _file_signature(self) -> tuple[int, ...] | None:
        """Changes with every replacement, also by an older file; None while there is no file."""
        try:
            status = os.stat(self.path)
        except OSError:
            return None
        return status.st_mtime_ns, status.st_size, status.st_ino
