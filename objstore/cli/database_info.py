"""What objstore-account-info and -container-info do: tell what a database file says, and where it belongs (B5.8).

Reads the file alone, changes nothing (db/snapshot.py); with swift.conf and the ring at hand also whether the file lies
where it should, and where its replicas are.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from objstore.cli import get_nodes
from objstore.cli.terminal import FAILED, OK, CommandError, Terminal
from objstore.cli.tool import Main, tool_main, tool_parser
from objstore.config.cluster import load_cluster
from objstore.config.errors import ConfigError
from objstore.core.hashing import partition_of
from objstore.core.policy import Policies
from objstore.core.timestamp import InvalidTimestamp, Timestamp
from objstore.db.location import epoch_of
from objstore.db.shards import State
from objstore.db.snapshot import NotADatabase, Row, Snapshot, read_snapshot
from objstore.ring.fileformat import RingFileError, load

DEFAULT_SWIFT_DIR = Path("/etc/swift")
SHARDS_SHOWN = 5
_EXAMPLE = """\
examples:
  objstore-{kind}-info /srv/node/sdb1/{kind}s/1234/abc/0123…abc/0123…abc.db
  objstore-{kind}-info FILE --drop-prefixes --json

Exit codes: 0; 1 the file does not lie where it belongs; 2 wrong usage; 78 it cannot be read as a database of {kind}s.
"""
_TIMES = {
    "created_at": "Created at",
    "put_timestamp": "Put Timestamp",
    "delete_timestamp": "Delete Timestamp",
    "status_changed_at": "Status Timestamp",
}
_COUNTS = {"container_count": "Container Count", "object_count": "Object Count", "bytes_used": "Bytes Used"}
_REPORTED = {
    "reported_put_timestamp": "Reported Put Timestamp",
    "reported_delete_timestamp": "Reported Delete Timestamp",
    "reported_object_count": "Reported Object Count",
    "reported_bytes_used": "Reported Bytes Used",
}
_LABELS = {"hash": "Chexor", "id": "UUID"}
_POINTS = {f"x_container_sync_point{n}": f"X-Container-Sync-Point {n}" for n in (1, 2)} | {
    "reconciler_sync_point": "Reconciler Sync Point"
}


@dataclass(frozen=True, slots=True)
class Found:
    """A database file. placed: where it belongs; None without swift.conf and ring. is_deleted: nothing alive in it."""

    path: Path
    snapshot: Snapshot
    policies: Policies | None
    placed: get_nodes.Placed | None
    problems: tuple[str, ...]

    @property
    def is_deleted(self) -> bool:
        stat = self.snapshot.stat
        if stat.get("status") == "DELETED":
            return True
        count = stat.get("container_count") if self.snapshot.kind == "account" else stat.get("object_count")
        return not count and str(stat.get("delete_timestamp")) > str(stat.get("put_timestamp"))

    @property
    def state(self) -> str:
        """The state of a container: unsharded, sharding, sharded or collapsed (formats 5.8)."""
        epoch, own = epoch_of(str(self.path)), "/".join(self.snapshot.names)
        if epoch is not None:
            return "sharded" if any(row["name"] != own for row in self.live_ranges) else "collapsed"
        is_sharding = len(list(self.path.parent.glob(f"{self.path.stem.partition('_')[0]}*.db"))) > 1
        return "sharding" if is_sharding else "unsharded"

    @property
    def live_ranges(self) -> list[Row]:
        return [row for row in self.snapshot.shard_ranges if not row["deleted"]]


def info_main(kind: str) -> Main:
    """The command objstore-<kind>-info. kind: account or container."""

    def parser() -> argparse.ArgumentParser:
        found = tool_parser(
            f"objstore-{kind}-info", f"What one {kind} database says, and where it belongs.", _EXAMPLE.format(kind=kind)
        )
        found.add_argument("file", type=Path, metavar="FILE", help="a database file of a hash directory")
        found.add_argument(
            "-d", "--swift-dir", type=Path, metavar="DIR", help=f"ring and swift.conf ({DEFAULT_SWIFT_DIR}, if there)"
        )
        found.add_argument("--drop-prefixes", action="store_true", help="metadata without X-…-Meta- and its like")
        found.add_argument("--stat-only", action="store_true", help="nothing about the ring")
        found.add_argument("-s", "--sync", action="store_true", help="how far it and other replicas have followed")
        if kind == "container":
            found.add_argument("-v", "--verbose", action="store_true", help="every shard range, deleted ones too")
        found.add_argument("--json", action="store_true", help="for a script")
        return found

    def run(arguments: argparse.Namespace, terminal: Terminal) -> int:
        return _run(kind, arguments, terminal)

    return tool_main(parser, run)


def _run(kind: str, arguments: argparse.Namespace, terminal: Terminal) -> int:
    path = arguments.file.absolute()
    try:
        snapshot = read_snapshot(path)
    except NotADatabase as error:
        raise CommandError(f"{path}: {error}") from None
    except OSError as error:
        raise CommandError(f"{path}: {error.strerror}") from None
    if snapshot.kind != kind:
        raise CommandError(f"{path}: a database of an {snapshot.kind}; see: objstore-{snapshot.kind}-info")
    found = _placed(path, snapshot, None if arguments.stat_only else arguments.swift_dir, arguments.stat_only)
    if arguments.json:
        terminal.say(json.dumps(_as_json(found, arguments.drop_prefixes), indent=2))
    else:
        terminal.say("\n".join(_lines(found, arguments)))
    for problem in found.problems:
        terminal.complain(f"{path}: {problem}")
    return FAILED if found.problems else OK


def _placed(path: Path, snapshot: Snapshot, swift_dir: Path | None, is_stat_only: bool) -> Found:
    """With what the ring says. A swift_dir that was named must be usable; /etc/swift need not be there."""
    if is_stat_only or (swift_dir is None and not (DEFAULT_SWIFT_DIR / "swift.conf").exists()):
        return Found(path, snapshot, None, None, ())
    swift_dir = swift_dir or DEFAULT_SWIFT_DIR
    try:
        cluster = load_cluster(swift_dir)
        ring = load(swift_dir / f"{snapshot.kind}.ring.gz")
    except RingFileError as error:
        raise CommandError(str(error)) from None
    except ConfigError as error:
        raise CommandError(*map(str, error.problems)) from None
    digest = cluster.secrets.digest(*snapshot.names)
    partition = partition_of(digest, 32 - ring.part_power)
    problems = [] if path.parent.name == digest.hex() else [f"its name hashes to {digest.hex()}"]
    if len(path.parents) > 2 and path.parents[2].name != str(partition):
        problems.append(f"it belongs into partition {partition}")
    placed = get_nodes.placed(snapshot.names, partition, digest.hex(), snapshot.kind, 0, ring)
    return Found(path, snapshot, cluster.policies, placed, tuple(problems))


def _metadata(snapshot: Snapshot, drops_prefixes: bool) -> dict[str, dict[str, str]]:
    """The metadata that is set, by kind; the names as stored, or without their prefixes."""
    title = snapshot.kind.title()
    kinds = {"System Metadata": f"X-{title}-Sysmeta-", "User Metadata": f"X-{title}-Meta-"}
    sorted_out: dict[str, dict[str, str]] = {**{kind: {} for kind in kinds}, "Other Metadata": {}}
    for name, (value, _) in sorted(snapshot.metadata.items()):
        if value != "":
            kind, prefix = next(
                (item for item in kinds.items() if name.lower().startswith(item[1].lower())), ("Other Metadata", "")
            )
            sorted_out[kind][name[len(prefix) :] if drops_prefixes else name] = value
    return sorted_out


def _as_json(found: Found, drops_prefixes: bool) -> dict[str, object]:
    snapshot = found.snapshot
    said: dict[str, object] = {
        "path": str(found.path),
        "kind": snapshot.kind,
        "is_deleted": found.is_deleted,
        **{name: value for name, value in snapshot.stat.items() if name != "metadata"},
        "policies": [dict(row) for row in snapshot.policies],
        "pending_rows": snapshot.pending,
        "metadata": {
            kind.split()[0].lower(): items for kind, items in _metadata(snapshot, drops_prefixes).items()
        },
        "incoming_sync": [dict(row) for row in snapshot.incoming],
        "outgoing_sync": [dict(row) for row in snapshot.outgoing],
        "problems": list(found.problems),
    }  # fmt: skip
    if snapshot.kind == "container":
        said |= {"db_state": found.state, "shard_ranges": [dict(row) for row in snapshot.shard_ranges]}
    if found.placed is not None:
        said["ring"] = get_nodes.as_json(found.placed)
    return said


def _lines(found: Found, arguments: argparse.Namespace) -> list[str]:
    snapshot, stat = found.snapshot, found.snapshot.stat
    lines = [f"Path: /{'/'.join(snapshot.names)}"]
    lines += [f"  {title}: {name}" for title, name in zip(("Account", "Container"), snapshot.names, strict=False)]
    lines.append(f"  Deleted: {found.is_deleted}")
    if found.placed is not None:
        lines.append(f"  {snapshot.kind.title()} Hash: {found.placed.hash_hex}")
    lines.append("Metadata:")
    for columns in (_TIMES, _COUNTS, _REPORTED, _LABELS, _POINTS):
        lines += [f"  {title}: {_value(name, stat[name])}" for name, title in columns.items() if name in stat]
    if snapshot.kind == "container":
        lines.append(f"  Storage Policy: {_policy(stat.get('storage_policy_index', 0), found.policies)}")
    lines += _policy_lines(found)
    lines.append(f"  Pending Rows: {snapshot.pending}")
    for kind, items in _metadata(snapshot, arguments.drop_prefixes).items():
        lines += [f"  {kind}:"] + [f"    {_text(name)}: {_text(value)}" for name, value in items.items()]
        lines[-1:] = [f"  No {kind.lower()}"] if not items else lines[-1:]
    if arguments.sync:
        lines += _sync_lines("Incoming", snapshot.incoming) + _sync_lines("Outgoing", snapshot.outgoing)
    if snapshot.kind == "container":
        lines += _shard_lines(found, arguments.verbose)
    if found.placed is not None:
        lines += ["", *get_nodes.lines(found.placed)]
    return lines


def _policy_lines(found: Found) -> Iterator[str]:
    for row in found.snapshot.policies:
        counts = " ".join(f"{name}={row[name]}" for name in _COUNTS if name in row)
        yield f"  Policy {_policy(row['storage_policy_index'], found.policies)}: {counts}"


def _policy(index: object, policies: Policies | None) -> str:
    known = policies.by_index(index) if policies is not None and isinstance(index, int) else None
    return f"{known.name} ({index})" if known is not None else str(index)


def _sync_lines(direction: str, rows: tuple[Row, ...]) -> list[str]:
    said = [f"  {_text(row['remote_id'])}: {row['sync_point']} ({_time(row.get('updated_at'))})" for row in rows]
    return [f"{direction} Sync Points:", *(said or ["  none"])]


def _shard_lines(found: Found, is_verbose: bool) -> Iterator[str]:
    ranges = list(found.snapshot.shard_ranges) if is_verbose else found.live_ranges
    yield f"Sharding State: {found.state}"
    if not ranges:
        return
    yield f"Shard Ranges ({len(ranges)}):"
    for row in ranges if is_verbose else ranges[:SHARDS_SHOWN]:
        yield f"  {_text(row['name'])}{'  deleted' if row['deleted'] else ''}"
        yield f"    {_text(row['lower'])!r} < name <= {_text(row['upper'])!r}, {_state(row)}"
        yield f"    {row['object_count']} objects, {row['bytes_used']} bytes, {_time(row['timestamp'])}"
    if not is_verbose and len(ranges) > SHARDS_SHOWN:
        yield f"  … and {len(ranges) - SHARDS_SHOWN} more; -v shows them all"


def _state(row: Mapping[str, object]) -> str:
    value = row["state"]
    try:
        return f"{State(int(str(value))).name.lower()} ({value})"
    except ValueError:
        return str(value)


def _value(name: str, value: object) -> str:
    return _time(value) if name in _TIMES or name.endswith("_timestamp") else _text(value)


def _time(value: object) -> str:
    text = _text(value)
    try:
        return f"{Timestamp.parse(text).isoformat} ({text})" if text not in ("0", "None", "") else text
    except InvalidTimestamp:
        return text


def _text(value: object) -> str:
    """Whatever the file holds, on one line of a terminal."""
    return "".join(each if each.isprintable() else "?" for each in str(value))
