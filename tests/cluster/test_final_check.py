"""tests/support/final_check.py can fail: every kind of harm, done by hand, is found and named for what it is."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path

import pytest

from tests.support.final_check import ABSENT
from tests.support.healing import started

pytestmark = pytest.mark.cluster


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    with started(tmp_path_factory.mktemp("check") / "c") as scene:
        scene.ledger.container("c")
        for name in ("a", "b"):
            scene.ledger.put("c", name, name.encode() * 100)
        scene.ledger.large("c", "big", [b"x" * 70_000, b"yz"])
        scene.heal()
        yield scene


def directory(scene, place, copies):
    return Path(place.path, "objects", str(copies.partition), copies.hash[-3:], copies.hash)


def at_home(scene, name="a"):
    copies = scene.copies("c", name)
    return directory(scene, copies.homes[0], copies)


def elsewhere(scene, name="a"):
    copies = scene.copies("c", name)
    disks = scene.site.disks()
    (place,) = set(disks.places(disks.object_rings[0])) - set(copies.homes)
    return directory(scene, place, copies)


def database(scene):
    (found,) = scene.site.disks().databases("container")
    return Path(
        found.homes[0].path, "containers", str(found.partition), found.hash[-3:], found.hash, f"{found.hash}.db"
    )


def with_a_copy_missing(scene):
    at_home(scene).rename(at_home(scene).with_name("away"))


def with_a_flipped_byte(scene):
    (file,) = at_home(scene).glob("*.data")
    data = file.read_bytes()
    with file.open("r+b") as opened:
        opened.write(bytes([data[0] ^ 1]))


def with_a_copy_on_a_handoff(scene):
    elsewhere(scene).parent.mkdir(parents=True)
    shutil.copytree(at_home(scene), elsewhere(scene))


def with_a_lost_object(scene):
    for place in (copies := scene.copies("c", "a")).homes:
        shutil.rmtree(directory(scene, place, copies))


def with_a_lost_segment(scene):
    for place in (copies := scene.copies("c", "big.1")).homes:
        shutil.rmtree(directory(scene, place, copies))


def with_a_missing_database(scene):
    shutil.rmtree(database(scene).parent)


def with_a_missing_row(scene):
    connection = sqlite3.connect(database(scene))
    connection.create_function("chexor", 3, lambda old, name, at: old)
    connection.execute("DELETE FROM object WHERE name = 'b'")
    connection.commit()
    connection.close()


def with_a_row_that_waits(scene):
    disks = scene.site.disks()
    waiting = Path(disks.places(disks.object_rings[0])[0].path, "async_pending", "abc", "x-1")
    waiting.parent.mkdir(parents=True)
    waiting.touch()


@pytest.mark.parametrize(
    ("harm", "kinds"),
    [
        (with_a_copy_missing, {"copies"}),
        (with_a_flipped_byte, {"bytes"}),
        (with_a_copy_on_a_handoff, {"handoff"}),
        (with_a_lost_object, {"lost", "listing", "totals"}),
        (with_a_lost_segment, {"lost", "listing", "totals", "read"}),
        (with_a_missing_database, {"database"}),
        (with_a_missing_row, {"listing", "totals"}),
        (with_a_row_that_waits, {"pending"}),
    ],
    ids=lambda each: getattr(each, "__name__", ""),
)
def test_harm_is_found(scene, tmp_path, harm, kinds):
    nodes = scene.site.cluster.directory.nodes
    shutil.copytree(nodes, tmp_path / "before", copy_function=shutil.copy2)
    try:
        harm(scene)
        assert kinds <= {problem.kind for problem in scene.problems()}
    finally:
        for device in nodes.glob("*/*"):
            shutil.rmtree(device)
            shutil.copytree(tmp_path / "before" / device.relative_to(nodes), device, copy_function=shutil.copy2)
    assert scene.problems() == []


@pytest.mark.parametrize(
    ("expected", "kind"),
    [
        ({"c": {"a": frozenset({ABSENT})}}, "unexpected"),
        ({"c": {"a": frozenset({"another"})}}, "unexpected"),
        ({"c": {"more": frozenset({"never written"})}}, "lost"),
        ({"other": {}}, "lost"),
        ({"c": {"big": frozenset({"of other segments"})}}, "unexpected"),
    ],
    ids=["come back", "another content", "an object", "a container", "a large object"],
)
def test_what_clients_were_told_is_held_against_it(scene, expected, kind):
    told = scene.ledger.expected
    scene.ledger.expected = {name: {**told.get(name, {}), **expected.get(name, {})} for name in told | expected}
    try:
        assert kind in {problem.kind for problem in scene.problems()}
    finally:
        scene.ledger.expected = told
