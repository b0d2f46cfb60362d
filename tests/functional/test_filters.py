"""Filters that are off until configured, by themselves and with others: a cluster that has them all, and encrypts.

What only operators set (read-only, rates of an account) is set as their tools do, on the storage servers that
/endpoints names. What these filters do with odd input: tests/unit/middleware.
"""

import hmac
import http.client
import io
import json
import tarfile
import time
from urllib.parse import urlsplit

import pytest

from tests.functional.api import Swift, md5
from tests.functional.conftest import USERS
from tests.support import encryption
from tests.support.cluster import Cluster

pytestmark = pytest.mark.cluster

DOMAIN = "objects.example"
KEY = b"key-of-links-0123456789"
RATE = 2
"""Writes a second into containers of this many objects and more."""
LARGE = 40
OPERATOR = "list-endpoints"
LONG_NAME = 60


def configure(cluster):
    names = cluster.setting("pipeline:main", "pipeline").split()
    at = names.index("listing_formats")
    names[at:at] = ["crossdomain", "cname_lookup", "domain_remap", "name_check"]
    names[names.index("staticweb") : names.index("staticweb")] = [OPERATOR, "xprofile"]
    names.insert(names.index("versioned_writes"), "read_only")
    cluster.configure("pipeline:main", "pipeline", " ".join(names))
    for name in ("crossdomain", "cname_lookup", "domain_remap", "name_check", OPERATOR, "xprofile", "read_only"):
        cluster.configure(f"filter:{name}", "use", f"egg:objstore#{name.replace('-', '_')}")
    for name in ("cname_lookup", "domain_remap"):
        cluster.configure(f"filter:{name}", "storage_domain", DOMAIN)
    cluster.configure("filter:cname_lookup", "nameservers", "127.0.0.1:1")
    cluster.configure("filter:name_check", "maximum_length", LONG_NAME)
    cluster.configure("filter:ratelimit", f"container_ratelimit_{LARGE}", RATE)
    cluster.configure("filter:ratelimit", "max_sleep_time_seconds", "0.001")
    cluster.configure("filter:ratelimit", "rate_buffer_seconds", 0)
    # What operators set on storage servers is seen in the next request.
    for of in ("account", "container"):
        cluster.configure("app:proxy-server", f"recheck_{of}_existence", 0)
    encryption.configure(cluster)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    made = Cluster(
        tmp_path_factory.mktemp("filters") / "cluster", nodes=1, replicas=1, part_power=3, policies=("gold:1",)
    )
    for name, key, group in USERS.values():
        made.add_user(name, key, *([group] if group else []))
    configure(made)
    with made:
        yield made


@pytest.fixture(scope="module")
def swift(cluster):
    found = Swift(cluster.auth_url, {name: value[:2] for name, value in USERS.items()}, is_thrown_away=True)
    yield found
    found.close()
    assert not found.secrets.in_text(cluster.logs())


@pytest.fixture(scope="module")
def owner(swift):
    return swift.owner


def host_of(swift, container):
    return f"{container}.{swift.home.replace('_', '-').lower()}.{DOMAIN}"


def endpoints(swift, path):
    answer = swift.anonymous.raw("GET", f"/endpoints/v2/{swift.home}{path}")
    assert answer.status == 200, answer
    return answer.json


def set_by_operator(swift, path, name, value):
    """System metadata of the account ('') or of a container ('/name'), on every server of it."""
    kind = "Container" if path else "Account"
    for url in endpoints(swift, path)["endpoints"]:
        parts = urlsplit(url)
        connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=60)
        headers = {"X-Timestamp": f"{time.time():.5f}", f"X-{kind}-Sysmeta-{name}": value}
        connection.request("POST", parts.path, headers=headers)
        assert connection.getresponse().status == 204
        connection.close()


@pytest.fixture
def frozen(swift, owner):
    """A container with an object `o` that may only be read."""
    name = owner.new_container()
    owner.upload(name, "o", b"stays")
    set_by_operator(swift, f"/{name}", "Read-Only", "true")
    return name


def link(swift, method, path, query=""):
    expires = int(time.time()) + 600
    signature = hmac.digest(KEY, f"{method}\n{expires}\n{path}".encode(), "sha256").hex()
    return f"temp_url_sig={signature}&temp_url_expires={expires}{query}"


def archive(*names):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name in names:
            info = tarfile.TarInfo(name)
            info.size = 1
            tar.addfile(info, io.BytesIO(b"x"))
    return buffer.getvalue()


def bulk_delete(user, *paths):
    answer = user.post("?bulk-delete", headers={"Accept": "application/json"}, body="\n".join(paths).encode())
    assert answer.status == 200
    return answer.json


