"""middleware/bulk*.py and archive.py: features A5.5, A5.6, A2.10."""

import io
import json
import tarfile
import tracemalloc

import pytest

from objstore.core.errors import ClientDisconnected
from objstore.http.environ import AUTHORIZE_OVERRIDE
from objstore.http.response import Response
from objstore.middleware.archive import ArchiveError, members
from objstore.middleware.bulk import Bulk, BulkSettings
from objstore.middleware.bulk_report import Report
from tests.support.pipeline import send
from tests.support.wsgi import MemoryBody

FILE_BYTES = 1000


class Lines(MemoryBody):
    def readline(self, limit=-1):
        return self._file.readline(limit)


class Store:
    """Containers and objects in a dict; `answers` are statuses by path that win over what is there."""

    def __init__(self, *names, answers=None):
        self.names = {f"/v1/a/{name}": b"" for name in names}
        self.headers = {}
        self.answers = answers or {}
        self.order = []

    def __call__(self, environ, start_response):
        method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
        assert AUTHORIZE_OVERRIDE not in environ
        self.order.append((method, path))
        status = self.answers.get(path)
        if status is None:
            status = getattr(self, f"_{method.lower()}")(path, environ)
        return Response(status, {}, b"")(environ, start_response)

    def _head(self, path, environ):
        return 204 if path in self.names else 404

    def _delete(self, path, environ):
        if any(name.startswith(f"{path}/") for name in self.names):
            return 409
        return 204 if self.names.pop(path, None) is not None else 404

    def _put(self, path, environ):
        try:
            self.names[path] = environ["wsgi.input"].read()
        except ClientDisconnected:
            return 499
        self.headers[path] = {
            key: value for key, value in environ.items() if key.startswith(("HTTP_X_OB", "HTTP_X_DEL", "CONTENT_T"))
        }
        return 201


def bulk(store, **pairs):
    settings, problems = BulkSettings.from_pairs(pairs)
    assert not problems
    return Bulk(store, settings, FILE_BYTES)


def delete(store, *lines, path="/v1/a", method="POST", accept="application/json", **pairs):
    body = "\n".join(lines).encode()
    return _report(store, method, path, "bulk-delete", body, accept, pairs)


def extract(store, archive, path="/v1/a", query="extract-archive=tar", accept="application/json", headers=(), **pairs):
    return _report(store, "PUT", path, query, archive, accept, pairs, dict(headers))


def _report(store, method, path, query, body, accept, pairs, headers=None):
    reply = send(
        bulk(store, **pairs),
        method,
        path,
        query=query,
        headers={"Accept": accept, **(headers or {})},
        **{"wsgi.input": Lines(body), "CONTENT_LENGTH": str(len(body))},
    )
    if accept != "application/json":
        return reply
    assert reply.status == 200 and reply.headers["content-type"] == "application/json"
    return json.loads(reply.body)


def test_objects_and_containers_are_deleted():
    store = Store("c", "c/o 1", "c/\xc3\xa9", "d")
    found = delete(store, "/c/o%201", "c/%C3%A9", "/d", "/d/missing", "", "c")
    assert found == {
        "Number Deleted": 4,
        "Number Not Found": 1,
        "Response Status": "200 OK",
        "Response Body": "",
        "Errors": [],
    }
    assert not store.names


def test_a_container_waits_for_its_objects():
    names = [f"c/{number}" for number in range(20)]
    store = Store("c", *names)
    assert delete(store, *names, "c", delete_concurrency="10")["Number Deleted"] == 21
    assert store.order[-1] == ("DELETE", "/v1/a/c")


@pytest.mark.parametrize("path", ["/v1/a", "/v1/a/c"])
@pytest.mark.parametrize("method", ["POST", "DELETE"])
def test_the_url_may_be_that_of_the_account_or_of_a_container(path, method):
    assert delete(Store("c", "c/o"), "c/o", path=path, method=method)["Number Deleted"] == 1


