"""What a full or failing disk says, and its domain error: 507, so that callers leave the device alone for a while.

Other OSErrors (no such file, too many open files) are not the disk's doing and pass. Source: formats 6.1.
"""

from __future__ import annotations

import errno
import os

from objstore.core.errors import InsufficientStorage

_DISK_IS_UNFIT = frozenset(
    {errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS, errno.EOPNOTSUPP, errno.E2BIG, errno.ENXIO, errno.ENODEV}
)


class disk_errors:
    """with disk_errors(device): turns the errors of a full or failing disk into InsufficientStorage; others pass."""

    __slots__ = ("_device",)

    def __init__(self, device: str) -> None:
        self._device = device

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, OSError) and error.errno in _DISK_IS_UNFIT:
            where = error.filename or "open file"
            raise InsufficientStorage(self._device, f"{os.strerror(error.errno)} ({where})") from error
