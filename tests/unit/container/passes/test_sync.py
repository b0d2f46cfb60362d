"""container-sync between two containers over real storage servers: what arrives, what is never lost. Feature B3.12."""

import json
from pathlib import Path

import pytest

from objstore.core.errors import DomainError
from objstore.daemon.pass_ import EVERYTHING, Scope
from objstore.db.container import ContainerBroker
from objstore.http.outgoing import BadAnswer, ServiceBroken, ServiceSilent, ServiceUnreachable
from objstore.http.response import Response, page
from tests.support.storage_nodes import StorageNodes
from tests.support.sync_world import SyncWorld, write_realms

SLO = "multipart-manifest=put"


@pytest.fixture(scope="module")
def nodes(tmp_path_factory):
    directory = tmp_path_factory.mktemp("sync")
    write_realms(directory)
    with StorageNodes(directory) as found:
        yield found


@pytest.fixture
def make_world(nodes):
    made = []

    def make(*args, **options):
        made.append(SyncWorld(nodes, *args, **options))
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest.fixture
def world(make_world):
    return make_world()


def listing(client, path):
    return [row["name"] for row in json.loads(client.get(path, query="format=json").body or b"[]")]


def put(world, name, body=b"x", **headers):
    assert world.here.put(f"{world.near}/{name}", headers, body=body).status == 201


def done(world):
    """Whether every primary knows that all is there."""
    return all(tried == reached == last for tried, reached, last in world.points())


def test_objects_arrive_with_their_metadata_and_their_time(world):
    put(world, "o", b"body", **{"Content-Type": "text/x", "X-Object-Meta-Colour": "blue", "Content-Encoding": "gzip"})
    world.passes(2)
    ours, theirs = world.here.get(f"{world.near}/o"), world.there.get(f"{world.far}/o")
    assert (theirs.status, theirs.body) == (200, b"body")
    for name in ("x-timestamp", "etag", "content-type", "content-encoding", "x-object-meta-colour"):
        assert theirs.headers[name] == ours.headers[name]
    assert done(world)


def test_every_primary_knows_in_the_end_and_each_object_is_sent_once(world):
    for number in range(20):
        put(world, f"o{number:02}", bytes(1000 * number))
    assert world.passes() == {"synced": 3, "puts": 20}
    assert world.way.asked()["PUT"] == 20 and listing(world.there, world.far) == listing(world.here, world.near)
    assert not done(world)
    assert world.passes() == {"synced": 3, "confirmed": 40}
    assert "PUT" not in world.way.asked() and done(world) and len(world.points()) == 3
    world.passes()
    assert world.way.asked() == {}


def test_deletes_arrive_also_those_of_what_never_did(world):
    put(world, "o")
    world.passes()
    assert world.here.delete(f"{world.near}/o").status == 204
    put(world, "short-lived")
    assert world.here.delete(f"{world.near}/short-lived").status == 204
    world.passes(2)
    assert listing(world.there, world.far) == [] and world.there.get(f"{world.far}/o").status == 404 and done(world)


def test_a_post_arrives(world):
    put(world, "o", b"body", **{"X-Object-Meta-Colour": "blue"})
    world.passes()
    assert world.here.post(f"{world.near}/o", {"X-Object-Meta-Colour": "red"}).status == 202
    world.passes(2)
    theirs = world.there.get(f"{world.far}/o")
    assert (theirs.body, theirs.headers["x-object-meta-colour"]) == (b"body", "red") and done(world)


def test_names_arrive_as_they_are(world):
    name = "x é%41?&:/..//end ".encode().decode("latin-1")
    put(world, name)
    world.passes(2)
    assert world.there.get(f"{world.far}/{name}").status == 200
    assert listing(world.there, world.far) == listing(world.here, world.near) and done(world)


