"""The scenario: each client uploads a tree and a large file while a storage node dies and stays dead, lists, downloads
and compares every hash; then the node comes back and every object is still readable."""

from __future__ import annotations

import hashlib
import subprocess
import tempfile
import time
import urllib.parse
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tests.clients import material
from tests.clients.drivers import Driver, Rclone, Swift, finish
from tests.clients.tools import Tools
from tests.support.cluster import Cluster, Login, like_a_newcomers, until

UPLOAD_START_S = 120.0
LISTED_S = 120.0
"""Several passes of the updaters of a cluster that `objstore up` has made."""


@dataclass(frozen=True, slots=True)
class Amount:
    """How much is uploaded by each client. kills: a node dies in mid-upload and stays dead until all is compared."""

    files: int
    large_mib: int
    kills: bool = True


FULL = Amount(files=3000, large_mib=1024)
SMALL = Amount(files=300, large_mib=32, kills=False)


def run(tools: Tools, folder: Path, amount: Amount, say: Callable[[str], None]) -> None:
    """The whole scenario on a cluster of its own below `folder`. AssertionError when anything is not as it was."""
    source = folder / "source"
    count = material.standard_library(source, amount.files)
    assert count == amount.files, f"only {count} files found to upload"
    large = folder / "large"
    large.mkdir()
    material.large_file(large / "large.bin", amount.large_mib)
    say(f"{count} files and one of {amount.large_mib} MiB to upload")
    with like_a_newcomers(folder / "cluster") as cluster:
        nodes = cluster.nodes
        for driver, node in ((Swift(tools, cluster), nodes[0]), (Rclone(tools, cluster), nodes[1])):
            _everything(cluster, driver, node if amount.kills else None, source, large, say)
        _odd_names(cluster, Swift(tools, cluster), Rclone(tools, cluster), folder, say)


def _everything(
    cluster: Cluster, driver: Driver, node: str | None, source: Path, large: Path, say: Callable[[str], None]
) -> None:
    """node: the one that dies in mid-upload; None: all live."""
    login = cluster.login()
    tree, big = f"{driver.name}-tree", f"{driver.name}-large"
    wanted = {tree: material.hashes(source), big: material.hashes(large)}
    upload = driver.start_upload(source, tree)
    if node is not None:
        _kill_in_mid_upload(cluster, driver, node, tree, len(wanted[tree]) // 4, upload)
        say(f"{driver.name}: {node} killed in mid-upload")
    finish(upload)
    finish(driver.start_upload(large, big))
    for container, hashes in wanted.items():
        _wait_for_names(driver, container, hashes)
        with tempfile.TemporaryDirectory(dir=source.parent) as target:
            driver.download(container, Path(target))
            _same(material.hashes(Path(target)), hashes, f"{driver.name} downloaded from {container}")
    say(f"{driver.name}: everything listed, downloaded and compared with {node or 'no node'} down")
    if node is None:
        return
    cluster.start_node(node)
    for container, hashes in wanted.items():
        _same(_read_all(cluster, login, container, hashes), hashes, f"read from {container} after {node} came back")
    say(f"{driver.name}: everything still readable with {node} back")


def _kill_in_mid_upload(
    cluster: Cluster, driver: Driver, node: str, tree: str, enough: int, upload: subprocess.Popen[str]
) -> None:
    login = cluster.login()
    until(
        lambda: _object_count(cluster, login, tree) >= enough or upload.poll() is not None,
        f"{driver.name} has uploaded a quarter",
        UPLOAD_START_S,
    )
    assert upload.poll() is None, f"{driver.name} ended before the node could be killed: {upload.communicate()}"
    cluster.kill_node(node)


def _wait_for_names(driver: Driver, container: str, names: Collection[str]) -> None:
    """A replica that was too busy for a row, or whose object server died, gets it from the updater a moment later."""
    end = time.monotonic() + LISTED_S
    while set(got := driver.names(container)) < set(names) and time.monotonic() < end:
        time.sleep(1)
    _same_names(got, names, f"{driver.name} lists {container}")


def _same_names(got: Sequence[str], wanted: Collection[str], what: str) -> None:
    missing, extra = sorted(set(wanted) - set(got)), sorted(set(got) - set(wanted))
    assert not missing, f"{what} without {len(missing)} of {len(wanted)} names: {missing[:5]}"
    assert not extra, f"{what} with {len(extra)} names that nobody uploaded: {extra[:5]}"


def _same(got: Mapping[str, str], wanted: Mapping[str, str], what: str) -> None:
    wrong = {name: got.get(name) for name in wanted if got.get(name) != wanted[name]}
    assert not wrong, f"{what}: {len(wrong)} of {len(wanted)} differ: {list(wrong.items())[:5]}"
    assert got.keys() == wanted.keys(), f"{what}: there is more: {sorted(got.keys() - wanted.keys())[:5]}"


def _object_count(cluster: Cluster, login: Login, container: str) -> int:
    answer = cluster.ask("HEAD", f"{login.path}/{container}", {"X-Auth-Token": login.token})
    return int(answer.header("x-container-object-count", "0"))


def _read_all(cluster: Cluster, login: Login, container: str, names: Mapping[str, str]) -> dict[str, str]:
    def read(name: str) -> str:
        path = f"{login.path}/{container}/{urllib.parse.quote(name)}"
        answer = cluster.ask("GET", path, {"X-Auth-Token": login.token}, timeout_s=300)
        assert answer.status == 200, f"GET {path}: {answer.status}"
        return hashlib.md5(answer.body).hexdigest()

    with ThreadPoolExecutor(4) as pool:
        return dict(zip(names, pool.map(read, names), strict=True))


def _at_once(function: Callable[[int, str], None], names: Sequence[str]) -> None:
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(function, range(len(names)), names))


