"""client/session.py and client/account.py against a proxy that is told what to answer: tokens, retries, pages."""

import json

import pytest

from objstore.client.account import Account
from objstore.client.errors import ClientError, Refused, Stopped
from objstore.client.exchange import Bytes
from objstore.client.login import Given, PasswordV1
from objstore.client.session import PAUSE_MAX_S, Session
from tests.support.scripted_swift import Answer


def names(rows):
    return [row.name for row in rows]


def test_a_token_is_asked_for_once(proxy, account):
    assert account.name == "AUTH_x"
    account.put("/c d")
    account.put("/c d/o", b"x")
    assert proxy.requests == [("PUT", "/v1/AUTH_x/c%20d", "tk1"), ("PUT", "/v1/AUTH_x/c%20d/o", "tk1")]


def test_a_token_that_is_refused_is_asked_for_anew_once(proxy, account):
    proxy.script = [Answer(401), Answer(201)]
    account.put("/c")
    assert [token for _, _, token in proxy.requests] == ["tk1", "tk2"]
    proxy.script = [Answer(401)]
    with pytest.raises(Refused, match="answered 401"):
        account.put("/c")
    assert proxy.tokens == 3


def test_a_token_that_was_given_is_not_asked_for(proxy):
    session = Session(Given(proxy.url.replace("/auth/v1.0", "/v1/AUTH_y"), "tk"))
    Account(session).put("/c")
    session.close()
    assert (proxy.requests, proxy.tokens) == ([("PUT", "/v1/AUTH_y/c", "tk")], 0)


def test_another_account(proxy):
    session = Session(PasswordV1(proxy.url, "a:b", "k"), account="AUTH_ü")
    Account(session).put("/c")
    session.close()
    assert proxy.requests[0][1] == "/v1/AUTH_%C3%BC/c"


def test_what_fails_is_tried_again_with_growing_pauses(proxy, account, pauses):
    proxy.script = [Answer(503)] * 4 + [Answer(201)]
    account.put("/c")
    assert (account.session.retried, pauses) == (4, [0.25, 0.5, 1.0, 2.0])
    proxy.script = [Answer(503)]
    with pytest.raises(ClientError, match="PUT /c: answered 503"):
        account.put("/c")
    assert max(pauses) <= PAUSE_MAX_S


def test_what_would_not_be_the_same_twice_is_asked_once(proxy, session, pauses):
    proxy.script = [Answer(503)]
    with pytest.raises(Refused):
        session.request("POST", "/c", body=Bytes(b"x"), repeats=False)
    assert (len(proxy.requests), pauses) == (1, [])


@pytest.mark.parametrize("status", [400, 403, 404, 409, 413, 501])
def test_what_would_be_answered_the_same_again_is_not_tried(proxy, account, pauses, status):
    proxy.script = [
        Answer(status, b"<html><h1>No</h1><p>the reason &amp; more</p></html>", {"Content-Type": "text/html"})
    ]
    with pytest.raises(Refused, match=rf"answered {status} \(No the reason & more\)"):
        account.put("/c")
    assert (len(proxy.requests), pauses) == (1, [])


def test_a_body_that_is_cut_is_asked_for_again(proxy, session):
    proxy.script = [Answer(200, b"0123456789", cut=4), Answer(200, b"0123456789")]
    assert session.request("GET", "/c/o").body == b"0123456789"


def test_a_delete_that_was_answered_twice_counts_as_done(proxy, account):
    proxy.script = [Answer(404)]
    assert not account.delete("/c/o")
    proxy.script = [Answer(503), Answer(404)]
    assert account.delete("/c/o")


def test_names_and_values_are_utf_8_both_ways(proxy, account):
    proxy.script = [Answer(200, headers={"X-Object-Meta-Å": "ü…".encode().decode("latin-1")})]
    assert account.head("/ü/Å… %/?#") is not None
    assert proxy.requests[-1][1] == "/v1/AUTH_x/%C3%BC/%C3%85%E2%80%A6%20%25/%3F%23"
    account.post("/c", {"X-Container-Meta-A": "Å…"})
    assert proxy.sent[-1]["x-container-meta-a"].encode("latin-1").decode() == "Å…"


def test_as_many_headers_as_metadata_may_be(proxy, account):
    proxy.script = [Answer(200, headers={f"X-Object-Meta-{number}": "x" for number in range(150)})]
    assert len(account.head("/c/o")) >= 150


def test_a_value_cannot_become_a_header_of_its_own(proxy, account):
    with pytest.raises(ClientError, match="no request can have"):
        account.post("/c", {"X-Container-Read": "a\r\nX-Other: b"})
    assert proxy.requests == []


def test_a_login_that_fails_later_is_tried_again_and_the_first_is_not(proxy):
    statuses = [503]

    def refuse_and_fail_the_next_login(request):
        statuses[:] = [200, 503]
        return Answer(401)

    def sleep(seconds):
        proxy.auth_status = statuses.pop()

    session = Session(PasswordV1(proxy.url, "a:b", "k"), sleep=sleep)
    proxy.auth_status = 503
    with pytest.raises(ClientError, match="not let in"):
        Account(session).put("/c")
    assert proxy.tokens == 1
    proxy.auth_status = 200
    proxy.script = [Answer(201), refuse_and_fail_the_next_login, Answer(201)]
    Account(session).put("/c")
    Account(session).put("/c")
    session.close()
    assert proxy.tokens == 4 and statuses == []


