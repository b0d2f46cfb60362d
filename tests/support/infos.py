"""An InfoService of fixed answers, for filters that ask what an account or container is like."""

from __future__ import annotations

from objstore.core.info import AccountInfo, ContainerInfo


class FixedInfos:
    """Containers by (account, container); whatever is not named is missing."""

    def __init__(self, accounts=None, containers=None):
        self.accounts: dict[str, AccountInfo] = accounts or {}
        self.containers: dict[tuple[str, str], ContainerInfo] = containers or {}
        self.asked: list[str] = []

    def account(self, environ, account, *, fresh=False):
        self.asked.append(account)
        return self.accounts.get(account, AccountInfo(404))

    def container(self, environ, account, container, *, fresh=False):
        self.asked.append(f"{account}/{container}")
        return self.containers.get((account, container), ContainerInfo(404))
