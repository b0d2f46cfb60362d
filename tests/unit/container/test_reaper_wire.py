"""What a reference's reaper asked of container and account servers, asked of ours: the same answers."""

import json
import re

import pytest

from tests.support.backends import account_server, container_server
from tests.support.wire import differences, exchanges, replay
from tests.support.wsgi import call

PLACEHOLDER = re.compile(r"<\w+>")


def filled(exchange):
    """With a port in the place of each placeholder for one."""
    headers = [[name, PLACEHOLDER.sub("6202", value)] for name, value in exchange["request"]["headers"]]
    return {**exchange, "request": {**exchange["request"], "headers": headers}}


RECORDED = {each["id"].removeprefix("reaper."): filled(each) for each in exchanges("reaper")}
ABSENT = [name for name in RECORDED if name.startswith(("run-node3", "run-node4"))]
PUT_AT, CREATED_AT = "1795238521.48978", "1795238521.50780"


@pytest.mark.parametrize("name", ABSENT)
def test_containers_that_are_not_there(tmp_path, name):
    exchange = RECORDED[name]
    assert differences(exchange, replay(container_server(tmp_path), exchange)) == []


def test_a_container_is_listed_emptied_and_deleted(tmp_path):
    app = container_server(tmp_path)
    for device in ("sdb2", "sdb4"):
        path = f"/{device}/143/AUTH_reap/rc"
        assert call(app, "PUT", path, {"x-timestamp": PUT_AT, "x-backend-storage-policy-index": "0"}).status == 201
        row = {"x-timestamp": "1795238521.54653", "x-size": "6", "x-content-type": "text/plain"}
        row |= {"x-etag": "21c6578fd67ed9b451117330ad8d121a", "x-backend-storage-policy-index": "0"}
        assert call(app, "PUT", f"{path}/ro", row).status == 201
    listing = replay(app, RECORDED["run-node2#1"])
    assert listing.status == 200
    recorded = json.loads(RECORDED["run-node2#1"]["response"]["body"])
    assert [item["name"] for item in json.loads(listing.body)] == [item["name"] for item in recorded]
    assert differences(RECORDED["run-node2#3"], replay(app, RECORDED["run-node2#3"])) == []
    emptied = call(app, "DELETE", "/sdb4/143/AUTH_reap/rc/ro", {"x-timestamp": "1795238534.10540"})
    assert emptied.status == 204
    assert json.loads(replay(app, RECORDED["run-node2#4"]).body) == []
    assert replay(app, RECORDED["run-node2#5"]).status == 204


def test_a_deleted_account_hears_that_its_container_is_gone(tmp_path):
    app = account_server(tmp_path)
    path = "/sdb4/235/AUTH_reap"
    assert call(app, "PUT", path, {"x-timestamp": PUT_AT}).status == 201
    assert call(app, "DELETE", path, {"x-timestamp": "1795238532.11521"}).status == 204
    assert differences(RECORDED["run-node2#6"], replay(app, RECORDED["run-node2#6"])) == []