@pytest.mark.parametrize(
    ("answers", "status", "errors"),
    [
        ({"/v1/a/c/1": 403}, "400 Bad Request", [["c/1", "403 Forbidden"]]),
        ({"/v1/a/c/1": 503}, "502 Bad Gateway", [["c/1", "503 Service Unavailable"]]),
        (
            {"/v1/a/c/1": 503, "/v1/a/c/2": 403},
            "400 Bad Request",
            [["c/1", "503 Service Unavailable"], ["c/2", "403 Forbidden"]],
        ),
    ],
)
def test_what_cannot_be_deleted_is_reported_and_the_rest_goes_on(answers, status, errors):
    found = delete(Store("c/1", "c/2", "c/3", answers=answers), "c/1", "c/2", "c/3")
    assert found["Response Status"] == status and sorted(found["Errors"]) == errors
    assert found["Number Deleted"] == 3 - len(errors)


@pytest.mark.parametrize(
    ("lines", "error"),
    [
        (["c/%ff"], ["c/%ff", "412 Precondition Failed"]),
        (["/"], ["/", "403 Forbidden"]),
    ],
)
def test_lines_that_are_no_names(lines, error):
    found = delete(Store("c/1"), *lines, "c/1")
    assert found["Errors"] == [error] and found["Number Deleted"] == 1


def test_nothing_to_delete_is_an_error():
    assert delete(Store(), "", "")["Response Body"] == "Invalid bulk delete."


def test_too_many_names():
    found = delete(Store("c/1", "c/2", "c/3"), "c/1", "c/2", "c/3", max_deletes_per_request="2")
    assert (
        found["Response Status"].startswith("413") and found["Response Body"] == "Maximum Bulk Deletes: 2 per request"
    )
    assert found["Number Deleted"] == 0, "a list that is too long deletes nothing"


def test_a_line_that_no_name_can_be():
    store = Store("c/1")
    found = delete(store, "c/1", "c/" + "x" * 4000)
    assert found["Response Status"].startswith("400") and found["Response Body"] == "Invalid File Name"
    assert not store.order


def test_too_many_failures():
    store = Store(answers={f"/v1/a/c/{number}": 403 for number in range(9)})
    found = delete(store, *(f"c/{number}" for number in range(9)), max_failed_deletes="3", delete_concurrency="1")
    assert found["Response Body"] == "Max delete failures exceeded" and len(store.order) == 3


def test_text_and_xml():
    reply = delete(Store("c/<&"), "c/<&", "c/missing", accept="text/plain")
    assert reply.body == b"Number Deleted: 1\nNumber Not Found: 1\nResponse Body: \nResponse Status: 200 OK\nErrors:\n"
    reply = delete(Store(answers={"/v1/a/c/<&": 403}), "c/<&", accept="application/xml")
    assert b"<response_status>400 Bad Request</response_status>" in reply.body
    assert b"<name>c/%3C%26</name><status>403 Forbidden</status>" in reply.body


def test_every_name_of_an_xml_report_is_escaped():
    report = Report("delete")
    report.errors.append(("a<b", "400 <x>"))
    assert b"<name>a&lt;b</name><status>400 &lt;x&gt;</status>" in report.render("application/xml")


@pytest.mark.parametrize(
    ("accept", "length", "status"),
    [("image/png", "1", "406 Not Acceptable"), ("application/json", "", "411 Length Required")],
)
def test_requests_that_never_begin(accept, length, status):
    store = Store()
    headers = {"Accept": accept, "Content-Length": length}
    reply = send(bulk(store), "POST", "/v1/a", query="bulk-delete", headers=headers)
    assert reply.status == 200 and status in reply.body.decode() and not store.order


@pytest.mark.parametrize(
    ("method", "query"),
    [("GET", "bulk-delete"), ("PUT", "bulk-delete"), ("POST", "extract-archive=tar"), ("PUT", "x=1")],
)
def test_other_requests_pass(method, query):
    store = Store("c", answers={"/v1/a/c": 299})
    assert send(bulk(store), method, "/v1/a/c", query=query).status == 299


# Archives


