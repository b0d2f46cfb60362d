"""The dark-data watcher: finds objects that no listing shows, and so nobody can find and nobody will delete.

They come about when a delete reached the container but not this copy, and the tombstone was reclaimed before this disk
came back. But an object also looks like that when its row has not arrived yet, when the container's databases were lost
or are being rebuilt, or when this node is cut off. So an object is dark only when EVERY primary of its container has
answered, each from a database that it has, and none has the row; and when it is older than grace_age, and no row of it
waits on this device to be sent. A 404 without timestamps says that there is no database: that is no evidence, nor is a
sharded container. Whatever is missing from that, the object is kept. Source: features B3.6.
"""

from __future__ import annotations

import json
import logging
import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import quote

from objstore.config.settings import Settings, choice, decimal, setting
from objstore.core.errors import BadRequest
from objstore.core.names import quoted
from objstore.core.timestamp import ZERO
from objstore.http.status import HTTPStatus
from objstore.object.passes.watchers import DELETE, KEEP, QUARANTINE, SeenObject, WatcherContext
from objstore.peers.failure import NodeFailure, name_of
from objstore.peers.node_client import NodeClient, Reply
from objstore.peers.queue_rows import direct_client
from objstore.ring.model import Ring
from objstore.ring.reload import ReloadingRing
from objstore.storage.layout import DeviceLayout, ObjectAddress

_UNSHARDED = ("", "unsharded")
_log = logging.getLogger("objstore.object.auditor")


@dataclass(frozen=True)
class DarkDataSettings(Settings):
    """[object-auditor:watcher:objstore#dark_data]"""

    action: str = setting("log", choice("log", "delete", "quarantine"), "What is done with an object no listing shows.")
    grace_age: float = setting("604800", decimal(0), "Objects younger than so many seconds are left alone.")


class DarkData:
    """The watcher. calls, ring: tests bring their own."""

    settings_class = DarkDataSettings

    def __init__(
        self,
        options: Mapping[str, str],
        context: WatcherContext,
        *,
        calls: NodeClient | None = None,
        ring: Callable[[], Ring] | None = None,
    ) -> None:
        """Raises ValueError for options that cannot be used."""
        self._settings, problems = DarkDataSettings.from_pairs(options)
        if problems:
            raise ValueError("; ".join(f"{item.key} = {item.value!r}: expected {item.expected}" for item in problems))
        self._context = context
        self._calls = calls or direct_client("object-auditor")
        self._ring = ring or _container_ring(context)
        self._counts: Counter[str] = Counter()

    def start(self, mode: str) -> None:
        self._counts.clear()

    def see(self, seen: SeenObject) -> str:
        age_s = self._context.clock.now().seconds - seen.timestamp.seconds
        if age_s < self._settings.grace_age:
            self._counts["young"] += 1
            return KEEP
        account, container, obj = seen.address.name.split("/", 3)[1:]
        replies = self._ask(account, container, obj, seen.address.policy_index)
        is_dark, why = verdict(replies, obj, seen.address.policy_index)
        if is_dark and _is_row_waiting(self._context.devices_root, seen.address):
            is_dark, why = False, "its row is waiting to be sent"
        if not is_dark:
            self._counts["listed" if not why else "undecided"] += 1
            if why:
                _log.debug("name=%r: cannot tell whether it is dark: %s", seen.address.name, why)
            return KEEP
        self._counts["dark"] += 1
        action = self._settings.action
        _log.warning(
            "dark data: device=%s partition=%s hash=%s name=%r age_s=%.0f action=%s",
            seen.address.device, seen.address.partition, seen.address.hash_hex, seen.address.name, age_s, action,
        )  # fmt: skip
        return {"delete": DELETE, "quarantine": QUARANTINE}.get(action, KEEP)

    def end(self) -> None:
        _log.info("dark data: %s", " ".join(f"{name}={count}" for name, count in sorted(self._counts.items())))

    def _ask(self, account: str, container: str, obj: str, policy_index: int) -> list[Reply | NodeFailure]:
        ring = self._ring()
        partition = ring.partition(self._context.secrets.digest(account, container))
        name = quote(obj.encode("utf-8", "surrogateescape"), safe="")
        path = f"/{partition}{quoted(f'/{account}/{container}')}?format=json&limit=1&prefix={name}"
        headers = [("X-Backend-Storage-Policy-Index", str(policy_index)), ("X-Timestamp", self._now)]
        return self._calls.ask_all(ring.primaries(partition), "GET", path, headers)

    @property
    def _now(self) -> str:
        return self._context.clock.now().internal


def verdict(replies: Sequence[Reply | NodeFailure], obj: str, policy_index: int) -> tuple[bool, str]:
    """(is it dark, why that cannot be told). Pure. obj: the name; the replies are listings of at most that prefix's
    first row, which is the object itself when there is a row of it."""
    if not replies:
        return False, "its container has no primaries"
    unsure = ""
    for reply in replies:
        names, problem = _listed(reply, policy_index)
        if obj in names:
            return False, ""
        unsure = unsure or problem
    return not unsure, unsure


def _listed(reply: Reply | NodeFailure, policy_index: int) -> tuple[list[object], str]:
    """(names in a listing, why it is no evidence)."""
    if isinstance(reply, NodeFailure):
        return [], reply.reason
    where = name_of(reply.node)
    headers = reply.headers
    if reply.status == HTTPStatus.NOT_FOUND:
        if headers.get("x-backend-timestamp", ZERO.internal) == ZERO.internal:
            return [], f"{where} has no database of its container"
        if headers.get("x-backend-storage-policy-index") != str(policy_index):
            return [], f"{where} has its container deleted in another policy"
        return [], ""
    if not reply.is_success:
        return [], f"{where}: {reply.status}"
    if headers.get("x-backend-sharding-state", "") not in _UNSHARDED:
        return [], f"{where}: its container is sharded"
    of_policy = headers.get("x-backend-record-storage-policy-index", str(policy_index))
    if headers.get("x-backend-record-type", "object") != "object" or of_policy != str(policy_index):
        return [], f"{where}: no listing of its policy's objects"
    try:
        return _names(reply.body), ""
    except BadRequest as error:
        return [], f"{where}: {error.reason}"


def _names(body: bytes) -> list[object]:
    """Raises BadRequest for a body that is not a listing."""
    try:
        found = json.loads(body or b"[]")
    except (ValueError, RecursionError):
        raise BadRequest("an answer that is not JSON") from None
    if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
        raise BadRequest("an answer that is not a listing")
    return [item.get("name") for item in found]


def _is_row_waiting(devices_root: str, address: ObjectAddress) -> bool:
    """Whether an async pending of the object lies on its device; also True when that cannot be told."""
    directory = f"{DeviceLayout(f'{devices_root}/{address.device}').pending(address.policy_index)}/{address.suffix}"
    try:
        return any(name.startswith(address.hash_hex) for name in os.listdir(directory))
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True


def _container_ring(context: WatcherContext) -> Callable[[], Ring]:
    ring = ReloadingRing(context.swift_dir / "container.ring.gz")
    return lambda: ring.current
