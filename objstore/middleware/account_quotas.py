"""account_quotas: an account takes no more than the operator sold it; whoever is over may still delete.

    X-Account-Quota-Bytes                   (also X-Account-Meta-Quota-Bytes, under which it is kept)
    X-Account-Quota-Count                   objects
    X-Account-Quota-Bytes-Policy-<name>     and -Count-Policy-<name>: of one storage policy

Only reseller administrators set or remove them; they are shown to everybody who may read the account, and do not bind
reseller administrators. Totals are those of the account servers and may lag behind.
Source: features A1.7; formats 8.8; Swift API guide, "Account quotas".
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from objstore.config.boot import settings_for, swift_dir_of
from objstore.config.cluster import load_cluster
from objstore.config.settings import Settings, reads
from objstore.core.headers import environ_key, header_name, title
from objstore.core.info import AccountInfo
from objstore.core.names import ClientPath
from objstore.core.policy import Policies
from objstore.core.quota import is_exceeded, is_settable, limit_of
from objstore.http import capabilities
from objstore.http.environ import INFO, RESELLER, Environ, StartResponse, WSGIApp, client_path_of
from objstore.http.request import Request
from objstore.http.response import Response, page
from objstore.http.status import HTTPStatus, is_success
from objstore.middleware.container_quotas import over_quota
from objstore.middleware.quota_body import hold_to_quota

_UNITS = ("bytes", "count")


@dataclass(frozen=True)
class AccountQuotasSettings(Settings):
    pass


class AccountQuotas:
    def __init__(self, app: WSGIApp, policies: Policies) -> None:
        self._app = app
        self._policies = policies
        self._stored = dict(_names(policies))
        """Lower-case header that sets or shows a quota -> header under which the account keeps it."""
        self._shown = {stored: shown for shown, stored in self._stored.items()}
        self._setting = {environ_key(name): environ_key(stored) for name, stored in self._stored.items()}
        kept = {key: key for key in self._setting.values()}
        removed = {_removal(key): target for key, target in {**self._setting, **kept}.items()}
        self._removing = removed

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        path = client_path_of(environ)
        if path is None or path.account is None:
            body: Iterable[bytes] = self._app(environ, start_response)
            return body
        if path.container is None:
            refused = self._take(environ)
            body = (refused or self._app)(environ, start_response if refused else self._showing(start_response))
            return body
        refused = self._over(environ, path) if environ["REQUEST_METHOD"] in ("PUT", "POST") else None
        body = (refused or self._app)(environ, start_response)
        return body

    # Setting and showing

    def _take(self, environ: Environ) -> Response | None:
        """Move what the client sets to where it is kept, or say why it may not."""
        found = [key for key in environ if key in self._setting or key in self._removing]
        meta = "HTTP_X_ACCOUNT_META_QUOTA_BYTES"
        if meta in environ:
            found.append(meta)
        if not found or environ["REQUEST_METHOD"] not in ("PUT", "POST"):
            return None
        if not environ.get(RESELLER):
            return page(HTTPStatus.FORBIDDEN, "Quotas of an account are set by reseller administrators.")
        for key in found:
            value = "" if key in self._removing else environ[key]
            if not is_settable(value):
                name = title(header_name(key))
                return page(HTTPStatus.BAD_REQUEST, f"Invalid quota: {name} is a whole number, or nothing.")
            target = self._removing.get(key) or self._setting.get(key, key)
            del environ[key]
            environ[target] = value.strip()
        return None

    def _showing(self, start_response: StartResponse) -> StartResponse:
        def start(status: str, headers: list[tuple[str, str]], *exc_info: Any) -> Any:
            if is_success(int(status[:3])):
                shown = [(self._shown.get(name.lower()), value) for name, value in headers]
                headers = headers + [(title(name), value) for name, value in shown if name is not None]
            return start_response(status, headers, *exc_info)

        return start

    # Keeping

    def _over(self, environ: Environ, path: ClientPath) -> Response | None:
        if environ.get(RESELLER):
            return None
        infos = environ[INFO]
        account: AccountInfo = infos.account(environ, path.account)
        if not account.exists or not _has_quota(account):
            return None
        account = infos.account(environ, path.account, fresh=True)
        request = Request(environ)
        is_upload = path.obj is not None and request.method == "PUT"
        added = {"bytes": (request.content_length or 0) if is_upload else 0, "count": 1 if is_upload else 0}
        container = infos.container(environ, path.account, path.container) if path.obj is not None else None
        used = {"bytes": account.bytes_used, "count": account.object_count}
        limits = {"bytes": limit_of(account.meta, "quota-bytes"), "count": limit_of(account.sysmeta, "quota-count")}
        exceeded = any(is_exceeded(limits[unit], used[unit], added[unit]) for unit in _UNITS)
        if not exceeded and container is not None and container.exists:
            exceeded = self._is_over_policy(account, container.policy_index, added)
        if exceeded:
            return over_quota(request, container.write_acl if container is not None else None)
        if is_upload and request.content_length is None:
            self._hold(environ, account, None if container is None else container.policy_index)
        return None

    def _hold(self, environ: Environ, account: AccountInfo, index: int | None) -> None:
        """An upload of unknown length ends where the first quota of bytes does."""
        quotas = [(limit_of(account.meta, "quota-bytes"), account.bytes_used)]
        if index is not None:
            quotas.append(self._policy_quota(account, index, "bytes"))
        left = [limit - used for limit, used in quotas if limit is not None]
        if left:
            hold_to_quota(environ, min(left))

    def _is_over_policy(self, account: AccountInfo, index: int, added: dict[str, int]) -> bool:
        return any(is_exceeded(*self._policy_quota(account, index, unit), added[unit]) for unit in _UNITS)

    def _policy_quota(self, account: AccountInfo, index: int, unit: str) -> tuple[int | None, int]:
        """(limit, used) of a storage policy in the account."""
        policy = self._policies.by_index(index)
        if policy is None:
            return None, 0
        used = {"bytes": "bytes-used", "count": "object-count"}[unit]
        limit = limit_of(account.sysmeta, f"quota-{unit}-policy-{index}")
        return limit, account.policy_usage.get(f"{policy.name.lower()}-{used}", 0)


def _has_quota(account: AccountInfo) -> bool:
    return "quota-bytes" in account.meta or any(name.startswith("quota-") for name in account.sysmeta)


def _names(policies: Policies) -> Iterator[tuple[str, str]]:
    """(header of clients, header under which it is kept), lower case."""
    yield "x-account-quota-bytes", "x-account-meta-quota-bytes"
    yield "x-account-quota-count", "x-account-sysmeta-quota-count"
    for policy in policies:
        for unit in _UNITS:
            yield (
                f"x-account-quota-{unit}-policy-{policy.name.lower()}",
                f"x-account-sysmeta-quota-{unit}-policy-{policy.index}",
            )


def _removal(key: str) -> str:
    """HTTP_X_ACCOUNT_QUOTA_COUNT -> HTTP_X_REMOVE_ACCOUNT_QUOTA_COUNT."""
    return key.replace("HTTP_X_", "HTTP_X_REMOVE_", 1)


@reads(AccountQuotasSettings)
def filter_factory(global_conf: dict[str, str], **local_conf: str) -> Callable[[WSGIApp], AccountQuotas]:
    settings_for(AccountQuotasSettings, global_conf, local_conf)
    policies = load_cluster(swift_dir_of(global_conf)).policies
    capabilities.register("account_quotas")
    return lambda app: AccountQuotas(app, policies)