def test_a_static_large_object_arrives_as_one(world):
    put(world, "seg/1", b"one")
    put(world, "seg/2", b"twotwo")
    segments = [
        {"path": f"/{world.name}/seg/1"},
        {"path": f"/{world.name}/seg/2", "range": "0-2"},
        {"data": "ZGF0YQ=="},
    ]
    answer = world.here.put(
        f"{world.near}/large", {"Content-Type": "x/large"}, body=json.dumps(segments).encode(), query=SLO
    )
    assert answer.status == 201
    # On the other side segments are looked for in its own account.
    assert world.there.put(f"/v1/AUTH_b/{world.name}").status == 201
    for name, body in (("seg/1", b"one"), ("seg/2", b"twotwo")):
        assert world.there.put(f"/v1/AUTH_b/{world.name}/{name}", body=body).status == 201
    world.passes(2)
    theirs = world.there.get(f"{world.far}/large")
    assert (theirs.status, theirs.body) == (200, b"onetwodata") and theirs.headers["content-type"] == "x/large"
    assert theirs.headers["x-static-large-object"] == "True" and done(world)


def test_a_manifest_waits_for_its_segments_and_holds_nothing_else_up(world):
    put(world, "seg", b"one")
    assert (
        world.here.put(f"{world.near}/large", body=f'[{{"path": "/{world.name}/seg"}}]'.encode(), query=SLO).status
        == 201
    )
    put(world, "later")
    assert world.passes(2)["failures"] and listing(world.there, world.far) == ["later", "seg"] and not done(world)
    assert world.there.put(f"/v1/AUTH_b/{world.name}").status == 201
    assert world.there.put(f"/v1/AUTH_b/{world.name}/seg", body=b"one").status == 201
    world.passes(2)
    assert world.there.get(f"{world.far}/large").body == b"one" and done(world)


@pytest.mark.parametrize("is_static", [False, True])
def test_links_arrive_as_links(world, is_static):
    put(world, "target", b"body")
    etag = world.here.head(f"{world.near}/target").headers["etag"]
    put(
        world,
        "link",
        b"",
        **{"X-Symlink-Target": f"{world.name}/target", **({"X-Symlink-Target-Etag": etag} if is_static else {})},
    )
    assert world.there.put(f"/v1/AUTH_b/{world.name}").status == 201
    assert world.there.put(f"/v1/AUTH_b/{world.name}/target", body=b"body").status == 201
    world.passes(2)
    link = world.there.head(f"{world.far}/link", query="symlink=get")
    assert link.headers["x-symlink-target"] == f"{world.name}/target" and link.headers.get("x-symlink-target-etag") == (
        etag if is_static else None
    )
    assert world.there.get(f"{world.far}/link").body == b"body" and done(world)


def test_a_versioned_object_arrives_as_its_current_version(world):
    assert world.here.post(world.near, {"X-Versions-Enabled": "true"}).status in (202, 204)
    put(world, "o", b"first")
    put(world, "o", b"second", **{"X-Object-Meta-Colour": "blue"})
    world.passes(2)
    theirs = world.there.get(f"{world.far}/o", query="symlink=get")
    assert (theirs.body, theirs.headers["x-object-meta-colour"]) == (b"second", "blue") and done(world)


def test_what_is_newer_there_stays(world):
    put(world, "o", b"old")
    put(world, "gone", b"old")
    assert world.there.put(f"{world.far}/o", body=b"new").status == 201
    assert world.there.put(f"{world.far}/gone", body=b"new").status == 201
    assert world.there.delete(f"{world.far}/gone").status == 204
    world.passes(2)
    assert world.there.get(f"{world.far}/o").body == b"new" and world.there.get(f"{world.far}/gone").status == 404
    assert done(world)


def test_both_ways_come_to_rest(world):
    way_back = {"X-Container-Sync-To": f"//realm/one/AUTH_a/{world.name}"}
    assert world.here.post(world.near, {"X-Container-Sync-Key": "secret"}).status == 204
    assert world.there.post(world.far, way_back).status == 204
    put(world, "ours")
    assert world.there.put(f"{world.far}/theirs").status == 201
    world.passes(4)
    assert listing(world.here, world.near) == listing(world.there, world.far) == ["ours", "theirs"]
    world.way.asked()
    world.passes(2)
    assert world.way.asked() == {} and done(world)


