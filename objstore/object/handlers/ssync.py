"""SSYNC: a peer offers what it has of a partition, hears what is wanted here, and sends that. Source: formats 6.9.

    > :MISSING_CHECK: START     < (empty line, at once)
    > <offer>…
    > :MISSING_CHECK: END       < :MISSING_CHECK: START, <wanted>… (or an empty line), :MISSING_CHECK: END
    > :UPDATES: START
    > <subrequest>…
    > :UPDATES: END             < :UPDATES: START, :UPDATES: END

Anything that goes wrong is said in the answer, `:ERROR: <status> '<text>'`, and ends it; the connection is closed
then. A single object that could not be stored ends it too, after all others: a sender that removes its own copy
afterwards must not believe that this one arrived.

X-Backend-Objstore-Confirm: yes (ours; others pass it over) asks for more than names: an offer counts as stored here
only when its files can be opened, have the size, name and checksum that belong to them, and have been synced to the
disk.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field

from objstore.core.errors import (
    BadRequest,
    ClientDisconnected,
    ClientTooSlow,
    Conflict,
    DomainError,
    InsufficientStorage,
)
from objstore.core.headers import is_true
from objstore.http.body import RequestBody
from objstore.http.request import Request
from objstore.http.response import HTML, Response, plain
from objstore.http.status import HTTPStatus
from objstore.object.context import ObjectContext
from objstore.object.placement import Placement
from objstore.object.subrequests import (
    BadConversation,
    LimitedBody,
    Subrequest,
    read_line,
    read_subrequest,
    request_of,
)
from objstore.replication.offers import LINE_BYTES, BadLine, Offer, Wanted, encode_wanted, parse_offer, wanted_of
from objstore.storage.layout import ObjectAddress
from objstore.storage.partitions import PartitionPlaces, is_partition
from objstore.storage.reader import DamagedObject
from objstore.storage.replica import confirm, live_sets, sync_parents

CONFIRM = "x-backend-objstore-confirm"
OFFERS_PER_LOOK = 500
"""How many hash directories are listed in one go of a native thread."""
OFFERS_AT_MOST = 1 << 22
_FINE = {"POST": (HTTPStatus.NOT_FOUND,), "DELETE": (HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT)}
"""Answers that are no failures: the tombstone was written though there was nothing to delete, or is not needed; there
is nothing a POST could change."""

Handler = Callable[[Request], Response]


@dataclass(frozen=True, slots=True)
class _Session:
    device: str
    partition: str
    policy_index: int
    is_confirming: bool


@dataclass(slots=True)
class _Outcome:
    """Of the subrequests so far. first: what was wrong with the first that failed."""

    successes: int = 0
    failures: int = 0
    first: str = ""


class _Failed(Exception):
    """The conversation ends with :ERROR:."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


