"""objstore-recon: asks every storage server of the rings how it is doing, all at once, and sums it up (B5.6).

The options are swift-recon's. What each server is asked is GET /recon/… (middleware/recon.py), so that Swift's own
servers can be asked as well.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from objstore.cli.recon_checks import CHECKS, Check, Wish
from objstore.cli.recon_hosts import Answers, Host, ask_all, hosts, shown_text
from objstore.cli.terminal import FAILED, OK, USAGE, CommandError, Terminal
from objstore.cli.tool import tool_main, tool_parser
from objstore.config.cluster import load_cluster
from objstore.ring.fileformat import RingFileError

_EXAMPLE = """\
examples:
  objstore-recon -d --top 5 --human-readable
  objstore-recon container -r --json
  objstore-recon --all --swiftdir ~/cluster/etc

Exit codes: 0 every host answered and agrees; 1 one did not answer, or has another ring, clock, kind or a missing disk;
2 wrong usage; 78 the rings cannot be used.
"""
DEFAULT_SWIFT_DIR = Path("/etc/swift")
_KINDS = ("account", "container", "object")
_OPTIONS: Mapping[str, tuple[tuple[str, ...], str]] = {
    "async": (("-a", "--async"), "rows that wait for container servers"),
    "replication": (("-r", "--replication"), "how replication goes, and whose last pass is the oldest"),
    "updater": (("--updater",), "how long updaters take"),
    "auditor": (("--auditor",), "what auditors found"),
    "expirer": (("--expirer",), "what the expirer did"),
    "sharding": (("--sharding",), "how sharding goes"),
    "unmounted": (("-u", "--unmounted"), "disks that are not mounted"),
    "diskusage": (("-d", "--diskusage"), "how full disks are"),
    "load": (("-l", "--loadstats"), "load of the machines"),
    "quarantined": (("-q", "--quarantined"), "what lies in quarantine"),
    "md5": (("--md5",), "whether rings and swift.conf are those of this machine"),
    "validate-servers": (("--validate-servers",), "whether a server of the right kind listens at each address"),
    "sockstat": (("--sockstat",), "sockets of the machines"),
    "driveaudit": (("--driveaudit",), "errors that drive-audit saw"),
    "time": (("-T", "--time"), "whether clocks agree with this machine's"),
    "swift-versions": (("--swift-versions",), "which version runs where"),
}
_RULE = "=" * 79


def _parser() -> argparse.ArgumentParser:
    parser = tool_parser("objstore-recon", "How every storage server of the rings is doing.", _EXAMPLE)
    parser.add_argument("kind", nargs="?", choices=_KINDS, default="object", help="which servers (object)")
    for name, (flags, text) in _OPTIONS.items():
        parser.add_argument(*flags, dest="checks", action="append_const", const=name, help=text)
    parser.add_argument("--all", action="store_true", help="every check there is for that kind")
    parser.add_argument("--human-readable", action="store_true", help="with -d: KiB, MiB, …")
    parser.add_argument("--top", type=int, default=0, metavar="N", help="with -d: the N fullest disks")
    parser.add_argument("--lowest", type=int, default=0, metavar="N", help="with -d: the N emptiest disks")
    parser.add_argument("--jitter", type=float, default=1.0, metavar="SECONDS", help="with -T: so much is no error (1)")
    parser.add_argument("-t", "--timeout", type=float, default=5.0, metavar="SECONDS", help="for each answer (5)")
    parser.add_argument("--region", type=int, metavar="N", help="hosts of this region only")
    parser.add_argument("-z", "--zone", type=int, metavar="N", help="hosts of this zone only")
    parser.add_argument("-p", "--policy", metavar="NAME|INDEX", help="hosts of this policy's ring only")
    parser.add_argument("--swiftdir", type=Path, metavar="DIR", default=DEFAULT_SWIFT_DIR, help="rings (/etc/swift)")
    parser.add_argument("--json", action="store_true", help="for a script")
    return parser


def _run(arguments: argparse.Namespace, terminal: Terminal) -> int:
    checks = _checks(arguments)
    if not 0 < arguments.timeout <= 3600:
        raise CommandError(f"--timeout {arguments.timeout:g}: expected more than 0, at most 3600", code=USAGE)
    try:
        asked = hosts(_rings(arguments), arguments.region, arguments.zone)
    except RingFileError as error:
        raise CommandError(str(error)) from None
    if not asked:
        raise CommandError("no host is left to be asked: see --region, --zone and --policy")
    wish = Wish(arguments.kind, len(asked), arguments.human_readable, arguments.top, arguments.lowest, arguments.jitter)
    if not arguments.json:
        terminal.say(f"{_RULE}\n--> Starting reconnaissance on {len(asked)} hosts ({arguments.kind})\n{_RULE}")
    answers = ask_all(asked, [check.question(arguments.kind) for check in checks], arguments.timeout)
    return _tell(checks, answers, wish, arguments, terminal)


def _tell(
    checks: Sequence[Check], answers: Answers, wish: Wish, arguments: argparse.Namespace, terminal: Terminal
) -> int:
    values: dict[str, object] = {}
    errors: list[dict[str, str]] = []
    is_wrong = False
    for check in checks:
        question = check.question(wish.kind)
        given = {host: of[question] for host, of in answers.items() if not of[question].problem}
        silent = {host: of[question].problem for host, of in answers.items() if of[question].problem}
        result = check.result(given, replace(wish, local_digests=_local_digests(check, arguments.swiftdir)))
        is_wrong = is_wrong or result.is_wrong or bool(silent)
        values[check.title] = result.value
        errors += [_error(host, check, problem) for host, problem in silent.items()]
        if not arguments.json:
            terminal.say(f"[{time.strftime('%Y-%m-%d %H:%M:%S')}] Checking {check.title}")
            for host, problem in silent.items():
                terminal.say(f"-> {host}: {shown_text(problem)}")
            for line in [*result.lines, _RULE]:
                terminal.say(line)
    if arguments.json:
        found = {"type": wish.kind, "hosts": [str(host) for host in answers], "checks": values, "errors": errors}
        terminal.say(json.dumps(found, indent=2))
    return FAILED if is_wrong else OK


def _error(host: Host, check: Check, problem: str) -> dict[str, str]:
    return {"host": str(host), "check": check.title, "problem": shown_text(problem)}


def _checks(arguments: argparse.Namespace) -> list[Check]:
    wanted = set(_OPTIONS) if arguments.all else set(arguments.checks or ())
    if not wanted:
        raise CommandError("expected a check, such as -r or --all; see --help", code=USAGE)
    found = [check for check in CHECKS if check.name in wanted and arguments.kind in check.kinds]
    missing = wanted - {check.name for check in found}
    if missing and not arguments.all:
        named = ", ".join(_OPTIONS[name][0][-1] for name in sorted(missing))
        raise CommandError(f"{named}: {arguments.kind} servers are not asked for that", code=USAGE)
    return found


def _rings(arguments: argparse.Namespace) -> list[Path]:
    """The rings to ask: with objects those of all policies, unless one is asked for."""
    swift_dir: Path = arguments.swiftdir.expanduser()
    if arguments.policy is not None:
        if arguments.kind != "object":
            raise CommandError("--policy: only objects have policies", code=USAGE)
        policies = load_cluster(swift_dir).policies
        for policy in policies:
            names = {name.lower() for name in policy.names} | {str(policy.index)}
            if arguments.policy.lower() in names:
                return [swift_dir / f"{policy.ring_name}.ring.gz"]
        raise CommandError(f"--policy {arguments.policy}: no such policy in {swift_dir / 'swift.conf'}", code=USAGE)
    pattern = re.compile(rf"{arguments.kind}{r'(-[0-9]+)?' if arguments.kind == 'object' else ''}\.ring\.gz")
    found = sorted(path for path in swift_dir.glob("*.ring.gz") if pattern.fullmatch(path.name))
    return found or [swift_dir / f"{arguments.kind}.ring.gz"]


def _local_digests(check: Check, swift_dir: Path) -> dict[str, str]:
    files: list[Path] = []
    if check.path == "/recon/ringmd5":
        files = sorted(swift_dir.expanduser().glob("*.ring.gz"))
    elif check.path == "/recon/swiftconfmd5":
        files = [swift_dir.expanduser() / "swift.conf"]
    found = {}
    for file in files:
        try:
            found[file.name] = hashlib.md5(file.read_bytes(), usedforsecurity=False).hexdigest()
        except OSError as error:
            raise CommandError(f"{file}: cannot be read ({error.strerror})") from None
    return found


main = tool_main(_parser, _run)

if __name__ == "__main__":
    sys.exit(main())
