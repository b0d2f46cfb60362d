"""Recorded conversations with a reference system's servers, replayed: what ours answers is the same.

Where the recording has 500 for a malformed request between servers, ours says 400.
"""

import json
import re
from datetime import UTC, datetime
from urllib.parse import quote

import pytest

from tests.support.backends import account_server, container_server
from tests.support.wire import differences, exchanges, replay
from tests.support.wsgi import call

BETTER = {
    "direct-container.row-put-missing-headers#1": 400,
    "direct-container.row-put-bad-size#1": 400,
}
C1 = "/sdb2/87/AUTH_wire/c1"
TREE = ("d0/f0", "d0/f2", "d0/f4", "d0/f6", "d1/f1", "d1/f3", "d1/f5")
"""Objects the harness wrote without recording the requests."""


def recorded_rows():
    by_id = {exchange["id"]: exchange for exchange in exchanges("direct-container")}
    return json.loads(by_id["direct-container.get-bad-limit#1"]["response"]["body"])


def put_row(app, path, item):
    seconds = _seconds(item["last_modified"])
    headers = {
        "x-timestamp": seconds,
        "x-size": str(item["bytes"]),
        "x-content-type": item["content_type"],
        "x-etag": item["hash"],
        "x-backend-storage-policy-index": "0",
    }
    assert call(app, "PUT", f"{path}/{quote(item['name'])}", headers).status == 201


def _seconds(iso):
    at = datetime.fromisoformat(iso).replace(tzinfo=UTC)
    return f"{int(at.timestamp()):010d}.{at.microsecond // 10:05d}"


def seed_c1(app):
    put = {"x-timestamp": "1795238356.52500", "x-container-read": ".r:*,.rlistings", "x-container-meta-size": "9"}
    assert call(app, "PUT", C1, put).status == 201
    assert call(app, "POST", C1, {"x-timestamp": "1795238358.34697"}).status == 204
    for item in recorded_rows():
        put_row(app, C1, item)


@pytest.fixture(scope="module")
def direct(tmp_path_factory):
    """Answers to the direct requests, in order, by id."""
    app = container_server(tmp_path_factory.mktemp("node"))
    seed_c1(app)
    return {exchange["id"]: replay(app, exchange) for exchange in exchanges("direct-container")}


@pytest.mark.parametrize("exchange", exchanges("direct-container"), ids=lambda exchange: exchange["id"])
def test_direct_request_is_answered_as_recorded(direct, exchange):
    assert differences(exchange, direct[exchange["id"]], BETTER) == []


def operations():
    """The recorded operations on accounts, containers and objects in order of time: (first timestamp, exchanges)."""
    found, last = [], {}
    for file_index, name in enumerate(("account", "container", "object")):
        grouped = {}
        for exchange in exchanges(name):
            grouped.setdefault(exchange["id"].split("#")[0], []).append(exchange)
        for index, group in enumerate(grouped.values()):
            times = [float(v[:16]) for e in group for k, v in e["request"]["headers"] if k.lower() == "x-timestamp"]
            at = last[file_index] = min(times) if times else last.get(file_index, 0.0)
            found.append((at, file_index, index, group))
    return [group for *_, group in sorted(found, key=lambda operation: operation[:3])]


def targets(exchange):
    """The exchange as it went to each server that gave the same answer; the device is that of the server's node."""
    for name in (exchange["to"], *exchange.get("same_to", ())):
        text = re.sub(r"<(?:account|container)(\d)(?:-repl)?>", r"620\1", json.dumps(exchange))
        copy = json.loads(text)
        if name != exchange["to"]:
            number = re.search(r"\d", name)[0]
            copy["request"]["path"] = re.sub(r"^/sdb\d", f"/sdb{number}", copy["request"]["path"])
        yield name, copy


def test_whole_conversation_of_a_cluster_is_answered_as_recorded(tmp_path):
    servers = {"account": account_server(tmp_path), "container": container_server(tmp_path)}
    wrong, count = [], 0
    for group in operations():
        if group[0]["id"].startswith("container.get-json"):
            for number in (2, 3, 4):
                for item in recorded_rows():
                    if item["name"] in TREE:
                        put_row(servers["container"], f"/sdb{number}/87/AUTH_wire/c1", item)
        for exchange in group:
            app = servers.get(re.split(r"\d", exchange["to"])[0])
            # A 507 was a device that the harness had taken out.
            if app is None or not exchange.get("response") or exchange["response"]["status"] == 507:
                continue
            for name, copy in targets(exchange):
                count += 1
                found = differences(copy, replay(app, copy))
                if found:
                    wrong.append((copy["id"], name, found))
    assert wrong == []
    assert count > 190
