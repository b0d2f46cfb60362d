"""The JSON parts of ring files: read within a bound, written one way (sorted keys, ASCII). Used by both versions."""

from __future__ import annotations

import json
import sys
from typing import Any

from objstore.ring.model import HASH_BITS, InvalidRing, RingHeader

# A device takes about 200 bytes of JSON, so this is room for 300,000 of them.
MAX_JSON_BYTES = 64 << 20


def parsed(data: bytes, what: str) -> Any:
    """The value of JSON text; Any because it is what the file says. Raises InvalidRing."""
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        raise InvalidRing(f"the {what} is not JSON: {error}") from None


def parsed_object(data: bytes, what: str) -> dict[str, Any]:
    """As parsed(), of a JSON object."""
    value = parsed(data, what)
    if not isinstance(value, dict):
        raise InvalidRing(f"the {what} is not a JSON object")
    return value


def check_size(size: int, what: str) -> None:
    if size > MAX_JSON_BYTES:
        raise InvalidRing(f"announces {size} bytes of {what}: at most {MAX_JSON_BYTES} are read")


def written(value: object) -> bytes:
    return json.dumps(value, sort_keys=True).encode("ascii")


def header_of(fields: dict[str, Any]) -> RingHeader:
    """part_shift, version and next_part_power. Raises InvalidRing."""
    return RingHeader(
        _bounded(fields, "part_shift", HASH_BITS),
        None if fields.get("version") is None else _bounded(fields, "version"),
        None if fields.get("next_part_power") is None else _bounded(fields, "next_part_power", HASH_BITS),
    )


def header_fields(header: RingHeader) -> dict[str, int]:
    """The inverse of header_of: what is not known is not written."""
    return {name: value for name, value in header._asdict().items() if value is not None}


def replica_count(fields: dict[str, Any]) -> float:
    """Raises InvalidRing."""
    value: Any = fields.get("replica_count")
    if type(value) not in (int, float) or not 0 < value <= sys.float_info.max:  # Neither infinite nor not a number.
        raise InvalidRing(f"replica_count is {value!r}: expected a number above 0")
    return float(value)


def _bounded(fields: dict[str, Any], name: str, most: int = (1 << 63) - 1) -> int:
    value = fields.get(name)
    if type(value) is not int or not 0 <= value <= most:
        raise InvalidRing(f"{name} is {value!r}: expected 0 to {most}")
    return value
