"""Anything that is a request, at the real thing: it is answered, never with a 5xx of a failure, within a second of the
proxy's CPU, and the proxy does not grow by 50 MiB (issue 4, part 2).

The examples are the same at every run, but for the `long` test, whose are new ones.
"""

import http.client
import io
import json
import os
import random
import socket
import tarfile
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.bounds import CPU_S_MAX, GROWTH_KB_MAX

pytestmark = pytest.mark.cluster

REFUSED = frozenset({501, 505})
"""Statuses from 500 on that are answers: what is not implemented, and another version of HTTP."""
fuzz = settings(
    deadline=None, derandomize=True, database=None, max_examples=60, suppress_health_check=list(HealthCheck)
)
TICK_S = 1 / os.sysconf("SC_CLK_TCK")


def cpu_s(pid):
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * TICK_S


def resident_kb(pid):
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") // 1024


class Proxy:
    """The process of our own cluster that answers; of another endpoint nothing is measured."""

    def __init__(self, cluster):
        self._pids = cluster.pids("-") if cluster is not None else []

    def cpu_s(self):
        return sum(map(cpu_s, self._pids))

    def resident_kb(self):
        return sum(map(resident_kb, self._pids))


@pytest.fixture(scope="module")
def proxy(our_cluster):
    found = Proxy(our_cluster)
    before = found.resident_kb()
    yield found
    assert found.resident_kb() - before < GROWTH_KB_MAX


@pytest.fixture(scope="module")
def target(owner, shelf):
    """A container with one thing of each kind, and a key for links."""
    owner.post(shelf, headers={"X-Container-Meta-Temp-URL-Key": "k", "X-Container-Read": ".r:*,.rlistings"})
    owner.upload(shelf, "o", b"0123456789" * 100)
    owner.put_manifest(f"{shelf}/slo", [{"path": f"/{shelf}/o"}, {"path": f"/{shelf}/o", "range": "5-9"}])
    owner.put(f"{shelf}/dlo", headers={"X-Object-Manifest": f"{shelf}/o"})
    owner.put(f"{shelf}/link", headers={"X-Symlink-Target": f"{shelf}/slo"})
    return shelf


text = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
line = st.text([chr(c) for c in range(256) if c not in (10, 13, 0)], max_size=60)
METHODS = ["GET", "HEAD", "PUT", "POST", "DELETE", "COPY", "OPTIONS", "PATCH"]
PLACES = ["", "{c}", "{c}/", "{c}/o", "{c}/slo", "{c}/dlo", "{c}/link", "{c}/new", "{c}/missing/x", "none/o"]
PARAMETERS = {
    "format": ["json", "xml", "plain"], "limit": ["1", "-1", "10001"], "marker": ["o"], "end_marker": ["p"],
    "prefix": ["o"], "delimiter": ["/"], "path": ["a"], "reverse": ["on"], "versions": [""], "version_marker": ["1"],
    "multipart-manifest": ["put", "get", "delete"], "heartbeat": ["on"], "async": ["on"], "part-number": ["1"],
    "symlink": ["get"], "version-id": ["null", "1795232479.96376"], "temp_url_sig": ["0" * 64, "sha512:AAAA"],
    "temp_url_expires": ["99999999999", "2100-01-01T00:00:00Z"], "temp_url_prefix": [""], "filename": ["a"],
    "temp_url_ip_range": ["::/0"], "inline": [""], "extract-archive": ["tar", "tar.gz", "tar.bz2"], "bulk-delete": [""],
}  # fmt: skip
HEADERS = {
    "Range": ["bytes=0-1", "bytes=-1,0-"], "If-Match": ["*"], "If-None-Match": ["*"], "If-Range": ['"a"'],
    "If-Modified-Since": ["Thu, 01 Jan 1970 00:00:00 GMT"], "Accept": ["application/json", "*/*;q=0"], "Etag": ["a"],
    "Content-Type": ["multipart/form-data; boundary=b", "a/b;swift_bytes=5", "text/plain"], "X-Newest": ["true"],
    "X-Container-Read": [".r:*", ".r:-x"], "X-Container-Write": ["a:b"], "X-Account-Access-Control": ["{}", "["],
    "X-Container-Meta-Quota-Bytes": ["5"], "X-Container-Meta-Web-Index": ["o"], "X-Container-Sync-To": ["//a/b/c/d"],
    "X-Container-Sync-Auth": ["a b c"], "X-Versions-Enabled": ["true", "false"], "X-Versions-Location": ["v"],
    "X-History-Location": ["h"], "X-Object-Manifest": ["c/p", "%FF/p"], "X-Symlink-Target": ["c/o", "%00/o"],
    "X-Symlink-Target-Etag": ["x"], "X-Symlink-Target-Account": ["a"], "X-Copy-From": ["c/o", "%"], "Referer": ["x"],
    "Destination": ["c/o", "%FF"], "Destination-Account": ["a"], "X-Delete-At": ["1"], "X-Delete-After": ["5"],
    "X-Detect-Content-Type": ["true"], "X-Fresh-Metadata": ["true"], "X-Storage-Policy": ["gold", "x"],
    "X-Web-Mode": ["true"], "Origin": ["http://a"], "Access-Control-Request-Method": ["PUT"], "Cookie": ["a=b"],
    "X-Trans-Id-Extra": ["a"], "X-Object-Meta-A": ["b"], "X-Container-Meta-A": ["b"], "X-Service-Token": ["t"],
    "X-Storage-Token": ["t"], "Content-Encoding": ["gzip"], "X-Timestamp": ["1"], "X-Open-Expired": ["true"],
}  # fmt: skip


