"""objstore cp: files and directories into the cluster, out of it, or from one place in it to another."""

from __future__ import annotations

import argparse
import json
import re

from objstore.cli.login import add_arguments as add_login
from objstore.cli.progress_lines import ProgressLines
from objstore.cli.remote import printable, size_shown, with_account
from objstore.cli.terminal import FAILED, OK, CommandError, Terminal
from objstore.client.account import Account
from objstore.client.copying import Copying, CopyOptions
from objstore.client.large import SEGMENT_BYTES
from objstore.client.upload import UploadOptions
from objstore.client.work import Done, Kind, Progress, Workers

EXAMPLE = """\
example:
  objstore cp cat.jpg objstore:photos/2026/          a file; the container is made when it is missing
  objstore cp -r ~/Pictures objstore:photos          what is in the directory, below the container
  objstore cp -r objstore:photos/2026 ~/restored     and back
  objstore cp objstore:photos/a objstore:archive/b   within the cluster, without coming by here

The same command again goes on where it was cut off: what is there with the same size and checksum is skipped, large
files go on with the segments or bytes that are missing.
Exit code 0: all is there; 1: something could not be copied (each is said); 130: Ctrl-C.
"""
_ERRORS_SHOWN = 100
_AT_ONCE = 8
_AT_ONCE_MAX = 64
_UNITS = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("sources", nargs="+", metavar="SOURCE", help="a path, or objstore:CONTAINER[/NAME]")
    parser.add_argument("destination", metavar="DESTINATION", help="likewise")
    parser.add_argument("-r", "--recursive", action="store_true", help="directories with all that is in them")
    parser.add_argument("-L", "--follow", action="store_true", help="follow symbolic links below a directory")
    parser.add_argument("-f", "--force", action="store_true", help="copy what is there already with the same content")
    parser.add_argument(
        "-j", "--jobs", type=_jobs, default=_AT_ONCE, metavar="N", help="transfers at once (%(default)s)"
    )
    parser.add_argument(
        "--segment-size", type=_size, default=SEGMENT_BYTES, metavar="SIZE",
        help="larger files go up in segments of this size: 500M, 1G (128M)",
    )  # fmt: skip
    parser.add_argument("--keep-segments", action="store_true", help="of large objects that are replaced")
    parser.add_argument("-q", "--quiet", action="store_true", help="no progress, no summary")
    parser.add_argument("--json", action="store_true", help="a JSON object per file, then one for all")
    add_login(parser)


def run(arguments: argparse.Namespace, terminal: Terminal) -> int:
    return with_account(arguments, terminal, lambda account: _copy(account, arguments, terminal))


def _copy(account: Account, arguments: argparse.Namespace, terminal: Terminal) -> int:
    progress = Progress()
    workers = Workers(arguments.jobs, account.session.stop, progress)
    options = CopyOptions(
        arguments.recursive,
        arguments.follow,
        arguments.force,
        UploadOptions(arguments.segment_size, arguments.force, arguments.keep_segments),
    )
    jobs = Copying(account, workers, options).jobs(arguments.sources, arguments.destination)
    lines = ProgressLines(terminal, progress, is_quiet=arguments.quiet or arguments.json)
    report = Report()
    try:
        for done in workers.run(jobs, lines.draw):
            report.add(done)
            if arguments.json:
                terminal.say(json.dumps(_facts(done)))
    except KeyboardInterrupt:
        lines.clear()
        terminal.complain(f"interrupted after {report.copied} files; the same command goes on from here")
        raise
    finally:
        lines.clear()
        report.say(arguments, terminal)
    if not report.is_any:
        raise CommandError("there was nothing to copy", code=FAILED)
    return FAILED if report.failed else OK


class Report:
    """Counts of what was copied, skipped and failed. Errors are kept for the end, a bounded number of them."""

    def __init__(self) -> None:
        self.copied = self.skipped = self.left_out = self.failed = self.unverified = 0
        self.size_bytes = 0
        self.errors: list[str] = []

    @property
    def is_any(self) -> bool:
        return bool(self.copied or self.skipped or self.left_out or self.failed)

    def add(self, done: Done) -> None:
        if done.kind is Kind.COPIED:
            self.copied += 1
            self.size_bytes += done.size_bytes
            self.unverified += not done.is_verified
        elif done.kind is Kind.SKIPPED:
            self.skipped += 1
        elif done.kind is Kind.LEFT_OUT:
            self.left_out += 1
        else:
            self.failed += 1
            if len(self.errors) < _ERRORS_SHOWN:
                self.errors.append(f"{done.source}: {done.why.removeprefix(f'{done.source}: ')}")

    def say(self, arguments: argparse.Namespace, terminal: Terminal) -> None:
        for error in self.errors:
            terminal.complain(printable(error))
        if self.failed > len(self.errors):
            terminal.complain(f"and {self.failed - len(self.errors)} more")
        if arguments.json:
            facts = {name: getattr(self, name) for name in ("copied", "skipped", "left_out", "failed", "unverified")}
            terminal.say(json.dumps({**facts, "bytes": self.size_bytes}))
        elif not arguments.quiet:
            terminal.say(self._summary())

    def _summary(self) -> str:
        parts = [f"{self.copied} copied ({size_shown(self.size_bytes, True)})"]
        if self.skipped:
            parts.append(f"{self.skipped} there already")
        if self.left_out:
            parts.append(f"{self.left_out} left out (links, devices)")
        if self.unverified:
            parts.append(f"{self.unverified} without a checksum to compare")
        if self.failed:
            parts.append(f"{self.failed} failed")
        return ", ".join(parts)


def _facts(done: Done) -> dict[str, object]:
    facts: dict[str, object] = {
        "source": done.source,
        "destination": done.destination,
        "result": done.kind.value,
        "bytes": done.size_bytes,
    }
    if done.kind is Kind.COPIED:
        facts["is_verified"] = done.is_verified
    return {**facts, "why": done.why} if done.why else facts


def _jobs(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= _AT_ONCE_MAX):
        raise argparse.ArgumentTypeError(f"{text!r}: expected 1 to {_AT_ONCE_MAX}")
    return int(text)


def _size(text: str) -> int:
    found = re.fullmatch(r"([1-9][0-9]{0,12})([kmg]?)(i?b)?", text.lower())
    if found is None:
        raise argparse.ArgumentTypeError(f"{text!r}: expected a size: 500M, 1G, or bytes")
    return int(found[1]) * _UNITS[found[2]]
