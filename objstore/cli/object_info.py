"""objstore-object-info: what one file of an object says, and whether its body is what was written (B5.8).

Reads a .data, .meta or .ts file: name, times, metadata by kind, digest of the body; with swift.conf and the ring at
hand also whether it lies where it belongs. Changes nothing, quarantines nothing.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from objstore.cli.terminal import FAILED, OK, CommandError, Terminal
from objstore.cli.tool import tool_main, tool_parser
from objstore.config.cluster import load_cluster
from objstore.core.hashing import partition_of
from objstore.core.policy import policy_directory
from objstore.core.timestamp import InvalidTimestamp, Timestamp
from objstore.ring.fileformat import RingFileError, load
from objstore.runtime.fs import Fs
from objstore.storage.metadata import BadMetadata, Metadata
from objstore.storage.reader import read_metadata
from objstore.storage.resolve import DATA

_EXAMPLE = """\
example:
  objstore-object-info /srv/node/sdb1/objects/1234/abc/0123…abc/1700000000.00000.data

Exit codes: 0; 1 the file is not what was written, or does not belong where it lies; 78 it cannot be read.
"""
DEFAULT_SWIFT_DIR = Path("/etc/swift")
_POLICY_DIRECTORY = re.compile(r"objects(?:-(\d+))?\Z")
_PIECE_BYTES = 1 << 20
_OWN = ("content-length", "content-type", "etag", "x-timestamp")


@dataclass(frozen=True, slots=True)
class Found:
    """One file. problems: each a sentence; none when all that could be checked is right. digest: MD5 of the body, ""
    when it was not read."""

    path: Path
    size: int
    metadata: Metadata
    digest: str
    problems: tuple[str, ...]
    place: Mapping[str, object]


def _parser() -> argparse.ArgumentParser:
    parser = tool_parser(
        "objstore-object-info", "What one file of an object says, and whether its body is what was written.", _EXAMPLE
    )
    parser.add_argument("file", type=Path, metavar="FILE", help="a .data, .meta or .ts file of a hash directory")
    parser.add_argument("-n", "--no-check-etag", action="store_true", help="do not read the body")
    parser.add_argument(
        "-d", "--swift-dir", type=Path, metavar="DIR", help=f"rings and swift.conf ({DEFAULT_SWIFT_DIR}, if there)"
    )
    parser.add_argument("--json", action="store_true", help="for a script")
    return parser


def _run(arguments: argparse.Namespace, terminal: Terminal) -> int:
    path = arguments.file.absolute()
    try:
        metadata = read_metadata(Fs(), str(path.parent), path.name)
        size = path.stat().st_size
        digest = "" if arguments.no_check_etag or path.suffix != DATA else _digest(path)
    except BadMetadata as error:
        raise CommandError(f"{path}: {error.reason}; expected a .data, .meta or .ts file of an object") from None
    except OSError as error:
        raise CommandError(f"{path}: {error.strerror}") from None
    place, misplaced = _place(path, metadata, arguments.swift_dir)
    found = Found(path, size, metadata, digest, (*_damage(path, size, metadata, digest), *misplaced), place)
    terminal.say(json.dumps(_as_json(found), indent=2) if arguments.json else "\n".join(_lines(found)))
    for problem in found.problems:
        terminal.complain(f"{path}: {problem}")
    return FAILED if found.problems else OK


def _digest(path: Path) -> str:
    digest = hashlib.md5(usedforsecurity=False)
    with open(path, "rb") as file:
        while piece := file.read(_PIECE_BYTES):
            digest.update(piece)
    return digest.hexdigest()


def _damage(path: Path, size: int, metadata: Metadata, digest: str) -> list[str]:
    """Problems of the file itself: where it is not as it was written."""
    if path.suffix != DATA:
        return []
    problems = []
    stated = metadata.headers.get("content-length")
    if stated != str(size):
        problems.append(f"it holds {size} bytes, its metadata says {stated}")
    etag = metadata.headers.get("etag", "").strip('"')
    if digest and digest != etag:
        problems.append(f"the MD5 of its body is {digest}, its metadata says {etag}")
    return problems


def _place(path: Path, metadata: Metadata, swift_dir: Path | None) -> tuple[dict[str, object], list[str]]:
    """(what is known of where it belongs, what is wrong about where it lies). Without swift.conf nothing is known."""
    if swift_dir is None and not (DEFAULT_SWIFT_DIR / "swift.conf").exists():
        return {}, []
    swift_dir = swift_dir or DEFAULT_SWIFT_DIR
    digest = load_cluster(swift_dir).secrets.digest(*metadata.name.split("/", 3)[1:])
    place: dict[str, object] = {"hash": digest.hex()}
    problems = [] if path.parent.name == digest.hex() else [f"its name hashes to {digest.hex()}"]
    policy = _POLICY_DIRECTORY.match(path.parents[3].name) if len(path.parents) > 3 else None
    if policy is not None:
        index = int(policy[1] or 0)
        try:
            ring = load(swift_dir / f"{policy_directory('object', index)}.ring.gz")
        except RingFileError as error:
            raise CommandError(str(error)) from None
        partition = partition_of(digest, 32 - ring.part_power)
        devices = [f"{node.address[0]}:{node.address[1]}/{node.name}" for node in ring.primaries(partition)]
        place |= {"policy_index": index, "partition": partition, "primaries": devices}
        if path.parents[2].name != str(partition):
            problems.append(f"it belongs into partition {partition}")
    return place, problems


def _sorted_out(headers: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """Metadata by kind, the file's own headers left out."""
    kinds: dict[str, dict[str, str]] = {"system": {}, "transient system": {}, "user": {}, "other": {}}
    prefixes = {
        "x-object-sysmeta-": "system",
        "x-object-transient-sysmeta-": "transient system",
        "x-object-meta-": "user",
    }
    for name, value in headers.items():
        if name not in _OWN:
            prefix = next((each for each in prefixes if name.startswith(each)), "")
            kinds[prefixes.get(prefix, "other")][_readable(name.removeprefix(prefix))] = _readable(value)
    return kinds


