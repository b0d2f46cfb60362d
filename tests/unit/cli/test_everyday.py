"""The commands for users, as far as they need no cluster: who logs in where, sizes, times, progress, forms."""

import argparse
import io
import json
import re

import pytest

from objstore.cli import form_signature, login
from objstore.cli.expiry import expiry
from objstore.cli.progress_lines import ProgressLines
from objstore.cli.remote import printable, size_shown
from objstore.cli.terminal import CommandError, Terminal
from objstore.client.login import Given, KeystoneV3, PasswordV1
from objstore.client.work import Done, Job, Kind, Progress
from objstore.core.info import AccountInfo, ContainerInfo
from objstore.http.environ import INFO
from objstore.middleware.formpost import Formpost, FormpostSettings
from tests.functional.everyday import Terminal as Screen
from tests.support.cluster import objstore
from tests.support.infos import FixedInfos
from tests.support.pipeline import send
from tests.unit.middleware.test_formpost import Slow, Store, encoded

KEYSTONE = {"OS_AUTH_URL": "http://id/v3", "OS_USERNAME": "u", "OS_PASSWORD": "p", "OS_PROJECT_NAME": "q"}
TEMPAUTH = {"ST_AUTH": "http://h/auth", "ST_USER": "a:u", "ST_KEY": "k"}


def chosen(words, environ):
    parser = argparse.ArgumentParser()
    login.add_arguments(parser)
    found, _ = login._login(parser.parse_args(words), environ)
    return found


@pytest.mark.parametrize(
    ("words", "environ", "found"),
    [
        ([], TEMPAUTH, PasswordV1("http://h/auth", "a:u", "k")),
        (["--user", "a:v", "--key", "l"], TEMPAUTH, PasswordV1("http://h/auth", "a:v", "l")),
        (["--auth", "http://g/"], {**KEYSTONE, **TEMPAUTH}, PasswordV1("http://g/", "a:u", "k")),
        ([], {**KEYSTONE, "OS_STORAGE_URL": "http://s/v1/A", "OS_AUTH_TOKEN": "t"}, Given("http://s/v1/A", "t")),
        (
            [],
            {**KEYSTONE, "OS_USER_DOMAIN_NAME": "Home", "OS_REGION_NAME": "two"},
            KeystoneV3("http://id/v3", "u", "p", {"name": "q", "domain": {"id": "default"}}, {"name": "Home"}, "two"),
        ),
        ([], {**KEYSTONE, "OS_PROJECT_ID": "7"}, KeystoneV3("http://id/v3", "u", "p", {"id": "7"}, {"id": "default"})),
    ],
)
def test_who_logs_in_where(words, environ, found):
    assert chosen(words, environ) == found


@pytest.mark.parametrize(
    ("words", "environ", "said"),
    [
        ([], {}, "which cluster?"),
        (["--auth", "http://h/"], {}, "--user"),
        (["--auth", "http://h/", "--user", "a:u"], {}, "--key"),
        ([], {"OS_AUTH_URL": "http://id"}, "OS_USERNAME and OS_PASSWORD and OS_PROJECT_NAME"),
        (["--cluster", "/nowhere"], {}, "no cluster here"),
        ([], {"OBJSTORE_CLUSTER": "/nowhere"}, "no cluster here"),
    ],
)
def test_what_is_missing_is_said(words, environ, said):
    with pytest.raises(CommandError, match=re.escape(said)):
        chosen(words, environ)


def test_a_directory_of_up_says_where_and_who(tmp_path):
    assert objstore("init", tmp_path / "c", "--nodes", 1, "--replicas", 1, "--port", 0, "--part-power", 2)[0] == 0
    found = chosen(["--cluster", str(tmp_path / "c")], TEMPAUTH)
    assert isinstance(found, PasswordV1) and found.user == "admin:admin" and found.url.startswith("http://127.0.0.1:")
    assert found.key == objstore("user", "key", tmp_path / "c", "admin:admin")[1].strip()
    with pytest.raises(CommandError, match="no user x:y; there are: admin:admin"):
        chosen(["--cluster", str(tmp_path / "c"), "--user", "x:y"], {})


@pytest.mark.parametrize(
    ("count", "shown"),
    [
        (0, "0"),
        (1023, "1023"),
        (1024, "1.0K"),
        (1536, "1.5K"),
        (10 << 10, "10K"),
        (1023 << 10, "1.0M"),
        (5 << 40, "5.0T"),
    ],
)
def test_sizes(count, shown):
    assert size_shown(count, True) == shown and size_shown(count, False) == str(count)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 1090), ("30m", 2800), ("1d", 87400), ("2w", 1210600), ("1970-01-02", 86400), ("5000", 5000)],
)
def test_when_something_ends(text, seconds):
    assert expiry(text, 1000.5) == seconds


