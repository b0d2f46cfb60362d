import base64
import zlib

import pytest

from objstore.cluster import token as tokens
from objstore.cluster.token import PREFIX, TokenError, parse

FINGERPRINT = "fe" * 32


def test_a_token_survives_being_copied():
    made = tokens.new(FINGERPRINT, "10.0.0.1:6199")
    assert parse(f"  {made.text()}\n") == made
    assert len(bytes.fromhex(made.secret)) == 16


def test_tokens_differ():
    assert len({tokens.new(FINGERPRINT, "h:1").secret for _ in range(50)}) == 50


def of_version(version):
    data = bytes([version]) + bytes(52) + b"h:1"
    return PREFIX + base64.urlsafe_b64encode(data + zlib.crc32(data).to_bytes(4, "big")).decode().rstrip("=")


GOOD = tokens.Token("01020304", "ab" * 16, FINGERPRINT, "10.0.0.1:6199").text()


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        pytest.param("", "is no join token", id="empty"),
        pytest.param("objstore join 10.0.0.1", "is no join token", id="the command"),
        pytest.param(GOOD[:-1], "was not copied whole", id="cut"),
        pytest.param(GOOD + "A", "was not copied whole", id="longer"),
        pytest.param(GOOD[:30] + ("A" if GOOD[30] != "A" else "B") + GOOD[31:], "was not copied whole", id="typo"),
        pytest.param(GOOD[:40] + " " + GOOD[40:], "was not copied whole", id="a space"),
        pytest.param(PREFIX, "was not copied whole", id="nothing"),
        pytest.param(PREFIX + "A" * 5000, "was not copied whole", id="huge"),
        pytest.param(of_version(9), "of version 9", id="later release"),
    ],
)
def test_what_is_no_token_is_said_without_quoting_it(text, reason):
    with pytest.raises(TokenError, match=reason) as caught:
        parse(text)
    assert GOOD[20:40] not in str(caught.value)


def test_a_secret_is_in_no_repr():
    assert "ab" * 16 not in repr(parse(GOOD))


def test_only_the_secret_itself_matches_its_digest():
    assert tokens.is_secret_of(tokens.digest_of("ab" * 16), "ab" * 16)
    assert not tokens.is_secret_of(tokens.digest_of("ab" * 16), "ab" * 15 + "ac")
