"""objstore-recon against real recon answers on loopback, and against hosts that lie, stall or are not there."""

import io
import json
import shutil
from array import array
from contextlib import ExitStack

import pytest

from objstore.cli.recon import main
from objstore.cli.recon_checks import CHECKS, Wish, auditor, clocks, diskusage
from objstore.cli.recon_hosts import Answer, Host, shown_text
from objstore.cli.recon_numbers import added_up, bytes_shown, number_at, summary
from objstore.daemon import recon
from objstore.http.response import Response
from objstore.middleware.recon import filter_factory
from objstore.ring.fileformat import save
from objstore.ring.model import HASH_BITS, Ring, RingHeader
from tests.support.http import running_server
from tests.support.http_script import scripted_server
from tests.support.rings import make_device

SWIFT_CONF = """[swift-hash]
swift_hash_path_suffix = s
[storage-policy:0]
name = gold
default = yes
[storage-policy:1]
name = silver
"""
HOST = Host("127.0.0.1", 6200)


class Nodes:
    """Servers that answer /recon/ for directories of their own, and the rings that name them."""

    def __init__(self, root, stack):
        self.root = root
        self.swift_dir = root / "swift"
        self.swift_dir.mkdir()
        (self.swift_dir / "swift.conf").write_text(SWIFT_CONF)
        self._stack = stack
        self.ports = []

    def add(self, server="object-server/1", swift_dir=None):
        node = self.root / f"node{len(self.ports)}"
        (node / "devices" / "sdb1").mkdir(parents=True)
        conf = {"swift_dir": str(swift_dir or self.swift_dir), "devices": str(node / "devices"), "mount_check": "no"}

        def app(environ, start_response):
            return Response(200, {"server": server})(environ, start_response)

        self.listen(filter_factory(conf, recon_cache_path=str(node / "cache"))(app))
        return node

    def listen(self, app):
        self.ports.append(self._stack.enter_context(running_server(app)).port)

    def ring(self, name="object", ports=None):
        devices = [
            make_device(index, zone=index + 1, region=index + 1, port=port, device="sdb1")
            for index, port in enumerate(self.ports if ports is None else ports)
        ]
        rows = [array("H", [replica % len(devices)] * 4) for replica in range(min(3, len(devices)))]
        save(Ring(RingHeader(HASH_BITS - 2), rows, devices), self.swift_dir / f"{name}.ring.gz")

    def run(self, *words):
        out, err = io.StringIO(), io.StringIO()
        arguments = [str(word) for word in (*words, "--swiftdir", self.swift_dir)]
        code = main(arguments, stdout=out, stderr=err, environ={})
        return code, out.getvalue(), err.getvalue()

    def ask(self, *words):
        code, output, error = self.run(*words, "--json")
        assert not error
        return code, json.loads(output)


@pytest.fixture
def nodes(tmp_path):
    with ExitStack() as stack:
        yield Nodes(tmp_path, stack)


def test_numbers_of_all_hosts_are_summed_up(nodes):
    for count in (2, 4):
        recon.merge(recon.recon_file(nodes.add() / "cache", "object"), {"async_pending": count})
    nodes.add()
    nodes.ring()
    code, output, _ = nodes.run("-a")
    assert code == 0
    wanted = "[async_pending] low: 2, high: 4, avg: 3.0, total: 6, Failed: 33.3%, no_result: 1, reported: 2"
    assert wanted in output.splitlines()
    assert "--> Starting reconnaissance on 3 hosts (object)" in output


@pytest.mark.parametrize("kind", ["account", "container", "object"])
def test_servers_of_each_kind_are_asked_what_is_theirs(nodes, kind):
    nodes.add(server=f"{kind}-server/1")
    nodes.ring(kind)
    code, found = nodes.ask(kind, "--all")
    assert (code, found["type"], found["errors"]) == (0, kind, [])
    assert set(found["checks"]) == {check.title for check in CHECKS if kind in check.kinds}


