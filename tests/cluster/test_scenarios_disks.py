"""Disks that are emptied, exchanged, swapped, pulled, full or broken, on a cluster that heals by rounds of passes."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from tests.soak.faults import empty, flip
from tests.support.healing import OneDirectory, Scene, prepared, started
from tests.support.mounts import CannotMount, Mount
from tests.support.packages import ToolsMissing

pytestmark = pytest.mark.cluster

BODY = bytes(range(256)) * 1200


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    with started(tmp_path_factory.mktemp("disks") / "c") as scene:
        yield scene


@pytest.fixture
def cluster(scene):
    return scene.site.cluster


def fill(scene, container, count=8):
    scene.ledger.container(container)
    for number in range(count):
        scene.ledger.put(container, f"o{number}", BODY[: number * 40_000])


def file_of(scene, container, name, position=0):
    copies = scene.copies(container, name)
    place = copies.homes[position]
    (data,) = [name for name in copies.names[place] if name.endswith(".data")]
    return Path(place.path, "objects", str(copies.partition), copies.hash[-3:], copies.hash, data)


def test_a_disk_is_emptied_and_everything_on_it_comes_back(scene, cluster):
    """Objects, containers and the account."""
    fill(scene, "emptied")
    scene.heal()
    empty(cluster.device_path("n1"))
    scene.ledger.put("emptied", "o1", b"written to an empty disk")
    scene.ledger.delete("emptied", "o2")
    scene.heal()


def test_a_disk_comes_back_as_it_was_before_much_was_deleted(scene, cluster):
    """It was pulled, an empty one stood in its place, and now the old one is back: nothing old wins."""
    fill(scene, "old-disk")
    scene.heal()
    device, old = cluster.device_path("n3"), cluster.directory.root / "old"
    cluster.kill_node("n3")
    shutil.copytree(device, old, copy_function=shutil.copy2)
    cluster.start_node("n3")
    scene.ledger.delete("old-disk", "o1")
    scene.ledger.put("old-disk", "o2", b"newer than the old disk")
    scene.ledger.put("old-disk", "made", b"unknown to the old disk")
    scene.heal()
    cluster.kill_node("n3")
    shutil.rmtree(device)
    old.rename(device)
    cluster.start_node("n3")
    scene.heal()


@pytest.mark.long
def test_the_disks_of_two_nodes_are_swapped(scene, cluster):
    """Most of what lies on them is on the wrong node, and goes home."""
    fill(scene, "swapped", 12)
    scene.heal()
    first, second = (cluster.device_path(node) for node in ("n2", "n4"))
    for node in ("n2", "n4"):
        cluster.kill_node(node)
    first.rename(first.with_name("aside"))
    second.rename(first)
    first.with_name("aside").rename(second)
    for node in ("n2", "n4"):
        cluster.start_node(node)
    scene.heal()


@pytest.mark.long
def test_two_disks_are_emptied_one_after_the_other(scene, cluster):
    fill(scene, "both")
    scene.heal()
    for node in ("n2", "n3"):
        empty(cluster.device_path(node))
        scene.ledger.put("both", "o0", node.encode())
        scene.heal()


def spoil_by_a_flipped_byte(file):
    flip(file, 20_000)


def spoil_by_cutting(file):
    os.truncate(file, 100)


def spoil_by_emptying(file):
    os.truncate(file, 0)


def spoil_metadata(file):
    blob = os.getxattr(file, "user.swift.metadata")
    os.setxattr(file, "user.swift.metadata", blob[:20] + b"!" + blob[21:])


def lose_metadata(file):
    for name in os.listxattr(file):
        os.removexattr(file, name)


SPOILT = (spoil_by_a_flipped_byte, spoil_by_cutting, spoil_by_emptying, spoil_metadata, lose_metadata)


def test_copies_rot_in_every_way_and_a_node_is_away_as_well(scene, cluster):
    fill(scene, "rot")
    for spoil in SPOILT:
        scene.ledger.put("rot", spoil.__name__, BODY)
    scene.heal()
    with cluster.killed("n4"):
        for spoil in SPOILT:
            files = [file_of(scene, "rot", spoil.__name__, position) for position in range(3)]
            spoil(next(file for file in files if "n4" not in file.parts))
        scene.ledger.put("rot", "o0", b"meanwhile")
        for spoil in SPOILT:
            status, _, body = cluster.request("GET", f"/rot/{spoil.__name__}")
            assert (status, body) == (200, BODY), spoil.__name__
    scene.heal()
    assert len(scene.site.disks().quarantined()) >= len(SPOILT) - 1


def test_state_files_and_strangers_on_a_disk_do_no_harm(scene, cluster):
    """What daemons note for themselves is garbage, and things lie where none belong."""
    fill(scene, "garbage")
    scene.heal()
    device = cluster.device_path("n2")
    for partition in (device / "objects").glob("[0-9]*"):
        (partition / "hashes.pkl").write_bytes(b"\x80\x02cos\nsystem\nq\x00U\x04trueq\x01\x85q\x02Rq\x03.")
        (partition / "hashes.invalid").write_bytes(b"\xff../../x\nzzz\n" * 3)
    (device / "objects" / "stranger").write_bytes(b"a file among partitions")
    (device / "objects" / "99999999").mkdir()
    (device / "objects" / "auditor_status_ALL.json").write_bytes(b'{"partitions": ["1", ')
    pending = device / "async_pending" / "abc"
    pending.mkdir(parents=True, exist_ok=True)
    (pending / ("0" * 29 + "abc-1700000000.00000")).write_bytes(b"\x80\x02cos\nsystem\n.")
    (device / "containers" / "stranger").write_bytes(b"a file among partitions")
    for cache in (cluster.directory.cache("n2")).glob("*.recon"):
        cache.write_bytes(b"{")
    scene.ledger.put("garbage", "o1", b"all the same")
    reports = scene.round()
    assert set(reports["n2"]) == set(reports["n1"])
    for stranger in (pending, device / "objects" / "stranger", device / "objects" / "99999999"):
        assert stranger.exists() or stranger == pending, stranger
    shutil.rmtree(pending, ignore_errors=True)
    (device / "objects" / "stranger").unlink()
    (device / "containers" / "stranger").unlink()
    scene.heal()


@pytest.fixture
def mounted(tmp_path):
    """mounted(kind, size) → a Scene whose node n1 has a file system of its own, and that Mount."""
    mounts, clusters = [], []

    def make_one(kind, size_bytes, settings=()):
        made = prepared(tmp_path / "c")
        for section, key, value, server in settings:
            made.configure(section, key, value, kind=server)
        for server in ("object", "container", "account"):
            conf = made.directory.server_conf("n1", server)
            conf.write_text(conf.read_text().replace("mount_check = no", "mount_check = yes"))
        mount = Mount(tmp_path, made.device_path("n1"), kind, size_bytes)
        try:
            mount.__enter__()
        except (CannotMount, ToolsMissing) as error:
            pytest.skip(str(error))
        mounts.append(mount)
        clusters.append(made)
        made.start("--no-daemons")
        return Scene(OneDirectory(made)), mount

    yield make_one
    for made in clusters:
        made.close()
    for mount in mounts:
        mount.__exit__()


@pytest.mark.long
def test_a_disk_is_unmounted_and_replaced_by_an_empty_one(mounted):
    scene, disk = mounted("ext4", 80 << 20)
    fill(scene, "pulled")
    scene.heal()
    disk.unmount()
    for number in range(6):
        scene.ledger.put("pulled", f"during{number}", BODY[: number * 1000])
    scene.ledger.delete("pulled", "o1")
    scene.round(["n2", "n3", "n4"])
    # What lands in an empty mount point would vanish when the disk comes back.
    assert list(disk.point.iterdir()) == []
    disk.make_anew()
    disk.mount()
    scene.heal()


@pytest.mark.long
def test_a_disk_is_unmounted_and_comes_back_with_what_was_on_it(mounted):
    scene, disk = mounted("ext4", 80 << 20)
    fill(scene, "back")
    scene.heal()
    disk.unmount()
    scene.ledger.put("back", "o1", b"overwritten meanwhile")
    scene.ledger.delete("back", "o2")
    scene.ledger.post("back", "o3", {"X-Object-Meta-A": "b"})
    scene.round(["n2", "n3", "n4"])
    disk.mount()
    scene.heal()


@pytest.mark.long
def test_a_disk_is_full(mounted):
    """Uploads go elsewhere, deletes work, and when there is room everything is in its place."""
    scene, disk = mounted("tmpfs", 12 << 20)
    fill(scene, "full")
    scene.heal()
    ballast = disk.point / "ballast"
    with open(ballast, "wb") as file:
        try:
            while file.write(bytes(1 << 16)):
                file.flush()
        except OSError:
            pass
    for number in range(6):
        scene.ledger.put("full", f"during{number}", BODY[:200_000])
    scene.ledger.delete("full", "o3")
    scene.round()
    ballast.unlink()
    scene.heal()


@pytest.mark.long
def test_a_disk_gives_io_errors(mounted):
    """The blocks of a body cannot be read: no client notices, and a new disk is filled."""
    scene, disk = mounted("ext4", 80 << 20)
    fill(scene, "eio")
    scene.ledger.container("eio-more")
    for number in range(8):
        scene.ledger.put("eio-more", f"o{number}", BODY)
    scene.heal()
    files = sorted(disk.point.glob("objects/*/*/*/*.data"), key=lambda path: path.stat().st_mtime)
    bad = [path for path in files if path.stat().st_size == len(BODY)][-1]
    disk.lose_the_blocks_of(bad)
    with pytest.raises(OSError):
        bad.read_bytes()
    for number in range(8):
        for _ in range(3):
            status, _, body = scene.site.request("GET", f"/eio-more/o{number}")
            assert (status, body) == (200, BODY)
    scene.round()
    disk.unmount()
    disk.make_anew()
    disk.mount()
    scene.heal()