def chosen(table, values):
    """A few names of a table, each with a value of its own or any other."""
    return st.lists(st.sampled_from(sorted(table)), max_size=4, unique=True).flatmap(
        lambda names: st.fixed_dictionaries({name: st.sampled_from(table[name]) | values for name in names})
    )


def archive_of(names):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name in names:
            tar.addfile(tarfile.TarInfo(name.encode("utf-8", "replace").decode() or "x"), io.BytesIO())
    return buffer.getvalue()


bodies = (
    st.just(b"")
    | st.binary(max_size=300)
    | st.lists(st.dictionaries(st.sampled_from(["path", "etag", "range", "data"]), text), max_size=3).map(
        lambda found: json.dumps(found).encode()
    )
    | st.lists(text, max_size=3).map(archive_of)
    | st.lists(line, max_size=4).map(lambda found: "\n".join(found).encode("latin-1"))
    | st.just(b'--b\r\nContent-Disposition: form-data; name="file"; filename="f"\r\n\r\nx\r\n--b--\r\n')
)
requests = st.tuples(
    st.sampled_from(METHODS), st.sampled_from(PLACES), chosen(PARAMETERS, text), chosen(HEADERS, line), bodies,
    st.sampled_from(["owner", "owner", "member", "anonymous"]),
)  # fmt: skip


def answered(swift, proxy, container, request):
    method, place, query, headers, body, user = request
    asks = swift[user]
    sent = {name: value.encode("latin-1") for name, value in headers.items()}
    if asks.token:
        sent["X-Auth-Token"] = asks.token.encode()
    sent["Content-Length"] = str(len(body)).encode()
    parameters = "&".join(f"{name}={quote(value)}" for name, value in query.items())
    path = asks.path(place.format(c=container)) + (f"?{parameters}" if parameters else "")
    before = proxy.cpu_s()
    try:
        answer = asks._exchange(method, path, sent, body, False)
    except (http.client.IncompleteRead, http.client.RemoteDisconnected, ConnectionError):
        asks.close()  # An answer that breaks off says by that what it has to say; the next one shows who still lives.
        return
    assert answer.status < 500 or answer.status in REFUSED, answer
    assert proxy.cpu_s() - before < CPU_S_MAX


@fuzz
@given(request=requests)
def test_requests(swift, proxy, target, request):
    answered(swift, proxy, target, request)


@pytest.mark.long
@settings(deadline=None, max_examples=5000, database=None, suppress_health_check=list(HealthCheck))
@given(request=requests)
def test_many_requests(swift, proxy, target, request):
    answered(swift, proxy, target, request)


PIECES = [
    b"GET ", b"PUT ", b"/v1/a/c/o", b"/healthcheck", b" HTTP/1.1", b" HTTP/1.0", b"\r\n", b"\n", b"\r", b"\r\n\r\n",
    b"Host: h", b"Content-Length: 5", b"Content-Length: ", b"Transfer-Encoding: chunked", b"Expect: 100-continue",
    b"0\r\n\r\n", b"5\r\nhello\r\n", b"Connection: close", b":", b" ", b"\x00", b"\xff", b"a" * 9000, b"GET / HTTP/1.1",
]  # fmt: skip


@fuzz
@given(pieces=st.lists(st.sampled_from(PIECES) | st.binary(max_size=20), max_size=14))
def test_anything_on_a_connection(swift, proxy, pieces):
    before = proxy.cpu_s()
    with socket.create_connection(swift.address, timeout=60) as connection:
        try:
            connection.sendall(b"".join(pieces))
            connection.shutdown(socket.SHUT_WR)
            answer = b"".join(iter(lambda: connection.recv(65536), b""))
        except (ConnectionResetError, BrokenPipeError):
            answer = b""
    assert not answer or answer.startswith(b"HTTP/1.1 ")
    if answer:
        status = int(answer.split()[1])
        assert status < 500 or status in REFUSED, answer[:300]
    assert proxy.cpu_s() - before < CPU_S_MAX


@pytest.mark.parametrize("format_", ["tar", "tar.gz", "tar.bz2"])
def test_archives_that_are_changed_somewhere(owner, proxy, container, format_):
    whole = io.BytesIO()
    with tarfile.open(fileobj=whole, mode=f"w:{format_.partition('.')[2]}") as tar:
        for number in range(3):
            info = tarfile.TarInfo(f"o{number}")
            info.size, info.pax_headers = 600, {"SCHILY.xattr.user.meta.a": "b"}
            tar.addfile(info, io.BytesIO(b"x" * 600))
    chances = random.Random(5)
    for _ in range(12):
        changed = bytearray(whole.getvalue())
        for _ in range(chances.randrange(1, 4)):
            changed[chances.randrange(len(changed))] = chances.randrange(256)
        before = proxy.cpu_s()
        answer = owner.put(f"{container}?extract-archive={format_}", body=bytes(changed))
        assert answer.status == 200 and b"500" not in answer.body, answer
        assert proxy.cpu_s() - before < CPU_S_MAX
