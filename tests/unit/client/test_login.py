"""client/login.py: questions and answers of every way in."""

import json

import pytest

from objstore.client.errors import ClientError
from objstore.client.login import Answer, Given, KeystoneV3, PasswordV1, Storage
from objstore.client.session import Session
from tests.support import scripted_swift

PROJECT = {"name": "photos", "domain": {"id": "default"}}


def catalog(*endpoints):
    return json.dumps(
        {"token": {"catalog": [{"type": "compute", "endpoints": []}, {"type": "object-store", "endpoints": endpoints}]}}
    ).encode()


def endpoint(url, interface="public", region="one"):
    return {"url": url, "interface": interface, "region_id": region}


@pytest.fixture
def keystone():
    return KeystoneV3("http://id:5000", "alice", "secret", PROJECT, {"id": "default"})


def test_version_1():
    login = PasswordV1("http://h/auth/v1.0", "a:u", "k")
    assert login.question.headers == {"X-Auth-User": "a:u", "X-Auth-Key": "k"}
    assert login.storage(Answer(200, {"x-storage-url": "http://h/v1/A/", "x-auth-token": "t"})) == Storage(
        "http://h/v1/A", "t"
    )


@pytest.mark.parametrize("url", ["http://id:5000", "http://id:5000/", "http://id:5000/v3", "http://id:5000/v3/"])
def test_keystone_is_asked_for_a_token_of_a_project(url):
    question = KeystoneV3(url, "alice", "secret", PROJECT, {"name": "Home"}).question
    assert (question.method, question.url) == ("POST", "http://id:5000/v3/auth/tokens")
    auth = json.loads(question.body)["auth"]
    assert auth["scope"] == {"project": PROJECT}
    assert auth["identity"]["password"]["user"] == {"name": "alice", "domain": {"name": "Home"}, "password": "secret"}


@pytest.mark.parametrize(("region", "url"), [("", "http://one"), ("two", "http://two")])
def test_the_catalog_says_where_the_account_is(region, url):
    login = KeystoneV3("http://id", "a", "p", PROJECT, {}, region)
    body = catalog(endpoint("http://in", "internal"), endpoint("http://one"), endpoint("http://two/", region="two"))
    assert login.storage(Answer(201, {"x-subject-token": "t"}, body)) == Storage(url, "t")


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (Answer(401, {}), "not let in"),
        (Answer(201, {}), "not let in"),
        (Answer(201, {"x-subject-token": "t"}, b"x"), "no catalog"),
        (Answer(201, {"x-subject-token": "t"}, b'{"token": {}}'), "no catalog"),
        (Answer(201, {"x-subject-token": "t"}, catalog()), "no public endpoint"),
    ],
)
def test_an_answer_that_lets_nobody_in(keystone, answer, said):
    with pytest.raises(ClientError, match=said) as raised:
        keystone.storage(answer)
    assert "secret" not in str(raised.value) + repr(keystone)


def test_what_is_known_is_not_asked_for():
    login = Given("http://h/v1/A/", "t")
    assert login.question is None and login.storage(Answer(0, {})) == Storage("http://h/v1/A", "t")


def test_a_request_goes_where_the_catalog_says_with_the_token_of_keystone(proxy):
    base = proxy.url.removesuffix("/auth/v1.0")
    let_in = scripted_swift.Answer(201, catalog(endpoint(f"{base}/v1/AUTH_p")), {"X-Subject-Token": "kt"})
    proxy.script = [let_in, scripted_swift.Answer(201)]
    session = Session(KeystoneV3(base, "alice", "secret", PROJECT, {"id": "default"}))
    session.request("PUT", "/c")
    session.close()
    assert proxy.requests == [("POST", "/v3/auth/tokens", None), ("PUT", "/v1/AUTH_p/c", "kt")]
