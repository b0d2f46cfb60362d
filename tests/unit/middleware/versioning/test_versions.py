"""middleware/versioning over real storage servers, with faults at every step: nothing is replaced without a copy."""

import itertools
import json

import pytest

from tests.support.object_filters import FilteredClient, fails
from tests.support.storage_nodes import StorageNodes

_numbers = itertools.count()


@pytest.fixture(scope="module")
def nodes(tmp_path_factory):
    with StorageNodes(tmp_path_factory.mktemp("nodes")) as running:
        yield running


@pytest.fixture
def site(nodes):
    return FilteredClient(nodes.proxy())


def made(site, headers=()):
    path = f"/v1/AUTH_vw/c{next(_numbers)}"
    assert site.put(path, headers).status == 201
    return path


def versions(site, container):
    return json.loads(site.get(container, query="versions&format=json").body)


@pytest.fixture
def kept(site):
    return made(site, {"x-versions-enabled": "true"})


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
@pytest.mark.parametrize("broken", [("PUT", "\0versions\0"), ("GET", "/o")])
def test_a_first_object_that_cannot_be_kept_is_not_replaced(site, method, broken):
    c = made(site)
    site.put(f"{c}/o", body=b"before")
    site.post(c, {"x-versions-enabled": "true"})
    site.faults.append(fails(*broken))
    assert site.request(method, f"{c}/o", body=b"after" if method == "PUT" else b"").status == 503
    site.faults.clear()
    assert site.get(f"{c}/o").body == b"before"


def test_a_version_whose_link_failed_stays(site, kept):
    site.put(f"{kept}/o", body=b"one")
    site.faults.append(
        lambda environ: 503 if (environ["REQUEST_METHOD"], environ["PATH_INFO"]) == ("PUT", f"{kept}/o") else None
    )
    assert site.put(f"{kept}/o", body=b"two").status == 503
    site.faults.clear()
    assert site.get(f"{kept}/o").body == b"one"
    bodies = {site.get(f"{kept}/o", query=f"version-id={row['version_id']}").body for row in versions(site, kept)}
    assert bodies == {b"one", b"two"}


def test_a_marker_that_cannot_be_stored_deletes_nothing(site, kept):
    site.put(f"{kept}/o", body=b"one")
    site.faults.append(fails("PUT", "\0versions\0"))
    assert site.delete(f"{kept}/o").status == 503
    site.faults.clear()
    assert site.get(f"{kept}/o").body == b"one"


def test_a_version_is_not_removed_while_its_link_is_there(site, kept):
    version = site.put(f"{kept}/o", body=b"one").headers["x-object-version-id"]
    site.faults.append(
        lambda environ: 503 if (environ["REQUEST_METHOD"], environ["PATH_INFO"]) == ("DELETE", f"{kept}/o") else None
    )
    assert site.delete(f"{kept}/o", query=f"version-id={version}").status == 503
    site.faults.clear()
    assert site.get(f"{kept}/o").body == b"one"


def test_what_is_current_is_known_before_a_version_goes(site, kept):
    version = site.put(f"{kept}/o", body=b"one").headers["x-object-version-id"]
    site.faults.append(fails("HEAD", f"{kept}/o"))
    assert site.delete(f"{kept}/o", query=f"version-id={version}").status == 503
    site.faults.clear()
    assert site.get(f"{kept}/o").body == b"one"


def test_a_container_is_switched_on_only_with_a_place_for_versions(site):
    c = made(site)
    site.faults.append(fails("PUT", "\0versions\0"))
    assert site.post(c, {"x-versions-enabled": "true"}).status == 503
    site.faults.clear()
    assert "x-versions-enabled" not in site.head(c).headers


def test_expiry_is_of_what_is_current_and_never_of_a_version(site):
    c = made(site)
    site.put(f"{c}/o", {"x-delete-at": "4000000000"}, body=b"one")
    site.post(c, {"x-versions-enabled": "true"})
    site.put(f"{c}/o", {"x-delete-at": "4000000000"}, body=b"two")
    site.post(f"{c}/o", {"x-delete-at": "4000000001"})
    assert site.head(f"{c}/o", query="symlink=get").headers["x-delete-at"] == "4000000001"
    for row in versions(site, c):
        head = site.head(f"{c}/o", query=f"version-id={row['version_id']}")
        assert head.status == 200 and "x-delete-at" not in head.headers


def test_a_forbidden_put_stores_no_version(site, kept):
    site.put(f"{kept}/o", body=b"one")
    assert site.put(f"{kept}/o", {"if-none-match": "*"}, body=b"two").status == 412
    assert len(versions(site, kept)) == 1


@pytest.mark.parametrize("header", ["x-versions-location", "x-history-location"])
@pytest.mark.parametrize("broken", ["GET", "PUT"])
def test_what_cannot_be_copied_is_not_replaced(site, header, broken):
    v = made(site)
    c = made(site, {header: v.rpartition("/")[2]})
    site.put(f"{c}/o", body=b"one")
    site.faults.append(fails("GET", f"{c}/o") if broken == "GET" else fails("PUT", f"{v}/"))
    assert site.put(f"{c}/o", body=b"two").status == 503
    site.faults.clear()
    assert site.get(f"{c}/o").body == b"one"


@pytest.mark.parametrize("broken", [("GET", "/001o"), ("PUT", "/o")])
def test_a_version_goes_only_when_it_is_current_again(site, broken):
    v = made(site)
    c = made(site, {"x-versions-location": v.rpartition("/")[2]})
    site.put(f"{c}/o", body=b"one")
    site.put(f"{c}/o", body=b"two")
    site.faults.append(fails(*broken))
    assert site.delete(f"{c}/o").status == 503
    site.faults.clear()
    assert site.get(f"{c}/o").body == b"two"
    assert len(json.loads(site.get(v).body)) == 1


def test_versions_that_cannot_be_listed_do_not_mean_that_there_are_none(site):
    v = made(site)
    c = made(site, {"x-versions-location": v.rpartition("/")[2]})
    site.put(f"{c}/o", body=b"one")
    site.put(f"{c}/o", body=b"two")
    site.faults.append(lambda environ: 503 if "reverse=true" in environ.get("QUERY_STRING", "") else None)
    assert site.delete(f"{c}/o").status == 503
    site.faults.clear()
    assert site.get(f"{c}/o").body == b"two"
