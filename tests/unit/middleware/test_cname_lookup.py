"""middleware/cname_lookup.py and runtime/dns_query.py: feature A5.8. Name servers are sockets of this process."""

import _socket

import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import pytest

from objstore.cache.memory import MemoryCache
from objstore.http.environ import CACHE
from objstore.middleware.cname_lookup import CnameLookup, CnameLookupSettings
from objstore.middleware.pipeline import problems
from objstore.runtime import green
from objstore.runtime.dns_query import Alias, CannotAsk, alias_of
from tests.support.pipeline import RecordingApp, send

ALIASES = {
    "www.shop.example": "c.a.example.com",
    "deep.example": "deeper.example",
    "deeper.example": "deepest.example",
    "deepest.example": "a.example.com",
    "loop.example": "loop.example",
    "circle.example": "circle2.example",
    "circle2.example": "circle.example",
    "out.example": "elsewhere.org",
    "strange.example": "x y.example.com",
}


class World:
    def __init__(self, **pairs):
        settings, problems_ = CnameLookupSettings.from_pairs(pairs)
        assert not problems_
        self.asked = []
        self.now = 0.0
        self.cache = MemoryCache(100, monotonic=lambda: self.now)
        self.app = CnameLookup(RecordingApp(), settings, self.lookup)

    def lookup(self, name):
        self.asked.append(name)
        if name == "dark.example":
            raise CannotAsk("nobody")
        return Alias(ALIASES.get(name, ""), 300 if name in ALIASES else 0)

    def send(self, host, **more):
        return send(self.app, headers={"Host": host}, **{CACHE: self.cache, **more})


@pytest.mark.parametrize(
    ("host", "found"),
    [
        ("www.shop.example", "c.a.example.com"),
        ("WWW.Shop.Example.:8080", "c.a.example.com:8080"),
        ("c.a.example.com:8080", "c.a.example.com:8080"),
        ("example.com", "example.com"),
        ("127.0.0.1:8080", "127.0.0.1:8080"),
        ("[::1]:8080", "[::1]:8080"),
        ("localhost:8080", "localhost:8080"),
    ],
)
def test_an_alias_stands_for_a_host_of_ours(host, found):
    assert World().send(host).environ["HTTP_HOST"] == found


@pytest.mark.parametrize(
    "host",
    ["out.example", "unknown.example", "loop.example", "circle.example", "strange.example", "notexample.com", "a..b",
     "-x.example", "x" * 300, "a%b", "<script>.example"],
)  # fmt: skip
def test_a_host_that_leads_nowhere_is_refused(host):
    reply = World(lookup_depth="5").send(host)
    assert reply.status == 400 and reply.headers["content-type"].startswith("text/plain")


@pytest.mark.parametrize(("depth", "status"), [("1", 400), ("2", 400), ("3", 200)])
def test_aliases_of_aliases_are_followed_so_far(depth, status):
    assert World(lookup_depth=depth).send("deep.example").status == status


def test_what_was_found_is_remembered_as_long_as_it_may_be():
    world = World()
    for _ in range(3):
        assert world.send("www.shop.example").status == 200
    assert world.asked == ["www.shop.example"] and world.cache.get("cname-www.shop.example") == "c.a.example.com"
    world.now += 301
    world.send("www.shop.example")
    assert len(world.asked) == 2


def test_what_leads_nowhere_is_remembered_for_a_moment():
    world = World()
    assert [world.send("unknown.example").status for _ in range(3)] == [400] * 3 and len(world.asked) == 1
    world.now += 31
    world.send("unknown.example")
    assert len(world.asked) == 2


def test_without_a_cache_each_worker_remembers_by_itself():
    world = World()
    for _ in range(2):
        assert world.send("www.shop.example", **{CACHE: None}).status == 200
    assert len(world.asked) == 1


def test_name_servers_that_are_away_are_not_the_clients_mistake_and_not_remembered():
    world = World()
    assert [world.send("dark.example").status for _ in range(2)] == [503, 503] and len(world.asked) == 2


def test_a_storm_of_unknown_hosts_does_not_pile_up():
    world, seen = World(), []

    def nested(name):
        seen.append(name)
        return Alias("" if world.send(f"x{len(seen)}.example").status == 503 else "")

    world.app._lookup = nested
    world.send("x.example")
    assert len(seen) == 64


