"""HEAD and GET of an account. Source: formats 6.2.

404 means that this replica has nothing; with X-Account-Status: Deleted it means the account was deleted (the proxy says
410). The two are different things, and a wrong 404 makes updaters quarantine containers (formats 5.9).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from objstore.account.service import AccountService
from objstore.core import listing, metadata_headers
from objstore.core.errors import NotFound
from objstore.core.names import wsgi_of
from objstore.core.timestamp import Timestamp
from objstore.db import metadata as meta
from objstore.db.account import AccountInfo, AccountState
from objstore.db.walk import Row
from objstore.http.listing import media_type_of, selection_of
from objstore.http.request import Request
from objstore.http.response import Response, plain
from objstore.http.status import HTTPStatus

STATUS = "x-account-status"
STATUS_DELETED = "Deleted"


def head(service: AccountService, request: Request) -> Response:
    path = request.backend_path(3, 3)
    broker = service.broker(path)
    media_type = media_type_of(request)
    try:
        state = broker.state()
    except NotFound:
        return missing(None)
    if state.info.is_deleted:
        return missing(state.info)
    headers = headers_of(service, state)
    headers["content-type"] = f"{media_type}; charset=utf-8"
    headers["content-length"] = "0"
    return Response(HTTPStatus.NO_CONTENT, headers)


def get(service: AccountService, request: Request) -> Response:
    path = request.backend_path(3, 3)
    broker = service.broker(path)
    selection = selection_of(request, service.node.limits.account_listing_limit)
    media_type = media_type_of(request)
    try:
        state, page = broker.page(selection)
    except NotFound:
        return missing(None)
    if state.info.is_deleted:
        return missing(state.info)
    assert path.account is not None
    body = _body(media_type, path.account, items_of(service, page))
    headers = headers_of(service, state)
    headers["content-type"] = f"{media_type}; charset=utf-8"
    return Response(HTTPStatus.OK if body else HTTPStatus.NO_CONTENT, headers, body)


def missing(info: AccountInfo | None) -> Response:
    """404: nothing here (None), or something that was deleted."""
    headers = {STATUS: STATUS_DELETED} if info is not None and info.is_marked_deleted else {}
    return plain(HTTPStatus.NOT_FOUND, headers=headers)


def headers_of(service: AccountService, state: AccountState) -> dict[str, str]:
    info = state.info
    headers = {
        "x-account-container-count": str(info.container_count or 0),
        "x-account-object-count": str(info.object_count),
        "x-account-bytes-used": str(info.bytes_used),
        "x-timestamp": Timestamp.parse(info.created_at).normal,
        "x-put-timestamp": Timestamp.parse(info.put_timestamp).normal,
    }
    for index, usage in state.policies.items():
        policy = service.node.policies.by_index(index)
        if policy is not None:
            prefix = wsgi_of(f"x-account-storage-policy-{policy.name.lower()}")
            headers[f"{prefix}-container-count"] = str(usage.container_count)
            headers[f"{prefix}-object-count"] = str(usage.object_count)
            headers[f"{prefix}-bytes-used"] = str(usage.bytes_used)
    headers.update(metadata_headers.sent(meta.live(meta.parse(info.metadata))))
    return headers


def items_of(service: AccountService, page: Iterable[Row | str]) -> list[Mapping[str, Any]]:
    """The JSON items of a page, in Swift's order of keys."""
    names = {policy.index: policy.name for policy in service.node.policies}
    items: list[Mapping[str, Any]] = []
    for row in page:
        if isinstance(row, str):
            items.append({"subdir": row})
            continue
        name, object_count, bytes_used, put_timestamp, policy_index = row
        item = {
            "name": name,
            "count": object_count,
            "bytes": bytes_used,
            "last_modified": Timestamp.parse(put_timestamp).isoformat,
        }
        if policy_index in names:
            item["storage_policy"] = names[policy_index]
        items.append(item)
    return items


def _body(media_type: str, account: str, items: list[Mapping[str, Any]]) -> bytes:
    if media_type == listing.JSON:
        return json.dumps(items).encode()
    if media_type == listing.TEXT:
        return listing.to_text(items)
    return listing.to_xml_account(account, items)
