"""The storage servers of a ring, and one round of questions to all of them at once, with a deadline.

A host that does not answer, or answers nonsense, costs its own answers only. Answers are somebody else's text: bounded,
parsed as JSON, and never trusted to have the type one expects.
"""

from __future__ import annotations

import json
import time
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from objstore.http.client import ConnectionPool, PeerError, request
from objstore.http.status import HTTPStatus
from objstore.ring.fileformat import load
from objstore.runtime import green
from objstore.runtime.listen import shown

AT_ONCE = 200
BODY_MAX = 8 << 20
"""/recon/mounted of a machine with thousands of mounts stays far below."""


@dataclass(frozen=True, slots=True, order=True)
class Host:
    """A storage server of a ring."""

    ip: str
    port: int

    def __str__(self) -> str:
        return shown((self.ip, self.port))


@dataclass(frozen=True, slots=True)
class Question:
    path: str
    method: str = "GET"


@dataclass(frozen=True, slots=True)
class Answer:
    """value: parsed JSON, None for an empty body. problem: why there is none, "" when there is. begun_s, ended_s: our
    clock when it was asked and when it was answered."""

    value: object = None
    problem: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    begun_s: float = 0.0
    ended_s: float = 0.0


Answers = Mapping[Host, Mapping[Question, Answer]]


def hosts(rings: Iterable[Path], region: int | None = None, zone: int | None = None) -> list[Host]:
    """Every server of some rings' devices, of one region or zone if asked. Raises RingFileError."""
    return sorted(
        {
            Host(device.ip, device.port)
            for path in rings
            for device in load(path).devices
            if device is not None and region in (None, device.region) and zone in (None, device.zone)
        }
    )


def ask_all(asked: Sequence[Host], questions: Sequence[Question], timeout_s: float) -> Answers:
    """Every question to every host. timeout_s: for each question; a host that let one pass is not asked any more."""
    pool = ConnectionPool(idle_per_address=1)
    left = deque(asked)
    found: dict[Host, dict[Question, Answer]] = {}

    def work() -> None:
        while left:
            host = left.popleft()
            found[host] = _ask_host(pool, host, questions, timeout_s)

    tasks = [green.spawn(work) for _ in range(min(AT_ONCE, len(asked)))]
    for task in tasks:
        task.join()
    pool.close()
    return {host: found[host] for host in asked}


def _ask_host(
    pool: ConnectionPool, host: Host, questions: Sequence[Question], timeout_s: float
) -> dict[Question, Answer]:
    answers: dict[Question, Answer] = {}
    silence = ""
    for question in questions:
        if silence:
            answers[question] = Answer(problem=silence)
            continue
        begun_s = time.time()
        try:
            with green.deadline(timeout_s):
                answers[question] = _ask(pool, host, question, timeout_s, begun_s)
        except (PeerError, green.TimedOut, OSError) as error:
            silence = "did not answer in time" if isinstance(error, green.TimedOut) else str(error)
            answers[question] = Answer(problem=silence)
        except ValueError as error:
            answers[question] = Answer(problem=f"answered what cannot be read ({type(error).__name__})")
    return answers


def _ask(pool: ConnectionPool, host: Host, question: Question, timeout_s: float, begun_s: float) -> Answer:
    headers = [("Host", str(host)), ("User-Agent", "objstore-recon"), ("Content-Length", "0")]
    head, body = request(
        pool, host.ip, host.port, question.method, question.path, headers,
        connect_timeout_s=timeout_s, timeout_s=timeout_s, max_body_bytes=BODY_MAX,
    )  # fmt: skip
    ended_s = time.time()
    if head.status != HTTPStatus.OK:
        return Answer(problem=f"answered {head.status} to {question.path}")
    is_json = head.headers.get("content-type", "").startswith("application/json")
    return Answer(_parsed(body) if is_json else None, "", head.headers, begun_s, ended_s)


def _parsed(body: bytes) -> object:
    """Raises ValueError."""
    try:
        return json.loads(body)
    except RecursionError:
        raise ValueError("nested too deep") from None


def shown_text(text: object) -> str:
    """What a host said, on one line of a terminal: nothing in it can move the cursor."""
    return "".join(each if each.isprintable() else "?" for each in str(text))[:200]