# What each does by itself


def test_info_tells_of_them(swift):
    assert {"crossdomain", "cname_lookup", "domain_remap", "name_check", "read_only", "ratelimit"} <= set(swift.info)
    assert swift.info["ratelimit"]["container_ratelimits"] == [[LARGE, RATE]]
    assert swift.info["name_check"]["maximum_length"] == LONG_NAME


def test_a_policy_for_flash_and_pdf(swift):
    answer = swift.anonymous.raw("GET", "/crossdomain.xml")
    assert answer.status == 200 and b"<cross-domain-policy>" in answer.body
    assert answer.headers["content-type"] == "application/xml"


def test_endpoints_lead_to_the_encrypted_data(swift, owner, container):
    owner.upload(container, "o", b"nobody reads this there")
    found = endpoints(swift, f"/{container}/o")
    assert found["headers"] == {"X-Backend-Storage-Policy-Index": "0"}
    parts = urlsplit(found["endpoints"][0])
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=60)
    connection.request("GET", parts.path, headers=found["headers"])
    answer = connection.getresponse()
    assert answer.status == 200 and answer.read() != b"nobody reads this there"
    connection.close()
    assert swift.anonymous.raw("GET", f"/endpoints/v1/{swift.home}/{container}/o").json == found["endpoints"]


@pytest.mark.parametrize("path", ["/endpoints/v1/a", "/__profile__?seconds=0.1"])
def test_operators_endpoints_are_not_for_hosts_of_customers(swift, owner, path):
    for headers in ({"Host": f"c.a.{DOMAIN}"}, {"Host": "127.0.0.1", "X-Forwarded-For": "192.0.2.1"}):
        assert swift.anonymous.raw("GET", path, headers).status in (401, 403, 404, 412)


@pytest.mark.parametrize("host", [f"a.b.c.{DOMAIN}", "www.unknown.example", "..", f"-.{DOMAIN}"])
def test_hosts_that_lead_nowhere(swift, host):
    assert swift.anonymous.raw("GET", "/o", {"Host": host}).status in (400, 401, 404, 412, 503)


@pytest.mark.parametrize(
    ("name", "status"),
    [("a<b", 400), ("a'b", 400), ("a/./b", 400), ("a/..", 400), ("x" * LONG_NAME, 400), ("a b", 201), ("ü", 201)],
)
def test_names_that_are_checked(owner, container, name, status):
    assert owner.put(container, name, body=b"x").status == status
    assert owner.get(container, name).status == (200 if status == 201 else 404)


@pytest.mark.parametrize("method", ["PUT", "POST", "DELETE"])
@pytest.mark.parametrize("what", ["o", "new", ""])
def test_what_is_frozen_is_read_and_not_written(owner, frozen, method, what):
    answer = owner.request(method, *([frozen, what] if what else [frozen]))
    assert answer.status == 405 and answer.headers["allow"] == "GET, HEAD, OPTIONS"
    assert owner.get(frozen, "o").body == b"stays" and owner.names(frozen) == ["o"]


# Pairs


def test_encrypted_versions_with_ranges(swift, owner):
    c = owner.new_container({"X-Versions-Enabled": "true"})
    bodies = [bytes([65 + number]) * 100_000 + b"end" for number in range(2)]
    ids = [owner.put(c, "o", body=body).headers["x-object-version-id"] for body in bodies]
    for version, body in zip(ids, bodies, strict=True):
        got = owner.get(f"{c}/o?version-id={version}", headers={"Range": "bytes=99998-100001"})
        assert (got.status, got.body) == (206, body[99998:100002])
        several = owner.get(f"{c}/o?version-id={version}", headers={"Range": "bytes=0-1,-3"})
        assert several.status == 206 and several.body.count(b"end") == 1
    assert owner.put(f"{c}/o?version-id={ids[0]}").status == 201
    assert owner.get(f"{c}/o").body == bodies[0]
    assert {row["hash"] for row in owner.listing(c, "&versions")} == {md5(body) for body in bodies}


def test_an_encrypted_large_object_that_is_copied_and_linked(owner, container):
    for number in range(2):
        owner.upload(container, f"s/{number}", bytes([48 + number]) * 70_000)
    entries = [{"path": f"{container}/s/{number}", "etag": md5(bytes([48 + number]) * 70_000)} for number in range(2)]
    assert owner.put_manifest(f"{container}/slo", entries).status == 201
    whole = b"0" * 70_000 + b"1" * 70_000
    assert owner.copy(container, "slo", to=f"{container}/flat").status == 201
    assert owner.get(container, "flat").body == owner.get(container, "slo").body == whole
    etag = owner.head(container, "flat").headers["etag"]
    made = owner.put(container, "l", headers={"X-Symlink-Target": f"{container}/flat", "X-Symlink-Target-Etag": etag})
    assert made.status == 201
    got = owner.get(container, "l", headers={"Range": "bytes=69999-70000"})
    assert (got.status, got.body) == (206, b"01")


