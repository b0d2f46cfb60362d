"""Changed counts reach the account without the updater, and once only."""

import pytest

from objstore.config.cluster import Cluster
from objstore.container.account_update import AccountNode, AccountUpdates
from objstore.container.app import make_app
from objstore.container.reports import Reports
from objstore.container.settings import ContainerServerSettings
from objstore.core.limits import Limits
from objstore.core.names import BackendPath
from objstore.peers.silence import Silences
from objstore.runtime import green
from tests.support.backends import POLICIES, SECRETS
from tests.support.clock import SimClock
from tests.support.databases import LOGGER, make_container
from tests.support.wsgi import call

PATH = "/sdb1/7/AUTH_a/c"
NODES = [AccountNode("h", port, "sda", "44") for port in (1, 2, 3)]


class Accounts:
    def __init__(self, *failing):
        self.failing = failing
        self.told = []

    def __call__(self, node, target, headers, timeout_s):
        self.told.append((node.port, target, dict(headers)["X-Object-Count"]))
        return 503 if node.port in self.failing else 201


def make(tmp_path, accounts, interval="0.01", **options):
    (tmp_path / "sdb1").mkdir(exist_ok=True)
    pairs = {"devices": str(tmp_path), "mount_check": "no", "fallocate_reserve": "0", "report_interval": interval}
    settings, problems = ContainerServerSettings.from_pairs(pairs)
    assert not problems
    app = make_app(
        settings,
        Cluster(tmp_path, SECRETS, POLICIES, Limits()),
        SimClock(),
        send=accounts,
        account_nodes=lambda account: NODES,
        **options,
    )
    assert call(app, "PUT", PATH, {"x-timestamp": "1700000001.00000"}).status == 201
    return app


def put_row(app, name, at):
    row = {"x-timestamp": f"17000000{at:02d}.00000", "x-size": "1", "x-content-type": "a/b", "x-etag": "e"}
    assert call(app, "PUT", f"{PATH}/{name}", row).status == 201


def until(condition):
    for _ in range(500):
        if condition():
            return
        green.sleep(0.01)
    pytest.fail("it did not happen within 5 s")


def test_counts_are_told_to_all_replicas_once(tmp_path):
    accounts = Accounts()
    app = make(tmp_path, accounts)
    for number in range(5):
        put_row(app, f"o{number}", 10 + number)
    # On a slow machine an interval may end between two rows: then there is more than one round.
    until(lambda: len([told for told in accounts.told if told[2] == "5"]) == 3)
    assert accounts.told[-3:] == [(port, "/sda/44/AUTH_a/c", "5") for port in (1, 2, 3)]


def test_container_on_a_handoff_is_not_reported(tmp_path):
    """It may be behind, and the account takes what it hears last."""
    accounts, asked = Accounts(), []

    def is_handoff(device, partition):
        asked.append((device, partition))
        return len(asked) == 1

    app = make(tmp_path, accounts, is_handoff=is_handoff)
    put_row(app, "o1", 10)
    until(lambda: asked)
    assert asked == [("sdb1", 7)] and not accounts.told
    put_row(app, "o2", 11)
    until(lambda: len(accounts.told) == 3)


def test_container_without_news_is_not_reported(tmp_path):
    accounts = Accounts()
    updates = AccountUpdates(accounts, timeout_s=1, silences=Silences(), logger=LOGGER)
    reports = Reports(updates, lambda account: NODES, interval_s=1, logger=LOGGER)
    broker, path = make_container(tmp_path), BackendPath("sda1", "7", "AUTH_v", "c")
    assert reports.report(path, broker)
    assert len(accounts.told) == 3
    assert reports.report(path, broker)
    assert len(accounts.told) == 3


def test_report_that_most_refuse_is_made_again(tmp_path):
    accounts = Accounts(1, 2)
    app = make(tmp_path, accounts)
    put_row(app, "a", 10)
    until(lambda: len(accounts.told) >= 3)
    accounts.failing = ()
    put_row(app, "a", 10)
    until(lambda: len(accounts.told) >= 6)
    assert {told[2] for told in accounts.told} == {"1"}


ACCOUNT = {"x-account-host": "h:1,h:2,h:3", "x-account-device": "sda,sda,sda", "x-account-partition": "44"}


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
def test_a_container_that_one_account_server_missed_is_told_of_again(tmp_path, method):
    accounts = Accounts(2)
    app = make(tmp_path, accounts)
    headers = {"x-timestamp": "1700000050.00000", **ACCOUNT}
    assert call(app, method, PATH, headers).status == {"PUT": 202, "DELETE": 204}[method]
    accounts.failing = ()
    assert [told[0] for told in accounts.told] == [1, 2, 3]
    until(lambda: [told[0] for told in accounts.told] == [1, 2, 3] * 2)


def test_a_container_that_all_account_servers_took_is_told_of_once(tmp_path):
    accounts = Accounts()
    app = make(tmp_path, accounts)
    call(app, "PUT", PATH, {"x-timestamp": "1700000050.00000", **ACCOUNT})
    for _ in range(5):
        green.sleep(0.01)
    assert len(accounts.told) == 3


def test_interval_0_reports_nothing(tmp_path):
    accounts = Accounts()
    app = make(tmp_path, accounts, interval="0")
    put_row(app, "a", 10)
    green.sleep(0)
    assert accounts.told == []
