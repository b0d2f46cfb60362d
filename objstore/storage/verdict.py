"""Is a stored object what was written? Pure: what was seen goes in, the reason for quarantine comes out, or None.

Only what contradicts itself is damaged. What cannot be checked (no ETag kept, a kind of header nobody knows) is no
reason: absence of evidence quarantines nothing. Source: formats 4.12.
"""

from __future__ import annotations

from collections.abc import Mapping

from objstore.runtime.checksum import crc_text, parse_crc
from objstore.storage.engine import CONTENT_LENGTH, CRC_HEADER, ETAG

_DELETE_AT = "x-delete-at"


def metadata_verdict(
    headers: Mapping[str, str], size_bytes: int, *, hash_of_name: str, directory_hash: str
) -> str | None:
    """Of what stands beside the body. headers: lower-case names. size_bytes: of the file."""
    if hash_of_name != directory_hash:
        return f"its name belongs into {hash_of_name}"
    stated = headers.get(CONTENT_LENGTH)
    if stated is None:
        return "its metadata has no length"
    if stated != str(size_bytes):
        return f"it holds {size_bytes} bytes, its metadata says {stated}"
    moment = headers.get(_DELETE_AT)
    if moment is not None and not (moment.isascii() and moment.isdigit()):
        return f"its X-Delete-At {moment!r} is no number"
    return None


def body_verdict(headers: Mapping[str, str], *, md5_hex: str, crc32c: int) -> str | None:
    """Of the body, read whole."""
    etag = headers.get(ETAG, "").strip('"').lower()
    if etag and etag != md5_hex:
        return f"its MD5 is {md5_hex}, its ETag {etag}"
    stated = parse_crc(headers.get(CRC_HEADER))
    if stated is not None and stated != crc32c:
        return f"its CRC32C is {crc_text(crc32c)}, its metadata says {crc_text(stated)}"
    return None
