"""What an endpoint says of itself, and what every request meets first: rows A5.9, A5.10, A5.14, A5.15, A5.18, A5.22,
A5.23."""

import socket

import pytest

pytestmark = pytest.mark.cluster


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_info(swift, method):
    answer = swift.anonymous.raw(method, "/info")
    assert answer.status == 200 and answer.headers["content-type"].startswith("application/json")
    assert (answer.body == b"") == (method == "HEAD")


@pytest.mark.parametrize(
    "section",
    [
        "swift", "slo", "tempurl", "formpost", "bulk_upload", "bulk_delete", "staticweb", "symlink",
        "container_quotas", "account_quotas", "container_sync", "object_versioning", "versioned_writes", "ratelimit",
        "tempauth",
    ],
)  # fmt: skip
def test_what_info_describes(swift, section):
    assert isinstance(swift.info[section], dict)


@pytest.mark.parametrize("method", ["PUT", "POST", "DELETE"])
def test_info_is_not_changed(swift, method):
    assert swift.anonymous.raw(method, "/info").status == 405


@pytest.mark.parametrize(
    "query", ["swiftinfo_sig=x", "swiftinfo_expires=5", "swiftinfo_sig=0&swiftinfo_expires=99999999999"]
)
def test_administrators_facts_need_a_signature(swift, query):
    answer = swift.anonymous.raw("GET", f"/info?{query}")
    assert answer.status in (200, 401, 403)
    assert b'"admin"' not in answer.body


def test_health(swift):
    answer = swift.anonymous.raw("GET", "/healthcheck")
    assert (answer.status, answer.body) == (200, b"OK")
    assert swift.anonymous.raw("HEAD", "/healthcheck").status == 200


@pytest.mark.parametrize(
    ("path", "statuses"),
    [
        ("/", (404, 412)),
        ("/v1", (404, 412)),
        ("/v1/", (404, 412)),
        ("/v2/AUTH_x", (400,)),
        ("/unknown", (404, 412)),
        ("/v1//c", (404, 412)),
        ("/v1/%00/c", (412,)),
        ("/v1/%FF/c", (412,)),
        ("/v1/AUTH_none-such/c/o", (401, 403, 404)),
    ],
)
def test_paths_that_lead_nowhere(swift, path, statuses):
    for user in (swift.anonymous, swift.owner):
        token = {"X-Auth-Token": user.token} if user.token else {}
        assert user.raw("GET", path, token).status in (*statuses, 401, 403)


@pytest.mark.parametrize("version", ["v1", "v1.0"])
def test_versions_of_the_api(swift, version):
    answer = swift.owner.raw("HEAD", f"/{version}/{swift.home}", {"X-Auth-Token": swift.owner.token})
    assert answer.status == 204


@pytest.mark.parametrize(("extra", "suffix"), [("mytag", "-mytag"), ("", ""), ("x" * 60, "-" + "x" * 32)])
@pytest.mark.parametrize("path", ["/healthcheck", "/info", "/v1/none/c"])
def test_every_answer_names_its_transaction(swift, path, extra, suffix):
    answer = swift.anonymous.raw("GET", path, {"X-Trans-Id-Extra": extra} if extra else {})
    name = answer.headers["x-trans-id"]
    assert name.startswith("tx") and name.endswith(suffix) and name == answer.headers["x-openstack-request-id"]


# The connection itself


