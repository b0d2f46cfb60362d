"""The metadata of an object that was POSTed to: what comes from the .meta and what stays with the .data. Pure.

Source: formats 4.4. A POST replaces all user metadata; what describes the body, and sysmeta, cannot be posted.
"""

from __future__ import annotations

from collections.abc import Mapping

from objstore.core.timestamp import Timestamp

_STAYS = frozenset({"content-length", "etag", "deleted", "x-static-large-object"})
_SYSMETA = "x-object-sysmeta-"
_CONTENT_TYPE = "content-type"
_TIMESTAMPS = frozenset({"x-timestamp", "content-type-timestamp"})


def stays_with_data(name: str) -> bool:
    """Whether a header belongs to the body and survives every POST."""
    return name in _STAYS or name.startswith(_SYSMETA)


def merged(data: Mapping[str, str], meta: Mapping[str, str], content_type: str | None) -> dict[str, str]:
    """Headers in effect, timestamps left out. content_type: of the newest POST that set one, None when the data's own
    is newer."""
    result = {name: value for name, value in meta.items() if name not in _TIMESTAMPS and not stays_with_data(name)}
    result.update((name, value) for name, value in data.items() if stays_with_data(name))
    effective = content_type if content_type is not None else data.get(_CONTENT_TYPE)
    if effective is None:
        result.pop(_CONTENT_TYPE, None)
    else:
        result[_CONTENT_TYPE] = effective
    return result


def without_timestamps(data: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in data.items() if name not in _TIMESTAMPS}


def posted_type(
    meta: Mapping[str, str], meta_type_at: Timestamp | None, data_at: Timestamp
) -> tuple[str, Timestamp] | None:
    """(content type, when) that a POST left in effect, or None when the data's own counts."""
    if meta_type_at is None or meta_type_at <= data_at:
        return None
    value = meta.get(_CONTENT_TYPE)
    return None if value is None else (value, meta_type_at)