LIES = {
    "silent": ServiceSilent("not a word"),
    "broken": ServiceBroken("cut off"),
    **{str(status): status for status in (401, 404, 503)},
}
MORE_LIES = {
    "unreachable": ServiceUnreachable("nobody there"),
    "garbage": BadAnswer("no HTTP"),
    **{str(status): status for status in (302, 400, 403, 408, 413, 422, 500, 502, 507)},
}


@pytest.mark.parametrize(
    "lie",
    [
        *(pytest.param(lie, id=name) for name, lie in LIES.items()),
        *(pytest.param(lie, id=name, marks=pytest.mark.long) for name, lie in MORE_LIES.items()),
    ],
)
def test_whatever_the_other_side_says_nothing_is_lost_and_nothing_passes_for_done(world, lie):
    for number in range(8):
        put(world, f"o{number}")
    put(world, "deleted")
    assert world.here.delete(f"{world.near}/deleted").status == 204
    before = listing(world.here, world.near)
    # A HEAD of 404 says that there is nothing, and a DELETE that is answered so is done.
    world.way.lie = lambda method, path: None if lie == 404 and method != "PUT" else lie
    counts = world.passes(3)
    assert counts["failures"] and all(reached < last for _, reached, last in world.points())
    assert listing(world.here, world.near) == before
    world.way.lie = lambda method, path: None
    world.restart()
    world.passes(2)
    assert listing(world.there, world.far) == before and done(world)


def test_a_side_that_only_takes_some_gets_the_others_later(world):
    for number in range(12):
        put(world, f"o{number:02}")
    world.way.lie = lambda method, path: 503 if path.endswith(("03", "07")) else None
    world.passes(2)
    assert len(listing(world.there, world.far)) == 10 and not done(world)
    world.way.asked()
    world.passes()
    assert world.way.asked() == {"HEAD": 6}  # The two, by three primaries; what was confirmed is remembered.
    world.way.lie = lambda method, path: None
    world.passes()
    assert len(listing(world.there, world.far)) == 12 and done(world)


def test_a_head_that_lies_about_what_is_there_is_found_out_by_a_later_change_alone(world):
    """What a cluster says it has is believed: there is nothing else to go by."""
    put(world, "o")
    world.way.lie = lambda method, path: 409 if method == "PUT" else None
    world.passes(2)
    assert done(world) and listing(world.there, world.far) == []


def test_a_peer_that_is_away_is_left_alone_after_a_few_rows(world):
    for number in range(40):
        put(world, f"o{number:03}")
    world.way.lie = lambda method, path: ServiceUnreachable("nobody there")
    node = world.primaries()[0]
    world.passes(nodes=[node])
    assert 0 < sum(world.way.asked().values()) <= 3 + 8
    daemon = world.daemons[node]
    assert [daemon.run(job) for job in daemon.jobs(EVERYTHING)] == [{"suppressed": 1}] and not world.way.seen


def test_one_primary_alone_brings_everything(world):
    """The others are away for good: what was theirs to bring is brought after their turn has passed."""
    for number in range(20):
        put(world, f"o{number:02}")
    alone = world.primaries()[1:2]
    world.passes(nodes=alone)
    assert 0 < len(listing(world.there, world.far)) < 20
    world.passes(nodes=alone)
    assert listing(world.there, world.far) == listing(world.here, world.near)


def test_what_cannot_be_read_here_is_not_done(world):
    put(world, "o", b"body")
    put(world, "other")
    missing = lambda environ: page(404) if environ["PATH_INFO"].endswith(f"/{world.name}/o") else None  # noqa: E731
    world.near_faults = [missing]
    assert world.passes(2)["failures"] and not done(world) and listing(world.there, world.far) == ["other"]
    world.near_faults = [lambda environ: page(503) if environ["PATH_INFO"].endswith(f"/{world.name}/o") else None]
    assert world.passes()["failures"] and not done(world)
    world.near_faults = []
    world.passes()
    assert listing(world.there, world.far) == ["o", "other"] and done(world)


