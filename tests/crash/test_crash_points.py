"""Acknowledged means readable and whole; what was not acknowledged is old or new, never torn.

One list of operations. Each is run up to every one of its effects, and for each of those points every state is built
that the disk may be in after a power cut (tests/support/durability.py); then a new process looks.
"""

from pathlib import Path

import pytest

from objstore.cluster import token as tokens
from objstore.cluster.changes import AddDrives, DrainNode, NewDrive
from objstore.cluster.cluster_key import KEY_FILE, ClusterKey, KeyRing
from objstore.cluster.holder import Holder
from objstore.cluster.members import read as read_members
from objstore.cluster.members import write as write_members
from objstore.cluster.membership import Membership
from objstore.cluster.ring_install import InstalledRings
from objstore.cluster.ring_manifest import RingSet, digest_of
from objstore.cluster.token_store import TokenRefused, TokenStore
from objstore.db.container import KIND, ContainerBroker
from objstore.db.database import Databases
from objstore.db.outbound import local_state, snapshot
from objstore.db.quarantine import quarantine
from objstore.db.replica import install, install_merged
from objstore.replication.db_removal import remove_unchanged
from objstore.ring.builder import RingBuilder
from objstore.ring.builder_file import load_builder, save_builder
from objstore.ring.fileformat import load, save, written
from objstore.runtime.fs import Fs
from objstore.storage.engine import Absent
from objstore.storage.pending import DeferredUpdate
from objstore.storage.removal import remove_confirmed, remove_partition
from objstore.storage.replica import inventory
from tests.crash.power_cuts import Operation, before_and_after, every_power_cut
from tests.support.clock import SimClock
from tests.support.databases import LOGGER, NOW, SECRETS, row
from tests.support.durability import Shadow
from tests.support.members import make_member, make_members
from tests.support.objects import directory_of, make_address, make_disk_engine, put, ts
from tests.support.ring_holder import make_etc, node
from tests.support.rings import make_ring

ADDRESS = make_address()
OLD, NEW = 1_700_000_000.0, 1_700_000_001.0
LARGE = {f"x_object_meta_{number:02}": "v" * 200 for number in range(40)}
HASH = SECRETS.hash_path("AUTH_v", "c")


# Objects


def engine_at(place, fs=None, now=NEW + 10):
    return make_disk_engine(place, SimClock(now), fs)


def stored(place):
    """(body, headers) of the object, or None; and whether the partition's digests are those of what lies there."""
    engine = engine_at(place)
    found = engine.open(ADDRESS)
    state = None
    if not isinstance(found, Absent):
        with found:
            state = found.body.pread(100, 0), tuple(sorted(found.headers.items()))
    digests = engine.hashes("sda", 0, "5")
    assert digests == engine_at(place).hashes("sda", 0, "5", [ADDRESS.suffix], relist=True), "a stale digest"
    return state


def hashed(*puts):
    """Objects, whose partition was hashed: the next change has to be listed."""

    def prepare(place):
        engine = engine_at(place)
        for body, at, headers in puts:
            put(engine, ADDRESS, body, at, **headers)
        put(engine, make_address("other"), at=OLD)
        engine.hashes("sda", 0, "5")

    return prepare


def changed(change):
    return lambda place, fs: change(engine_at(place, fs))


def body_of(state):
    return None if state is None else state[0]


def removed_handoff(place, fs):
    partition = str(place / "sda" / "objects" / "5")
    for suffix in sorted({ADDRESS.suffix, make_address("other").suffix}):
        remove_confirmed(fs, partition, suffix, inventory(partition, suffix))
    remove_partition(fs, partition)


def set_aside(place):
    """Where the object's directory lies; in one place, whole."""
    places = [directory_of(place, ADDRESS), place / "sda" / "quarantined" / "objects" / ADDRESS.hash_hex]
    return [[path.name for path in each.iterdir()] if each.is_dir() else None for each in places]


def kept_rows(place):
    found = (place / "sda" / "async_pending").glob("*/*")
    return sorted((path.name, path.read_bytes()) for path in found if not path.name.startswith("."))