def test_the_host_whose_last_pass_is_oldest_is_named(nodes):
    for last in (1_700_000_000, 1_600_000_000):
        recon.merge(recon.recon_file(nodes.add() / "cache", "object"), {"replication_last": last})
    nodes.ring()
    _, output, _ = nodes.run("-r")
    assert f"Oldest completion was 2020-09-13 12:26:40 by 127.0.0.1:{nodes.ports[1]}." in output


def test_a_host_that_is_not_there_is_said_and_the_rest_goes_on(nodes):
    nodes.add()
    with scripted_server(lambda peer, index: None) as gone:
        closed = gone.port
    nodes.ring(ports=[nodes.ports[0], closed])
    code, found = nodes.ask("-l")
    assert code == 1
    assert [each["host"] for each in found["errors"]] == [f"127.0.0.1:{closed}"]
    assert found["checks"]["load averages"]["1m_load_avg"]["reported"] == 1


def test_a_host_that_stalls_is_given_up_after_the_timeout(nodes):
    with scripted_server(lambda peer, index: peer.read_to_end(60)) as stalling:
        nodes.ring(ports=[stalling.port])
        code, found = nodes.ask("-l", "-q", "--timeout", "0.3")
        assert stalling.connection_count == 1, "a silent host is not asked again"
    assert (code, len(found["errors"])) == (1, 2)


@pytest.mark.parametrize(
    "response",
    [
        Response(404, {}, b"no"),
        Response(200, {"content-type": "application/json"}, b"{half"),
        Response(200, {"content-type": "application/json"}, b"[" * 100_000),
        Response(200, {"content-type": "application/json"}, b'["a", 7, null]'),
        Response(200, {"content-type": "application/json"}, b'{"policies": {"x": 1, "0": []}, "objects": "many"}'),
        Response(200, {"content-type": "application/json"}, b'{"policies": {"' + b"1" * 5000 + b'": {"objects": 1}}}'),
        Response(200, {"content-type": "text/plain"}, b"hello"),
        Response(200, {"content-type": "application/json"}, b'{"time": NaN, "1m": 1e999}'),
    ],
    ids=["404", "cut", "deep", "list", "wrong types", "huge index", "text", "no numbers"],
)
def test_whatever_a_host_says_is_no_reason_to_fail(nodes, response):
    nodes.listen(lambda environ, start_response: response(environ, start_response))
    nodes.ring()
    code, output, error = nodes.run("--all")
    assert (code, error) == (1, "")
    assert output


def test_a_ring_that_differs_is_named(nodes, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    nodes.add()
    nodes.add(swift_dir=other)
    nodes.ring()
    shutil.copy(nodes.swift_dir / "swift.conf", other)
    (other / "object.ring.gz").write_bytes(b"another")
    code, found = nodes.ask("--md5")
    host = f"127.0.0.1:{nodes.ports[1]}"
    assert (code, found["checks"]["ring md5sums"]["different"]) == (1, {host: ["object.ring.gz"]})
    assert found["checks"]["swift.conf md5sum"]["different"] == {}


def test_a_server_of_another_kind_is_named(nodes):
    nodes.add(server="container-server/1")
    nodes.ring()
    code, output, _ = nodes.run("--validate-servers")
    assert (code, f"!! 127.0.0.1:{nodes.ports[0]}: it is container-server/1" in output) == (1, True)


@pytest.mark.parametrize(
    ("words", "index"), [(["--region", 2], 1), (["--zone", 1], 0), (["--policy", "silver"], 1), (["-p", "1"], 1)]
)
def test_only_some_hosts_are_asked(nodes, words, index):
    nodes.add()
    nodes.add()
    nodes.ring()
    nodes.ring("object-1", [nodes.ports[1]])
    _, found = nodes.ask("-l", *words)
    # Both rings count unless a policy is asked for; in the second ring its only host is of region and zone 1.
    assert f"127.0.0.1:{nodes.ports[index]}" in found["hosts"]
    assert len(found["hosts"]) == (2 if words[0] == "--zone" else 1)


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ([], 2, "expected a check"),
        (["account", "-a"], 2, "--async: account servers are not asked for that"),
        (["-l", "--policy", "tin"], 2, "no such policy"),
        (["account", "-l", "--policy", "gold"], 2, "only objects have policies"),
        (["-l", "--timeout", "0"], 2, "--timeout 0"),
        (["-l", "--region", "9"], 78, "no host is left"),
        (["container", "-l"], 78, "container.ring.gz"),
    ],
)
def test_what_cannot_be_asked_is_one_line(nodes, words, code, said):
    nodes.ring(ports=[6200])
    found, output, error = nodes.run(*words)
    assert (found, output, error.count("\n")) == (code, "", 1)
    assert said in error


