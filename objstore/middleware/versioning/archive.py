"""Storing an object a second time, under another name, exactly as it is: data, metadata, links and manifests.

What is read is checked against its ETag by the server that stores it, so a copy is confirmed before anybody removes or
replaces the original.
"""

from __future__ import annotations

from objstore.core.headers import environ_key
from objstore.http import environ as keys
from objstore.http.environ import Environ, WSGIApp
from objstore.http.subrequest import BytesInput, IteratorInput, SubResponse, call, child_environ
from objstore.middleware.symlink import LINK_HEADERS, store_link

SOURCE = "VW"
_OF_THE_ANSWER = frozenset(
    {
        "accept-ranges", "content-length", "content-location", "content-range", "content-type", "date", "etag",
        "last-modified", "x-timestamp", "x-trans-id", "x-openstack-request-id", "x-put-timestamp",
        "x-object-sysmeta-objstore-crc32c", *LINK_HEADERS,
    }
)  # fmt: skip
_ALLOW_RESERVED = {"x-backend-allow-reserved-names": "true"}


def internal(environ: Environ, method: str, path: str, query: str = "", **headers: str) -> Environ:
    """A request of the system's own, authorized, to any name; a header x_timestamp=… is X-Timestamp. path: WSGI."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    child = child_environ(
        environ, method, path, source=SOURCE, query=query, headers=_ALLOW_RESERVED | named, authorized=True
    )
    if method in ("PUT", "POST", "DELETE"):
        child["CONTENT_LENGTH"] = "0"
    return child


def read_current(app: WSGIApp, environ: Environ, path: str, method: str = "GET") -> SubResponse:
    """The newest object of a name; of a link the link itself."""
    return call(app, internal(environ, method, path, "symlink=get", x_newest="true"))


def store(
    app: WSGIApp, environ: Environ, found: SubResponse, path: str, *, expires: bool = True, **headers: str
) -> SubResponse:
    """PUT what a GET (read_current) has found at `path`, and close it. The answer is read to its end. expires: the copy
    goes when the original would have gone."""
    try:
        put = internal(environ, "PUT", path, **headers)
        carry(put, found)
        if not expires:
            put.pop("HTTP_X_DELETE_AT", None)
        answer = call(app, put)
        answer.discard()
        return answer
    finally:
        found.close()


def carry(put: Environ, found: SubResponse) -> None:
    """Give a PUT's environ the body and everything that says what the object is."""
    headers = found.headers
    for name, value in headers.items():
        if name not in _OF_THE_ANSWER and not name.startswith("x-backend-"):
            put.setdefault(environ_key(name), value)
    type_, separator, parameter = headers.get("content-type", "").partition(";swift_")
    put["CONTENT_TYPE"] = type_
    if separator:
        put[keys.CONTENT_TYPE_PARAMETERS] = separator + parameter
    link = {stored: headers[shown] for shown, stored in LINK_HEADERS.items() if shown in headers}
    if link:
        store_link(put, link)
    length = int(headers.get("content-length", "0"))
    put["CONTENT_LENGTH"] = str(length)
    put["wsgi.input"] = IteratorInput(found.body, length) if length else BytesInput()
    put["HTTP_ETAG"] = headers.get("etag", "").strip('"')
