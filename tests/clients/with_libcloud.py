"""Runs in a Python that has apache-libcloud: STORAGE_URL AUTH_URL USER KEY FOLDER. What its Cloud Files driver does.

The storage URL is given because the driver does not find it in answers of version 1.0; its multipart upload and its
upload of plain iterators compare the MD5 of nothing (3.8), whatever the server is, and are left out.
"""

import io
import os
import sys
from pathlib import Path

from libcloud.storage.drivers.cloudfiles import OpenStackSwiftStorageDriver
from libcloud.storage.types import ContainerDoesNotExistError, ContainerIsNotEmptyError, ObjectDoesNotExistError

NAME = "lib cloud ü"


def main(storage_url, auth_url, user, key, folder):
    driver = OpenStackSwiftStorageDriver(
        user,
        key,
        secure=False,
        ex_force_auth_url=auth_url.removesuffix("/v1.0"),
        ex_force_auth_version="1.0",
        ex_force_base_url=storage_url,
    )
    container = driver.create_container(NAME)
    assert NAME in [found.name for found in driver.list_containers()]
    transfers(driver, container, Path(folder))
    listings(driver, container)
    failures(driver, container)
    for found in driver.list_container_objects(container):
        assert driver.delete_object(found)
    assert driver.delete_container(container)
    assert NAME not in [found.name for found in driver.list_containers()]


def transfers(driver, container, folder):
    body = os.urandom(3 << 20)
    (folder / "up").write_bytes(body)
    sent = driver.upload_object(str(folder / "up"), container, "dir/größe x", extra={"meta_data": {"colour": "blue"}})
    assert sent.size == len(body)
    found = driver.get_object(NAME, "dir/größe x")
    assert found.size == len(body) and found.meta_data["colour"] == "blue"
    assert driver.download_object(found, str(folder / "down")) and (folder / "down").read_bytes() == body
    assert b"".join(driver.download_object_as_stream(found)) == body
    assert b"".join(driver.download_object_range_as_stream(found, 10, 1000)) == body[10:1000]
    driver.upload_object_via_stream(io.BytesIO(b"ab" * 1000), container, "stream")
    assert driver.get_object(NAME, "stream").size == 2000


def listings(driver, container):
    for index in range(25):
        driver.upload_object_via_stream(io.BytesIO(b"x"), container, f"many/{index:02}")
    assert len(driver.list_container_objects(container, prefix="many/")) == 25
    assert driver.ex_get_meta_data()["container_count"] >= 1


def failures(driver, container):
    fails(ContainerIsNotEmptyError, driver.delete_container, container)
    fails(ObjectDoesNotExistError, driver.get_object, NAME, "absent")
    fails(ContainerDoesNotExistError, driver.get_container, "absent")


def fails(error, call, *arguments):
    try:
        call(*arguments)
    except error:
        return
    raise AssertionError(f"{call.__name__}{arguments} raised no {error.__name__}")


if __name__ == "__main__":
    main(*sys.argv[1:])
