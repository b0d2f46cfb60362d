"""Objects that end: row A3.9."""

import time

import pytest

from tests.support.cluster import until

pytestmark = pytest.mark.cluster


def in_future(seconds):
    return str(int(time.time()) + seconds)


@pytest.mark.parametrize("header", ["X-Delete-At", "X-Delete-After"])
@pytest.mark.parametrize("method", ["PUT", "POST"])
def test_a_time_is_kept_and_shown(owner, shelf, method, header):
    value = "1000" if header == "X-Delete-After" else in_future(1000)
    owner.upload(shelf, "o", b"x", {header: value} if method == "PUT" else {})
    if method == "POST":
        assert owner.post(shelf, "o", headers={header: value}).status == 202
    shown = int(owner.head(shelf, "o").headers["x-delete-at"])
    assert shown == int(value) if header == "X-Delete-At" else abs(shown - time.time() - 1000) < 100
    assert "x-delete-after" not in owner.head(shelf, "o").headers


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("X-Delete-At", "1"),
        ("X-Delete-At", "junk"),
        ("X-Delete-At", "1.5"),
        ("X-Delete-At", "-5"),
        ("X-Delete-At", "٣"),
        ("X-Delete-After", "-1"),
        ("X-Delete-After", "junk"),
        ("X-Delete-After", "1.5"),
    ],
)
@pytest.mark.parametrize("method", ["PUT", "POST"])
def test_times_that_are_none(owner, shelf, method, header, value):
    path = f"{shelf}/{method}"
    if method == "POST":
        owner.upload(shelf, method, b"x", {"X-Object-Meta-A": "b"})
    answer = owner.request(method, path, headers={header: value})
    assert answer.status == 400, answer
    assert owner.head(path).headers.get("x-object-meta-a") == ("b" if method == "POST" else None)


@pytest.mark.parametrize("header", ["X-Delete-At", "X-Delete-After"])
def test_the_latest_time_there_is(owner, shelf, header):
    owner.upload(shelf, "o", b"x", {header: "99999999999"})
    assert owner.head(shelf, "o").headers["x-delete-at"] == "9999999999"


def test_after_wins_over_at(owner, shelf):
    owner.upload(shelf, "o", b"x", {"X-Delete-At": in_future(50), "X-Delete-After": "5000"})
    assert int(owner.head(shelf, "o").headers["x-delete-at"]) > time.time() + 1000


@pytest.mark.parametrize("headers", [{}, {"X-Remove-Delete-At": "x"}])
def test_a_post_takes_the_time_away(owner, shelf, headers):
    owner.upload(shelf, "o", b"x", {"X-Delete-After": "1000"})
    assert owner.post(shelf, "o", headers=headers).status == 202
    assert "x-delete-at" not in owner.head(shelf, "o").headers


def test_a_copy_keeps_the_time(owner, shelf):
    owner.upload(shelf, "o", b"x", {"X-Delete-At": in_future(1000)})
    assert owner.copy(f"{shelf}/o", to=f"{shelf}/p").status == 201
    assert owner.head(shelf, "p").headers["x-delete-at"] == owner.head(shelf, "o").headers["x-delete-at"]


def test_what_has_ended_is_gone_and_may_come_again(owner, container):
    owner.upload(container, "o", b"x", {"X-Delete-After": "1"})
    until(lambda: owner.get(container, "o").status == 404, "the object has ended")
    for method in ("HEAD", "POST"):
        assert owner.request(method, f"{container}/o").status == 404
    assert owner.copy(f"{container}/o", to=f"{container}/p").status == 404
    owner.upload(container, "o", b"again")
    assert owner.get(container, "o").body == b"again"