def spoken(swift, data):
    """All that comes back for bytes as they are sent; the connection is ended by us after them."""
    with socket.create_connection(swift.address, timeout=60) as connection:
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: connection.recv(65536), b""))


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"GET /healthcheck HTTP/1.1\r\nHost: h\r\n\r\n", 200),
        (b"GET http://any.example/healthcheck HTTP/1.1\r\nHost: h\r\n\r\n", 200),
        (b"GET /healthcheck HTTP/1.0\r\n\r\n", 200),
        (b"GET /healthcheck HTTP/1.1\r\n\r\n", 400),
        (b"GET /healthcheck HTTP/1.1\r\nHost: h\r\nHost: i\r\n\r\n", 400),
        (b"GET /healthcheck HTTP/3.0\r\nHost: h\r\n\r\n", 505),
        (b"GET /healthcheck\r\n\r\n", 400),
        (b"GET /health check HTTP/1.1\r\nHost: h\r\n\r\n", 400),
        (b"GET /healthcheck HTTP/1.1\r\nHost: h\r\nX y: z\r\n\r\n", 400),
        (b"GET /healthcheck HTTP/1.1\r\nHost: h\r\n folded: z\r\n\r\n", 400),
        (b"GET /healthcheck HTTP/1.1\r\nHost: h\r\nContent-Length: x\r\n\r\n", 400),
        (b"GET /healthcheck HTTP/1.1\r\nHost: h\r\nContent-Length: -1\r\n\r\n", 400),
        (b"PUT /v1/a/c/o HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx", 400),
        (b"PUT /v1/a/c/o HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        (b"PUT /v1/a/c/o HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 501),
        (b"GET /" + b"x" * 20_000 + b" HTTP/1.1\r\nHost: h\r\n\r\n", 414),
        (b"GET /healthcheck HTTP/1.1\r\nHost: h\r\n" + b"X-A: b\r\n" * 2000 + b"\r\n", 431),
    ],
)
def test_heads(swift, head, status):
    answer = spoken(swift, head)
    assert answer.startswith(b"HTTP/1.1 %d " % status), answer[:200]


def test_requests_in_one_go_are_answered_in_order(swift):
    one = b"GET /healthcheck HTTP/1.1\r\nHost: h\r\n\r\n"
    answer = spoken(swift, one + one.replace(b"healthcheck", b"info") + one)
    assert answer.count(b"HTTP/1.1 200 OK") == 3 and answer.endswith(b"OK")


@pytest.mark.parametrize(
    "body", [b"5\r\nhello", b"5\r\nhello\r\n", b"zz\r\n", b"5\r\nhelloX\r\n0\r\n\r\n", b"-1\r\n", b"5;" + b"x" * 9000]
)
def test_a_chunked_body_that_is_cut_or_broken_stores_nothing(swift, owner, container, body):
    head = (
        f"PUT {owner.path(container, 'o')} HTTP/1.1\r\nHost: h\r\nX-Auth-Token: {owner.token}\r\n"
        "Transfer-Encoding: chunked\r\n\r\n"
    )
    answer = spoken(swift, head.encode() + body)
    assert not answer or answer.split()[1] in (b"400", b"499", b"408")
    assert owner.names(container) == [] and owner.get(container, "o").status == 404


def test_a_body_that_is_shorter_than_it_said_stores_nothing(swift, owner, container):
    head = f"PUT {owner.path(container, 'o')} HTTP/1.1\r\nHost: h\r\nX-Auth-Token: {owner.token}\r\n"
    spoken(swift, head.encode() + b"Content-Length: 10\r\n\r\nhello")
    assert owner.names(container) == [] and owner.get(container, "o").status == 404


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "POST", "DELETE"])
@pytest.mark.parametrize("path", ["%00x", "{c}/%00x", "%00versions%00{c}/o"])
def test_reserved_names_are_nobodys(owner, shelf, method, path):
    assert owner.request(method, path.format(c=shelf)).status == 412


def test_listings_hide_reserved_names(owner):
    container = owner.new_container({"X-Versions-Enabled": "true"})
    owner.put(container, "o", body=b"x")
    assert all("\0" not in row["name"] for row in owner.listing(""))
    version = owner.head(container, "o").headers["x-object-version-id"]
    assert owner.delete(f"{container}/o?version-id={version}").status == 204
    owner.tidy(container)


def test_who_may_read_flash_policies(swift):
    if "crossdomain" not in swift.info:
        pytest.skip("no crossdomain here")
    answer = swift.anonymous.raw("GET", "/crossdomain.xml")
    assert answer.status == 200 and b"<cross-domain-policy>" in answer.body
