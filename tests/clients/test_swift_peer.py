"""Container sync with OpenStack Swift itself, both ways: what one wrote the other has."""

import json

import pytest

from objstore.config.sync_realms import FILE_NAME
from tests.clients.swift_peer import ACCOUNT, KEY, USER, running
from tests.clients.tools import ToolsMissing
from tests.functional.api import Swift
from tests.support.cluster import Cluster, until
from tests.support.ports import PortBlock

pytestmark = [pytest.mark.cluster, pytest.mark.long]

PATIENCE_S = 180.0


@pytest.fixture
def pair(tmp_path):
    """(the peer's owner, ours), of one realm."""
    ports = PortBlock()
    ours = Cluster(tmp_path / "ours", nodes=1, replicas=1, part_power=3, policies=("gold:1",)).init()
    ours.add_user(USER, KEY, ".admin")
    ours.configure("container-sync", "interval", 1, kind="container")
    realms = f"[r]\nkey = of-the-realm\ncluster_peer = http://127.0.0.1:{ports.first}/v1/\n"
    realms += f"cluster_ours = {ours.endpoint}/v1/\n"
    (ours.directory.swift_conf.parent / FILE_NAME).write_text(realms)
    try:
        with running(tmp_path / "peer", ports, realms) as peer:
            with ours:
                both = [Swift(url, {"owner": (USER, KEY)}) for url in (peer.auth_url, ours.auth_url)]
                yield both[0].owner, both[1].owner
                for each in both:
                    each.close()
    except ToolsMissing as error:
        pytest.skip(str(error))
    finally:
        ports.release()


def listed(user, container):
    answer = user.get(f"{container}?format=json")
    return {row["name"]: row["hash"] for row in json.loads(answer.body)} if answer.status == 200 else None


def test_both_hold_what_either_wrote(pair):
    theirs, ours = pair
    assert theirs.account == ours.account == ACCOUNT
    for user, other in ((theirs, "ours"), (ours, "peer")):
        headers = {"X-Container-Sync-To": f"//r/{other}/{ACCOUNT}/c", "X-Container-Sync-Key": "of-both"}
        assert user.put("c", headers=headers).status in (201, 202)
    for number in range(5):
        assert theirs.put("c", f"theirs/{number} ü", body=b"t" * number * 1000).status == 201
        assert ours.put("c", f"ours/{number} ½", body=b"o" * number * 1000).status == 201
    kept = {"Content-Type": "text/x-tale", "X-Object-Meta-Color": "rot ☃"}
    assert theirs.put("c", "with metadata", body=b"1", headers=kept).status == 201
    until(lambda: len(listed(ours, "c")) == 11 and listed(ours, "c") == listed(theirs, "c"), "all is there", PATIENCE_S)
    got = ours.get("c", "with metadata")
    assert (got.body, got.headers["content-type"], got.headers["x-object-meta-color"]) == (b"1", *kept.values())
    # What is deleted on either side goes on the other; what is written again wins.
    assert theirs.delete("c", "ours/1 ½").status == ours.delete("c", "theirs/1 ü").status == 204
    assert ours.put("c", "theirs/2 ü", body=b"newer").status == 201

    def is_settled():
        found = listed(ours, "c")
        return len(found) == 9 and found == listed(theirs, "c") and theirs.get("c", "theirs/2 ü").body == b"newer"

    until(is_settled, "deletions and the newer object are there", PATIENCE_S)
    assert theirs.get("c", "ours/4 ½").body == b"o" * 4000
