"""Temporary URLs and forms: features A5.1 to A5.3."""

import base64
import hashlib
import hmac
import time
from urllib.parse import quote

import pytest

pytestmark = pytest.mark.cluster
KEY = "a-key-of-the-account-0123456789"


@pytest.fixture(scope="module", autouse=True)
def key(owner):
    assert owner.post(headers={"X-Account-Meta-Temp-URL-Key": KEY}).status == 204
    yield
    owner.post(headers={"X-Remove-Account-Meta-Temp-URL-Key": "x"})


def link(path, method="GET", key=KEY, life_s=60, algorithm="sha256", signed=None, **more):
    """A query string. path: as text; signed: what is signed instead of it."""
    expires = int(time.time()) + life_s
    before = f"ip={more['temp_url_ip_range']}\n" if "temp_url_ip_range" in more else ""
    message = f"{before}{method}\n{expires}\n{signed or path}"
    signature = hmac.digest(key.encode(), message.encode(), algorithm).hex()
    extra = "".join(f"&{name}={quote(value, safe='')}" if value else f"&{name}" for name, value in more.items())
    return f"temp_url_sig={signature}&temp_url_expires={expires}{extra}"


def text_path(owner, *path):
    return "/".join(["/v1", owner.account, *path])


@pytest.mark.parametrize("algorithm", ["sha1", "sha256", "sha512"])
@pytest.mark.parametrize("name", ["o", "with space", "ünï/cödé 100%", "a+b&c=d?e#f"])
def test_get_by_link(swift, owner, container, name, algorithm):
    owner.upload(container, name, b"secret", {"X-Object-Meta-Color": "red", "X-Object-Meta-Public-Size": "big"})
    path = owner.path(container, name)
    answer = swift.anonymous.raw("GET", f"{path}?{link(text_path(owner, container, name), algorithm=algorithm)}")
    assert answer.status == 200 and answer.body == b"secret"
    assert answer.headers["content-disposition"].startswith("attachment; filename=") and "expires" in answer.headers
    assert "x-object-meta-color" not in answer.headers and answer.headers["x-object-meta-public-size"] == "big"


def test_head_by_a_link_for_get_or_put(swift, owner, container):
    owner.upload(container, "o")
    for method in ("HEAD", "GET", "PUT"):
        query = link(text_path(owner, container, "o"), method)
        assert swift.anonymous.raw("HEAD", f"{owner.path(container, 'o')}?{query}").status == 200


def test_put_post_and_delete_by_link(swift, owner, container):
    path, text = owner.path(container, "o"), text_path(owner, container, "o")
    ask = swift.anonymous.raw
    assert ask("PUT", f"{path}?{link(text, 'PUT')}", body=b"new").status == 201
    assert ask("POST", f"{path}?{link(text, 'POST')}", {"X-Object-Meta-A": "b"}).status == 202
    assert owner.head(container, "o").headers["x-object-meta-a"] == "b"
    assert ask("DELETE", f"{path}?{link(text, 'DELETE')}").status == 204
    assert owner.head(container, "o").status == 404


def test_range_and_conditions_by_link(swift, owner, container):
    etag = owner.upload(container, "o", b"0123456789")
    path = f"{owner.path(container, 'o')}?{link(text_path(owner, container, 'o'))}"
    answer = swift.anonymous.raw("GET", path, {"Range": "bytes=2-4"})
    assert answer.status == 206 and answer.body == b"234"
    assert swift.anonymous.raw("GET", path, {"If-None-Match": etag}).status == 304


@pytest.mark.parametrize("change", ["key", "method", "expired", "path", "signature", "account"])
def test_a_link_that_is_no_good(swift, owner, container, change):
    owner.upload(container, "o")
    text = text_path(owner, container, "o")
    query = {
        "key": lambda: link(text, key="other"),
        "method": lambda: link(text, "PUT"),
        "expired": lambda: link(text, life_s=-1),
        "path": lambda: link(text + "x"),
        "signature": lambda: link(text).replace("temp_url_sig=", "temp_url_sig=00"),
        "account": lambda: link(text.replace(owner.account, swift.stranger.account)),
    }[change]()
    answer = swift.anonymous.raw("GET", f"{owner.path(container, 'o')}?{query}")
    assert answer.status == 401 and b"Temp URL invalid" in answer.body
    assert answer.headers["www-authenticate"] == 'Swift realm="unknown"'


def test_a_key_of_the_container_reaches_no_further(swift, owner, container):
    other = owner.new_container()
    owner.upload(container, "o"), owner.upload(other, "o")
    assert owner.post(container, headers={"X-Container-Meta-Temp-URL-Key": "ckey"}).status == 204
    for name, status in ((container, 200), (other, 401)):
        query = link(text_path(owner, name, "o"), key="ckey")
        assert swift.anonymous.raw("GET", f"{owner.path(name, 'o')}?{query}").status == status
    owner.tidy(other)


