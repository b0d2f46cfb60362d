import os
import stat

import pytest

from objstore.cluster import token as tokens
from objstore.cluster.token_store import LIFE_S, WRONG_MAX, TokenRefused, TokenStore, TokenStoreError
from objstore.runtime.fs import Fs
from tests.support.recording_fs import PowerCut, RecordingFs

NOW = 1_800_000_000
TOKEN = tokens.Token("01020304", "ab" * 16, "fe" * 32, "10.0.0.1:6199")
WRONG = "cd" * 16


@pytest.fixture
def store(tmp_path):
    store = TokenStore(tmp_path, Fs())
    store.add(TOKEN, NOW)
    return store


def test_a_token_is_good_once(store):
    store.redeem(TOKEN.id, TOKEN.secret, NOW + 5)
    with pytest.raises(TokenRefused, match="was used 7 s ago; get another with: objstore node token"):
        store.redeem(TOKEN.id, TOKEN.secret, NOW + 12)


def test_a_stolen_used_token_buys_nothing_after_a_restart(tmp_path, store):
    store.redeem(TOKEN.id, TOKEN.secret, NOW)
    with pytest.raises(TokenRefused, match="was used"):
        TokenStore(tmp_path, Fs()).redeem(TOKEN.id, TOKEN.secret, NOW + 1)


def test_a_token_expires(store):
    with pytest.raises(TokenRefused, match="expired 3 min ago"):
        store.redeem(TOKEN.id, TOKEN.secret, NOW + LIFE_S + 180)


def test_token_guessing_kills_the_token(store):
    for _ in range(WRONG_MAX):
        with pytest.raises(TokenRefused, match="no join token of this cluster"):
            store.redeem(TOKEN.id, WRONG, NOW)
    with pytest.raises(TokenRefused, match="tried wrongly too often"):
        store.redeem(TOKEN.id, TOKEN.secret, NOW)


def test_who_does_not_know_the_secret_learns_nothing_of_a_token(store):
    store.redeem(TOKEN.id, TOKEN.secret, NOW)
    reasons = set()
    for token_id in (TOKEN.id, "99999999"):
        with pytest.raises(TokenRefused) as caught:
            store.redeem(token_id, WRONG, NOW + 2 * LIFE_S)
        reasons.add(str(caught.value))
    assert len(reasons) == 1


def test_the_file_has_no_secret_and_is_for_its_owner_only(tmp_path, store):
    path = tmp_path / "tokens.json"
    assert TOKEN.secret not in path.read_text()
    assert TOKEN.text() not in path.read_text()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_token_is_used_up_durably_before_anything_is_given_for_it(tmp_path, store):
    recorded = RecordingFs()
    TokenStore(tmp_path, recorded).redeem(TOKEN.id, TOKEN.secret, NOW)
    for stop in range(len(recorded.events)):
        cut = tmp_path / f"cut{stop}"
        cut.mkdir()
        TokenStore(cut, Fs()).add(TOKEN, NOW)
        with pytest.raises(PowerCut):
            # It did not return: nothing was given, whether the token is used up by now or not.
            TokenStore(cut, RecordingFs(stop_after=stop)).redeem(TOKEN.id, TOKEN.secret, NOW)
    assert recorded.events[-1] == ("sync directory", str(tmp_path))


def test_a_full_disk_refuses_rather_than_giving_without_noting(tmp_path, store):
    full = RecordingFs(fail={"write": OSError(28, os.strerror(28))})
    with pytest.raises(OSError, match="No space"):
        TokenStore(tmp_path, full).redeem(TOKEN.id, TOKEN.secret, NOW)
    store.redeem(TOKEN.id, TOKEN.secret, NOW)


def test_a_damaged_file_is_said_with_what_to_do(tmp_path, store):
    (tmp_path / "tokens.json").write_text('{"tokens": [{"id": 5}]}')
    with pytest.raises(TokenStoreError, match="remove the file: only tokens not yet used are lost"):
        store.redeem(TOKEN.id, TOKEN.secret, NOW)


def test_tokens_that_wait_are_bounded_and_old_ones_forgotten(store):
    for _ in range(99):
        store.add(tokens.new("fe" * 32, "h:1"), NOW)
    with pytest.raises(TokenStoreError, match="100 join tokens are waiting"):
        store.add(tokens.new("fe" * 32, "h:1"), NOW)
    store.add(tokens.new("fe" * 32, "h:1"), NOW + LIFE_S + 90_000)
