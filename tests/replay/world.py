"""The endpoint under test and its users: tokens, account names, and accounts emptied before each case."""

from __future__ import annotations

import json
import time
import tomllib
import urllib.parse
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.replay.client import Answer, Outgoing, exchange, head_bytes
from tests.replay.placeholders import to_bytes

SETTLED_READS = 4
SWEEP_LIMIT = 20_000  # requests that one account may need to become empty; more is a runaway

# The users of tests/vectors/http/README.md. Keys are ours: no recorded text shows any but tester's.
USERS: Mapping[str, tuple[str, str]] = {
    "tester": ("test:tester", "testing"),
    "tester2": ("test:tester2", "testing2"),
    "tester3": ("test:tester3", "testing3"),
    "reseller": ("test:tester6", "testing6"),
    "other": ("test2:tester2", "testing2"),
    "service": ("test5:tester5", "testing5"),
    "auditor": ("admin:auditor", "auditing"),
}

# What a cluster needs in its proxy's ini for all of these cases.
TEMPAUTH_SETTINGS: Mapping[str, str] = {
    "reseller_prefix": "AUTH, SERVICE",
    "SERVICE_require_group": "service",
    "user_test_tester": "testing .admin",
    "user_test_tester2": "testing2 .admin",
    "user_test_tester3": "testing3",
    "user_test_tester6": "testing6 .reseller_admin",
    "user_test2_tester2": "testing2 .admin",
    "user_test5_tester5": "testing5 service",
    "user_admin_auditor": "auditing .reseller_reader",
}


class TargetError(Exception):
    """The endpoint cannot be used: no token, or an account that does not become empty."""


def load_users(path: Path) -> dict[str, tuple[str, str]]:
    """Users from a TOML file of `name = ["account:user", "key"]` lines, on top of USERS."""
    users = dict(USERS)
    for name, (user, key) in tomllib.loads(path.read_text(encoding="utf-8")).items():
        users[name] = (user, key)
    return users


@dataclass(frozen=True, slots=True)
class _Grant:
    token: str
    account: str


