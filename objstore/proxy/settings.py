"""[app:proxy-server] and [proxy-server:policy:N]: Swift's option names, and our defaults.

Where a default differs from Swift's, the text of the option says why.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

from objstore.config.settings import Kind, Problem, Settings, boolean, choice, decimal, names, number, setting, text
from objstore.proxy.nodes import Affinity, Counting

node_count = Kind(Counting.parse, "a number of nodes, or a number * replicas")
read_places = Kind(lambda value: Affinity.parse(value, with_priority=True), "places like r1z1=100, r2=200")
write_places = Kind(lambda value: Affinity.parse(value, with_priority=False), "places like r1, r2z1")
auto_count = Kind(
    lambda value: None if value.lower() == "auto" else number(0).parse(value), "auto, or a whole number, 0 or more"
)


@dataclass(frozen=True)
class PolicyChoices(Settings):
    """Settings that a storage policy may override in [proxy-server:policy:N]."""

    sorting_method: str = setting(
        "shuffle", choice("shuffle", "timing", "affinity"), "How reads order the primaries of a partition."
    )
    read_affinity: Affinity = setting(
        "", read_places, "With sorting_method affinity: r1z1=100, r1=200; the lowest number is asked first."
    )
    write_affinity: Affinity = setting(
        "", write_places, "Where object PUTs go first, like r1; replication moves the copies home."
    )
    write_affinity_node_count: Counting = setting(
        "2 * replicas", node_count, "How many local nodes are tried before remote ones."
    )
    write_affinity_handoff_delete_count: int | None = setting(
        "auto", auto_count, "Local handoffs that a DELETE also goes to, under write_affinity.", advanced=True
    )
    concurrent_gets: bool = setting(
        "yes",
        boolean,
        "Ask the next replica too when the first is slow. Swift leaves this off; a frozen node needs it.",
    )
    concurrency_timeout: float = setting("0.5", decimal(0), "Seconds after which the next replica is asked too.")
    rebalance_missing_suppression_count: int = setting(
        "1",
        number(0),
        "Primaries whose 404 does not count: a rebalance may just have given them the partition, and no objects yet.",
        advanced=True,
    )


@dataclass(frozen=True)
class ProxySettings(PolicyChoices):
    """How the proxy serves clients and asks storage nodes."""

    node_timeout: float = setting("10", decimal(0.01), "Seconds a storage node may take to answer.")
    recoverable_node_timeout: float = setting(
        "1",
        decimal(0.01),
        "Seconds a read may stall before it goes on from another replica (Swift: node_timeout).",
    )
    conn_timeout: float = setting("0.5", decimal(0.01), "Seconds a connection to a storage node may take.")
    post_quorum_timeout: float = setting(
        "0.5", decimal(0), "Seconds a write waits for the rest once it has its quorum."
    )
    lend_timeout: float = setting(
        "0.5",
        decimal(0.01),
        "Seconds without a quorum after which a handoff stands in for a silent node.",
        advanced=True,
    )
    client_timeout: float = setting("60", decimal(0.01), "Seconds a client may pause while it sends a body.")
    error_suppression_interval: float = setting("60", decimal(0), "Seconds a failing node is left alone.")
    error_suppression_limit: int = setting("10", number(0), "Errors after which a node is left alone.")
    request_node_count: Counting = setting("2 * replicas", node_count, "How many nodes a read asks at most.")
    timing_expiry: float = setting(
        "300",
        decimal(0),
        "With sorting_method timing: seconds for which a node's response time is remembered.",
        advanced=True,
    )
    recheck_account_existence: float = setting("60", decimal(0), "Seconds an account's facts stay cached.")
    recheck_container_existence: float = setting("60", decimal(0), "Seconds a container's facts stay cached.")
    account_autocreate: bool = setting("no", boolean, "Make an account at its first use.")
    allow_account_management: bool = setting("no", boolean, "Let reseller admins PUT and DELETE accounts.")
    allow_open_expired: bool = setting("no", boolean, "Let X-Open-Expired read objects past their expiry.")
    max_containers_per_account: int = setting("0", number(0), "Most containers of an account; 0: no limit.")
    max_containers_whitelist: tuple[str, ...] = setting("", names, "Accounts without that limit.")
    deny_host_headers: tuple[str, ...] = setting("", names, "Host names whose requests are refused.", advanced=True)
    expose_info: bool = setting("yes", boolean, "Answer GET /info.")
    disallowed_sections: tuple[str, ...] = setting(
        "swift.valid_api_versions", names, "Sections and section.keys that /info hides."
    )
    admin_key: str = setting("", text, "Key of signed /info requests; empty: there are none.")
    expiring_objects_account_name: str = setting(
        "expiring_objects", text, "Account of the expiry queue, without its dot. Leave it.", advanced=True
    )
    expiring_objects_container_divisor: int = setting(
        "86400", number(1), "Seconds of expiry that share a queue container. Leave it.", advanced=True
    )
    cors_allow_origin: tuple[str, ...] = setting(
        "", names, "Origins whose pages may use every container from a browser; * for all."
    )
    cors_expose_headers: tuple[str, ...] = setting("", names, "More headers that the scripts of such pages may read.")
    strict_cors_mode: bool = setting(
        "yes", boolean, "Say nothing about CORS to pages of origins that are not allowed.", advanced=True
    )

    def for_policy(self, pairs: dict[str, str]) -> tuple[ProxySettings, list[Problem]]:
        """These settings with the choices of one policy's section, and what is wrong with that section."""
        choices, problems = PolicyChoices.from_pairs(pairs)
        changed = {item.name: getattr(choices, item.name) for item in fields(choices) if item.name in pairs}
        return replace(self, **changed), problems
