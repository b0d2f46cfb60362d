"""Headers of a stored manifest, and what a client sees in their place. Source: formats 8.2."""

from __future__ import annotations

from objstore.http.environ import Environ

FLAG = "x-static-large-object"
SLO_ETAG = "x-object-sysmeta-slo-etag"
SLO_SIZE = "x-object-sysmeta-slo-size"
OVERRIDE_ETAG = "x-object-sysmeta-container-update-override-etag"
_FLAG_TITLE = "X-Static-Large-Object"
_ETAG_IS_AT, _IGNORE_RANGE = "HTTP_X_BACKEND_ETAG_IS_AT", "HTTP_X_BACKEND_IGNORE_RANGE_IF_METADATA_PRESENT"
_CONDITIONS = ("HTTP_IF_MATCH", "HTTP_IF_NONE_MATCH")


def is_manifest(headers: list[tuple[str, str]]) -> bool:
    """Whether an answer speaks of a static large object. Runs for every GET: the proxy's names are in title case."""
    for name, value in headers:
        if len(name) == 21 and (name == _FLAG_TITLE or name.lower() == FLAG):
            return value.strip().lower() == "true"
    return False


def ask_for_manifests(environ: Environ, *, whole: bool) -> None:
    """Have conditions be about the large object's ETag, and no Range cut the manifest. whole: ranges do not count at
    all. A plain GET carries neither header."""
    if any(key in environ for key in _CONDITIONS):
        # The first of the list that an object has is taken: a filter above may have one that counts more.
        listed = environ.get(_ETAG_IS_AT)
        environ[_ETAG_IS_AT] = f"{listed},{SLO_ETAG}" if listed else SLO_ETAG
    if whole or "HTTP_RANGE" in environ:
        environ[_IGNORE_RANGE] = FLAG


def without_bytes(content_type: str) -> str:
    """A content type without the parameter that tells listings the size."""
    if "swift_bytes" not in content_type:
        return content_type
    parts = content_type.split(";")
    return ";".join([parts[0], *(part for part in parts[1:] if not part.strip().startswith("swift_bytes="))])


def shown(headers: dict[str, str], etag: str) -> dict[str, str]:
    """An answer's headers as they are about the large object: its ETag quoted, no Content-Length yet."""
    found = {
        name: value
        for name, value in headers.items()
        if name not in (SLO_ETAG, SLO_SIZE, OVERRIDE_ETAG, "content-length", "content-range")
    }
    found["x-manifest-etag"] = headers.get("etag", "").strip('"')
    found["etag"] = f'"{etag}"'
    if "content-type" in found:
        found["content-type"] = without_bytes(found["content-type"])
    return found
