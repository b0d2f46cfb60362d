"""DELETE of an object: a tombstone, whether there is anything to delete or not. Source: formats 6.4; vectors/wire.

A node that does not know the object still writes the tombstone: the copy it should have had may arrive later.
"""

from __future__ import annotations

from objstore.core.errors import BadRequest, Conflict
from objstore.core.names import BackendPath
from objstore.core.timestamp import Timestamp
from objstore.http.errors import error_response
from objstore.http.request import Request
from objstore.http.response import Response, plain
from objstore.http.status import HTTPStatus
from objstore.object.context import ObjectContext
from objstore.object.expiries import Expiries
from objstore.object.requests import next_part_power, referer
from objstore.object.rows import ContainerRow
from objstore.object.update import Replicas, Report, container_replicas
from objstore.storage.engine import CONTENT_TYPE, Absent, StoredObject
from objstore.storage.layout import ObjectAddress


class DeleteHandler:
    def __init__(self, context: ObjectContext) -> None:
        self._context = context
        self._expiries = Expiries(context)

    def __call__(self, request: Request) -> Response:
        path, address = self._context.locate_for_change(request)
        timestamp = request.timestamp()
        if_delete_at_s = _if_delete_at(request)
        stored = self._context.engine.open(address)
        if not isinstance(stored, Absent):
            stored.close()
        refusal = self._refusal(address, stored, timestamp, if_delete_at_s)
        if refusal is not None:
            if isinstance(stored, Absent) and stored.timestamp == timestamp:
                # This very DELETE, for container servers that the first one did not name (proxy/orphans.py).
                self._tell(request, path, address, timestamp, _replicas(request, path))
            return refusal
        self._write(request, path, address, stored, timestamp)
        is_gone = isinstance(stored, Absent) or (
            if_delete_at_s is None and stored.is_expired(self._context.clock.now())
        )
        return _answer(HTTPStatus.NOT_FOUND if is_gone else HTTPStatus.NO_CONTENT, stored, timestamp)

    def _refusal(
        self, address: ObjectAddress, stored: StoredObject | Absent, timestamp: Timestamp, if_delete_at_s: int | None
    ) -> Response | None:
        """The answer when nothing is to be written."""
        if isinstance(stored, Absent):
            if if_delete_at_s is not None and stored.timestamp is None:
                return plain(HTTPStatus.NOT_FOUND)
            if stored.timestamp is not None and stored.timestamp >= timestamp:
                return _answer(HTTPStatus.NOT_FOUND, stored, stored.timestamp)
            return None
        if stored.data_timestamp >= timestamp:
            response = error_response(Conflict(address.name, stored.data_timestamp))
            assert response is not None
            response.headers["x-backend-content-type"] = stored.headers.get(CONTENT_TYPE, "")
            return response
        if if_delete_at_s is not None and stored.delete_at_s != if_delete_at_s:
            return plain(HTTPStatus.PRECONDITION_FAILED, "X-If-Delete-At and X-Delete-At do not match")
        return None

    def _write(
        self,
        request: Request,
        path: BackendPath,
        address: ObjectAddress,
        stored: StoredObject | Absent,
        timestamp: Timestamp,
    ) -> None:
        part_power = next_part_power(request)
        engine = self._context.engine
        replicas = _replicas(request, path)
        with self._context.change(request, address.device) as change:
            change.begin()
            with self._context.updates.announced(replicas):
                self._context.threads.run_short(
                    address.device, lambda: engine.delete(address, timestamp, next_part_power=part_power)
                )
            if not isinstance(stored, Absent):
                old_s = stored.delete_at_s
                self._expiries.changed(request, path, address, stored.data_timestamp, stored.size, None, old_s)
            self._tell(request, path, address, timestamp, replicas)

    def _tell(
        self, request: Request, path: BackendPath, address: ObjectAddress, timestamp: Timestamp, replicas: Replicas
    ) -> None:
        """The row for the container."""
        assert path.account is not None and path.container is not None and path.obj is not None
        row = ContainerRow(
            "DELETE", path.account, path.container, path.obj, address.policy_index, timestamp,
            transaction_id=request.header("x-trans-id") or "-", referer=referer(request),
        )  # fmt: skip
        self._context.updates.send(address.device, address.policy_index, [Report(row, replicas)])


def _replicas(request: Request, path: BackendPath) -> Replicas:
    """Of the container."""
    assert path.account is not None and path.container is not None
    return container_replicas(request, path.account, path.container)


def _if_delete_at(request: Request) -> int | None:
    text = request.header("x-if-delete-at")
    if text is None:
        return None
    # Swift's own expirer says it with decimals.
    seconds, _, decimals = text.partition(".")
    if not (text.isascii() and seconds.isdigit() and (not decimals or decimals.isdigit())):
        raise BadRequest("Bad X-If-Delete-At header value")
    return int(seconds)


def _answer(status: int, stored: StoredObject | Absent, timestamp: Timestamp) -> Response:
    content_type = "" if isinstance(stored, Absent) else stored.headers.get(CONTENT_TYPE, "")
    return plain(status, headers={"x-backend-timestamp": timestamp.internal, "x-backend-content-type": content_type})
