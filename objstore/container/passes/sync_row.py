"""One row of a synced container: bring what it says to the other cluster, unless that has it already.

What is sent is the object of this moment, the newest that any replica has, with its own timestamp; a copy older than
the row (the newer one lies on a node that is away) is not sent. Manifests and links travel as such: the other cluster
needs what they lead to as well. A link that object versioning made travels as the object it stands for.

A 404 here is believed only when it says how new it is: deleted or expired since, which is a row of its own or needs
none. Absence without a reason leaves the row to be tried again. Source: formats 6.10, 8.2, 8.4; feature B3.12.
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import unquote

from objstore.container.passes.sync_peer import KNOWN, Peer, Said, Verdict
from objstore.container.passes.sync_target import Target
from objstore.core.errors import DomainError, InvalidTimestamp
from objstore.core.names import RESERVED
from objstore.core.timestamp import Timestamp, decode
from objstore.db.container import ContainerInfo
from objstore.db.sync_rows import SyncRow
from objstore.http.client import PeerError
from objstore.http.internal import InternalClient
from objstore.http.status import HTTPStatus
from objstore.http.subrequest import SubResponse

_AS_STORED = "multipart-manifest=get&format=raw&symlink=get"
_PUT_MANIFEST = "?multipart-manifest=put"
_FLAG = "x-static-large-object"
_LINK = "x-symlink-target"
_STILL_ENCRYPTED = ("x-object-sysmeta-crypto-", "x-object-transient-sysmeta-crypto-")
_ENCRYPTED = "it is encrypted: internal_client_conf_path must name a pipeline with the keymaster and encryption"
_NOT_SENT = frozenset({
    "accept-ranges", "age", "connection", "content-length", "content-location", "content-range", "date", "keep-alive",
    "last-modified", "server", "trailer", "transfer-encoding", "vary", "x-manifest-etag", "x-openstack-request-id",
    "x-parts-count", "x-timestamp", "x-trans-id", "x-object-version-id", _FLAG,
})  # fmt: skip
_NOT_SENT_PREFIXES = ("x-backend-", "x-object-sysmeta-", "x-object-transient-sysmeta-", "x-container-", "x-account-")


class RowSync:
    """Syncs rows of one container. client: the pipeline that reads objects here."""

    def __init__(self, client: InternalClient, peer: Peer, target: Target, info: ContainerInfo) -> None:
        self._client = client
        self._peer = peer
        self._target = target
        self._account = info.account
        self._root = f"/v1/{info.account}/{info.container}/"

    def bring(self, row: SyncRow) -> Said:
        """Raises only bugs."""
        try:
            times = decode(row.created_at)
        except InvalidTimestamp as error:
            return Said(Verdict.FAILED, f"the row cannot be read: {error}")
        at = _without_offset(max(times))
        if row.is_deleted:
            return self._peer.delete(self._target, row.name, at)
        there = self._peer.newest(self._target, row.name, at)
        if isinstance(there, Said):
            return there
        if there >= at:
            return KNOWN
        try:
            return self._send(row, at)
        except (DomainError, PeerError) as error:
            return Said(Verdict.FAILED, f"cannot be read here: {error}")

    def _send(self, row: SyncRow, at: Timestamp) -> Said:
        source = self._open(self._root + row.name)
        try:
            newest = _newest(source.headers)
            if source.status == HTTPStatus.NOT_FOUND and newest is not None and newest >= at:
                return KNOWN  # Deleted or expired since.
            if source.is_success and (newest is None or newest < at):
                return Said(Verdict.FAILED, "only an older copy can be read here")
            version = _version_name(source.headers)
            if source.is_success and version is not None:
                source.close()
                # By its own name, which stands for this one content: the link may have changed meanwhile.
                source = self._open(f"/v1/{self._account}/{version}")
            if not source.is_success or newest is None:
                return Said(Verdict.FAILED, f"GET here was answered with {source.status}")
            if any(name.startswith(_STILL_ENCRYPTED) for name in source.headers):
                return Said(Verdict.FAILED, _ENCRYPTED)
            return self._put(row.name, newest, source)
        finally:
            source.close()

    def _put(self, name: str, at: Timestamp, source: SubResponse) -> Said:
        headers = source.headers
        length = headers.get("content-length", "")
        if not (length.isascii() and length.isdigit()):
            return Said(Verdict.FAILED, "GET here told no length")
        sent = {name: value for name, value in headers.items() if _is_sent(name)}
        if headers.get(_FLAG, "").lower() == "true":
            # Its ETag here is that of the text, there it would have to be that of what the segments make.
            sent.pop("etag", None)
            return self._peer.put(self._target, name, at, sent, source.body, int(length), _PUT_MANIFEST)
        return self._peer.put(self._target, name, at, sent, source.body, int(length))

    def _open(self, path: str) -> SubResponse:
        return self._client.request("GET", path, query=_AS_STORED, headers={"X-Newest": "true"})


def _newest(headers: Mapping[str, str]) -> Timestamp | None:
    """Of the object or of its absence; without an offset, which clients' requests do not carry."""
    try:
        return _without_offset(Timestamp.parse(headers.get("x-backend-timestamp") or headers.get("x-timestamp", "")))
    except InvalidTimestamp:
        return None


def _without_offset(at: Timestamp) -> Timestamp:
    return Timestamp(at.ticks)


def _version_name(headers: Mapping[str, str]) -> str | None:
    """container/object of the version that a link of object versioning leads to; None for anything else."""
    target = unquote(headers.get(_LINK, ""), errors="surrogateescape")
    return target if target.startswith(RESERVED) else None


def _is_sent(name: str) -> bool:
    return name not in _NOT_SENT and not name.startswith(_NOT_SENT_PREFIXES)
