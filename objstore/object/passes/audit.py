"""The object auditor: reads every object on the node's disks and sets aside what is not what was written.

A pass goes over each device twice. First it looks, quickly, for files that have lost all their bytes (what a power cut
does on some file systems; ZBF); then it reads everything (ALL): metadata and its checksum, name, length, MD5 and CRC32C
of the body. What contradicts itself goes to quarantine, and replication brings a good copy from another node.

Invariants:
1. Only what was read and found wrong is quarantined (storage/verdict.py). A disk that does not answer (EIO, gone) is
   counted and logged, never taken for damage: quarantine would rename on a dying disk what another read may give back.
2. A write that lands while its predecessor is being judged stays: quarantine asks again under the partition's lock.
3. An audit that is stopped goes on where it was (audit_state.py).

It also sweeps the devices' tmp directories of what was cut off long ago (storage/temporaries.py).

Source: formats 4.12; features B3.5.
"""

from __future__ import annotations

import hashlib
import logging
import os
import random
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum

from objstore.config.errors import ConfigError, ConfigProblem
from objstore.config.settings import reads
from objstore.core.errors import DeviceUnavailable, InsufficientStorage, LockTimeout
from objstore.core.hashing import HashSecrets
from objstore.core.policy import Policies
from objstore.core.timestamp import Timestamp
from objstore.daemon.pace import Pace
from objstore.daemon.pass_ import FAILURES, Counts, Job, PassReport, Scope
from objstore.daemon.surroundings import Surroundings
from objstore.object.passes.audit_settings import TOMBSTONE_LIFE_S, ObjectAuditorSettings
from objstore.object.passes.audit_state import Progress, load, state_path
from objstore.object.passes.watchers import (
    DELETE,
    QUARANTINE,
    SeenObject,
    Watcher,
    WatcherContext,
    guarded,
    load_watchers,
)
from objstore.runtime import green
from objstore.runtime.checksum import EMPTY, crc32c
from objstore.runtime.clock import Clock
from objstore.runtime.device_threads import DeviceThreads
from objstore.runtime.devices import Devices
from objstore.runtime.fs import Fs
from objstore.storage import metadata
from objstore.storage.cleanup import CleaningRules
from objstore.storage.disk import DiskEngine
from objstore.storage.engine import Absent, StoredObject
from objstore.storage.examine import Damaged, data_size, examine, remove_rsync_temporaries
from objstore.storage.layout import DeviceLayout, ObjectAddress
from objstore.storage.resolve import data_name
from objstore.storage.temporaries import old_temporaries, remove_old
from objstore.storage.verdict import body_verdict

READ_AT_ONCE_BYTES = 4 << 20
"""How much a thread reads before the pace is asked again."""
KEEP_CACHE_BYTES = 1 << 20
"""Larger bodies leave the page cache after the audit: they would push out what clients read."""

PASSED, QUARANTINED, ERRORS, BYTES, REMOVED = "passes", "quarantined", "errors", "bytes", "removed_temporaries"
SWEPT = "swept_temporaries"
_HEX = frozenset("0123456789abcdef")
_log = logging.getLogger("objstore.object.auditor")


class Mode(Enum):
    """The value stands in names of state files and recon entries."""

    ALL = "ALL"
    EMPTY_ONES = "ZBF"


@dataclass(frozen=True, slots=True)
class AuditJob(Job):
    """One partition. problem: of the state file this job was found through, to be logged by who runs it."""

    mode: Mode
    policy_index: int
    partition: str
    problem: str = ""


@dataclass(frozen=True, slots=True)
class SweepJob(Job):
    """paths: of old files in the device's tmp directories. problem: why they cannot be told, to be logged."""

    paths: tuple[str, ...] = ()
    problem: str = ""


