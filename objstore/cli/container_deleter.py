"""objstore-container-deleter: have a container's objects deleted by the expirers, in the background (B5.11).

For each object of the listing an entry goes into the expirers' queue, `<moment>-<account>/<container>/<object>`, of the
type application/async-deleted: the object goes as it was at that moment, and one that was written later stays. It is
the object that goes: of a large one the manifest, in a container that keeps versions the newest. Source: formats 4.15.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path

from objstore.cli.assembly import internal_pipeline
from objstore.cli.remote import printable
from objstore.cli.terminal import FAILED, OK, CommandError, Terminal
from objstore.cli.tool import timestamp_argument, tool_main, tool_parser
from objstore.config.cluster import Cluster, load_cluster
from objstore.config.inifile import IniFile
from objstore.core.timestamp import Timestamp
from objstore.http.internal import PAGES_AT_MOST, InternalClient, ListingFailed
from objstore.http.status import HTTPStatus
from objstore.peers.queue_rows import ASYNC_DELETED, EMPTY_ETAG, QueueRows, direct_client
from objstore.proxy.targets import ExpiryQueue
from objstore.ring.fileformat import RingFileError, load
from objstore.runtime import green
from objstore.runtime.clock import SystemClock

_EXAMPLE = """\
example:
  objstore-container-deleter AUTH_photos old                     everything in it, as it is now
  objstore-container-deleter AUTH_photos logs --prefix 2024/     what begins like this
  objstore-container-deleter AUTH_photos logs --marker 2024/07   go on behind this name

Objects written after TIMESTAMP stay. The container itself stays, too: delete it when it is empty.
Exit codes: 0 all are queued; 1 some are not (it is said where to go on); 78 swift.conf or a ring cannot be used.
"""
_QUEUE_ACCOUNT = ".expiring_objects"
_DIVISOR_S = 86_400


def _parser() -> argparse.ArgumentParser:
    parser = tool_parser(
        "objstore-container-deleter", "Have a container's objects deleted in the background.", _EXAMPLE
    )
    parser.add_argument("account", type=_name, metavar="ACCOUNT")
    parser.add_argument("container", type=_name, metavar="CONTAINER")
    parser.add_argument("--prefix", default="", help="only objects whose names begin like this")
    parser.add_argument("--marker", default="", help="only names behind this one")
    parser.add_argument("--end-marker", default="", help="only names in front of this one")
    parser.add_argument("--timestamp", type=timestamp_argument, metavar="TIMESTAMP", help="of the deletion (now)")
    parser.add_argument(
        "-d", "--swift-dir", type=Path, default=Path("/etc/swift"), metavar="DIR",
        help="where swift.conf and the rings are (%(default)s)",
    )  # fmt: skip
    parser.add_argument("--config", default="", metavar="FILE", help="an internal-client.conf, where one is needed")
    parser.add_argument("--json", action="store_true", help="one JSON object of what was done")
    return parser


def _run(arguments: argparse.Namespace, terminal: Terminal) -> int:
    cluster = load_cluster(arguments.swift_dir)
    try:
        ring = load(arguments.swift_dir / "container.ring.gz")
    except RingFileError as error:
        raise CommandError(str(error)) from None
    green.patch_sockets()
    app = internal_pipeline(IniFile(arguments.swift_dir, {}), arguments.swift_dir, arguments.config)
    client = InternalClient(app, "objstore container-deleter")
    rows = QueueRows(direct_client(), lambda: ring, cluster.secrets)
    queue = _Queue(arguments, cluster, rows)
    path = f"/v1/{arguments.account}/{arguments.container}"
    _check_there(client, path)
    try:
        for names in _pages(client, path, arguments):
            if not queue.add(names):
                return _tell(queue, arguments, terminal, "not taken by most of the servers of the queue")
    except ListingFailed as error:
        return _tell(queue, arguments, terminal, str(error))
    return _tell(queue, arguments, terminal)


class _Queue:
    """count: objects that are queued; last: the name of the last of them."""

    def __init__(self, arguments: argparse.Namespace, cluster: Cluster, rows: QueueRows) -> None:
        self._names = (arguments.account, arguments.container)
        self._clock = SystemClock()
        self._at: Timestamp = arguments.timestamp or self._clock.now()
        self._containers = ExpiryQueue(_QUEUE_ACCOUNT, _DIVISOR_S, cluster.secrets)
        self._rows = rows
        self.count = 0
        self.last = ""

    def add(self, names: list[str]) -> bool:
        """In order, so that `last` is where to go on; entries that are queued twice do no harm."""
        account, container = self._names
        by_queue: dict[str, list[str]] = {}
        for name in names:
            queue = self._containers.container(int(self._at.seconds), account, container, name)
            by_queue.setdefault(queue, []).append(f"{self._at.normal}-{account}/{container}/{name}")
        # The rows are of now: the same entry may have been there before, and have been removed.
        now = self._clock.now()
        for queue, entries in by_queue.items():
            if not self._rows.add_many(_QUEUE_ACCOUNT, queue, entries, now, ASYNC_DELETED, EMPTY_ETAG):
                return False
        self.count += len(names)
        self.last = names[-1]
        return True


def _check_there(client: InternalClient, path: str) -> None:
    response = client.request("HEAD", path)
    response.discard()
    if response.status == HTTPStatus.NOT_FOUND:
        raise CommandError(f"{printable(path)}: no such container", code=FAILED)
    if not response.is_success:
        raise CommandError(f"{printable(path)}: answered {response.status}", code=FAILED)


def _pages(client: InternalClient, path: str, arguments: argparse.Namespace) -> Iterator[list[str]]:
    marker, page_count = arguments.marker, PAGES_AT_MOST
    while page_count == PAGES_AT_MOST:
        page_count = 0
        for page in client.pages(path, arguments.end_marker, marker=marker, prefix=arguments.prefix):
            page_count += 1
            names = [str(row["name"]) for row in page.rows]
            marker = names[-1]
            yield names


def _tell(queue: _Queue, arguments: argparse.Namespace, terminal: Terminal, problem: str = "") -> int:
    if problem:
        terminal.complain(f"{problem}; go on with: --marker {json.dumps(queue.last or arguments.marker)}")
    if arguments.json:
        terminal.say(json.dumps({"queued": queue.count, "last": queue.last, "is_complete": not problem}))
    else:
        terminal.say(f"{queue.count} objects queued for deletion")
    return FAILED if problem else OK


def _name(text: str) -> str:
    if not text or "/" in text:
        raise argparse.ArgumentTypeError(f"{text!r}: expected a name without a slash")
    return text


main = tool_main(_parser, _run)

if __name__ == "__main__":
    sys.exit(main())