class Target:
    """One endpoint. auth_path: where tokens are given. Tokens are asked for once each; accounts are those they name."""

    def __init__(
        self, host: str, port: int, *, auth_path: str = "/auth/v1.0", users: Mapping[str, tuple[str, str]] = USERS
    ) -> None:
        self.address = (host, port)
        self.host = f"{host}:{port}"
        self._auth_path = auth_path
        self._users = users
        self._grants: dict[str, _Grant] = {}
        self._run = uuid.uuid4().hex[:12]

    def token(self, name: str) -> str:
        return self._grant(name).token

    def account(self, name: str) -> str:
        """The storage account of a user, such as AUTH_test."""
        return self._grant(name).account

    def accounts(self) -> dict[str, str]:
        """The values of {account}, {account2}, {account5} and {service5}; the last two only when the user exists."""
        named = {"account": self.account("tester"), "account2": self.account("other"), "host": self.host}
        try:
            named["account5"] = self.account("service")
        except TargetError:
            return named
        named["service5"] = "SERVICE_" + named["account5"].partition("_")[2]
        return named

    def fresh_account(self, case_id: str, number: int) -> str:
        return f"AUTH_fresh{self._run}-{case_id}-{number}"

    def _grant(self, name: str) -> _Grant:
        if name not in self._grants:
            user, key = self._users[name]
            answer = self._send("GET", self._auth_path, {"X-Auth-User": user, "X-Auth-Key": key})
            token, url = answer.header("x-auth-token"), answer.header("x-storage-url")
            if answer.status != 200 or not token or not url:
                raise TargetError(f"{user} gets no token from {self.host}{self._auth_path}: {answer.status}")
            self._grants[name] = _Grant(token, urllib.parse.urlsplit(url).path.rpartition("/")[2])
        return self._grants[name]

    def send_as(self, user: str, method: str, path: str, headers: Mapping[str, str] | None = None) -> Answer:
        """A request of our own (no body); path without /v1/."""
        return self._send(method, "/v1/" + path, {"X-Auth-Token": self.token(user), **(headers or {})})

    def _send(self, method: str, target: str, headers: Mapping[str, str]) -> Answer:
        pairs = [(b"Host", to_bytes(self.host)), *((to_bytes(n), to_bytes(v)) for n, v in headers.items())]
        if method in ("PUT", "POST"):
            pairs.append((b"Content-Length", b"0"))
        head = head_bytes(to_bytes(method), to_bytes(target), b"HTTP/1.1", pairs)
        return exchange(self.address, Outgoing(head, is_head=method == "HEAD"))

    def prepare(self) -> None:
        """Give both accounts the history that the recorded ones had: they have used every policy once.

        (An account reports a policy from the first container of it on, also when that is gone.)
        """
        info = json.loads(self._send("GET", "/info", {}).body or b"{}")
        names = [policy["name"] for policy in info.get("swift", {}).get("policies", [])]
        for user in ("tester", "other"):
            self.empty(user)
            for policy in names:
                path = f"{self.account(user)}/history-{policy}"
                self._expect(self.send_as(user, "PUT", path, {"X-Storage-Policy": policy}), path, {201, 202})
                self._expect(self.send_as(user, "DELETE", path), path, {204})

    def settle(self, patience_s: float, poll_s: float) -> None:
        """Until the accounts say of themselves what their containers say, several times in a row, because any replica
        may answer; or until the patience is over: then the next step shows what is wrong."""
        end, in_a_row = time.monotonic() + patience_s, 0
        while in_a_row < SETTLED_READS and time.monotonic() < end:
            if all(map(self._is_settled, ("tester", "other"))):
                in_a_row += 1
            else:
                in_a_row = 0
                time.sleep(poll_s)

    def _is_settled(self, user: str) -> bool:
        account = self.account(user)
        names = self._names(user, account)
        of_account = self._totals(self.send_as(user, "HEAD", account), "account")
        containers = [self.send_as(user, "HEAD", f"{account}/{urllib.parse.quote(name)}") for name in names]
        of_containers = [self._totals(answer, "container") for answer in containers]
        return of_account == (sum(count for count, _ in of_containers), sum(size for _, size in of_containers))

    @staticmethod
    def _totals(answer: Answer, kind: str) -> tuple[int, int]:
        """(objects, bytes)"""
        count, size = answer.header(f"x-{kind}-object-count"), answer.header(f"x-{kind}-bytes-used")
        return int(count or 0), int(size or 0)

    def empty(self, user: str) -> None:
        """Delete every object, container and metadata item of a user's account, and its ACL and quotas."""
        account = self.account(user)
        head = self.send_as(user, "HEAD", account)
        if head.status == 404:
            return
        for _ in range(SWEEP_LIMIT):
            names = self._names(user, account)
            if not names:
                break
            for name in names:
                self._delete_container(user, f"{account}/{urllib.parse.quote(name)}")
        self._forget_metadata(user, account, head)

    def _names(self, user: str, path: str) -> Sequence[str]:
        answer = self.send_as(user, "GET", path + "?format=json")
        self._expect(answer, path, {200, 204, 404})
        return [item["name"] for item in json.loads(answer.body)] if answer.status == 200 and answer.body else []

    def _delete_container(self, user: str, path: str) -> None:
        for _ in range(3):
            answer = self.send_as(user, "DELETE", path)
            # A quorum's word, and one that has it still would have the next PUT answered 202.
            if answer.status in (204, 404) and self.send_as(user, "HEAD", path).status == 404:
                return
            self._end_versions(user, path)
            for name in self._names(user, path):
                # An expired object is still listed, and deleting it answers 404 while it removes the row.
                answer = self.send_as(user, "DELETE", f"{path}/{urllib.parse.quote(name)}")
                self._expect(answer, f"{path}/{name}", {204, 404, 409})
        self._expect(self.send_as(user, "DELETE", path), path, {204, 404})

    def _end_versions(self, user: str, path: str) -> None:
        """Have a DELETE remove an object for good, and remove the versions that are there."""
        head = self.send_as(user, "HEAD", path)
        if head.header("x-versions-location") or head.header("x-history-location"):
            removals = {"X-Remove-Versions-Location": "x", "X-Remove-History-Location": "x"}
            self._expect(self.send_as(user, "POST", path, removals), path, {204})
        if not head.header("x-versions-enabled"):
            return
        self._expect(self.send_as(user, "POST", path, {"X-Versions-Enabled": "false"}), path, {204})
        answer = self.send_as(user, "GET", path + "?versions&format=json")
        self._expect(answer, path, {200})
        for item in json.loads(answer.body):
            name, version = urllib.parse.quote(item["name"]), item["version_id"]
            answer = self.send_as(user, "DELETE", f"{path}/{name}?version-id={version}")
            self._expect(answer, f"{path}/{name}", {204, 404})

    def _forget_metadata(self, user: str, account: str, head: Answer) -> None:
        removals = {}
        for name, _ in head.headers:
            lower = name.lower()
            if lower.startswith("x-account-meta-"):
                removals["X-Remove-" + name[2:]] = "x"
            elif lower == "x-account-access-control" or lower.startswith("x-account-quota"):
                removals[name] = ""
        quotas = any(name.lower().startswith("x-account-quota") for name in removals)
        if removals:
            answer = self.send_as("reseller" if quotas else user, "POST", account, removals)
            self._expect(answer, account, {202, 204})

    @staticmethod
    def _expect(answer: Answer, what: str, statuses: set[int]) -> None:
        if answer.status not in statuses:
            raise TargetError(f"while emptying {what}: {answer.status} {answer.body[:200]!r}")
