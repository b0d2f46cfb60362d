"""An object server in this process: its app over a temporary directory, called without sockets."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote_to_bytes

from objstore.config.cluster import Cluster
from objstore.core.errors import ClientDisconnected
from objstore.core.hashing import HashSecrets
from objstore.core.headers import environ_key
from objstore.core.limits import Limits
from objstore.core.policy import Policies, Policy
from objstore.http.body import TransferBody
from objstore.object.app import build
from objstore.object.delivery import Target
from objstore.object.rows import ContainerRow
from objstore.object.settings import ObjectServerSettings
from objstore.storage.engine import Engine
from objstore.storage.layout import ObjectAddress
from tests.support.clock import SimClock

SECRETS = HashSecrets(b"wire-prefix", b"wire-suffix")
POLICIES = Policies([Policy(0, "gold", is_default=True), Policy(2, "silver")])


@dataclass
class RecordingDelivery:
    """Takes every row, or none: `accepts` decides by target."""

    rows: list[tuple[Target, ContainerRow, bool]] = field(default_factory=list)
    accepts: bool = True

    def announced(self, targets: Iterable[Target]) -> AbstractContextManager[None]:
        return nullcontext()

    def deliver(self, target: Target, row: ContainerRow, *, alone: bool = False) -> bool:
        self.rows.append((target, row, alone))
        return self.accepts


class FakeBody:
    """wsgi.input of one or more chunked bodies. cut: the sender goes away after what is there."""

    def __init__(self, sequences: Iterable[bytes], *, piece: int = 1 << 30, cut: bool = False) -> None:
        self._sequences = list(sequences)
        self._current = self._sequences.pop(0) if self._sequences else b""
        self._piece = piece
        self._cut = cut
        self.interim: list[list[tuple[str, str]]] = []
        self._offered: list[tuple[str, str]] = []
        self.was_read = False

    def continue_with(self, headers: list[tuple[str, str]]) -> None:
        assert not self.was_read
        self._offered = headers

    def begin_next_sequence(self, headers: list[tuple[str, str]]) -> None:
        self.interim.append(headers)
        if not self._sequences:
            raise ClientDisconnected
        self._current = self._sequences.pop(0)

    def readinto(self, buffer: memoryview) -> int:
        if not self.was_read:
            self.was_read = True
            self.interim.append(self._offered)
        count = min(len(buffer), len(self._current), self._piece)
        buffer[:count] = self._current[:count]
        self._current = self._current[count:]
        if count == 0 and self._cut and not self._sequences:
            raise ClientDisconnected
        return count

    def read_some(self, size: int) -> bytes:
        buffer = bytearray(size)
        return bytes(buffer[: self.readinto(memoryview(buffer))])

    def read(self, size: int = -1) -> bytes:
        buffer = bytearray(len(self._current) if size < 0 else size)
        return bytes(buffer[: self.readinto(memoryview(buffer))])


class LineBody(FakeBody):
    """wsgi.input of a conversation that is read line by line."""

    def readline(self, limit: int = -1) -> bytes:
        end = self._current.find(b"\n") + 1 or len(self._current)
        line, self._current = self._current[: min(end, limit)], self._current[min(end, limit) :]
        return line


class FakeSink:
    """Where a TransferBody goes when there is no socket."""

    def __init__(self) -> None:
        self.content = bytearray()

    def send(self, data: bytes | bytearray | memoryview) -> None:
        self.content += data

    def sendfile(self, fd: int, offset: int, count: int) -> None:
        with open(f"/proc/self/fd/{fd}", "rb") as file:
            file.seek(offset)
            self.content += file.read(count)

    def splice(self, pipe_fd: int, count: int) -> None:
        raise AssertionError("an object server has no pipes")


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes
    interim: list[list[tuple[str, str]]]
    broke: Exception | None = None


class ObjectNode:
    """One object server under `root`, with the devices named."""

    def __init__(
        self,
        root: Path,
        *,
        devices: Iterable[str] = ("sdb1", "sdb2", "sdb3", "sdb4"),
        clock: SimClock | None = None,
        engine: Engine | None = None,
        accepts_rows: bool = True,
        secrets: HashSecrets = SECRETS,
        **settings: str,
    ) -> None:
        self.root = root
        self.clock = clock or SimClock(1_795_238_400.0)
        self.delivery = RecordingDelivery(accepts=accepts_rows)
        self.secrets = secrets
        for device in devices:
            (root / device).mkdir(parents=True, exist_ok=True)
        pairs = {"devices": str(root), "mount_check": "no", "fallocate_reserve": "0", **settings}
        values, problems = ObjectServerSettings.from_pairs(pairs)
        assert not problems
        cluster = Cluster(root, secrets, POLICIES, Limits())
        self.app = build(values, cluster, clock=self.clock, engine=engine, delivery=self.delivery)

    def call(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str] | None = None,
        body: bytes | FakeBody = b"",
        *,
        iterate: bool = False,
    ) -> Answer:
        """path: percent-encoded. headers: names in any case. Chunked unless a Content-Length is given."""
        source = body if isinstance(body, FakeBody) else FakeBody([body])
        environ = {
            "REQUEST_METHOD": method,
            "PATH_INFO": unquote_to_bytes(path.partition("?")[0]).decode("latin-1"),
            "QUERY_STRING": path.partition("?")[2],
            "wsgi.input": source,
        }
        for name, value in (headers or {}).items():
            environ[environ_key(name)] = value
        started: list[tuple[str, list[tuple[str, str]]]] = []
        response = self.app(environ, lambda status, lines: started.append((status, lines)))
        content, broke = _collect(response, iterate)
        status, lines = started[0]
        return Answer(int(status[:3]), {k.lower(): v for k, v in lines}, content, source.interim, broke)

    def put(self, path: str, body: bytes = b"", timestamp: str = "1795238400.00000", **headers: str) -> Answer:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        lines = {"x-timestamp": timestamp, "content-type": "text/plain", "content-length": str(len(body)), **named}
        return self.call("PUT", path, lines, body)

    def address(self, path: str, policy_index: int = 0) -> ObjectAddress:
        _, device, partition, account, container, obj = path.split("/", 5)
        digest = self.secrets.hash_path(account, container, obj)
        return ObjectAddress(device, partition, policy_index, f"/{account}/{container}/{obj}", digest)

    def directory(self, path: str, policy_index: int = 0) -> Path:
        address = self.address(path, policy_index)
        top = "objects" if policy_index == 0 else f"objects-{policy_index}"
        return self.root / address.device / top / address.partition / address.suffix / address.hash_hex


def _collect(response: Iterable[bytes], iterate: bool) -> tuple[bytes, Exception | None]:
    """All bytes of a body, by transfer() where it has that; and what it broke with, if it did."""
    sink = FakeSink()
    try:
        if isinstance(response, TransferBody) and not iterate:
            response.transfer(sink)
        else:
            for piece in response:
                sink.send(piece)
    except Exception as error:
        return bytes(sink.content), error
    finally:
        close = getattr(response, "close", None)
        if close is not None:
            close()
    return bytes(sink.content), None
