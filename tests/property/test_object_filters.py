"""Whatever a client says to the filters for large objects, links and versions, and whatever they find stored: there is
an answer, never a failure."""

from urllib.parse import quote

from hypothesis import given
from hypothesis import strategies as st

from objstore.core.info import ContainerInfo
from objstore.core.limits import Limits
from objstore.http.environ import INFO
from objstore.http.response import Response
from objstore.middleware.catch_errors import CatchErrors, CatchErrorsSettings
from objstore.middleware.dlo import Dlo, DloSettings
from objstore.middleware.slo.filter import Slo
from objstore.middleware.slo.settings import SloSettings
from objstore.middleware.symlink import Symlink, SymlinkSettings
from objstore.middleware.versioning.filter import VersionedWrites
from objstore.middleware.versioning.settings import VersionedWritesSettings
from tests.support import bounds
from tests.support.infos import FixedInfos
from tests.support.pipeline import RecordingApp, send

INFOS = FixedInfos(
    {},
    {
        ("a", "plain"): ContainerInfo(204),
        ("a", "kept"): ContainerInfo(
            204, sysmeta={"versions-container": "%00versions%00kept", "versions-enabled": "True"}
        ),
        ("a", "stack"): ContainerInfo(204, sysmeta={"versions-location": "v", "versions-mode": "stack"}),
        ("a", "history"): ContainerInfo(204, sysmeta={"versions-location": "%ff", "versions-mode": "history"}),
    },
)
wsgi_texts = st.text([chr(c) for c in range(256) if c not in (10, 13)], max_size=30)
containers = st.sampled_from(["plain", "kept", "stack", "history"])
methods = st.sampled_from(["GET", "HEAD", "PUT", "POST", "DELETE"])
HEADERS = [
    "x-object-manifest", "x-symlink-target", "x-symlink-target-account", "x-symlink-target-etag", "x-versions-enabled",
    "x-versions-location", "x-history-location", "range", "if-match", "if-none-match", "if-range", "accept", "etag",
]  # fmt: skip
PARAMETERS = ["multipart-manifest", "part-number", "version-id", "symlink", "heartbeat", "async", "versions", "format"]
values = wsgi_texts | st.sampled_from(
    ["get", "put", "delete", "on", "null", "1", "bytes=0-1", "c/o", "1795232479.96376"]
)
queries = st.dictionaries(st.sampled_from(PARAMETERS), values, max_size=3).map(
    lambda found: "&".join(f"{name}={quote(value, encoding='latin-1')}" for name, value in found.items())
)
ANSWERS = {"GET": 404, "HEAD": 404, "PUT": 201, "POST": 202, "DELETE": 204}


def pipeline(answer):
    app = VersionedWrites(Symlink(RecordingApp(answer), SymlinkSettings()), VersionedWritesSettings(), Limits())
    return CatchErrors(Slo(Dlo(app, DloSettings(), 10), SloSettings()), CatchErrorsSettings())


@given(
    methods,
    containers,
    st.booleans(),
    queries,
    st.dictionaries(st.sampled_from(HEADERS), values, max_size=4),
    wsgi_texts,
)
@bounds.each_within_a_second
def test_any_request_is_answered(method, container, is_object, query, headers, text):
    app = pipeline(lambda environ: Response(ANSWERS[environ["REQUEST_METHOD"]], {"etag": "e"}))
    path = f"/v1/a/{container}" + (f"/o{text}" if is_object else "")
    body = text.encode("latin-1") if method == "PUT" else b""
    reply = send(app, method, path, query=query, headers=headers, body=body, **{INFO: INFOS})
    assert reply.status < 500, (reply.status, reply.body)


STORED = [
    "x-static-large-object", "x-object-manifest", "x-object-sysmeta-symlink-target", "x-object-sysmeta-slo-etag",
    "x-object-sysmeta-slo-size", "x-object-sysmeta-symlink-target-account", "x-object-sysmeta-symlink-target-etag",
    "x-object-sysmeta-allow-reserved-names", "x-object-sysmeta-symloop-extend", "content-type", "etag",
]  # fmt: skip
stored_values = wsgi_texts | st.sampled_from(
    ["True", "c/o", "5", "[]", "%00versions%00kept/%00o%001", "a/b;swift_bytes=x"]
)


@given(
    st.sampled_from(["GET", "HEAD"]),
    containers,
    queries,
    st.dictionaries(st.sampled_from(STORED), stored_values, max_size=4),
    st.binary(max_size=30) | st.sampled_from([b"[]", b'[{"name": "/c/o", "bytes": 1, "hash": "e"}]', b"null"]),
)
@bounds.each_within_a_second
def test_anything_stored_is_read_or_refused(method, container, query, stored, body):
    def answer(environ):
        length = {"content-length": str(len(body))}
        return Response(200, {"etag": "e", **stored, **length}, b"" if environ["REQUEST_METHOD"] == "HEAD" else body)

    reply = send(pipeline(answer), method, f"/v1/a/{container}/o", query=query, **{INFO: INFOS})
    assert reply.status < 500, (reply.status, reply.body)
