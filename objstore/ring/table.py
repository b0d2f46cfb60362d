"""The assignment table of a ring file: rows of device ids, checked against the list of devices.

The bounds live here: what a file announces is believed only as far as a real cluster could need it.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Iterable, Sequence

from objstore.ring.device_fields import device_of
from objstore.ring.model import HASH_BITS, Device, InvalidRing, Row

# 2^24 partitions of 4 replicas and 4-byte ids: some hundred times the largest cluster we know of.
MAX_TABLE_BYTES = 256 << 20
MAX_REPLICAS = 1024
TYPECODES = {2: "H", 4: "I", 8: "Q"}


def full_table_bytes(part_shift: int, row_count: int, id_bytes: int) -> int:
    """What a table without fractional replicas takes. Raises InvalidRing when that is beyond any cluster."""
    if not 1 <= row_count <= MAX_REPLICAS:
        raise InvalidRing(f"replica_count is {row_count}: expected 1 to {MAX_REPLICAS}")
    size = row_count * id_bytes << (HASH_BITS - part_shift)
    if size > MAX_TABLE_BYTES:
        raise InvalidRing(f"announces a table of {size} bytes: at most {MAX_TABLE_BYTES} are read")
    return size


def rows_of(data: bytes, part_shift: int, id_bytes: int, byteorder: str) -> list[Row[int]]:
    """Rows of a table in one piece, all full but perhaps the last. data: one full row or more, whole ids."""
    row_bytes = id_bytes << (HASH_BITS - part_shift)
    rows = []
    view = memoryview(data)
    for start in range(0, len(data), row_bytes):
        row: Row[int] = array(TYPECODES[id_bytes])
        row.frombytes(view[start : start + row_bytes])
        if byteorder != sys.byteorder:
            row.byteswap()
        rows.append(row)
    return rows


def bytes_of(rows: Iterable[Row[int]], id_bytes: int, byteorder: str) -> bytes:
    """The inverse of rows_of. Raises InvalidRing when an id does not fit."""
    pieces = []
    for row in rows:
        try:
            copy = array(TYPECODES[id_bytes], row)
        except OverflowError:
            raise InvalidRing(f"has device ids beyond {id_bytes} bytes: write it as version 2 with wider ids") from None
        if byteorder != sys.byteorder:
            copy.byteswap()
        pieces.append(copy.tobytes())
    return b"".join(pieces)


def checked_devices(raw: object) -> tuple[Device | None, ...]:
    """The devices of a JSON list, None for null. Raises InvalidRing."""
    if not isinstance(raw, list):
        raise InvalidRing("the list of devices is not a list")
    return tuple(None if fields is None else device_of(fields, index) for index, fields in enumerate(raw))


def check_assignment(rows: Sequence[Row[int]], devices: Sequence[Device | None]) -> None:
    """Every entry stands for a device. Raises InvalidRing naming the first partition where one does not."""
    for used in set[int]().union(*rows):
        if used >= len(devices) or devices[used] is None:
            number = next(number for number, row in enumerate(rows) if used in row)
            fault = "of which there is none"
            if used == (1 << 8 * rows[0].itemsize) - 1:
                fault = 'which means "not assigned yet"'
            raise InvalidRing(f"partition {rows[number].index(used)}, replica {number} is on device {used}, {fault}")