def tar(*files, mode="w", format_=tarfile.PAX_FORMAT):
    """files: (name, content) or (name, content, pax headers), or a TarInfo."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode, format=format_) as archive:
        for file in files:
            if isinstance(file, tarfile.TarInfo):
                archive.addfile(file)
                continue
            info = tarfile.TarInfo(file[0])
            info.size = len(file[1])
            info.pax_headers = file[2] if len(file) > 2 else {}
            archive.addfile(info, io.BytesIO(file[1]))
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("mode", "format_"), [("w", "tar"), ("w:gz", "tar.gz"), ("w:bz2", "tar.bz2"), ("w:gz", ".tar.gz")]
)
def test_files_become_objects(mode, format_):
    store = Store()
    archive = tar(("c/one", b"1"), ("./c/d/two", b"22"), ("/e/\u00e9", b""), mode=mode)
    found = extract(store, archive, query=f"extract-archive={format_}")
    assert found == {
        "Number Files Created": 3,
        "Response Status": "201 Created",
        "Response Body": "",
        "Errors": [],
    }
    assert store.names == {
        "/v1/a/c": b"",
        "/v1/a/c/one": b"1",
        "/v1/a/c/d/two": b"22",
        "/v1/a/e": b"",
        "/v1/a/e/\xc3\xa9": b"",
    }


@pytest.mark.parametrize(
    ("path", "name"), [("/v1/a/c", "/v1/a/c/x/y"), ("/v1/a/c/p", "/v1/a/c/p/x/y"), ("/v1/a/c/p/q/", "/v1/a/c/p/q/x/y")]
)
def test_the_url_may_say_where_they_go(path, name):
    store = Store("c")
    assert extract(store, tar(("x/y", b"1")), path=path)["Number Files Created"] == 1
    assert name in store.names


def test_only_regular_files_count():
    link, directory = tarfile.TarInfo("c/link"), tarfile.TarInfo("c/dir")
    link.type, link.linkname, directory.type = tarfile.SYMTYPE, "/etc/passwd", tarfile.DIRTYPE
    store = Store()
    assert extract(store, tar(link, directory, ("c/file", b"")))["Number Files Created"] == 1
    assert extract(Store(), tar(link))["Response Body"] == "Invalid Tar File: No Valid Files"


@pytest.mark.parametrize("name", ["c/../d/o", "../d/o", "c/.."])
def test_rustfs_an_entry_does_not_climb_out_of_its_container(name):
    store = Store("c", "d")
    found = extract(store, tar((name, b"1"), ("c/good", b"")))
    assert found["Number Files Created"] == 1 and len(found["Errors"]) == 1
    assert set(store.names) == {"/v1/a/c", "/v1/a/d", "/v1/a/c/good"}


@pytest.mark.parametrize("name", ["file", "c/"])
def test_a_file_outside_of_every_container_is_left_out(name):
    store = Store()
    assert extract(store, tar((name, b"1"), ("d/good", b"")))["Number Files Created"] == 1
    assert set(store.names) == {"/v1/a/d", "/v1/a/d/good"}


def test_the_headers_of_the_request_hold_for_every_file():
    store = Store("c")
    headers = {"X-Object-Meta-A": "b", "X-Delete-After": "60", "Content-Type": "q/q"}
    extract(store, tar(("c/o", b"", {"SCHILY.xattr.user.meta.a": "own"}), ("c/p", b"")), headers=headers)
    assert store.headers["/v1/a/c/o"]["HTTP_X_OBJECT_META_A"] == "own"
    assert store.headers["/v1/a/c/p"] == {"HTTP_X_OBJECT_META_A": "b", "HTTP_X_DELETE_AFTER": "60"}


def test_attributes_become_headers():
    attributes = {
        "SCHILY.xattr.user.mime_type": "a/b",
        "SCHILY.xattr.user.meta.color": "r\u00f6t",
        "LIBARCHIVE.xattr.user.meta.size": "big",
        "LIBARCHIVE.xattr.user.mime_type": "not/this",
        "SCHILY.xattr.user.meta.evil": "x\r\ny: z",
        "SCHILY.xattr.security.selinux": "no",
    }
    store = Store()
    extract(store, tar(("c/o", b"", attributes)))
    assert store.headers["/v1/a/c/o"] == {
        "CONTENT_TYPE": "a/b",
        "HTTP_X_OBJECT_META_COLOR": "r\xc3\xb6t",
        "HTTP_X_OBJECT_META_SIZE": "big",
    }


def test_a_file_that_fails_is_reported_and_the_rest_goes_on():
    store = Store("c", answers={"/v1/a/c/1": 413})
    found = extract(store, tar(("c/1", b"x" * 900), ("c/2", b"y"), ("c/big", b"z" * (FILE_BYTES + 1))))
    assert found["Number Files Created"] == 1 and found["Response Status"] == "400 Bad Request"
    assert found["Errors"] == [["c/1", "413 Request Entity Too Large"], ["c/big", "413 Request Entity Too Large"]]


def test_of_two_files_with_one_name_the_later_wins_and_errors_keep_their_order():
    store = Store("c", answers={f"/v1/a/c/{number}": 503 for number in range(0, 20, 3)})
    found = extract(
        store, tar(*[(f"c/{number}", b"x") for number in range(20)], ("c/1", b"early"), ("c/1", b"late")),
        max_failed_extractions="100",
    )  # fmt: skip
    assert [name for name, _ in found["Errors"]] == [f"c/{number}" for number in range(0, 20, 3)]
    assert store.names["/v1/a/c/1"] == b"late" and found["Number Files Created"] == 15


def test_files_under_way_when_an_archive_breaks_off_are_counted():
    store = Store("c")
    whole = tar(("c/1", b"x"), ("c/2", b"y"), ("c/3", b"z" * 5000))
    found = extract(store, whole[: len(whole) - 14000])
    assert found["Response Status"] == "400 Bad Request"
    assert found["Number Files Created"] == len([path for path in store.names if path.startswith("/v1/a/c/")]) == 2


def test_an_archive_of_somebody_unknown_ends_at_once():
    store = Store(answers={"/v1/a/c": 401})
    found = extract(store, tar(("c/1", b""), ("c/2", b"")))
    assert found["Response Status"] == "401 Unauthorized" and len(store.order) == 1


def test_too_many_containers_and_too_many_failures():
    found = extract(Store(), tar(("c/1", b""), ("d/1", b""), ("e/1", b"")), max_containers_per_extraction="2")
    assert "More than 2 containers" in found["Response Body"] and found["Number Files Created"] == 2
    found = extract(Store(), tar(*[("x/..", b"")] * 9), max_failed_extractions="3")
    assert found["Response Body"] == "Max failures exceeded." and len(found["Errors"]) == 3


@pytest.mark.parametrize(
    ("archive", "format_"),
    [
        (b"", "tar"),
        (b"no tar" * 200, "tar"),
        (b"no gzip", "tar.gz"),
        (tar(("c/o", b"x" * 900), mode="w:gz")[:-20], "tar.gz"),
        (tar(("c/o", b"x" * 900))[:700], "tar"),
        (tar(("c/o", b""))[:100], "tar"),
    ],
)
def test_what_is_no_whole_archive(archive, format_):
    store = Store("c")
    found = extract(store, archive, query=f"extract-archive={format_}")
    assert found["Response Status"] == "400 Bad Request" and found["Response Body"].startswith("Invalid Tar File")
    assert set(store.names) == {"/v1/a/c"}, "half a file is no object"


@pytest.mark.parametrize("format_", ["zip", "", "tar.xz"])
def test_other_formats_are_refused(format_):
    reply = send(bulk(Store()), "PUT", "/v1/a", query=f"extract-archive={format_}", body=b"x")
    assert reply.status == 400 and b"tar.bz2" in reply.body


def test_a_description_of_a_gigabyte_is_not_read():
    info = tarfile.TarInfo("c/o")
    header = bytearray(info.tobuf(tarfile.PAX_FORMAT))
    header[156:157] = tarfile.XHDTYPE
    header[124:136] = b"%011o\0" % (1 << 30)
    header[148:156] = b"        "
    header[148:156] = b"%06o\0 " % sum(header)
    with pytest.raises(ArchiveError, match="description"):
        next(members(io.BytesIO(bytes(header) + bytes(10240)), "tar"))


def test_memory_stays_flat_over_many_members():
    archive = io.BytesIO(tar(*((f"c/{number}", b"") for number in range(5000))))
    tracemalloc.start()
    try:
        count = sum(1 for _ in members(archive, "tar"))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert count == 5000 and peak < 1 << 20


def test_a_client_that_leaves_is_no_bad_archive():
    class Leaving(Lines):
        def read(self, size=-1):
            piece = super().read(size)
            if size != 0 and not piece:
                raise ClientDisconnected("gone")
            return piece

    archive = tar(("c/o", b"x" * 900))[:700]
    reply = send(
        bulk(Store("c")),
        "PUT",
        "/v1/a",
        query="extract-archive=tar",
        headers={"Accept": "application/json"},
        **{"wsgi.input": Leaving(archive), "CONTENT_LENGTH": "9000"},
    )
    assert json.loads(reply.body)["Response Status"].startswith("499")
