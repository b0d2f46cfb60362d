"""objstore up DIR: make a cluster if there is none, start it, and stay until Ctrl-C (or in the background)."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from objstore.cli import agent, daemons, init, rsync_daemon, steps
from objstore.cli.banner import banner
from objstore.cli.checks import checked
from objstore.cli.place import add_directory, directory_of
from objstore.cli.ring_session import said
from objstore.cli.serve import programs
from objstore.cli.terminal import EX_CONFIG, OK, CommandError, Terminal
from objstore.cluster.directory import ClusterDirectory
from objstore.cluster.holder import Holder
from objstore.cluster.init import InitError, check_directory
from objstore.config.errors import ConfigError
from objstore.runtime import detach, lock, logs, process
from objstore.runtime.fs import Fs
from objstore.runtime.supervisor import CannotStart, Options, Supervisor
from objstore.runtime.worker import Program

EXAMPLE = """\
example:
  objstore up ~/cluster                                 four nodes, three replicas, http://127.0.0.1:8080
  objstore up ~/cluster --nodes 1 --replicas 1 --port 8081 --detach

What is there is never overwritten: on a directory that has a cluster, up resumes its data, users and keys, and the
options that describe a new cluster have no effect. SIGHUP reads the configuration again without dropping a request.
"""
_GRACE_S = 1.3
_log = logging.getLogger("objstore.up")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_directory(parser)
    parser.add_argument("--detach", action="store_true", help="go to the background as soon as everything serves")
    parser.add_argument("--show-key", action="store_true", help="print the user's key even if this is not a terminal")
    parser.add_argument("--no-daemons", action="store_true", help="servers only: nothing is repaired meanwhile")
    init.add_plan_arguments(parser)


def run(arguments: argparse.Namespace, terminal: Terminal) -> int:
    directory = directory_of(arguments)
    if not directory.exists:
        init.make(directory, arguments)
    _check_writable(directory)
    if lock.is_held(directory.run):
        terminal.say(f"{directory.root}: already running; see: objstore status {directory.root}")
        return OK
    with said():
        Holder(directory.etc).repair()
    has_daemons = not arguments.no_daemons
    shows_key = arguments.show_key or terminal.shows_secrets

    def greet() -> None:
        for line in banner(directory, terminal.environ, shows_key=shows_key, is_detached=arguments.detach):
            terminal.say_if_heard(line)

    if not arguments.detach:
        hangup_stops = sys.stdin is not None and sys.stdin.isatty()
        outcome = _Foreground(terminal.say_if_heard, greet)
        return supervise(directory, outcome, hangup_stops=hangup_stops, has_daemons=has_daemons)
    code = detach.detach(
        lambda voice: supervise(directory, _Background(voice), has_daemons=has_daemons),
        terminal.complain,
        directory.log / "stderr.log",
    )
    if code == OK:
        greet()
    return code


@dataclass(frozen=True, slots=True)
class _Foreground:
    """Lines go to the terminal as long as the supervisor lives."""

    say: Callable[[str], None]
    ready: Callable[[], None]

    def failed(self, lines: Sequence[str]) -> int:
        raise CommandError(*lines)

    def forked(self) -> None:
        pass


@dataclass(frozen=True, slots=True)
class _Background:
    """Lines go to the command that waits, until the cluster is ready; later ones only to the log."""

    voice: detach.Voice

    def say(self, text: str) -> None:
        self.voice.say(text)

    def ready(self) -> None:
        self.voice.done(OK)

    def failed(self, lines: Sequence[str]) -> int:
        for line in lines:
            self.voice.say(line)
        return EX_CONFIG

    def forked(self) -> None:
        self.voice.hang_up()


def supervise(
    directory: ClusterDirectory,
    outcome: _Foreground | _Background,
    *,
    hangup_stops: bool = False,
    has_daemons: bool = True,
) -> int:
    """Run every server of a directory, and its daemons, until told to stop; returns an exit code."""
    held = lock.take(directory.run)
    if held is None:
        return outcome.failed([f"{directory.root}: another supervisor has just started here"])
    process.set_title("supervisor", "-", str(directory.root))
    logs.log_to_file(directory.log_file("supervisor", "-"))

    def plan() -> list[Program]:
        servers, lines, notes = checked(directory)
        if lines:
            raise CannotStart(lines)
        for note in notes:
            _log.warning("%s", note)
        try:
            background = daemons.node_programs(servers, directory.log) if has_daemons else []
            rsync = rsync_daemon.program(directory, servers)
            among_others = agent.program(directory)
            # Without daemons nothing that has moved ever arrives.
            following = steps.program(directory) if has_daemons else None
            extra = [each for each in (rsync, among_others, following) if each is not None]
            return [*programs(servers, directory.log), *background, *extra]
        except ConfigError as error:
            raise CannotStart([str(problem) for problem in error.problems]) from None

    def ready() -> None:
        _log.info("ready")
        outcome.ready()

    supervisor = Supervisor(
        plan,
        Options(str(directory.root), _GRACE_S, run_directory=directory.run, hangup_stops=hangup_stops),
        say=outcome.say,
        on_ready=ready,
        on_fork=lambda program: outcome.forked(),
    )
    try:
        return supervisor.run()
    except CannotStart as error:
        return outcome.failed(error.lines)
    finally:
        os.close(held)


def _check_writable(directory: ClusterDirectory) -> None:
    try:
        check_directory(directory.root, Fs())
        directory.log.mkdir(exist_ok=True)
        directory.run.mkdir(mode=0o700, exist_ok=True)
    except InitError as error:
        raise CommandError(str(error)) from None
    except OSError as error:
        raise CommandError(f"{error.filename}: cannot be made ({error.strerror})") from None
