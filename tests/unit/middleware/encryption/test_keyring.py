import hashlib
import hmac

import pytest

from objstore.core.names import ClientPath, wsgi_of
from objstore.middleware.encryption.crypto_meta import KeyId, Undecipherable
from objstore.middleware.encryption.keyring import Keyring

SECRET, OTHER = b"s" * 32, b"o" * 32
RING = Keyring({None: SECRET, "new": OTHER})


def path(obj="o", account="a", container="c"):
    return ClientPath("v1", account, container, obj)


def key(text, secret=SECRET):
    return hmac.digest(secret, text.encode(), hashlib.sha256)


def test_keys_are_made_of_paths():
    keys = RING.for_writing(path())
    assert (keys.object, keys.container) == (key("/a/c/o"), key("/a/c"))
    assert keys.id == KeyId("2", "/a/c/o", None)


@pytest.mark.parametrize("version", ["1", "2", "3"])
@pytest.mark.parametrize("obj", ["o", "ü", "snow ☃", "Ã¼", "/slash", "a/b//c"])
def test_what_is_written_is_read_in_every_version(version, obj):
    ring = Keyring({None: SECRET, "new": OTHER}, "new", version)
    keys = ring.for_writing(path(obj, container="cü"))
    assert keys.object == key(f"/a/cü/{obj}", OTHER)
    assert ring.object_key(keys.id) == keys.object
    assert ring.container_key(keys.id, "a", "cü") == keys.container
    assert keys.object in ring.object_keys(path(obj, container="cü"))
    assert keys.id.secret_id == "new"
    assert keys.id.path == (f"/a/cü/{obj}" if version == "3" else wsgi_of(f"/a/cü/{obj}"))


@pytest.mark.parametrize(
    "key_id, made_of",
    [
        (KeyId("1", "/a/c//o"), "/o"),
        (KeyId("1", "/o"), "/o"),
        (KeyId("1", "/a/c/o//p"), "/a/c/o//p"),
        (KeyId("2", "/a/c//o"), "/a/c//o"),
        (KeyId("3", "/a/c//o"), "/a/c//o"),
        (KeyId("1", "/a/c/ü"), "/a/c/ü"),
        (KeyId("1", wsgi_of("/a/c/ü")), "/a/c/ü"),
        (KeyId("2", wsgi_of("/a/c/☃")), "/a/c/☃"),
        (KeyId("3", "/a/c/☃"), "/a/c/☃"),
    ],
    ids=str,
)
def test_key_ids_of_other_writers_are_read(key_id, made_of):
    assert RING.object_key(key_id) == key(made_of)


def test_conditions_ask_for_the_fault_of_version_1_too():
    assert key("/o") in RING.object_keys(path("/o"))


@pytest.mark.parametrize(
    "key_id", [KeyId("2", "/a/c/o", "gone"), KeyId("4", "/a/c/o"), KeyId("3", "/a/c/\ud800")], ids=str
)
def test_a_key_that_is_not_there_is_undecipherable(key_id):
    with pytest.raises(Undecipherable):
        RING.object_key(key_id)


def test_a_ring_that_cannot_write_is_refused():
    with pytest.raises(KeyError):
        Keyring({None: SECRET}, "gone")


def test_a_ring_does_not_show_its_secrets():
    assert "s" * 8 not in repr(RING) and "s" * 8 not in str(RING)
