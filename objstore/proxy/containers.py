"""GET, HEAD, PUT, POST and DELETE of containers. Source: features A2.1 to A2.6; formats 6.3."""

from __future__ import annotations

from contextlib import ExitStack

from objstore.core import acl
from objstore.core.constraints import check_metadata, check_name
from objstore.core.errors import BadRequest
from objstore.core.headers import environ_key, title
from objstore.core.names import ClientPath
from objstore.core.policy import Policy
from objstore.http.access import denial, is_owner
from objstore.http.environ import RESELLER, Environ
from objstore.http.request import Request
from objstore.http.response import Response, page, plain
from objstore.http.status import HTTPStatus
from objstore.peers.exchange import BackendRequest
from objstore.proxy.accounts import Accounts
from objstore.proxy.answers import failure, write_answer
from objstore.proxy.headers import OWNER_HEADERS, kept_headers, trace_headers, without
from objstore.proxy.info import Infos
from objstore.proxy.listings import listing
from objstore.proxy.services import Services, timestamp_of, uses_replication
from objstore.proxy.targets import Headers, Servers, deal, same_for_all, target_headers

_ACLS = (("x-container-read", False), ("x-container-write", True))


class Containers:
    def __init__(self, services: Services, infos: Infos, accounts: Accounts) -> None:
        self._services = services
        self._infos = infos
        self._accounts = accounts

    def read(self, request: Request, path: ClientPath) -> Response:
        """GET and HEAD: the ACL is read first, then a replica is asked."""
        account, container = _names(path)
        info = self._infos.container(request.environ, account, container)
        denied = denial(request, info.read_acl)
        if denied is not None:
            return denied
        if info.status == HTTPStatus.NOT_FOUND:
            return self._shown(request, failure(HTTPStatus.NOT_FOUND))
        place = self._services.container_place(account, container)
        limit = self._services.cluster.limits.container_listing_limit
        response = listing(self._services, request, place, limit)
        return self._shown(request, response)

    def _shown(self, request: Request, response: Response) -> Response:
        """The answer for the client: with the policy's name, and without what only the owner may see."""
        headers = response.headers
        headers.pop("x-put-timestamp", None)
        index = headers.get("x-backend-storage-policy-index")
        policy = self._services.cluster.policies.by_index(index) if index is not None else None
        if policy is not None and response.status < HTTPStatus.BAD_REQUEST:
            headers["x-storage-policy"] = policy.name
        if request.environ.get(RESELLER):
            state = headers.get("x-backend-sharding-state", "unsharded")
            headers["x-container-sharding"] = str(state in ("sharding", "sharded"))
        if not is_owner(request):
            without(headers, OWNER_HEADERS)
        return response

    def put(self, request: Request, path: ClientPath) -> Response:
        account, container = _names(path)
        environ = request.environ
        limits = self._services.cluster.limits
        refused = self._headers_refusal(request)
        if refused is not None:
            return refused
        headers = self._checked_headers(request)
        policy = self._wanted_policy(request)
        try:
            check_name(container, "Container", limits.max_container_name_length)
        except BadRequest as error:
            return page(HTTPStatus.BAD_REQUEST, error.reason)
        refused = self._account_refusal(environ, account, container)
        if refused is not None:
            return refused
        if policy is not None:
            headers.append(("X-Backend-Storage-Policy-Index", str(policy.index)))
        else:
            headers.append(("X-Backend-Storage-Policy-Default", str(self._services.cluster.policies.default.index)))
        response = self._write(request, account, container, headers)
        if response.status == HTTPStatus.NOT_FOUND and self._services.settings.account_autocreate:
            # The account exists, but not on most of its primaries: rings have just changed, and replication has not
            # brought it yet. Made there empty, it is merged with what comes.
            if self._accounts.create(environ, account):
                response = self._write(request, account, container, headers)
        return response

    def post(self, request: Request, path: ClientPath) -> Response:
        account, container = _names(path)
        refused = self._headers_refusal(request)
        if refused is not None:
            return refused
        headers = self._checked_headers(request)
        if not self._account_exists(request.environ, account):
            return failure(HTTPStatus.NOT_FOUND)
        return self._write(request, account, container, headers, tells_account=False)

    def delete(self, request: Request, path: ClientPath) -> Response:
        account, container = _names(path)
        if not self._account_exists(request.environ, account):
            return failure(HTTPStatus.NOT_FOUND)
        headers = [(title(name), value) for name, value in kept_headers(request.environ, "container")]
        return self._write(request, account, container, headers)

    def _write(
        self, request: Request, account: str, container: str, headers: Headers, *, tells_account: bool = True
    ) -> Response:
        services, environ = self._services, request.environ
        place = services.container_place(account, container)
        replicated = uses_replication(environ)
        common = [
            ("Host", "localhost"),
            ("X-Timestamp", timestamp_of(request, services.clock).internal),
            *headers,
            *trace_headers(environ),
            ("Content-Length", "0"),
        ]
        owner = services.account_place(account)

        def telling(servers: Servers) -> list[BackendRequest]:
            told = [
                target_headers("X-Account", owner.partition, nodes, use_replication=replicated)
                for nodes in deal(owner.primaries, servers)
            ]
            return [BackendRequest(request.method, place.path, [*common, *each]) for each in told]

        plan = telling if tells_account else same_for_all(BackendRequest(request.method, place.path, common))
        with ExitStack() as changing:
            changing.enter_context(self._infos.changing(account, container))
            if tells_account and services.settings.max_containers_per_account:
                # Its count of containers matters only where there is a limit to it.
                changing.enter_context(self._infos.changing(account))
            write = services.write(place, plan, use_replication=replicated)
        return write_answer(write)

    def _headers_refusal(self, request: Request) -> Response | None:
        """The stored form of the ACLs goes on; a list that cannot be is refused, and so is a metadata name beyond
        ASCII (http vectors, cont-meta-names)."""
        for name, _ in request.headers("x-container-meta-"):
            if not name.isascii():
                return page(HTTPStatus.BAD_REQUEST, "Metadata names are ASCII")
        for header, is_write in _ACLS:
            given = request.header(header)
            if given:
                try:
                    request.environ[environ_key(header)] = acl.clean(given, for_writing=is_write)
                except BadRequest as error:
                    return page(HTTPStatus.BAD_REQUEST, error.reason)
        return None

    def _checked_headers(self, request: Request) -> Headers:
        """The headers that the container server is to store. Raises BadRequest."""
        check_metadata(request.headers(), "container", self._services.cluster.limits)
        return [(title(name), value) for name, value in kept_headers(request.environ, "container")]

    def _wanted_policy(self, request: Request) -> Policy | None:
        name = request.header("x-storage-policy")
        if not name:
            return None
        policy = self._services.cluster.policies.by_name(name)
        if policy is None:
            raise BadRequest(f"Invalid X-Storage-Policy '{name}'")
        if policy.is_deprecated:
            raise BadRequest(f"Storage Policy '{policy.name}' is deprecated")
        return policy

    def _account_exists(self, environ: Environ, account: str) -> bool:
        if account.startswith(self._services.cluster.limits.auto_create_account_prefix):
            return True
        return self._infos.account(environ, account).exists

    def _account_refusal(self, environ: Environ, account: str, container: str) -> Response | None:
        """Why a container may not be made in this account; makes the account when that is allowed."""
        settings = self._services.settings
        if account.startswith(self._services.cluster.limits.auto_create_account_prefix):
            return None
        info = self._infos.account(environ, account)
        if info.status == HTTPStatus.NOT_FOUND and settings.account_autocreate:
            if not self._accounts.create(environ, account):
                return failure(HTTPStatus.SERVICE_UNAVAILABLE)
            info = self._infos.account(environ, account)
        if info.status == HTTPStatus.GONE:
            return page(HTTPStatus.GONE, "The account is deleted", {"x-account-status": "Deleted"})
        if info.status == HTTPStatus.NOT_FOUND:
            return failure(HTTPStatus.NOT_FOUND)
        if not info.exists:
            return failure(HTTPStatus.SERVICE_UNAVAILABLE)
        most = settings.max_containers_per_account
        if most and info.container_count >= most and account not in settings.max_containers_whitelist:
            if not self._infos.container(environ, account, container).exists:
                return plain(HTTPStatus.FORBIDDEN, f"Reached container limit of {most}")
        return None


def _names(path: ClientPath) -> tuple[str, str]:
    assert path.account is not None and path.container is not None
    return path.account, path.container
