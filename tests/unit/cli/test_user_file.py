import pytest

from objstore.cli.user_file import NewUser, UserError, UserFile, parse_name
from objstore.config.errors import ConfigError
from objstore.runtime.fs import Fs

TEXT = """\
# mine
[filter:auth]
use = egg:swift#tempauth
user_admin_admin = 100% .admin http://x/v1/AUTH_admin
# bob's
user64_YV9i_Ym9i = secret

[app:proxy-server]
use = egg:objstore#proxy
"""


@pytest.fixture
def path(tmp_path):
    file = tmp_path / "proxy-server.conf"
    file.write_text(TEXT)
    file.chmod(0o600)
    return file


@pytest.fixture
def users(path):
    return UserFile.open(path, Fs())


def test_users_of_both_forms_are_read(users):
    assert [(user.identity, user.key, user.groups) for user in users.users()] == [
        ("admin:admin", "100%", (".admin",)),
        ("a_b:bob", "secret", ()),
    ]


def test_a_new_user_stands_behind_the_last_one_and_the_rest_stays(users, path):
    users.add(NewUser("photos", "alice", "k", (".admin", "friends")))
    assert path.read_text() == TEXT.replace(" = secret\n", " = secret\nuser_photos_alice = k .admin friends\n")
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("name", ["a_b:x", "a b:c d", "ü:😀", "a:b_c", "a.b:c@d"])
def test_any_name_comes_back_as_it_was_given(users, path, name):
    account, user = parse_name(name)
    users.add(NewUser(account, user, "k", ()))
    assert UserFile.open(path, Fs()).find(account, user).key == "k"


def test_a_new_key_leaves_groups_and_url(users, path):
    users.change_key("admin", "admin", "new")
    assert "user_admin_admin = new .admin http://x/v1/AUTH_admin\n" in path.read_text()


def test_a_removed_user_is_gone_and_its_neighbours_stay(users, path):
    users.remove("admin", "admin")
    assert path.read_text() == TEXT.replace("user_admin_admin = 100% .admin http://x/v1/AUTH_admin\n", "")
    assert [user.identity for user in users.users()] == ["a_b:bob"]


def test_what_is_there_already_or_not_there_is_said(users):
    with pytest.raises(UserError, match="admin:admin is there already"):
        users.add(NewUser("admin", "admin", "k"))
    with pytest.raises(UserError, match="no user admin:eve; there are: admin:admin, a_b:bob"):
        users.remove("admin", "eve")


@pytest.mark.parametrize(
    "user",
    [
        NewUser("a", "b", "two words"),
        NewUser("a", "b", ""),
        NewUser("a", "b", "k\n[x]"),
        NewUser("a,b", "c", "k"),
        NewUser("a", "b\n", "k"),
        NewUser("a", "b", "k", ("a b",)),
    ],
    ids=range(6),
)
def test_what_could_not_be_read_back_is_refused(users, path, user):
    with pytest.raises(UserError):
        users.add(user)
    assert path.read_text() == TEXT


def test_a_file_without_tempauth_is_a_problem(path):
    path.write_text("[app:main]\nuse = egg:objstore#proxy\n")
    with pytest.raises(ConfigError, match="egg:objstore#tempauth"):
        UserFile.open(path, Fs())


def test_a_name_has_two_parts():
    with pytest.raises(UserError, match="expected ACCOUNT:USER"):
        parse_name("admin")