@pytest.mark.parametrize("text", ["", "0", "1x", "-1d", "1d2h", "tomorrow", "999", "1970-01-01", "٣d"])
def test_what_is_no_time_or_past(text):
    with pytest.raises(ValueError, match="30m"):
        expiry(text, 1000.0)


@pytest.mark.parametrize("text", ["\x1b[2J", "a\nb", "a\rb", "\u202e", "\x9b", "\u2028", "\udcff"])
def test_what_a_name_says_cannot_move_the_cursor(text):
    assert printable(text).isprintable() and printable("ünï ☃") == "ünï ☃"


# Progress


def test_progress_is_drawn_over_itself_and_goes_away():
    screen, progress = Screen(), Progress(began_s=0.0)
    now = iter(range(1, 100))
    lines = ProgressLines(Terminal(io.StringIO(), screen, {}), progress, now=lambda: next(now))
    job = Job("a\x1b[2J/file", "", 4 << 20, lambda: Done(Kind.COPIED, ""))
    progress.expect(job.size_bytes)
    with progress.of(job):
        progress.counter()(1 << 20)
        lines.draw()
        assert "[#####               ]" in screen.getvalue() and "\x1b[2J" not in screen.getvalue()
        assert "0/1+ files  1.0M/4.0M+  1.0M/s  0:03 left" in screen.getvalue()
        lines.draw()
    lines.clear()
    assert screen.getvalue().count("\n") == screen.getvalue().count("\x1b[A")


@pytest.mark.parametrize("options", [{"is_quiet": True}, {}])
def test_nothing_is_drawn_where_nobody_looks(options):
    screen = Screen() if options else io.StringIO()
    lines = ProgressLines(Terminal(io.StringIO(), screen, {}), Progress(), **options)
    lines.draw()
    lines.clear()
    assert screen.getvalue() == ""


# Forms


def sign(*words, environ=None):
    out, err = io.StringIO(), io.StringIO()
    code = form_signature.main(list(words), stdout=out, stderr=err, environ=environ or {})
    return code, out.getvalue(), err.getvalue()


@pytest.mark.parametrize("digest", ["sha1", "sha256", "sha512"])
@pytest.mark.parametrize(("key", "status"), [("kéy", 201), ("other", 401)])
def test_a_form_that_was_signed_here_is_let_in(digest, key, status):
    words = ("/v1/a/ü c/in/", "https://example.org/?a=1&b=ü", "100", "3", "1h", key, "--digest", digest)
    code, out, _ = sign(*words, "--json")
    fields = json.loads(out)
    assert code == 0 and fields.pop("action") == "/v1/a/%C3%BC%20c/in/"
    fields["redirect"] = "https://example.org/?a=1&b=ü"
    app = Formpost(Store(), FormpostSettings())
    stored = "kéy".encode().decode("latin-1")
    infos = FixedInfos({"a": AccountInfo(204, meta={"temp-url-key": stored})}, {("a", "ü c"): ContainerInfo(204)})
    path = "/v1/a/ü c/in/".encode().decode("latin-1")
    body = Slow(encoded(fields, [("f", "hi", "Content-Type: text/plain")]))
    more = {INFO: infos, "wsgi.input": body, "CONTENT_TYPE": "multipart/form-data; boundary=bound"}
    reply = send(app, "POST", path, **more)
    assert reply.status == (303 if status == 201 else 401), reply.body
    assert status == 401 or "status=201" in reply.headers["location"]


def test_the_two_lines_and_the_form_in_html():
    words = ("/v1/a/c", "", "100", "3", "3600", "key")
    assert re.fullmatch(r"  Expires: \d+\nSignature: [0-9a-f]{64}\n", sign(*words)[1])
    page = sign('/v1/a/c/"><script>', "", "1", "1", "1h", "-", "--html", environ={"OBJSTORE_KEY": "k"})[1]
    assert "<script" not in page and 'name="signature"' in page and page.index("signature") < page.index('type="file"')


@pytest.mark.parametrize(
    "words",
    [
        ("/v1/a", "", "1", "1", "1h", "k"),
        ("v1/a/c", "", "1", "1", "1h", "k"),
        ("/v1/a/c", "javascript:x", "1", "1", "1h", "k"),
        ("/v1/a/c", "", "-1", "1", "1h", "k"),
        ("/v1/a/c", "", "1", "x", "1h", "k"),
    ],
)
def test_what_cannot_be_signed_is_wrong_usage(words):
    with pytest.raises(SystemExit, match="2"):
        sign(*words)


@pytest.mark.parametrize("words", [("/v1/a/c", "", "1", "1", "soon", "k"), ("/v1/a/c", "", "1", "1", "1h", "-")])
def test_what_is_missing_for_a_signature_is_said(words):
    code, _, error = sign(*words)
    assert code == 2 and ("WHEN" in error or "OBJSTORE_KEY" in error)
