"""Version 2 of ring files: sections with checksums that a reader can seek to, and device ids of 2, 4 or 8 bytes.

    plaintext of the gzip member: R1NG, big-endian 2, then blobs (big-endian u64 length, bytes):
      swift/ring/metadata     JSON: part_shift, dev_id_bytes, replica_count (true value), version [, next_part_power]
      swift/ring/devices      JSON list of devices
      swift/ring/assignments  all rows, big-endian
      index                   JSON: section -> [compressed start, start, compressed end, end, "sha256", digest]
    then u64 position of the index in the plaintext, u64 position in the compressed file.

Sections begin and end at full flushes of the deflate stream; the last two numbers are stored blocks, so the 31 last
bytes of a file have a fixed shape. A digest covers length and bytes of its blob. We read from front to back, and check
the index at the end. Called by fileformat. Source: formats 2.2; doc/formats/rings.md.
"""

from __future__ import annotations

import hashlib
import struct
from typing import Any

from objstore.ring import header_json
from objstore.ring.device_fields import fields_of
from objstore.ring.gzip_member import GzipReader, GzipWriter
from objstore.ring.model import InvalidRing, Ring
from objstore.ring.table import (
    MAX_TABLE_BYTES,
    TYPECODES,
    bytes_of,
    check_assignment,
    checked_devices,
    full_table_bytes,
    rows_of,
)

VERSION = 2
DEFAULT_ID_BYTES = 2
_METADATA = "swift/ring/metadata"
_DEVICES = "swift/ring/devices"
_ASSIGNMENTS = "swift/ring/assignments"
_DIGESTS = ("md5", "sha1", "sha256", "sha512")
_PREAMBLE_BYTES = 6  # magic and version
_LENGTH = struct.Struct("!Q")
_TAIL = struct.Struct("!QQ")
# Room for the index, and for sections that later versions of the writer may add after those we know.
_MAX_REST_BYTES = 1 << 20


class _Sections:
    """Blobs in file order, remembered with their places until the index tells what they must be."""

    def __init__(self, reader: GzipReader) -> None:
        self._reader = reader
        self._position = _PREAMBLE_BYTES
        self._blobs: dict[str, tuple[int, int, bytes]] = {}

    def read(self, name: str, most: int) -> bytes:
        prefix = self._reader.read(_LENGTH.size, f"length of {name}")
        (size,) = _LENGTH.unpack(prefix)
        if size > most:
            raise InvalidRing(f"announces {size} bytes of {name}: at most {most} are read")
        data = self._reader.read(size, name)
        start = self._position
        self._position += _LENGTH.size + size
        self._blobs[name] = start, self._position, data
        return data

    def check(self) -> None:
        """Read to the end; every section is where the index says, and has the digest it says."""
        rest = self._reader.read_up_to(_MAX_REST_BYTES)
        self._reader.finish()
        index = self._index(rest)
        for name, (start, end, data) in self._blobs.items():
            entry = index.get(name)
            if not isinstance(entry, list) or len(entry) != 6 or entry[4] not in _DIGESTS:
                raise InvalidRing(f"the index has no usable entry of {name}: {repr(entry)[:120]}")
            if [entry[1], entry[3]] != [start, end]:
                raise InvalidRing(f"the index has {name} at {entry[1]}, but it is at {start}")
            digest = hashlib.new(entry[4], _LENGTH.pack(len(data)), usedforsecurity=False)
            digest.update(data)
            if digest.hexdigest() != entry[5]:
                raise InvalidRing(f"the checksum of {name} is wrong")

    def _index(self, rest: bytes) -> dict[str, Any]:
        if len(rest) < _LENGTH.size + _TAIL.size:
            raise InvalidRing("is cut: it has no index")
        start = _TAIL.unpack_from(rest, len(rest) - _TAIL.size)[0] - self._position
        if not 0 <= start <= len(rest) - _TAIL.size - _LENGTH.size:
            raise InvalidRing("the position of the index is wrong")
        body = rest[start + _LENGTH.size : -_TAIL.size]
        if _LENGTH.unpack_from(rest, start) != (len(body),):
            raise InvalidRing("the length of the index is wrong")
        return header_json.parsed_object(body, "index")


def read(reader: GzipReader) -> Ring:
    """Read the ring that follows the magic and the version. Raises InvalidRing."""
    sections = _Sections(reader)
    fields = header_json.parsed_object(sections.read(_METADATA, header_json.MAX_JSON_BYTES), _METADATA)
    header = header_json.header_of(fields)
    replicas = header_json.replica_count(fields)
    id_bytes = fields.get("dev_id_bytes", DEFAULT_ID_BYTES)
    if type(id_bytes) is not int or id_bytes not in TYPECODES:
        raise InvalidRing(f"dev_id_bytes is {id_bytes!r}: expected one of {sorted(TYPECODES)}")
    devices = checked_devices(header_json.parsed(sections.read(_DEVICES, header_json.MAX_JSON_BYTES), _DEVICES))

    table = sections.read(_ASSIGNMENTS, MAX_TABLE_BYTES)
    row_bytes = full_table_bytes(header.part_shift, 1, id_bytes)
    if len(table) < row_bytes or len(table) % id_bytes or abs(len(table) / row_bytes - replicas) >= 1:
        raise InvalidRing(f"has a table of {len(table)} bytes: expected {replicas:g} rows of {row_bytes}")
    sections.check()
    rows = rows_of(table, header.part_shift, id_bytes, "big")
    check_assignment(rows, devices)
    return Ring(header, rows, devices)


def write(writer: GzipWriter, ring: Ring, id_bytes: int) -> bytes:
    """What follows the magic and the version, and the end of the file. Raises InvalidRing when ids need more bytes."""
    table = bytes_of(ring.rows, id_bytes, "big")
    metadata = {
        "dev_id_bytes": id_bytes,
        "replica_count": ring.replica_count,
        **header_json.header_fields(ring.header),
    }
    devices = [None if device is None else fields_of(device) for device in ring.devices]
    index = dict(
        (
            _write_section(writer, _METADATA, header_json.written(metadata)),
            _write_section(writer, _DEVICES, header_json.written(devices)),
            _write_section(writer, _ASSIGNMENTS, table),
        )
    )
    tail = _TAIL.pack(writer.plain_position, writer.compressed_position)
    body = header_json.written(index)
    writer.write(_LENGTH.pack(len(body)) + body)
    writer.flush()
    writer.write_stored(tail[:8])
    writer.write_stored(tail[8:])
    return writer.finish_stored()


def _write_section(writer: GzipWriter, name: str, data: bytes) -> tuple[str, list[int | str]]:
    """(name, its entry of the index). Stands between flushes, so that a reader can start and stop here."""
    start = writer.compressed_position, writer.plain_position
    blob = _LENGTH.pack(len(data)) + data
    writer.write(blob)
    writer.flush()
    digest = hashlib.sha256(blob, usedforsecurity=False).hexdigest()
    return name, [*start, writer.compressed_position, writer.plain_position, "sha256", digest]
