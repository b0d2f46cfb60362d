"""What the updater decides: which rows go together, and what becomes of one when the nodes have answered. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace

from objstore.core.names import SHARDS_PREFIX
from objstore.object.delivery import MAX_ROWS
from objstore.object.rows import ContainerRow, row_of
from objstore.object.update import UNSHARDED
from objstore.peers.container_rows import Redirect
from objstore.storage.pending import DeferredUpdate
from objstore.storage.pending_walk import Waiting


def container_of(update: DeferredUpdate) -> str:
    """account/container of the database that gets the row now."""
    return update.container_path or f"{update.account}/{update.container}"


def groups(waiting: Iterable[Waiting]) -> list[tuple[str, tuple[Waiting, ...]]]:
    """(account/container, its rows), at most MAX_ROWS each, oldest first; the group with the oldest row comes first."""
    found: dict[str, list[Waiting]] = {}
    for item in sorted(waiting, key=lambda item: item.timestamp):
        found.setdefault(container_of(item.update), []).append(item)
    return [
        (path, tuple(items[start : start + MAX_ROWS]))
        for path, items in found.items()
        for start in range(0, len(items), MAX_ROWS)
    ]


def row_for_many(update: DeferredUpdate, policy_index: int) -> ContainerRow | None:
    """The row as part of an UPDATE; None for one that must travel alone: for a shard, or for a container that is being
    sharded (UPDATE knows no redirect)."""
    if update.container_path is not None or (update.db_state or "") not in UNSHARDED:
        return None
    try:
        return row_of(update.op, (update.account, update.container, update.obj), update.headers, policy_index)
    except ValueError:
        return None


@dataclass(frozen=True, slots=True)
class Verdict:
    """What to do with a file. update: what it should say now; None: remove it. is_redirected: try its new place once
    in this pass."""

    update: DeferredUpdate | None
    is_redirected: bool = False


_DONE = Verdict(None)


def _may_hold(container_path: str, update: DeferredUpdate) -> bool:
    """Whether a container can be a shard of the row's, or that itself: a server may not send rows wherever it likes."""
    account, _, container = container_path.partition("/")
    return account == f"{SHARDS_PREFIX}{update.account}" or (account, container) == (update.account, update.container)


def verdict(
    update: DeferredUpdate, nodes: Collection[int], accepted: Collection[int], redirects: Mapping[int, Redirect]
) -> Verdict:
    """nodes: ring ids of the container's primaries. accepted: of those that took the row now. redirects: by node.

    Only a row that all of them have is done; no number of refusals is. A redirect that leads where the row has been
    already is a loop: it starts again from the root. One that leads into somebody else's account is none. Source:
    formats 4.14, 6.5.
    """
    redirects = {node: redirect for node, redirect in redirects.items() if _may_hold(redirect.container_path, update)}
    if not redirects and len(accepted) == len(nodes) > 0:
        return _DONE
    here = container_of(update)
    if redirects:
        newest = max(redirects.values(), key=lambda redirect: redirect.timestamp)
        if newest.container_path in (here, *update.redirect_history):
            return Verdict(replace(update, container_path=None, successes=(), redirect_history=()))
        history = (*update.redirect_history, newest.container_path)
        return Verdict(
            replace(update, container_path=newest.container_path, successes=(), redirect_history=history), True
        )
    successes = {*update.successes, *accepted}
    if nodes and successes.issuperset(nodes):
        return _DONE
    if successes == set(update.successes):
        return Verdict(update)
    return Verdict(replace(update, successes=tuple(sorted(successes))))
