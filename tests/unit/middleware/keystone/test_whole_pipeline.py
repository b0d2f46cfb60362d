"""authtoken and keystoneauth before a proxy and its storage servers, with a Keystone that speaks over real sockets."""

import pytest

from objstore.core.policy import Policies, Policy
from objstore.http.outgoing import Outgoing
from objstore.middleware.account_quotas import AccountQuotas
from objstore.middleware.gatekeeper import Gatekeeper, GatekeeperSettings
from objstore.middleware.keystone.authtoken import Authtoken
from objstore.middleware.keystone.keystoneauth import Keystoneauth
from objstore.middleware.keystone.keystoneauth_settings import KeystoneauthSettings
from objstore.middleware.keystone.service import Keystone
from tests.support.keystone import running_keystone
from tests.support.storage_nodes import ProxyClient, StorageNodes
from tests.unit.middleware.keystone.test_authtoken import OPTIONS, parsed


class Site(ProxyClient):
    def __init__(self, proxy, keystone):
        self.keystone = keystone
        settings = parsed({"auth_url": keystone.url, **OPTIONS})
        self.outgoing = Outgoing(connect_timeout_s=20, timeout_s=20)
        service = Keystone(self.outgoing, settings.auth_url, settings.credentials, timeout_s=60)
        app = Keystoneauth(
            AccountQuotas(proxy.app, Policies([Policy(0, "gold", is_default=True)])), KeystoneauthSettings()
        )
        app = Gatekeeper(Authtoken(app, settings, service), GatekeeperSettings())
        super().__init__(proxy.app.at_the_edge(app))

    def ask(self, method, path, *, headers=(), body=b"", **who):
        """As a user for whom Keystone issues a token; as nobody when none is named."""
        headers = dict(headers)
        if who:
            headers["X-Auth-Token"] = self.keystone.issue(**who)
        return self.request(method, path, headers, body)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    with StorageNodes(tmp_path_factory.mktemp("nodes")) as nodes, running_keystone() as keystone:
        site = Site(nodes.proxy(allow_account_management="yes"), keystone)
        site.nodes = nodes
        yield site
        site.outgoing.close()


def owner(project, domain="default"):
    return {"user": f"owner-{project}", "project": project, "user_domain": domain, "project_domain": domain}


def stored_domain(site, account):
    """What the account's servers keep."""
    plain = site.nodes.proxy()
    return plain.head(f"/v1/{account}").headers.get("x-account-sysmeta-project-domain-id")


def test_an_owner_writes_and_reads_and_nobody_else_does(site):
    path = "/v1/AUTH_one-id/c"
    assert site.ask("PUT", path, **owner("one")).status == 201
    assert site.ask("PUT", f"{path}/o", body=b"mine", **owner("one")).status == 201
    assert site.ask("GET", f"{path}/o", **owner("one")).body == b"mine"
    assert site.ask("GET", f"{path}/o", **owner("two")).status == 403
    assert site.ask("GET", f"{path}/o", user="member", project="one", roles=("Member",)).status == 403
    assert site.ask("GET", f"{path}/o").status == 401
    assert site.ask("GET", f"{path}/o", headers={"X-Auth-Token": "nonsense"}).status == 401


def test_acls_open_containers_by_ids_and_roles(site):
    path = "/v1/AUTH_acl-id/c"
    acl = {"X-Container-Read": "guest-id:bob-id,reader", "X-Container-Write": "guest-id:bob-id"}
    assert site.ask("PUT", path, headers=acl, **owner("acl")).status == 201
    bob = {"user": "bob", "project": "guest", "roles": ("Member",)}
    assert site.ask("PUT", f"{path}/o", body=b"x", **bob).status == 201
    assert site.ask("GET", f"{path}/o", **bob).body == b"x"
    assert site.ask("GET", path, user="rita", project="acl", roles=("reader",)).status == 200
    assert site.ask("GET", path, user="eve", project="guest", roles=("Member",)).status == 403
    assert "x-container-read" not in site.ask("HEAD", path, **bob).headers


def test_a_public_container_is_for_everybody(site):
    path = "/v1/AUTH_public-id/c"
    site.ask("PUT", path, headers={"X-Container-Read": ".r:*,.rlistings"}, **owner("public"))
    site.ask("PUT", f"{path}/o", body=b"seen", **owner("public"))
    assert site.ask("GET", f"{path}/o").body == b"seen"
    assert site.ask("GET", path).status == 200
    assert site.ask("PUT", f"{path}/o", body=b"changed").status == 401


@pytest.mark.parametrize(
    "first",
    [("PUT", "/c", {}), ("POST", "", {"X-Account-Meta-Color": "red"})],
    ids=["a container", "metadata"],
)
def test_an_account_knows_the_domain_of_its_project_from_its_first_use(site, first):
    method, rest, headers = first
    project = f"elsewhere-{method.lower()}"
    who = owner(project, "d7")
    answer = site.ask(method, f"/v1/AUTH_{project}-id{rest}", headers=headers, **who)
    assert answer.status in (201, 204), answer
    assert stored_domain(site, f"AUTH_{project}-id") == "d7"
    # Names of the default domain mean nothing there.
    named = {"X-Container-Read": "guest:bob"}
    site.ask("PUT", f"/v1/AUTH_{project}-id/named", headers=named, **who)
    bob = {"user": "bob", "project": "guest"}
    assert site.ask("GET", f"/v1/AUTH_{project}-id/named", **bob).status == 403


def test_names_in_old_acls_count_among_the_default_domain(site):
    path = "/v1/AUTH_old-id/c"
    site.ask("PUT", path, headers={"X-Container-Read": "guest:bob"}, **owner("old"))
    assert site.ask("GET", path, user="bob", project="guest").status in (200, 204)
    assert site.ask("GET", path, user="bob", project="guest", user_domain="d7").status == 403


def test_a_client_cannot_choose_the_domain_of_its_account(site):
    forged = {"X-Account-Sysmeta-Project-Domain-Id": "default"}
    site.ask("PUT", "/v1/AUTH_forger-id/c", headers=forged, **owner("forger", "d7"))
    assert stored_domain(site, "AUTH_forger-id") == "d7"


def test_reseller_administrators_make_accounts_and_set_quotas(site):
    admin = {"user": "boss", "project": "cloud", "roles": ("ResellerAdmin",)}
    path = "/v1/AUTH_made-id"
    assert site.ask("PUT", path, **owner("made")).status == 403
    assert site.ask("PUT", path, **admin).status == 201
    quota = {"X-Account-Quota-Bytes": "3"}
    assert site.ask("POST", path, headers=quota, **owner("made")).status == 403
    assert site.ask("POST", path, headers=quota, **admin).status == 204
    site.ask("PUT", f"{path}/c", **owner("made"))
    assert site.ask("PUT", f"{path}/c/o", body=b"four", **owner("made")).status == 413
