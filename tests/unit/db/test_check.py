"""Hash secrets are checked against the names in the data (pitfall 17)."""

from pathlib import Path

import pytest

from objstore.core.hashing import HashSecrets
from objstore.db.check import names_in, path_matches
from tests.support.databases import SECRETS, VECTORS, make_account, make_container

OTHER = HashSecrets(b"another", b"secret")


@pytest.mark.parametrize("make", [make_account, make_container])
def test_database_proves_the_secrets(tmp_path, make):
    path = make(tmp_path).database.location.new_path
    assert path_matches(path, SECRETS)
    assert not path_matches(path, OTHER)


def test_epoch_in_the_name_does_not_matter(tmp_path):
    path = Path(make_container(tmp_path).database.location.new_path)
    epoch = path.rename(path.with_name(f"{path.stem}_1700000000.00000.db"))
    assert path_matches(epoch, SECRETS)


def test_database_of_the_reference(tmp_path):
    path = tmp_path / f"{SECRETS.hash_path('AUTH_v')}.db"
    path.write_bytes((VECTORS / path.name).read_bytes())
    assert names_in(path) == ("AUTH_v",)
    assert path_matches(path, SECRETS)


def test_what_cannot_be_read_proves_nothing(tmp_path):
    path = tmp_path / "x.db"
    path.write_bytes(b"junk" * 1000)
    with pytest.raises(ValueError):
        names_in(path)
    assert path_matches(path, OTHER)
