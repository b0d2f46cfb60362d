"""`python -m tests.replay FOLDER ENDPOINT`: every case of a folder against any endpoint, reported case by case.

Example: python -m tests.replay tests/vectors/http http://127.0.0.1:8080 --only A3.6,copy,obj-put-empty
Exit codes: 0 every case passed or was skipped, 1 some failed, 2 the arguments or the endpoint are of no use.
"""

from __future__ import annotations

import argparse
import sys
import urllib.parse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TextIO

from tests.replay.cases import Case, CaseError, load_folder
from tests.replay.run import Result, run_case
from tests.replay.scope import Scope, load_scope
from tests.replay.world import USERS, Target, TargetError, load_users


def main(argv: Sequence[str], *, stdout: TextIO, stderr: TextIO) -> int:
    options = _parser().parse_args(argv)
    try:
        cases = select(load_folder(options.folder), options.only)
        scope = Scope() if options.everything else load_scope()
        users = load_users(options.users) if options.users else USERS
        target = open_target(options.endpoint, options.auth, users)
        target.prepare()
    except (CaseError, TargetError, OSError, ValueError) as error:
        print(f"replay: {error}", file=stderr)
        return 2
    results = []
    for case in cases:
        result = run_case(case, target, scope)
        results.append(result)
        tell(result, stdout, verbose=options.verbose)
    failed = sum(not result.passed and not result.skipped for result in results)
    skipped = sum(bool(result.skipped) for result in results)
    end = f", {skipped} skipped" if skipped else ""
    print(f"{len(results) - failed - skipped} passed, {failed} failed{end}", file=stdout)
    return 1 if failed else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.replay",
        description="Replay recorded conversations against an endpoint.",
        epilog="example: python -m tests.replay tests/vectors/http http://127.0.0.1:8080 --only A3.6,copy",
    )
    parser.add_argument("folder", type=Path, help="folder of *.jsonl files with cases, one a line")
    parser.add_argument("endpoint", help="http://host:port of the proxy")
    parser.add_argument("--auth", help="URL that gives tokens (default: ENDPOINT/auth/v1.0)")
    parser.add_argument(
        "--users", type=Path, help='TOML file of name = ["account:user", "key"], on top of the defaults'
    )
    parser.add_argument("--only", default="", help="comma-separated rows, areas (file names) or case ids")
    parser.add_argument("--everything", action="store_true", help="ignore quirks.toml and scope.toml")
    parser.add_argument("--verbose", action="store_true", help="show every exchange, not only those that differ")
    return parser


def select(cases: Sequence[Case], only: str) -> list[Case]:
    """The cases that `only` names by row, area or id; all of them when it is empty."""
    wanted = {word.strip() for word in only.split(",") if word.strip()}
    chosen = [case for case in cases if not wanted or wanted & {case.row, case.area, case.id}]
    if not chosen:
        raise CaseError(f"no case has a row, area or id of {only!r}")
    return chosen


def open_target(endpoint: str, auth: str | None, users: Mapping[str, tuple[str, str]]) -> Target:
    parts = urllib.parse.urlsplit(endpoint if "//" in endpoint else "http://" + endpoint)
    if parts.scheme != "http" or not parts.hostname:
        raise CaseError(f"{endpoint}: expected http://host:port")
    auth_path = urllib.parse.urlsplit(auth).path if auth else "/auth/v1.0"
    return Target(parts.hostname, parts.port or 80, auth_path=auth_path, users=users)


def tell(result: Result, stdout: TextIO, *, verbose: bool) -> None:
    if result.skipped:
        print(f"skip  {result.case.area}: {result.case.id}: {result.skipped}", file=stdout)
    elif result.passed:
        quirk = f" (quirk: {result.quirk})" if result.quirk else ""
        print(f"ok    {result.case.area}: {result.case.id}{quirk}", file=stdout)
    else:
        print("FAIL  " + result.report(), file=stdout)
    if verbose:
        for step in result.steps:
            print(f"      {step.index}: {step.line} -> {step.answer.status} {step.answer.reason}", file=stdout)
            for name, value in step.answer.headers:
                print(f"         {name}: {value}", file=stdout)
    stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], stdout=sys.stdout, stderr=sys.stderr))