def test_an_older_copy_is_not_sent_for_the_newer_one(world):
    put(world, "o", b"old")
    old = world.here.get(f"{world.near}/o")
    put(world, "o", b"new")
    stale = Response(200, {**old.headers, "x-backend-timestamp": old.headers["x-timestamp"]}, b"old")
    world.near_faults = [lambda environ: stale]
    assert world.passes(2)["failures"] and listing(world.there, world.far) == [] and not done(world)


def test_a_body_that_breaks_off_here_leaves_nothing_there(world):
    put(world, "o", b"whole body")

    def broken(environ):
        def pieces():
            yield b"whole "
            raise DomainError("the disk is gone")

        timestamp = world.here.head(f"{world.near}/o").headers["x-timestamp"]
        headers = {"content-length": "10", "x-timestamp": timestamp, "content-type": "text/x"}
        return Response(200, headers, pieces())

    world.near_faults = [broken]
    assert world.passes(2)["failures"] and world.there.get(f"{world.far}/o").status == 404 and not done(world)
    world.near_faults = []
    world.passes()
    assert world.there.get(f"{world.far}/o").body == b"whole body"


def test_what_expired_or_was_deleted_since_needs_nothing(world):
    put(world, "o", b"body")
    later = "9999999999.00000"
    world.near_faults = [lambda environ: page(404, "", {"x-backend-timestamp": later})]
    assert "failures" not in world.passes(2) and done(world) and listing(world.there, world.far) == []


def test_a_container_of_another_target_begins_at_its_first_row(world):
    put(world, "o")
    world.passes(2)
    assert world.there.put(f"{world.far}-other", {"X-Container-Sync-Key": "secret"}).status == 201
    assert (
        world.here.post(
            world.near, {"X-Container-Sync-To": f"//realm/two/{world.far.removeprefix('/v1/')}-other"}
        ).status
        == 204
    )
    assert all(point[:2] == (-1, -1) for point in world.points())
    world.passes(2)
    assert listing(world.there, f"{world.far}-other") == ["o"] and done(world)


def test_the_same_target_set_again_brings_everything_again(world):
    put(world, "o")
    world.passes(2)
    assert world.there.delete(f"{world.far}/o").status == 204
    for target in ("//realm/one/AUTH_a/x", f"//realm/two/{world.far.removeprefix('/v1/')}"):
        assert world.here.post(world.near, {"X-Container-Sync-To": target}).status == 204
    world.way.asked()
    world.passes()
    assert world.way.asked()["HEAD"]  # A newer tombstone is there: nothing comes back, but it was asked.


def test_a_container_that_is_no_longer_synced_is_left_alone(world):
    put(world, "o")
    assert world.here.post(world.near, {"X-Remove-Container-Sync-Key": "x"}).status == 204
    world.passes()
    assert not world.way.seen


@pytest.mark.parametrize(
    "realms", ["", "[realm]\nkey = first\ncluster_one = http://one.example/v1/\n", "[other]\nkey = x\n"]
)
def test_a_realm_or_cluster_that_is_gone_is_told_and_nothing_is_sent(world, realms):
    put(world, "o")
    world.know(realms)
    assert world.passes()["failures"] and not world.way.seen and not done(world)


@pytest.mark.parametrize("key", ["second", "first"])
def test_keys_are_exchanged_without_a_pause(world, key):
    """Here the new key is first already (or still the old one); there both are accepted."""
    world.know(f"[realm]\nkey = {key}\ncluster_two = http://two.example/v1/\n")
    put(world, "o")
    world.passes(2)
    assert listing(world.there, world.far) == ["o"]
    world.know("[realm]\nkey = third\ncluster_two = http://two.example/v1/\n")
    put(world, "p")
    world.passes(2)
    assert listing(world.there, world.far) == ["o"] and not done(world)


