import pytest

from tests.support.peers import ScriptedPeers


@pytest.fixture
def peers():
    scripted = ScriptedPeers()
    yield scripted
    scripted.shut()
