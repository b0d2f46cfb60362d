"""core/hashing.py against formats 1.2 and 1.3."""

import pytest

from objstore.core.hashing import HashSecrets, partition_of, suffix_of

SECRETS = HashSecrets(b"pre", b"suf")


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (("AUTH_test",), "71be447877bb1fbeb54daa00a8d52de8"),
        (("AUTH_test", "c0"), "8e29bd440b8300acc47320607d6feac0"),
        (("AUTH_test", "c0", "o\u00fc1"), "4bb16530b967aaa9b5aea8072ab47b44"),
    ],
)
def test_hash_path_of_the_reference_system(names, expected):
    assert SECRETS.hash_path(*names) == expected


def test_partition_takes_the_first_bits():
    assert partition_of(bytes.fromhex("71be4478") + bytes(12), 32 - 8) == 0x71
    assert partition_of(bytes.fromhex("ffffffff") + bytes(12), 32 - 10) == 1023


def test_suffix_is_the_last_three_digits():
    assert suffix_of("71be447877bb1fbeb54daa00a8d52de8") == "de8"


def test_two_empty_secrets_are_refused():
    with pytest.raises(ValueError, match="both empty"):
        HashSecrets(b"", b"")
