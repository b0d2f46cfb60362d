"""How fast deferred container rows drain: a cluster, many pending files on one node, one pass of its object updater.

    python -m benchmarks.updater [--rows 100000] [--containers 10] [--nodes 4]

Budget: 5,000 rows a second, and the listings complete afterwards. CPU is that of the updater and of all container
servers together; every row is stored three times.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

from benchmarks.cpu import cpu_s
from objstore.config.cluster import load_cluster
from objstore.core.hashing import suffix_of
from objstore.core.timestamp import Timestamp
from objstore.daemon import recon
from objstore.daemon.recon import DAEMONS
from objstore.storage.pending import DeferredUpdate, encode
from tests.support.cluster import Cluster, like_a_newcomers, until

BUDGET_ROWS_PER_S = 5000
REPOSITORY = Path(__file__).parents[1]


def main(argv: Sequence[str], *, stdout: TextIO, stderr: TextIO) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.updater", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--containers", type=int, default=10)
    parser.add_argument("--nodes", type=int, default=4)
    options = parser.parse_args(argv)
    try:
        with tempfile.TemporaryDirectory(prefix="updater-") as folder:
            cluster = like_a_newcomers(Path(folder) / "cluster", "--nodes", str(options.nodes))
            cluster.configure("object-updater", "interval", 86400, kind="object")
            with cluster:
                return _drain(cluster, options.rows, options.containers, stdout)
    except AssertionError as error:
        print(f"updater: {error}", file=stderr)
        return 1


def _drain(cluster: Cluster, row_count: int, container_count: int, stdout: TextIO) -> int:
    login = cluster.login()
    token = {"X-Auth-Token": login.token}
    account = login.path.rpartition("/")[2]
    names = [f"c{number}" for number in range(container_count)]
    for name in names:
        assert cluster.ask("PUT", f"{login.path}/{name}", token).status == 201
    # The node's own updater makes one pass soon after the start, and then none for a day.
    until(lambda: _passes(cluster.directory.root) > 0, "the node's own updater has had its pass")
    _defer(cluster.directory.root, account, names, row_count)
    servers = [process.pid for process in cluster.processes() if process.role == "container"]
    before, started = sum(map(cpu_s, servers)), time.monotonic()
    conf = cluster.directory.server_conf("n1", "object")
    command = [sys.executable, "-m", "objstore.cli.object_updater", str(conf), "--once"]
    updater = subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    cpu = 0.0
    while updater.poll() is None:
        cpu = max(cpu, cpu_s(updater.pid))
        time.sleep(0.02)
    said = updater.communicate()
    elapsed = time.monotonic() - started
    server_cpu = sum(map(cpu_s, servers)) - before
    listed = sum(_count(cluster, f"{login.path}/{name}", token) for name in names)
    rate = row_count / elapsed
    print(said[0].strip(), said[1].strip(), file=stdout)
    print(
        f"{row_count} rows in {elapsed:.1f} s: {rate:.0f} rows/s; CPU per 1000 rows: updater "
        f"{cpu / row_count * 1e6:.0f} ms, container servers {server_cpu / row_count * 1e6:.0f} ms; listed: {listed}",
        file=stdout,
    )
    return 0 if rate >= BUDGET_ROWS_PER_S and listed == row_count else 1


def _passes(directory: Path) -> int:
    known = recon.read(recon.recon_file(directory / "cache" / "n1", DAEMONS))
    return int(known.get("object-updater", {}).get("passes", 0))


def _defer(directory: Path, account: str, names: Sequence[str], row_count: int) -> None:
    """What an object server leaves behind while container servers are away, without its syncs."""
    secrets = load_cluster(directory / "etc").secrets
    base = directory / "nodes" / "n1" / "d1" / "async_pending"
    assert not base.exists() or not any(base.iterdir())
    now = time.time()
    for number in range(row_count):
        name, obj = names[number % len(names)], f"object-{number:07d}"
        at = Timestamp.from_seconds(now + number / 100_000)
        headers = {
            "x-timestamp": at.internal,
            "x-size": "4096",
            "x-content-type": "application/octet-stream",
            "x-etag": "d41d8cd98f00b204e9800998ecf8427e",
            "x-trans-id": f"tx{number:034x}",
            "referer": f"PUT http://127.0.0.1:8080/d1/1/{account}/{name}/{obj}",
            "x-backend-storage-policy-index": "0",
        }
        digest = secrets.hash_path(account, name, obj)
        suffix = base / suffix_of(digest)
        suffix.mkdir(parents=True, exist_ok=True)
        update = DeferredUpdate("PUT", account, name, obj, headers, "unsharded")
        (suffix / f"{digest}-{at.internal}").write_bytes(encode(update))


def _count(cluster: Cluster, path: str, token: dict[str, str]) -> int:
    """Objects a client finds in a listing, page by page."""
    found, marker = 0, ""
    while True:
        page = json.loads(cluster.ask("GET", f"{path}?format=json&marker={marker}", token).body)
        if not page:
            return found
        found += len(page)
        marker = page[-1]["name"]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], stdout=sys.stdout, stderr=sys.stderr))