UPDATE = DeferredUpdate("PUT", "a", "c", "o", {"x-size": "1"})
OBJECTS = {
    "first put": Operation(changed(lambda engine: put(engine, ADDRESS, b"new", NEW)), stored, engine_at),
    "put beside others": Operation(changed(lambda engine: put(engine, ADDRESS, b"new", NEW)), stored, hashed()),
    "overwrite": Operation(
        changed(lambda engine: put(engine, ADDRESS, b"new", NEW)), stored, hashed((b"old", OLD, {}))
    ),
    "rewrite at the same time": Operation(
        changed(lambda engine: put(engine, ADDRESS, b"new", OLD)), stored, hashed((b"old", OLD, {}))
    ),
    "large metadata": Operation(
        changed(lambda engine: put(engine, ADDRESS, b"new", NEW, **LARGE, x_object_meta_new="1")),
        stored,
        hashed((b"old", OLD, LARGE)),
    ),
    "large metadata at the same time": Operation(
        changed(lambda engine: put(engine, ADDRESS, b"new", OLD, **LARGE, x_object_meta_new="1")),
        stored,
        hashed((b"old", OLD, LARGE)),
    ),
    "post": Operation(
        changed(lambda engine: engine.post(ADDRESS, ts(NEW), {"x-object-meta-a": "1"}, None)),
        stored,
        hashed((b"old", OLD, {})),
    ),
    "delete": Operation(changed(lambda engine: engine.delete(ADDRESS, ts(NEW))), stored, hashed((b"old", OLD, {}))),
    "put after delete": Operation(
        changed(lambda engine: put(engine, ADDRESS, b"new", NEW + 1)),
        stored,
        lambda place: engine_at(place).delete(ADDRESS, ts(NEW)),
    ),
    "delete whose tombstone is already old": Operation(
        lambda place, fs: engine_at(place, fs, now=NEW + 10_000_000).delete(ADDRESS, ts(NEW)),
        stored,
        hashed((b"old", OLD, {})),
    ),
    "quarantine": Operation(changed(lambda engine: engine.quarantine(ADDRESS)), set_aside, hashed((b"old", OLD, {}))),
    # Every primary has confirmed what goes: it may come back, without its POST even, and is confirmed again.
    "handoff removal": Operation(
        removed_handoff,
        stored,
        hashed((b"old", OLD, {})),
        fits=lambda found, old, new, is_done: body_of(found) in (None, body_of(old)),
    ),
    "async pending": Operation(
        changed(lambda engine: engine.defer("sda", 0, "0" * 29 + "abc", ts(NEW), UPDATE)),
        kept_rows,
        engine_at,
    ),
}


# Databases


def broker_at(place, fs=None):
    device = place / "sda1"
    device.mkdir(exist_ok=True)
    return ContainerBroker(Databases(KIND, LOGGER, fs or Fs()).at(str(device), "7", HASH))


def made(*names):
    def prepare(place):
        broker = broker_at(place)
        broker.create("AUTH_v", "c", NOW, NOW, 0)
        broker.add_many([row(name) for name in names])
        broker.database.flush()
        broker.database.shared.handles.close()

    return prepare


def arrived(*names):
    """A copy that a peer brought into the device's tmp/."""

    def prepare(place):
        source = place / "source"
        source.mkdir()
        made(*names)(source)
        (place / "sda1" / "tmp").mkdir(parents=True)
        snapshot(broker_at(source).database.location.current(), str(place / "sda1" / "tmp" / "arrived"))

    return prepare


def both(one, other):
    def prepare(place):
        one(place)
        other(place)

    return prepare


def copy_of(place):
    return str(place / "sda1" / "tmp" / "arrived")


def names_in(place):
    """Names of the container's rows; None without a database."""
    broker = broker_at(place)
    if not broker.exists:
        return None
    broker.database.flush()
    query = "SELECT name FROM object WHERE deleted = 0 ORDER BY name"
    found = broker.database.read(lambda connection: [name for (name,) in connection.execute(query).fetchall()])
    assert broker.info().object_count == len(found)
    broker.database.shared.handles.close()
    return found