def test_bulk_requests_do_not_get_into_what_is_frozen(owner, frozen, container):
    owner.upload(container, "o")
    report = bulk_delete(owner, f"/{frozen}/o", f"/{container}/o")
    assert report["Number Deleted"] == 1 and [error[1][:3] for error in report["Errors"]] == ["405"]
    answer = owner.put("?extract-archive=tar", headers={"Accept": "application/json"}, body=archive(f"{frozen}/n"))
    assert answer.json["Number Files Created"] == 0 and answer.json["Errors"][0][1].startswith("405")
    assert owner.names(frozen) == ["o"]


def test_segments_in_a_frozen_container_outlive_their_manifest(swift, owner, container):
    place = owner.new_container()
    owner.upload(place, "s", b"kept")
    assert owner.put_manifest(f"{container}/slo", [{"path": f"{place}/s"}]).status == 201
    set_by_operator(swift, f"/{place}", "Read-Only", "true")
    report = owner.delete(f"{container}/slo?multipart-manifest=delete", headers={"Accept": "application/json"}).json
    assert [error[1][:3] for error in report["Errors"]] == ["405"]
    assert owner.get(f"{place}/s").body == b"kept" and owner.head(f"{container}/slo").status == 200


@pytest.mark.parametrize("how", ["COPY", "PUT"])
def test_copies_out_of_what_is_frozen_and_not_into_it(owner, frozen, container, how):
    def copied(source, target):
        if how == "COPY":
            return owner.copy(source, to=target).status
        return owner.put(target, headers={"X-Copy-From": source}).status

    assert copied(f"{frozen}/o", f"{container}/o") == 201
    assert copied(f"{container}/o", f"{frozen}/p") == 405
    assert owner.names(frozen) == ["o"]


def test_a_link_into_what_is_frozen_only_reads(swift, owner, frozen):
    owner.post("", headers={"X-Account-Meta-Temp-URL-Key": KEY.decode()})
    path = f"/v1/{swift.home}/{frozen}/o"
    assert swift.anonymous.raw("GET", f"{path}?{link(swift, 'GET', path)}").body == b"stays"
    assert swift.anonymous.raw("PUT", f"{path}?{link(swift, 'PUT', path)}", body=b"new").status == 405
    assert swift.anonymous.raw("DELETE", f"{path}?{link(swift, 'DELETE', path)}").status == 405


def test_an_account_is_frozen_but_for_a_container_of_its_own_mind(swift):
    stranger = swift.stranger
    names = [f"c{number}-{time.time_ns()}" for number in range(2)]
    for name in names:
        assert stranger.put(name, account=stranger.account).status == 201
    home, swift.owner.account = swift.owner.account, stranger.account
    try:
        set_by_operator(swift, "", "Read-Only", "true")
        set_by_operator(swift, f"/{names[1]}", "Read-Only", "false")
        statuses = [stranger.put(name, "o", body=b"x").status for name in names]
        statuses.append(stranger.put("another").status)
        set_by_operator(swift, "", "Read-Only", "")
        assert statuses == [405, 201, 405] and stranger.put("another").status == 201
    finally:
        swift.owner.account = home


def test_a_site_of_its_own_host_with_links_and_listings(swift, owner):
    owner.post("", headers={"X-Account-Meta-Temp-URL-Key": KEY.decode()})
    c = owner.new_container({"X-Container-Meta-Web-Index": "index.html", "X-Container-Meta-Web-Listings": "true"})
    owner.upload(c, "index.html", b"home")
    owner.upload(c, "d/page.html", b"page")
    host = {"Host": host_of(swift, c)}
    assert swift.anonymous.raw("GET", "/", host).status == 401, "nobody may read yet"
    path = f"/v1/{swift.home}/{c}/d/page.html"
    assert swift.anonymous.raw("GET", f"/d/page.html?{link(swift, 'GET', path)}", host).body == b"page"
    expires = int(time.time()) + 600
    signature = hmac.digest(KEY, f"GET\n{expires}\nprefix:/v1/{swift.home}/{c}/d".encode(), "sha256").hex()
    query = f"temp_url_sig={signature}&temp_url_expires={expires}&temp_url_prefix=d"
    listing = swift.anonymous.raw("GET", f"/d/?{query}", host)
    assert listing.status == 200 and b"page.html" in listing.body
    owner.post(c, headers={"X-Container-Read": ".r:*,.rlistings"})
    assert swift.anonymous.raw("GET", "/", host).body == b"home"
    moved = swift.anonymous.raw("GET", "/d", host)
    assert moved.status == 301 and moved.headers["location"].endswith("/d/")


