"""Receiving a database file in pieces, into the device's tmp/: the in-band stand-in for rsync.

    REPLICATE /device/partition/hash            Content-Type: application/octet-stream
    X-Backend-Db-File: <sender's id>            X-Backend-Db-Offset: <bytes that came before>

A piece must follow what is there; one at offset 0 begins anew. 202 when it is written. The file gets its place by
complete_rsync or rsync_then_merge, like one that came by rsync, and is checked and synced then: here nothing is
acknowledged that has to last. Ours, not Swift's: doc/decisions/0010.
"""

from __future__ import annotations

import errno
import os
import re

from objstore.core.errors import BadRequest, BodyTooLarge, InsufficientStorage
from objstore.db.database import Databases
from objstore.http.request import Request
from objstore.http.response import Response, plain
from objstore.http.status import HTTPStatus
from objstore.peers.db_replicas import FILE_TYPE, NAME_HEADER, OFFSET_HEADER
from objstore.runtime.devices import Devices, Reserve
from objstore.runtime.fs import Fs

PIECE_BYTES_MAX = 64 * 1024 * 1024

_TEMPORARY = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]{0,199}\Z")


def is_upload(request: Request) -> bool:
    return request.header("content-type") == FILE_TYPE


def temporary_name(name: str) -> str:
    """A name from the network for a file in tmp/. Raises BadRequest for one that could leave it."""
    if not _TEMPORARY.match(name):
        raise BadRequest(f"{name!r} is not the name of a temporary file")
    return name


def receive(databases: Databases, device_path: str, reserve: Reserve, request: Request) -> Response:
    """Raises BadRequest, BodyTooLarge, InsufficientStorage."""
    name = temporary_name(request.header(NAME_HEADER.lower()) or "")
    offset = _offset(request.header(OFFSET_HEADER.lower()) or "")
    data = request.body.read(PIECE_BYTES_MAX + 1)
    if len(data) > PIECE_BYTES_MAX:
        raise BodyTooLarge(PIECE_BYTES_MAX)
    Devices.check_reserve(device_path, len(data), reserve)
    databases.threads.run(device_path, _write, databases.fs, f"{device_path}/tmp", name, offset, data)
    return plain(HTTPStatus.ACCEPTED)


def _offset(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 16):
        raise BadRequest(f"{OFFSET_HEADER} {text!r} is not a number of bytes")
    return int(text)


def _write(fs: Fs, directory: str, name: str, offset: int, data: bytes) -> None:
    """In a native thread. A name that is a link, or something else than a file, is not followed."""
    fs.make_directories(directory)
    path = f"{directory}/{name}"
    flags = os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        fd = os.open(path, flags | os.O_CREAT, 0o600) if offset == 0 else os.open(path, flags)
    except OSError as error:
        raise BadRequest(f"{name!r}: {error.strerror}") from None
    try:
        if offset == 0:
            fs.truncate(fd, 0)
        if os.fstat(fd).st_size != offset:
            raise BadRequest(f"{name!r} does not end at {offset}")
        os.lseek(fd, offset, os.SEEK_SET)
        fs.write(fd, data)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise InsufficientStorage(os.path.basename(os.path.dirname(directory)), str(error.strerror)) from None
        raise
    finally:
        os.close(fd)
