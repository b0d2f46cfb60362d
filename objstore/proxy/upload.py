"""Upload: a large or unmeasured body to every replica at once.

    open   PUT with Expect: 100-continue to each primary; whoever refuses or is silent for `lend_s` gets a handoff
    relay  blocks of the body, hashed once, to all who said 100 (peers.sinks); a quorum has to stay
    finish the footers of formats 6.6: the ETag, and for our own servers a CRC32C instead of a hash of theirs, and the
           update targets of servers that fell away on the way (orphans.py)
    answer the final statuses, by WriteQuorum

A server that does not know footers takes the bare chunked body; it is no use where a filter has some to store. Nothing
is acknowledged that a quorum has not stored.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from objstore.core.errors import BodyTooLarge, ClientDisconnected
from objstore.core.headers import is_true
from objstore.http.body import RequestBody
from objstore.http.client import PeerBroken, PeerError, PeerTimedOut, ResponseHead
from objstore.http.status import HTTPStatus
from objstore.peers.exchange import Caller, Exchange, wait_for_some
from objstore.peers.sinks import Piece, Sink, Sinks
from objstore.proxy.fault import FaultLog
from objstore.proxy.nodes import Writing
from objstore.proxy.orphans import adopted, telling_again
from objstore.proxy.quorum import WriteQuorum
from objstore.proxy.slots import Slots
from objstore.proxy.targets import RequestPlan
from objstore.proxy.write import WriteReply, WriteTimes
from objstore.runtime import green
from objstore.runtime.checksum import crc32c, crc_text

BLOCK_BYTES = 1 << 20
FINAL_PATIENCE_S = 60.0
"""How long the last answers are awaited while the quorum is missing: the body is gone, and fsync of it may be slow."""
_FILL_S = 1.0
_END = b"0\r\n\r\n"
_CRLF = b"\r\n"
_REFUSALS = frozenset({HTTPStatus.CONFLICT, HTTPStatus.PRECONDITION_FAILED})


def footer_headers(boundary: str, length: int | None) -> list[tuple[str, str]]:
    """What announces an upload with footers."""
    found = [
        ("Transfer-Encoding", "chunked"),
        ("Expect", "100-continue"),
        ("X-Backend-Obj-Metadata-Footer", "yes"),
        ("X-Backend-Obj-Multipart-Mime-Boundary", boundary),
        ("X-Backend-Objstore-Crc", "yes"),
    ]
    if length is not None:
        found.append(("X-Backend-Obj-Content-Length", str(length)))
    return found


def new_boundary() -> str:
    return secrets.token_hex(32)


@dataclass(slots=True)
class Digest:
    """What was relayed."""

    size: int = 0
    crc: int = 0
    md5: hashlib._Hash = field(default_factory=lambda: hashlib.md5(usedforsecurity=False))

    def update(self, block: memoryview, *, with_crc: bool) -> None:
        self.md5.update(block)
        self.size += len(block)
        if with_crc:
            self.crc = crc32c(block, self.crc)

    @property
    def etag(self) -> str:
        return self.md5.hexdigest()


class Upload:
    def __init__(
        self,
        caller: Caller,
        faults: FaultLog,
        times: WriteTimes,
        plan: RequestPlan,
        replica_count: int,
        boundary: str,
        *,
        use_replication: bool = False,
        needs_footers: bool = False,
    ) -> None:
        """plan: of requests with the headers of footer_headers(). needs_footers: what finish() is given may not be
        lost, so that a server which takes the bare body alone is no use."""
        self._needs_footers = needs_footers
        self._faults = faults
        self._times = times
        self._boundary = boundary.encode()
        self.quorum = WriteQuorum(replica_count)
        self.replies: list[WriteReply] = []
        self.digest = Digest()
        self._slot_count = replica_count
        self._slots = Slots(
            caller, faults, plan, replica_count, self.quorum.vote, interim=True, use_replication=use_replication
        )
        self._ready: dict[int, Exchange] = {}
        self._sinks: Sinks | None = None

    # Open

    def open(self, whom: Writing) -> bool:
        """True when a quorum waits for the body; else `quorum` and `replies` say why not."""
        self._slots.start(whom)
        give_up_s = green.monotonic() + self._times.answer_s
        lend_at_s = green.monotonic() + self._times.lend_s
        has_lent = False
        while (self._slots.active or self._resort()) and not self._is_refused and not self._is_every_slot_served:
            if self._has_quorum_ready:
                lend_at_s = min(lend_at_s, green.monotonic() + self._times.post_quorum_s)
            for exchange in self._slots.wait(min(lend_at_s, give_up_s)):
                self._admit(exchange)
            now_s = green.monotonic()
            if now_s >= give_up_s or (has_lent and now_s >= lend_at_s and self._has_quorum_ready):
                break
            if now_s >= lend_at_s:
                self._resort()
                self._slots.stand_in()
                has_lent = True
                lend_at_s = now_s + self._times.post_quorum_s if self._has_quorum_ready else give_up_s
        if self._is_refused:
            # Who had no time to answer before the refusal has done nothing wrong.
            self._slots.drop()
        for exchange in self._slots.give_up(lambda _: PeerTimedOut("no 100 Continue")):
            self.quorum.vote(exchange.slot, HTTPStatus.SERVICE_UNAVAILABLE)
        if self._is_refused or not self._has_quorum_ready:
            self.abandon()
            return False
        return True

    @property
    def _has_quorum_ready(self) -> bool:
        return len(self._ready) >= self.quorum.quorum

    @property
    def _is_every_slot_served(self) -> bool:
        """Somebody waits for the body in every slot: who is still silent has a handoff that is not."""
        return len(self._ready) == self._slot_count

    @property
    def _is_refused(self) -> bool:
        """A replica has a newer object, or one at all where none may be: nobody is to store this body."""
        return any(reply.status in _REFUSALS for reply in self.replies)

    def _resort(self) -> bool:
        """Have doubtful nodes help, if a quorum is missing; True when one was reached for a slot that nobody serves."""
        return not self._has_quorum_ready and not self._is_refused and self._slots.resort()

    def _admit(self, exchange: Exchange) -> None:
        head = exchange.head
        if head is None:
            return self._slots.failed(exchange)
        if head.status < HTTPStatus.OK:
            if exchange.slot in self._ready:
                # A silent node woke up after its handoff did: one copy for the slot is enough.
                return exchange.discard()
            if self._needs_footers and not _takes_footers(head):
                exchange.fail(PeerBroken("it takes no footers, without which this object could not be read again"))
                return self._slots.failed(exchange)
            self._ready[exchange.slot] = exchange
            return None
        body = exchange.read_body(self._times.answer_s) or b""
        exchange.discard()
        if head.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            return self._slots.refused(exchange, head.status)
        self.replies.append(WriteReply(exchange.slot, head.status, head.headers, body))
        return self.quorum.vote(exchange.slot, head.status)

    # Relay

    def relay(self, body: RequestBody, limit_bytes: int, length: int | None = None) -> bool:
        """The whole body to the sinks; False when the quorum was lost. Raises what reading the body raises, and
        BodyTooLarge, after the servers were told by a broken connection.

        length: bytes that the body has, None when only its end will tell. A body of known length travels as one chunk:
        its bytes reach the servers' buffers without a chunk's head in between.
        """
        sinks = self._sinks = self._open_sinks()
        with_crc = any(sink.takes_crc for sink in sinks.live)
        opening = self._chunk(b"--" + self._boundary + b"\r\nX-Document: object body\r\n\r\n")
        head = (b"%x\r\n" % length,) if length else ()
        sinks.push(lambda sink: (*opening, *head) if sink.is_framed else head)
        block = memoryview(bytearray(BLOCK_BYTES if length is None else min(BLOCK_BYTES, max(length, 1))))
        most = limit_bytes if length is None else min(length, limit_bytes)
        try:
            while sinks.is_enough:
                size = _fill(body, block)
                if not size:
                    return self._end_of_body(sinks, length)
                if self.digest.size + size > most:
                    raise BodyTooLarge(most)
                filled = block[:size]
                self.digest.update(filled, with_crc=with_crc)
                sinks.push_to_all((filled,) if length is not None else (b"%x\r\n" % size, filled, _CRLF))
        except BaseException:
            self.abandon()
            raise
        return False

    def _end_of_body(self, sinks: Sinks, length: int | None) -> bool:
        if length:
            if self.digest.size < length:
                # Whatever came next would be taken for the rest of the body.
                raise ClientDisconnected(f"{self.digest.size} bytes of {length} came")
            sinks.push_to_all((_CRLF,))
        return True

    def _open_sinks(self) -> Sinks:
        sinks = []
        for exchange in self._ready.values():
            assert exchange.head is not None
            offered = exchange.head.headers
            sinks.append(
                Sink(
                    exchange,
                    is_framed=_takes_footers(exchange.head),
                    takes_crc=is_true(offered.get("x-objstore-crc")),
                    takes_targets=is_true(offered.get("x-objstore-targets")),
                )
            )
        self._ready.clear()
        return Sinks(sinks, self.quorum.quorum, self._times.lend_s, self._times.answer_s, self._on_lost)

    def _on_lost(self, sink: Sink, error: PeerError) -> None:
        """A sink broke in mid-body. It may have said why before it closed."""
        self._faults.failed(sink.exchange.node, error)
        self.quorum.vote(sink.exchange.slot, HTTPStatus.SERVICE_UNAVAILABLE)

    def _lost(self, exchange: Exchange, error: PeerError) -> None:
        exchange.discard()
        self._faults.failed(exchange.node, error)
        self.quorum.vote(exchange.slot, HTTPStatus.SERVICE_UNAVAILABLE)

    # Finish

    def finish(self, footers: dict[str, str]) -> int:
        """End the body with `footers` (the ETag is added), and wait for the verdict."""
        sinks = self._sinks
        assert sinks is not None
        sinks.drop_ended()
        if not sinks.is_enough:
            self.abandon()
            return self.quorum.final()
        footers = footers | {"Etag": self.digest.etag}
        plain = self._footer_pieces(footers)
        footers["X-Objstore-Body-Crc32c"] = crc_text(self.digest.crc)
        checked = self._footer_pieces(footers)
        shares = self._adopted(sinks.live)
        fuller = {slot: self._footer_pieces(footers | share) for slot, share in shares.items()}
        sinks.push(lambda sink: _ending(sink, plain, fuller.get(sink.exchange.slot, checked)))
        before = {sink.exchange.slot: sink for sink in sinks.live}
        for sink in sinks.live:
            sink.exchange.connection.mark_request_whole()
            sink.exchange.expect_final()
        self._collect([sink.exchange for sink in sinks.live])
        self._tell_again(before, shares)
        return self.quorum.final()

    def _tell_again(self, before: Mapping[int, Sink], shares: Mapping[int, object]) -> None:
        """Have the targets told of servers that fell away after the footers. before: who was there then; shares: by
        heir, what was taken over then."""
        told = {reply.slot for reply in self.replies if reply.status < HTTPStatus.INTERNAL_SERVER_ERROR}
        if shares.keys() <= told:
            told |= set(range(len(self._slots.requests))) - before.keys()
        heirs = [slot for slot in before if self.quorum.has_succeeded(slot) and before[slot].takes_targets]
        for slot, footers in adopted(self._slots.requests, told, heirs[:1]).items():
            request = telling_again(self._slots.requests[slot], footers, self.digest.etag)
            node = before[slot].exchange.node
            exchange = self._slots.ask(node, request)
            if exchange.failure is None:
                wait_for_some([exchange], green.monotonic() + self._times.lend_s)
            exchange.discard()

    def _adopted(self, live: Sequence[Sink]) -> dict[int, dict[str, str]]:
        """Footers for slots that take over the update targets of who fell away."""
        slots = [sink.exchange.slot for sink in live]
        heirs = [sink.exchange.slot for sink in live if sink.is_framed and sink.takes_crc and sink.takes_targets]
        return adopted(self._slots.requests, slots, heirs)

    def _collect(self, waiting: list[Exchange]) -> None:
        give_up_s = green.monotonic() + max(self._times.answer_s, FINAL_PATIENCE_S)
        while waiting:
            if self.quorum.has_success:
                give_up_s = min(give_up_s, green.monotonic() + self._times.post_quorum_s)
            settled = wait_for_some(waiting, give_up_s)
            if not settled:
                break
            for exchange in settled:
                waiting.remove(exchange)
                self._take_final(exchange)
        for exchange in waiting:
            self._lost(exchange, PeerTimedOut("no final answer to PUT"))

    def _take_final(self, exchange: Exchange) -> None:
        head = exchange.head
        body = exchange.read_body(self._times.answer_s) if head is not None else None
        if head is None or body is None:
            return self._lost(exchange, exchange.failure or PeerBroken("no final answer to PUT"))
        if head.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            self._faults.refused(exchange.node, head.status)
        self.replies.append(WriteReply(exchange.slot, head.status, head.headers, body))
        return self.quorum.vote(exchange.slot, head.status)

    def abandon(self) -> None:
        """Leave every server with a broken upload, of which it keeps nothing."""
        for exchange in self._ready.values():
            exchange.discard()
        self._ready.clear()
        if self._sinks is not None:
            self._sinks.close()

    def _footer_pieces(self, footers: dict[str, str]) -> tuple[Piece, ...]:
        document = json.dumps(footers).encode()
        checksum = hashlib.md5(document, usedforsecurity=False).hexdigest().encode()
        return self._chunk(
            b"\r\n--%b\r\nX-Document: object metadata\r\nContent-MD5: %b\r\n\r\n%b\r\n--%b--"
            % (self._boundary, checksum, document, self._boundary)
        )

    @staticmethod
    def _chunk(data: bytes) -> tuple[Piece, ...]:
        return (b"%x\r\n%b\r\n" % (len(data), data),)


def _takes_footers(head: ResponseHead) -> bool:
    """Of a 100 Continue."""
    return is_true(head.headers.get("x-obj-metadata-footer"))


def _ending(sink: Sink, plain: tuple[Piece, ...], checked: tuple[Piece, ...]) -> Sequence[Piece]:
    """What ends the body for this server: nothing but the last chunk, or one of two footer documents before it."""
    if not sink.is_framed:
        return (_END,)
    return (*(checked if sink.takes_crc else plain), _END)


def _fill(body: RequestBody, block: memoryview) -> int:
    """As much of the block as the client sends in good time; 0 at the end of the body.

    A slow client's bytes go on after a second: the servers must not think that we are gone.
    """
    size = body.readinto(block)
    if not size:
        return 0
    hurry_s = green.monotonic() + _FILL_S
    while size < len(block) and green.monotonic() < hurry_s:
        more = body.readinto(block[size:])
        if not more:
            break
        size += more
    return size
