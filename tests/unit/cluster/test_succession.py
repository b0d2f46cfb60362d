"""What a node believes of the holder that hands over to it."""

import base64
import json
import os

import pytest

from objstore.cluster.calls import Calls
from objstore.cluster.channel import Answer, ChannelError
from objstore.cluster.holder import Holder
from objstore.cluster.members import MembersError
from objstore.cluster.membership import Membership, MembersRefused, NotHolder
from objstore.cluster.ring_install import InstalledRings
from objstore.cluster.strict_json import BadFields
from objstore.cluster.succession import HolderSilent, Succession
from objstore.core.errors import DomainError
from objstore.ring.builder_file import BuilderFileError
from objstore.runtime.fs import Fs
from tests.support.members import make_member, make_members

ME = make_member(2).id


def taking_over(tmp_path, answer):
    def exchange(*_, **__):
        if isinstance(answer, Exception):
            raise answer
        return Answer(200, answer, "127.0.0.1")

    membership = Membership(tmp_path, ME, Fs(), make_members(3))
    calls = Calls(lambda: bytes(32), ME, exchange)
    holder, installed = Holder(tmp_path), InstalledRings(tmp_path, Fs())
    return Succession(tmp_path, membership, holder, installed, calls, Fs()), membership


def handed(files=None, members=None):
    content = {name: base64.b64encode(data).decode() for name, data in (files or {}).items()}
    members = members or make_members(3, term=2, version=2, holder=2)
    return json.dumps({"members": members.to_json().decode(), "files": content}).encode()


OTHERS = make_members(3, term=2, version=2, holder=3)
SAME_TERM = make_members(3, term=1, version=1, holder=2)


@pytest.mark.parametrize(
    ("answer", "error", "reason"),
    [
        pytest.param(b"{", BadFields, "expected JSON", id="cut"),
        pytest.param(b'{"members": "{}", "files": {}}', MembersError, "cluster: expected", id="no members"),
        pytest.param(handed({"../../x.builder": b""}), BadFields, "is no name of a ring or builder", id="traversal"),
        pytest.param(handed({"swift.conf": b""}), BadFields, "is no name of a ring or builder", id="another file"),
        pytest.param(handed({"object.builder": b"cos\nsystem\n"}), BuilderFileError, "bad builder file", id="a pickle"),
        pytest.param(
            handed(members=make_members(3, term=2, version=2, holder=3)),
            NotHolder,
            "handed the builders to n3",
            id="other",
        ),
        pytest.param(
            handed(members=make_members(3, term=1, version=1, holder=2)), MembersRefused, "two nodes", id="same term"
        ),
        pytest.param(ChannelError("n1: refused"), HolderSilent, "did not hand over .* --lost", id="silent"),
    ],
)
def test_a_hand_over_that_is_none_is_refused_and_nothing_is_taken(tmp_path, answer, error, reason):
    succession, membership = taking_over(tmp_path, answer)
    with pytest.raises(error, match=reason):
        succession.take_over(is_lost=False)
    assert not membership.is_holder
    assert [name for name in os.listdir(tmp_path) if not name.endswith("lock")] == []


def test_who_holds_already_need_not_ask(tmp_path):
    succession, membership = taking_over(tmp_path, DomainError("not asked"))
    membership.take_over()
    assert succession.take_over(is_lost=False) == "this node holds the ring builders already"
