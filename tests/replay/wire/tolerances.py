"""Where our servers may differ from the recorded ones, each with its reason. Everything else must be as recorded."""

from __future__ import annotations

from collections.abc import Mapping

# Response headers whose value is not compared (they must still be there when recorded, unless OPTIONAL names them).
FREE_RESPONSE_HEADERS: Mapping[str, str] = {
    "date": "the clock",
    "x-trans-id": "made by the proxy for each request",
    "x-openstack-request-id": "made by the proxy for each request",
    "server": "names the software",
    "last-modified": "of databases: their creation, by the clock of the server",
}
FREE_IN_REFUSALS: Mapping[str, str] = {
    "content-type": "of the text beside a refusal between servers: for a human with curl; no caller reads it",
}
OPTIONAL_RESPONSE_HEADERS: Mapping[str, str] = {
    "connection": "we keep connections where the reference closed them",
    "date": "refusals of the HTTP layer have none there",
    "content-length": "a 204 has none by RFC 9110; the reference sends 0 with some",
    "content-type": "of an answer without a body",
    "x-trans-id": "echoed by some refusals only",
    "allow": "RFC 9110 wants it in every 405; the reference leaves it out there",
}
# Verbs of the recorded servers that ours do not have yet.
LATER_VERBS: Mapping[str, str] = {}
# Verbs that only our servers answer otherwise than with 405.
OUR_OWN: Mapping[str, str] = {
    "UPDATE": "rows for one container, made at the same time, in one request",
    "COLLECT": "small segments of large objects that lie on one server, in one request",
    "BATCH": "what a daemon asks of many objects of one server, in one request",
}
# By service: times that a database takes from the clock of its server when it is created.
CLOCK_HEADERS: Mapping[str, frozenset[str]] = {
    "account": frozenset({"x-timestamp"}),
    "container": frozenset({"x-timestamp", "x-backend-timestamp", "x-backend-status-changed-at"}),
    "object": frozenset(),
}

# Request headers that are not compared between our proxy or servers and the recorded ones.
FREE_REQUEST_HEADERS: Mapping[str, str] = {
    "host": "names the peer or the client's host; never read",
    "connection": "we keep connections alive",
    "accept-encoding": "the reference's HTTP library adds it, sometimes twice; nothing is encoded",
    "user-agent": "process ids; some reference daemons send none, so nobody may require it",
    "referer": "for logs only; holds addresses",
    "x-trans-id": "made for each client request",
    "x-openstack-request-id": "sent with the autocreate PUT only, for logs",
    "x-auth-token": "a secret that no backend needs",
    "expect": "a small body travels with its head; a node that refuses costs no more than that body",
    "content-length": "0 may be said or left out where there is no body",
    "content-type": "the reference sends an empty one where there is none",
    "transfer-encoding": "a body may be framed either way; an empty one needs no chunks",
}
# Request headers of which only the presence and shape count: the clock, or the place of a node in a ring.
SHAPED_REQUEST_HEADERS: Mapping[str, str] = {
    "x-timestamp": "timestamp",
    "x-put-timestamp": "timestamp",
    "x-delete-timestamp": "timestamp",
    "x-meta-timestamp": "timestamp",
    "x-content-type-timestamp": "timestamp",
    "x-backend-data-timestamp": "timestamp",
    "x-backend-durable-timestamp": "timestamp",
    "last-modified": "date",
    "x-container-host": "hosts",
    "x-container-device": "devices",
    "x-account-host": "hosts",
    "x-account-device": "devices",
    "x-delete-at-host": "hosts",
    "x-delete-at-device": "devices",
    "x-delete-at": "integer",
    "x-delete-at-container": "integer",
    "x-delete-at-partition": "integer",
    "if-modified-since": "date",
    "if-unmodified-since": "date",
}

# Operations that stand on things done without a tap, or in recordings that are not replayed: what their answers tell of
# them is not compared (rows are brought to the recorded state first where a whole listing was recorded).
GAPS: Mapping[str, str] = {
    "container.get-json": "objects d0/* and d1/* were uploaded without a tap",
    "container.get-params": "objects d0/* and d1/* were uploaded without a tap",
    "container.get-delimiter": "objects d0/* and d1/* were uploaded without a tap",
    "container.get-reverse": "objects d0/* and d1/* were uploaded without a tap",
    "container.get-path": "objects d0/* and d1/* were uploaded without a tap",
    "container.get-plain": "objects d0/* and d1/* were uploaded without a tap",
    "container.head-after": "objects d0/* and d1/* were uploaded without a tap",
    "footers.slo-list": "objects d0/* and d1/* were uploaded without a tap",
    "footers.dlo-get": "objects d0/* and d1/* were uploaded without a tap",
    "direct-container": "large objects, fragments and expiry ran in between",
    "direct-account": "large objects, fragments and expiry ran in between",
}
COUNT_HEADERS = ("-object-count", "-bytes-used", "-container-count")