def test_a_form_at_a_host_of_its_own(swift, owner, container):
    owner.post("", headers={"X-Account-Meta-Temp-URL-Key": KEY.decode()})
    path, expires = f"/v1/{swift.home}/{container}/", int(time.time()) + 600
    fields = {"redirect": "", "max_file_size": "100", "max_file_count": "1", "expires": str(expires)}
    signed = "\n".join([path, *fields.values()])
    fields["signature"] = hmac.digest(KEY, signed.encode(), "sha1").hex()
    parts = [f'--b\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}' for name, value in fields.items()]
    parts.append('--b\r\nContent-Disposition: form-data; name="f"; filename="up"\r\n\r\nbody\r\n--b--\r\n')
    headers = {"Host": host_of(swift, container), "Content-Type": "multipart/form-data; boundary=b"}
    answer = swift.anonymous.raw("POST", "/", headers, "\r\n".join(parts).encode())
    assert answer.status == 201, answer
    assert owner.get(container, "up").body == b"body"


@pytest.fixture(scope="module")
def crowded(owner):
    """A container that is large enough to be limited."""
    name = owner.new_container()
    answer = owner.put(f"{name}?extract-archive=tar", body=archive(*(f"o{number:03}" for number in range(LARGE))))
    assert answer.status == 200 and b"201 Created" in answer.body, answer
    return name


def test_too_many_writes_into_a_large_container(owner, crowded):
    statuses = [owner.put(crowded, "again", body=b"x").status for _ in range(8)]
    assert set(statuses) == {201, 498}, statuses
    assert owner.get(crowded, "again").status == 200


def test_many_at_once_are_no_way_around_the_rate(owner, crowded):
    report = bulk_delete(owner, *(f"/{crowded}/o{number:03}" for number in range(20)))
    refused = [error for error in report["Errors"] if error[1].startswith("498")]
    assert refused and report["Number Deleted"] + len(refused) == 20, report
    answer = owner.put(
        f"{crowded}?extract-archive=tar",
        headers={"Accept": "application/json"},
        body=archive(*(f"n{number}" for number in range(20))),
    ).json
    assert any(error[1].startswith("498") for error in answer["Errors"]), answer
    assert answer["Number Files Created"] + len(answer["Errors"]) == 20


def test_an_account_that_is_blacklisted(swift, container):
    reseller = swift.reseller
    home, swift.owner.account = swift.owner.account, reseller.account
    try:
        assert reseller.put("limited").status == 201
        set_by_operator(swift, "", "Global-Write-Ratelimit", "BLACKLIST")
        status = reseller.put("limited", "o", body=b"x").status
        set_by_operator(swift, "", "Global-Write-Ratelimit", "WHITELIST")
        assert (status, reseller.put("limited", "o", body=b"x").status) == (497, 201)
    finally:
        swift.owner.account = home


def test_names_are_checked_wherever_they_come_from(swift, owner, container):
    bad = "a<b"
    assert owner.copy(f"{container}/x", to=f"{container}/{bad}").status == 400
    answer = owner.put(f"{container}?extract-archive=tar", headers={"Accept": "application/json"}, body=archive(bad))
    assert owner.names(container) in ([], [bad]), answer  # Said by where in the pipeline the filter stands.


def test_a_quota_of_a_policy_holds_for_what_is_encrypted(swift, owner):
    reseller, stranger = swift.reseller, swift.stranger
    name = f"q-{time.time_ns()}"
    assert stranger.put(name, account=stranger.account).status == 201
    limit = {"X-Account-Quota-Bytes-Policy-gold": "10"}
    assert reseller.post("", headers=limit, account=stranger.account).status == 204
    statuses = [stranger.put(name, "o", body=b"x" * size, account=stranger.account).status for size in (5, 11)]
    chunks = [b"x" * 6, b"x" * 6]
    statuses.append(stranger.put(name, "p", body=iter(chunks), account=stranger.account).status)
    removed = {"X-Account-Quota-Bytes-Policy-gold": ""}
    assert reseller.post("", headers=removed, account=stranger.account).status == 204
    assert statuses == [201, 413, 413]
    assert json.loads(stranger.get(f"{name}?format=json", account=stranger.account).body)[0]["bytes"] == 5
