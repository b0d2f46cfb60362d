"""Who may connect to the storage servers and the rsync daemon of a node: machines in network namespaces, by address.

Where namespaces cannot be made the tests are skipped and say why; the rules alone are unit/cluster/test_peer_gate.py.
"""

from __future__ import annotations

import json
import re
import shutil
import socket
from contextlib import suppress

import pytest

from objstore.cluster import members
from tests.support.cluster import objstore, until
from tests.support.http import PATIENCE_S
from tests.support.machines import Machine
from tests.support.namespaces import Network, why_not
from tests.support.ports import PortBlock

pytestmark = pytest.mark.cluster

ADDRESSES = ["n1", "n2", "proxy", "stranger"]
KINDS = ("object", "container", "account")


class Inside(Machine):
    """A node in a network of its own. It is made, and asked, from there."""

    def __init__(self, directory, network, node, ports, via=None):
        super().__init__(directory, network.names.index(node) + 1, ports, via, within=network.within(node))
        self.ip = network.address(node)
        self._network, self._place = network, node

    def init(self):
        return self if self.directory.exists else self._network.call(self._place, super().init)

    def ask(self, *arguments, **options):
        return self._network.call(self._place, super().ask, *arguments, **options)

    def storage_port(self, kind):
        text = self.directory.server_conf(self.name, kind).read_text()
        (port,) = re.findall(r"(?m)^bind_port = (\d+)$", text)
        return int(port)


def said(address, request, until_end):
    """What a server answers; b"" when it closes before it says anything."""
    answer = b""
    with socket.create_connection(address, PATIENCE_S) as sock:
        sock.settimeout(PATIENCE_S)
        with suppress(ConnectionResetError, BrokenPipeError):
            sock.sendall(request)
            while until_end not in answer and (data := sock.recv(4096)):
                answer += data
    return answer


class Site:
    def __init__(self, network, first, second):
        self.network, self.first, self.second = network, first, second
        self.rsync_port = members.read(first.directory.etc).rsync_port
        self.ports = {kind: first.storage_port(kind) for kind in KINDS}

    def is_served(self, who, kind):
        request = b"GET /healthcheck HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"
        answer = self.network.call(who, said, (self.first.ip, self.ports[kind]), request, b"OK")
        assert answer == b"" or answer.startswith(b"HTTP/1.1 200"), answer
        return answer != b""

    def is_served_by_rsync(self, who, kind):
        request = f"@RSYNCD: 31.0\n{kind}_{self.ports[kind]}\n".encode()
        answer = self.network.call(who, said, (self.first.ip, self.rsync_port), request, b"@RSYNCD: OK")
        # Whom it does not admit it tells nothing about the modules there are (list = no).
        assert b"@RSYNCD: OK" in answer or b"@ERROR: Unknown module" in answer, answer
        return b"@RSYNCD: OK" in answer


@pytest.fixture(scope="module", params=[False, pytest.param(True, marks=pytest.mark.long)], ids=["ipv4", "ipv6"])
def site(request, tmp_path_factory):
    """n1, which lists the proxy's address, and n2, a member that is admitted without being listed anywhere."""
    reason = why_not()
    if reason:
        pytest.skip(reason)
    if request.param and not socket.has_ipv6:
        pytest.skip("no IPv6 here")
    directory, ports = tmp_path_factory.mktemp("admission"), PortBlock()
    with Network(ADDRESSES, is_ipv6=request.param) as network:
        first = Inside(directory / "m1", network, "n1", ports)
        second = Inside(directory / "m2", network, "n2", ports, first)
        try:
            first.init()
            for kind in KINDS:
                first.configure("DEFAULT", "admit_hosts", network.address("proxy"), kind=kind)
            first.start()
            second.start()
            yield Site(network, first, second)
        finally:
            second.close()
            first.close()
            ports.release()


@pytest.mark.parametrize("kind", KINDS)
def test_a_storage_port_serves_members_and_listed_proxies_and_closes_on_a_foreign_address(site, kind):
    until(lambda: site.is_served("n2", kind), "n1 has heard that n2 is a member")
    assert site.is_served("proxy", kind)
    assert site.is_served("n1", kind)
    assert not site.is_served("stranger", kind)


@pytest.mark.skipif(shutil.which("rsync") is None, reason="rsync is not installed")
@pytest.mark.parametrize("kind", KINDS)
def test_rsync_serves_members_and_listed_proxies_and_denies_a_foreign_address(site, kind):
    until(lambda: site.is_served_by_rsync("n2", kind), "n1 has told its rsync that n2 is a member")
    assert site.is_served_by_rsync("proxy", kind)
    assert not site.is_served_by_rsync("stranger", kind)


def test_objects_are_stored_listed_and_counted_and_a_stranger_is_named_in_the_log(site):
    until(lambda: site.second.request("PUT", "/c")[0] in (201, 202), "a container is made")
    until(lambda: site.second.request("PUT", "/c/o", b"x")[0] == 201, "an object is stored")
    assert site.first.request("GET", "/c/o")[2] == b"x"
    until(lambda: site.first.request("GET", "/c")[2].split() == [b"o"], "it is listed")
    until(lambda: site.first.request("GET", "")[2].split() == [b"c"], "its container is listed")
    assert not site.is_served("stranger", "object")
    until(lambda: f"address={site.network.address('stranger')}" in site.first.logs(), "the stranger is named")
    assert "status=400" not in site.first.logs() and " 400 " not in site.first.logs()


def test_what_commands_say_of_the_nodes(site):
    network, root = site.network, site.second.directory.root
    code, output, error = network.call("n2", objstore, "status", root, "--json")
    assert not [reason for reason in json.loads(output)["reasons"] if "other nodes" in reason["text"]], output + error
    code, output, error = network.call("n2", objstore, "ring", "status", root)
    assert code == 0 and network.address("n1") in output, output + error
    code, output, error = network.call("n2", objstore, "drive", "add", root, "n1", "d2", "--plan")
    assert code == 0 and "n1/d2" in output, output + error
    code, output, error = network.call("n2", objstore, "doctor", root, "--json")
    assert network.address("n1") in output, output + error
    findings = json.loads(output)["findings"]
    assert not [each for each in findings if each["check"] in ("ports", "admission", "rsync", "rings")], findings