# Answers of ours that differ on purpose: by line, the status we give and why.
INSTEAD: Mapping[str, tuple[int, str]] = {
    "direct-container.row-put-missing-headers#1": (400, "malformed input is the caller's mistake, not a crash"),
    "direct-container.row-put-bad-size#1": (400, "malformed input is the caller's mistake, not a crash"),
    "direct-account.cont-put-missing-headers#1": (400, "malformed input is the caller's mistake, not a crash"),
    "direct-account.cont-put-bad-timestamp#1": (400, "malformed input is the caller's mistake, not a crash"),
    "expirer.run#1": (
        204,
        "an account that a container's row brings into being is dated by that row, not by the clock",
    ),
    "expirer.run#2": (
        200,
        "an account that a container's row brings into being is dated by that row, not by the clock",
    ),
}

# Operations recorded while the servers that ours would send on to refused connections.
PEERS_DOWN = frozenset({"container.put-account-down", "updater.put-updates-fail", "updater.post-updates-fail"})

# Proxy role. Headers that filters set which are not built yet, and operations that need a broken cluster.
LATER_REQUEST_HEADERS: Mapping[str, str] = {
    "x-backend-etag-is-at": "set by large-object filters, which are not built yet",
    "x-backend-ignore-range-if-metadata-present": "set by large-object and symlink filters, which are not built yet",
    "x-backend-record-type": "asks for shards, which are not built yet",
    "x-backend-record-shard-format": "asks for shards, which are not built yet",
    "x-backend-override-shard-name-filter": "asks for shards, which are not built yet",
    "x-backend-include-deleted": "asks for shards, which are not built yet",
    "accept": "only our listing filter reads it",
    "x-symlink-target-etag": "read by the symlink filter alone, which leaves it in sysmeta",
    "x-copy-from": "read by the copy filter alone",
    "x-newest": "read by the proxy alone",
    "x-backend-data-timestamp": "a response header of the source that the reference forgets to drop in a copy",
    "x-backend-durable-timestamp": "a response header of the source that the reference forgets to drop in a copy",
    "accept-ranges": "a response header of the source that the reference forgets to drop in a copy",
    "last-modified": "a response header of the source that the reference forgets to drop in a copy",
}
OPTIONAL_BY_METHOD: Mapping[tuple[str, str], str] = {
    ("DELETE", "x-backend-storage-policy-default"): "the container server does not look at it (formats.md 6.3)",
    ("HEAD", "x-backend-allow-reserved-names"): "a HEAD that is asked for may fill the cache too",
    ("PUT", "etag"): "we know the hash of a small body before we send it",
}
OPTIONAL_BY_OPERATION: Mapping[str, Mapping[str, str]] = {
    "footers.slo-delete": {"range": "the reference asks for the end of a manifest, and gets all of it, as we do"},
    "footers.versions-on": {"x-backend-storage-policy-default": "of no meaning beside a policy that is named"},
    "footers.versions-put": {"x-backend-allow-reserved-names": "of no meaning for a name that is not reserved"},
    "footers.versions-delete": {"x-backend-allow-reserved-names": "of no meaning for a name that is not reserved"},
}
# Operations in which our proxy asks more nodes than the reference did, in the same words.
ASKS_MORE: Mapping[str, str] = {
    "object.post-missing": "handoffs too are asked for an object that primaries do not have, before a POST is 404",
}
FREE_PARAMETERS: Mapping[str, str] = {
    "format": "of no meaning to a HEAD, and sent with every GET",
    "states": "asks for shards, which are not built yet",
    "multipart-manifest": "read by the filters for large objects alone, which take it away",
    "symlink": "read by the symlink filter alone, which takes it away",
    "versions": "read by the versioning filter alone, which takes it away",
}
# Operations of which the recording kept one request for several servers that were told of different peers.
TOLD_ALIKE: Mapping[str, str] = {
    "footers": "same_to keeps the first server's X-Container-Host and X-Backend-Clean-Expiring-Object-Queue",
}
NOT_RELAYED: Mapping[str, str] = {
    "container.put-account-down": "needs account servers that refuse connections; tests/cluster does that",
    "object.put-507": "needs an unmounted device; tests/cluster does that",
    "object.get-with-handoff": "reads what object.put-507 wrote",
    "object.get-if-modified-since-304": "compares with the clock of the recording",
    "expirer.get-expired": "waits until the object has expired; tests/cluster does that",
    "expirer.head-open-expired": "waits until the object has expired, and needs allow_open_expired",
    "expirer.get-after": "an expirer has to come before; tests/cluster does that",
    "object.put-bad-etag": "a small body is refused before any backend hears of it",
}
