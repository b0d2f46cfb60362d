"""Rows of a container's listing: their ETags in the clear. Source: formats 8.1, 8.6."""

from __future__ import annotations

import logging
from typing import Any

from objstore.core.names import ClientPath
from objstore.middleware.encryption.crypto_meta import Undecipherable
from objstore.middleware.encryption.decrypt import open_listing_etag
from objstore.middleware.encryption.keyring import Keyring
from objstore.runtime import green

MARK = b"swift_meta="
UNKNOWN = "unknown"
"""In place of an ETag that cannot be read: the object is listed all the same, and nothing has that ETag."""
_ROWS_AT_A_TIME = 200
_log = logging.getLogger("objstore.encryption")


class RowOpener:
    """Called with each row of one listing. path: of the container."""

    def __init__(self, keyring: Keyring, path: ClientPath) -> None:
        self._keyring = keyring
        self._path = path
        self._count = 0
        self._has_failed = False

    def __call__(self, row: dict[str, Any]) -> None:
        text = row.get("hash")
        if not isinstance(text, str):
            return
        self._count += 1
        if self._count % _ROWS_AT_A_TIME == 0:
            green.sleep(0)  # A page of 10,000 rows takes long enough to be felt by other requests.
        try:
            row["hash"] = open_listing_etag(self._keyring, self._path, text)
        except Undecipherable as error:
            row["hash"] = UNKNOWN
            if not self._has_failed:
                self._has_failed = True
                container = f"/{self._path.account}/{self._path.container}"
                _log.error(
                    "container=%r name=%r: its listed ETag cannot be read: %s", container, row.get("name"), error
                )
