"""middleware/dlo.py over real storage servers."""

import itertools

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


@pytest.fixture
def container(site):
    path = f"/v1/AUTH_dlo/c{next(_numbers)}"
    assert site.put(path).status == 201
    for index in range(5):
        site.put(f"{path}/p/{index}", body=bytes([97 + index]) * 3)
    site.put(f"{path}/m", {"x-object-manifest": f"{path.rpartition('/')[2]}/p/"})
    return path


def test_a_listing_of_several_pages_is_streamed_without_a_length(nodes, site, container):
    paged = FilteredClient(nodes.proxy(), page_rows=2)
    paged.faults.append(lambda environ: _limit(environ, 2))
    for headers in ({}, {"range": "bytes=0-1"}):
        reply = paged.get(f"{container}/m", headers)
        assert (reply.status, reply.body) == (200, b"aaabbbcccdddeee")
        assert "content-length" not in reply.headers and "etag" not in reply.headers
    assert paged.get(f"{container}/m", {"if-match": "x"}).status == 412


def _limit(environ, rows):
    """As a cluster whose pages are short."""
    if environ["QUERY_STRING"].startswith("format=json&prefix="):
        environ["QUERY_STRING"] += f"&limit={rows}"


def test_a_listing_that_cannot_be_had_is_no_empty_object(site, container):
    site.faults.append(lambda environ: 503 if "prefix=" in environ.get("QUERY_STRING", "") else None)
    assert site.get(f"{container}/m").status == 503


def test_a_segment_that_is_a_static_large_object_is_refused(site, container):
    name = container.rpartition("/")[2]
    body = f'[{{"path": "/{name}/p/0"}}]'.encode()
    assert site.request("PUT", f"{container}/p/9", body=body, query="multipart-manifest=put").status == 201
    assert site.get(f"{container}/m").status == 409


@pytest.mark.parametrize("etag", ["", "47bce5c74f589f4867dbd57e9ca9f808"])
def test_a_link_is_a_segment_by_what_it_leads_to(site, container, etag):
    headers = {"x-symlink-target": f"{container.rpartition('/')[2]}/p/0"}
    if etag:
        headers["x-symlink-target-etag"] = etag
    assert site.put(f"{container}/p/9", headers).status == 201
    assert site.get(f"{container}/m").body == b"aaabbbcccdddeeeaaa"
    assert site.head(f"{container}/m").headers["content-length"] == "18"


def test_a_segment_that_cannot_be_read_is_a_conflict_before_the_first_byte(site, container):
    site.faults.append(fails("GET", "/p/1"))
    assert site.get(f"{container}/m").status == 409
    assert site.get(f"{container}/m", {"range": "bytes=6-8"}).body == b"ccc"