def installed(place):
    """As names_in(). Where it is not there, the next complete_rsync finds the file, and finishes."""
    found = names_in(place)
    if found is None:
        assert install(broker_at(place).database, copy_of(place), None)
        assert names_in(place) == ["a", "b"]
    return found


def removed_database(place, fs):
    fingerprint = broker_at(place).database.read(lambda connection: local_state(connection, "containers")).fingerprint
    assert remove_unchanged(broker_at(place, fs).database, fingerprint)


def where_databases_are(place):
    found = Path(place / "sda1").rglob("*.db")
    return sorted(str(path.relative_to(place).parts[1]) for path in found)


DATABASES = {
    "create": Operation(
        lambda place, fs: broker_at(place, fs).create("AUTH_v", "c", NOW, NOW, 0),
        names_in,
        lambda place: (place / "sda1").mkdir(),
    ),
    "row": Operation(lambda place, fs: broker_at(place, fs).add(row("new")), names_in, made("a")),
    "second row": Operation(
        lambda place, fs: broker_at(place, fs).add(row("new")),
        names_in,
        both(made("a"), lambda place: broker_at(place).add(row("b"))),
    ),
    "commit of pending rows": Operation(
        lambda place, fs: broker_at(place, fs).database.flush(),
        names_in,
        both(made("a"), lambda place: broker_at(place).add_many([row("b"), row("c")])),
    ),
    "install": Operation(
        lambda place, fs: install(broker_at(place, fs).database, copy_of(place), None), installed, arrived("a", "b")
    ),
    "install merged": Operation(
        lambda place, fs: install_merged(broker_at(place, fs).database, copy_of(place), NOW.internal),
        names_in,
        both(arrived("a", "theirs"), made("a", "ours")),
    ),
    # The primaries have confirmed it: that it goes need not last.
    "handoff removal": Operation(
        removed_database, names_in, made("a"), fits=lambda found, old, new, is_done: found in (old, None)
    ),
    "quarantine": Operation(
        lambda place, fs: quarantine(fs, broker_at(place, fs).database.location), where_databases_are, made("a")
    ),
}


# Rings

OLD_RING, NEW_RING = make_ring(devices=4), make_ring(devices=6)
NAMES = ("account.ring.gz", "object.ring.gz")


def builder(weight):
    made_one = RingBuilder.create(2, 1, 0)
    made_one.id = "the same"
    made_one.overload = weight
    return made_one


def ring_set(version, ring):
    data = written(ring, "x.ring.gz")
    return RingSet(version, {name: (digest_of(data), data) for name in NAMES})


def rings_in(place):
    return tuple((place / name).read_bytes() for name in NAMES)


def is_each_whole(found, old, new, is_done):
    """Files are replaced one by one: each is old or new, and all are new in the end."""
    return (
        found == new
        if is_done
        else all(one in pair for one, pair in zip(found, zip(old, new, strict=True), strict=True))
    )


RINGS = {
    "ring file": Operation(
        lambda place, fs: save(NEW_RING, place / "object.ring.gz", fs=fs),
        lambda place: load(place / "object.ring.gz").device_count,
        lambda place: save(OLD_RING, place / "object.ring.gz"),
    ),
    "first ring file": Operation(
        lambda place, fs: save(NEW_RING, place / "object.ring.gz", fs=fs),
        lambda place: load(place / "object.ring.gz").device_count if (place / "object.ring.gz").exists() else None,
    ),
    "builder file": Operation(
        lambda place, fs: save_builder(builder(0.5), place / "object.builder", fs=fs),
        lambda place: load_builder(place / "object.builder").overload,
        lambda place: save_builder(builder(0.0), place / "object.builder"),
    ),
    "rings from the holder": Operation(
        lambda place, fs: InstalledRings(place, fs).install(ring_set(2, NEW_RING)),
        rings_in,
        lambda place: InstalledRings(place, Fs()).install(ring_set(1, OLD_RING)),
        fits=is_each_whole,
    ),
}

# What the agents of a cluster keep

TOKEN = tokens.Token("00000001", "22" * 16, "33" * 32, "10.0.0.1:6199")


def holder_at(place, fs=None):
    return Holder(place, fs, SimClock())


