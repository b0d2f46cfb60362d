import json
from urllib.parse import quote_plus, unquote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from objstore.middleware.encryption.crypto_meta import CryptoMeta, KeyId, Sealed, Undecipherable, WrappedKey, split

IV = bytes(range(16))
IVS = st.binary(min_size=16, max_size=16)
KEY_IDS = st.builds(KeyId, st.sampled_from("123"), st.text(), st.none() | st.text())
KEYS = st.builds(WrappedKey, st.binary(min_size=32, max_size=32), IVS)


@given(st.builds(CryptoMeta, st.none() | IVS, st.none() | KEY_IDS, st.none() | KEYS))
def test_what_is_dumped_is_loaded(meta):
    assert CryptoMeta.load(meta.dump()) == meta


@given(st.builds(CryptoMeta, st.none() | IVS, KEY_IDS))
def test_it_is_written_as_a_form_field(meta):
    assert quote_plus(unquote_plus(meta.dump())) == meta.dump()
    assert json.dumps(json.loads(unquote_plus(meta.dump())), sort_keys=True) == unquote_plus(meta.dump())


@given(st.text())
def test_no_text_is_more_than_undecipherable(text):
    for load in (CryptoMeta.load, Sealed.load, split):
        try:
            load(text)
            load(text + "; swift_meta=" + text)
        except Undecipherable:
            pass


@given(st.text(alphabet='%+ 27BbDdACcFf"{}:,/=x'))
def test_however_it_is_quoted_it_is_read_as_a_form_field(path):
    value = {"cipher": "AES_CTR_256", "key_id": {"path": path, "v": "2"}}
    assert CryptoMeta.load(quote_plus(json.dumps(value))).key_id.path == path
    assert CryptoMeta.load(json.dumps(value).replace("%", "%25").replace("+", "%2b")).key_id.path == path


BAD = {
    "no JSON": "{",
    "deep": "[" * 100_000,
    "no object": "[]",
    "no cipher": "{}",
    "unknown cipher": '{"cipher": "ROT13"}',
    "short iv": '{"cipher": "AES_CTR_256", "iv": "AAAA"}',
    "iv no text": '{"cipher": "AES_CTR_256", "iv": 1}',
    "key_id no object": '{"cipher": "AES_CTR_256", "key_id": 1}',
    "path no text": '{"cipher": "AES_CTR_256", "key_id": {"v": "2", "path": 1}}',
    "secret_id no text": '{"cipher": "AES_CTR_256", "key_id": {"v": "2", "path": "/a", "secret_id": 1}}',
    "body_key no object": '{"cipher": "AES_CTR_256", "body_key": 1}',
    "body_key short": '{"cipher": "AES_CTR_256", "body_key": {"key": "AAAA", "iv": "AAAA"}}',
}


@pytest.mark.parametrize("text", BAD.values(), ids=BAD)
def test_what_is_not_crypto_metadata_is_undecipherable(text):
    with pytest.raises(Undecipherable):
        CryptoMeta.load(quote_plus(text))


def test_a_sealed_value_may_stand_among_other_parameters():
    sealed = Sealed.of(bytes(32), b"plain", KeyId("2", "/a/c/o"))
    first, _, meta = sealed.dump().partition("; ")
    for text in (sealed.dump(), f"{first}; slo_etag=x; {meta}", f"{first}; {meta}; slo_etag=x"):
        found, others = split(text)
        assert found == sealed
        assert others == ("; slo_etag=x" if "slo" in text else "")
    assert split("d41d8cd98f00b204e9800998ecf8427e; slo_etag=x") is None
