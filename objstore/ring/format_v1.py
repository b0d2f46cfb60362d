"""Version 1 of ring files, what Swift writes by default: one JSON header, then the table in the writer's byte order.

    plaintext of the gzip member:
      0     4   R1NG
      4     2   big-endian 1
      6     4   big-endian J
      10    J   JSON: devs, part_shift, replica_count (rows), byteorder [, version] [, next_part_power]
      10+J  …   rows of 2-byte device ids

Called by fileformat. Source: formats 2.1; doc/formats/rings.md.
"""

from __future__ import annotations

import math
import struct
import sys

from objstore.ring import header_json
from objstore.ring.device_fields import fields_of
from objstore.ring.gzip_member import GzipReader, GzipWriter
from objstore.ring.model import InvalidRing, Ring
from objstore.ring.table import bytes_of, check_assignment, checked_devices, full_table_bytes, rows_of

VERSION = 1
_ID_BYTES = 2


def read(reader: GzipReader) -> Ring:
    """Read the ring that follows the magic and the version. Raises InvalidRing."""
    (size,) = struct.unpack("!I", reader.read(4, "header's length"))
    header_json.check_size(size, "header")
    fields = header_json.parsed_object(reader.read(size, "header"), "header")
    header = header_json.header_of(fields)
    row_count = math.ceil(header_json.replica_count(fields))
    byteorder = fields.get("byteorder", sys.byteorder)
    if byteorder not in ("little", "big"):
        raise InvalidRing(f"byteorder is {byteorder!r}: expected little or big")
    devices = checked_devices(fields.get("devs"))

    full = full_table_bytes(header.part_shift, row_count, _ID_BYTES)
    table = reader.read_up_to(full)
    row_bytes = full // row_count
    if len(table) < max(row_bytes, full - row_bytes + _ID_BYTES) or len(table) % _ID_BYTES:
        raise InvalidRing(f"has a table of {len(table)} bytes: expected {full}, or less by a part of the last row")
    reader.finish()
    rows = rows_of(table, header.part_shift, _ID_BYTES, byteorder)
    check_assignment(rows, devices)
    return Ring(header, rows, devices)


def write(writer: GzipWriter, ring: Ring) -> bytes:
    """What follows the magic and the version, and the end of the file. Raises InvalidRing when ids need more bytes."""
    table = bytes_of(ring.rows, _ID_BYTES, sys.byteorder)
    header = header_json.written(
        {
            "byteorder": sys.byteorder,
            "devs": [None if device is None else fields_of(device) for device in ring.devices],
            "replica_count": len(ring.rows),
            **header_json.header_fields(ring.header),
        }
    )
    writer.write(struct.pack("!I", len(header)) + header)
    writer.write(table)
    return writer.finish()
