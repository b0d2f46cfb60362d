"""Clients that others wrote: duplicity's swift backend, libcloud's Cloud Files driver, a browser."""

import functools
import hashlib
import hmac
import http.server
import json
import os
import subprocess
import threading
import time
import urllib.parse

import pytest

from tests.clients import material
from tests.clients.drivers import ADMIN, COMMAND_S, Command
from tests.clients.tools import LIBCLOUD, SELENIUM, ToolsMissing, browser, duplicity, python_with

pytestmark = [pytest.mark.cluster, pytest.mark.long]
HERE = os.path.dirname(__file__)
KEY = "the key of forms"


def installed(install, *arguments):
    try:
        return install(*arguments)
    except ToolsMissing as error:
        pytest.skip(str(error))


def test_duplicity_backs_up_and_restores(cluster, tmp_path):
    url, key = cluster.auth_url, cluster.key()
    environ = {"SWIFT_AUTHURL": url, "SWIFT_USERNAME": ADMIN, "SWIFT_PASSWORD": key, "SWIFT_AUTHVERSION": "1"}
    # Its backend asks for sizes by a second library, which reads these.
    environ |= {"ST_AUTH": url, "ST_USER": ADMIN, "ST_KEY": key, "HOME": str(tmp_path)}
    run = Command(installed(duplicity), environ).output
    source, there = tmp_path / "source", "swift://backup"
    source.mkdir()
    (source / "random").write_bytes(os.urandom(3_000_000))
    (source / "ü").write_text("one")

    def options(cache):
        return ["--no-encryption", "--archive-dir", str(tmp_path / cache)]

    run(["full", "--volsize", "1", *options("a"), str(source), there])
    (source / "ü").write_text("two")
    run(["incremental", *options("a"), str(source), there])
    assert "0 differences found" in run(["verify", "--compare-data", *options("b"), there, str(source)])
    run(["restore", *options("c"), there, str(tmp_path / "back")])
    assert material.hashes(tmp_path / "back") == material.hashes(source)
    run(["full", *options("a"), str(source), there])
    run(["remove-all-but-n-full", "1", "--force", *options("a"), there])
    assert "0 differences found" in run(["verify", "--compare-data", *options("d"), there, str(source)])


def test_libclouds_cloud_files_driver(cluster, tmp_path):
    python = installed(python_with, LIBCLOUD)
    arguments = [cluster.storage_url(), cluster.auth_url, ADMIN, cluster.key(), str(tmp_path)]
    Command(python, {}).output([f"{HERE}/with_libcloud.py", *arguments])


@pytest.fixture
def elsewhere(tmp_path):
    """A web server of another origin: (its URL, the directory it shows)."""
    folder = tmp_path / "elsewhere"
    folder.mkdir()

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=folder))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}", folder
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_browser_sends_a_form_walks_a_listing_and_runs_a_script_of_another_origin(cluster, tmp_path, elsewhere):
    chromium, chromedriver = installed(browser)
    python = installed(python_with, SELENIUM)
    origin, folder = elsewhere
    cluster.request("POST", "", headers={"X-Account-Meta-Temp-Url-Key": KEY})
    public = {"X-Container-Read": ".r:*,.rlistings", "X-Container-Meta-Web-Listings": "true"}
    cluster.request("PUT", "/forms")
    cluster.request("PUT", "/site", headers=public)
    cluster.request("PUT", "/site/dir/a <b> ü.txt", b"the first page", {"Content-Type": "text/plain"})
    cluster.request("PUT", "/site/dir/z.txt", b"the last page")
    allowed = {"X-Container-Meta-Access-Control-Allow-Origin": origin}
    exposed = {"X-Container-Meta-Access-Control-Expose-Headers": "X-Object-Meta-Colour"}
    cluster.request("PUT", "/open", headers=public | allowed | exposed)
    cluster.request("PUT", "/open/o", b"readable", {"X-Object-Meta-Colour": "blue"})
    (folder / "form.html").write_text(form_page(cluster, f"{origin}/sent.html"))
    (folder / "sent.html").write_text("sent")
    (folder / "script.html").write_text(script_page(cluster))
    (tmp_path / "größe.txt").write_text("from a browser")
    asked = {
        "chromium": str(chromium), "chromedriver": str(chromedriver), "profile": str(tmp_path / "profile"),
        "file": str(tmp_path / "größe.txt"), "form": f"{origin}/form.html",
        "site": f"{cluster.storage_url()}/site/dir/", "elsewhere": f"{origin}/script.html",
    }  # fmt: skip
    done = subprocess.run(
        [str(python), f"{HERE}/with_browser.py"], input=json.dumps(asked), capture_output=True, text=True,
        timeout=COMMAND_S, env={**os.environ, "HOME": str(tmp_path), "SE_OFFLINE": "true"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    seen = json.loads(done.stdout)
    assert urllib.parse.urlsplit(seen["uploaded"]).path == "/sent.html" and "status=201" in seen["uploaded"]
    assert cluster.request("GET", "/forms/f-größe.txt")[2] == b"from a browser"
    assert [name for name in seen["listing"] if not name.startswith("..")] == ["a <b> ü.txt", "z.txt"]
    assert seen["first"] == "the first page"
    assert seen["scripts"] == {
        "read": [200, "readable", "blue"],
        "put": 201,
        "hidden": None,
        "forbidden": "TypeError",
    }
    assert cluster.request("GET", "/open/from-script")[2] == b"written"


def form_page(cluster, redirect):
    path = f"{cluster.login().path}/forms/f-"
    fields = {"redirect": redirect, "max_file_size": 10000, "max_file_count": 1, "expires": int(time.time()) + 3600}
    text = "\n".join([path, *map(str, fields.values())])
    fields["signature"] = hmac.new(KEY.encode(), text.encode(), hashlib.sha256).hexdigest()
    inputs = "".join(f'<input type="hidden" name="{name}" value="{value}">' for name, value in fields.items())
    return (
        f'<meta charset="utf-8"><form action="{cluster.endpoint}{path}" method="POST" enctype="multipart/form-data">'
        f'{inputs}<input type="file" name="file1"><input type="submit" id="send"></form>'
    )


def script_page(cluster):
    """Reads and writes a container that allows its origin, and tries one that does not."""
    return """<meta charset="utf-8"><p id="done"></p><p id="seen"></p><script>
    async function look() {
        const base = BASE, token = TOKEN, seen = {};
        const read = await fetch(base + "/open/o");
        seen.read = [read.status, await read.text(), read.headers.get("X-Object-Meta-Colour")];
        seen.hidden = read.headers.get("Accept-Ranges");
        const put = {method: "PUT", body: "written", headers: {"X-Auth-Token": token, "X-Object-Meta-From": "script"}};
        seen.put = (await fetch(base + "/open/from-script", put)).status;
        try { await fetch(base + "/site/dir/z.txt"); } catch (error) { seen.forbidden = error.name; }
        document.getElementById("seen").textContent = JSON.stringify(seen);
        document.getElementById("done").textContent = "done";
    }
    look().catch(error => { document.getElementById("done").textContent = String(error); });
    </script>""".replace("BASE", json.dumps(cluster.storage_url())).replace("TOKEN", json.dumps(cluster.token()))