def disks_of(*rows):
    return {HOST: Answer([{"device": f"d{index}", "mounted": True, **row} for index, row in enumerate(rows)])}


def test_disks_are_shown_by_how_full_they_are():
    given = disks_of(
        {"size": 100, "used": 90, "avail": 10},
        {"size": 100, "used": 10, "avail": 90},
        {"size": "", "used": "", "avail": "", "mounted": False},
    )
    result = diskusage(given, Wish("object", 1, top=1, lowest=1))
    assert "Disk usage: lowest: 10.00%, highest: 90.00%, avg: 50.00%" in result.lines
    assert result.lines[-4:] == [
        "TOP 1",
        "90.00%  127.0.0.1:6200        d0",
        "LOWEST 1",
        "10.00%  127.0.0.1:6200        d1",
    ]


@pytest.mark.parametrize("row", [{"size": 0, "used": 0, "avail": 0}, {"size": 9, "used": -1, "avail": 1}, {"size": []}])
def test_a_disk_without_sense_counts_as_none(row):
    assert diskusage(disks_of(row), Wish("object", 1)).lines == ["No hosts returned valid data."]


@pytest.mark.parametrize(
    ("there_s", "is_wrong"), [(100.5, False), (99.5, False), (98.0, True), (110.0, True), ("noon", True), (None, True)]
)
def test_a_clock_that_is_off_is_named(there_s, is_wrong):
    given = {HOST: Answer(there_s, begun_s=100.0, ended_s=101.0)}
    assert clocks(given, Wish("object", 1)).is_wrong is is_wrong


def test_stats_of_an_auditor_may_be_one_for_each_disk():
    one = {"object_auditor_stats_ALL": {"passes": 3}}
    each = {"object_auditor_stats_ALL": {"sdb1": {"passes": 3}, "sdc1": {"passes": 4}}}
    given = {HOST: Answer(one), Host("127.0.0.2", 6200): Answer(each)}
    assert "[ALL_passes] low: 3, high: 7, avg: 5.0" in " ".join(auditor(given, Wish("object", 2)).lines)


def test_a_summary_without_numbers_says_so():
    assert summary([None]).line("x") == "[x] - No hosts returned valid data."
    assert (
        summary([None, 1.5]).line("x").startswith("[x] low: 1.500, high: 1.500, avg: 1.5, total: 1.500, Failed: 50.0%")
    )


@pytest.mark.parametrize("value", [None, 7, "x", {"a": True}, {"a": float("nan")}, {"a": 1e300}, {"a": {}}])
def test_what_is_no_number_is_none(value):
    assert number_at(value, "a") is None
    assert added_up(value, "a") is None


@pytest.mark.parametrize(("count", "said"), [(0, "0 B"), (1536, "1.5 KiB"), (5 << 40, "5.0 TiB"), (3 << 50, "3.0 PiB")])
def test_bytes_are_said_for_a_human(count, said):
    assert bytes_shown(count, True) == said
    assert bytes_shown(count, False) == str(count)


def test_what_a_host_says_cannot_move_the_cursor():
    assert shown_text("a\x1b[2J\nb" + "c" * 500) == "a?[2J?b" + "c" * 193