def _readable(wsgi_text: str) -> str:
    """Header text for a person: UTF-8 as what it means, anything else marked."""
    return wsgi_text.encode("latin-1", "replace").decode("utf-8", "replace")


def _as_json(found: Found) -> dict[str, object]:
    headers = found.metadata.headers
    return {
        "path": str(found.path),
        "name": found.metadata.name,
        **{name.replace("-", "_"): headers[name] for name in _OWN if name in headers},
        "size": found.size,
        "body_md5": found.digest or None,
        "metadata": _sorted_out(headers),
        **found.place,
        "problems": list(found.problems),
    }


def _lines(found: Found) -> list[str]:
    headers = found.metadata.headers
    account, container, obj = found.metadata.name.split("/", 3)[1:]
    lines = [f"{'Path':<15}{found.metadata.name}", f"{'  Account':<15}{account}", f"{'  Container':<15}{container}"]
    lines += [f"{'  Object':<15}{obj}", f"{'Timestamp':<15}{_time(headers.get('x-timestamp', ''))}"]
    lines += [f"{name.title():<15}{headers[name]}" for name in _OWN[:3] if name in headers]
    lines.append(f"{'Bytes on disk':<15}{found.size}")
    if found.digest:
        lines.append(f"{'MD5 of body':<15}{found.digest}")
    for name, value in found.place.items():
        text = " ".join(map(str, value)) if isinstance(value, list) else value
        lines.append(f"{name.replace('_', ' ').capitalize():<15}{text}")
    for kind, items in _sorted_out(headers).items():
        lines.append(f"{kind.capitalize()} metadata:")
        lines += [f"  {name}: {value}" for name, value in items.items()] or ["  none"]
    return lines


def _time(text: str) -> str:
    try:
        return f"{Timestamp.parse(text).isoformat} ({text})"
    except InvalidTimestamp:
        return text or "none"


main = tool_main(_parser, _run)

if __name__ == "__main__":
    sys.exit(main())
