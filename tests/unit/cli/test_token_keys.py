"""objstore user rotate-tokens: every proxy opens tokens of a new key before any makes one with it."""

import base64
import errno
import io

import pytest

from objstore.cli import token_keys
from objstore.cli.terminal import CommandError, Terminal
from objstore.cli.user_file import UserError, UserFile
from objstore.cluster.calls import TokenKey
from objstore.cluster.directory import ClusterDirectory
from objstore.cluster.init import InitPlan, initialise
from objstore.core.errors import DomainError
from objstore.runtime.fs import Fs
from tests.support.agents import Agents
from tests.support.cluster import objstore


@pytest.fixture
def agents(tmp_path):
    with Agents(tmp_path) as agents:
        agents.first(), agents.join("z2")
        yield agents


def keys(node):
    (line,) = [line for line in node.directory.proxy_conf.read_text().splitlines() if line.startswith("fernet_keys")]
    return line.partition(" = ")[2].split(", ")


class Rotation:
    """Of one node. seen: keys of all nodes in the moment in which proxies look at their files."""

    def __init__(self, agents, number=1):
        self.agents, self.node, self.seen = agents, agents.nodes[number - 1], []
        self.terminal = Terminal(io.StringIO(), io.StringIO(), {})
        self.before_second_step = lambda: None

    def run(self, **options):
        directory = self.node.directory
        file = UserFile.open(directory.proxy_conf, Fs())
        return self.agents.blocking(
            lambda: token_keys.rotate(
                directory, file, self.terminal, **({"drop_old": False} | options), wait=self._wait
            )
        )

    def _wait(self, seconds):
        assert seconds > 1
        self.seen = [keys(node) for node in self.agents.nodes]
        self.before_second_step()


def test_the_new_key_opens_tokens_everywhere_before_it_makes_any(agents):
    (old,) = keys(agents.nodes[0])
    rotation = Rotation(agents, 2)
    assert rotation.run() == 0
    first, second = rotation.seen
    assert first == second and first[0] == old and len(first) == 2
    assert [keys(node) for node in agents.nodes] == [[first[1], old]] * 2
    assert len(base64.urlsafe_b64decode(first[1])) == 32
    said = rotation.terminal.stdout.getvalue()
    assert "good as long as they were" in said and first[1] not in said + "".join(agents.log.lines)


def test_the_key_before_the_last_goes_and_with_drop_old_all_go(agents):
    for _ in range(2):
        Rotation(agents).run()
    newest, before = keys(agents.nodes[0])
    assert Rotation(agents).run(drop_old=True) == 0
    (only,) = keys(agents.nodes[0])
    assert keys(agents.nodes[1]) == [only] and only not in (newest, before)


def test_a_node_that_is_away_ends_it_while_the_new_key_makes_no_token(agents):
    (old,) = keys(agents.nodes[0])
    agents.nodes[1].stop()
    with pytest.raises(CommandError) as raised:
        Rotation(agents).run()
    assert "n2 has not heard of it" in raised.value.lines[0] and "run it again" in raised.value.lines[-1]
    assert keys(agents.nodes[0])[0] == old and keys(agents.nodes[1]) == [old]
    agents.nodes[1].start()
    assert Rotation(agents).run() == 0
    assert keys(agents.nodes[0]) == keys(agents.nodes[1]) and keys(agents.nodes[0])[1:] == [old]


def full(key):
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_node_that_cannot_follow_in_the_middle_is_named_and_its_tokens_are_opened(agents):
    (old,) = keys(agents.nodes[0])
    rotation = Rotation(agents)
    rotation.before_second_step = lambda: setattr(agents.nodes[1].agent, "_token_keys", full)
    assert rotation.run() == 1
    assert "n2 has not heard of it" in rotation.terminal.stderr.getvalue()
    assert keys(agents.nodes[1])[0] == old and old in keys(agents.nodes[0])
    assert set(keys(agents.nodes[0])) == set(keys(agents.nodes[1]))


@pytest.mark.parametrize(
    ("line", "reason"),
    [("", "no fernet_keys"), ("fernet_key_1 = x\nfernet_keys = y", "has fernet_key_1")],
    ids=["none", "by id"],
)
def test_keys_that_are_kept_another_way_are_changed_by_hand(agents, line, reason):
    conf = agents.nodes[0].directory.proxy_conf
    old = f"fernet_keys = {keys(agents.nodes[0])[0]}"
    conf.write_text(conf.read_text().replace(old, line))
    before = conf.read_text()
    with pytest.raises(UserError, match=reason):
        Rotation(agents).run()
    assert conf.read_text() == before and len(keys(agents.nodes[1])) == 1


@pytest.mark.parametrize("key", ["x", "!" * 44, "A" * 43 + "\n", "A" * 22])
def test_what_is_no_key_is_refused_by_the_node_that_gets_it(agents, key):
    first, second = agents.nodes
    before = keys(second)
    with pytest.raises(DomainError) as raised:
        agents.blocking(
            lambda: first.client().put_token_key(first.client().members.named("n2"), TokenKey(key, True, 1))
        )
    assert key not in str(raised.value) or key == "x"
    assert keys(second) == before


def test_on_one_machine_there_is_nobody_to_tell(tmp_path):
    directory, terminal = ClusterDirectory(tmp_path / "c"), Terminal(io.StringIO(), io.StringIO(), {})
    initialise(directory, InitPlan(nodes=1, replicas=1, part_power=2, port=0), Fs())
    file = UserFile.open(directory.proxy_conf, Fs())
    assert token_keys.rotate(directory, file, terminal, drop_old=True, wait=lambda _: None) == 0
    assert "must log in again" in terminal.stdout.getvalue()
    code, _, error = objstore("user", "add", directory.root, "a:b", "--drop-old")
    assert (code, "--drop-old goes with user rotate-tokens only" in error) == (2, True)
