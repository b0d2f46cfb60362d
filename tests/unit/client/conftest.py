import pytest

from objstore.client.account import Account
from objstore.client.login import PasswordV1
from objstore.client.session import Session
from tests.support.scripted_swift import ScriptedSwift


@pytest.fixture
def proxy():
    it = ScriptedSwift()
    yield it
    it.close()


@pytest.fixture
def pauses():
    return []


@pytest.fixture
def session(proxy, pauses):
    it = Session(PasswordV1(proxy.url, "a:b", "k"), sleep=pauses.append)
    yield it
    it.close()


@pytest.fixture
def account(session):
    return Account(session)