class ObjectAuditor:
    """The Pass of the objstore-object-auditor."""

    name = "object-auditor"

    def __init__(
        self,
        settings: ObjectAuditorSettings,
        devices: Devices,
        policies: Policies,
        secrets: HashSecrets,
        clock: Clock,
        *,
        fs: Fs | None = None,
        watchers: Sequence[Watcher] = (),
        shuffle: Callable[[list[str]], None] = random.shuffle,
    ) -> None:
        self._settings = settings
        self._devices = devices
        self._policies = policies
        self._secrets = secrets
        self._clock = clock
        self._fs = fs or Fs()
        self._engine = DiskEngine(devices, secrets, clock, fs=self._fs, reclaim_age_s=settings.reclaim_age)
        self._watchers = guarded(watchers)
        self._have_watchers_begun = False
        self._shuffle = shuffle
        self._threads = DeviceThreads(settings.threads_per_disk)
        self._progress: dict[tuple[str, int, Mode], Progress] = {}
        self._paces: dict[tuple[str, str], Pace] = {}
        self._counts = {mode: Counter[str]() for mode in Mode}

    # Finding work

    def jobs(self, scope: Scope) -> Iterator[AuditJob | SweepJob]:
        self._counts = {mode: Counter[str]() for mode in Mode}
        self._progress = {}
        self._have_watchers_begun = False
        if self._settings.temporary_age and scope.partitions is None:
            yield from self._sweeps(scope)
        modes = [Mode.ALL] if not self._settings.zero_byte_files_per_second else [Mode.EMPTY_ONES, Mode.ALL]
        for mode in modes:
            for device in self._devices.names():
                if scope.has_device(device):
                    yield from self._jobs_of(device, mode, scope)

    def _sweeps(self, scope: Scope) -> Iterator[SweepJob]:
        """One for every device that has something to be swept."""
        now, age_s = self._clock.now(), self._settings.temporary_age
        for device in filter(scope.has_device, self._devices.names()):
            key = f"{device}/tmp"
            try:
                layout = DeviceLayout(self._devices.path(device))
                indexes = [policy.index for policy in self._policies if scope.has_policy(policy.index)]
                paths = [path for index in indexes for path in old_temporaries(layout.temporary(index), now, age_s)]
            except DeviceUnavailable:
                continue
            except OSError as error:
                yield SweepJob(key, device, problem=str(error))
            else:
                if paths:
                    yield SweepJob(key, device, tuple(paths))

    def _jobs_of(self, device: str, mode: Mode, scope: Scope) -> Iterator[AuditJob]:
        for policy in self._policies:
            if not scope.has_policy(policy.index):
                continue
            try:
                directory = DeviceLayout(self._devices.path(device)).data(policy.index)
                there = [name for name in os.listdir(directory) if name.isascii() and name.isdigit()]
            except (OSError, DeviceUnavailable):
                continue
            loaded = load(self._fs, state_path(directory, mode.value))
            partitions = [name for name in loaded.partitions if name in set(there)]
            if not partitions:
                partitions = there
                self._shuffle(partitions)
            if scope.partitions is None:
                path = state_path(directory, mode.value)
                self._progress[device, policy.index, mode] = Progress(
                    self._fs, path, partitions, self._clock.monotonic()
                )
            problem = loaded.problem
            for partition in partitions:
                if scope.has_partition(int(partition)):
                    key = f"{device}/{policy.directory('objects')}/{partition}/{mode.value}"
                    yield AuditJob(key, device, mode, policy.index, partition, problem)
                    problem = ""

    # Doing it

    def run(self, job: AuditJob | SweepJob) -> Counts:
        return self._sweep(job) if isinstance(job, SweepJob) else self._audit_partition(job)

    def _sweep(self, job: SweepJob) -> Counts:
        """Raises OSError; the runner counts that."""
        if job.problem:
            _log.error("device=%s: what lies in its tmp cannot be told: %s", job.device, job.problem)
            return {FAILURES: 1}
        now, age_s = self._clock.now(), self._settings.temporary_age
        return {SWEPT: self._threads.run(job.device, remove_old, self._fs, job.paths, now, age_s)}

    def _audit_partition(self, job: AuditJob) -> Counts:
        if job.problem:
            _log.warning("%s", job.problem)
        if not self._have_watchers_begun:
            self._have_watchers_begun = True
            for watcher in self._watchers:
                watcher.start(Mode.ALL.value)
        counts: Counter[str] = Counter()
        for suffix, hash_hex in self._listed(job, counts):
            address = ObjectAddress(job.device, job.partition, job.policy_index, "", hash_hex)
            assert address.suffix == suffix
            try:
                self._audit(address, job.mode, counts)
            except (OSError, DeviceUnavailable, InsufficientStorage, LockTimeout) as error:
                self._count_error(counts, address, error)
        self._tick(job)
        self._counts[job.mode].update(counts)
        return counts

    def finished(self, report: PassReport) -> Mapping[str, object]:
        if self._have_watchers_begun:
            for watcher in self._watchers:
                watcher.end()
        return {
            f"object_auditor_stats_{mode.value}": {
                "audit_time": round(report.elapsed_s, 3),
                "bytes_processed": counts[BYTES],
                "errors": counts[ERRORS],
                "passes": counts[PASSED],
                "quarantined": counts[QUARANTINED],
                "start_time": report.started_s,
            }
            for mode, counts in self._counts.items()
        }

    def _listed(self, job: AuditJob, counts: Counter[str]) -> list[tuple[str, str]]:
        """(suffix, hash) of every hash directory of a partition, as far as it can be listed."""
        try:
            path = DeviceLayout(self._devices.path(job.device)).partition(job.policy_index, job.partition)
        except DeviceUnavailable as error:
            self._count_error(counts, job, error)
            return []
        found, errors = self._threads.run(job.device, _hash_directories, path)
        for problem in errors:
            self._count_error(counts, job, problem)
        return found

    def _audit(self, address: ObjectAddress, mode: Mode, counts: Counter[str]) -> None:
        self._wait(address.device, mode)
        directory = DeviceLayout(self._devices.path(address.device)).object(address)
        if mode is Mode.EMPTY_ONES:
            if self._threads.run(address.device, data_size, directory) != 0:
                return
        elif self._settings.rsync_tempfile_timeout:
            counts[REMOVED] += self._threads.run(address.device, self._clear, directory)
        try:
            stored = self._threads.run(address.device, examine, self._fs, self._secrets, directory, address)
        except Damaged as error:
            self._quarantine(address, error.data.timestamp, error.reason, counts)
            return
        if isinstance(stored, Absent):
            return
        with stored:
            reason = self._judged(stored, counts)
        if reason is not None:
            self._quarantine(stored.address, stored.data_timestamp, reason, counts)
            return
        counts[PASSED] += 1
        if mode is Mode.ALL:
            self._count_size(stored.size, counts)
            self._threads.run(address.device, self._complete, f"{directory}/{data_name(stored.data_timestamp)}")
            self._show(stored, directory, counts)

    def _judged(self, stored: StoredObject, counts: Counter[str]) -> str | None:
        """Read the body; what is wrong with it. Raises OSError."""
        reader = _Reader(stored, self._settings.disk_chunk_size, self._fs)
        device = stored.address.device
        while True:
            read_bytes = self._threads.run(device, reader.advance)
            counts[BYTES] += read_bytes
            if not read_bytes:
                break
            self._wait_for_bytes(device, read_bytes)
        if reader.size != stored.size:
            return f"it ends after {reader.size} of {stored.size} bytes"
        return body_verdict(stored.headers, md5_hex=reader.md5_hex, crc32c=reader.crc32c)

    def _quarantine(self, address: ObjectAddress, seen: Timestamp, reason: str, counts: Counter[str]) -> None:
        where = self._threads.run(address.device, self._engine.quarantine, address, seen)
        if where is None:
            return  # It was replaced, or removed, meanwhile.
        counts[QUARANTINED] += 1
        _log.error(
            "device=%s partition=%s hash=%s name=%r: quarantined to %s: %s",
            address.device, address.partition, address.hash_hex, address.name, where, reason,
        )  # fmt: skip

    def _show(self, stored: StoredObject, directory: str, counts: Counter[str]) -> None:
        """Let the watchers see a good object, and do what one asks for."""
        for watcher in self._watchers:
            seen = SeenObject(stored.address, stored.data_timestamp, stored.size, stored.headers, directory)
            verdict = watcher.see(seen)
            if verdict == QUARANTINE:
                self._quarantine(stored.address, stored.data_timestamp, "a watcher asked for it", counts)
                return
            if verdict == DELETE:
                self._threads.run(
                    stored.address.device, self._engine.delete, stored.address, self._tombstone(stored.data_timestamp)
                )
                counts["deleted"] += 1
                return

    def _tombstone(self, data_timestamp: Timestamp) -> Timestamp:
        """When an object is said to have been deleted: just after it was written. But a tombstone of that date is
        reclaimed at once if the object is old, and the next replica would bring the object back: so it lives long
        enough to reach everybody, and is older than any write that could still be on its way."""
        oldest_kept_s = self._clock.now().seconds - self._settings.reclaim_age + TOMBSTONE_LIFE_S
        just_after = Timestamp(data_timestamp.ticks, data_timestamp.offset + 1)
        return max(just_after, Timestamp.from_seconds(max(0.0, oldest_kept_s)))

    # Small things

    def _clear(self, directory: str) -> int:
        rules = CleaningRules(self._clock.now(), 0.0)
        try:
            return remove_rsync_temporaries(self._fs, directory, rules, self._settings.rsync_tempfile_timeout)
        except (FileNotFoundError, NotADirectoryError):
            return 0

    def _complete(self, path: str) -> None:
        """Give the metadata of an old release its missing checksum."""
        with suppress(FileNotFoundError, metadata.BadMetadata):
            fd = self._fs.open_read(path)
            try:
                metadata.add_checksum(self._fs, fd)
            finally:
                os.close(fd)

    def _count_size(self, size_bytes: int, counts: Counter[str]) -> None:
        limits = self._settings.object_size_stats
        if limits:
            limit = next((limit for limit in limits if size_bytes <= limit), None)
            counts["size_over" if limit is None else f"size_to_{limit}"] += 1

    @staticmethod
    def _count_error(counts: Counter[str], about: AuditJob | ObjectAddress, error: Exception) -> None:
        counts[ERRORS] += 1
        counts[FAILURES] += 1
        what = about.hash_hex if isinstance(about, ObjectAddress) else "-"
        _log.error(
            "device=%s partition=%s hash=%s: not audited, left as it is: %s", about.device, about.partition, what, error
        )

    def _tick(self, job: AuditJob) -> None:
        progress = self._progress.get((job.device, job.policy_index, job.mode))
        now_s = self._clock.monotonic()
        if progress is None or not progress.done(job.partition, now_s):
            return
        try:
            self._threads.run(job.device, progress.write, now_s)
        except OSError as error:
            _log.warning("device=%s: the auditor's place cannot be kept: %s", job.device, error)

    def _wait(self, device: str, mode: Mode) -> None:
        per_second = self._settings.files_per_second if mode is Mode.ALL else self._settings.zero_byte_files_per_second
        self._pause(self._paces.setdefault((device, mode.value), Pace(per_second)), 1)

    def _wait_for_bytes(self, device: str, count: int) -> None:
        self._pause(self._paces.setdefault((device, BYTES), Pace(self._settings.bytes_per_second)), count)

    def _pause(self, pace: Pace, amount: int) -> None:
        pace.charge(self._clock.monotonic(), amount)
        if (seconds := pace.wait_s(self._clock.monotonic())) > 0:
            green.sleep(seconds)


