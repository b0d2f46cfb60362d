"""objstore-reconciler-enqueue: have the container reconciler look at one object, as the container replicator would.

Writes one row of the queue .misplaced_objects to the container servers that keep it. For an object that an operator
knows to lie in the wrong storage policy while its row was queued long ago, or never.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable
from pathlib import Path

from objstore.cli.terminal import FAILED, OK, CommandError, Terminal
from objstore.cli.tool import timestamp_argument, tool_main, tool_parser
from objstore.config.cluster import load_cluster
from objstore.container.passes.reconcile_plan import (
    DELETE_TYPE,
    PUT_TYPE,
    entry_name,
    queue_container,
)
from objstore.core.timestamp import Timestamp
from objstore.db.misplaced import QUEUE_ACCOUNT
from objstore.peers.failure import NodeFailure, name_of
from objstore.peers.node_client import Reply
from objstore.peers.queue_rows import QueueRows, direct_client
from objstore.ring.fileformat import RingFileError, load
from objstore.runtime import green
from objstore.runtime.clock import SystemClock

_EXAMPLE = """\
example:
  objstore-reconciler-enqueue 2 /AUTH_test/photos/cat.jpg 1795238510.65661

An object written with policy 2 at that time: the reconciler takes it to the policy of its container, or finds that
there is nothing to do.
Exit codes: 0 queued; 1 not by a majority of the servers; 78 swift.conf or the ring cannot be used.
"""


def _parser() -> argparse.ArgumentParser:
    parser = tool_parser("objstore-reconciler-enqueue", "Have the container reconciler look at one object.", _EXAMPLE)
    parser.add_argument("policy_index", type=_index, metavar="POLICY", help="index of the policy it was written with")
    parser.add_argument("path", type=_names, metavar="/ACCOUNT/CONTAINER/OBJECT", help="its name, not quoted")
    parser.add_argument("timestamp", type=timestamp_argument, metavar="TIMESTAMP", help="of that write")
    parser.add_argument("-X", "--op", choices=("PUT", "DELETE"), default="PUT", help="what was done at that time (PUT)")
    parser.add_argument(
        "-f", "--force", action="store_true", help="queue it again though it was queued and dealt with before"
    )
    parser.add_argument(
        "-d", "--swift-dir", type=Path, default=Path("/etc/swift"), metavar="DIR",
        help="where swift.conf and the rings are (%(default)s)",
    )  # fmt: skip
    return parser


def _run(arguments: argparse.Namespace, terminal: Terminal) -> int:
    cluster = load_cluster(arguments.swift_dir)
    if cluster.policies.by_index(arguments.policy_index) is None:
        raise CommandError(f"policy {arguments.policy_index}: not in {arguments.swift_dir}/swift.conf")
    try:
        ring = load(arguments.swift_dir / "container.ring.gz")
    except RingFileError as error:
        raise CommandError(str(error)) from None
    green.patch_sockets()
    at: Timestamp = arguments.timestamp
    queue = queue_container(at)
    name = entry_name(arguments.policy_index, *arguments.path)
    rows = QueueRows(direct_client(), lambda: ring, cluster.secrets)
    replies = rows.add(
        QUEUE_ACCOUNT,
        queue,
        name,
        SystemClock().now() if arguments.force else at,
        DELETE_TYPE if arguments.op == "DELETE" else PUT_TYPE,
        at.internal,
    )
    if 2 * _taken(replies, terminal) <= len(replies):
        terminal.complain(f"{name}: not queued by a majority of its servers")
        return FAILED
    terminal.say(f"{QUEUE_ACCOUNT}/{queue}/{name}: queued")
    return OK


def _taken(replies: Iterable[Reply | NodeFailure], terminal: Terminal) -> int:
    """How many servers have stored the entry; complains of the others."""
    taken = 0
    for reply in replies:
        if not isinstance(reply, Reply):
            terminal.complain(reply.reason)
        elif not reply.is_success:
            terminal.complain(f"{name_of(reply.node)}: {reply.status}")
        else:
            taken += 1
    return taken


def _index(text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise argparse.ArgumentTypeError(f"{text!r}: expected the index of a storage policy")
    return int(text)


def _names(text: str) -> tuple[str, str, str]:
    parts = text.split("/", 3)
    if len(parts) != 4 or parts[0] or not all(parts[1:]):
        raise argparse.ArgumentTypeError(f"{text!r}: expected /account/container/object")
    return parts[1], parts[2], parts[3]


main = tool_main(_parser, _run)

if __name__ == "__main__":
    sys.exit(main())