def test_it_stands_before_domain_remap():
    assert problems("catch_errors domain_remap cname_lookup proxy".split())


@pytest.mark.parametrize("value", ["x", "1.2.3.4:0", "1.2.3.4:x", "[::1]:70000"])
def test_a_name_server_that_is_none(value):
    assert CnameLookupSettings.from_pairs({"nameservers": value})[1]
    found, problems_ = CnameLookupSettings.from_pairs({"nameservers": "1.2.3.4, ::1, [::1]:5353, 1.2.3.4:54"})
    assert not problems_ and found.nameservers == (("1.2.3.4", 53), ("::1", 53), ("::1", 5353), ("1.2.3.4", 54))


class NameServer:
    """Answers each question with what `answers` makes of it; None for silence. A green thread on loopback."""

    def __init__(self, *answers):
        self._socket = _socket.socket(_socket.AF_INET, _socket.SOCK_DGRAM | _socket.SOCK_NONBLOCK)
        self._socket.bind(("127.0.0.1", 0))
        self.address = self._socket.getsockname()
        self._answers = answers
        self._task = green.spawn(self._serve)

    def _serve(self):
        while True:
            green.wait_readable(self._socket.fileno())
            wire, sender = self._socket.recvfrom(4096)
            question = dns.message.from_wire(wire)
            for answer in self._answers:
                found = answer(question)
                if found is not None:
                    self._socket.sendto(found, sender)

    def close(self):
        self._task.kill()
        self._socket.close()


def reply_of(question, *rows, code=dns.rcode.NOERROR, flags=0, id_=None):
    answer = dns.message.make_response(question)
    answer.set_rcode(code)
    answer.flags |= flags
    answer.id = answer.id if id_ is None else id_
    answer.answer = [dns.rrset.from_text(*row) for row in rows]
    return answer.to_wire()


CNAME = ("www.example.", 60, "IN", "CNAME", "C.A.example.com.")


@pytest.fixture
def name_server():
    made = []

    def make(*answers):
        made.append(NameServer(*answers))
        return made[-1].address

    yield make
    for server in made:
        server.close()


def test_a_name_server_is_asked(name_server):
    address = name_server(lambda question: reply_of(question, CNAME))
    assert alias_of("www.example", [address], 20) == Alias("c.a.example.com", 60)


@pytest.mark.parametrize("code", [dns.rcode.NOERROR, dns.rcode.NXDOMAIN])
def test_a_name_without_an_alias_stands_for_itself(name_server, code):
    other = ("other.example.", 60, "IN", "CNAME", "c.a.example.com.")
    address = name_server(lambda question: reply_of(question, other, code=code))
    assert alias_of("www.example", [address], 20) == Alias("")


def test_answers_that_are_not_to_the_question_are_passed_over(name_server):
    forged = ("www.example.", 60, "IN", "CNAME", "evil.example.com.")
    address = name_server(
        lambda question: b"junk",
        lambda question: question.to_wire(),
        lambda question: reply_of(question, forged, id_=question.id ^ 1),
        lambda question: reply_of(dns.message.make_query("x.example.", "CNAME", id=question.id), forged),
        lambda question: reply_of(question, CNAME),
    )
    assert alias_of("www.example", [address], 20).name == "c.a.example.com"


def test_the_next_name_server_is_asked_when_one_cannot_say(name_server):
    silent = name_server(lambda question: None)
    lame = name_server(lambda question: reply_of(question, code=dns.rcode.SERVFAIL))
    cut = name_server(lambda question: reply_of(question, flags=dns.flags.TC))
    good = name_server(lambda question: reply_of(question, CNAME))
    with pytest.raises(CannotAsk, match="no answer"):
        alias_of("www.example", [silent], 0.05)
    assert alias_of("www.example", [lame, cut, good], 20).name == "c.a.example.com"
    with pytest.raises(CannotAsk, match="SERVFAIL"):
        alias_of("www.example", [lame, cut], 20)


@pytest.mark.parametrize("name", ["x" * 64 + ".example", "a..b", "." * 3])
def test_what_can_be_no_name_is_not_asked_about(name):
    with pytest.raises(CannotAsk):
        alias_of(name, [], 1)
