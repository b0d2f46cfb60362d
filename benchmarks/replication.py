"""What the object replicator costs and how fast it heals: a cluster of four nodes on this machine, files made directly.

python -m benchmarks.replication consistent [--objects 100000] [--part-power 10]
    CPU of one pass of all four nodes over objects that are already the same everywhere; then one object is taken away
    on one node, and one more pass must bring it back python -m benchmarks.replication rebuild [--objects 20000]
    [--bytes 4096] [--method rsync|ssync] time until an emptied disk is whole again, and the rate next to that of a
    plain rsync of the same tree

Budgets (2 cores): 20 s of CPU and no object's file touched; 20,000 x 4 KiB in 60 s; 200 x 16 MiB at 60 % of plain
rsync.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

from benchmarks.cpu import cpu_s
from objstore.config.cluster import load_cluster
from objstore.core.timestamp import Timestamp
from objstore.ring.fileformat import load
from objstore.runtime.checksum import crc32c
from objstore.runtime.clock import SystemClock
from objstore.runtime.devices import Devices
from objstore.runtime.fs import Fs
from objstore.storage.disk import DiskEngine
from objstore.storage.layout import ObjectAddress
from tests.support.cluster import Cluster, like_a_newcomers

REPOSITORY = Path(__file__).parents[1]
CPU_BUDGET_S = 20.0
REBUILD_BUDGET_S = 60.0
RATE_BUDGET = 0.6
PARTITIONS_WATCHED = 40
_LINK_ATTEMPTS = 100
_PASS_SECONDS = re.compile(r"jobs in ([0-9.]+) s")
ACCOUNT, CONTAINER = "AUTH_admin", "c"


class HastyFs(Fs):
    """Syncs nothing: files of a benchmark need not survive a power cut."""

    def sync(self, fd: int) -> None:
        return None

    sync_data = sync

    def sync_directory(self, path: str) -> None:
        return None

    def sync_directories(self, paths: Sequence[str]) -> None:
        return None


class Bench:
    """A running cluster without daemons, its disks, and its replicators as commands."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        etc = cluster.directory.etc
        self.ring = load(etc / "object.ring.gz")
        self.secrets = load_cluster(etc).secrets
        ports = sorted({device.port for device in self.ring.devices if device is not None})
        self.nodes = dict(zip(ports, cluster.nodes, strict=True))
        self.engines = {
            node: DiskEngine(Devices(cluster.directory.nodes / node, False), self.secrets, SystemClock(), fs=HastyFs())
            for node in self.nodes.values()
        }

    def objects(self, node: str) -> Path:
        return self.cluster.device_path(node) / "objects"

    def fill(self, count: int, size: int, first: int = 0) -> None:
        """Objects on all of their primaries, as a PUT would have left them. first: number of the first."""
        now = Timestamp.from_seconds(float(int(time.time()) - 3600))
        for number in range(first, first + count):
            name = f"object-{number}"
            body = (b"%016d" % number) * (size // 16)
            digest = self.secrets.digest(ACCOUNT, CONTAINER, name)
            headers = {"content-type": "text/plain", "etag": hashlib.md5(body).hexdigest()}
            partition = self.ring.partition(digest)
            crc = crc32c(body)
            address = ObjectAddress("d1", str(partition), 0, f"/{ACCOUNT}/{CONTAINER}/{name}", digest.hex())
            first, *others = [self.nodes[primary.address[1]] for primary in self.ring.primaries(partition)]
            self.engines[first].store(address, body, crc, now, headers)
            below = f"{partition}/{address.suffix}/{address.hash_hex}"
            for other in others:
                # Links are as good as copies here: nobody ever writes to a file that has a name.
                _link(*(self.objects(node) / below / f"{now.internal}.data" for node in (first, other)))

    def run_pass(self) -> tuple[float, float]:
        """One pass of every node, all at once: (seconds of the longest, CPU seconds of replicators and object servers).

        What it costs to start four interpreters is in the CPU, not in the time: daemons run all along."""
        before = self._cpu_s()
        replicators = [self._replicator(node) for node in self.nodes.values()]
        said = [replicator.communicate()[0].decode() for replicator in replicators]
        longest_s = max(float(found[1]) for found in map(_PASS_SECONDS.search, said) if found is not None)
        return longest_s, self._cpu_s() - before

    def _replicator(self, node: str) -> subprocess.Popen[bytes]:
        conf = self.cluster.directory.server_conf(node, "object")
        log = (self.cluster.directory.log / f"bench-{node}.log").open("ab")
        with log:
            return subprocess.Popen(
                [sys.executable, "-m", "objstore.cli.object_replicator", str(conf), "--once"],
                stdout=subprocess.PIPE,
                stderr=log,
            )

    def _cpu_s(self) -> float:
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        servers = [each.pid for each in self.cluster.processes() if each.role in ("object", "rsync")]
        return used.ru_utime + used.ru_stime + sum(map(cpu_s, servers))

    def file_times(self) -> dict[str, int]:
        """When some of the .data files on the first node were last read (relatime notes the first time at least)."""
        found = {}
        for partition in sorted(os.listdir(self.objects("n1")))[:PARTITIONS_WATCHED]:
            for directory, _, names in os.walk(self.objects("n1") / partition):
                for name in (name for name in names if name.endswith(".data")):
                    found[f"{directory}/{name}"] = os.stat(f"{directory}/{name}").st_atime_ns
        return found


def main(argv: Sequence[str], *, stdout: TextIO, stderr: TextIO) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.replication", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("what", choices=("consistent", "rebuild"))
    parser.add_argument("--objects", type=int, default=0)
    parser.add_argument("--bytes", type=int, default=4096)
    parser.add_argument("--part-power", type=int, default=10)
    parser.add_argument("--method", choices=("rsync", "ssync"), default="rsync")
    options = parser.parse_args(argv)

    with tempfile.TemporaryDirectory(prefix="replication-") as folder:
        cluster = like_a_newcomers(Path(folder) / "cluster", "--part-power", str(options.part_power))
        cluster.configure("object-replicator", "sync_method", options.method, kind="object")
        try:
            # Passes are run by hand.
            cluster.start("--no-daemons")
            bench = Bench(cluster)
            if options.what == "consistent":
                return _consistent(bench, options.objects or 100_000, stdout)
            return _rebuild(bench, options.objects or 20_000, options.bytes, stdout)
        finally:
            cluster.close()


def _link(source: Path, target: Path) -> None:
    """Replicators that run remove the directory while it is empty."""
    for _ in range(_LINK_ATTEMPTS):
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            return os.link(source, target)
        except FileNotFoundError:
            continue
    raise AssertionError(f"{target}: its directory vanishes again and again")


def _consistent(bench: Bench, count: int, stdout: TextIO) -> int:
    bench.fill(count, 16)
    elapsed_s, used_s = bench.run_pass()
    print(f"first pass, everything hashed: {elapsed_s:.1f} s, {used_s:.1f} s of CPU", file=stdout)
    before = bench.file_times()
    elapsed_s, used_s = bench.run_pass()
    after = bench.file_times()
    touched = sum(after[path] != moment for path, moment in before.items())
    print(f"{count} consistent objects: {elapsed_s:.1f} s, {used_s:.1f} s of CPU, {touched} files read", file=stdout)
    victim = next(iter(before))
    shutil.rmtree(Path(victim).parent)
    _invalidate(Path(victim))
    elapsed_s, more_s = bench.run_pass()
    is_back = Path(victim).exists()
    print(f"one object lost: {'back' if is_back else 'NOT back'} after one pass, {elapsed_s:.1f} s", file=stdout)
    return 0 if used_s <= CPU_BUDGET_S and is_back and not touched else 1


def _invalidate(data: Path) -> None:
    """As a quarantine does: the suffix is listed as changed."""
    suffix = data.parents[1]
    with open(suffix.parent / "hashes.invalid", "a", encoding="ascii") as file:
        file.write(f"{suffix.name}\n")


def _rebuild(bench: Bench, count: int, size: int, stdout: TextIO) -> int:
    bench.fill(count, size)
    bench.run_pass()
    lost = bench.objects("n1")
    expected = _sizes(lost)
    total = sum(expected.values())
    # Before and after: other work on the machine changes what is possible.
    before_s = _plain_rsync(lost)
    shutil.rmtree(lost)
    elapsed_s, used_s = bench.run_pass()
    plain_s = (before_s + _plain_rsync(lost)) / 2
    found = _sizes(lost)
    missing = len(expected.keys() - found.keys())
    print(
        f"{len(expected)} of {count} objects on the disk, {total / 1e6:.0f} MB; whole again after {elapsed_s:.1f} s"
        f" ({used_s:.1f} s of CPU), {missing} missing",
        f"plain rsync {plain_s:.1f} s: {plain_s / elapsed_s:.0%} of its rate",
        sep="\n",
        file=stdout,
    )
    is_large = size >= 1 << 20
    is_fast = plain_s / elapsed_s >= RATE_BUDGET if is_large else elapsed_s <= REBUILD_BUDGET_S
    return 0 if is_fast and not missing and expected == found else 1


def _sizes(tree: Path) -> dict[str, int]:
    """Bytes of every .data below a directory, by its path there."""
    return {
        os.path.relpath(f"{directory}/{name}", tree): os.stat(f"{directory}/{name}").st_size
        for directory, _, names in os.walk(tree)
        for name in names
        if name.endswith(".data")
    }


def _plain_rsync(tree: Path) -> float:
    """Seconds of one rsync of the tree to a place beside it."""
    target = tree.with_name("copy")
    started = time.monotonic()
    subprocess.run(["rsync", "--recursive", "--whole-file", "--xattrs", f"{tree}/", str(target)], check=True)
    elapsed_s = time.monotonic() - started
    shutil.rmtree(target)
    return elapsed_s


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], stdout=sys.stdout, stderr=sys.stderr))
