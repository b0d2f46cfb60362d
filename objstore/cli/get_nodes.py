"""objstore-get-nodes: where the copies of an account, container or object are, or would be (B5.8).

Prints the partition, the hash, every primary and the first handoffs, with commands that ask each server and look on
each disk. Reads a ring and swift.conf; talks to nobody.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from objstore.cli.terminal import OK, USAGE, CommandError, Terminal
from objstore.cli.tool import tool_main, tool_parser
from objstore.config.cluster import load_cluster
from objstore.core.hashing import partition_of, suffix_of
from objstore.core.names import quoted
from objstore.core.policy import policy_directory
from objstore.ring.fileformat import RingFileError, load
from objstore.ring.model import Node, Ring

_EXAMPLE = """\
examples:
  objstore-get-nodes /etc/swift/object.ring.gz AUTH_test photos 2026/cat.jpg
  objstore-get-nodes /etc/swift/object.ring.gz AUTH_test/photos/2026/cat.jpg --all
  objstore-get-nodes /etc/swift/container.ring.gz AUTH_test photos --json
  objstore-get-nodes /etc/swift/object.ring.gz -p 1234
  objstore-get-nodes -P silver AUTH_test photos cat.jpg

swift.conf is looked for beside the ring file. Exit codes: 0; 2 wrong usage; 78 ring or swift.conf cannot be used.
"""
DEFAULT_SWIFT_DIR = Path("/etc/swift")


@dataclass(frozen=True, slots=True)
class Placed:
    """A partition of one ring, and the name that led to it. names: account, container, object, as far as given.
    directory: below the device, without the hash when no name was given. hash_hex: "" then."""

    names: tuple[str, ...]
    partition: int
    hash_hex: str
    kind: str
    policy_index: int
    primaries: tuple[Node, ...]
    handoffs: tuple[Node, ...]

    @property
    def directory(self) -> str:
        top = policy_directory("objects", self.policy_index) if self.kind == "object" else f"{self.kind}s"
        below = f"/{suffix_of(self.hash_hex)}/{self.hash_hex}" if self.hash_hex else ""
        return f"{top}/{self.partition}{below}"

    def url(self, node: Node) -> str:
        ip, port = node.address
        host = f"[{ip}]" if ":" in ip else ip
        return f"http://{host}:{port}/{node.name}/{self.partition}/{quoted('/'.join(self.names))}"


def _parser() -> argparse.ArgumentParser:
    parser = tool_parser(
        "objstore-get-nodes", "Where the copies of an account, container or object are, or would be.", _EXAMPLE
    )
    parser.add_argument(
        "words", nargs="*", metavar="[RING] [ACCOUNT [CONTAINER [OBJECT]]]", help="or ACCOUNT/CONTAINER/OBJECT"
    )
    parser.add_argument("-a", "--all", action="store_true", help="every handoff, not as many as there are primaries")
    parser.add_argument("-p", "--partition", type=int, metavar="N", help="of this partition, without a name")
    parser.add_argument(
        "-P", "--policy-name", metavar="NAME", help="the object ring of a policy; no RING is given then"
    )
    parser.add_argument(
        "-d",
        "--swift-dir",
        type=Path,
        metavar="DIR",
        help=f"with -P: where rings and swift.conf are ({DEFAULT_SWIFT_DIR})",
    )
    parser.add_argument("--json", action="store_true", help="for a script")
    return parser


def _run(arguments: argparse.Namespace, terminal: Terminal) -> int:
    path, words = _ring_file(arguments)
    names = _names(words, arguments.partition is not None)
    try:
        ring = load(path)
    except RingFileError as error:
        raise CommandError(str(error)) from None
    found = _place(arguments, path, ring, names)
    terminal.say(json.dumps(as_json(found), indent=2) if arguments.json else "\n".join(lines(found)))
    return OK


def _ring_file(arguments: argparse.Namespace) -> tuple[Path, list[str]]:
    """(the ring, the words that are names)"""
    if arguments.policy_name is None:
        if not arguments.words:
            raise CommandError("name a ring file, or a policy with -P; see --help", code=USAGE)
        ring = Path(arguments.words[0])
        if not ring.name.endswith(".ring.gz") and not ring.exists():
            raise CommandError(
                f"{ring}: expected a ring file first, such as {DEFAULT_SWIFT_DIR}/object.ring.gz, or a policy with -P",
                code=USAGE,
            )
        return ring, arguments.words[1:]
    swift_dir = arguments.swift_dir or DEFAULT_SWIFT_DIR
    policy = load_cluster(swift_dir).policies.by_name(arguments.policy_name)
    if policy is None:
        raise CommandError(f"{swift_dir}/swift.conf has no policy named {arguments.policy_name!r}")
    return swift_dir / f"{policy.ring_name}.ring.gz", arguments.words


def _names(words: Sequence[str], has_partition: bool) -> tuple[str, ...]:
    names = tuple(words)
    if len(names) == 1:
        names = tuple(names[0].lstrip("/").split("/", 2))
        # As copied from a client's URL.
        if len(names) > 1 and names[0] in ("v1", "v1.0"):
            names = tuple(words[0].lstrip("/").split("/", 3)[1:])
    if len(names) > 3 or not all(names):
        raise CommandError("a name is ACCOUNT, ACCOUNT CONTAINER or ACCOUNT CONTAINER OBJECT", code=USAGE)
    if bool(names) == has_partition:
        raise CommandError("give either a name or a partition (-p)", code=USAGE)
    return names


def _place(arguments: argparse.Namespace, path: Path, ring: Ring, names: tuple[str, ...]) -> Placed:
    kind, policy_index = _kind_of(path)
    wanted = {"account": 1, "container": 2, "object": 3}[kind]
    if names and len(names) != wanted:
        raise CommandError(f"{path} is a ring of {kind}s: {wanted} names are needed, {len(names)} given", code=USAGE)
    if names:
        digest = load_cluster(arguments.swift_dir or path.parent).secrets.digest(*names)
        partition, hash_hex = partition_of(digest, 32 - ring.part_power), digest.hex()
    else:
        partition, hash_hex = arguments.partition, ""
        if not 0 <= partition < 1 << ring.part_power:
            raise CommandError(f"partition {partition}: {path} has 0 to {(1 << ring.part_power) - 1}", code=USAGE)
    return placed(names, partition, hash_hex, kind, policy_index, ring, with_all_handoffs=arguments.all)


def placed(
    names: tuple[str, ...],
    partition: int,
    hash_hex: str,
    kind: str,
    policy_index: int,
    ring: Ring,
    *,
    with_all_handoffs: bool = False,
) -> Placed:
    """The nodes of a partition: its primaries, and as many handoffs unless all are asked for."""
    primaries = ring.primaries(partition)
    handoffs = ring.handoffs(partition)
    chosen = tuple(handoffs if with_all_handoffs else islice(handoffs, len(primaries)))
    return Placed(names, partition, hash_hex, kind, policy_index, primaries, chosen)


def _kind_of(path: Path) -> tuple[str, int]:
    """(account, container or object; policy index), from the name of a ring file."""
    name = path.name.removesuffix(".ring.gz")
    kind, _, index = name.partition("-")
    if kind not in ("account", "container", "object") or (index and not index.isdigit()) or name == path.name:
        raise CommandError(f"{path}: expected account.ring.gz, container.ring.gz, object.ring.gz or object-N.ring.gz")
    return kind, int(index or 0)


def as_json(placed: Placed) -> dict[str, object]:
    """The value that --json prints."""

    def of(node: Node, is_handoff: bool) -> dict[str, object]:
        ip, port = node.address
        return {
            "id": node.id, "ip": ip, "port": port, "device": node.name, "region": node.region, "zone": node.zone,
            "is_handoff": is_handoff, "directory": placed.directory,
            "url": placed.url(node) if placed.names else None,
        }  # fmt: skip

    nodes = [of(node, False) for node in placed.primaries] + [of(node, True) for node in placed.handoffs]
    names = dict(zip(("account", "container", "object"), placed.names, strict=False))
    return {**names, "partition": placed.partition, "hash": placed.hash_hex or None, "nodes": nodes}


def lines(placed: Placed) -> list[str]:
    """The lines that the command prints for people."""
    said = [f"{title:<12}{name}" for title, name in zip(("Account", "Container", "Object"), placed.names, strict=False)]
    said += ["", f"{'Partition':<12}{placed.partition}", f"{'Hash':<12}{placed.hash_hex or '-'}", ""]
    nodes = [(node, "") for node in placed.primaries] + [(node, "  [Handoff]") for node in placed.handoffs]
    said += [f"Server:Port Device  {_address(node)} {node.name}{mark}" for node, mark in nodes]
    if placed.names:
        said += [
            "",
            *(
                f'curl -g -I "{placed.url(node)}"{_policy_header(placed)}{mark and "  # Handoff"}'
                for node, mark in nodes
            ),
        ]
    said += ["", "# With DEVICE as on that node, e.g. export DEVICE=/srv/node"]
    said += [
        f'ssh {node.address[0]} "ls -lah ${{DEVICE:-/srv/node}}/{node.name}/{placed.directory}"{mark and "  # Handoff"}'
        for node, mark in nodes
    ]
    return said


def _address(node: Node) -> str:
    ip, port = node.address
    return f"[{ip}]:{port}" if ":" in ip else f"{ip}:{port}"


def _policy_header(placed: Placed) -> str:
    return f' -H "X-Backend-Storage-Policy-Index: {placed.policy_index}"' if placed.kind == "object" else ""


main = tool_main(_parser, _run)

if __name__ == "__main__":
    sys.exit(main())
