"""The agent of a node as a process under `objstore up` or objstore-agent: TLS on the node's own address, and the
holder's rounds."""

from __future__ import annotations

import contextlib
import logging
import ssl
from collections.abc import Callable, Sequence
from functools import partial

from objstore.cli import rsync_daemon, token_keys
from objstore.cli.at_once import within
from objstore.cli.user_nodes import change_here
from objstore.cli.watchdog import spawn_watchdog
from objstore.cluster import agent, rsyncd
from objstore.cluster.agent import Agent
from objstore.cluster.agent_app import AgentApp
from objstore.cluster.certificate import CERTIFICATE_FILE, KEY_FILE
from objstore.cluster.client import is_of_several
from objstore.cluster.directory import MEMBERS_FILE, ClusterDirectory
from objstore.cluster.distribution import ROUND_EVERY_S
from objstore.cluster.peer_gate import rsync_gate
from objstore.cluster.servers import glance, read_servers
from objstore.config.errors import ConfigError
from objstore.core.errors import DomainError
from objstore.http.server import Server, ServerLimits
from objstore.http.tls import server_context
from objstore.runtime import green, logs
from objstore.runtime.fs import Fs
from objstore.runtime.supervisor import CannotStart
from objstore.runtime.worker import Program, Worker

ROLE = "agent"
_LIMITS = ServerLimits(
    head_timeout_s=10.0, keepalive_timeout_s=5.0, client_timeout_s=10.0, body_bytes_per_s=10_000.0, max_connections=512
)
_THREADS = 8
"""Calls of other agents at once: rounds and changes are few, and each waits for files."""
_log = logging.getLogger("objstore.agent")


def program(directory: ClusterDirectory, *, is_alone: bool = False) -> Program | None:
    """None for a directory that is no node among others. is_alone: it is all that is started here, and logs to standard
    error. Raises CannotStart."""
    if not is_of_several(directory):
        return None
    try:
        membership, _ = agent.own_membership(directory.etc, Fs())
    except DomainError as error:
        raise CannotStart([str(error)]) from None
    me = membership.me
    assert me is not None, "found by its certificate"
    return Program(
        ROLE,
        me.name,
        partial(serve, directory, is_alone),
        addresses=((me.ip, me.agent_port),),
        origin=f"{directory.etc / MEMBERS_FILE}: agent_port",
    )


def serve(directory: ClusterDirectory, is_alone: bool, worker: Worker) -> None:
    """Run in the child until the supervisor asks it to stop. Raises CannotStart.

    Nothing is made green here but what waits for the hub: native threads may use sockets, and log."""
    if not is_alone:
        logs.log_to_file(directory.log_file(ROLE, worker.program.node))
    rounds, served, tls = _prepared(directory)
    (sock,) = worker.sockets.values()
    http = Server(sock, AgentApp(served, rounds.in_thread), limits=_LIMITS, logger=_log, tls=tls)
    task = green.spawn(http.serve)
    pet = spawn_watchdog()
    loop = green.spawn(rounds.run, served)
    green.sleep(0)
    _log.info("serving role=%s node=%s address=%s:%d", ROLE, worker.program.node, *worker.program.addresses[0])
    worker.ready()
    worker.wait_for_stop()
    # At a reload another agent makes the rounds by now, and may know newer members.
    loop.kill()
    http.drain(worker.grace_s)
    task.join()
    if pet is not None:
        pet.kill()
    _log.info("stopped role=%s node=%s", ROLE, worker.program.node)


def _prepared(directory: ClusterDirectory) -> tuple[_Rounds, agent.Agent, ssl.SSLContext]:
    """(what makes the rounds, the agent, the TLS of its server). Raises CannotStart."""
    try:
        gate = rsync_gate(directory.etc, glance(directory))
        rounds = _Rounds(green.ThreadPool(_THREADS), gate.addresses, partial(_admit_to_rsync, directory))
        served = agent.opened(
            directory,
            within,
            wake=rounds.wake,
            users=partial(change_here, directory) if directory.has_proxy else None,
            token_keys=partial(token_keys.change_here, directory) if directory.has_proxy else None,
        )
        tls = server_context(str(directory.etc / CERTIFICATE_FILE), str(directory.etc / KEY_FILE))
    except DomainError as error:
        raise CannotStart([str(error)]) from None
    except ConfigError as error:
        raise CannotStart([str(problem) for problem in error.problems]) from None
    except OSError as error:
        raise CannotStart([f"{directory.etc / CERTIFICATE_FILE}: cannot be used ({error})"]) from None
    return rounds, served, tls


def _admit_to_rsync(directory: ClusterDirectory, addresses: Sequence[str]) -> None:
    servers = read_servers(directory)
    where = rsyncd.listening(servers, is_of_several=True)
    if where is not None:
        rsync_daemon.write(directory, servers, where, addresses)


class _Rounds:
    """The holder's rounds, one after the other: every ROUND_EVERY_S, and at once when something has changed."""

    def __init__(
        self,
        pool: green.ThreadPool,
        addresses: Callable[[], Sequence[str]],
        on_addresses: Callable[[Sequence[str]], None],
    ) -> None:
        """addresses: of whoever may connect, by rings, members and configuration. on_addresses: called with them when
        they have changed; both in a native thread."""
        self._pool = pool
        self._find_addresses = addresses
        self._on_addresses = on_addresses
        self._addresses: Sequence[str] = ()
        self._is_wanted = False
        self._due = green.Future()

    def wake(self) -> None:
        """From any thread: a round is wanted when the call that runs in it has ended."""
        self._is_wanted = True

    def in_thread(self, call: Callable[[], bytes]) -> bytes:
        """Run a call of AgentApp in a native thread. Raises what the call raises."""
        try:
            return self._pool.run(call)
        finally:
            if self._is_wanted and not self._due.is_set:
                self._due.set()

    def run(self, served: Agent) -> None:
        # Whoever holds may be starting too, or be another by now.
        with contextlib.suppress(DomainError):
            self._pool.run(served.announce)
        is_again = False
        while True:
            self._is_wanted, self._due = False, green.Future()
            # What a round has found out reaches all nodes with the next: that comes at once, but never twice.
            is_again = self._round(served) and not is_again
            self._tell_addresses()
            if not is_again:
                with contextlib.suppress(green.TimedOut):
                    self._due.wait(ROUND_EVERY_S)

    def _tell_addresses(self) -> None:
        try:
            addresses = self._pool.run(self._find_addresses)
            if addresses != self._addresses:
                self._pool.run(self._on_addresses, addresses)
                self._addresses = addresses
        except (OSError, ConfigError) as error:
            _log.error("rsync does not admit the nodes there are now: %s", error)

    def _round(self, served: Agent) -> bool:
        """Whether there is news."""
        try:
            return self._pool.run(served.round)
        except (DomainError, OSError) as error:
            _log.error("the round failed: %s", error)
        except Exception:  # The boundary of a round: the next one may go better.
            _log.exception("the round failed")
        return False