def test_the_second_key_counts_and_a_removed_one_does_not(swift, owner, container):
    owner.upload(container, "o")
    path = f"{owner.path(container, 'o')}?{link(text_path(owner, container, 'o'), key='second')}"
    assert owner.post(headers={"X-Account-Meta-Temp-URL-Key-2": "second"}).status == 204
    assert swift.anonymous.raw("GET", path).status == 200
    assert owner.post(headers={"X-Remove-Account-Meta-Temp-URL-Key-2": "x"}).status == 204
    assert swift.anonymous.raw("GET", path).status == 401


def test_keys_are_shown_to_owners_alone(swift, owner, container):
    assert owner.head().headers["x-account-meta-temp-url-key"] == KEY
    assert owner.post(container, headers={"X-Container-Read": ".r:*,.rlistings"}).status == 204
    assert owner.post(container, headers={"X-Container-Meta-Temp-URL-Key": "ckey"}).status == 204
    answer = swift.anonymous.head(container)
    assert answer.status == 204 and "x-container-meta-temp-url-key" not in answer.headers


@pytest.mark.parametrize(("name", "status"), [("photos/one", 200), ("photos/", 404), ("photo", 401), ("other", 401)])
def test_a_link_to_a_prefix(swift, owner, container, name, status):
    owner.upload(container, "photos/one")
    query = link("", signed="prefix:" + text_path(owner, container, "photos/"), temp_url_prefix="photos/")
    assert swift.anonymous.raw("GET", f"{owner.path(container, name)}?{query}").status == status


def test_a_link_to_a_whole_container_shows_no_listing(swift, owner, container):
    owner.upload(container, "o")
    query = link("", signed="prefix:" + text_path(owner, container, ""), temp_url_prefix="")
    assert swift.anonymous.raw("GET", f"{owner.path(container, 'o')}?{query}").status == 200
    assert swift.anonymous.raw("GET", f"{owner.path(container)}?{query}").status == 401


def test_a_link_for_addresses(swift, owner, container):
    owner.upload(container, "o")
    path, text = owner.path(container, "o"), text_path(owner, container, "o")
    for range_, status in (("0.0.0.0/0", 200), ("192.0.2.0/24", 401)):
        assert swift.anonymous.raw("GET", f"{path}?{link(text, temp_url_ip_range=range_)}").status == status


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({"filename": "a b.txt"}, "attachment; filename=\"a b.txt\"; filename*=UTF-8''a%20b.txt"),
        ({"inline": ""}, "inline"),
    ],
)
def test_how_a_browser_is_to_save_it(swift, owner, container, more, expected):
    owner.upload(container, "o")
    query = link(text_path(owner, container, "o"), **more)
    answer = swift.anonymous.raw("GET", f"{owner.path(container, 'o')}?{query}")
    assert answer.headers["content-disposition"] == expected


@pytest.mark.parametrize("header", ["X-Object-Manifest", "X-Copy-From", "X-Symlink-Target"])
def test_a_link_stores_nothing_that_reads_other_objects(swift, owner, container, header):
    query = link(text_path(owner, container, "o"), "PUT")
    answer = swift.anonymous.raw("PUT", f"{owner.path(container, 'o')}?{query}", {header: "c/o"})
    assert answer.status == 400 and owner.head(container, "o").status == 404


# Forms


def form(owner, container, prefix="", files=(("f.txt", b"file"),), key=KEY, **fields):
    """(headers, body) of a signed form."""
    said = {"redirect": "", "max_file_size": "1000", "max_file_count": "3", "expires": str(int(time.time()) + 60)}
    said.update(fields)
    text = "\n".join(
        [
            text_path(owner, container, prefix),
            *(said[name] for name in ("redirect", "max_file_size", "max_file_count", "expires")),
        ]
    )
    said.setdefault("signature", hmac.digest(key.encode(), text.encode(), "sha256").hex())
    parts = [
        f'--b\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
        for name, value in said.items()
    ]
    for name, content in files:
        head = f'--b\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n'
        parts.append(head.encode() + b"Content-Type: text/x-form\r\n\r\n" + content + b"\r\n")
    return {"Content-Type": "multipart/form-data; boundary=b"}, b"".join(parts) + b"--b--\r\n"


def send_form(swift, owner, container, prefix="", **options):
    headers, body = form(owner, container, prefix, **options)
    return swift.anonymous.raw("POST", owner.path(container, prefix), headers, body)


def test_a_form_uploads_files(swift, owner, container):
    answer = send_form(swift, owner, container, "up_", files=(("ä.txt", b"1"), ("b", b"\r\n--c\r\n")))
    assert answer.status == 201
    assert owner.get(container, "up_ä.txt").body == b"1"
    found = owner.get(container, "up_b")
    assert found.body == b"\r\n--c\r\n" and found.headers["content-type"] == "text/x-form"


