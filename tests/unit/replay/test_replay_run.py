"""The whole tool against a tiny store: cases run, are reported, and end with one line of counts."""

import http.server
import io
import json
import threading
from pathlib import Path

import pytest

from tests.replay.__main__ import main
from tests.replay.cases import CaseError, load_folder
from tests.replay.scope import load_scope

VECTORS = Path(__file__).parents[2] / "vectors" / "http"
TXID = "tx0123456789abcdef01234-0123456789"


class TinyStore(http.server.BaseHTTPRequestHandler):
    """Tokens, accounts that are always empty, and objects in a dict; just enough to run a case against."""

    protocol_version = "HTTP/1.1"
    objects: dict[str, bytes] = {}

    def answer(self, status, body=b"", **headers):
        self.send_response_only(status)
        headers = {"Date": "Sat, 21 Nov 2026 05:19:26 GMT", "X-Trans-Id": TXID, "X-Openstack-Request-Id": TXID,
                   "Content-Length": str(len(body)), **headers}  # fmt: skip
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        if self.path.startswith("/auth"):
            user = self.headers["X-Auth-User"]
            self.answer(200, X_Auth_Token="AUTH_tk" + "0" * 32, X_Storage_Url=f"http://x/v1/AUTH_{user.split(':')[0]}")
        elif self.path == "/info":
            self.answer(200, json.dumps({"swift": {"policies": []}}).encode())
        elif self.path in self.objects:
            self.answer(200, self.objects[self.path], Etag='"1"')
        else:
            self.answer(404)

    def do_HEAD(self):
        self.answer(404)

    def do_PUT(self):
        self.objects[self.path] = self.rfile.read(int(self.headers["Content-Length"]))
        self.answer(201)

    def log_message(self, *args):
        pass


@pytest.fixture
def store():
    TinyStore.objects = {}
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), TinyStore) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def case(name, *steps, **rest):
    return {"id": name, "row": "A1.1", "steps": steps, **rest}


def step(method, target, status, **rest):
    request = {"method": method, "target": target, **rest.pop("request", {})}
    return {"request": request, "response": {"status": status, **rest}}


def replay(folder, endpoint, *cases, options=()):
    (folder / "area.jsonl").write_text("\n".join(json.dumps(each) for each in cases))
    out, err = io.StringIO(), io.StringIO()
    code = main([str(folder), endpoint, *options], stdout=out, stderr=err)
    return code, out.getvalue(), err.getvalue()


PUT_AND_GET = case(
    "right",
    step("PUT", "/v1/{account}/c/o", 201, headers={"Content-Length": "0"}, request={"body": "hello"}),
    step("GET", "/v1/{account}/c/o", 200, headers={"Etag": '"1"', "Content-Length": "5"}, body="hello"),
)
WRONG = case("wrong", step("GET", "/v1/{account}/none", 200))


def test_counts_stand_alone_on_the_last_line(store, tmp_path):
    code, out, _ = replay(tmp_path, store, PUT_AND_GET, WRONG)
    assert code == 1
    assert out.splitlines()[-1] == "1 passed, 1 failed"
    assert "ok    area: right" in out
    assert "step 0: GET /v1/{account}/none -> 404" in out


def test_only_runs_what_is_named(store, tmp_path):
    code, out, _ = replay(tmp_path, store, PUT_AND_GET, WRONG, options=["--only", "right"])
    assert (code, out.splitlines()[-1]) == (0, "1 passed, 0 failed")


def test_what_is_out_of_scope_is_skipped_with_its_reason(store, tmp_path):
    outside = {**WRONG, "id": "range-ec"}
    code, out, _ = replay(tmp_path, store, PUT_AND_GET, outside)
    assert (code, out.splitlines()[-1]) == (0, "1 passed, 0 failed, 1 skipped")
    assert "erasure coding is not built yet" in out


def test_values_are_captured_for_later_steps(store, tmp_path):
    put = {**step("PUT", "/v1/{account}/c/o", 201, request={"body": "hello"}), "setup": True}
    got = {**step("GET", "/v1/{account}/c/o", 200, headers={"Etag": '"1"', "Content-Length": "5"}, body="hello"),
           "capture": {"e": "ETag"}}  # fmt: skip
    again = step("GET", "/v1/{account}/c/o", 200, headers={"Etag": "{var:e}", "Content-Length": "5"}, body="hello")
    assert replay(tmp_path, store, case("captures", put, got, again))[0] == 0


def test_an_endpoint_that_is_not_there_is_one_clear_error(tmp_path):
    code, _, err = replay(tmp_path, "http://127.0.0.1:1", WRONG)
    assert code == 2
    assert err.startswith("replay: ")


def test_a_folder_without_cases_is_an_error(tmp_path):
    with pytest.raises(CaseError):
        load_folder(tmp_path)


def test_a_line_that_is_no_case_is_named(tmp_path):
    (tmp_path / "bad.jsonl").write_text('{"id": "x"}\n')
    with pytest.raises(CaseError, match=r"bad\.jsonl:1"):
        load_folder(tmp_path)


def test_every_recorded_case_can_be_read():
    cases = load_folder(VECTORS)
    assert len(cases) > 350
    assert len({each.id for each in cases}) == len(cases)


def test_only_cases_marked_quirk_or_against_a_standard_are_answered_otherwise():
    marked = {each.id for each in load_folder(VECTORS) if each.is_quirk}
    quirks = load_scope().quirks
    assert {name for name, quirk in quirks.items() if not quirk.rule} <= marked
    assert quirks.keys() <= {each.id for each in load_folder(VECTORS)}


def test_every_skip_names_a_recorded_case_or_row():
    cases, scope = load_folder(VECTORS), load_scope()
    assert scope.cases.keys() <= {each.id for each in cases}
    assert scope.rows.keys() <= {each.row for each in cases}
    assert scope.status_only.keys() <= {each.id for each in cases}
