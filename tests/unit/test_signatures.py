"""core/signatures.py: written forms, comparison, keys."""

import base64
import hashlib
import hmac

import pytest

from objstore.core.signatures import Signature, allowed_digests, signing_keys

KEY, MESSAGE = b"secret", b"GET\n1\n/v1/a/c/o"
DIGESTS = {name: hmac.digest(KEY, MESSAGE, name) for name in ("sha1", "sha256", "sha512")}


@pytest.mark.parametrize("algorithm", DIGESTS)
def test_hex_and_base64_mean_the_same(algorithm):
    digest = DIGESTS[algorithm]
    standard, urlsafe = base64.b64encode(digest).decode(), base64.urlsafe_b64encode(digest).decode()
    forms = [digest.hex(), digest.hex().upper(), *(f"{algorithm}:{text}" for text in (standard, urlsafe))]
    forms += [form.rstrip("=") for form in forms[2:]]
    assert {Signature.parse(form) for form in forms} == {Signature(algorithm, digest)}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a",
        "g" * 40,
        "0" * 41,
        "0" * 32,
        "é" * 40,
        "md5:" + "A" * 24,
        "sha256:",
        "sha256:AAAA",
        "sha1:!!!!",
        ":" + "A" * 44,
        "sha512:" + "A" * 300,
        "sha256:" + base64.b64encode(hashlib.sha1(b"").digest()).decode(),
    ],
)
def test_what_is_no_signature(text):
    assert Signature.parse(text) is None


def test_any_key_and_any_message_will_do():
    signature = Signature("sha256", DIGESTS["sha256"])
    assert signature.is_of([b"other", MESSAGE], [b"other", KEY])
    assert not signature.is_of([MESSAGE], [b"other"])
    assert not signature.is_of([b"other"], [KEY])
    assert not signature.is_of([MESSAGE], [])


def test_keys_of_metadata_are_bytes_and_blank_ones_do_not_count():
    meta = {"temp-url-key": "\xc3\xa9", "temp-url-key-2": "", "color": "red"}
    assert signing_keys(meta) == [b"\xc3\xa9"]
    assert signing_keys({"temp-url-key": "1", "temp-url-key-2": "2"}) == [b"1", b"2"]


def test_sha1_is_said_to_be_old():
    assert allowed_digests(("sha256", "sha1")) == {
        "allowed_digests": ["sha1", "sha256"],
        "deprecated_digests": ["sha1"],
    }
