"""Quotas of containers and accounts: features A2.7 and A1.7."""

import pytest

pytestmark = pytest.mark.cluster


@pytest.fixture
def sold(swift):
    """Sets quotas of the owner's account, which are gone afterwards."""
    used = []

    def sell(**headers):
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        used.extend(names)
        return swift.reseller.post(headers=names)

    yield sell
    swift.reseller.post(headers={name.replace("X-", "X-Remove-", 1): "x" for name in used})


def test_a_container_takes_what_its_quota_allows(owner, container):
    assert owner.post(container, headers={"X-Container-Meta-Quota-Bytes": "10"}).status == 204
    assert owner.put(container, "a", body=b"x" * 10).status == 201
    answer = owner.put(container, "b", body=b"x")
    assert answer.status == 413 and b"Upload exceeds quota." in answer.body
    assert owner.post(container, headers={"X-Remove-Container-Meta-Quota-Bytes": "x"}).status == 204
    assert owner.put(container, "b", body=b"x").status == 201


def test_a_container_takes_so_many_objects(owner, container):
    assert owner.post(container, headers={"X-Container-Meta-Quota-Count": "1"}).status == 204
    assert [owner.put(container, name).status for name in "ab"] == [201, 413]
    assert owner.delete(container, "a").status == 204 and owner.put(container, "b").status == 201


@pytest.mark.parametrize(("size", "status"), [(10, 201), (11, 413), (200_000, 413)])
def test_an_upload_that_does_not_say_how_long_it_is(owner, container, size, status):
    owner.post(container, headers={"X-Container-Meta-Quota-Bytes": "10"})
    body = (b"x" * min(1000, size - start) for start in range(0, size, 1000))
    assert owner.put(container, "o", body=body).status == status
    assert owner.names(container) == (["o"] if status == 201 else [])


@pytest.mark.parametrize("unit", ["Bytes", "Count"])
@pytest.mark.parametrize(("value", "status"), [("-1", 400), ("x", 400), ("1.5", 400), ("0", 204), ("", 204)])
def test_a_quota_is_a_whole_number(owner, container, unit, value, status):
    assert owner.post(container, headers={f"X-Container-Meta-Quota-{unit}": value}).status == status


def test_a_copy_counts_by_the_size_of_its_source(owner, container):
    other = owner.new_container({"X-Container-Meta-Quota-Bytes": "3"})
    owner.upload(container, "small", b"123"), owner.upload(container, "large", b"1234")
    assert owner.copy(container, "large", headers={"Destination": f"{other}/o"}).status == 413
    assert owner.put(other, "o", headers={"X-Copy-From": f"{container}/large"}).status == 413
    assert owner.copy(container, "small", headers={"Destination": f"{other}/o"}).status == 201
    owner.tidy(other)


def test_who_may_not_write_learns_nothing_about_quotas(swift, owner, container):
    owner.post(container, headers={"X-Container-Meta-Quota-Bytes": "0"})
    assert swift.stranger.put(container, "o", body=b"x").status == 403
    assert swift.anonymous.put(container, "o", body=b"x").status == 401


def test_an_account_over_its_quota_can_read_and_delete(swift, owner, container, sold):
    owner.upload(container, "o", b"12345")
    assert sold(X_Account_Quota_Bytes="0").status == 204
    for answer in (owner.put(container, "p", body=b"1"), owner.post(container, "o", headers={"X-Object-Meta-A": "b"})):
        assert answer.status in (413, 201, 202)
    assert owner.put(container, "q", body=b"1").status == 413
    assert owner.get(container, "o").status == 200
    assert swift.reseller.put(container, "r", body=b"1").status == 201
    assert owner.delete(container, "r").status == 204


def test_an_account_takes_so_many_objects(owner, container, sold):
    assert sold(X_Account_Quota_Count="0").status == 204
    assert owner.put(container, "o").status == 413


def test_quotas_by_policy(owner, sold):
    policies = [entry["name"] for entry in owner.raw("GET", "/info").json["swift"]["policies"]]
    name = owner.new_container({"X-Storage-Policy": policies[-1]})
    # What the account knows of its use lags behind: a size beside which all that the suite stores is nothing.
    assert sold(**{f"X_Account_Quota_Bytes_Policy_{policies[-1]}": str(10**9)}).status == 204
    assert owner.status_of_head("PUT", name, "large", headers={"Content-Length": str(10**9 + 1)}) == 413
    assert owner.put(name, "small", body=b"123").status == 201
    owner.tidy(name)


@pytest.mark.parametrize("header", ["X-Account-Quota-Bytes", "X-Account-Meta-Quota-Bytes", "X-Account-Quota-Count"])
def test_only_the_reseller_sets_quotas_of_accounts(swift, owner, sold, header):
    assert owner.post(headers={header: "5"}).status == 403
    assert owner.post(headers={header.replace("X-", "X-Remove-", 1): "x"}).status == 403
    assert sold(**{header.replace("-", "_"): "1.5"}).status == 400
    assert sold(**{header.replace("-", "_"): "1000000"}).status == 204
    assert owner.head().headers[header.lower()] == "1000000"
