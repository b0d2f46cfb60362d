"""objstore-account-audit NAME…: whether all replicas of accounts, containers and objects are there and agree (B5.9).

Crawls from what is named down to the objects: every replica's listing is compared with the others', and every object
listed by any with its replicas. Only asks; replication mends what it finds. Right after a write replicas may differ.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path
from urllib.parse import unquote

from objstore.cli.replica_survey import POLICY_INDEX, Survey, tool_client, where
from objstore.cli.terminal import FAILED, OK, USAGE, CommandError, Terminal
from objstore.cli.tool import tool_main, tool_parser
from objstore.config.cluster import load_cluster
from objstore.core.names import quoted
from objstore.core.policy import policy_directory
from objstore.http.client import ConnectionPool, PeerError
from objstore.http.status import HTTPStatus
from objstore.ring.fileformat import RingFileError
from objstore.ring.model import Node
from objstore.runtime import green

_EXAMPLE = """\
examples:
  objstore-account-audit AUTH_test
  objstore-account-audit -e errors.txt AUTH_test/photos
  objstore-account-audit -c 25 -d < errors.txt

Names are written as in URLs (percent-encoded). Exit codes: 0 everything is there and agrees; 1 something does not, or a
server did not answer; 2 wrong usage; 78 rings or swift.conf cannot be used.
"""
ANSWER_TIMEOUT_S = 30.0
_BATCH = 1000
_PIECE_BYTES = 1 << 16
_Names = tuple[str, ...]


@dataclass(slots=True)
class Audit:
    """downloads: bodies are read and compared with their ETag. checked: how many of each kind."""

    survey: Survey
    concurrency: int
    downloads: bool
    checked: Counter[str] = field(default_factory=Counter)
    _pool: ConnectionPool = field(default_factory=ConnectionPool)

    def audit(self, names: _Names) -> None:
        """Raises RingFileError."""
        (self._account, self._container, self._one_object)[len(names) - 1](names)

    def _account(self, names: _Names) -> None:
        self.checked["accounts"] += 1
        for container, mine, answering in self.survey.rows(names):
            self._note_absent((*names, container), "listing of the account", mine, answering)
            self._container((*names, container))

    def _container(self, names: _Names) -> None:
        self.checked["containers"] += 1
        replies = self.survey.ask(names, "HEAD")
        indexes = {reply.headers.get(POLICY_INDEX.lower(), "") for reply in replies if reply.is_success}
        if len(indexes) > 1:
            self.survey.note(names, None, f"its replicas have several storage policies: {', '.join(sorted(indexes))}")
        index = min((int(each) for each in indexes if each.isdecimal()), default=0)
        rows = self.survey.rows(names)
        while batch := list(islice(rows, _BATCH)):
            work = deque(((*names, name), {row.etag for row in mine.values()}) for name, mine, _ in batch)
            for name, mine, answering in batch:
                self._note_absent((*names, name), "listing of the container", mine, answering)
                if len({row.etag for row in mine.values()}) > 1:
                    self.survey.note((*names, name), None, "its container's replicas list it with several ETags")
            self._in_turns(work, index)

    def _one_object(self, names: _Names) -> None:
        replies = self.survey.found(names[:2], self.survey.ask(names[:2], "HEAD"))
        index = next((reply.headers.get(POLICY_INDEX.lower(), "0") for reply in replies), "0")
        self._object(names, set(), int(index) if index.isdecimal() else 0)

    def _in_turns(self, work: deque[tuple[_Names, set[str]]], policy_index: int) -> None:
        """All of a batch, `concurrency` at once."""

        def run() -> None:
            while work:
                names, listed = work.popleft()
                self._object(names, listed, policy_index)

        for task in [green.spawn(run) for _ in range(min(self.concurrency, len(work)))]:
            task.join()

    def _object(self, names: _Names, listed: set[str], policy_index: int) -> None:
        """listed: ETags that listings give it."""
        self.checked["objects"] += 1
        found = self.survey.found(names, self.survey.ask(names, "HEAD", policy_index=policy_index))
        etags = {_bare(reply.headers.get("etag", "")) for reply in found}
        if len(etags) > 1:
            self.survey.note(names, None, f"its replicas have several ETags: {', '.join(sorted(etags))}")
        elif etags and len(listed) == 1 and not etags & {_bare(each) for each in listed}:
            # A manifest is listed with the ETag of its contents.
            if not any("x-object-sysmeta-container-update-override-etag" in reply.headers for reply in found):
                self.survey.note(names, None, f"its ETag is {min(etags)}, the listing says {min(listed)}")
        if self.downloads:
            for reply in found:
                self._download(names, reply.node, _bare(reply.headers.get("etag", "")), policy_index)

    def _download(self, names: _Names, node: Node, etag: str, policy_index: int) -> None:
        ring = self.survey.ring(policy_directory("object", policy_index))
        partition = ring.partition(self.survey.cluster.secrets.digest(*names))
        target = quoted(f"/{node.name}/{partition}/{'/'.join(names)}")
        ip, port = node.replication_address
        headers = [("Host", where(node).partition("/")[0]), (POLICY_INDEX, str(policy_index))]
        headers += [("X-Backend-Replication", "true"), ("User-Agent", "account-audit"), ("Content-Length", "0")]
        digest = hashlib.md5(usedforsecurity=False)
        try:
            connection = self._pool.connect_new(ip, port, ANSWER_TIMEOUT_S)
            try:
                connection.send_request("GET", target, headers, b"", timeout_s=ANSWER_TIMEOUT_S)
                head = connection.read_head(ANSWER_TIMEOUT_S)
                while piece := connection.read_some(_PIECE_BYTES, ANSWER_TIMEOUT_S):
                    digest.update(piece)
            finally:
                connection.close()
        except PeerError as error:
            self.survey.note(names, node, f"its body: {error}")
            return
        if head.status != HTTPStatus.OK:
            self.survey.note(names, node, f"it answers {head.status} to GET")
        elif digest.hexdigest() != etag:
            self.survey.note(names, node, f"the MD5 of its body is {digest.hexdigest()}, its ETag {etag}")

    def _note_absent(self, names: _Names, what: str, mine: Iterable[Node], answering: Sequence[Node]) -> None:
        present = set(mine)
        for node in answering:
            if node not in present:
                self.survey.note(names, node, f"not in this {what}")


def _parser() -> argparse.ArgumentParser:
    parser = tool_parser(
        "objstore-account-audit", "Whether all replicas of accounts, containers and objects are there.", _EXAMPLE
    )
    parser.add_argument("names", nargs="*", metavar="ACCOUNT[/CONTAINER[/OBJECT]]", help="from standard input without")
    parser.add_argument("-c", "--concurrency", type=_count, default=50, metavar="N", help="objects at once (50)")
    parser.add_argument(
        "-r", "--ring-dir", type=Path, default=Path("/etc/swift"), metavar="DIR", help="rings, swift.conf (/etc/swift)"
    )
    parser.add_argument(
        "-e", "--errors", type=Path, metavar="FILE", help="write what is not right there, a name a line"
    )
    parser.add_argument("-d", "--download", action="store_true", help="also read bodies and compare their MD5")
    parser.add_argument("--json", action="store_true", help="for a script")
    return parser


def _run(arguments: argparse.Namespace, terminal: Terminal) -> int:
    asked = [parsed(text) for text in (arguments.names or _lines_of_stdin())]
    if not asked:
        raise CommandError("name an account, or pipe names in; see --help", code=USAGE)
    cluster = load_cluster(arguments.ring_dir)
    survey = Survey(cluster, tool_client("account-audit", ANSWER_TIMEOUT_S))
    audit = Audit(survey, arguments.concurrency, arguments.download)
    try:
        for names in asked:
            audit.audit(names)
    except RingFileError as error:
        raise CommandError(str(error)) from None
    _tell(audit, arguments, terminal)
    return FAILED if survey.problems else OK


def _tell(audit: Audit, arguments: argparse.Namespace, terminal: Terminal) -> None:
    problems = audit.survey.problems
    if arguments.json:
        checked = {kind: audit.checked[kind] for kind in ("accounts", "containers", "objects")}
        terminal.say(json.dumps({**checked, "problems": [asdict(each) for each in problems]}, indent=2))
    else:
        for each in problems:
            terminal.say(f"{quoted(each.path)}: {f'{each.where}: ' if each.where else ''}{each.text}")
        counts = ", ".join(f"{audit.checked[kind]} {kind}" for kind in ("accounts", "containers", "objects"))
        terminal.say(f"{counts} checked, {len(problems)} problems")
    if arguments.errors is not None:
        try:
            arguments.errors.write_text(
                "".join(f"{quoted(path)}\n" for path in dict.fromkeys(p.path for p in problems))
            )
        except OSError as error:
            raise CommandError(f"{arguments.errors}: cannot be written ({error.strerror})") from None


def parsed(text: str) -> _Names:
    """The names of /v1/account/container/object, account/container, … Raises CommandError."""
    names = tuple(unquote(text, errors="surrogateescape").strip("\n").lstrip("/").split("/", 3))
    if names[0] in ("v1", "v1.0"):
        names = names[1:]
    else:
        names = tuple("/".join(names).split("/", 2))
    while names and not names[-1]:
        names = names[:-1]
    if not names or not all(names):
        raise CommandError(f"{text!r}: expected ACCOUNT, ACCOUNT/CONTAINER or ACCOUNT/CONTAINER/OBJECT", code=USAGE)
    return names


def _lines_of_stdin() -> Iterator[str]:
    if sys.stdin is not None and not sys.stdin.isatty():
        yield from (line.rstrip("\n") for line in sys.stdin if line.strip())


def _bare(etag: str) -> str:
    return etag.strip('"').partition(";")[0]


def _count(text: str) -> int:
    value = int(text)
    if not 1 <= value <= 1000:
        raise argparse.ArgumentTypeError(f"{text}: expected 1 to 1000")
    return value


main = tool_main(_parser, _run)

if __name__ == "__main__":
    sys.exit(main())
