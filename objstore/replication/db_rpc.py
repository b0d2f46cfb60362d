"""The receiving side of database replication: REPLICATE /device/partition/hash with a JSON list [operation, argument…].

    sync                 the sender's state → ours, as JSON; what is newer of the sender's is taken over
    merge_items          rows, sender id                       merge_syncs       [{remote_id, sync_point}…]
    complete_rsync       file in tmp/ [, final name]           rsync_then_merge  file in tmp/ [, name]
    merge_shard_ranges   ranges, sender id                     get_shard_ranges  (containers only)

Arguments are checked before anything is touched: a replica must not store what it can never read again (400 where
Swift fails with 500). A body that is not JSON but a piece of a file goes to db_upload. Account and container servers
call replicate(). Source: formats 6.8.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from typing import Any

from objstore.core.errors import BadRequest, BodyTooLarge, InvalidTimestamp, NotFound
from objstore.core.hashing import HashSecrets
from objstore.core.names import text_of
from objstore.core.timestamp import Timestamp
from objstore.db import metadata as meta
from objstore.db import replica, shards
from objstore.db.check import arrived_problem
from objstore.db.container import ContainerBroker
from objstore.db.database import Database, Databases
from objstore.db.location import ACCOUNTS
from objstore.db.rows import merge_container_rows, merge_object_rows
from objstore.db.sync_points import raise_sync_points
from objstore.db.wire_rows import container_row_of, object_row_of, row_id_of
from objstore.http.request import Request
from objstore.http.response import Response, plain
from objstore.http.status import HTTPStatus
from objstore.replication import db_upload
from objstore.runtime.clock import Clock
from objstore.runtime.devices import Devices, Reserve

BODY_BYTES_MAX = 256 * 1024 * 1024
"""One REPLICATE body: 1,000 rows of merge_items at the longest names stay far below."""

ROW_ID_MAX = (1 << 63) - 1

_HASH = re.compile(r"[0-9a-f]{32}\Z")

Operation = Callable[[Database, list[Any], Timestamp], Response]


def replicate(
    databases: Databases, devices: Devices, clock: Clock, request: Request, secrets: HashSecrets, reserve: Reserve
) -> Response:
    """Answer one REPLICATE request. secrets: an installed file must be of the names its place is for. reserve: space
    that uploads may not take. Raises DeviceUnavailable, BadRequest and what the brokers raise."""
    device, partition, hash_hex = _path(request)
    device_path = devices.path(device)
    if db_upload.is_upload(request):
        return db_upload.receive(databases, device_path, reserve, request)
    name, arguments = _call(request)
    operation = _OPERATIONS.get(name)
    if operation is None or (name in _CONTAINERS_ONLY and databases.kind.datadir == ACCOUNTS):
        raise BadRequest(f"Unknown operation {name!r}")
    if not _HASH.match(hash_hex) or not (partition.isascii() and partition.isdigit()):
        return _missing()
    if name in _INSTALLERS:
        _check_arrived(databases.at(device_path, partition, hash_hex), arguments, secrets)
    try:
        return operation(databases.at(device_path, partition, hash_hex), arguments, clock.now())
    except NotFound:
        return _missing()


def _sync(database: Database, arguments: list[Any], now: Timestamp) -> Response:
    remote = _remote_state(arguments)
    state = ContainerBroker(database).state().sharding if database.location.datadir != ACCOUNTS else ""
    datadir = database.location.datadir
    if database.read(lambda connection: replica.has_news(connection, datadir, remote)):
        database.write(lambda connection: replica.take_over(connection, datadir, remote, now.internal))
        _settle_links(database)
    reply = database.read(lambda connection: replica.sync_reply(connection, datadir, remote.id, state))
    return Response(HTTPStatus.OK, {"content-type": "text/html; charset=UTF-8"}, json.dumps(reply).encode())


def _merge_items(database: Database, arguments: list[Any], now: Timestamp) -> Response:
    items, sender = _arguments(arguments, 2)
    _check_list(items)
    is_account = database.location.datadir == ACCOUNTS
    point = max((_row_id(row_id_of(item)) for item in items if isinstance(item, dict)), default=-1)
    to_row: Callable[[Any], Any] = container_row_of if is_account else object_row_of
    rows = [to_row(item) for item in items]

    def change(connection: Any) -> None:
        (merge_container_rows if is_account else merge_object_rows)(connection, rows)
        if point >= 0:
            raise_sync_points(connection, [(_text(sender), point)])

    _text(sender)
    database.write(change)
    return plain(HTTPStatus.ACCEPTED)


def _merge_syncs(database: Database, arguments: list[Any], now: Timestamp) -> Response:
    (items,) = _arguments(arguments, 1)
    _check_list(items)
    points = []
    for item in items:
        if not isinstance(item, dict) or not isinstance(item.get("sync_point"), int):
            raise BadRequest("Invalid sync point")
        points.append((_text(item.get("remote_id")), _row_id(item["sync_point"])))
    database.write(lambda connection: raise_sync_points(connection, points))
    return plain(HTTPStatus.ACCEPTED)


def _complete_rsync(database: Database, arguments: list[Any], now: Timestamp) -> Response:
    arrived, final_name = _arrived(database, arguments)
    if not replica.install(database, arrived, final_name):
        return _missing()
    _settle_links(database)
    return plain(HTTPStatus.NO_CONTENT)


def _rsync_then_merge(database: Database, arguments: list[Any], now: Timestamp) -> Response:
    arrived, _ = _arrived(database, arguments)
    if not replica.install_merged(database, arrived, now.internal):
        return _missing()
    _settle_links(database)
    return plain(HTTPStatus.NO_CONTENT)


def _merge_shard_ranges(database: Database, arguments: list[Any], now: Timestamp) -> Response:
    items, _ = _arguments(arguments, 2)
    _check_list(items)
    ContainerBroker(database).merge_shard_ranges([shards.shard_range_of(item) for item in items])
    return plain(HTTPStatus.ACCEPTED)


def _get_shard_ranges(database: Database, arguments: list[Any], now: Timestamp) -> Response:
    found = database.read(
        lambda connection: shards.read_ranges(connection, with_deleted=True, with_own=True), fresh=False
    )
    body = json.dumps([item._asdict() for item in found]).encode()
    return Response(HTTPStatus.OK, {"content-type": "application/json"}, body)


def _settle_links(database: Database) -> None:
    """A replica learns here that its container is synced, or no longer is."""
    if database.location.datadir != ACCOUNTS:
        ContainerBroker(database).settle_sync_link()


_OPERATIONS: dict[str, Operation] = {
    "sync": _sync,
    "merge_items": _merge_items,
    "merge_syncs": _merge_syncs,
    "complete_rsync": _complete_rsync,
    "rsync_then_merge": _rsync_then_merge,
    "merge_shard_ranges": _merge_shard_ranges,
    "get_shard_ranges": _get_shard_ranges,
}
_INSTALLERS = frozenset({"complete_rsync", "rsync_then_merge"})
_CONTAINERS_ONLY = frozenset({"merge_shard_ranges", "get_shard_ranges"})


def _path(request: Request) -> tuple[str, str, str]:
    """The path is /device/partition/hash; the hash is no account, but stands where one would."""
    path = request.backend_path(3, 3)
    assert path.account is not None
    return path.device, path.partition, text_of(path.account)


def _call(request: Request) -> tuple[str, list[Any]]:
    body = request.body.read(BODY_BYTES_MAX + 1)
    if len(body) > BODY_BYTES_MAX:
        raise BodyTooLarge(BODY_BYTES_MAX)
    try:
        call = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise BadRequest(f"Invalid JSON: {error}") from None
    if not isinstance(call, list) or not call or not isinstance(call[0], str):
        raise BadRequest("Invalid call: expected [operation, argument…]")
    return call[0], call[1:]


def _remote_state(arguments: list[Any]) -> replica.RemoteState:
    if not 7 <= len(arguments) <= 10:
        raise BadRequest(f"sync takes 7 to 10 arguments, not {len(arguments)}")
    max_row, hash_text, remote_id, created_at, put, delete, metadata = arguments[:7]
    changed_at, count, policy_index = (*arguments[7:], None, None, None)[:3]
    try:
        return replica.RemoteState(
            max_row=_row_id(int(max_row)),
            hash=_text(hash_text),
            id=_text(remote_id),
            created_at=_time(created_at),
            put_timestamp=_time(put),
            delete_timestamp=_time(delete),
            metadata=_checked(meta.parse(metadata)),
            status_changed_at=None if changed_at is None else _time(changed_at),
            object_count=None if count is None else int(count),
            policy_index=None if policy_index is None else int(policy_index),
        )
    except (ValueError, TypeError) as error:
        raise BadRequest(f"Invalid sync: {error}") from None


def _checked(metadata: meta.Metadata) -> meta.Metadata:
    """Raises InvalidTimestamp."""
    for _, timestamp in metadata.values():
        Timestamp.parse(timestamp)
    return metadata


def _arrived(database: Database, arguments: list[Any]) -> tuple[str, str | None]:
    """(path of the copied file, name it is to get). Names come from the network: nothing that leaves the directory."""
    if not 1 <= len(arguments) <= 2:
        raise BadRequest("expected the name of a file")
    name = db_upload.temporary_name(_text(arguments[0]))
    final_name = _text(arguments[1]) if len(arguments) == 2 else None
    location = database.location
    if final_name is not None and not re.fullmatch(rf"{location.hash}(_[0-9]{{10}}\.[0-9]{{5}})?\.db", final_name):
        raise BadRequest(f"{final_name!r} is not the name of this database")
    return f"{location.device_path}/tmp/{name}", final_name


def _check_arrived(database: Database, arguments: list[Any], secrets: HashSecrets) -> None:
    """Refuse, and remove, a file that is damaged or is the database of something else."""
    path, _ = _arrived(database, arguments)
    location, fs = database.location, database.shared.fs

    def check() -> str:
        problem = arrived_problem(path, secrets, location.hash)
        if problem:
            fs.unlink(path)
        return problem

    problem = database.shared.threads.run(location.device_path, check) if os.path.lexists(path) else ""
    if problem:
        database.shared.logger.error("hash=%s file=%r reason=%r: file of a peer refused", location.hash, path, problem)
        raise BadRequest(f"the file is refused: {problem}")


def _arguments(arguments: list[Any], count: int) -> list[Any]:
    if len(arguments) != count:
        raise BadRequest(f"expected {count} arguments, not {len(arguments)}")
    return arguments


def _check_list(value: Any) -> None:
    if not isinstance(value, list):
        raise BadRequest("expected a list")


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise BadRequest(f"{value!r} is not text")
    try:
        value.encode()  # Lone surrogates have no UTF-8.
    except UnicodeEncodeError:
        raise BadRequest(f"{value!r} is not text") from None
    return value


def _row_id(value: int) -> int:
    """-1 for none; no more than SQLite can hold."""
    if not -1 <= value <= ROW_ID_MAX:
        raise BadRequest(f"{value} is not a ROWID")
    return value


def _time(value: Any) -> str:
    """A timestamp as stored; `0` for never stays so."""
    if value == "0":
        return "0"
    try:
        return Timestamp.parse(_text(value)).internal
    except InvalidTimestamp as error:
        raise BadRequest(str(error)) from None


def _missing() -> Response:
    return plain(HTTPStatus.NOT_FOUND, "No such database")
