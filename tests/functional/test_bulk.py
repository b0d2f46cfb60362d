"""Archives and bulk deletes: features A5.5, A5.6, A2.10."""

import io
import tarfile
from urllib.parse import quote

import pytest

pytestmark = pytest.mark.cluster
JSON = {"Accept": "application/json"}


def tar(*files, mode="w"):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode, format=tarfile.PAX_FORMAT) as archive:
        for name, content, *attributes in files:
            info = tarfile.TarInfo(name)
            info.size, info.pax_headers = len(content), attributes[0] if attributes else {}
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def extract(user, archive, *path, format_="tar", **options):
    headers = {**JSON, **options.pop("headers", {})}
    return user.put(*path, query={"extract-archive": format_}, headers=headers, body=archive, **options)


def delete(user, *names, method="POST", path=(), **options):
    body = "\n".join(names).encode()
    return user.request(
        method, *path, query="bulk-delete", headers={**JSON, "Content-Type": "text/plain"}, body=body, **options
    )


@pytest.mark.parametrize(("mode", "format_"), [("w", "tar"), ("w:gz", "tar.gz"), ("w:bz2", "tar.bz2")])
def test_an_archive_becomes_objects(owner, container, mode, format_):
    archive = tar(
        (f"{container}/a", b"1"), (f"{container}/d/ü ½", b"2" * 100_000), (f"./{container}/e", b""), mode=mode
    )
    answer = extract(owner, archive, format_=format_)
    assert answer.status == 200
    assert answer.json == {
        "Number Files Created": 3,
        "Response Status": "201 Created",
        "Response Body": "",
        "Errors": [],
    }
    assert owner.names(container) == ["a", "d/ü ½", "e"]
    assert owner.get(container, "d/ü ½").body == b"2" * 100_000


def test_an_archive_below_a_prefix_and_sent_in_chunks(owner, container):
    archive = tar(("x", b"1"), ("y/z", b"2"))
    pieces = (archive[start : start + 1000] for start in range(0, len(archive), 1000))
    assert extract(owner, pieces, container, "under/here").json["Number Files Created"] == 2
    assert owner.names(container) == ["under/here/x", "under/here/y/z"]


def test_an_archive_makes_its_containers(owner, container):
    name = f"{container}-made"
    assert extract(owner, tar((f"{name}/o", b"1"))).json["Response Status"] == "201 Created"
    assert owner.get(name, "o").body == b"1"
    owner.tidy(name)


def test_attributes_of_files_become_headers(owner, container):
    attributes = {"SCHILY.xattr.user.mime_type": "a/b", "SCHILY.xattr.user.meta.color": "red"}
    extract(owner, tar(("o", b"1", attributes)), container)
    headers = owner.head(container, "o").headers
    assert headers["content-type"] == "a/b" and headers["x-object-meta-color"] == "red"


@pytest.mark.parametrize("archive", [b"", b"x" * 2000, tar(("o", b"1" * 900))[:700]])
def test_what_is_no_archive(owner, container, archive):
    answer = extract(owner, archive, container)
    assert answer.status == 200 and answer.json["Response Status"] == "400 Bad Request"
    assert answer.json["Response Body"].startswith("Invalid Tar File")
    assert owner.names(container) == []


def test_files_that_fail_are_reported(owner, container):
    long = "x" * 1025
    answer = extract(owner, tar(("good", b"1"), (long, b"2"), ("../climbs", b"3")), container)
    found = answer.json
    assert found["Number Files Created"] == 1 and found["Response Status"] == "400 Bad Request"
    assert sorted(status for _, status in found["Errors"]) == ["400 Bad Request", "400 Bad Request"]


def test_somebody_elses_account_takes_no_archive(swift, owner, container):
    answer = extract(swift.stranger, tar(("o", b"1")), container)
    assert answer.status == 200 and answer.json["Number Files Created"] == 0 and answer.json["Errors"]
    assert extract(swift.anonymous, tar(("o", b"1")), container).json["Response Status"].startswith("401")
    assert owner.names(container) == []


@pytest.mark.parametrize("format_", ["zip", "", "tar.xz"])
def test_formats_that_are_not_known(owner, container, format_):
    assert extract(owner, b"x", container, format_=format_).status == 400


@pytest.mark.parametrize("method", ["POST", "DELETE"])
def test_names_are_deleted(owner, container, method):
    for name in ("a", "b c", "ü/½"):
        owner.upload(container, name)
    lines = [f"/{container}/a", quote(f"{container}/b c"), quote(f"/{container}/ü/½"), f"/{container}/missing"]
    answer = delete(owner, *lines, method=method)
    assert answer.json == {
        "Number Deleted": 3,
        "Number Not Found": 1,
        "Response Status": "200 OK",
        "Response Body": "",
        "Errors": [],
    }
    assert owner.names(container) == []


def test_a_container_goes_after_its_objects(owner):
    name = owner.new_container()
    objects = [f"o{number}" for number in range(20)]
    for each in objects:
        owner.upload(name, each, b"")
    answer = delete(owner, *(f"{name}/{each}" for each in objects), name, path=(name,))
    assert answer.json["Number Deleted"] == 21, answer
    assert owner.head(name).status == 404


def test_a_container_that_is_not_empty_is_reported(owner, container):
    owner.upload(container, "o")
    answer = delete(owner, container)
    assert answer.json["Errors"] == [[container, "409 Conflict"]]
    assert answer.json["Response Status"] == "400 Bad Request"


@pytest.mark.parametrize(
    ("accept", "first"), [("text/plain", b"Number Deleted: 1\n"), ("application/xml", b"<delete>")]
)
def test_reports_in_other_forms(owner, container, accept, first):
    owner.upload(container, "o")
    answer = owner.post(query="bulk-delete", headers={"Accept": accept}, body=f"{container}/o\n".encode())
    assert answer.headers["content-type"] == accept and answer.body.lstrip().startswith(first)
    assert b"200 OK" in answer.body


def test_requests_that_never_begin(owner):
    answer = owner.post(query="bulk-delete", headers={"Accept": "image/png"}, body=b"x")
    assert answer.status == 200 and b"406 Not Acceptable" in answer.body


def test_nothing_of_somebody_else_is_deleted(swift, owner, container):
    owner.upload(container, "o")
    for user in (swift.stranger, swift.member, swift.anonymous):
        answer = delete(user, f"{container}/o")
        assert answer.json["Number Deleted"] == 0 and len(answer.json["Errors"]) == 1
    assert owner.names(container) == ["o"]


def test_too_many_names(owner):
    most = owner.raw("GET", "/info").json["bulk_delete"]["max_deletes_per_request"]
    answer = delete(owner, *(["none/such"] * (most + 1)))
    assert answer.json["Response Status"].startswith("413") and answer.json["Number Not Found"] == 0


test_too_many_names = pytest.mark.long(test_too_many_names)
