"""ring/builder_file.py: builders of a reference system, what old ones leave out, and what bad ones contain."""

import pickle
from array import array
from pathlib import Path

import pytest

from objstore.core.pickles import loads_builder
from objstore.ring.builder import RingBuilder
from objstore.ring.builder_file import BuilderFileError, builder_of, load_builder, save_builder, state_of
from objstore.ring.fileformat import load
from objstore.ring.new_device import NewDevice

VECTORS = Path(__file__).parents[2] / "vectors" / "rings"
FILES = sorted(VECTORS.glob("*.builder"))
assert FILES, "no vectors found: the test would check nothing"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_foreign_builder_makes_the_same_ring(path):
    ring = load(path.with_suffix(".ring.gz"))
    ours = load_builder(path).to_ring()
    assert (ours.header, ours.rows, ours.devices) == (ring.header, ring.rows, ring.devices)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_foreign_builder_is_written_back_with_the_same_content(path, tmp_path):
    save_builder(load_builder(path), tmp_path / "copy.builder")
    data = (tmp_path / "copy.builder").read_bytes()
    assert data[:2] == b"\x80\x02"  # protocol 2
    before, after = loads_builder(path.read_bytes()), loads_builder(data)
    assert list(after) == list(before)
    for state in (before, after):
        for device in filter(None, state["devs"]):
            del device["parts_wanted"]  # A matter of when it was calculated.
    assert after == before


@pytest.mark.parametrize("name", ["four-devices", "single-host", "one-region-with-holes-and-zero-weight"])
def test_dispersion_is_measured_as_the_reference_does(name):
    builder = load_builder(VECTORS / f"{name}.builder")
    graph, dispersion = dict(builder.graph), builder.dispersion
    builder.recalculate_dispersion()
    assert (builder.graph, builder.dispersion) == (graph, dispersion)


def test_the_id_is_given_once_and_kept(tmp_path):
    builder = RingBuilder.create(4, 3, 1)
    save_builder(builder, tmp_path / "a.builder")
    first = load_builder(tmp_path / "a.builder")
    assert first.id is not None and len(first.id) == 32
    save_builder(first, tmp_path / "a.builder")
    assert load_builder(tmp_path / "a.builder").id == first.id


def test_everything_survives_a_save(tmp_path):
    builder = RingBuilder.create(4, 2.5, 3)
    for number in range(5):
        builder.add_device(NewDevice(number, f"10.0.0.{number}", 6200, "sda", 10.0, meta="ü"))
    builder.rebalance(now_s=1000)
    builder.set_overload(0.25)
    builder.remove_device(2)
    save_builder(builder, tmp_path / "a.builder")
    assert load_builder(tmp_path / "a.builder") == builder


def minimal(**changes):
    state = {
        "part_power": 2,
        "replicas": 1,
        "min_part_hours": 1,
        "devs": [{"id": 0, "zone": 1, "ip": "10.0.0.1", "port": 6200, "device": "sda", "weight": 1.0}],
        "_replica2part2dev": [array("H", [0, 0, 0, 0])],
        "_last_part_moves": array("B", [0, 0, 0, 0]),
    }
    return state | changes


def test_what_old_tools_left_out_has_defaults():
    builder = builder_of(minimal())
    (device,) = builder.live_devices()
    assert (device.region, device.meta, device.replication_ip, device.replication_port) == (1, "", "10.0.0.1", 6200)
    assert (builder.overload, builder.next_part_power, builder.id, builder.version) == (0.0, None, None, 0)
    builder.rebalance(now_s=10**9)
    assert builder.to_ring().replica_count == 1


def test_a_pickled_builder_object_of_early_releases_is_read(tmp_path):
    path = tmp_path / "old.builder"
    state = pickle.dumps(minimal(), 2)
    # Protocol 0 and 1 opcodes build an instance of a named class; here around the pickled state.
    path.write_bytes(
        b"\x80\x02ccopy_reg\n_reconstructor\n(cswift.common.ring.builder\nRingBuilder\nc__builtin__\nobject\nNtR"
        + state[2:-1]
        + b"b."
    )
    with pytest.raises(BuilderFileError):
        load_builder(tmp_path / "none.builder")
    path.write_bytes(b"\x80\x02cswift.common.ring.builder\nRingBuilder\n)\x81" + state[2:-1] + b"b.")
    assert load_builder(path).partition_count == 4


@pytest.mark.parametrize("path", FILES[:1], ids=lambda path: path.stem)
def test_a_cut_builder_is_refused(path, tmp_path):
    data = path.read_bytes()
    cut = tmp_path / "cut.builder"
    for length in range(0, len(data), 11):
        cut.write_bytes(data[:length])
        with pytest.raises(BuilderFileError) as caught:
            load_builder(cut)
        assert str(caught.value).startswith(f"{cut}: bad builder file: ") and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "data",
    [b"", b"cos\nsystem\n(S'true'\ntR.", pickle.dumps(Path("/")), b"\x80\x02N.", b"\x80\x02]q\x00."],
    ids=["empty", "a command", "a class", "None", "a list"],
)
def test_a_file_that_is_no_builder_is_refused(data, tmp_path):
    path = tmp_path / "bad.builder"
    path.write_bytes(data)
    with pytest.raises(BuilderFileError, match="bad builder file"):
        load_builder(path)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"part_power": 33}, "part_power is 33"),
        ({"part_power": None}, "part_power is None"),
        ({"replicas": "3"}, "replicas is '3'"),
        ({"replicas": float("nan")}, "replicas is nan"),
        ({"devs": {}}, "devs is {}"),
        ({"devs": [{"id": 3}]}, "device 0 has ip None"),
        ({"_replica2part2dev": [array("H", [0, 0])]}, "row 0 has 2 partitions, expected 4"),
        ({"_replica2part2dev": [[0, 0, 0, 0]]}, "row 0 is not an array"),
        ({"_replica2part2dev": [array("d", [0, 0, 0, 0])]}, "row 0 is not an array"),
        ({"_replica2part2dev": [array("H", [0, 0, 0, 5])]}, "uses device 5, of which there is none"),
        ({"_last_part_moves": array("B", [1])}, "_last_part_moves is not an array of 4 bytes"),
        ({"_remove_devs": [{"id": 9}]}, "which is no device"),
        ({"_remove_devs": [7]}, "_remove_devs names 7"),
        ({"id": 5}, "id is 5"),
        ({"next_part_power": 40}, "next_part_power is 40"),
        ({"version": -1}, "version is -1"),
    ],
)
def test_bad_values_are_named(changes, reason, tmp_path):
    path = tmp_path / "bad.builder"
    path.write_bytes(pickle.dumps(minimal(**changes), 2))
    with pytest.raises(BuilderFileError) as caught:
        load_builder(path)
    assert reason in str(caught.value)


def test_an_unassigned_entry_is_filled_by_the_next_rebalance():
    builder = builder_of(minimal(_replica2part2dev=[array("H", [0, 0xFFFF, 0, 0])]))
    assert builder.rebalance(now_s=0).placed_count == 1
    assert list(builder.rows[0]) == [0, 0, 0, 0]


def test_state_is_plain():
    builder = RingBuilder.create(4, 3, 1)
    builder.add_device(NewDevice(1, "10.0.0.1", 6200, "sda", 1.0))
    builder.rebalance(now_s=0)
    assert loads_builder(pickle.dumps(state_of(builder), 2)) == state_of(builder)
