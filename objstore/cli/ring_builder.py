"""objstore-ring-builder: make and change rings. One builder file, one command; everything or nothing is saved.

The commands about devices are in ring_builder_devices, those that only look in ring_builder_views; here are the ones
that make builders and rings. Exit codes: 0 done, 1 done with a warning or nothing to do, 2 error.
"""

from __future__ import annotations

import contextlib
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import TextIO

from objstore.cli import ring_builder_devices as devices
from objstore.cli import ring_builder_views as views
from objstore.cli.ring_builder_files import RingFiles
from objstore.cli.ring_builder_parser import DEFAULT_COMMAND, make_parser
from objstore.cli.ring_builder_session import EXIT_ERROR, EXIT_OK, EXIT_WARNING, CommandError, Session
from objstore.cli.terminal import stop_writing
from objstore.core.errors import DomainError
from objstore.ring.builder import RebalanceReport, RingBuilder
from objstore.ring.fileformat import load
from objstore.runtime.clock import SystemClock
from objstore.runtime.fs import Fs

_GAIN_PERCENT = 1.0  # A rebalance that brings less is not worth the traffic of pushing a ring.
_NOTE_PERCENT = 5.0
_DASHED_ADDRESS = re.compile(r"-(\d+\.\d+\.\d+\.\d+|\[)")


def main(
    argv: Sequence[str] | None = None,
    *,
    stdout: TextIO | None = None,
    stderr: TextIO | None = None,
    environ: Mapping[str, str] | None = None,
    stdin: TextIO | None = None,
) -> int:
    """argv: without the program's name. environ: not used; every command takes it."""
    argv = sys.argv[1:] if argv is None else argv
    stdin, stdout, stderr = stdin or sys.stdin, stdout or sys.stdout, stderr or sys.stderr
    try:
        with contextlib.redirect_stdout(stdout), contextlib.redirect_stderr(stderr):
            arguments = make_parser().parse_args(_plain_arguments(argv))
    except SystemExit as end:  # argparse has printed help (0) or what is wrong (2).
        return EXIT_ERROR if end.code else EXIT_OK
    files = RingFiles.of(arguments.builder_file, Fs(), SystemClock())
    session = Session(arguments, files, stdin, stdout, stderr)
    try:
        code = _run(arguments.command, session, files)
        stdout.flush()
        return code
    except BrokenPipeError:
        stop_writing()
        return EXIT_OK
    except (CommandError, DomainError) as error:
        session.warn(f"error: {error}")
    except OSError as error:
        session.warn(f"error: {error.filename or files.builder}: {error.strerror or error}")
    return EXIT_ERROR


def _run(command: str, session: Session, files: RingFiles) -> int:
    if command in _LOOKING:
        return _LOOKING[command](session)
    with files.locked():
        return _CHANGING[command](session)


def _plain_arguments(argv: Sequence[str]) -> list[str]:
    """argv as argparse takes it: with the command that is meant when there is none, no search like an option."""
    plain = [word[1:] if _DASHED_ADDRESS.match(word) else word for word in argv]
    words = [word for word in plain if not word.startswith("-")]
    if len(words) == 1 and not {"-h", "--help"}.intersection(plain):
        plain.insert(plain.index(words[0]) + 1, DEFAULT_COMMAND)
    return plain


def _create(session: Session) -> int:
    arguments, files = session.arguments, session.files
    builder = RingBuilder.create(arguments.part_power, arguments.replicas, arguments.min_part_hours)
    if files.builder.exists():
        raise CommandError(f"{files.builder} exists already")
    files.save(builder)
    files.back_up(files.builder)
    return EXIT_OK


def _rebalance(session: Session) -> int:
    arguments, files = session.arguments, session.files
    builder = files.load()
    version = builder.version
    report = builder.rebalance(now_s=files.now_s(), seed=arguments.seed)
    is_changed = builder.version != version
    is_worth_it = _is_worth_it(report, builder)
    if arguments.json:
        session.say_json(_report_dict(report, builder, is_saved=is_changed and (is_worth_it or arguments.force)))
    if not is_changed:
        _say(session, _reason_for_nothing(session, builder, report))
        return EXIT_WARNING
    if not is_worth_it and not arguments.force:
        _say(
            session, f"Not saved: balance and dispersion change by less than {_GAIN_PERCENT:g} %. Use --force to save."
        )
        return EXIT_WARNING
    files.save(builder)
    files.save_ring(builder)
    files.back_up(files.builder, files.ring)
    _say(
        session,
        f"Reassigned {report.changed_partitions} ({100 * report.changed_partitions / builder.partition_count:.2f}%) "
        f"partitions. Balance is now {report.balance:.2f}. Dispersion is now {report.dispersion:.2f}",
    )
    if arguments.debug:
        _say(session, f"version {version} -> {builder.version}; {_details(report)}")
    notes = _notes(builder, report)
    for note in notes:
        _say(session, f"NOTE: {note}")
    return EXIT_WARNING if notes else EXIT_OK


def _details(report: RebalanceReport) -> str:
    return (
        f"{report.placed_count} replicas placed, {report.moved_count} moved; "
        f"removed devices: {', '.join(map(str, report.removed_devices)) or 'none'}; "
        f"left for later: {report.misplaced_count} partitions, {report.surplus_count} replicas"
    )


def _say(session: Session, text: str) -> None:
    """Say it to people; with --json the report has it."""
    if not session.arguments.json:
        session.say(text)


