import pytest
from hypothesis import given
from hypothesis import strategies as st

from objstore.middleware.encryption.crypto import KeyStream, crypt

KEY = bytes(range(32))
# RFC 3686 has counter mode with a nonce; these are of NIST SP 800-38A, F.5.5 (CTR-AES256), the first two blocks.
NIST_KEY = bytes.fromhex("603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4")
NIST_IV = bytes.fromhex("f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff")
NIST_PLAIN = bytes.fromhex("6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51")
NIST_SEALED = bytes.fromhex("601ec313775789a5b7a7f504bbf3d228f443e3ca4d62b59aca84e990cacaf5c5")


def test_it_is_aes_256_in_counter_mode():
    assert crypt(NIST_KEY, NIST_IV, NIST_PLAIN) == NIST_SEALED


@given(st.binary(max_size=200), st.integers(0, 200), st.sampled_from([bytes(16), b"\xff" * 16, b"\xff" * 15 + b"\0"]))
def test_a_stream_begins_anywhere(data, offset, iv):
    whole = crypt(KEY, iv, data)
    assert KeyStream(KEY, iv, min(offset, len(data))).update(data[offset:]) == whole[offset:]


def test_in_place_and_in_pieces_is_the_same():
    data = bytes(1000)
    buffer = bytearray(data)
    stream = KeyStream(KEY, bytes(16))
    for start, stop in ((0, 1), (1, 18), (18, 1000)):
        stream.apply(memoryview(buffer)[start:stop])
    assert bytes(buffer) == crypt(KEY, bytes(16), data)


@pytest.mark.parametrize("key, iv", [(b"short", bytes(16)), (KEY, b"short")])
def test_sizes_are_checked_and_no_value_is_shown(key, iv):
    with pytest.raises(ValueError) as error:
        KeyStream(key, iv)
    assert "short" not in str(error.value)
