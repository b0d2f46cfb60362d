"""What proxy-logging tells StatsD of a request: a pure list of metrics. Source: features B5.12, and
https://docs.openstack.org/swift/latest/metrics/proxy_server.html

    proxy-server.<type>.<verb>.<status>.timing               milliseconds of the whole exchange
    proxy-server.<type>.GET.<status>.first-byte.timing       milliseconds until the answer began
    proxy-server.<type>.<verb>.<status>.xfer                 bytes of both bodies
    proxy-server.object.policy.<index>.<verb>.<status>.…     the same again, where a storage policy is known

type: account, container or object. A method that is not listed in the settings is BAD_METHOD, so that no client can
make up names.
"""

from __future__ import annotations

from collections.abc import Collection

from objstore.core.errors import InvalidName
from objstore.http.environ import client_path_of
from objstore.http.status import CLIENT_CLOSED_REQUEST
from objstore.middleware.access_line import Exchange, policy_index_of
from objstore.runtime.metrics import Metric, counted, timed

BAD_METHOD = "BAD_METHOD"
_POLICY_DIGITS = 4


def metrics_of(exchange: Exchange, methods: Collection[str]) -> list[Metric]:
    """Of a client's request that is over; [] for one that names no account. methods: those that have names."""
    kind = _kind(exchange)
    if kind is None:
        return []
    verb = exchange.method if exchange.method in methods else BAD_METHOD
    found = _of(f"proxy-server.{kind}", verb, exchange)
    policy = policy_index_of(exchange) if kind == "object" else None
    if policy is not None and policy.isascii() and policy.isdigit() and len(policy) <= _POLICY_DIGITS:
        found += _of(f"proxy-server.object.policy.{policy}", verb, exchange)
    return found


def _of(base: str, verb: str, exchange: Exchange) -> list[Metric]:
    outcome = exchange.outcome
    name = f"{base}.{verb}.{outcome.status if outcome.is_complete else CLIENT_CLOSED_REQUEST:d}"
    found = [timed(f"{name}.timing", outcome.elapsed_s)]
    if verb == "GET":
        found.append(timed(f"{name}.first-byte.timing", outcome.first_byte_s))
    found.append(counted(f"{name}.xfer", outcome.bytes_received + outcome.bytes_sent))
    return found


def _kind(exchange: Exchange) -> str | None:
    try:
        path = client_path_of(exchange.environ)
    except InvalidName:
        return None
    if path is None or not path.account:
        return None
    return "object" if path.obj else "container" if path.container else "account"
