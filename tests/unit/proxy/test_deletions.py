"""proxy/deletions.py: what the expirer is to delete (formats 4.15)."""

import json

import pytest

from objstore.container.app import app_factory
from objstore.http.response import page
from objstore.object.passes.expire_plan import task_of
from tests.support.storage_nodes import StorageNodes, eventually


@pytest.fixture(scope="module")
def nodes(tmp_path_factory):
    with StorageNodes(tmp_path_factory.mktemp("nodes")) as running:
        yield running


def entries(proxy, account="/v1/.expiring_objects"):
    found = []
    for queue in json.loads(proxy.get(account, query="format=json").body or b"[]"):
        found += json.loads(proxy.get(f"{account}/{queue['name']}", query="format=json").body or b"[]")
    return found


def test_every_object_has_an_entry_that_the_expirer_understands(nodes):
    proxy = nodes.proxy()
    names = [f"o{number}" for number in range(60)] + ["\u2603/x", "a b"]
    assert proxy.app._deletions.delete_later({}, "AUTH_d", "c", names)
    rows = []

    def are_all_listed():
        # Kept: the next answer may be of a replica that has not heard of all of them yet.
        rows[:] = entries(proxy)
        return len(rows) >= len(names)

    eventually(are_all_listed, "the account lists the queue's containers")
    tasks = [task_of(row["name"], row["content_type"]) for row in rows]
    assert {(task.account, task.container, task.obj) for task in tasks} == {("AUTH_d", "c", name) for name in names}
    assert all(task.is_unconditional for task in tasks) and len(tasks) == len(names)


def knowing_no_update(nodes, node):
    """A container server as of a Swift that is older than UPDATE."""
    conf = {"devices": str(nodes.device_root(node)), "mount_check": "no", "report_interval": "0.02"}
    conf["node_timeout"] = nodes.row_timeout
    app = app_factory({"swift_dir": str(nodes.directory)}, **conf)

    def answering(environ, start_response):
        if environ["REQUEST_METHOD"] == "UPDATE":
            return page(405)(environ, start_response)
        return app(environ, start_response)

    return answering


def test_a_server_that_does_not_know_many_at_a_time_is_told_one_by_one(tmp_path):
    with StorageNodes(tmp_path) as nodes:
        for node in range(nodes.node_count):
            nodes.replace(node, "container", knowing_no_update(nodes, node))
        proxy = nodes.proxy()
        assert proxy.app._deletions.delete_later({}, "AUTH_old", "c", [f"o{number}" for number in range(40)])
        eventually(lambda: len(entries(proxy)) == 40, "the account lists the queue's containers")
