import dataclasses
import json

import pytest

from objstore.cluster import members as files
from objstore.cluster.members import MembersError, free_name, parse, zone_number
from objstore.runtime.fs import Fs
from tests.support.members import make_member, make_members


def test_a_file_is_read_as_it_was_written(tmp_path):
    members = make_members(3)
    files.write(tmp_path, members, Fs())
    assert files.read(tmp_path) == members


def test_a_directory_without_the_file_is_no_cluster_of_agents(tmp_path):
    assert files.read(tmp_path) is None


def changed(**changes):
    value = json.loads(make_members(2).to_json())
    value.update(changes)
    return json.dumps(value).encode()


def node(**changes):
    return dataclasses.asdict(make_member(1)) | changes


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        pytest.param(b"{", "expected JSON", id="cut short"),
        pytest.param(b"[]", "expected a JSON object", id="a list"),
        pytest.param(b"\xff", "expected JSON in UTF-8", id="no text"),
        pytest.param(b"[" * 100_000, "expected JSON", id="nested for ever"),
        pytest.param(b" " * ((1 << 20) + 1), "expected at most", id="huge"),
        pytest.param(changed(term=0), "term: expected a whole number from 1", id="no term"),
        pytest.param(changed(version=True), "version: expected a whole number", id="true is no number"),
        pytest.param(changed(holder="00" * 8), "holder: expected the id of one of the nodes", id="stranger holds"),
        pytest.param(changed(cluster="x" * 32), "cluster: expected 32 hexadecimal digits", id="no hex"),
        pytest.param(changed(nodes=[]), "holder: expected", id="nobody"),
        pytest.param(changed(nodes=[node(), node()]), "two have the same id", id="twice"),
        pytest.param(changed(nodes=[node(ip="n1.example")]), "ip: expected an IPv4 or IPv6 address", id="a name"),
        pytest.param(changed(nodes=[node(ip="0.0.0.0")]), "ip: expected the address of one machine", id="everywhere"),
        pytest.param(changed(nodes=[node(agent_port=0)]), "agent_port: expected", id="no port"),
        pytest.param(changed(nodes=[node(name="../n1")]), "name: expected 1 to 32 letters", id="a path for a name"),
        pytest.param(changed(nodes=[node(ports={"object": 1})]), "container: expected", id="a port is missing"),
    ],
)
def test_a_file_that_is_none_is_refused_with_the_field(data, reason):
    with pytest.raises(MembersError, match=reason):
        parse(data)


def test_a_wrong_value_is_never_quoted():
    with pytest.raises(MembersError) as caught:
        parse(changed(cluster="s3cr3t-in-the-wrong-place"))
    assert "s3cr3t" not in str(caught.value)


def test_a_node_that_joins_counts_the_version_up_and_again_replaces_itself():
    members = make_members(2).joined_by(make_member(3))
    assert (members.stamp, [each.name for each in members.nodes]) == ((1, 2), ["n1", "n2", "n3"])
    moved = members.joined_by(make_member(2, ip="10.0.0.9"))
    assert [each.ip for each in moved.nodes] == ["10.0.0.1", "10.0.0.9", "10.0.0.3"]


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"name": "n2"}, "there is a node n2 already"),
        ({"ip": "10.0.0.2"}, "10.0.0.2:6199 is the address of node n2"),
        ({"ip": "10.0.0.2", "agent_port": 7000}, "n2 has the same address and storage ports"),
    ],
    ids=["name", "address", "ports"],
)
def test_a_node_that_clashes_with_another_cannot_join(fields, reason):
    with pytest.raises(MembersError, match=reason):
        make_members(2).joined_by(make_member(3, **fields))


def test_the_holder_cannot_leave_before_another_holds():
    members = make_members(2)
    with pytest.raises(MembersError, match="n1 holds the ring builders; first, on another node: objstore node holder"):
        members.left_by(make_member(1).id)
    assert members.held_by(make_member(2).id).left_by(make_member(1).id).nodes == (make_member(2),)


def test_another_holder_is_another_term():
    assert make_members(2).held_by(make_member(2).id).stamp == (2, 2)


def test_names_are_never_given_twice_while_later_ones_exist():
    assert free_name(make_members(3).left_by(make_member(2).id)) == "n4"


@pytest.mark.parametrize(
    ("zone", "number"), [("z2", 2), ("z7", 7), ("rack-b", 4), ("z1", 1)], ids=["known", "its own", "a word", "taken"]
)
def test_a_zone_has_one_number(zone, number):
    assert zone_number(zone, make_members(3).nodes) == number


def test_a_zone_whose_own_number_is_taken_gets_a_free_one():
    assert zone_number("z5", [make_member(1, zone="rack-a", zone_number=5)]) == 1
