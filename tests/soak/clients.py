"""Clients of the soak: what they do to a few names, what they were told, and whether an answer was wrong by itself.

Every answer is judged when it comes: a whole body must be what its ETag says, a range the right part of it, a listing
in order. What needs the history of the name is judged at the end (history.py). Large objects have segments that nobody
writes twice, so one whose manifest was acknowledged must be readable for as long as it is there.
"""

from __future__ import annotations

import hashlib
import json
import random
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from objstore.object.body import SMALL_BYTES
from tests.replay.client import Answer
from tests.soak.history import NO_END, Fate, Kind, Read, Write
from tests.support.final_check import ABSENT

CONTAINERS = ("mix-a", "mix-b", "mix-c")
SEGMENTS = "segments"
OBJECTS = 12
"""Per container: few, so that clients meet at the same names."""
_OPERATIONS = {
    "put": 30,
    "get": 25,
    "range": 8,
    "head": 5,
    "delete": 10,
    "post": 10,
    "copy": 7,
    "large": 3,
    "listing": 5,
}
_SIZES = ((0, 0), (1, 1_000), (1_000, 70_000), (70_000, 1_200_000), (1_200_000, 4_000_000))
_SIZE_WEIGHTS = (5, 45, 30, 15, 5)
_LARGE_NAMES = OBJECTS // 4
"""Names of a container that large objects are written to, besides all else: few, so that some are left at the end."""
_LARGE_AT_MOST = 12
"""Large objects with segments of their own that a client makes; then it writes the same manifests again."""
_META = "X-Object-Meta-Soak"
_TIMEOUT_S = 60.0
Key = tuple[str, str]
"""(container, object)"""
Pieces = tuple[tuple[int, int], ...]
"""(seed, size) of each piece of a content, one after the other: one piece, but for large objects."""
Ask = Callable[[str, str, Mapping[str, str], bytes], Answer]
"""(method, path below the account, headers, body), authorized. OSError without any answer."""


