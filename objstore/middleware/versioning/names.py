"""Names of versions. Pure. Source: formats 8.5.

    container c          its versions are in  \\0versions\\0c
    object o, written t  \\0o\\0<t inverted>     so that the newest sorts first
    legacy, object o     001o/<t>               three hex digits: the length of the name in bytes

The id that clients see is t, as `1795232479.96376`, or `null` for an object that is no version.
"""

from __future__ import annotations

from objstore.core.errors import BadRequest
from objstore.core.names import RESERVED, quoted
from objstore.core.timestamp import InvalidTimestamp, Timestamp

NULL = "null"
DELETED_TYPE = "application/x-deleted"
DELETED_PARAMETER = ";swift_versions_deleted=1"
AFTER_IDS = ":"
"""Sorts behind every inverted timestamp."""


def versions_container(container: str) -> str:
    return f"{RESERVED}versions{RESERVED}{container}"


def version_name(obj: str, at: Timestamp) -> str:
    return f"{RESERVED}{obj}{RESERVED}{at.inverted().internal}"


def parse_version_name(name: str) -> tuple[str, str] | None:
    """(object, version id) of an object in a versions container; None for anything else."""
    if not name.startswith(RESERVED):
        return None
    obj, separator, inverted = name[1:].rpartition(RESERVED)
    if not separator:
        return None
    try:
        return obj, Timestamp.parse(inverted).inverted().normal
    except InvalidTimestamp:
        return None


def parse_id(text: str) -> Timestamp | None:
    """The time in a version id; None for `null`. Raises BadRequest."""
    if text == NULL:
        return None
    try:
        if not text.isascii() or len(text) > 40 or text[:1] not in "0123456789":
            raise InvalidTimestamp(text)
        return Timestamp.parse(text)
    except InvalidTimestamp:
        raise BadRequest(f"Invalid version parameter: {text[:80]!r}") from None


def is_deleted(content_type: str) -> bool:
    """Whether an object of this type is a delete marker."""
    return content_type.replace(" ", "").startswith(DELETED_TYPE + DELETED_PARAMETER)


def legacy_prefix(obj: str) -> str:
    return f"{len(obj.encode('utf-8', 'surrogateescape')):03x}{obj}/"


def with_id(path: str, version_id: str) -> str:
    """A path (text) as it is shown with the version it leads to."""
    return f"{quoted(path)}?version-id={version_id}"
