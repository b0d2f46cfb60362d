"""What an agent lets in: over real TLS sockets, as anybody who can reach the port would try it."""

import json

import pytest

from objstore.cluster import members as files
from objstore.cluster import token as tokens
from objstore.cluster.agent_app import ROUTES
from objstore.cluster.channel import ChannelError, Peer, WrongCertificate, exchange
from objstore.cluster.members import read
from objstore.cluster.ring_pack import packed
from objstore.cluster.signature import signed
from objstore.http.tls import server_context
from objstore.runtime import green
from objstore.runtime.fs import Fs
from tests.support.agents import Agents
from tests.support.http import running_server

KEY = bytes(32)


@pytest.fixture
def agents(tmp_path):
    with Agents(tmp_path) as agents:
        yield agents


@pytest.fixture
def first(agents):
    return agents.first()


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """(agents, first) for requests that must change nothing."""
    with Agents(tmp_path_factory.mktemp("served")) as agents:
        yield agents, agents.first()


def ask(agents, node, method, target, headers=None, body=b"", **options):
    return agents.blocking(lambda: exchange(node.peer, method, target, headers or {}, body, timeout_s=20, **options))


def said(answer):
    return json.loads(answer.body)["error"]


def secrets_of(node):
    key = (node.etc / "cluster.key").read_text().strip()
    lines = (node.etc / "swift.conf").read_text().splitlines()
    return [key, *(line.partition(" = ")[2] for line in lines if line.startswith("swift_hash_"))]


ALL = sorted(
    {*ROUTES, ("GET", "/"), ("GET", "/v1/secrets"), ("POST", "/minio/bootstrap/v1/verify"), ("GET", "/recon/x")}
)


@pytest.mark.parametrize(("method", "target"), ALL, ids=lambda value: value.replace("/", " "))
def test_cve_2023_28432_nothing_is_told_or_done_without_a_signature(served, method, target):
    agents, first = served
    before = read(first.etc), first.ring()
    for headers in (
        {},
        {"Authorization": "Bearer x"},
        signed(KEY, first.peer.fingerprint, "0" * 16, method, target, b"", 0),
    ):
        answer = ask(agents, first, method, target, headers)
        assert answer.status == 401
        assert not [secret for secret in secrets_of(first) if secret.encode() in answer.body]
    assert (read(first.etc), first.ring()) == before


def test_the_default_rpc_key_of_nobody_opens_anything(served):
    agents, first = served
    for key in (b"", b"objstore", bytes(32)):
        headers = signed(key, first.peer.fingerprint, "0" * 16, "GET", "/v1/members", b"", first.calls.now_ms())
        assert ask(agents, first, "GET", "/v1/members", headers).status == 403


def test_liveness_says_nothing_else(served):
    agents, first = served
    answer = ask(agents, first, "GET", "/healthcheck")
    assert (answer.status, answer.body) == (200, b"OK")


def request(node, method, target, body=b""):
    calls = node.calls
    return signed(calls.key(), node.peer.fingerprint, calls.sender, method, target, body, calls.now_ms())


def test_rpc_signature_is_bound_to_its_method_and_good_once(served):
    agents, first = served
    headers = request(first, "GET", "/v1/members")
    assert ask(agents, first, "PUT", "/v1/members", headers).status == 403
    assert ask(agents, first, "GET", "/v1/members", headers).status == 200
    assert "received before" in said(ask(agents, first, "GET", "/v1/members", headers))


def test_a_signature_for_one_node_is_nothing_to_another(agents, first):
    second = agents.join("z2")
    assert ask(agents, second, "GET", "/v1/members", request(first, "GET", "/v1/members")).status == 403


def test_a_signed_request_with_another_body_is_refused(served):
    agents, first = served
    headers = request(first, "POST", "/v1/holder", b'{"is_lost": true}')
    answer = ask(agents, first, "POST", "/v1/holder", headers, b'{"is_lost": false}')
    assert (answer.status, said(answer)) == (401, "the body is not the one that was signed")


