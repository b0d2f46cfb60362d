"""Audit watchers: the contract with plug-ins, and the dark-data one, which must be sure before it does anything."""

import json

import pytest

from objstore.config.cluster import load_cluster
from objstore.core.timestamp import ZERO
from objstore.object.passes.dark_data import DarkData, verdict
from objstore.object.passes.watchers import DELETE, KEEP, QUARANTINE, UnknownWatcher, WatcherContext, load_watchers
from objstore.peers.failure import NodeFailure
from objstore.peers.node_client import Reply
from objstore.ring.model import Node
from objstore.storage.engine import Absent
from tests.support.auditing import AT, audit, make_auditor
from tests.support.objects import SECRETS, make_address, put, ts
from tests.support.rings import make_device, make_ring
from tests.support.storage_nodes import StorageNodes

NODE = Node(make_device(0))
LISTED = json.dumps([{"name": "o", "bytes": 5}]).encode()
NO_DATABASE = {"x-backend-timestamp": ZERO.internal, "x-backend-storage-policy-index": "0"}
DELETED = {"x-backend-timestamp": ts(AT).internal, "x-backend-storage-policy-index": "0"}


def reply(status=200, body=b"[]", headers=()):
    return Reply(NODE, status, {"x-backend-sharding-state": "unsharded", **dict(headers)}, body)


class Says:
    """A watcher that says the same of everything."""

    def __init__(self, word):
        self.word = word
        self.seen = []
        self.events = []

    def start(self, mode):
        self.events.append(f"start {mode}")

    def see(self, seen):
        self.seen.append(seen)
        if isinstance(self.word, Exception):
            raise self.word
        return self.word

    def end(self):
        self.events.append("end")


class TestTheContract:
    def test_a_watcher_sees_every_good_object_once_a_pass(self, tmp_path, clock, engine):
        put(engine, make_address(), x_object_meta_a="b")
        watcher = Says(None)
        audit(make_auditor(tmp_path, clock, watchers=[watcher]))
        (seen,) = watcher.seen
        assert seen.address == make_address() and seen.size_bytes == 5 and seen.headers["x-object-meta-a"] == "b"
        assert watcher.events == ["start ALL", "end"]

    @pytest.mark.parametrize("word", [None, KEEP, "shred", RuntimeError("a bug")], ids=str)
    def test_what_is_no_verdict_keeps_the_object(self, tmp_path, clock, engine, word):
        put(engine, make_address())
        counts, _ = audit(make_auditor(tmp_path, clock, watchers=[Says(word)]))
        assert counts["passes"] == 1 and "quarantined" not in counts
        engine.open(make_address()).close()

    def test_a_watcher_can_ask_for_quarantine(self, tmp_path, clock, engine):
        put(engine, make_address())
        counts, _ = audit(make_auditor(tmp_path, clock, watchers=[Says(QUARANTINE)]))
        assert counts["quarantined"] == 1
        assert (tmp_path / "sda" / "quarantined" / "objects" / make_address().hash_hex).is_dir()

    def test_a_delete_is_a_tombstone_just_newer_than_the_object(self, tmp_path, clock, engine):
        written = clock.seconds - 100
        put(engine, make_address(), at=written)
        audit(make_auditor(tmp_path, clock, watchers=[Says(DELETE)]))
        assert engine.open(make_address()) == Absent(ts(written, 1))

    def test_the_tombstone_of_an_old_object_lives_long_enough_to_reach_the_other_copies(self, tmp_path, clock, engine):
        put(engine, make_address())
        audit(make_auditor(tmp_path, clock, watchers=[Says(DELETE)]))
        assert engine.open(make_address()) == Absent(ts(clock.seconds - 604_800 + 86_400))

    def test_an_unknown_watcher_is_refused_by_name(self, tmp_path, clock):
        context = WatcherContext(tmp_path, str(tmp_path), SECRETS, clock)
        with pytest.raises(UnknownWatcher, match="nobody#dark"):
            load_watchers(["nobody#dark"], lambda name: {}, context)


