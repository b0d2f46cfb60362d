"""The further steps of changes as a process under `objstore up`, where all nodes of a cluster are on this machine.

Among several machines that is the business of the holder's agent (cli/agent.py).
"""

from __future__ import annotations

import logging
from functools import partial

from objstore.cli.at_once import within
from objstore.cli.watchdog import spawn_watchdog
from objstore.cluster.client import is_of_several
from objstore.cluster.directory import ClusterDirectory
from objstore.cluster.distribution import ROUND_EVERY_S
from objstore.cluster.local_steps import LocalSteps
from objstore.cluster.servers import PROXY_NODE
from objstore.config.errors import ConfigError
from objstore.core.errors import DomainError
from objstore.runtime import green, logs
from objstore.runtime.worker import Program, Worker

ROLE = "steps"
_log = logging.getLogger("objstore.steps")


def program(directory: ClusterDirectory) -> Program | None:
    """None for a directory that is one node among others."""
    return None if is_of_several(directory) else Program(ROLE, PROXY_NODE, partial(serve, directory))


def serve(directory: ClusterDirectory, worker: Worker) -> None:
    """Run in the child until the supervisor asks it to stop. A step that is cut off then is done or not
    (cluster/ring_store.py)."""
    logs.log_to_file(directory.log_file(ROLE, worker.program.node))
    pool, steps = green.ThreadPool(1), LocalSteps(directory, within)
    loop, pet = green.spawn(_run, pool, steps), spawn_watchdog()
    worker.ready()
    worker.wait_for_stop()
    for task in (loop, *([pet] if pet else [])):
        task.kill()


def _run(pool: green.ThreadPool, steps: LocalSteps) -> None:
    said = ""
    while True:
        problem = _problem(pool, steps)
        if problem and problem != said:
            _log.error("no further step of the change: %s", problem)
        said = problem
        green.sleep(ROUND_EVERY_S)


def _problem(pool: green.ThreadPool, steps: LocalSteps) -> str:
    """Go on if that may be; why it cannot be known whether, "" when it can."""
    try:
        pool.run(steps.go_on)
        return ""
    except (DomainError, OSError, ConfigError) as error:
        return str(error)
    except Exception as error:  # The boundary of a look: the next one may go better.
        _log.exception("unexpected error")
        return repr(error)
