"""FaultLog: what nodes did wrong in requests of the proxy, counted for error limiting and logged. One per worker."""

from __future__ import annotations

import logging

from objstore.http.client import ConnectTimedOut, PeerError, PeerTimedOut
from objstore.http.status import TOO_MANY_BACKEND_REQUESTS, HTTPStatus
from objstore.proxy.error_limit import ErrorLimiter
from objstore.ring.model import Node
from objstore.runtime.listen import shown


class FaultLog:
    def __init__(self, errors: ErrorLimiter, logger: logging.Logger) -> None:
        self._errors = errors
        self._logger = logger

    def failed(self, node: Node, error: PeerError) -> None:
        """No answer, or none in time."""
        self._logger.warning("node failed: device=%s reason=%r", _where(node), str(error))
        if self._errors.record(node):
            self._logger.error("node left alone after too many errors: device=%s", _where(node))
        if isinstance(error, (PeerTimedOut, ConnectTimedOut)):
            self.silent(node)

    def silent(self, node: Node) -> None:
        """Nothing heard for so long that others were asked. It may still answer: no error yet."""
        if self._errors.heard_nothing(node):
            self._logger.warning("node left alone until it answers: device=%s", _where(node))

    def is_silent(self, node: Node) -> bool:
        """Whether the node was asked if it is there, since it was silent(), and has not answered yet."""
        return self._errors.is_unheard(node)

    def refused(self, node: Node, status: int) -> None:
        """An answer of 5xx. 507 says that the device is not there or full: no need to ask again soon. 529 says that it
        works and is asked too much: nothing is held against it, and it logs that itself."""
        if status == TOO_MANY_BACKEND_REQUESTS:
            return
        self._logger.warning("node refused: device=%s status=%d", _where(node), status)
        if status == HTTPStatus.INSUFFICIENT_STORAGE:
            limited = self._errors.suppress(node)
        else:
            limited = self._errors.record(node)
        if limited:
            self._logger.error("node left alone: device=%s status=%d", _where(node), status)


def _where(node: Node) -> str:
    return f"{shown(node.address)}/{node.name}"
