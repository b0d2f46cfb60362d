"""The pipeline of a new cluster, with one filter taken out: what it understood is refused, never taken for plain."""

import dataclasses

import pytest

from objstore.cli.assembly import build, completed
from objstore.config.inifile import Entry, read_ini
from objstore.config.report import pipeline
from objstore.middleware.pipeline import MANDATORY, canonical
from tests.support.cluster import Cluster
from tests.support.pipeline import send
from tests.support.wsgi import MemoryBody

FORM = {"Content-Type": "multipart/form-data; boundary=b"}
# What each filter that may be missing understands: (method, path below the account, query, headers).
OPTIONAL = {
    "bulk": [("PUT", "/c", "extract-archive=tar", {}), ("POST", "", "bulk-delete", {})],
    "tempurl": [("GET", "/c/o", "temp_url_sig=00&temp_url_expires=5", {})],
    "formpost": [("POST", "/c/", "", FORM)],
    "container_quotas": [("POST", "/c", "", {"X-Container-Meta-Quota-Bytes": "5"})],
    "account_quotas": [("POST", "", "", {"X-Account-Quota-Bytes": "5"})],
    "staticweb": [("POST", "/c", "", {"X-Container-Meta-Web-Index": "i"}), ("GET", "/c/", "", {"X-Web-Mode": "t"})],
    "container_sync": [("POST", "/c", "", {"X-Container-Sync-To": "//r/c/a/c"})],
    "etag_quoter": [("POST", "/c", "", {"X-Container-Rfc-Compliant-Etags": "true"})],
}
NO_MEANING = frozenset({"healthcheck", "proxy_logging", "memcache", "ratelimit", "tempauth"})
"""Filters of the default pipeline that ask nothing of a client's request but what everybody has to say."""


@pytest.fixture(scope="module")
def ini(tmp_path_factory):
    cluster = Cluster(tmp_path_factory.mktemp("assembly") / "cluster", nodes=1, replicas=1).init()
    yield read_ini(cluster.directory.etc / "proxy-server.conf")
    cluster.close()


def without(ini, filter_):
    names = [name for name in pipeline(ini) if canonical(name) != filter_]
    sections = {**ini.sections, "pipeline:main": {"pipeline": Entry("pipeline", " ".join(names), ini.path, 0)}}
    return dataclasses.replace(ini, sections=sections)


def ask(app, method, path, query, headers):
    return send(app, method, f"/v1/AUTH_a{path}", query=query, headers=headers, **{"wsgi.input": MemoryBody(b"")})


@pytest.mark.parametrize("filter_", OPTIONAL)
def test_what_a_missing_filter_understood_is_refused(ini, filter_):
    app, _ = build(without(ini, filter_), "proxy-server")
    for request in OPTIONAL[filter_]:
        reply = ask(app, *request)
        assert reply.status == 501 and filter_.encode() in reply.body, request
        assert "x-trans-id" in dict(reply.headers)


@pytest.mark.parametrize("filter_", [mandatory.name for mandatory in MANDATORY])
def test_a_filter_that_must_be_there_is_put_back(ini, filter_):
    full, notes = completed(without(ini, filter_))
    assert filter_ in map(canonical, pipeline(full)) and any(note.startswith(f"{filter_}:") for note in notes)


def test_every_filter_of_the_default_pipeline_is_in_one_of_the_tables(ini):
    known = {*OPTIONAL, *NO_MEANING, *(mandatory.name for mandatory in MANDATORY)}
    assert set(map(canonical, pipeline(ini)[:-1])) <= known
