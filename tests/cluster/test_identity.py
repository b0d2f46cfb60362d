"""Keystone and LDAP users of a cluster of real processes: one pipeline, two identity services, no secret in any log."""

import json
import urllib.request

import pytest

from tests.support.cluster import Cluster
from tests.support.directory import GROUPS, OPTIONS, SERVICE, person, running_directory
from tests.support.directory import SERVICE_PASSWORD as BIND_PASSWORD
from tests.support.keystone import SERVICE_PASSWORD, keystone_process

pytestmark = [pytest.mark.cluster, pytest.mark.long]
ALICE, ANN = "planted-alices-password", "planted-anns-password"


@pytest.fixture(scope="module")
def services():
    entries = {
        person("ann"): {"uid": ["ann"], "entryUUID": ["1"]},
        f"cn=team-admins,{GROUPS}": {"cn": ["team-admins"], "member": [person("ann")]},
    }
    passwords = {person("ann"): ANN, SERVICE: BIND_PASSWORD}
    with (
        running_directory(entries=entries, passwords=passwords) as directory,
        keystone_process(alice=ALICE, bob="planted-bobs-password") as keystone,
    ):
        yield keystone, directory


@pytest.fixture(scope="module")
def cluster(services, tmp_path_factory):
    keystone, directory = services
    made = Cluster(tmp_path_factory.mktemp("identity") / "cluster", nodes=1, replicas=1, part_power=4).init()
    pipeline = " ".join(made.setting("pipeline:main", "pipeline").split())
    made.configure("pipeline:main", "pipeline", pipeline.replace("tempauth", "authtoken keystoneauth ldapauth"))
    authtoken = {
        "paste.filter_factory": "keystonemiddleware.auth_token:filter_factory",
        "auth_url": keystone,
        "username": "swift",
        "password": SERVICE_PASSWORD,
        "project_name": "service",
        "delay_auth_decision": "yes",
    }
    ldapauth = {
        "use": "egg:objstore#ldapauth",
        "reseller_prefix": "LDAP",
        **OPTIONS,
        "ldap_url": f"ldap://{directory.host}:{directory.port}",
    }
    sections = {"authtoken": authtoken, "keystoneauth": {"use": "egg:objstore#keystoneauth"}, "ldapauth": ldapauth}
    for name, options in sections.items():
        for key, value in options.items():
            made.configure(f"filter:{name}", key, value)
    with made:
        yield made


def keystone_token(url, user, password, project):
    domain = {"id": "default"}
    identity = {"methods": ["password"], "password": {"user": {"name": user, "domain": domain, "password": password}}}
    auth = {"identity": identity, "scope": {"project": {"name": project, "domain": domain}}}
    request = urllib.request.Request(f"{url}/v3/auth/tokens", json.dumps({"auth": auth}).encode())
    with urllib.request.urlopen(request, timeout=60) as answer:
        return answer.headers["X-Subject-Token"]


def ask(cluster, method, path, token=None, body=b"", **headers):
    if token:
        headers["X-Auth-Token"] = token
    return cluster.raw_request(method, path, body, headers)


def test_users_of_both_services_keep_what_is_theirs(cluster, services):
    keystone, _ = services
    alice = keystone_token(keystone, "alice", ALICE, "p1")
    bob = keystone_token(keystone, "bob", "planted-bobs-password", "p2")
    status, headers, _ = ask(cluster, "GET", "/auth/v1.0", **{"X-Auth-User": "team:ann", "X-Auth-Key": ANN})
    assert status == 200 and headers["x-storage-url"].endswith("/v1/LDAP_team")
    ann = headers["x-auth-token"]
    for token, account in ((alice, "AUTH_p1-id"), (bob, "AUTH_p2-id"), (ann, "LDAP_team")):
        assert ask(cluster, "PUT", f"/v1/{account}/c", token)[0] == 201
        assert ask(cluster, "PUT", f"/v1/{account}/c/o", token, account.encode())[0] == 201
        assert ask(cluster, "GET", f"/v1/{account}/c/o", token)[2] == account.encode()
    for token, account in ((alice, "AUTH_p2-id"), (alice, "LDAP_team"), (ann, "AUTH_p1-id"), (None, "AUTH_p1-id")):
        assert ask(cluster, "GET", f"/v1/{account}/c/o", token)[0] in (401, 403)
    assert ask(cluster, "POST", "/v1/AUTH_p1-id/c", alice, **{"X-Container-Read": "p2-id:bob-id"})[0] == 204
    assert ask(cluster, "GET", "/v1/AUTH_p1-id/c/o", bob)[0] == 200
    assert ask(cluster, "POST", "/v1/LDAP_team/c", ann, **{"X-Container-Read": ".r:*"})[0] == 204
    assert ask(cluster, "GET", "/v1/LDAP_team/c/o")[0] == 200
    assert "keystoneauth" in json.loads(ask(cluster, "GET", "/info")[2])
    wrong = {"X-Auth-User": "team:ann", "X-Auth-Key": "planted-wrong"}
    assert ask(cluster, "GET", "/auth/v1.0", **wrong)[0] == 401
    logs = cluster.logs()
    for secret in ("planted", alice[20:], bob[20:], ann[20:]):
        assert secret not in logs