class Gate:
    """Clients pass one by one; somebody who needs silence closes it, and waits until nobody is inside."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._inside = 0
        self._is_closed = False

    @contextmanager
    def passing(self) -> Iterator[None]:
        with self._condition:
            self._condition.wait_for(lambda: not self._is_closed)
            self._inside += 1
        try:
            yield
        finally:
            with self._condition:
                self._inside -= 1
                self._condition.notify_all()

    @contextmanager
    def closed(self) -> Iterator[None]:
        with self._condition:
            self._is_closed = True
            self._condition.wait_for(lambda: self._inside == 0)
        try:
            yield
        finally:
            with self._condition:
                self._is_closed = False
                self._condition.notify_all()


@dataclass
class Journal:
    """What all clients did. bodies: ETag → pieces of every content there is; wrong: what was by itself."""

    writes: dict[Key, list[Write]] = field(default_factory=lambda: defaultdict(list))
    reads: dict[Key, list[Read]] = field(default_factory=lambda: defaultdict(list))
    bodies: dict[str, Pieces] = field(default_factory=dict)
    answers: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    _joined: dict[str, str] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def content(self, seed: int, size: int) -> tuple[str, bytes]:
        """(ETag, body) of a new content."""
        pieces = ((seed, size),)
        body = body_of(pieces)
        etag = hashlib.md5(body).hexdigest()
        with self._lock:
            self.bodies[etag] = pieces
        return etag, body

    def large(self, etags: Sequence[str]) -> str:
        """ETag of the large object of these segments: of their ETags. A copy of it is a plain object."""
        etag = hashlib.md5("".join(etags).encode()).hexdigest()
        pieces = tuple(piece for each in etags for piece in self.bodies[each])
        md5 = hashlib.md5(body_of(pieces)).hexdigest()
        with self._lock:
            self.bodies[etag] = self.bodies[md5] = pieces
            self._joined[etag] = md5
        return etag

    def md5_of(self, etag: str) -> str:
        """Of the bytes that clients read where they are told this ETag."""
        with self._lock:
            return self._joined.get(etag, etag)

    def joined(self) -> dict[str, str]:
        """ETag of each large object → MD5 of what it reads as."""
        with self._lock:
            return dict(self._joined)

    def segment_names(self) -> set[str]:
        with self._lock:
            return {name for container, name in self.writes if container == SEGMENTS}

    def wrote(self, key: Key, write: Write) -> None:
        with self._lock:
            self.writes[key].append(write)
            self.answers[f"{write.kind.value} {write.status}"] += 1

    def read(self, key: Key, read: Read) -> None:
        with self._lock:
            self.reads[key].append(read)

    def answered(self, what: str) -> None:
        with self._lock:
            self.answers[what] += 1

    def complain(self, text: str) -> None:
        with self._lock:
            self.wrong.append(text)

    def every_content(self) -> frozenset[str]:
        """ETags of all that anybody has begun to write anywhere."""
        with self._lock:
            return frozenset(self.bodies)


def body_of(pieces: Pieces) -> bytes:
    return b"".join(random.Random(seed).randbytes(size) for seed, size in pieces)


class Client:
    """One of several, each with its own seed; they meet at the same names."""

    def __init__(self, number: int, seed: int, ask: Ask, journal: Journal, gate: Gate) -> None:
        self._random = random.Random(f"{seed}/{number}")
        self._ask = ask
        self._journal = journal
        self._gate = gate
        self._content_seed = (seed << 32) + (number << 24)
        self._manifests: list[list[dict[str, object]]] = []

    def run(self, is_over: threading.Event) -> None:
        names, weights = zip(*_OPERATIONS.items(), strict=True)
        while not is_over.is_set():
            with self._gate.passing():
                operation = self._random.choices(names, weights)[0]
                getattr(self, f"_{operation}")(self._key())

    def _key(self) -> Key:
        return self._random.choice(CONTAINERS), f"o{self._random.randrange(OBJECTS)}"

    # Writes

    def _put(self, key: Key) -> None:
        etag, body = self._new_content()
        self._write(Kind.PUT, "PUT", key, frozenset({etag}), {_META: etag, "ETag": etag}, body, etag)

    def _delete(self, key: Key) -> None:
        self._write(Kind.DELETE, "DELETE", key, frozenset(), {}, b"", "")

    def _post(self, key: Key) -> None:
        meta = f"post-{self._random.randrange(1 << 60):x}"
        self._write(Kind.POST, "POST", key, frozenset(), {_META: meta}, b"", meta)

    def _copy(self, key: Key) -> None:
        """The answer says what was copied; without one it may be anything, for the source may change meanwhile."""
        source, start_s, meta = self._key(), time.monotonic(), f"copy-{self._random.randrange(1 << 60):x}"
        answer, end_s = self._answer("PUT", key, {"X-Copy-From": "/".join(source), _META: meta})
        status = 0 if answer is None else answer.status or 0
        if answer is not None and status in (201, 202):
            contents, fate = frozenset({answer.header("etag").strip('"')}), Fate.DONE
        else:
            contents, fate = self._journal.every_content(), Fate.OPEN
        self._journal.wrote(key, Write(Kind.PUT, contents, start_s, end_s, fate, status, meta))

    def _large(self, key: Key) -> None:
        """A manifest, once all of its segments are acknowledged."""
        if len(self._manifests) < _LARGE_AT_MOST:
            segments = [self._segment() for _ in range(self._random.randint(2, 4))]
            if None in segments:
                return
            self._manifests.append([segment for segment in segments if segment is not None])
        manifest = self._random.choice(self._manifests)
        etag = self._journal.large([str(segment["etag"]) for segment in manifest])
        key = key[0], f"o{self._random.randrange(_LARGE_NAMES)}"
        body = json.dumps(manifest).encode()
        self._write(Kind.PUT, "PUT", key, frozenset({etag}), {_META: etag}, body, etag, "?multipart-manifest=put")

    def _segment(self) -> dict[str, object] | None:
        """The entry of a new segment in a manifest; None when it was not acknowledged."""
        etag, body = self._new_content(self._random.randint(1, SMALL_BYTES // 4))
        key = SEGMENTS, f"s{self._content_seed:x}"
        status = self._write(Kind.PUT, "PUT", key, frozenset({etag}), {_META: etag, "ETag": etag}, body, etag)
        return {"path": "/".join(("", *key)), "etag": etag, "size_bytes": len(body)} if status == 201 else None

    def _write(
        self,
        kind: Kind,
        method: str,
        key: Key,
        contents: frozenset[str],
        headers: Mapping[str, str],
        body: bytes,
        meta: str,
        query: str = "",
    ) -> int:
        """The status, 0 without an answer."""
        start_s = time.monotonic()
        answer, end_s = self._answer(method, key, headers, body, query)
        status = 0 if answer is None else answer.status or 0
        # 404 of a DELETE or POST is a quorum's word; a node that had the object may have done it.
        fate = Fate.DONE if status in (201, 202, 204) else Fate.OPEN
        self._journal.wrote(key, Write(kind, contents, start_s, end_s, fate, status, meta))
        return status

    # Reads

    def _get(self, key: Key) -> None:
        start_s = time.monotonic()
        answer, end_s = self._answer("GET", key, {})
        if answer is None or answer.is_truncated or answer.status not in (200, 404):
            self._journal.answered(f"GET {'cut' if answer and answer.is_truncated else answer and answer.status}")
            return
        self._journal.answered(f"GET {answer.status}")
        etag = answer.header("etag").strip('"') if answer.status == 200 else ABSENT
        md5 = hashlib.md5(answer.body).hexdigest()
        if answer.status == 200 and md5 != self._journal.md5_of(etag):
            self._journal.complain(f"GET {key}: ETag {etag}, bytes {md5} ({len(answer.body)})")
        self._journal.read(key, Read(etag, start_s, end_s))

    def _head(self, key: Key) -> None:
        start_s = time.monotonic()
        answer, end_s = self._answer("HEAD", key, {})
        if answer is not None and answer.status == 200:
            self._journal.read(key, Read(answer.header("etag").strip('"'), start_s, end_s))

    def _range(self, key: Key) -> None:
        first, start_s = self._random.randrange(100_000), time.monotonic()
        last = first + self._random.randrange(200_000)
        answer, end_s = self._answer("GET", key, {"Range": f"bytes={first}-{last}"})
        if answer is None or answer.is_truncated or answer.status != 206:
            return
        etag = answer.header("etag").strip('"')
        self._journal.read(key, Read(etag, start_s, end_s))
        if etag in self._journal.bodies:
            pieces = self._journal.bodies[etag]
            # Nothing can be held against a range of a big file that has decayed (doc/formats/objects.md).
            is_checked = sum(size for _, size in pieces) <= SMALL_BYTES
            if is_checked and answer.body != body_of(pieces)[first : last + 1]:
                self._journal.complain(f"GET {key} bytes={first}-{last}: not those bytes of {etag} {pieces}")
        self._journal.answered("GET 206")

    def _listing(self, key: Key) -> None:
        container, start_s = key[0], time.monotonic()
        answer, end_s = self._answer("GET", (container, ""), {}, query="?format=json")
        if answer is None or answer.is_truncated or answer.status != 200:
            return
        rows = json.loads(answer.body)
        names = [row["name"] for row in rows]
        if names != sorted(set(names)):
            self._journal.complain(f"listing of {container} is out of order: {names}")
        for row in rows:
            etag = row.get("slo_etag", row["hash"]).strip('"')
            self._journal.read((container, row["name"]), Read(etag, start_s, end_s))
        self._journal.answered("listing 200")

    # The wire

    def _answer(
        self, method: str, key: Key, headers: Mapping[str, str], body: bytes = b"", query: str = ""
    ) -> tuple[Answer | None, float]:
        """(None without an answer, when it ended)."""
        path = f"/{key[0]}/{key[1]}".rstrip("/") + query
        try:
            answer = self._ask(method, path, headers, body)
        except TimeoutError:
            return None, NO_END
        except OSError:
            return None, time.monotonic()
        return (None if answer.status is None else answer), time.monotonic()

    def _new_content(self, size: int | None = None) -> tuple[str, bytes]:
        self._content_seed += 1
        if size is None:
            size = self._random.randint(*self._random.choices(_SIZES, _SIZE_WEIGHTS)[0])
        return self._journal.content(self._content_seed, size)
