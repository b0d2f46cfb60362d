"""HEAD and GET of a container. Source: formats 6.3.

A 404 carries X-Backend-*-Timestamp: zeros when this replica knows nothing, else when the container was deleted.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from objstore.container.handlers.shards import overrides_deleted, shard_ranges, wants_shard_ranges
from objstore.container.listing_json import items_of, joined
from objstore.container.service import POLICY_INDEX, ContainerService
from objstore.core import listing, metadata_headers
from objstore.core.errors import Corrupt, NotFound
from objstore.core.timestamp import ZERO, Timestamp, http_date
from objstore.db import metadata as meta
from objstore.db.container import ContainerInfo, ContainerState
from objstore.http.listing import media_type_of, selection_of
from objstore.http.request import Request
from objstore.http.response import Response, plain
from objstore.http.status import HTTPStatus

_UNKNOWN = ZERO.internal
_NOTHING = {
    "x-backend-timestamp": _UNKNOWN,
    "x-backend-put-timestamp": _UNKNOWN,
    "x-backend-delete-timestamp": _UNKNOWN,
    "x-backend-status-changed-at": _UNKNOWN,
    POLICY_INDEX: "0",
}


def head(service: ContainerService, request: Request) -> Response:
    path = request.backend_path(4, 4)
    broker = service.broker(path)
    media_type = media_type_of(request)
    try:
        state = broker.state()
    except (NotFound, Corrupt):
        return plain(HTTPStatus.NOT_FOUND, headers=_NOTHING)
    headers = backend_headers(state.info)
    if state.info.is_deleted:
        return plain(HTTPStatus.NOT_FOUND, headers=headers)
    add_live_headers(headers, state)
    headers["content-type"] = f"{media_type}; charset=utf-8"
    headers["content-length"] = "0"
    return Response(HTTPStatus.NO_CONTENT, headers)


def get(service: ContainerService, request: Request) -> Response:
    path = request.backend_path(4, 4)
    broker = service.broker(path)
    selection = selection_of(request, service.node.limits.container_listing_limit)
    media_type = media_type_of(request)
    policy_index = service.policy_of(request)
    try:
        state = broker.state()
        info = state.info
        if info.is_deleted and not overrides_deleted(request):
            return missing(info)
        headers = backend_headers(info)
        if not info.is_deleted:
            add_live_headers(headers, state)
        if wants_shard_ranges(request, state):
            return shard_ranges(request, broker, state, selection, headers)
        if policy_index is None:
            policy_index = info.storage_policy_index
        if media_type == listing.JSON:
            body = joined(broker.json_page(selection, policy_index))
        else:
            assert path.container is not None
            body = _body(media_type, path.container, items_of(broker.page(selection, policy_index)))
    except (NotFound, Corrupt):
        return missing(None)
    headers["x-backend-record-type"] = "object"
    headers["x-backend-record-storage-policy-index"] = str(policy_index)
    headers["content-type"] = f"{media_type}; charset=utf-8"
    return Response(HTTPStatus.OK if body else HTTPStatus.NO_CONTENT, headers, body)


def missing(info: ContainerInfo | None) -> Response:
    """404: nothing here (None), or what is known of a deleted container."""
    return plain(HTTPStatus.NOT_FOUND, "No such container", _NOTHING if info is None else backend_headers(info))


def backend_headers(info: ContainerInfo) -> dict[str, str]:
    """The headers of every answer about a container that exists or existed."""
    return {
        "x-backend-timestamp": _internal(info.created_at),
        "x-backend-put-timestamp": _internal(info.put_timestamp),
        "x-backend-delete-timestamp": _internal(info.delete_timestamp),
        "x-backend-status-changed-at": _internal(info.status_changed_at),
        POLICY_INDEX: str(info.storage_policy_index),
    }


def add_live_headers(headers: dict[str, str], state: ContainerState) -> None:
    """Add the headers that only a live container has."""
    info = state.info
    headers["x-container-object-count"] = str(info.object_count)
    headers["x-container-bytes-used"] = str(info.bytes_used)
    headers["x-timestamp"] = _internal(info.created_at)[:16]
    put = _internal(info.put_timestamp)
    headers["x-put-timestamp"] = put[:16]
    headers["x-backend-sharding-state"] = state.sharding
    headers["last-modified"] = http_date(Timestamp.parse(put).ceil_seconds)
    if info.metadata:
        headers.update(metadata_headers.sent(meta.live(meta.parse(info.metadata))))


def _internal(text: str) -> str:
    """A stored timestamp in full: columns hold `0` for never."""
    return text if len(text) >= 16 else Timestamp.parse(text or "0").internal


def _body(media_type: str, container: str, items: list[Mapping[str, Any]]) -> bytes:
    if media_type == listing.TEXT:
        return listing.to_text(items)
    return listing.to_xml_container(container, items)
