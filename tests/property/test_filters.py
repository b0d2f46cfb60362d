"""Whatever a client sends to a filter: it is understood or refused with a 4xx, and nothing that is cut is stored."""

import io
import json
import tarfile

from hypothesis import given
from hypothesis import strategies as st

from objstore.core.info import AccountInfo, ContainerInfo
from objstore.core.signatures import Signature
from objstore.http.environ import INFO
from objstore.middleware.archive import MODES, ArchiveError, members
from objstore.middleware.bulk import Bulk, BulkSettings
from objstore.middleware.catch_errors import CatchErrors, CatchErrorsSettings
from objstore.middleware.formpost import Formpost, FormpostSettings
from objstore.middleware.formpost_form import Form, FormError
from objstore.middleware.staticweb_page import Directory, Web, render
from objstore.middleware.tempurl import Tempurl, TempurlSettings
from objstore.middleware.tempurl_link import Link, parse_expiry
from tests.support import bounds
from tests.support.infos import FixedInfos
from tests.support.pipeline import RecordingApp, send
from tests.support.wsgi import MemoryBody

INFOS = FixedInfos(
    {"a": AccountInfo(204, meta={"temp-url-key": "k"})}, {("a", "c"): ContainerInfo(204, meta={"temp-url-key": "c"})}
)
texts = st.text(max_size=60)
wsgi_texts = st.text([chr(c) for c in range(256)], max_size=60)


class Body(MemoryBody):
    """A body that gives what it has in pieces of `step` bytes."""

    def __init__(self, data, step=7):
        super().__init__(data)
        self._step = step

    def read_some(self, size):
        return self.read(min(size, self._step))

    def readline(self, limit=-1):
        return self._file.readline(limit)


@given(texts)
@bounds.each_within_a_second
def test_signatures(text):
    found = Signature.parse(text)
    assert found is None or not found.is_of([b"m"], [b"k"])


@given(
    st.dictionaries(
        st.sampled_from(
            ["temp_url_sig", "temp_url_expires", "temp_url_prefix", "temp_url_ip_range", "filename", "inline"]
        ),
        texts,
    )
)
@bounds.each_within_a_second
def test_links(query):
    link = Link.parse(query)
    if link is not None:
        assert link.expires == parse_expiry(query["temp_url_expires"])
        link.admits("127.0.0.1"), link.messages("GET", "/v1/a/c/o", _PATH)


class _Path:
    version, account, container, obj = "v1", "a", "c", "o"


_PATH = _Path()


@given(wsgi_texts, wsgi_texts)
@bounds.each_within_a_second
def test_requests_by_link(rest, query):
    tempurl = Tempurl(inner := RecordingApp(), TempurlSettings(), now=lambda: 0)
    app = CatchErrors(tempurl, CatchErrorsSettings())
    reply = send(app, "GET", f"/v1/a/c/{rest}", query=f"temp_url_sig={query}&temp_url_expires=5", **{INFO: INFOS})
    assert reply.status in (401, 412) and not inner.seen, "nobody has signed it"


@given(st.binary(max_size=400), st.integers(1, 30))
@bounds.each_within_a_second
def test_forms_of_any_bytes(data, step):
    boundary = b'--b\r\nContent-Disposition: form-data; name="file"; filename="f"\r\n\r\n'
    for body in (data, boundary + data, data.replace(b"x", boundary)):
        form = Form(Body(body, step), "multipart/form-data; boundary=b")
        try:
            while form.next_file() is not None:
                for _ in form.pieces(1000):
                    pass
        except FormError:
            continue


@given(st.binary(max_size=300))
@bounds.each_within_a_second
def test_a_form_that_nobody_signed_stores_nothing(data):
    inner = RecordingApp()
    reply = send(
        Formpost(inner, FormpostSettings(), now=lambda: 0),
        "POST",
        "/v1/a/c/p",
        headers={"Content-Type": "multipart/form-data; boundary=b"},
        **{INFO: INFOS, "wsgi.input": Body(data)},
    )
    assert reply.status in (400, 401) and not inner.seen


@given(st.binary(max_size=600), st.sampled_from(sorted(MODES)))
@bounds.each_within_a_second
def test_archives_of_any_bytes(data, format_):
    try:
        for member in members(io.BytesIO(data), format_):
            b"".join(member.pieces(100))
    except ArchiveError:
        return


@given(
    st.lists(st.tuples(texts, st.binary(max_size=40), st.dictionaries(texts, texts, max_size=3)), max_size=4), st.data()
)
@bounds.each_within_a_second
def test_archives_that_are_changed_somewhere(files, data):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, content, attributes in files:
            info = tarfile.TarInfo(name.encode("utf-8", "replace").decode() or "x")
            info.size = len(content)
            keys = {f"SCHILY.xattr.user.{key}": value for key, value in attributes.items() if key.isalnum()}
            info.pax_headers = {key: value.encode("utf-8", "replace").decode() for key, value in keys.items()}
            archive.addfile(info, io.BytesIO(content))
    changed = bytearray(buffer.getvalue())
    position = data.draw(st.integers(0, len(changed) - 1))
    changed[position] ^= data.draw(st.integers(1, 255))
    try:
        for member in members(io.BytesIO(bytes(changed)), "tar"):
            assert all("\n" not in value and "\0" not in value for value in member.headers.values())
            b"".join(member.pieces(100))
    except ArchiveError:
        return


@given(st.binary(max_size=400), st.sampled_from(["application/json", "text/plain", "application/xml"]))
@bounds.each_within_a_second
def test_lists_of_names_to_delete(data, accept):
    inner = RecordingApp()
    app = Bulk(inner, BulkSettings(), 1000)
    reply = send(
        app,
        "POST",
        "/v1/a",
        query="bulk-delete",
        headers={"Accept": accept},
        **{"wsgi.input": Body(data), "CONTENT_LENGTH": str(len(data))},
    )
    assert reply.status == 200
    if accept == "application/json":
        found = json.loads(reply.body)
        lines = [line for line in data.split(b"\n") if line.strip()]
        assert found["Number Deleted"] + len(found["Errors"]) == len(lines)
    assert all(environ["PATH_INFO"].startswith("/v1/a/") for environ in inner.seen)


@given(
    st.lists(
        st.fixed_dictionaries({"name": texts, "bytes": st.integers(0)}) | st.fixed_dictionaries({"subdir": texts})
    ),
    texts,
    texts,
)
@bounds.each_within_a_second
def test_pages_hold_nothing_but_their_own_markup(rows, title, css):
    page = render(Web(css=css, label=title), Directory(title, "", title), rows)
    for forbidden in ("<script", "<img", "javascript:"):
        assert forbidden not in page
    assert page.count("<tr ") <= len(rows) + 1 and page.count("<a ") <= len(rows)
