"""One run: a seed makes a world, clients and faults; then all heals, the daemons have their rounds, and is it true?"""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
import traceback
from dataclasses import dataclass, field
from pathlib import Path

import eventlet

from tests.sim import rsync
from tests.sim.checks import Checks
from tests.sim.clients import Clients
from tests.sim.disk import SimFs
from tests.sim.faults import Faults
from tests.sim.history import History
from tests.sim.host import HOST, Ended, Stuck, where_everybody_waits
from tests.sim.losses import Losses
from tests.sim.minds import Minds
from tests.sim.nodes import DAEMONS, RECONCILER
from tests.sim.reaped import Reaped
from tests.sim.world import World
from tests.support.durability import Shadow

MEMORY = Path("/dev/shm")
ROUNDS_AT_LEAST, ROUNDS_AT_MOST = 2, 7
MIXES = ("plain", "deep", "accounts", "rsync", "policies")
_PAUSE_S = 61.0
"""Longer than a proxy leaves a failing node alone, and than rings go unread."""


@dataclass
class Outcome:
    seed: int
    problems: list[str] = field(default_factory=list)
    trace: list[str] = field(default_factory=list)
    rounds: int = 0
    writes: int = 0


class _Watchful(logging.Handler):
    """Log lines are part of the trace. A traceback in them is a bug (but for a failing disk's)."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(logging.INFO)
        self._outcome = outcome

    def emit(self, record: logging.LogRecord) -> None:
        HOST.trace(f"log {record.levelname} {record.getMessage()}")
        error = record.exc_info[1] if record.exc_info else None
        if error is not None and not isinstance(error, (Ended, OSError)):
            text = logging.Formatter().formatException(record.exc_info)
            HOST.trace(text)
            self._outcome.problems.append(f"unexpected: {record.getMessage()}: {text}")


def run_seed(
    seed: int,
    memory: Path,
    *,
    keeps: bool = False,
    mix: str = "plain",
    clients: int = 3,
    requests: int = 14,
    faults: int = 9,
) -> Outcome:
    """memory: a directory, best on a memory file system. keeps: leave the world's files there, to be looked at. mix: of
    MIXES."""
    HOST.begin(seed)
    outcome = Outcome(seed)
    SimFs.shadow = Shadow(holds=not is_memory(memory))
    logging.getLogger("objstore").addHandler(_Watchful(outcome))
    logging.getLogger("objstore").setLevel(logging.INFO)
    logging.getLogger("objstore").propagate = False
    root = Path(tempfile.mkdtemp(dir=memory, prefix=f"sim-{seed}-"))
    HOST.trace = lambda text: outcome.trace.append(f"{HOST.now_s:.5f} {text.replace(str(root), '')}")
    try:
        _play(World(root, 2 if mix == "policies" else 1), outcome, mix, clients, requests, faults)
    except Stuck as error:
        outcome.problems.append(
            f"stuck: {error}\n{''.join(traceback.format_exception(error))}\n{where_everybody_waits()}"
        )
    finally:
        if not keeps:
            shutil.rmtree(root, ignore_errors=True)
    return outcome


def _play(world: World, outcome: Outcome, mix: str, client_count: int, requests: int, fault_count: int) -> None:
    history = History()
    world.start()
    clients = Clients(world, history)
    clients.prepare()
    faults = Faults(world, clients.put)
    reaped, minds = Reaped(world, clients), Minds(world, clients)
    if mix == "deep":
        losses = Losses(world, clients, faults)
        faults.kinds |= losses.kinds
        faults.weights |= losses.weights
    if mix == "rsync":
        rsync.install(world)
        faults.kinds |= {"rsync killed": faults.kill_rsync, "home into the dark": faults.bring_home_and_black_out}
        faults.weights |= {"rsync killed": 3, "home into the dark": 2}
    if mix == "policies":
        faults.kinds["two minds"] = minds.disagree
        faults.weights["two minds"] = 6
    if mix == "accounts":
        faults.kinds["account deleted"] = reaped.make_and_delete
        faults.weights["account deleted"] = 8
    running = [eventlet.spawn(clients.run, requests) for _ in range(client_count)]
    running.append(eventlet.spawn(faults.run, fault_count, 3.0))
    for each in running:
        each.wait()
    HOST.trace("heal")
    world.heal()
    eventlet.sleep(_PAUSE_S)
    checks = Checks(world, history, clients)
    problems: list[str] = []
    while outcome.rounds < ROUNDS_AT_MOST:
        _round(world, outcome.rounds)
        outcome.rounds += 1
        eventlet.sleep(_PAUSE_S)
        if outcome.rounds >= ROUNDS_AT_LEAST:
            problems = [*checks.all(), *reaped.problems(), *minds.problems()]
            if not problems:
                break
    outcome.writes = len(history.writes)
    outcome.problems += history.problems + problems
    for write in history.writes:
        HOST.trace(f"history {write}")


def is_memory(directory: Path) -> bool:
    """Whether files there have extended attributes, and inode numbers are never used twice."""
    return directory == MEMORY and has_attributes(directory)


def has_attributes(directory: Path) -> bool:
    with tempfile.NamedTemporaryFile(dir=directory) as file:
        try:
            os.setxattr(file.name, "user.objstore", b"1")
        except OSError:
            return False
    return True


def _round(world: World, number: int) -> None:
    """Auditors read everything: they come in the first round and in every third."""
    for name in (*DAEMONS, RECONCILER) if world.policy_count > 1 else DAEMONS:
        if name.endswith("auditor") and number % 3:
            continue
        for node in world.nodes:
            HOST.trace(f"{node.name} {name} {node.run_pass(name)}")