def test_a_listing_is_read_to_its_end(proxy, account):
    page = [json.dumps([{"name": name}]).encode() for name in ("a", "b&c")]
    proxy.script = [Answer(200, page[0]), Answer(200, page[1]), Answer(200, b"[]")]
    assert names(account.objects("c", "a")) == ["a", "b&c"]
    assert proxy.requests[-1][1].endswith("&prefix=a&marker=b%26c")
    proxy.script = [Answer(404)]
    assert names(account.objects("none", is_unseen_empty=True)) == []
    with pytest.raises(Refused):
        names(account.objects("none"))


@pytest.mark.parametrize(
    "body", [b"no json", b"{}x", b"[1]", b'{"a": 1}', b"[" * 100_000, b'[{"name": "a", "bytes": {}}]']
)
def test_a_listing_that_is_none_is_said(proxy, account, body):
    proxy.script = [Answer(200, body)]
    with pytest.raises(ClientError, match="cannot be read"):
        names(account.containers())


def test_a_listing_that_goes_round_in_circles_ends(proxy, account):
    proxy.script = [Answer(200, b'[{"name": "a"}]')]
    assert names(account.containers()) == ["a"]


@pytest.mark.parametrize("body", [b"", b"x", b"[]", b'{"Errors": 1}', b'{"Errors": [["a"]]}'])
def test_a_bulk_answer_that_is_none_is_said(proxy, account, body):
    proxy.script = [Answer(200, body)]
    with pytest.raises(ClientError, match="cannot be read"):
        account.delete_many(["/c/o"])


def test_names_in_a_bulk_delete_cannot_be_two_lines(proxy, account):
    report = {"Number Deleted": 1, "Number Not Found": 0, "Errors": [], "Response Status": "200 OK"}
    proxy.script = [Answer(200, json.dumps(report).encode())]
    account.delete_many(["/c/a\n/c/b", "/c/ü"])
    assert proxy.bodies[-1] == b"/c/a%0A/c/b\n/c/%C3%BC\n"


def test_a_user_that_is_not_let_in(proxy, account):
    proxy.auth_status = 401
    with pytest.raises(ClientError, match="user a:b is not let in"):
        account.put("/c")


@pytest.mark.parametrize("url", ["", "ftp://x", "http://", "http://x:y/", "http://[/"])
def test_a_url_that_is_none(url):
    with pytest.raises(ClientError, match="expected a URL"):
        Account(Session(PasswordV1(url, "u", "k"))).put("/c")


def test_nothing_is_asked_once_it_was_stopped(proxy, account):
    account.put("/c")
    account.session.stop()
    with pytest.raises(Stopped):
        account.put("/c")
    assert len(proxy.requests) == 1


def test_a_key_is_in_no_error_and_no_text(proxy, account):
    proxy.auth_status = 401
    with pytest.raises(ClientError) as raised:
        account.put("/c")
    assert "k" not in str(raised.value).replace("http", "").split()
    assert "secret" not in repr(PasswordV1("http://h/", "u", "secret")) + repr(Given("http://h/", "secret"))


@pytest.mark.parametrize(
    ("answer", "etag"),
    [
        (Answer(201, headers={"Etag": '"e"'}), "e"),
        (Answer(202, b'  {"Response Status": "201 Created", "Etag": "e", "Errors": []}'), "e"),
    ],
    ids=["at once", "after a while"],
)
def test_a_copy_tells_its_etag(proxy, account, answer, etag):
    proxy.script = [answer]
    assert account.copy("/c/ü", "/d/o") == etag
    assert proxy.sent[-1]["x-copy-from"] == "/c/%C3%BC"


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"Response Status": ""}', b'{"Response Status": "503 No"}'])
def test_a_copy_that_failed_later_is_an_error(proxy, account, body):
    proxy.script = [Answer(202, body)]
    with pytest.raises(ClientError, match="PUT /d/o"):
        account.copy("/c/o", "/d/o")


def test_what_the_cluster_can_do_is_asked_once_and_again_when_it_failed(proxy, account):
    proxy.script = [Answer(503), Answer(200, b'{"swift": {"max_file_size": 7}, "slo": {"x": "y"}}')]
    assert account.limit("swift", "max_file_size", 5) == 7
    assert (account.limit("slo", "x", 3), account.limit("none", "x", 4), account.bulk_lines) == (3, 4, 0)
    assert [target for _, target, _ in proxy.requests] == ["/info", "/info"]


@pytest.mark.parametrize("answer", [Answer(404), Answer(403), Answer(200, b"x"), Answer(200, b"[]")])
def test_a_cluster_that_does_not_tell_what_it_can_do(proxy, account, answer):
    proxy.script = [answer]
    assert account.limit("swift", "max_file_size", 5) == 5