def _odd_names(cluster: Cluster, swift: Swift, rclone: Rclone, folder: Path, say: Callable[[str], None]) -> None:
    """Names through the clients: one by one with swift, as a tree of files with rclone."""
    login = cluster.login()
    assert cluster.ask("PUT", f"{login.path}/odd", {"X-Auth-Token": login.token}).status == 201
    bodies = {name: f"the object called {name}\n".encode() * 3 for name in material.odd_names()}
    hashes = {name: hashlib.md5(body).hexdigest() for name, body in bodies.items()}
    # python-swiftclient takes the slashes away from the front of a name that it uploads.
    read_by_swift = [name for name in bodies if not material.has_dot_segments(name)]
    sent_by_swift = [name for name in read_by_swift if not name.startswith("/")]

    def there(number: int, name: str) -> None:
        place = folder / f"odd-{number}"
        place.write_bytes(bodies[name])
        swift.upload_as(place, "odd", name)

    def and_back(number: int, name: str) -> None:
        place = folder / f"odd-back-{number}"
        swift.download_as("odd", name, place)
        assert material.md5(place) == hashes[name], f"swift downloaded other bytes for {name!r}"

    _at_once(there, sent_by_swift)
    for name in bodies.keys() - set(sent_by_swift):
        path = f"{login.path}/odd/{urllib.parse.quote(name)}"
        assert cluster.ask("PUT", path, {"X-Auth-Token": login.token}, bodies[name]).status == 201
    _same(_read_all(cluster, login, "odd", hashes), hashes, "read by their odd names")
    _at_once(and_back, read_by_swift)
    tree, target = folder / "odd-tree", folder / "odd-tree-back"
    for name in material.odd_file_names():
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_text(f"the file called {name}\n", encoding="utf-8")
    finish(rclone.start_upload(tree, "odd-tree"))
    rclone.download("odd-tree", target)
    _same(material.hashes(target), material.hashes(tree), "rclone downloaded from odd-tree")
    say(f"{len(hashes)} odd names went through swift, a tree of them through rclone")