def _is_worth_it(report: RebalanceReport, builder: RingBuilder) -> bool:
    if report.placed_count or report.removed_devices or not report.changed_partitions:
        return True
    return (
        abs(report.balance_before - report.balance) >= _GAIN_PERCENT
        or abs(report.dispersion_before - report.dispersion) >= _GAIN_PERCENT
        or 100 * report.changed_partitions / builder.partition_count >= _GAIN_PERCENT
    )


def _reason_for_nothing(session: Session, builder: RingBuilder, report: RebalanceReport) -> str:
    wait_s = builder.seconds_until_moves(session.files.now_s())
    if wait_s and (report.misplaced_count or report.surplus_count):
        return (
            f"No partitions could be reassigned: {report.misplaced_count + report.surplus_count} wait until "
            f"min_part_hours ({builder.min_part_hours}) have passed, in {views.clock_text(wait_s)}."
        )
    if session.files.ring_state(builder) != "up-to-date":
        return "No partitions needed to be reassigned. The ring file is not up to date: write it with write_ring."
    return "No partitions needed to be reassigned."


def _notes(builder: RingBuilder, report: RebalanceReport) -> list[str]:
    """Hints on what the operator should do next."""
    notes = []
    if report.misplaced_count or report.surplus_count:
        notes.append(
            f"{report.misplaced_count} partitions should be spread better and {report.surplus_count} replicas are "
            f"still to be moved: push this ring, wait at least {builder.min_part_hours} hours, and rebalance again."
        )
    if report.dispersion > _NOTE_PERCENT:
        required = builder.plan().required_overload
        hint = f"an overload of {100 * required:.2f}% or other weights would" if required else "more devices would"
        notes.append(f"Dispersion of {report.dispersion:.2f}: {hint} keep replicas apart.")
    return notes


def _report_dict(report: RebalanceReport, builder: RingBuilder, is_saved: bool) -> dict[str, object]:
    return {
        "is_saved": is_saved,
        "version": builder.version,
        "changed_partitions": report.changed_partitions,
        "moved_replicas": report.moved_count,
        "placed_replicas": report.placed_count,
        "removed_devices": list(report.removed_devices),
        "misplaced_partitions": report.misplaced_count,
        "surplus_replicas": report.surplus_count,
        "balance_before": report.balance_before,
        "balance": report.balance,
        "dispersion_before": report.dispersion_before,
        "dispersion": report.dispersion,
    }


def _set_replicas(session: Session) -> int:
    builder = session.files.load()
    builder.set_replicas(session.arguments.replicas)
    session.files.save(builder)
    session.say(f"The replica count is now {builder.replicas:.6f}. The change takes effect at the next rebalance.")
    return EXIT_OK


def _set_overload(session: Session) -> int:
    text = session.arguments.overload
    try:
        overload = float(text[:-1]) / 100 if text.endswith("%") else float(text)
    except ValueError:
        raise CommandError(f"overload is {text!r}: expected a factor like 0.1 or a percentage like 10%") from None
    builder = session.files.load()
    builder.set_overload(overload)
    session.files.save(builder)
    session.say(f"The overload factor is now {100 * overload:.2f}% ({overload:.6f}).")
    if overload > 1 and not text.endswith("%"):
        session.warn(f"warning: {text} means {100 * overload:g}%; write {text}% if that is what you meant")
        return EXIT_WARNING
    return EXIT_OK


def _set_min_part_hours(session: Session) -> int:
    builder = session.files.load()
    builder.set_min_part_hours(session.arguments.hours)
    session.files.save(builder)
    session.say(f"The minimum number of hours before a partition can be reassigned is now {builder.min_part_hours}.")
    return EXIT_OK


def _pretend(session: Session) -> int:
    builder = session.files.load()
    builder.pretend_min_part_hours_passed()
    session.files.save(builder)
    session.say("Every partition may move at the next rebalance.")
    return EXIT_OK


def _write_ring(session: Session) -> int:
    arguments, files = session.arguments, session.files
    builder = files.load()
    if arguments.format_version == 1 and arguments.dev_id_bytes != 2:
        raise CommandError("--dev-id-bytes needs --format-version 2: version 1 has ids of 2 bytes")
    files.save_ring(builder, arguments.format_version, arguments.dev_id_bytes)
    files.back_up(files.ring)
    session.say(f"{files.ring} written: version {builder.version}, format {arguments.format_version}")
    if builder.is_changed:
        session.warn("warning: the builder has changes that only a rebalance brings into the assignments")
        return EXIT_WARNING
    return EXIT_OK


def _write_builder(session: Session) -> int:
    files = session.files
    if files.builder.exists():
        raise CommandError(f"{files.builder} exists already: a ring knows less than its builder")
    builder = RingBuilder.from_ring(load(files.ring), session.arguments.min_part_hours)
    files.save(builder)
    files.back_up(files.builder)
    session.say(
        f"{files.builder} written; when partitions moved, overload and devices being removed are not in a ring."
    )
    return EXIT_OK


Command = Callable[[Session], int]
_LOOKING: dict[str, Command] = {
    "show": views.show,
    "search": devices.search,
    "list_parts": devices.list_parts,
    "validate": views.validate,
    "version": views.version,
}
_CHANGING: dict[str, Command] = {
    "create": _create,
    "add": devices.add,
    "set_weight": devices.set_weight,
    "set_region": devices.set_region,
    "set_zone": devices.set_zone,
    "set_info": devices.set_info,
    "remove": devices.remove,
    "rebalance": _rebalance,
    "set_replicas": _set_replicas,
    "set_overload": _set_overload,
    "set_min_part_hours": _set_min_part_hours,
    "pretend_min_part_hours_passed": _pretend,
    "dispersion": views.dispersion,
    "write_ring": _write_ring,
    "write_builder": _write_builder,
}


if __name__ == "__main__":
    sys.exit(main())
