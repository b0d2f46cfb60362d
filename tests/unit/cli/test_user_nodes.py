"""objstore user on a node among others: every proxy's file says the same, or it is said which does not."""

import pytest

from objstore.cli.user_file import NewUser, UserFile
from objstore.cluster.calls import Refusing, UserLine
from objstore.runtime.fs import Fs
from tests.support.agents import Agents
from tests.support.cluster import objstore


@pytest.fixture
def agents(tmp_path):
    with Agents(tmp_path) as agents:
        yield agents


def user(agents, node, action, *words):
    return agents.blocking(lambda: objstore("user", action, node.directory.root, *words))


def known(node):
    file = UserFile.open(node.directory.proxy_conf, Fs())
    return {found.identity: file.line(found.account, found.name) for found in file.users()}


def test_a_user_that_is_added_changed_and_removed_on_one_node_is_on_all(agents):
    first, second = agents.first(), agents.join("z2")
    assert user(agents, second, "add", "photos:al_ice", "--key", "one", "--group", ".admin")[0] == 0
    assert known(first) == known(second)
    assert known(first)["photos:al_ice"] == "one .admin"
    assert user(agents, first, "passwd", "photos:al_ice", "--key", "two")[0] == 0
    assert known(second)["photos:al_ice"] == "two .admin"
    assert user(agents, second, "remove", "photos:al_ice")[0] == 0
    assert "photos:al_ice" not in known(first)


def test_what_another_node_has_besides_stays(agents):
    first, second = agents.first(), agents.join("z2")
    UserFile.open(second.directory.proxy_conf, Fs()).put(NewUser("only", "here", "key"))
    assert user(agents, first, "add", "photos:bob", "--key", "k")[0] == 0
    assert {"only:here", "photos:bob", "admin:admin"} == set(known(second))


def test_a_node_that_is_down_is_named_and_told_later(agents):
    first, second = agents.first(), agents.join("z2")
    second.stop()
    code, _, error = user(agents, first, "add", "photos:bob", "--key", "k3y")
    assert code == 1 and "n2 has not heard of it" in error and "k3y" not in error
    assert error.splitlines()[-1].endswith(f"when it is back: objstore user push {first.directory.root} photos:bob")
    second.start()
    assert user(agents, first, "push", "photos:bob")[0] == 0
    assert known(second)["photos:bob"] == "k3y .admin"


def test_a_removal_that_a_node_missed_is_repeated(agents):
    first, second = agents.first(), agents.join("z2")
    user(agents, first, "add", "photos:bob", "--key", "k")
    second.stop()
    code, _, error = user(agents, first, "remove", "photos:bob")
    assert code == 1 and "objstore user remove" in error
    second.start()
    assert user(agents, first, "remove", "photos:bob")[0] == 0
    assert "photos:bob" not in known(second)


def test_nobody_is_forgotten_by_pushing_a_user_that_is_not_here(agents):
    first, second = agents.first(), agents.join("z2")
    UserFile.open(second.directory.proxy_conf, Fs()).put(NewUser("only", "here", "key"))
    code, _, error = user(agents, first, "push", "only:here")
    assert code == 1 and "no user only:here" in error
    assert "only:here" in known(second)


@pytest.mark.parametrize("value", ["", "   ", "key bad,group"], ids=["empty", "blank", "a comma"])
def test_a_line_that_is_none_is_refused_by_the_other_node(agents, value):
    first = agents.first()
    before = known(first)
    with pytest.raises(Refusing, match="127.0.0.1"):
        agents.blocking(lambda: first.calls.change_user(first.peer, UserLine("a", "b", value)))
    assert known(first) == before