@pytest.mark.parametrize(
    "target", ["/v1/rings/../members", "/v1/rings/..%2fmembers", "//v1/members", "/v1/members?x=1"]
)
def test_rpc_path_join_traversal_only_exact_targets_are_known(served, target):
    agents, first = served
    assert ask(agents, first, "GET", target, request(first, "GET", target)).status == 404


def test_a_body_that_is_too_large_is_refused_before_it_is_read(served):
    agents, first = served
    body = b"x" * 10_000  # As much as a server reads away to have its answer arrive.
    for target, headers in (("/v1/join", {}), ("/v1/tokens", request(first, "POST", "/v1/tokens", body))):
        assert ask(agents, first, "POST", target, headers, body).status == 413


@pytest.mark.parametrize(("method", "target"), [each for each in ROUTES if each[0] != "GET"], ids=str)
def test_a_member_that_sends_nonsense_is_told_so_and_changes_nothing(served, method, target):
    agents, first = served
    before = read(first.etc), first.ring()
    for body in (b"\xff\xfe", b"[]", b'{"id": {"a": 1}}', b"{" * 3000):
        answer = ask(agents, first, method, target, request(first, method, target, body), body)
        # These need no body, and look at none.
        expected = (200,) if target in ("/v1/tokens", "/v1/here", "/v1/rotate") else (400, 409)
        assert answer.status in expected
    assert (read(first.etc), first.ring()) == before


# Tokens


def show(agents, node, **fields):
    return ask(agents, node, "POST", "/v1/join", body=json.dumps(fields).encode())


def test_token_guessing_is_ended_per_address(agents, first):
    token = agents.token
    statuses = [show(agents, first, id=token.id[:-1] + "0", secret="00" * 16).status for _ in range(12)]
    assert statuses == [403] * 10 + [429] * 2
    assert show(agents, first, id=token.id, secret=token.secret).status == 429


def test_a_right_token_buys_the_secrets_once(agents, first):
    token = agents.token
    answer = show(agents, first, id=token.id, secret=token.secret)
    assert json.loads(answer.body)["shared"]["key"] == (first.etc / "cluster.key").read_text().strip()
    again = show(agents, first, id=token.id, secret=token.secret)
    assert again.status == 403 and "was used" in said(again)
    assert not [secret for secret in secrets_of(first) if secret.encode() in again.body]


def test_only_the_holder_knows_tokens(agents, first):
    second = agents.join("z2")
    answer = show(agents, second, id="00" * 4, secret="00" * 16)
    assert answer.status == 409 and "the ring builders are held by n1" in said(answer)


@pytest.mark.parametrize("fields", [{}, {"id": 1}, {"id": "00" * 4}, {"id": "zz" * 4, "secret": "00" * 16}], ids=str)
def test_what_is_no_token_is_refused_and_not_quoted(served, fields):
    agents, first = served
    answer = show(agents, first, **fields)
    assert answer.status == 400 and "zz" not in said(answer)


def test_a_token_is_not_spent_when_the_secrets_cannot_be_read(agents, first):
    token = agents.token
    key = first.etc / "cluster.key"
    hidden = key.rename(first.etc / "hidden")
    assert show(agents, first, id=token.id, secret=token.secret).status == 507
    hidden.rename(key)
    assert show(agents, first, id=token.id, secret=token.secret).status == 200


# Rings and members from a peer


def test_rings_of_an_earlier_term_are_refused(agents, first):
    second = agents.join("z2")
    rings = agents.blocking(second.calls.rings, first.peer)
    files.write(second.etc, read(second.etc).held_by(first.id), Fs())
    second.stop()
    second.start()
    body = packed(rings, 1)
    answer = ask(agents, second, "PUT", "/v1/rings", request(second, "PUT", "/v1/rings", body), body)
    assert answer.status == 409 and "rings of term 1 are refused: in term 2, n1 holds them" in said(answer)


