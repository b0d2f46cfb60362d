"""A pipeline without a filter refuses what the filter would have understood."""

import pytest

from objstore.proxy.unserved import MEANINGS, Unserved

ALL = sorted({name for meaning in MEANINGS for name in meaning.filters})
# Requests that mean something, and the filters that understand it: (method, query, headers, filters).
REQUESTS = [
    ("PUT", "extract-archive=tar", {}, ["bulk"]),
    ("PUT", "extract%2Darchive=tar", {}, ["bulk"]),
    ("POST", "bulk-delete", {}, ["bulk"]),
    ("DELETE", "a=b&bulk-delete=1", {}, ["bulk"]),
    ("GET", "temp_url_sig=0&temp_url_expires=5", {}, ["tempurl"]),
    ("HEAD", "temp_url_expires=5", {}, ["tempurl"]),
    ("POST", "", {"HTTP_X_ACCOUNT_META_TEMP_URL_KEY": "k"}, ["tempurl", "formpost"]),
    ("POST", "", {"HTTP_X_ACCOUNT_META_TEMP_URL_KEY_2": "k"}, ["tempurl", "formpost"]),
    ("PUT", "", {"HTTP_X_CONTAINER_META_TEMP_URL_KEY": "k"}, ["tempurl", "formpost"]),
    ("POST", "", {"CONTENT_TYPE": "multipart/form-data; boundary=b"}, ["formpost"]),
    ("POST", "", {"HTTP_X_CONTAINER_META_QUOTA_BYTES": "5"}, ["container_quotas"]),
    ("PUT", "", {"HTTP_X_CONTAINER_META_QUOTA_COUNT": "5"}, ["container_quotas"]),
    ("POST", "", {"HTTP_X_ACCOUNT_META_QUOTA_BYTES": "5"}, ["account_quotas"]),
    ("POST", "", {"HTTP_X_ACCOUNT_QUOTA_COUNT_POLICY_GOLD": "5"}, ["account_quotas"]),
    ("POST", "", {"HTTP_X_CONTAINER_META_WEB_INDEX": "i"}, ["staticweb"]),
    ("GET", "", {"HTTP_X_WEB_MODE": "true"}, ["staticweb"]),
    ("PUT", "", {"HTTP_X_CONTAINER_SYNC_TO": "//r/c/a/c"}, ["container_sync"]),
    ("PUT", "", {"HTTP_X_CONTAINER_SYNC_AUTH": "r n s"}, ["container_sync"]),
    ("POST", "", {"HTTP_X_CONTAINER_RFC_COMPLIANT_ETAGS": "true"}, ["etag_quoter"]),
    ("POST", "", {"HTTP_X_ACCOUNT_RFC_COMPLIANT_ETAGS": "true"}, ["etag_quoter"]),
    ("POST", "", {"HTTP_X_ACCOUNT_ACCESS_CONTROL": "{}"}, ["tempauth", "ldapauth"]),
]


def environ(method, query, headers):
    return {"REQUEST_METHOD": method, "QUERY_STRING": query, "PATH_INFO": "/v1/a/c/o", **headers}


@pytest.mark.parametrize(("method", "query", "headers", "filters"), REQUESTS)
def test_a_meaning_that_nobody_serves_is_refused(method, query, headers, filters):
    request = environ(method, query, headers)
    answer = Unserved(set(ALL) - set(filters)).refusal(request)
    assert answer is not None and answer.status == 501
    assert all(name in str(answer.body) for name in filters), "the client reads which filter is missing"
    for name in filters:
        assert Unserved([name, *(set(ALL) - set(filters))]).refusal(request) is None


def test_every_filter_has_a_request():
    assert {name for *_, filters in REQUESTS for name in filters} == set(ALL)


@pytest.mark.parametrize(
    ("method", "query", "headers"),
    [
        ("GET", "", {}),
        ("GET", "format=json&prefix=bulk-delete", {}),
        ("GET", "extract-archive=tar", {}),
        ("PUT", "x=temp_url_sig", {"CONTENT_TYPE": "multipart/form-data; boundary=b"}),
        ("POST", "", {"CONTENT_TYPE": "multipart/form-data"}),
        ("POST", "", {"HTTP_X_CONTAINER_META_QUOTA_BYTES": ""}),
        ("POST", "", {"HTTP_X_REMOVE_CONTAINER_META_QUOTA_BYTES": "x"}),
        ("GET", "", {"HTTP_X_CONTAINER_META_WEB_INDEX": "i"}),
        ("POST", "", {"HTTP_X_CONTAINER_META_COLOR": "red", "HTTP_X_CONTAINER_READ": ".r:*"}),
    ],
)
def test_plain_requests_need_no_filter(method, query, headers):
    assert Unserved([]).refusal(environ(method, query, headers)) is None
