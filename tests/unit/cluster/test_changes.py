"""cluster/changes.py: changes survive JSON, and JSON that is no change is refused with the field that is wrong."""

import json

import pytest

from objstore.cluster.changes import (
    AddDrives,
    Continue,
    DrainDrive,
    DrainNode,
    InvalidChange,
    NewDrive,
    RemoveDrive,
    RemoveNode,
    ReplaceDrive,
    from_json,
    to_json,
)
from tests.support.ring_holder import node

CHANGES = [
    AddDrives(node(2), 7, (NewDrive("d2", 100.0), NewDrive("d3", 0.5)), 2),
    DrainDrive(node(1), "d1"),
    ReplaceDrive(node(1), "d1", "d2"),
    ReplaceDrive(node(1), "d1", "d2", is_lost=True),
    RemoveDrive(node(1), "d1"),
    RemoveDrive(node(1), "d1", 0),
    RemoveDrive(node(1), "d1", 12, True),
    DrainNode(node(3)),
    RemoveNode(node(3), 0),
    Continue(),
]


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: type(change).__name__)
def test_a_change_is_the_same_after_its_json(change):
    assert from_json(json.loads(json.dumps(to_json(change)))) == change


def altered(change, **fields):
    value = to_json(change)
    for name, new in fields.items():
        at = value
        *path, last = name.split("__")
        for part in path:
            at = at[part]
        at[last] = new
    return value


DRAIN, ADD, REMOVE = DrainDrive(node(1), "d1"), CHANGES[0], RemoveDrive(node(1), "d1", 0)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, "expected an object"),
        ([], "expected an object"),
        ({}, "change is None"),
        ({"change": "format-drive"}, "change is 'format-drive'"),
        ({"change": "drain-drive"}, "node is None"),
        ({"change": "continue", "force": True}, "has 'force'"),
        (altered(DRAIN, drive=""), "drive is ''"),
        (altered(DRAIN, drive="d" * 256), "drive is"),
        (altered(DRAIN, drive="d1\nroot"), "drive is"),
        (altered(DRAIN, drive=["d1"]), "drive is"),
        (altered(DRAIN, node__ip=5), "ip is 5"),
        (altered(DRAIN, node__ports={"object": 6200}), "container is None"),
        (altered(DRAIN, node__ports__object=0), "object is 0"),
        (altered(DRAIN, node__ports__object=True), "object is True"),
        (altered(DRAIN, node__ports__ssh=22), "has 'ssh'"),
        (altered(ADD, drives=[]), "drives is []"),
        (altered(ADD, drives=[{"name": "d1", "weight": 1.0}] * 1001), "drives is"),
        (altered(ADD, drives=[{"name": "d1", "weight": 0}]), "weight is 0"),
        (altered(ADD, drives=[{"name": "d1", "weight": float("nan")}]), "weight is nan"),
        (altered(ADD, drives=[{"name": "d1", "weight": "100"}]), "weight is '100'"),
        (altered(ADD, zone=-1), "zone is -1"),
        (altered(REMOVE, left=-1), "left is -1"),
        (altered(REMOVE, is_lost=1), "is_lost is 1"),
    ],
)
def test_json_that_is_no_change_is_refused(value, reason):
    with pytest.raises(InvalidChange) as raised:
        from_json(value)
    assert reason in str(raised.value)