def test_nobody_brings_rings_to_the_holder(served):
    agents, first = served
    body = packed(agents.blocking(first.calls.rings, first.peer), 9)
    answer = ask(agents, first, "PUT", "/v1/rings/forced", request(first, "PUT", "/v1/rings/forced", body), body)
    assert answer.status == 409


def test_rings_that_are_cut_or_flipped_are_refused_and_the_old_stay(agents, first):
    second = agents.join("z2")
    good = packed(agents.blocking(second.calls.rings, first.peer), 5)
    before = second.ring()
    for body in (good[:-1], good[:-40] + bytes(40), good[:20]):
        answer = ask(agents, second, "PUT", "/v1/rings", request(second, "PUT", "/v1/rings", body), body)
        assert answer.status == 400
    assert second.ring() == before


# The channel


def test_somebody_else_at_the_address_gets_nothing(served):
    agents, first = served
    peer = Peer(first.peer.ip, first.peer.port, "00" * 32)
    with pytest.raises(WrongCertificate, match="shows another certificate than expected.*nothing was sent"):
        agents.blocking(lambda: exchange(peer, "POST", "/v1/join", {}, b"secret", timeout_s=20))


def test_a_server_without_tls_is_no_agent(agents):
    with running_server(lambda environ, start: [b""]) as plain:
        peer = Peer(plain.host, plain.port, "00" * 32)
        with pytest.raises(ChannelError, match="is no agent of a cluster"):
            agents.blocking(lambda: exchange(peer, "GET", "/healthcheck", {}, b"", timeout_s=20))


def test_an_answer_that_is_too_long_is_given_up(served):
    agents, first = served
    headers = request(first, "GET", "/v1/members")
    with pytest.raises(ChannelError, match="answers more than 10 bytes"):
        ask(agents, first, "GET", "/v1/members", headers, answer_max=10)


def test_nobody_there_is_said_with_the_address(agents, first):
    peer = first.peer
    first.stop()
    with pytest.raises(ChannelError, match=f"{peer.ip}:{peer.port}: Connection refused"):
        agents.blocking(lambda: exchange(peer, "GET", "/healthcheck", {}, b"", timeout_s=20))


def test_a_wrong_secret_for_a_real_token_is_counted(agents, first):
    token = agents.token
    for _ in range(5):
        assert show(agents, first, id=token.id, secret="00" * 16).status == 403
    answer = show(agents, first, id=token.id, secret=token.secret)
    assert answer.status == 403 and "tried wrongly too often" in said(answer)


def test_a_token_of_another_cluster_is_for_another_certificate(agents, first):
    assert tokens.parse(agents.token.text()).fingerprint == first.peer.fingerprint


def test_a_peer_that_never_answers_is_given_up(agents, first):
    over = green.Future()

    def silent(environ, start_response):
        over.wait()
        start_response("200 OK", [("Content-Length", "0")])
        return [b""]

    tls = server_context(str(first.etc / "agent.crt"), str(first.etc / "agent.key"))
    with running_server(silent, tls=tls) as running:
        peer = Peer(running.host, running.port, first.peer.fingerprint)
        with pytest.raises(ChannelError, match="no answer within 0.5 s"):
            agents.blocking(lambda: exchange(peer, "GET", "/healthcheck", {}, b"", timeout_s=0.5))
        over.set()


def test_a_peer_that_answers_a_byte_at_a_time_is_given_up_all_the_same(agents, first):
    def drip(environ, start_response):
        start_response("200 OK", [("Content-Length", "1000000")])
        while True:
            green.sleep(0.02)
            yield b"x"

    tls = server_context(str(first.etc / "agent.crt"), str(first.etc / "agent.key"))
    with running_server(drip, tls=tls) as running:
        peer = Peer(running.host, running.port, first.peer.fingerprint)
        with pytest.raises(ChannelError, match="no answer within 0.5 s"):
            agents.blocking(lambda: exchange(peer, "GET", "/v1/rings", {}, b"", timeout_s=0.5, answer_max=1 << 20))
