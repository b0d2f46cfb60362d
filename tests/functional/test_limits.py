"""Limits, minus and plus one: rows A3.3, A5.17. What they are is asked of the endpoint."""

from urllib.parse import quote

import pytest

pytestmark = pytest.mark.cluster
KINDS = ("account", "container", "object")


@pytest.fixture(scope="module")
def limits(swift):
    return swift.info["swift"]


@pytest.fixture
def place(request, swift, owner, shelf):
    """Posts metadata to an account that nobody else uses, to an object, or to a container of this test alone."""
    owner.upload(shelf, "o", b"x", {"X-Object-Meta-Before": "x"})
    stranger = swift.stranger

    def post(kind, headers):
        if kind == "account":
            return stranger.post("", headers=headers, account=stranger.account)
        path = f"{shelf}/o" if kind == "object" else request.getfixturevalue("container")
        return owner.post(path, headers=headers)

    yield post
    headers = stranger.head("", account=stranger.account).headers
    names = [name for name in headers if name.startswith("x-account-meta-")]
    for start in range(0, len(names), 50):
        removal = {name.replace("x-account", "X-Remove-Account", 1): "x" for name in names[start : start + 50]}
        assert stranger.post("", headers=removal, account=stranger.account).status == 204


def meta(kind, pairs):
    return {f"X-{kind.title()}-Meta-{name}": value for name, value in pairs.items()}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("more", [0, 1])
@pytest.mark.parametrize("what", ["name", "value", "unicode value", "count", "size"])
def test_metadata(limits, place, kind, what, more):
    if what == "name":
        pairs = {"n" * (limits["max_meta_name_length"] + more): "v"}
    elif what == "value":
        pairs = {"N": "v" * (limits["max_meta_value_length"] + more)}
    elif what == "unicode value":
        pairs = {"N": "é" * (limits["max_meta_value_length"] // 2) + "v" * more}
    elif what == "count":
        pairs = {f"N{number}": "v" for number in range(limits["max_meta_count"] + more)}
    else:
        pairs = whole_size(limits["max_meta_overall_size"] + more, limits["max_meta_value_length"])
    answer = place(kind, meta(kind, pairs))
    success = 202 if kind == "object" else 204
    # A container and an account count what they have: `Before` of the object is replaced.
    assert answer.status == (400 if more else success), answer


def whole_size(size, value):
    """Pairs whose names and values have `size` bytes together."""
    pairs = {}
    while size:
        name = f"S{len(pairs):02}"
        length = min(value, size - len(name)) if size > len(name) + 3 else size - len(name)
        pairs[name] = "v" * length
        size -= len(name) + length
        if 0 < size <= 3:
            pairs[name] = pairs[name][:-3]
            size += 3
    return pairs


@pytest.mark.parametrize("kind", ["account", "container"])
def test_several_requests_do_not_go_past_the_limit(limits, place, kind):
    """CVE-2014-7960."""
    half = limits["max_meta_count"] // 2
    for turn, status in ((0, 204), (1, 204), (2, 400)):
        pairs = {f"T{turn}-{number}": "v" for number in range(half)}
        assert place(kind, meta(kind, pairs)).status == status


@pytest.mark.parametrize("kind", KINDS)
def test_a_name_of_nothing_is_refused(place, kind):
    assert place(kind, meta(kind, {"": "v"})).status == 400


@pytest.mark.parametrize("kind", ["account", "container"])
def test_bytes_that_are_no_text_are_refused(swift, owner, container, kind):
    connection_headers = {f"X-{kind}-Meta-A": b"\xff\xfe", "X-Auth-Token": owner.token.encode(), "Content-Length": b"0"}
    answer = owner._exchange(
        "POST", owner.path("" if kind == "account" else container), connection_headers, None, False
    )
    assert answer.status == 400


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("more", [0, 1])
def test_a_header_that_is_long(limits, place, kind, more):
    """The limit is of the whole line."""
    value = "v" * (limits["max_header_size"] - len("X-Unknown: ") + more)
    success = 202 if kind == "object" else 204
    assert place(kind, {"X-Unknown": value}).status == (400 if more else success)


@pytest.mark.parametrize("character", ["n", "é", "雪", "\U0001f600"])
@pytest.mark.parametrize("more", [0, 1])
def test_names_of_objects(limits, owner, container, character, more):
    name = character * (limits["max_object_name_length"] // len(character.encode()) + more)
    answer = owner.put(f"{container}/{quote(name)}", body=b"x")
    if more and len(character.encode()) == 1:
        assert answer.status == 400 and owner.names(container) == []
        assert owner.get(f"{container}/{quote(name)}").status == 404
    else:
        assert answer.status == 201 and owner.names(container) == [name]
        assert owner.get(f"{container}/{quote(name)}").body == b"x"


def test_an_object_that_says_it_is_too_large(limits, owner, shelf):
    length = {"Content-Length": str(limits["max_file_size"] + 1)}
    assert owner.status_of_head("PUT", shelf, "large", headers=length) == 413


@pytest.mark.parametrize(
    "name",
    [
        "max_file_size", "max_meta_name_length", "max_meta_value_length", "max_meta_count", "max_meta_overall_size",
        "max_header_size", "max_object_name_length", "container_listing_limit", "account_listing_limit",
        "max_account_name_length", "max_container_name_length", "extra_header_count",
    ],
)  # fmt: skip
def test_limits_are_told(limits, name):
    assert isinstance(limits[name], int)