class _Reader:
    """Reads a body piece by piece and sums it up. advance() is called in native threads, one at a time."""

    def __init__(self, stored: StoredObject, chunk_bytes: int, fs: Fs) -> None:
        self._stored = stored
        self._chunk_bytes = chunk_bytes
        self._fs = fs
        self._md5 = hashlib.md5(usedforsecurity=False)
        self.crc32c = EMPTY
        self.size = 0

    @property
    def md5_hex(self) -> str:
        return self._md5.hexdigest()

    def advance(self) -> int:
        """Bytes read; 0 at the end. Raises OSError."""
        start, body = self.size, self._stored.body
        while self.size - start < READ_AT_ONCE_BYTES:
            chunk = body.pread(self._chunk_bytes, self.size)
            if not chunk:
                break
            self._md5.update(chunk)
            self.crc32c = crc32c(chunk, self.crc32c)
            self.size += len(chunk)
        if body.fd is not None and self._stored.size > KEEP_CACHE_BYTES and self.size > start:
            self._fs.drop_cache(body.fd, start, self.size - start)
        return self.size - start


def _hash_directories(partition: str) -> tuple[list[tuple[str, str]], list[OSError]]:
    """(suffix, hash) of a partition directory, and what went wrong while listing. In a native thread."""
    found: list[tuple[str, str]] = []
    errors: list[OSError] = []
    for suffix in _names(partition, 3, errors):
        found += [(suffix, name) for name in _names(f"{partition}/{suffix}", 32, errors) if name.endswith(suffix)]
    return found, errors


def _names(path: str, length: int, errors: list[OSError]) -> list[str]:
    """Names of so many hex digits, sorted."""
    try:
        return sorted(name for name in os.listdir(path) if len(name) == length and _HEX.issuperset(name))
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        errors.append(error)
        return []


@reads(ObjectAuditorSettings)
def factory(surroundings: Surroundings[ObjectAuditorSettings]) -> ObjectAuditor:
    """Raises ConfigError for a watcher that is not there or does not like its options."""
    settings, cluster = surroundings.settings, surroundings.cluster
    context = WatcherContext(cluster.swift_dir, surroundings.devices.root, cluster.secrets, surroundings.clock)
    try:
        watchers = load_watchers(
            settings.watchers, lambda name: surroundings.section(f"{surroundings.name}:watcher:{name}"), context
        )
    except ValueError as error:
        place = str(cluster.swift_dir)
        raise ConfigError(
            [ConfigProblem(place, surroundings.name, "watchers", ", ".join(settings.watchers), "", str(error))]
        ) from None
    return ObjectAuditor(
        settings, surroundings.devices, cluster.policies, cluster.secrets, surroundings.clock, watchers=watchers
    )
