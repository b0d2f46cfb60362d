"""Secrets are planted wherever a client may say one, in requests that succeed and in requests that fail; the answers
are looked at here and by the client, the logs at the end of the run (conftest)."""

import hmac
import time
from urllib.parse import quote

import pytest

pytestmark = pytest.mark.cluster

KEY = "planted-key-0123456789-abcdef"
SIGNATURE = "planted0123456789abcdef0123456789abcdef"


@pytest.fixture(scope="module")
def vault(swift, owner, shelf):
    """A container whose account and self have planted keys."""
    swift.secrets.add(KEY)
    swift.secrets.add(SIGNATURE)
    owner.post("", headers={"X-Account-Meta-Temp-URL-Key": KEY, "X-Account-Meta-Temp-URL-Key-2": KEY[::-1]})
    owner.post(shelf, headers={"X-Container-Meta-Temp-URL-Key": f"{KEY}-c", "X-Container-Sync-Key": f"{KEY}-sync"})
    owner.upload(shelf, "o", b"x")
    yield shelf
    owner.post("", headers={"X-Remove-Account-Meta-Temp-URL-Key": "x", "X-Remove-Account-Meta-Temp-URL-Key-2": "x"})


def signed(owner, vault, key=KEY, method="GET"):
    expires = int(time.time()) + 600
    text = f"{method}\n{expires}\n/v1/{owner.account}/{vault}/o"
    return hmac.digest(key.encode(), text.encode(), "sha256").hex(), expires


@pytest.mark.parametrize("spelling", ["temp_url_sig", "temp%5Furl%5Fsig"])
@pytest.mark.parametrize(("key", "status"), [(KEY, 200), (f"{KEY}-c", 200), ("wrong", 401)])
def test_links(swift, owner, vault, spelling, key, status):
    signature, expires = signed(owner, vault, key)
    swift.secrets.add(signature)
    link = f"{owner.path(vault, 'o')}?{spelling}={signature}&temp_url_expires={expires}"
    answer = swift.anonymous.raw("GET", link)
    assert answer.status == status and signature not in str(answer)
    referred = swift.anonymous.raw("GET", owner.path(vault, "o"), {"Referer": f"http://h{link}"})
    assert signature not in str(referred)


@pytest.mark.parametrize(
    "query",
    [
        f"temp_url_sig={SIGNATURE}",
        f"temp_url_sig={SIGNATURE}&temp_url_expires=junk",
        f"temp_url_sig={SIGNATURE}&temp_url_expires=1",
        f"temp_url_sig=sha512:{SIGNATURE}&temp_url_expires=99999999999",
        f"temp_url_sig=%FF{SIGNATURE}&temp_url_expires=99999999999",
        f"temp_url_sig={SIGNATURE}&temp_url_expires=99999999999&temp_url_ip_range=junk",
        f"temp_url_sig={SIGNATURE}&temp_url_expires=99999999999&temp_url_prefix=junk",
    ],
)
@pytest.mark.parametrize("method", ["GET", "PUT", "POST", "DELETE"])
def test_links_that_are_no_good(swift, owner, vault, method, query):
    answer = swift.anonymous.raw(method, f"{owner.path(vault, 'o')}?{query}")
    assert 400 <= answer.status < 500 and SIGNATURE not in str(answer)


@pytest.mark.parametrize("header", ["X-Auth-Token", "X-Storage-Token", "X-Service-Token"])
@pytest.mark.parametrize("value", [f"AUTH_tk{SIGNATURE}", f"gAAAAA{SIGNATURE}", f"{SIGNATURE}\u00e9"])
def test_tokens(swift, vault, header, value):
    swift.secrets.add(value)
    for method in ("GET", "PUT"):
        answer = swift.anonymous.request(method, f"{vault}/o", headers={header: value})
        assert answer.status == 401 and SIGNATURE not in str(answer)


@pytest.mark.parametrize("header", ["X-Auth-Key", "X-Storage-Pass"])
@pytest.mark.parametrize("user", ["black:owner", "nobody:nowhere", "nocolon", ""])
def test_keys_of_users(swift, header, user):
    newcomer = swift.newcomer()
    answer = newcomer.raw("GET", "/auth/v1.0", {"X-Auth-User": user, header: SIGNATURE})
    newcomer.close()
    assert answer.status == 401 and SIGNATURE not in str(answer)


@pytest.mark.parametrize("field", ["signature", "redirect"])
def test_forms(swift, owner, vault, field):
    values = {"max_file_size": "5", "max_file_count": "1", "expires": "99999999999", field: f"http://{SIGNATURE}/"}
    parts = [f'--b\r\nContent-Disposition: form-data; name="{n}"\r\n\r\n{v}\r\n' for n, v in values.items()]
    file = '--b\r\nContent-Disposition: form-data; name="file"; filename="f"\r\n\r\n1\r\n--b--\r\n'
    kind = {"Content-Type": "multipart/form-data; boundary=b"}
    answer = swift.anonymous.raw("POST", owner.path(vault, "p"), kind, ("".join(parts) + file).encode())
    assert answer.status == 401 and SIGNATURE not in answer.text


@pytest.mark.parametrize("value", [SIGNATURE, f"realm nonce {SIGNATURE}", f"{quote(SIGNATURE)} x y z"])
def test_what_other_clusters_sign(swift, vault, value):
    answer = swift.anonymous.put(vault, "o", headers={"X-Container-Sync-Auth": value}, body=b"x")
    assert answer.status == 401 and SIGNATURE not in str(answer)


def test_administrators_signatures(swift):
    answer = swift.anonymous.raw("GET", f"/info?swiftinfo_sig={SIGNATURE}&swiftinfo_expires=99999999999")
    assert SIGNATURE not in str(answer)


@pytest.mark.parametrize("user", ["member", "stranger", "anonymous"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_keys_are_shown_to_the_owner_alone(swift, owner, vault, user, method):
    owner.post(vault, headers={"X-Container-Read": f".r:*,.rlistings,{swift.member.name}"})
    assert owner.head(vault).headers["x-container-sync-key"] == f"{KEY}-sync"
    for path in ("", vault, f"{vault}/o"):
        assert KEY not in str(swift[user].request(method, path))