@pytest.mark.parametrize(("hosts", "arrives"), [("192.0.2.7", True), ("", False), ("192.0.2.8", False)])
def test_without_a_realm_the_containers_key_is_said_to_hosts_that_are_allowed(make_world, hosts, arrives):
    world = make_world("http://127.0.0.1:8080/v1", allowed_sync_hosts=hosts)
    put(world, "o")
    world.passes(2)
    assert (listing(world.there, world.far) == ["o"]) == arrives == done(world)


def test_another_key_of_the_container_lets_nobody_in(make_world):
    world = make_world(key="another")
    put(world, "o")
    world.passes(2)
    assert listing(world.there, world.far) == [] and not done(world)


def test_what_only_the_system_knows_is_not_sent(world):
    put(world, "o", b"x", **{"X-Object-Sysmeta-Secret": "a", "X-Object-Transient-Sysmeta-Secret": "b"})
    world.passes()
    sent = next(environ for environ in world.way.environs if environ["REQUEST_METHOD"] == "PUT")
    assert not [name for name in sent if "SYSMETA" in name or ("BACKEND" in name and "INBOUND" not in name)]


def test_a_handoff_leaves_it_to_the_primaries(world):
    put(world, "o")
    for daemon in world.daemons:
        daemon.share_of = lambda device, partition: None
    assert world.passes() == {"handoffs": 3} and not world.way.seen


def test_a_sharded_container_is_left_alone_and_said_to_be(world, caplog):
    put(world, "o")
    for daemon in world.daemons:
        for job in daemon.jobs(EVERYTHING):
            shard(daemon, job.location)
    assert world.passes() == {"sharded": 3} and not world.way.seen
    assert "sharded containers are not synced" in caplog.text


def shard(daemon, location):
    """Have a database be one whose rows lie in shards now: its epoch in its name and in its own range."""
    epoch = "1700000000.00000"
    broker = ContainerBroker(daemon.databases.at(location.device_path, location.partition, location.hash))
    info = broker.info()
    own = (info.path, epoch, "", "", epoch, 80, epoch, epoch)
    part = (".shards_AUTH_a/part", epoch, "", "", epoch, 40, epoch, None)
    insert = (
        "INSERT INTO shard_range (name, timestamp, lower, upper, meta_timestamp, state, state_timestamp, epoch) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
    )
    broker.database.write(lambda connection: connection.executemany(insert, [own, part]))
    path = Path(broker.database.location.current())
    path.rename(path.with_name(f"{location.hash}_{epoch}.db"))


def test_a_link_without_a_database_goes(world):
    put(world, "o")
    node = world.primaries()[0]
    daemon = world.daemons[node]
    (job,) = daemon.jobs(EVERYTHING)
    aside = Path(job.location.directory).rename(Path(job.location.directory).with_suffix(".aside"))
    assert daemon.run(job) == {"no_container": 1} and list(daemon.jobs(EVERYTHING)) == []
    aside.rename(job.location.directory)


def test_partitions_and_devices_can_be_chosen(world):
    put(world, "o")
    daemon = world.daemons[world.primaries()[0]]
    (job,) = daemon.jobs(EVERYTHING)
    partition = int(job.location.partition)
    assert [found.key for found in daemon.jobs(Scope(partitions=frozenset({partition})))] == [job.key]
    assert not list(daemon.jobs(Scope(partitions=frozenset({partition + 1}))))
    assert not list(daemon.jobs(Scope(devices=frozenset({"none"}))))


@pytest.mark.parametrize("mark", ["x-object-sysmeta-crypto-body-meta", "x-object-transient-sysmeta-crypto-meta"])
def test_what_is_still_encrypted_is_not_sent_as_if_it_were_plain(world, mark):
    put(world, "o", b"cipher")
    known = world.here.get(f"{world.near}/o").headers
    world.near_faults = [lambda environ: Response(200, {**known, mark: "x"}, b"cipher")]
    assert world.passes(2)["failures"] and listing(world.there, world.far) == [] and not done(world)
