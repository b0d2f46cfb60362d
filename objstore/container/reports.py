"""Telling accounts the counts of containers that changed here, some seconds after the change.

Object rows do not wait for the account. Each worker notes the containers whose rows it stored, and tells all account
replicas once per interval; when all have taken it, reported_* in the database say so. What is missed (a worker that
ended, an account server that was down) is found by the updater, because reported_* still differ. Nothing runs while
nothing changes. A container on a handoff is not reported, as by the updater: it may be behind, and the account cannot
tell older counts from newer ones (formats 5.5).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from objstore.container.account_update import AccountNode, AccountUpdates
from objstore.container.news import IN_DOUBT, facts, has_news, is_in_doubt, is_known
from objstore.core.names import BackendPath
from objstore.db.container import ContainerBroker
from objstore.http.status import is_success
from objstore.runtime import green

NOTED_MAX = 10_000
"""Containers remembered between two rounds; beyond them the updater finds what is left."""


class Reports:
    """nodes_of: the account servers of an account. interval_s: 0 turns reports off. One per process."""

    def __init__(
        self,
        updates: AccountUpdates,
        nodes_of: Callable[[str], Sequence[AccountNode]],
        *,
        interval_s: float,
        logger: logging.Logger,
        is_handoff: Callable[[str, int], bool] = lambda device, partition: False,
    ) -> None:
        """is_handoff: whether a partition's containers belong on other devices than this."""
        self._is_handoff = is_handoff
        self._updates = updates
        self._nodes_of = nodes_of
        self._interval_s = interval_s
        self._logger = logger
        self._noted: dict[str, tuple[BackendPath, ContainerBroker]] = {}
        self._is_running = False

    def note(self, path: BackendPath, broker: ContainerBroker) -> None:
        """A container's rows have changed. Never waits."""
        if not self._interval_s or len(self._noted) >= NOTED_MAX:
            return
        self._noted[broker.database.location.directory] = path, broker
        if not self._is_running:
            self._is_running = True
            green.spawn(self._run)

    def report(self, path: BackendPath, broker: ContainerBroker) -> bool:
        """Tell the account about one container, if there is something new. False: the updater has to."""
        info = broker.info()
        if not has_news(info):
            return True
        assert path.account is not None
        nodes = self._nodes_of(path.account)
        statuses = self._updates.tell(nodes, path, info, [("X-Account-Override-Deleted", "yes")])
        if not is_known(sum(status is not None and is_success(status) for status in statuses), len(nodes)):
            if not is_in_doubt(info):
                broker.reported(*IN_DOUBT)
            return False
        broker.reported(*facts(info))
        return True

    def _run(self) -> None:
        try:
            while self._noted:
                green.sleep(self._interval_s)
                noted, self._noted = self._noted, {}
                for path, broker in noted.values():
                    self._report_one(path, broker)
        finally:
            self._is_running = False

    def _report_one(self, path: BackendPath, broker: ContainerBroker) -> None:
        try:
            if not self._is_handoff(path.device, int(path.partition)):
                self.report(path, broker)
        except Exception as error:  # One container's trouble must not keep the others from being reported.
            self._logger.warning("container=%r error=%r: counts not reported to the account", path.name, error)
