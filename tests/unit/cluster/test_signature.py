import pytest

from objstore.cluster.signature import (
    WINDOW_MS,
    NotSigned,
    Verifier,
    is_digest_of,
    signed,
)

KEY, OTHER_KEY = bytes(range(32)), bytes(32)
ME, SOMEBODY = "aa" * 32, "bb" * 32
NODE = "0000000000000002"
NOW = 1_800_000_000_000


class Time:
    def __init__(self):
        self.ms = NOW

    def __call__(self):
        return self.ms


@pytest.fixture
def time():
    return Time()


@pytest.fixture
def verifier(time):
    verifier = Verifier(lambda: [KEY], ME, time)
    time.ms += 1000
    return verifier


def request(time, key=KEY, receiver=ME, method="PUT", target="/v1/rings", body=b"rings", at_ms=0):
    return signed(key, receiver, NODE, method, target, body, time.ms + at_ms)


def test_a_member_is_known_by_its_signature(verifier, time):
    sender, digest = verifier.sender("PUT", "/v1/rings", request(time))
    assert sender == NODE
    assert is_digest_of(digest, b"rings") and not is_digest_of(digest, b"others")


@pytest.mark.parametrize(
    ("method", "target", "made"),
    [
        pytest.param("POST", "/v1/rings", {}, id="method"),
        pytest.param("PUT", "/v1/members", {}, id="target"),
        pytest.param("PUT", "/v1/rings?forced", {}, id="query"),
        pytest.param("PUT", "/v1/rings", {"receiver": SOMEBODY}, id="receiver"),
        pytest.param("PUT", "/v1/rings", {"key": OTHER_KEY}, id="key"),
    ],
)
def test_a_signature_is_bound_to(verifier, time, method, target, made):
    with pytest.raises(NotSigned, match="not that of a member"):
        verifier.sender(method, target, request(time, **made))


@pytest.mark.parametrize("name", ["x-objstore-node", "x-objstore-date", "x-objstore-nonce", "x-objstore-digest"])
def test_every_signed_header_is_bound(verifier, time, name):
    headers = request(time)
    last = headers[name][-1]
    headers[name] = headers[name][:-1] + ("1" if last != "1" else "2")
    with pytest.raises(NotSigned):
        verifier.sender("PUT", "/v1/rings", headers)


@pytest.mark.parametrize(
    "name", ["x-objstore-node", "x-objstore-date", "x-objstore-nonce", "x-objstore-digest", "authorization"]
)
@pytest.mark.parametrize("value", ["", "x", "é", "0" * 5000], ids=["missing", "short", "not ASCII", "long"])
def test_nonsense_is_refused(verifier, time, name, value):
    with pytest.raises(NotSigned):
        verifier.sender("PUT", "/v1/rings", request(time) | {name: value})


def test_rpc_replay_is_refused(verifier, time):
    headers = request(time)
    verifier.sender("PUT", "/v1/rings", headers)
    with pytest.raises(NotSigned, match="received before"):
        verifier.sender("PUT", "/v1/rings", headers)


@pytest.mark.parametrize("later_ms", [WINDOW_MS - 1, WINDOW_MS + 1, 10 * WINDOW_MS])
def test_a_replay_is_refused_however_late(verifier, time, later_ms):
    headers = request(time, at_ms=WINDOW_MS - 1)
    verifier.sender("PUT", "/v1/rings", headers)
    time.ms += later_ms
    verifier_noise = request(time)
    verifier.sender("PUT", "/v1/rings", verifier_noise)
    with pytest.raises(NotSigned):
        verifier.sender("PUT", "/v1/rings", headers)


def test_a_replay_after_a_restart_is_refused(verifier, time):
    headers = request(time)
    verifier.sender("PUT", "/v1/rings", headers)
    time.ms += 1
    with pytest.raises(NotSigned, match="before this agent started"):
        Verifier(lambda: [KEY], ME, time).sender("PUT", "/v1/rings", headers)


@pytest.mark.parametrize(
    ("off_ms", "reason"), [(WINDOW_MS + 1, "90 s ahead of"), (-WINDOW_MS - 1, "90 s behind")], ids=["ahead", "behind"]
)
def test_a_clock_that_is_off_is_named(verifier, time, off_ms, reason):
    with pytest.raises(NotSigned, match=f"the sender's clock is {reason} this node's"):
        verifier.sender("PUT", "/v1/rings", request(time, at_ms=off_ms))


def test_a_request_that_is_refused_takes_no_place_among_the_nonces(verifier, time):
    headers = request(time)
    with pytest.raises(NotSigned):
        verifier.sender("GET", "/v1/rings", headers)
    assert verifier.sender("PUT", "/v1/rings", headers)[0] == NODE


def test_an_hmac_secret_is_in_no_error(verifier, time):
    headers = request(time)
    mac = headers["authorization"].split()[1]
    for changes in ({}, {"x-objstore-nonce": "zz"}, {"x-objstore-date": "1" * 13}):
        with pytest.raises(NotSigned) as caught:
            verifier.sender("POST", "/v1/rings", headers | changes)
        assert mac not in str(caught.value) and KEY.hex() not in str(caught.value)