def drained_once(place):
    """A change with a further step: n1 is drained, and n2 after it."""
    make_etc(place, ("object",), nodes=5, part_power=2)
    holder = holder_at(place)
    for number in (1, 2):
        holder.apply(DrainNode(node(number)), holder.version())


def held(place):
    """What a holder that starts finds: version, what follows, and the table. Ring and builder are of a piece."""
    holder = holder_at(place)
    holder.repair()
    manifest, foreign = holder.following(), holder.foreign()
    ring, made = load(place / "object.ring.gz"), load_builder(place / "object.builder")
    assert foreign == [] and list(ring.rows) == made.rows
    assert not (place / ".rings.pending").exists()
    return manifest.version, manifest.has_more, manifest.is_paused, [list(row) for row in ring.rows]


def member_at(place, fs=None):
    members = read_members(place)
    assert members is not None
    return Membership(place, members.holder, fs or Fs(), members)


def keys_with_old(place):
    (place / KEY_FILE).write_text(ClusterKey(bytes(32)).text() + "\n")


def is_token_good(place):
    try:
        TokenStore(place, Fs()).redeem(TOKEN.id, TOKEN.secret, 100)
    except TokenRefused:
        return False
    return True


CLUSTER = {
    "drives added": Operation(
        lambda place, fs: holder_at(place, fs).apply(
            AddDrives(node(6), 6, (NewDrive("d1", 100.0),)), holder_at(place).version()
        ),
        held,
        drained_once,
    ),
    "further step": Operation(
        lambda place, fs: holder_at(place, fs).go_on(holder_at(place).version()), held, drained_once
    ),
    "pause": Operation(lambda place, fs: holder_at(place, fs).pause(True), held, drained_once),
    "member removed": Operation(
        lambda place, fs: member_at(place, fs).change(lambda now: now.left_by(make_member(3).id)),
        lambda place: member_at(place).members,
        lambda place: write_members(place, make_members(3), Fs()),
    ),
    "key announced": Operation(
        lambda place, fs: KeyRing(place, fs).adopt(ClusterKey(bytes(32)).announcing(b"1" * 32, 1)),
        lambda place: KeyRing(place, Fs()).current,
        keys_with_old,
    ),
    "token used": Operation(
        lambda place, fs: TokenStore(place, fs).redeem(TOKEN.id, TOKEN.secret, 10),
        is_token_good,
        lambda place: TokenStore(place, Fs()).add(TOKEN, 0),
    ),
    "tokens revoked": Operation(
        lambda place, fs: TokenStore(place, fs).revoke(10),
        is_token_good,
        lambda place: TokenStore(place, Fs()).add(TOKEN, 0),
    ),
}

OPERATIONS = {
    f"{kind}: {name}": operation
    for kind, operations in {"object": OBJECTS, "database": DATABASES, "ring": RINGS, "cluster": CLUSTER}.items()
    for name, operation in operations.items()
}


@pytest.mark.parametrize("operation", OPERATIONS.values(), ids=OPERATIONS)
def test_after_a_power_cut_anywhere_it_is_old_or_new_and_whole(tmp_path, operation):
    old, new = before_and_after(operation, tmp_path)
    states = 0
    for found in every_power_cut(operation, tmp_path):
        assert operation.fits(found.state, old, new, found.is_done), (
            f"after {found.after} effects{' (done)' if found.is_done else ''}: {found.state}; old {old}, new {new}"
        )
        states += 1
    assert states >= 4


@pytest.mark.parametrize("name", ["object: overwrite", "object: delete", "database: row", "ring: ring file"])
def test_an_operation_that_does_not_sync_is_found_out(tmp_path, name, monkeypatch):
    """The suite itself is tested: it must notice."""
    monkeypatch.setattr(Shadow, "file_synced", lambda *_: None)
    operation = OPERATIONS[name]
    old, new = before_and_after(operation, tmp_path)
    with pytest.raises(Exception) as caught:  # What is torn may well not be readable.
        for found in every_power_cut(operation, tmp_path):
            assert operation.fits(found.state, old, new, found.is_done), "torn"
    assert caught.value is not None