@dataclass
class SsyncHandler:
    """verbs: the handlers of PUT, POST and DELETE."""

    context: ObjectContext
    places: PartitionPlaces
    placement: Placement
    verbs: Mapping[str, Handler]
    _sessions: int = field(default=0, init=False)

    def __call__(self, request: Request) -> Response:
        path = request.backend_path(2, 2)
        policy_index = self.context.policy_index(request)
        self.places.path(path.device, policy_index, path.partition)  # 507 before anything else.
        if self._sessions >= self.context.settings.replication_concurrency:
            return plain(HTTPStatus.SERVICE_UNAVAILABLE, "Too many conversations at once")
        session = _Session(path.device, path.partition, policy_index, is_true(request.header(CONFIRM)))
        headers = {"content-type": HTML, "x-backend-accept-no-commit": "True"}
        return Response(HTTPStatus.OK, headers, self._answer(session, request.body))

    def _answer(self, session: _Session, body: RequestBody) -> Iterator[bytes]:
        self._sessions += 1
        try:
            yield b"\r\n"
            with ExitStack() as stack:
                try:
                    self._lock(session, stack)
                    yield _framed("MISSING_CHECK", self._missing(session, body))
                    self._updates(session, body)
                except (ClientDisconnected, ClientTooSlow):
                    raise
                except (_Failed, BadConversation, BadLine, DomainError, OSError) as error:
                    yield f":ERROR: {getattr(error, 'status', 0)} {str(error)!r}\n".encode("latin-1", "replace")
                    # What follows in the request is not looked at: the connection must not be used again.
                    raise BadRequest(f"SSYNC {session.device}/{session.partition}: {error}") from None
            yield b":UPDATES: START\r\n:UPDATES: END\r\n"
        finally:
            self._sessions -= 1

    def _lock(self, session: _Session, stack: ExitStack) -> None:
        settings = self.context.settings
        stack.enter_context(
            self.places.receiving(
                session.device, settings.replication_concurrency_per_device, settings.replication_lock_timeout
            )
        )
        if is_partition(session.partition):
            stack.enter_context(
                self.places.replicating(
                    session.device, session.policy_index, session.partition, settings.replication_lock_timeout
                )
            )

    def _missing(self, session: _Session, body: RequestBody) -> list[str]:
        """What is wanted of all that is offered."""
        _expect(body, ":MISSING_CHECK: START")
        wanted: list[str] = []
        offers: list[Offer] = []
        for _ in range(OFFERS_AT_MOST):
            line = read_line(body)
            is_end = line == ":MISSING_CHECK: END"
            if not is_end:
                offers.append(self._offer(session, line))
            if len(offers) == OFFERS_PER_LOOK or (is_end and offers):
                wanted += [encode_wanted(each) for each in self._look(session, offers)]
                offers = []
            if is_end:
                return wanted
        raise BadConversation(f"more than {OFFERS_AT_MOST} offers")

    def _offer(self, session: _Session, line: str) -> Offer:
        if len(line) > LINE_BYTES:
            raise BadLine("an offer that is too long")
        offer = parse_offer(line)
        if not is_partition(session.partition) or not self._fits(session, offer.hash_hex):
            raise BadLine(f"{offer.hash_hex} does not belong into partition {session.partition}")
        return offer

    def _look(self, session: _Session, offers: list[Offer]) -> list[Wanted]:
        path = self.places.path(session.device, session.policy_index, session.partition)
        hashes = [offer.hash_hex for offer in offers]
        found = self.context.threads.run(session.device, live_sets, path, hashes)
        wanted = [wanted_of(offer, live) for offer, live in zip(offers, found, strict=True)]
        if session.is_confirming:
            stored = [offer for offer, want in zip(offers, wanted, strict=True) if want is None]
            damaged = self.context.threads.run(session.device, self._confirm, session, path, stored)
            return [want for want in wanted if want is not None] + damaged
        return [want for want in wanted if want is not None]

    def _confirm(self, session: _Session, path: str, offers: list[Offer]) -> list[Wanted]:
        """In a native thread: those of the stored that turn out not to be; they are set aside, and wanted again."""
        fs, damaged, sound = self.places.fs, [], []
        for offer in offers:
            try:
                is_sound = confirm(fs, path, offer.hash_hex, self.context.secrets)
            except DamagedObject:
                address = ObjectAddress(session.device, session.partition, session.policy_index, "", offer.hash_hex)
                self.context.engine.quarantine(address)
                is_sound = False
            if is_sound:
                sound.append(offer.hash_hex)
            else:
                damaged.append(Wanted(offer.hash_hex, True, True))
        if sound:
            sync_parents(fs, path, sound)
        return damaged

    def _updates(self, session: _Session, body: RequestBody) -> None:
        _expect(body, ":UPDATES: START")
        outcome = _Outcome()
        while (line := read_line(body)) != ":UPDATES: END":
            sub = read_subrequest(line, body)
            content = LimitedBody(body, sub.length)
            problem = self._store(session, sub, content)
            content.discard()
            if problem is None:
                outcome.successes += 1
            else:
                self._count_failure(session, outcome, problem)
        if outcome.failures:
            raise _Failed(
                HTTPStatus.INTERNAL_SERVER_ERROR,
                f"{outcome.failures} failures, {outcome.successes} successes; first: {outcome.first}",
            )

    def _store(self, session: _Session, sub: Subrequest, content: LimitedBody) -> str | None:
        """What went wrong with one subrequest; None when it is stored, or nothing was to be done."""
        try:
            request = request_of(sub, session.device, session.partition, session.policy_index, content)
            _, address = self.context.locate_for_change(request)
            if not self._fits(session, address.hash_hex):
                return f"{sub.path!r} does not belong into partition {session.partition}"
            response = self.verbs[sub.method](request)
        except (ClientDisconnected, ClientTooSlow):
            raise
        except InsufficientStorage as error:
            raise _Failed(HTTPStatus.INSUFFICIENT_STORAGE, str(error)) from None
        except Conflict:
            return None  # What is stored is as new, or newer.
        except DomainError as error:
            return f"{sub.method} {sub.path!r}: {error}"
        except Exception:  # The boundary of one subrequest: the others go on.
            self.context.logger.exception("method=SSYNC path=%r: unexpected error", sub.path)
            return f"{sub.method} {sub.path!r}: internal error"
        is_fine = response.status < HTTPStatus.MULTIPLE_CHOICES or response.status in _FINE.get(sub.method, ())
        return None if is_fine else f"{sub.method} {sub.path!r}: {response.status}"

    def _count_failure(self, session: _Session, outcome: _Outcome, problem: str) -> None:
        settings = self.context.settings
        outcome.failures += 1
        outcome.first = outcome.first or problem
        self.context.logger.warning(
            "method=SSYNC device=%s partition=%s: %s", session.device, session.partition, problem
        )
        is_hopeless = outcome.failures > settings.replication_failure_ratio * max(1, outcome.successes)
        if outcome.failures >= settings.replication_failure_threshold and is_hopeless:
            raise _Failed(HTTPStatus.INTERNAL_SERVER_ERROR, f"too many failures; first: {outcome.first}")

    def _fits(self, session: _Session, hash_hex: str) -> bool:
        return self.placement.fits(session.policy_index, session.partition, hash_hex)


def _expect(body: RequestBody, expected: str) -> None:
    line = read_line(body)
    if line != expected:
        raise BadConversation(f"expected {expected}, got {line[:80]!r}")


def _framed(name: str, lines: list[str]) -> bytes:
    text = "\r\n".join([f":{name}: START", *(lines or [""]), f":{name}: END", ""])
    return text.encode("latin-1")
