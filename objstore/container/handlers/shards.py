"""Shard ranges over HTTP: GET with X-Backend-Record-Type, PUT of what shards and the sharder report. Formats 6.3."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from objstore.container.handlers.rows import json_list
from objstore.container.service import POLICY_INDEX, ContainerService
from objstore.core.headers import is_true
from objstore.core.listing import Selection
from objstore.core.names import BackendPath
from objstore.core.policy import LEGACY_INDEX
from objstore.core.timestamp import Timestamp
from objstore.db import shards
from objstore.db.container import SHARDED, SHARDING, ContainerBroker, ContainerState
from objstore.db.shards import ShardRange
from objstore.http.request import Request
from objstore.http.response import JSON, Response, plain
from objstore.http.status import HTTPStatus

RECORD_TYPE = "x-backend-record-type"
_FORMAT = "x-backend-record-shard-format"
_OVERRIDE_FILTER = "x-backend-override-shard-name-filter"


def wants_shard_ranges(request: Request, state: ContainerState) -> bool:
    """Whether a GET is answered with ranges instead of objects."""
    kind = (request.header(RECORD_TYPE) or "").lower()
    return kind == "shard" or (kind == "auto" and state.sharding in (SHARDING, SHARDED))


def overrides_deleted(request: Request) -> bool:
    """Whether a GET of shard ranges is answered for a deleted container too."""
    return is_true(request.header("x-backend-override-deleted")) and bool(request.header(RECORD_TYPE))


def shard_ranges(
    request: Request, broker: ContainerBroker, state: ContainerState, selection: Selection, headers: dict[str, str]
) -> Response:
    """200 with the ranges that are asked for."""
    is_full = (request.header(_FORMAT) or "full").lower() != "namespace"
    is_unfiltered = (request.header(_OVERRIDE_FILTER) or "").lower() == SHARDED and state.sharding == SHARDED
    found = _selected(request, broker, selection, is_unfiltered)
    headers[RECORD_TYPE] = "shard"
    headers[_FORMAT] = "full" if is_full else "namespace"
    if is_unfiltered:
        headers[_OVERRIDE_FILTER] = "true"
    headers["content-type"] = JSON
    return Response(HTTPStatus.OK, headers, json.dumps([_item(item, is_full) for item in found]).encode())


def put_shard_ranges(service: ContainerService, request: Request, path: BackendPath) -> Response:
    """Merge a list of ranges; makes the container where that is asked for."""
    timestamp = request.timestamp()
    policy_index = service.policy_of(request)
    ranges = [shards.shard_range_of(item) for item in json_list(request)]
    items = service.metadata_of(request, timestamp)
    broker = service.broker(path)
    assert path.account is not None and path.container is not None
    is_created = False
    if not broker.exists:
        if not service.may_create(request, path.account):
            return plain(HTTPStatus.NOT_FOUND, "No such container")
        index = LEGACY_INDEX if policy_index is None else policy_index
        is_created = broker.create(path.account, path.container, timestamp, service.node.clock.now(), index)
    if items:
        broker.post(None, items, service.check_metadata)
    broker.merge_shard_ranges(ranges)
    headers = {POLICY_INDEX: str(broker.info(fresh=False).storage_policy_index)}
    return plain(HTTPStatus.CREATED if is_created else HTTPStatus.ACCEPTED, headers=headers)


def full_item(item: ShardRange) -> dict[str, Any]:
    """A range as it travels: every column, in table order."""
    return item._asdict()


def _selected(request: Request, broker: ContainerBroker, selection: Selection, is_unfiltered: bool) -> list[ShardRange]:
    query = request.query
    ranges, own = broker.shard_ranges(with_deleted=is_true(request.header("x-backend-include-deleted")))
    states, with_own, fill = shards.states_of(query.get("states", ""))
    if with_own and own is not None:
        ranges = sorted([*ranges, own], key=lambda item: item.order)
    if states:
        ranges = [item for item in ranges if item.state in states]
    after, before = selection.marker, selection.end_marker
    if selection.reverse:
        after, before = before, after
    includes = query.get("includes", "")
    if is_unfiltered:
        after = before = includes = ""
    if includes:
        return [item for item in ranges if item.covers(includes)][:1]
    ranges = [item for item in ranges if item.overlaps(after, before)]
    if fill:
        ranges = shards.filled(ranges, own, after, before)
    if selection.reverse and not is_unfiltered:
        ranges.reverse()
    return ranges


def _item(item: ShardRange, is_full: bool) -> Mapping[str, Any]:
    if not is_full:
        return {"name": item.name, "lower": item.lower, "upper": item.upper}
    return {**full_item(item), "last_modified": Timestamp.parse(item.timestamp).isoformat}