class TestDarkDataVerdict:
    @pytest.mark.parametrize(
        "replies, is_dark",
        [
            ([reply(), reply(), reply()], True),
            ([reply(), reply(404, headers=DELETED), reply()], True),
            ([reply(), reply(body=LISTED), reply()], False),
            ([reply(), NodeFailure("no answer"), reply()], False),
            ([reply(), reply(503), reply()], False),
            ([reply(), reply(507), reply()], False),
            ([reply(404, headers=NO_DATABASE)] * 3, False),
            ([reply(), reply(), reply(404, headers=NO_DATABASE)], False),
            ([reply(404, headers=DELETED | {"x-backend-storage-policy-index": "1"})] * 3, False),
            ([reply(headers={"x-backend-sharding-state": "sharded"})] * 3, False),
            ([reply(headers={"x-backend-sharding-state": "sharding"}), reply(), reply()], False),
            ([reply(headers={"x-backend-record-type": "shard"})] * 3, False),
            ([reply(headers={"x-backend-record-storage-policy-index": "1"})] * 3, False),
            ([reply(body=b"{"), reply(), reply()], False),
            ([reply(body=b'{"a": 1}'), reply(), reply()], False),
            ([reply(body=b"[1]"), reply(), reply()], False),
            ([reply(body=b'[{"name": "o2"}]')] * 3, True),
            ([], False),
        ],
        ids=[
            "nobody lists it", "one container deleted", "one lists it", "one is silent", "one is broken",
            "one disk is away", "the databases are lost", "one database is lost", "deleted in another policy",
            "sharded", "sharding", "shards instead of objects", "rows of another policy", "no JSON", "no list",
            "no rows", "a longer name", "no primaries",
        ],
    )  # fmt: skip
    def test_is_dark_only_when_every_primary_gave_evidence(self, replies, is_dark):
        assert verdict(replies, "o", 0)[0] is is_dark

    def test_a_reason_is_given_when_it_cannot_tell(self):
        assert "no database" in verdict([reply(404, headers=NO_DATABASE)], "o", 0)[1]


class ScriptedCalls:
    def __init__(self, replies):
        self.replies = replies
        self.paths = []

    def ask_all(self, nodes, method, path, headers=(), body=b""):
        self.paths.append(path)
        return self.replies


class TestDarkData:
    def watcher(self, root, clock, replies, **options):
        context = WatcherContext(root, str(root), SECRETS, clock)
        self.calls = ScriptedCalls(replies)
        ring = make_ring()
        return DarkData({"grace_age": "60", **options}, context, calls=self.calls, ring=lambda: ring)

    @pytest.mark.parametrize("action, is_there", [("log", True), ("quarantine", False), ("delete", False)])
    def test_does_what_the_operator_chose(self, tmp_path, clock, engine, action, is_there):
        put(engine, make_address())
        watcher = self.watcher(tmp_path, clock, [reply()] * 3, action=action)
        audit(make_auditor(tmp_path, clock, watchers=[watcher]))
        found = engine.open(make_address())
        if is_there:
            found.close()
        else:
            assert isinstance(found, Absent)

    def test_says_which_object_is_dark(self, tmp_path, clock, engine, caplog):
        put(engine, make_address())
        audit(make_auditor(tmp_path, clock, watchers=[self.watcher(tmp_path, clock, [reply()] * 3)]))
        assert "dark data: device=sda" in caplog.text and "'/AUTH_v/c/o'" in caplog.text

    def test_a_young_object_is_left_alone_and_nobody_is_asked(self, tmp_path, clock, engine):
        put(engine, make_address(), at=clock.seconds - 59)
        audit(make_auditor(tmp_path, clock, watchers=[self.watcher(tmp_path, clock, [reply()], action="delete")]))
        assert self.calls.paths == []
        engine.open(make_address()).close()

    def test_an_object_whose_row_waits_on_this_device_is_left_alone(self, tmp_path, clock, engine):
        address = make_address()
        put(engine, address)
        waiting = tmp_path / "sda" / "async_pending" / address.suffix
        waiting.mkdir(parents=True)
        (waiting / f"{address.hash_hex}-{ts(AT).internal}").write_bytes(b"")
        audit(make_auditor(tmp_path, clock, watchers=[self.watcher(tmp_path, clock, [reply()], action="delete")]))
        engine.open(address).close()

    def test_a_wrong_option_is_refused(self, tmp_path, clock):
        with pytest.raises(ValueError, match="action = 'shred': expected one of log, delete, quarantine"):
            self.watcher(tmp_path, clock, [], action="shred")

    def test_asks_the_real_servers_and_keeps_the_object_while_one_is_away(self, tmp_path, clock):
        with StorageNodes(tmp_path) as nodes:
            proxy = nodes.proxy()
            assert proxy.put("/v1/AUTH_a/c").status == 201
            assert proxy.put("/v1/AUTH_a/c/listed é".encode().decode("latin-1"), body=b"x").status == 201
            ring = nodes._ring("container", 3)
            secrets = load_cluster(tmp_path).secrets
            context = WatcherContext(tmp_path, str(tmp_path), secrets, clock)
            watcher = DarkData({"grace_age": "60"}, context)
            assert verdict(watcher._ask("AUTH_a", "c", "listed é", 0), "listed é", 0) == (False, "")
            assert verdict(watcher._ask("AUTH_a", "c", "dark", 0), "dark", 0) == (True, "")
            primary = ring.primaries(ring.partition(secrets.digest("AUTH_a", "c")))[0]
            nodes.unplug(primary.id)
            assert verdict(watcher._ask("AUTH_a", "c", "dark", 0), "dark", 0)[0] is False