def test_a_form_redirects_with_what_came_of_it(swift, owner, container):
    answer = send_form(swift, owner, container, "p", redirect="http://example.com/done")
    assert answer.status == 303 and answer.headers["location"] == "http://example.com/done?status=201&message="


@pytest.mark.parametrize(
    ("options", "status"),
    [
        ({"key": "other"}, 401),
        ({"signature": "00"}, 401),
        ({"expires": "1000"}, 401),
        ({"max_file_size": "x"}, 400),
        ({"max_file_size": "3"}, 400),
        ({"max_file_size": ""}, 400),
        ({"max_file_count": "0"}, 400),
        ({"x_delete_at": "junk"}, 400),
        ({"files": ()}, 400),
    ],
)
def test_a_form_that_is_refused_stores_nothing(swift, owner, container, options, status):
    assert send_form(swift, owner, container, "p", **options).status == status
    assert owner.names(container) == []


def test_a_form_with_a_file_too_many_stores_those_before_it(swift, owner, container):
    answer = send_form(swift, owner, container, "p", files=(("a", b"1"), ("b", b"2")), max_file_count="1")
    assert answer.status == 400 and owner.names(container) == ["pa"]


@pytest.mark.parametrize(("limit", "files"), [("4", ((("f", b"1234")),)), ("0", (("f", b""),))])
def test_a_form_at_its_limits(swift, owner, container, limit, files):
    answer = send_form(swift, owner, container, "p", files=files, max_file_size=limit, max_file_count="1")
    assert answer.status == 201 and owner.get(container, "pf").body == files[0][1]


@pytest.mark.parametrize("algorithm", ["sha1", "sha256", "sha512"])
@pytest.mark.parametrize("form_of", ["hex", "base64"])
def test_how_a_form_is_signed(swift, owner, container, algorithm, form_of):
    text = "\n".join([text_path(owner, container, "p"), "", "1000", "3", expires := str(int(time.time()) + 600)])
    digest = hmac.digest(KEY.encode(), text.encode(), algorithm)
    signature = digest.hex() if form_of == "hex" else f"{algorithm}:{base64.urlsafe_b64encode(digest).decode()}"
    assert send_form(swift, owner, container, "p", signature=signature, expires=expires).status == 201


@pytest.mark.parametrize("algorithm", ["sha1", "sha256", "sha512"])
@pytest.mark.parametrize("padded", [True, False])
def test_a_link_signed_in_base64(swift, owner, container, algorithm, padded):
    owner.upload(container, "o")
    expires = int(time.time()) + 600
    digest = hmac.digest(KEY.encode(), f"GET\n{expires}\n{text_path(owner, container, 'o')}".encode(), algorithm)
    encoded = base64.urlsafe_b64encode(digest).decode()
    signature = f"{algorithm}:{encoded if padded else encoded.rstrip('=')}"
    path = f"{owner.path(container, 'o')}?temp_url_sig={quote(signature)}&temp_url_expires={expires}"
    assert swift.anonymous.raw("GET", path).status == 200


@pytest.mark.parametrize(
    ("expires", "status"),
    [("%Y-%m-%dT%H:%M:%SZ", 200), ("%Y-%m-%dT%H:%M:%S+0000", 401), ("%Y-%m-%d", 401), ("%H:%M", 401), ("soon", 401)],
)
def test_how_a_link_says_when_it_ends(swift, owner, container, expires, status):
    owner.upload(container, "o")
    moment = int(time.time()) + 600
    said = time.strftime(expires, time.gmtime(moment))
    message = f"GET\n{moment}\n{text_path(owner, container, 'o')}"
    signature = hmac.digest(KEY.encode(), message.encode(), "sha256").hex()
    path = f"{owner.path(container, 'o')}?temp_url_sig={signature}&temp_url_expires={quote(said)}"
    answer = swift.anonymous.raw("GET", path)
    # A day alone is its beginning: past, or not what was signed.
    assert answer.status == status, answer


def test_the_life_of_what_a_form_uploads(swift, owner, container):
    assert send_form(swift, owner, container, "p", x_delete_after="600").status == 201
    left = int(owner.head(container, "pf.txt").headers["x-delete-at"]) - time.time()
    assert 0 < left <= 600
    at = str(int(time.time()) + 5000)
    assert send_form(swift, owner, container, "q", x_delete_at=at).status == 201
    assert owner.head(container, "qf.txt").headers["x-delete-at"] == at


def test_a_large_file_by_form_and_its_digest(swift, owner, container):
    content = bytes(range(256)) * 4096
    assert send_form(swift, owner, container, "p", files=(("big", content),), max_file_size="2000000").status == 201
    assert owner.head(container, "pbig").headers["etag"] == hashlib.md5(content).hexdigest()
