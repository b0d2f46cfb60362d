"""Account servers are told of a container at once, never waited for long, and left alone after a failure."""

import pytest

from objstore.container.account_update import WAIT_MAX_S
from objstore.http.client import ConnectFailed, ConnectTimedOut, PeerTimedOut
from objstore.peers.silence import Silences
from objstore.runtime import green
from tests.support.backends import container_server
from tests.support.wsgi import call

PATH = "/sdb1/7/AUTH_a/c%20%C3%BC"
PUT = {
    "x-timestamp": "1700000010.00000",
    "x-account-host": "127.0.0.1:1,127.0.0.1:2,[::1]:3",
    "x-account-device": "sda,sdb,sdc",
    "x-account-partition": "44",
    "x-trans-id": "tx1",
    "host": "node:6201",
}


class Accounts:
    """Stands in for account servers; answers[port]: a status, or an error to raise."""

    def __init__(self, **answers):
        self.answers = {int(key[1:]): value for key, value in answers.items()}
        self.calls = []

    def __call__(self, node, target, headers, timeout_s):
        self.calls.append((node, target, dict(headers), timeout_s))
        answer = self.answers.get(node.port, 201)
        if isinstance(answer, Exception):
            raise answer
        return answer

    @property
    def ports(self):
        return [node.port for node, *_ in self.calls]


def test_every_account_server_is_told(tmp_path):
    accounts = Accounts()
    assert call(container_server(tmp_path, send=accounts), "PUT", PATH, PUT).status == 201
    assert accounts.ports == [1, 2, 3]
    node, target, headers, timeout_s = accounts.calls[2]
    assert (node.host, node.device, target) == ("::1", "sdc", "/sdc/44/AUTH_a/c%20%C3%BC")
    assert timeout_s <= WAIT_MAX_S
    assert headers["X-Put-Timestamp"] == "1700000010.00000"
    assert headers["X-Delete-Timestamp"] == "0"
    assert (headers["X-Object-Count"], headers["X-Bytes-Used"]) == ("0", "0")
    assert headers["X-Trans-Id"] == "tx1"
    assert headers["Referer"] == "PUT http://node:6201/sdb1/7/AUTH_a/c%20%C3%BC"


def test_without_account_headers_nobody_is_told(tmp_path):
    accounts = Accounts()
    assert call(container_server(tmp_path, send=accounts), "PUT", PATH, {"x-timestamp": "1"}).status == 201
    assert accounts.calls == []


def test_404_from_all_is_404(tmp_path):
    app = container_server(tmp_path, send=Accounts(p1=404, p2=404, p3=404))
    assert call(app, "PUT", PATH, PUT).status == 404


@pytest.mark.parametrize(
    "answer", [500, 201, PeerTimedOut("no answer"), ConnectFailed("refused"), OSError(24, "files")]
)
def test_404_from_some_is_success(tmp_path, answer):
    app = container_server(tmp_path, send=Accounts(p1=404, p2=404, p3=answer))
    assert call(app, "PUT", PATH, PUT).status == 201


@pytest.mark.parametrize("error", [PeerTimedOut("frozen"), ConnectTimedOut("its machine is gone")])
def test_server_that_let_the_time_pass_is_left_alone_until_it_answers(tmp_path, error):
    accounts, thawed = Accounts(p2=error), green.Future()
    app = container_server(tmp_path, send=accounts, silences=Silences(lambda address: thawed.wait(30)))
    for expected in ([1, 2, 3], [1, 3], [1, 3]):
        accounts.calls.clear()
        assert call(app, "PUT", PATH, PUT).status in (201, 202)
        assert accounts.ports == expected
    thawed.set(True)
    with green.deadline(30):
        while accounts.ports != [1, 2, 3]:
            green.sleep(0)
            accounts.calls.clear()
            call(app, "PUT", PATH, PUT)


@pytest.mark.parametrize("answer", [ConnectFailed("nobody listens"), 503])
def test_server_that_refuses_is_asked_again_at_once_and_complained_of_once(tmp_path, answer, caplog):
    accounts = Accounts(p2=answer)
    app = container_server(tmp_path, send=accounts)
    for _ in range(3):
        call(app, "PUT", PATH, PUT)
    assert accounts.ports == [1, 2, 3] * 3
    assert caplog.text.count("left for later") == 1
    accounts.answers.clear()
    call(app, "PUT", PATH, PUT)
    accounts.answers[2] = answer
    call(app, "PUT", PATH, PUT)
    assert caplog.text.count("left for later") == 2


def test_all_are_told_at_the_same_time(tmp_path):
    waiting = []
    everybody = green.Future()

    def send(node, target, headers, timeout_s):
        waiting.append(node.port)
        if len(waiting) == 3:
            everybody.set()
        everybody.wait(5)
        return 201

    assert call(container_server(tmp_path, send=send), "PUT", PATH, PUT).status == 201


@pytest.mark.parametrize("wrong", [{"x-account-device": "sda"}, {"x-account-host": "a,b,c"}, {"x-account-host": "x:y"}])
def test_headers_that_do_not_fit_change_nothing(tmp_path, wrong):
    app = container_server(tmp_path, send=Accounts())
    assert call(app, "PUT", PATH, {**PUT, **wrong}).status == 400
    assert call(app, "HEAD", PATH).status == 404


def test_shard_reports_nothing(tmp_path):
    accounts = Accounts()
    app = container_server(tmp_path, send=accounts)
    path = "/sdb1/7/.shards_AUTH_a/c-0"
    root = {"x-container-sysmeta-shard-quoted-root": "AUTH_a/c"}
    call(app, "PUT", path, {**PUT, **root})
    row = {"x-timestamp": "1700000011.00000", "x-size": "5", "x-content-type": "a/b", "x-etag": "e"}
    call(app, "PUT", f"{path}/o", row)
    call(app, "PUT", path, {**PUT, "x-timestamp": "1700000012.00000"})
    assert accounts.calls[-1][2]["X-Object-Count"] == "0"
