"""GET, HEAD, PUT, POST and DELETE of accounts. Source: features A1.1 to A1.5; formats 6.2."""

from __future__ import annotations

from objstore.core.constraints import check_metadata
from objstore.core.headers import title
from objstore.core.limits import Limits
from objstore.core.names import ClientPath
from objstore.core.timestamp import Timestamp
from objstore.http.access import is_owner
from objstore.http.environ import TRANSACTION_ID, Environ
from objstore.http.request import Request
from objstore.http.response import HTML, JSON, Response, page
from objstore.http.status import HTTPStatus
from objstore.peers.exchange import BackendRequest
from objstore.proxy.answers import write_answer
from objstore.proxy.headers import OWNER_HEADERS, kept_headers, trace_headers, without
from objstore.proxy.info import Infos
from objstore.proxy.listings import BadQuery, listing
from objstore.proxy.routing import METHODS
from objstore.proxy.services import Services, timestamp_of, uses_replication
from objstore.proxy.targets import same_for_all

_SYSMETA = "x-account-sysmeta-"


class Accounts:
    def __init__(self, services: Services, infos: Infos) -> None:
        self._services = services
        self._infos = infos
        self._autocreates = services.settings.account_autocreate

    @property
    def _limits(self) -> Limits:
        return self._services.cluster.limits

    def read(self, request: Request, path: ClientPath) -> Response:
        """GET and HEAD."""
        account = _account(path)
        place = self._services.account_place(account)
        try:
            response = listing(self._services, request, place, self._limits.account_listing_limit)
        except BadQuery as error:
            return page(HTTPStatus.BAD_REQUEST, error.reason)
        if response.status == HTTPStatus.NOT_FOUND:
            if response.headers.get("x-account-status", "").lower() == "deleted":
                return Response(HTTPStatus.GONE, {"content-type": HTML, "x-account-status": "Deleted"})
            if self._autocreates:
                return empty_account(request.method, self._services.clock.now())
        response.headers.pop("x-put-timestamp", None)
        if not is_owner(request):
            without(response.headers, OWNER_HEADERS)
        return response

    def put(self, request: Request, path: ClientPath) -> Response:
        if not self._services.settings.allow_account_management:
            return page(HTTPStatus.METHOD_NOT_ALLOWED, headers={"allow": METHODS})
        return self._write(request, path)

    def post(self, request: Request, path: ClientPath) -> Response:
        response = self._write(request, path)
        if response.status != HTTPStatus.NOT_FOUND or not self._autocreates or "x-account-status" in response.headers:
            return response
        if not self.create(request.environ, _account(path)):
            return page(HTTPStatus.SERVICE_UNAVAILABLE, "The account could not be created")
        return self._write(request, path)

    def delete(self, request: Request, path: ClientPath) -> Response:
        if request.environ.get("QUERY_STRING"):
            return page(HTTPStatus.BAD_REQUEST, "Query parameters are not allowed when an account is deleted")
        if not self._services.settings.allow_account_management:
            return page(HTTPStatus.METHOD_NOT_ALLOWED, headers={"allow": METHODS})
        return self._write(request, path)

    def create(self, environ: Environ, account: str) -> bool:
        """Make an account on behalf of whoever uses it first; True when a quorum has it. Of the request it takes what
        filters want to be known of the account."""
        place = self._services.account_place(account)
        headers = [("Host", "localhost"), ("X-Timestamp", self._services.clock.now().internal)]
        if environ.get(TRANSACTION_ID):
            headers += [
                ("X-Trans-Id", environ[TRANSACTION_ID]),
                ("X-Openstack-Request-Id", environ[TRANSACTION_ID]),
            ]
        headers += [
            (title(name), value) for name, value in kept_headers(environ, "account") if name.startswith(_SYSMETA)
        ]
        request = BackendRequest("PUT", place.path, [*headers, ("Content-Length", "0")])
        with self._infos.changing(account):
            write = self._services.write(place, same_for_all(request))
        return write.quorum.has_success

    def _write(self, request: Request, path: ClientPath) -> Response:
        account = _account(path)
        kept = list(kept_headers(request.environ, "account"))
        if request.method != "DELETE":
            check_metadata(request.headers(), "account", self._limits)
        place = self._services.account_place(account)
        headers = [
            ("Host", "localhost"),
            ("X-Timestamp", timestamp_of(request, self._services.clock).internal),
            *((title(name), value) for name, value in kept),
            *trace_headers(request.environ),
            ("Content-Length", "0"),
        ]
        backend = BackendRequest(request.method, place.path, headers)
        with self._infos.changing(account):
            write = self._services.write(
                place, same_for_all(backend), use_replication=uses_replication(request.environ)
            )
        response = write_answer(write, ("x-account-status",))
        if response.status == HTTPStatus.NOT_FOUND:
            # Recorded so: a missing account is the one refusal without a text (acct-put-reseller).
            response.body = b""
        return response


def _account(path: ClientPath) -> str:
    assert path.account is not None
    return path.account


def empty_account(method: str, now: Timestamp) -> Response:
    """What an account that nobody has used yet looks like, where accounts come into being by themselves."""
    headers = {
        "content-type": JSON,
        "x-account-container-count": "0",
        "x-account-object-count": "0",
        "x-account-bytes-used": "0",
        "x-timestamp": now.normal,
        "x-put-timestamp": now.normal,
    }
    return Response(HTTPStatus.OK, headers, b"" if method == "HEAD" else b"[]")
